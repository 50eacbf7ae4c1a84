#!/usr/bin/env python3
"""A server of a deployed model under load: streams fed in real time, many short ones, and ones that are cancelled.

    python tools/bench_serve.py MODEL                        1, 4, 8 and 16 streams, then 1,000 short and 100 cancelled
    python tools/bench_serve.py MODEL --streams 1 2 --many 0
    python tools/bench_serve.py MODEL --actor ann --json     a JSON object on the last line

MODEL is a deployed model's folder. The server runs as a process of its own, `python -m runners.serve`; this one is its
client. Sound comes as clients send it: half a second at once, then 35 ms at a time. "first" is the time from a stream's
beginning to its first frame; "late" how long after the sound that completes it a frame arrives; the real-time factor is
seconds of work for a second of one stream's sound, so that streams times it is the load, which must stay below 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.inference import feed_together, load_model
from audio2face.serving.engine import ServedModel
from audio2face.serving.messages import message
from audio2face.serving.options import ServeOptions
from audio2face.serving.request import StreamRequest
from audio2face.serving.stream import FrameRate
from tools.bench.measure import machine

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000
FIRST, PIECE = RATE // 2, RATE * 35 // 1000
SHORT_S = 0.3
METHOD = "/nvidia_ace.services.a2f_controller.v1.A2FControllerService/ProcessAudioStream"
Result = dict[str, float]


@dataclass(frozen=True)
class Server:
    """A server that runs: its address, where its counts are, and its process."""

    address: str
    metrics: str
    process: subprocess.Popen[str]

    def count(self, name: str) -> float:
        """One of its counts for Prometheus."""
        with urlopen(f"http://{self.metrics}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return float(dict(re.findall(r"^audio2face_(\w+) (\S+)$", text, re.MULTILINE))[name])

    def memory_mb(self) -> float:
        """What it has in memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


