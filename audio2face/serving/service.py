"""The gRPC services: ProcessAudioStream, health and GetConfigs. One event loop; networks run in the scheduler's thread."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from audio2face.serving.authoring import Authoring
from audio2face.serving.configs import config_files
from audio2face.serving.engine import ServedModel
from audio2face.serving.messages import AGGREGATE_NAME, SERVICES, message, number
from audio2face.serving.metrics import Metrics
from audio2face.serving.request import Refusal, read_request
from audio2face.serving.scheduler import Scheduler, Track
from audio2face.serving.stream import Frame, Stream, too_long

logger = logging.getLogger(__name__)

DRAIN_S, DRAIN_BYTES = 5.0, 64 << 20
MESSAGE_BYTES = 64 << 20
OPTIONS = [
    ("grpc.so_reuseport", 0),  # else a second server takes the same port in silence
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10000),
    ("grpc.keepalive_time_ms", 20000),  # a client that is gone without a word is noticed in a minute
    ("grpc.keepalive_timeout_ms", 40000),
    ("grpc.http2.ping_timeout_ms", 40000),  # the same, in later versions of gRPC
    ("grpc.http2.max_pings_without_data", 0),
]
AGGREGATE_URL = f"type.googleapis.com/{AGGREGATE_NAME}"
SHUTTING_DOWN = Refusal("UNAVAILABLE", "the server is shutting down")

AudioStream = message("AudioStream")
AnimationDataStream = message("AnimationDataStream")


class Service:
    """What the server does for its clients. `serving` is the health status; `close` refuses new streams and waits for the others."""

    def __init__(self, served: ServedModel, scheduler: Scheduler, metrics: Metrics):
        self.served, self.options = served, served.options
        self._scheduler, self._metrics = scheduler, metrics
        self._authoring = Authoring(served)
        self.serving, self._changed = True, asyncio.Condition()
        self._open: set[_Call] = set()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Handlers of all services, for a grpc.aio server."""
        kinds = {
            "none": grpc.unary_unary_rpc_method_handler,
            "response": grpc.unary_stream_rpc_method_handler,
            "both": grpc.stream_stream_rpc_method_handler,
        }
        functions: dict[str, Any] = {
            "ProcessAudioStream": self.process_audio_stream,
            "Check": self.check,
            "Watch": self.watch,
            "GetConfigs": self.get_configs,
            "UploadAudioClip": self.upload_audio_clip,
            "GetAvatarFacePose": self.get_avatar_face_pose,
        }
        found = []
        for service, methods in SERVICES.items():
            table = {
                name: kinds[streams](
                    self._guarded(functions[name], service),
                    request_deserializer=message(request).FromString,
                    response_serializer=message(response).SerializeToString,
                )
                for name, (request, response, streams) in methods.items()
            }
            found.append(grpc.method_handlers_generic_handler(service, table))
        return found

    def _guarded(self, function: Callable[..., Any], service: str) -> Callable[..., Any]:
        """The function behind the token, where the server has one; health is open to all."""
        if self.options.token is None or service.startswith("grpc.health"):
            return function
        expected = f"Bearer {self.options.token}"

        async def allow(context: Any) -> None:
            given = dict(context.invocation_metadata() or ()).get("authorization", "")
            if not hmac.compare_digest(str(given).encode(), expected.encode()):
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong")

        if function == self.get_configs:

            async def answers(request: Any, context: Any) -> AsyncIterator[Any]:
                await allow(context)
                async for answer in self.get_configs(request, context):
                    yield answer

            return answers

        async def answer(*arguments: Any) -> Any:
            await allow(arguments[-1])
            return await function(*arguments)

        return answer

    # ---- streams of sound

    async def process_audio_stream(self, requests: AsyncIterator[Any], context: Any) -> None:
        """Sound in, frames out: see `_Call`."""
        call = _Call(self, context)
        self._open.add(call)
        self._metrics.began()
        try:
            await call.run()
        finally:
            self._open.discard(call)
            self._metrics.ended(call.code)

    async def open(self, header: Any) -> Stream:
        """A stream for a header, made in the networks' thread. Raises Refusal."""
        request = read_request(header, self.served.emotions, self.options.keep)
        return await asyncio.wrap_future(self._scheduler.call(lambda: self.served.open(request)))

    # ---- health and configs

    async def check(self, request: Any, context: Any) -> Any:
        """Whether streams are served."""
        if request.service and request.service not in SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r}")
        return self._health()

    async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The same now and whenever it changes."""
        if request.service and request.service not in SERVICES:
            yield message("HealthCheckResponse")(status=number("ServingStatus", "SERVICE_UNKNOWN"))
            return
        yield self._health()
        async with self._changed:
            while self.serving:
                await self._changed.wait()
        yield self._health()

    def _health(self) -> Any:
        status = "SERVING" if self.serving else "NOT_SERVING"
        return message("HealthCheckResponse")(status=number("ServingStatus", status))

    async def get_configs(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The settings that are in force, as files in the layout that clients know."""
        as_json = request.config_type == number("ConfigType", "JSON")
        for name, content in config_files(self.served, as_json).items():
            yield message("A2XConfig")(name=name, content=content)

    # ---- single poses

    async def upload_audio_clip(self, request: Any, context: Any) -> Any:
        """Keep a clip for poses."""
        return await self._unary(context, self._scheduler.call(lambda: self._authoring.upload(request)))

    async def get_avatar_face_pose(self, request: Any, context: Any) -> Any:
        """The face of one moment of a clip, alone."""
        return await self._unary(context, self._scheduler.work(lambda: self._authoring.pose(request)))

    async def _unary(self, context: Any, answer: Future[Any]) -> Any:
        try:
            return await asyncio.wrap_future(answer)
        except Refusal as refusal:
            await context.abort(grpc.StatusCode[refusal.code], refusal.reason)
        except Exception:
            logger.exception("a request failed")
            await context.abort(grpc.StatusCode.INTERNAL, "see the server's log")

    async def close(self) -> None:
        """Refuse new streams, let the open ones end for a while, those over WebSocket too, then end the calls of gRPC."""
        self.serving = False
        async with self._changed:
            self._changed.notify_all()
        slots = self._scheduler.slots
        if slots.taken:
            logger.info("%d stream(s) may continue for %g seconds", slots.taken, self.options.grace_s)
        await asyncio.wait([asyncio.wrap_future(slots.empty())], timeout=self.options.grace_s)
        for call in list(self._open):
            call.refuse(SHUTTING_DOWN)
        if self._open:
            await asyncio.wait([call.ended for call in self._open], timeout=DRAIN_S)


