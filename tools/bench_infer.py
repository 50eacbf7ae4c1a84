#!/usr/bin/env python3
"""Speed of deployed models, streaming: regression and diffusion with encoders of base size and random weights.

    python tools/bench_infer.py                    two threads, meshes of the Claire data set's size
    python tools/bench_infer.py --steps 1 2 10     other numbers of denoising steps
    python tools/bench_infer.py --small            small meshes and encoders, seconds
    python tools/bench_infer.py --json             a JSON object on the last line

Sound comes in pieces of 0.1 s. The real-time factor is seconds of work for a second of sound, post-processing and
blendshapes included: below 1 keeps up. "network" is the network's share of it. `ratio` is how many more streams one
machine serves together, in one batch, than one after the other.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.machine import set_up

set_up()  # before NumPy and PyTorch load

import numpy as np
import torch
from torch import nn

from audio2face.inference import Session, feed_together, finish_together, load_model
from audio2face.inference.model import Model
from audio2face.inference.package import read_package
from audio2face.models.common.engine import Feeds
from tools.bench import deployed
from tools.bench.made_up import SAMPLE_RATE, MadeUp, Size
from tools.bench.measure import CLOCK_HELP, CLOCKS, machine

SMALL = Size(60, 1, 400, 100, 12, 3)
PIECE = SAMPLE_RATE // 10
Result = dict[str, float]


class Clock:
    """A network that counts the seconds and the runs it takes."""

    def __init__(self, model: Model, clock: str):
        self.seconds, self.runs, self.clock = 0.0, 0, CLOCKS[clock]
        ((name, (package, actor, run)),) = model._places.items()
        self._run = run
        model._places[name] = (package, actor, self)

    def __call__(self, feeds: Feeds) -> Feeds:
        start = self.clock()
        results = self._run(feeds)
        self.seconds += self.clock() - start
        self.runs += 1
        return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of sound that is streamed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs="+", default=[2, 10], help="denoising steps of the diffusion models")
    parser.add_argument("--streams", type=int, default=16, help="streams in one batch")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help=CLOCK_HELP)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    logging.getLogger("audio2face").setLevel(logging.ERROR)
    torch.set_num_threads(args.threads)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    actor = MadeUp(SMALL if args.small else Size())
    found: dict[str, dict[str, Result]] = {}
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"regression": 0} | {f"diffusion, {steps} steps": steps for steps in args.steps}
        for number, (name, steps) in enumerate(kinds.items()):
            found[name] = bench(actor, Path(folder) / str(number), name, steps, args, full=number < 2)
    ratio = min(result["together"]["ratio"] for result in found.values() if "together" in result)
    if args.json:
        print(json.dumps({"machine": machine(), "ratio": ratio, **found}))
    return 0


def bench(
    actor: MadeUp, folder: Path, name: str, steps: int, args: argparse.Namespace, full: bool
) -> dict[str, Result]:
    """A model in onnxruntime; with `full` also in PyTorch, in 8 bits, and many streams."""
    if steps:
        made = deployed.make_diffusion(actor, folder, steps, "phoneme_ctc" if args.small else "hubert")
    else:
        made = deployed.make_regression(actor, folder, "melspec" if args.small else "w2v")
    sound = voice(args.seconds)
    model = load_model(made.folder, args.threads)
    whole, found = stream(model, sound, args.clock)
    results = {"onnxruntime": found}
    report(name, "onnxruntime", found)
    if not full:
        return results
    _, results["pytorch"] = stream(torch_model(made), sound, args.clock)
    report(name, "pytorch", results["pytorch"])
    if not args.small:
        skin, results["int8"] = stream(load_model(made.folder, args.threads, quantize="int8"), sound, args.clock)
        results["int8"] |= errors(whole, skin)
        report(name, "int8", results["int8"])
        print(
            f"{'':28} skin off by {results['int8']['relative']:.2%} of its motion (root mean square), at most "
            f"{results['int8']['largest']:.2%}"
        )
    results["together"] = together(model, sound, args.streams, args.clock)
    print(
        f"{'':28} {args.streams} streams in one batch: {results['together']['real_time_factor']:.3f} a stream, "
        f"{results['together']['ratio']:.2f} times as many as one after the other"
    )
    return results


def stream(model: Model, sound: np.ndarray, clock: str) -> tuple[np.ndarray, Result]:
    """Skin (T, V, 3) of a sound fed in pieces, and how long it took."""
    warm(model, sound)
    network, session = Clock(model, clock), model.stream(peak=1.0)
    start = CLOCKS[clock]()
    pieces = [session.feed(sound[first : first + PIECE]) for first in range(0, len(sound), PIECE)]
    pieces.append(session.finish())
    seconds = CLOCKS[clock]() - start
    found = {
        "real_time_factor": seconds / (len(sound) / SAMPLE_RATE),
        "network": network.seconds / seconds,
        "ms_a_run": 1e3 * network.seconds / network.runs,
        "frames_a_second": session.num_frames / seconds,
    }
    return np.concatenate([piece.skin for piece in pieces]), found


def together(model: Model, sound: np.ndarray, count: int, clock: str) -> Result:
    """The real-time factor of a stream among many in one batch, and by itself."""
    sound = sound[: len(sound) // 2]
    factors = []
    for streams in (1, count):
        sessions = [model.stream(peak=1.0, geometry=False) for _ in range(streams)]
        start = CLOCKS[clock]()
        for first in range(0, len(sound), PIECE):
            feed_together(sessions, [sound[first : first + PIECE]] * streams)
        finish_together(sessions)
        factors.append((CLOCKS[clock]() - start) / streams / (len(sound) / SAMPLE_RATE))
    return {"streams": count, "real_time_factor": factors[1], "ratio": factors[0] / factors[1]}


def warm(model: Model, sound: np.ndarray) -> None:
    """The first run of a network takes longer than the others."""
    session: Session = model.stream(peak=1.0)
    session.feed(sound[: SAMPLE_RATE // 2])
    session.finish()


def torch_model(made: deployed.Deployed) -> Model:
    """The model with its network in PyTorch."""
    package = read_package(made.folder)
    names = ("input", "emotion") if package.regression else ("window", "identity", "emotion", "input_latents", "noise")
    outputs = ("result",) if package.regression else ("prediction", "output_latents")
    graph: nn.Module = made.graph

    def run(feeds: Feeds) -> Feeds:
        with torch.inference_mode():
            found = graph(*(torch.from_numpy(np.require(feeds[name], requirements="W")) for name in names))
        return dict(zip(outputs, [x.numpy() for x in (found if isinstance(found, tuple) else (found,))], strict=True))

    return Model([package], [run])


def errors(whole: np.ndarray, other: np.ndarray) -> Result:
    """Root mean square and largest vertex distance, as shares of the root mean square motion off the mean pose."""
    motion = np.sqrt(np.square(whole - whole.mean(axis=0)).sum(axis=2).mean())
    distance = np.sqrt(np.square(whole - other).sum(axis=2))
    return {
        "relative": float(np.sqrt(np.square(distance).mean()) / motion),
        "largest": float(distance.max() / motion),
    }


def voice(seconds: float) -> np.ndarray:
    """Noise with the rhythm of syllables (N,)."""
    count = round(seconds * SAMPLE_RATE)
    rhythm = 0.1 + 0.9 * np.sin(np.arange(count) * np.pi * 4 / SAMPLE_RATE) ** 2
    noise = np.random.default_rng(8).standard_normal(count) * 0.2 * rhythm
    return np.clip(noise, -1, 1).astype(np.float32)


def report(name: str, way: str, found: Result) -> None:
    """One line."""
    print(
        f"{name:20} {way:12} real-time factor {found['real_time_factor']:.3f} (network {found['network']:.0%}, "
        f"{found['ms_a_run']:.1f} ms a run), {found['frames_a_second']:.0f} frames a second"
    )


if __name__ == "__main__":
    sys.exit(main())