@dataclass(frozen=True)
class Heard:
    """What a stream got: seconds from its beginning to each frame, weights (T, P), and when its pieces were sent."""

    arrived_s: np.ndarray
    weights: np.ndarray
    sent_s: np.ndarray


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", type=Path, help="a deployed model's folder")
    parser.add_argument("--actor", metavar="NAME", help="whose face (needed when the model knows several)")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8, 16], help="at the same time")
    parser.add_argument("--seconds", type=float, default=10.0, help="of sound that each gets")
    parser.add_argument("--many", type=int, default=1000, help="short streams, one after another")
    parser.add_argument("--cancelled", type=int, default=100, help="streams that are cancelled half-way")
    parser.add_argument("--threads", type=int, default=0, help="of the network (default: all cores)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    served = ServedModel(load_model(args.model, args.threads), ServeOptions(actor=args.actor))
    sound = voice(args.seconds)
    found: dict[str, Any] = {}
    with running(args, max(args.streams)) as server:
        print("streams  first      late, worst  late, 99 of 100  real-time factor  memory a stream  off `animate`")
        for count in args.streams:
            found[str(count)] = result = real_time(server, served, sound, count)
            print(
                f"{count:7}  {result['first_s']:.3f} s    {result['late_s']:.3f} s      {result['late_99_s']:.3f} s"
                f"          {result['real_time_factor']:.3f}             {result['memory_mb']:.1f} MB           {result['off']:.1e}"
            )
        if args.many:
            found["many"] = result = many(server, args.many)
            print(
                f"{args.many} short streams: {result['ms_a_stream']:.0f} ms each; memory {result['early_mb']:.1f} MB after "
                f"{args.many // 10}, {result['end_mb']:.1f} MB at the end"
            )
        if args.cancelled:
            found["cancelled"] = result = cancelled(server, args.cancelled)
            print(f"{args.cancelled} cancelled: all places are free after {result['free_s']:.2f} s at most")
    if args.json:
        print(json.dumps({"machine": machine(), **found}))
    return 0


@contextmanager
def running(args: argparse.Namespace, streams: int) -> Iterator[Server]:
    """The server, from its start to its end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "runners.serve", os.fspath(args.model.resolve()), "--listen", "127.0.0.1:0"]
    command += ["--metrics", metrics, "--streams", str(streams), "--threads", str(args.threads)]
    command += ["--actor", args.actor] if args.actor else []
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = next((line.split("//")[1].strip() for line in process.stdout if line.startswith("Serving at ")), None)
        if address is None:
            raise SystemExit("the server did not start")
        yield Server(address, metrics, process)
    finally:
        process.terminate()
        process.wait(30)


def real_time(server: Server, served: ServedModel, sound: np.ndarray, count: int) -> Result:
    """`count` streams of the same sound at once, begun evenly over a piece."""
    work, heard = server.count("inference_seconds_sum"), server.count("audio_seconds_total")
    idle_mb, most_mb = server.memory_mb(), 0.0
    found: list[Heard] = []
    threads = [
        threading.Thread(target=lambda i=i: found.append(stream(server.address, sound, i / count)))
        for i in range(count)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most_mb = max(most_mb, server.memory_mb())
        time.sleep(0.1)
    if len(found) != count:
        raise SystemExit(f"{count - len(found)} of {count} streams failed")
    late = np.concatenate([h.arrived_s - h.sent_s[completing(served, sound)] for h in found])
    whole = alone(served, sound)
    return {
        "first_s": max(float(h.arrived_s[0]) for h in found),
        "late_s": float(late.max()),
        "late_99_s": float(np.percentile(late, 99)),
        "real_time_factor": (server.count("inference_seconds_sum") - work)
        / (server.count("audio_seconds_total") - heard),
        "memory_mb": (most_mb - idle_mb) / count,
        "off": max(float(abs(h.weights - whole).max()) for h in found),
    }


def stream(address: str, sound: np.ndarray, offset: float = 0.0) -> Heard:
    """One stream in real time. `offset` is a share of a piece by which it begins later."""
    time.sleep(offset * PIECE / RATE)
    began, sent = time.monotonic(), []

    def parts() -> Iterator[Any]:
        yield header()
        for first, last in pieces(len(sound)):
            wait = began + max(0, last - FIRST) / RATE - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            sent.append(time.monotonic() - began)
            yield audio(sound[first:last])
        yield end()

    arrived, weights = [], []
    with grpc.insecure_channel(address) as channel:
        for answer in ask(channel)(parts()):
            if answer.WhichOneof("stream_part") == "animation_data":
                arrived.append(time.monotonic() - began)
                weights.append(list(answer.animation_data.skel_animation.blend_shape_weights[0].values))
    return Heard(np.array(arrived), np.array(weights, np.float32), np.array(sent))


def many(server: Server, count: int) -> Result:
    """Short streams one after another."""
    sound, began, early_mb = voice(SHORT_S), time.monotonic(), 0.0
    with grpc.insecure_channel(server.address) as channel:
        for i in range(count):
            list(ask(channel)(iter([header(), audio(sound), end()])))
            if i == count // 10:
                early_mb = server.memory_mb()
    seconds = time.monotonic() - began
    return {"ms_a_stream": 1e3 * seconds / count, "early_mb": early_mb, "end_mb": server.memory_mb()}


def cancelled(server: Server, count: int) -> Result:
    """Streams that are cancelled when their first frame has come; how long their places stay taken."""
    sound, longest = voice(4.0), 0.0
    with grpc.insecure_channel(server.address) as channel:
        for _ in range(count):
            answers = ask(channel)(iter([header(), audio(sound)]))
            next(answer for answer in answers if answer.WhichOneof("stream_part") == "animation_data")
            answers.cancel()
            gone = time.monotonic()
            while server.count("streams_active"):
                time.sleep(0.005)
            longest = max(longest, time.monotonic() - gone)
    return {"free_s": longest}


def alone(served: ServedModel, sound: np.ndarray) -> np.ndarray:
    """Weights (T, P) of `animate`, at the rate that is sent."""
    rate = float(served.out_fps) if served.regression else None
    whole = served.model.animate(sound, RATE, actor=served.actor, fps=rate, peak=1.0, geometry=False)
    frames = FrameRate(served.out_fps if served.regression else served.fps, served.out_fps)
    rows = frames.add(served.on_the_wire(whole))
    count = -(-len(sound) * served.out_fps // RATE)
    return np.array([*rows, *frames.rest(int(count))][: int(count)])


def completing(served: ServedModel, sound: np.ndarray) -> list[int]:
    """For each frame the number of the piece with which an infinitely fast server could send it."""
    track, found = served.open(StreamRequest(RATE)), []
    for number, (first, last) in enumerate(pieces(len(sound))):
        track.add(sound[first:last].tobytes())
        while track.unheard_s:
            found += [number] * len(track.collect(feed_together([track.session], [track.feed()])[0]))
    count = int(-(-len(sound) * served.out_fps // RATE))
    return found + [number] * (count - len(found))


def pieces(count: int) -> list[tuple[int, int]]:
    """(first, last) samples of each piece."""
    cuts = [0, *range(FIRST, count, PIECE), count]
    return list(zip(cuts, cuts[1:], strict=False))


def ask(channel: grpc.Channel) -> Any:
    """ProcessAudioStream."""
    return channel.stream_stream(
        METHOD,
        request_serializer=message("AudioStream").SerializeToString,
        response_deserializer=message("AnimationDataStream").FromString,
    )


def header() -> Any:
    """The first message of a stream."""
    part = message("AudioStream")()
    form = part.audio_stream_header.audio_header
    form.channel_count, form.bits_per_sample, form.samples_per_second = 1, 16, RATE
    return part


def audio(samples: np.ndarray) -> Any:
    """A message of sound (N,) int16."""
    part = message("AudioStream")()
    part.audio_with_emotion.audio_buffer = samples.tobytes()
    return part


def end() -> Any:
    """The last message of a stream."""
    part = message("AudioStream")()
    part.end_of_audio.SetInParent()
    return part


def voice(seconds: float) -> np.ndarray:
    """Noise with the rhythm of syllables (N,) int16."""
    count = round(seconds * RATE)
    rhythm = 0.1 + 0.9 * np.sin(np.arange(count) * np.pi * 4 / RATE) ** 2
    noise = np.random.default_rng(8).standard_normal(count) * 0.2 * rhythm
    return np.round(32767 * np.clip(noise, -1, 1)).astype("<i2")


if __name__ == "__main__":
    sys.exit(main())