class _Call:
    """One ProcessAudioStream. Reading and writing do not wait for each other: some clients write all before they read."""

    def __init__(self, service: Service, context: Any):
        self.service, self.context, self.options = service, context, service.options
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._frames: asyncio.Queue[list[Frame] | BaseException | None] = asyncio.Queue()
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.code = "CANCELLED"  # of the status that it ends with
        self._slots = service._scheduler.slots
        self._place: Future[None] | None = None
        self._track: Track | None = None
        self._reader: asyncio.Task[None] | None = None
        self._read_all, self._header_sent, self._blocked = False, False, False

    def refuse(self, reason: BaseException) -> None:
        """End the call with an error, from the event loop, also where it waits for a client that does not read."""
        self._frames.put_nowait(reason)
        if not self._failed.done():
            self._failed.set_result(reason)

    async def run(self) -> None:
        """Serve the call to its end."""
        try:
            await self._take_place()
            header = await self._first()
            stream = await self.service.open(header)
            await self._send(animation_data_stream_header=self._response_header(header, stream))
            self._header_sent = True
            self._track = self._begin(stream)
            self._reader = asyncio.create_task(self._read(stream))
            await self._write(stream)
            self.code = "OK"
        except Refusal as refusal:
            await self._refused(refusal)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception:
            logger.exception("a stream failed")
            await self._refused(Refusal("INTERNAL", "see the server's log"))
        finally:
            if self._reader:
                self._reader.cancel()
            self._leave()
            if not self.ended.done():
                self.ended.set_result(None)

    async def _take_place(self) -> None:
        """Be one of the streams that may run at once, after a while in the queue where there is one."""
        if not self.service.serving:
            raise SHUTTING_DOWN
        self._place = self._slots.take()
        if not self._place.done():
            await asyncio.wait([asyncio.wrap_future(self._place)], timeout=self.options.queue_s)
        if not self._place.done():
            raise Refusal("RESOURCE_EXHAUSTED", f"all {self.options.streams} streams are in use (--streams)")
        if not self.service.serving:
            raise SHUTTING_DOWN

    def _leave(self) -> None:
        """Give the place back, and drop what is under way."""
        if self._track:
            self.service._scheduler.remove(self._track)
        if self._place:
            self._slots.leave(self._place)
            self._place = None

    # ---- in

    async def _first(self) -> Any:
        part = await self._next()
        if part is None or part.WhichOneof("stream_part") != "audio_stream_header":
            raise Refusal("INVALID_ARGUMENT", "the first message of a stream must be its audio_stream_header")
        return part.audio_stream_header

    async def _next(self) -> Any:
        """The next message, None at half-close. Raises Refusal when none comes for a while."""
        try:
            part = await asyncio.wait_for(self.context.read(), self.options.idle_s)
        except TimeoutError:
            raise Refusal(
                "DEADLINE_EXCEEDED", f"nothing was sent for {self.options.idle_s:g} seconds (--idle)"
            ) from None
        return None if part is grpc.aio.EOF else part

    async def _read(self, stream: Stream) -> None:
        """Take sound up to its end. What is wrong reaches the writer."""
        try:
            while (part := await self._next()) is not None:
                kind = part.WhichOneof("stream_part")
                if kind == "audio_stream_header":
                    raise Refusal("INVALID_ARGUMENT", "a stream has one audio_stream_header, at its beginning")
                if kind == "end_of_audio":
                    break
                for key in part.audio_with_emotion.emotions:
                    stream.add_key(key.time_code, key.emotion)
                    too_long(stream, self.options.max_clip_s)
                stream.add(part.audio_with_emotion.audio_buffer)
                too_long(stream, self.options.max_clip_s)
                self.service._scheduler.wake()
            self._read_all = True
            stream.end()
            self.service._scheduler.wake()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.refuse(error)

    # ---- out

    def _begin(self, stream: Stream) -> Track:
        loop = asyncio.get_running_loop()

        def hand_over(frames: list[Frame] | BaseException) -> None:
            loop.call_soon_threadsafe(self._frames.put_nowait, frames)

        def deliver(frames: list[Frame]) -> None:
            hand_over(frames)
            if stream.finished:
                loop.call_soon_threadsafe(self._frames.put_nowait, None)

        track = Track(stream, deliver, hand_over)
        self.service._scheduler.add(track)
        return track

    async def _write(self, stream: Stream) -> None:
        while (frames := await self._frames.get()) is not None:
            if isinstance(frames, BaseException):
                raise frames
            for frame in frames:
                await self._send(animation_data=_animation_data(frame))
                assert self._track is not None
                self.service._scheduler.taken(self._track)
        if stream.notes and not self.options.quiet_status:
            await self._send_status("INFO", "; ".join(stream.notes))
        for note in stream.notes:
            logger.info("%s: %s", self.context.peer(), note)
        event = message("Event")(event_type=number("EventType", "END_OF_A2F_AUDIO_PROCESSING"))
        await self._send(event=event)
        await self._send_status("SUCCESS", "sent all data")

    async def _send(self, **part: Any) -> None:
        """Write a message, and wait until it has gone out. Raises Refusal for a client that reads nothing for a while."""
        write, limit = asyncio.ensure_future(self.context.write(AnimationDataStream(**part))), self.options.unread_s
        try:
            while not write.done():
                read_all = self._read_all
                await asyncio.wait({write, self._failed}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                self._blocked = not write.done()
                if self._blocked and self._failed.done():
                    raise self._failed.result()
                if self._blocked and read_all:
                    raise Refusal("DEADLINE_EXCEEDED", f"nothing was read for {limit:g} seconds")
            await write
        finally:
            write.cancel()

    async def _send_status(self, code: str, text: str) -> None:
        await self._send(status=message("Status")(code=number("StatusCode", code), message=text))

    def _response_header(self, header: Any, stream: Stream) -> Any:
        return message("AnimationDataStreamHeader")(
            audio_header=header.audio_header,
            skel_animation_header=message("SkelAnimationHeader")(blend_shapes=stream.names),
            start_time_code_since_epoch=time.time(),
        )

    async def _refused(self, refusal: Refusal) -> None:
        """Tell the client: a client that is still writing would see its own failure, so that its sound is read first."""
        if self._reader:
            self._reader.cancel()
        self._leave()
        self.code = refusal.code
        logger.info("%s: %s: %s", self.context.peer(), refusal.code, refusal.reason)
        if not self._blocked:
            self._failed = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError, Refusal):
                if self._header_sent:
                    await asyncio.wait_for(self._send_status("ERROR", refusal.reason), DRAIN_S)
                if not self._read_all:
                    await asyncio.wait_for(self._drain(), DRAIN_S)
        with suppress(TimeoutError):  # of a client that does not even read this
            await asyncio.wait_for(self.context.abort(grpc.StatusCode[refusal.code], refusal.reason), DRAIN_S)

    async def _drain(self) -> None:
        left = DRAIN_BYTES
        while left > 0:
            part = await self.context.read()
            if part is grpc.aio.EOF or part.WhichOneof("stream_part") == "end_of_audio":
                return
            left -= len(part.audio_with_emotion.audio_buffer)


def _animation_data(frame: Frame) -> Any:
    keyed = message("EmotionWithTimeCode")
    aggregate = message("EmotionAggregate")(
        input_emotions=[keyed(time_code=time_s, emotion=emotion) for time_s, emotion in frame.keys],
        a2f_smoothed_output=[keyed(time_code=frame.time_s, emotion=frame.emotion)],
    )
    weights = message("FloatArrayWithTimeCode")(time_code=frame.time_s, values=frame.weights.tolist())
    data = message("AnimationData")(
        skel_animation=message("SkelAnimation")(blend_shape_weights=[weights]),
        audio=message("AudioWithTimeCode")(time_code=frame.sound_time_s, audio_buffer=frame.sound),
    )
    packed = data.metadata["emotion_aggregate"]
    packed.type_url, packed.value = AGGREGATE_URL, aggregate.SerializeToString()
    assert math.isfinite(sum(weights.values)), "weights are finite"
    return data
