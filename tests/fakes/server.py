"""A server of a made-up model in this process, and a client that says what it is told to."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager

import grpc
import numpy as np

from audio2face.serving.engine import ServedModel
from audio2face.serving.messages import message, number
from audio2face.serving.server import Endpoint, serve

PATH = "/nvidia_ace.services.a2f_controller.v1.A2FControllerService/ProcessAudioStream"
AudioStream, AnimationDataStream = message("AudioStream"), message("AnimationDataStream")


@contextmanager
def running(model, options, mirror=None, **endpoint):
    """The address of a server of `model`, which ends as by SIGTERM; `mirror`: sinks that get the newest stream too."""
    ports, stopped, loop = [], threading.Event(), asyncio.new_event_loop()
    ready = threading.Event()
    handlers = {}
    loop.add_signal_handler = lambda number, function, *rest: handlers.setdefault(number, function)
    served = ServedModel(model, options)

    def run():
        def on_ready(port):
            ports.append(port)
            ready.set()

        try:
            loop.run_until_complete(serve(served, Endpoint("127.0.0.1:0", **endpoint), on_ready, mirror))
        finally:
            stopped.set()
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30) and ports, "the server does not start"
    try:
        yield f"127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(handlers[signal.SIGTERM])
        assert stopped.wait(30), "the server does not end"
        loop.close()


def speech(seconds, rate=16000, seed=0):
    """Samples (N,) int16."""
    return np.random.default_rng(seed).integers(-8000, 8000, round(seconds * rate)).astype("<i2")


def header(rate=16000, channels=1, bits=16, change=None):
    """The first message of a stream; `change` may alter its audio_stream_header."""
    first = AudioStream()
    audio = first.audio_stream_header.audio_header
    audio.channel_count, audio.samples_per_second, audio.bits_per_sample = channels, rate, bits
    if change:
        change(first.audio_stream_header)
    return first


def sound(samples, keys=()):
    """A message of sound, with keys [(seconds, {emotion: weight})]."""
    part = AudioStream()
    part.audio_with_emotion.audio_buffer = samples if isinstance(samples, bytes) else samples.tobytes()
    for time_s, weights in keys:
        key = part.audio_with_emotion.emotions.add(time_code=time_s)
        for name, weight in weights.items():
            key.emotion[name] = weight
    return part


def end():
    """The message that ends a sound."""
    part = AudioStream()
    part.end_of_audio.SetInParent()
    return part


def converse(address, messages, **options):
    """Send messages; returns all that comes back. Raises grpc.RpcError."""
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(
            PATH, request_serializer=AudioStream.SerializeToString, response_deserializer=AnimationDataStream.FromString
        )
        return list(call(iter(messages), timeout=60, **options))


def animate(address, samples, rate=16000, keys=(), pieces=16000, change=None):
    """A whole clip, in pieces of so many bytes -> (header, frames, the rest)."""
    content = samples.tobytes()
    parts = [sound(content[i : i + pieces]) for i in range(0, len(content), pieces)]
    if keys:
        parts = [sound(b"", keys), *parts]
    return sorted_out(converse(address, [header(rate, change=change), *parts, end()]))


def sorted_out(answers):
    """(header, frames, the rest) of what came back, in this order."""
    kinds = [answer.WhichOneof("stream_part") for answer in answers]
    frames = [answer.animation_data for answer in answers if answer.WhichOneof("stream_part") == "animation_data"]
    assert kinds[: 1 + len(frames)] == ["animation_data_stream_header"] + ["animation_data"] * len(frames), kinds
    return answers[0].animation_data_stream_header, frames, answers[1 + len(frames) :]


def weights_of(frames):
    """(T, P)."""
    return np.array([list(f.skel_animation.blend_shape_weights[0].values) for f in frames], np.float32)


def emotion_of(frame):
    """What the network was given in a frame, {name: weight}."""
    aggregate = message("EmotionAggregate").FromString(frame.metadata["emotion_aggregate"].value)
    return dict(aggregate.a2f_smoothed_output[0].emotion)


def status_of(part):
    """(code, text) of a status."""
    names = {number("StatusCode", name): name for name in ("SUCCESS", "INFO", "WARNING", "ERROR")}
    return names[part.status.code], part.status.message
