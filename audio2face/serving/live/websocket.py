"""WebSocket: frames as JSON for browsers and scripts, sound in and frames out on `/stream`, what is live on `/live`."""

from __future__ import annotations

import hmac
import http
import json
import logging
import queue
import re
import threading
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import Future, wait
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection
from websockets.sync.server import serve as listen

from audio2face.problems import UserError
from audio2face.serving.engine import ServedModel
from audio2face.serving.http import Health, status_page
from audio2face.serving.live.page import Page
from audio2face.serving.metrics import Metrics
from audio2face.serving.request import EmotionSettings, Refusal, StreamRequest, check_rate, finite
from audio2face.serving.scheduler import Scheduler, Track
from audio2face.serving.stream import Frame, Stream, too_long

logger = logging.getLogger(__name__)

VERSION = 1
MESSAGE_BYTES = 1 << 20
MOST_CONNECTIONS = 256  # each has threads of its own
LISTENER_S = 2.0  # of frames that wait for a slow listener; the oldest go first
START_S = 10.0  # until a client of /stream must have begun
LOCAL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
PARTS = ("weights", "eyes", "jaw", "head")


class WebSocketServer:
    """Listens at "host:port". A sink too: `send` gives a frame to all listeners of /live.

    Pages of other machines' addresses are refused, unless their origin is among `origins`.
    """

    def __init__(
        self,
        address: str,
        served: ServedModel,
        scheduler: Scheduler | None = None,
        metrics: Metrics | None = None,
        origins: Collection[str] = (),
        delay_s: float = 0.0,
        health: Health | None = None,
    ):
        """Without a scheduler there is no /stream, without `health` no status pages. Raises UserError when the port cannot be had."""
        self._served, self._scheduler, self._metrics = served, scheduler, metrics or Metrics()
        self._delay_s, self._page, self._health = delay_s, Page(served), health
        self._listeners: set[_Listener] = set()
        self._connections: set[ServerConnection] = set()
        self._lock = threading.Lock()
        host, _, port = address.rpartition(":")
        quiet = logging.getLogger("websockets.server")
        quiet.setLevel(logging.WARNING)  # not a line for each connection
        try:
            self._server: Server = listen(
                self._handle,
                host,
                int(port),
                origins=[None, LOCAL, *origins],  # type: ignore[list-item]
                process_request=self._serve_page,
                compression=None,
                max_size=MESSAGE_BYTES,
                ping_interval=20,
                create_connection=self._connection,  # type: ignore[arg-type]
            )
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"{address}: {getattr(error, 'strerror', None) or error}; choose another port") from error
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="websocket", daemon=True)
        self._thread.start()

    def send(self, frame: Frame) -> None:
        """Give a frame to all who listen to /live."""
        with self._lock:
            for listener in self._listeners:
                listener.add(frame)

    def close(self) -> None:
        """End all connections."""
        self._server.shutdown()
        self._thread.join(5)

    def _connection(self, *arguments: Any, **options: Any) -> ServerConnection:
        """A connection, unless there are too many; the server closes the socket when this raises."""
        with self._lock:
            self._connections = {c for c in self._connections if c.socket.fileno() >= 0}
            if len(self._connections) >= MOST_CONNECTIONS:
                raise ConnectionRefusedError("too many connections")
            connection = ServerConnection(*arguments, **options)
            self._connections.add(connection)
        return connection

    def _serve_page(self, connection: ServerConnection, request: Request) -> Response | None:
        """Plain HTTP requests get the test page; upgrades to WebSocket go on."""
        path = request.path.partition("?")[0]
        if request.headers.get("Upgrade", "").lower() == "websocket":
            known = ("/live", "/stream") if self._scheduler else ("/live",)
            return (
                None
                if path in known
                else connection.respond(http.HTTPStatus.NOT_FOUND, f"known are {', '.join(known)}\n")
            )
        status = status_page(path, self._health, self._metrics) if self._health else None
        if status is not None:
            return connection.respond(http.HTTPStatus(status[0]), status[1])
        found = self._page.file(path)
        if found is None:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "no such page\n")
        kind, body = found
        headers = Headers([("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
        return Response(200, "OK", headers, body)

    def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        try:
            if connection.request.path.startswith("/live"):
                self._live(connection)
            else:
                self._stream(connection)
        except ConnectionClosed:
            pass
        except (Refusal, UserError) as error:
            reason = error.reason if isinstance(error, Refusal) else "; ".join(error.lines)
            _refuse(connection, reason, 1008)
        except Exception:
            logger.exception("a connection failed")
            _refuse(connection, "see the server's log", 1011)

    # ---- /live

    def _live(self, connection: ServerConnection) -> None:
        _allow(connection, {}, self._served.options.token)
        listener = _Listener(float(self._served.out_fps))
        connection.send(_header(self._served, PARTS, self._delay_s))
        with self._lock:
            self._listeners.add(listener)
        try:
            while True:
                frame = listener.next()
                if frame is not None:
                    connection.send(as_json(frame, PARTS))
                else:
                    connection.ping()  # notices those that have gone
        finally:
            with self._lock:
                self._listeners.discard(listener)

    # ---- /stream

    def _stream(self, connection: ServerConnection) -> None:
        assert self._scheduler is not None
        request, want = _start(connection, self._served)
        if self._health is not None and not self._health.serving:
            raise Refusal("UNAVAILABLE", "the server is shutting down")
        slots, options = self._scheduler.slots, self._served.options
        self._metrics.began()
        code, track, out, place = "CANCELLED", None, queue.SimpleQueue[Any](), slots.take()
        try:
            if wait([place], options.queue_s).not_done:
                raise Refusal("RESOURCE_EXHAUSTED", f"all {options.streams} streams are in use (--streams)")
            opened: Future[Stream] = self._scheduler.call(lambda: self._served.open(request))
            stream = opened.result()
            connection.send(_header(self._served, want, self._delay_s))
            track = Track(stream, lambda frames: _hand_over(out, frames, stream), out.put)
            self._scheduler.add(track)
            writer = threading.Thread(target=_write, args=(connection, self._scheduler, track, out, want), daemon=True)
            writer.start()
            self._read(connection, stream)
            writer.join()
            code = "OK" if stream.finished else "CANCELLED"
        except Refusal as refusal:
            code = refusal.code
            raise
        finally:
            out.put(None)
            if track is not None:
                self._scheduler.remove(track)
            self._metrics.ended(code)
            slots.leave(place)

    def _read(self, connection: ServerConnection, stream: Stream) -> None:
        """Take sound and emotions up to the end."""
        assert self._scheduler is not None
        while True:
            try:
                part = connection.recv(timeout=self._served.options.idle_s)
            except TimeoutError:
                raise Refusal("DEADLINE_EXCEEDED", "nothing was sent for a while") from None
            if isinstance(part, bytes):
                stream.add(part)
                too_long(stream, self._served.options.max_clip_s)
            else:
                values = _object(part)
                if values.get("type") == "end":
                    stream.end()
                    self._scheduler.wake()
                    return
                if values.get("type") != "emotion":
                    raise Refusal(
                        "INVALID_ARGUMENT", f"type {values.get('type')!r}: expected emotion, end, or binary sound"
                    )
                stream.add_key(_number(values, "t", stream.duration_s), _weights(values.get("emotion")))
                too_long(stream, self._served.options.max_clip_s)
            self._scheduler.wake()


class _Listener:
    """Frames that wait for one listener of /live."""

    def __init__(self, fps: float):
        self._frames: deque[Frame] = deque(maxlen=max(1, round(LISTENER_S * fps)))
        self._came = threading.Event()

    def add(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._came.set()

    def next(self) -> Frame | None:
        """The next frame; None when there is none for a while."""
        if not self._frames:
            self._came.clear()
            if not self._frames and not self._came.wait(1.0):
                return None
        return self._frames.popleft() if self._frames else None


def as_json(frame: Frame, want: Collection[str]) -> str:
    """A frame as text: `w` weights, `eyes` 6 degrees, `jaw` 16 numbers, `head` 3 degrees, whichever are wanted and there."""
    values: dict[str, Any] = {"type": "frame", "i": frame.index, "t": round(frame.time_s, 6)}
    if "weights" in want:
        values["w"] = [round(float(w), 5) for w in frame.weights]
    if "eyes" in want:
        values["eyes"] = [round(float(x), 3) for x in frame.eyes]
    if "jaw" in want:
        values["jaw"] = [round(float(x), 5) for x in frame.jaw.ravel()]
    if "head" in want and frame.head is not None:
        values["head"] = [round(float(x), 3) for x in frame.head]
    return json.dumps(values, separators=(",", ":"))


def _header(served: ServedModel, want: Collection[str], delay_s: float) -> str:
    values = {
        "type": "header",
        "version": VERSION,
        "fps": float(served.out_fps),
        "names": list(served.names),
        "actor": served.actor,
        "emotions": list(served.emotions),
        "want": list(want),
        "delay_s": round(delay_s, 3),
    }
    return json.dumps(values)


def _hand_over(out: queue.SimpleQueue[Any], frames: list[Frame], stream: Stream) -> None:
    out.put(frames)
    if stream.finished:
        out.put(None)


def _write(
    connection: ServerConnection, scheduler: Scheduler, track: Track, out: queue.SimpleQueue[Any], want: Collection[str]
) -> None:
    """Frames to the client; at most as many wait as the scheduler lets."""
    count = 0
    try:
        while (frames := out.get()) is not None:
            if isinstance(frames, BaseException):
                logger.error("a stream failed: %s", frames)
                _refuse(connection, "see the server's log", 1011)
                return
            for frame in frames:
                connection.send(as_json(frame, want))
                scheduler.taken(track)
                count += 1
        if track.stream.finished:
            connection.send(json.dumps({"type": "end", "frames": count, "notes": track.stream.notes}))
            connection.close()
    except ConnectionClosed:
        scheduler.remove(track)


def _refuse(connection: ServerConnection, reason: str, code: int) -> None:
    try:
        connection.send(json.dumps({"type": "error", "message": reason}))
        connection.close(code, reason.encode()[:120].decode(errors="ignore"))
    except ConnectionClosed:
        pass


def _start(connection: ServerConnection, served: ServedModel) -> tuple[StreamRequest, tuple[str, ...]]:
    """The first message of /stream, checked."""
    try:
        values = _object(connection.recv(timeout=START_S))
    except TimeoutError:
        raise Refusal("DEADLINE_EXCEEDED", "no start message came") from None
    if values.get("type") != "start":
        raise Refusal("INVALID_ARGUMENT", 'the first message must be {"type": "start", "sample_rate": …}')
    _allow(connection, values, served.options.token)
    want = values.get("want", ["weights"])
    if not isinstance(want, list) or not set(map(str, want)) <= set(PARTS):
        raise Refusal("INVALID_ARGUMENT", f"want {want!r}: expected some of {', '.join(PARTS)}")
    rate = check_rate(int(_number(values, "sample_rate", 0.0)))
    beginning = {str(k): float(v) for k, v in _weights(values["emotion"]).items()} if values.get("emotion") else None
    # keys of a browser are meant as they are: no strengths
    emotion = EmotionSettings(strength=1.0, preferred_strength=1.0, beginning=beginning)
    return StreamRequest(rate, emotion=emotion), tuple(want)


def _allow(connection: ServerConnection, values: Mapping[str, Any], token: str | None) -> None:
    """Raise Refusal without the token, in the header `Authorization` or, as browsers cannot set that, in the start."""
    assert connection.request is not None
    given = connection.request.headers.get("Authorization", "").removeprefix("Bearer ") or str(values.get("token", ""))
    if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
        raise Refusal("UNAUTHENTICATED", "the token is missing or wrong")


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        values = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise Refusal("INVALID_ARGUMENT", "expected a JSON object")
    return values


def _number(values: Mapping[str, Any], name: str, default: float) -> float:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise Refusal("INVALID_ARGUMENT", f"{name} {value!r}: expected a number")
    return value


def _weights(value: Any) -> dict[str, float]:
    if isinstance(value, str):
        value = {value: 1.0}
    if not isinstance(value, dict):
        raise Refusal("INVALID_ARGUMENT", "emotion: expected a name or {name: weight}")
    return finite({str(name): float(_number(value, name, 0.0)) for name in value}, "emotion")
