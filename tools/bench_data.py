#!/usr/bin/env python3
"""Training on more data than there is memory for: a simulated 100 hours, beside an hour that fits.

    python tools/bench_data.py --folder /scratch                 both methods; up to 30 GB of disk, removed at the end
    python tools/bench_data.py --small                           minutes in place of hours

Shots of 30 seconds at 30 frames a second. Their sounds are a few files under many names, each decoded and kept as a file
of its own; their targets have 34 values a frame in place of some 170, so that the hours fit on the disk of the test.
Printed for each method, all of it with the data sets and networks that a training is made of: the speed of an hour from the
disk as a share of that of the same hour in memory; of the 100 hours from the disk, seconds to the end of the first step, the
speed while sounds are met for the first time and once all of them were, as a share of that of the hour in memory, and the
process's peak memory. What is compared takes turns, step by step.

The table of implicit emotions of a regression, a row for every frame, is a weight of the network and always in memory, four
times with its gradient and the optimiser's moments: `--implicit 1` (the default here) makes it small, 16 is that of the base
config, with which it takes 28 MB an hour.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.machine import set_up

set_up()  # before NumPy and PyTorch load

import numpy as np

from audio2face.dataset.long_arrays import Keep, Scratch, in_memory
from audio2face.dataset.targets import ShotTargets
from audio2face.models.common.data_memory import data_bytes
from audio2face.models.diffusion.data import SegmentBatch, SegmentData
from audio2face.models.regression.data import WindowData
from audio2face.runtime import memory_kept
from audio2face.training.loop import Fit
from audio2face.training.settings import FitSettings
from audio2face.types import Clip, Shot
from tools.bench import diffusion, regression
from tools.bench.made_up import FPS, SAMPLE_RATE, MadeUp, Size
from tools.bench.measure import CLOCK_HELP, CLOCKS, Memory, machine

SHOT_S, DISTINCT = 30, 20
ITEMS = 32  # of a batch of regression
SMALL = (1 / 60, 0.1)  # hours with --small: those held in memory, and all
SEGMENT = (30, 600)


@dataclass(frozen=True)
class Simulated(MadeUp):
    """An actor of any number of hours, whose sounds and targets are a few in turns."""

    keep: Keep = in_memory

    @cached_property
    def _few(self) -> list[np.ndarray]:
        source = MadeUp(self.size)
        shots = [Shot("actor", f"s{i}", SHOT_S * int(FPS), FPS, "neutral") for i in range(DISTINCT)]
        return [source.targets(Clip(shot, 0, 0, None)).values for shot in shots]

    def clips(self, folder: Path) -> list[Clip]:
        part = MadeUp(self.size.part(min(DISTINCT, self.size.clips)))
        few, found = part.clips(folder), []
        for index in range(self.size.clips):
            path = folder / f"clip_{index}.wav"
            if not path.exists():
                os.link(str(few[index % len(few)].audio), path)
            count = SHOT_S * int(FPS)
            found.append(Clip(Shot("actor", f"s{index}", count, FPS, "neutral"), 0, count - 1, path, 0, "actor"))
        return found

    def targets(self, clip: Clip) -> ShotTargets:
        number = int(clip.shot.name[1:])
        values = np.roll(self._few[number % DISTINCT], number, axis=0)
        known = np.broadcast_to(np.ones(self.layout.size, bool), values.shape)
        return ShotTargets(self.keep(values), FPS, dict.fromkeys(self.layout.sizes, True), known)


Method = regression.RegressionMethod | diffusion.DiffusionMethod
Make = Callable[[Simulated, Path], Method]


def simulated(hours: float, keep: Keep) -> Simulated:
    """As many whole shots as fit in the hours."""
    shots = max(round(hours * 3600 / SHOT_S), 1)
    return Simulated(Size(shots * SHOT_S * int(FPS), shots, 400, 100, 12, 3), keep)


class Run:
    """A training, step by step."""

    def __init__(self, method: Method):
        self.method, self.fit, self.epoch = method, Fit(method, FitSettings(epochs=1, learning_rate=1e-4)), 0
        self._batches = iter(method.data.batches(0))

    def step(self) -> int:
        """One step of the optimiser; how many items or frames it saw."""
        batch = next(self._batches, None)
        if batch is None:
            self.epoch += 1
            self._batches = iter(self.method.data.batches(self.epoch))
            batch = next(self._batches)
        self.method.loss(batch, 0.1).total.backward()  # type: ignore[arg-type]
        self.fit.optimizer.step()
        self.fit.optimizer.zero_grad(set_to_none=True)
        return sum(batch.lengths) if isinstance(batch, SegmentBatch) else len(batch.items)


def in_turns(one: Run, other: Run, seconds: float, clock: Callable[[], float]) -> tuple[float, float]:
    """How many items or frames a second each sees, measured in turns of a step each, since other work comes and goes."""
    runs, seen, spent = (one, other), [0, 0], [0.0, 0.0]
    while not min(seen) or min(spent) < seconds:
        for number, run in enumerate(runs):
            start = clock()
            seen[number] += run.step()
            spent[number] += clock() - start
    return seen[0] / spent[0], seen[1] / spent[1]


def bench(make: Make, args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Measure one method."""
    hours, scratch = SMALL if args.small else (1.0, args.hours), Scratch(folder)
    clock = CLOCKS[args.clock]
    with Memory() as memory, memory_kept():
        held = Run(make(simulated(hours[0], in_memory), folder))
        disk = Run(make(simulated(hours[0], scratch.keep), folder))
        hear_all(disk.method.data)
        in_turns(held, disk, 1.0, clock)
        memory_rate, disk_rate = in_turns(held, disk, args.seconds, clock)
        print(f"  {hours[0]:.2f} hours: {memory_rate:.1f} a second in memory, {disk_rate:.1f} from the disk,", end=" ")
        print(f"ratio {disk_rate / memory_rate:.2f}")
        del disk, scratch
        return {"ratio": disk_rate / memory_rate} | bench_large(make, args, hours[1], folder, held, memory)


def bench_large(
    make: Make, args: argparse.Namespace, hours: float, folder: Path, held: Run, memory: Memory
) -> dict[str, float]:
    """Measure one method on all hours from the disk, in turns with the hour that is held in memory."""
    scratch, clock = Scratch(folder), CLOCKS[args.clock]
    actor = simulated(hours, scratch.keep)
    actor.clips(folder)  # writes the files
    start, start_wall = clock(), time.perf_counter()
    data_bytes(actor.clips(folder), SAMPLE_RATE, actor.layout.size, FPS)  # as a training does first
    run = Run(make(actor, folder))
    run.step()
    first_s, first_wall_s = clock() - start, time.perf_counter() - start_wall
    print(f"  {hours:g} hours: first step after {first_s:.1f} s ({first_wall_s:.1f} s by the wall clock)")
    cold_held, cold = in_turns(held, run, args.seconds, clock)
    print(f"  speed beside the hour in memory: {cold / cold_held:.2f} at first,", end=" ", flush=True)
    start = clock()
    hear_all(run.method.data, args.heard)
    heard_s = clock() - start
    warm_held, warm = in_turns(held, run, args.seconds, clock)
    print(f"{warm / warm_held:.2f} once {args.heard:.0%} of the sounds are decoded ({heard_s:.0f} s)")
    print(f"  peak memory {memory.resident:.2f} GB, that of the hour included")
    result = {"first_s": first_s, "cold": cold / cold_held, "warm": warm / warm_held, "decoding_s": heard_s}
    return result | {"peak_gb": memory.resident}


def hear_all(data: WindowData | SegmentData, share: float = 1.0) -> None:
    """Hear a moment of every clip, or of a share of them, so that its sound is decoded."""
    if isinstance(data, SegmentData):
        for clip in range(round(share * len(data.clips))):
            data.sounds.own(clip, 0, 1, data.params, np.random.default_rng(0))
        return
    for row in np.unique(data.clip_of_row, return_index=True)[1][: round(share * len(data.clips))].tolist():
        data.windows(np.zeros(1, np.int64), np.array([row]))


METHODS: dict[str, Callable[[argparse.Namespace], Make]] = {
    "regression": lambda args: (
        lambda actor, folder: regression.make_method(
            actor, folder, "melspec", ITEMS, shifts=4, keep=actor.keep, implicit=args.implicit
        )
    ),
    "diffusion": lambda args: (
        lambda actor, folder: diffusion.make_method(
            actor, diffusion.make_data(actor, folder, 1, SEGMENT, actor.keep), False, "melspec", frozen=False
        )
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--hours", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each way is measured")
    parser.add_argument("--implicit", type=int, default=1, help="values of an implicit emotion of regression")
    parser.add_argument(
        "--heard", type=float, default=1.0, help="share of the sounds to decode for the last measurement"
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help=CLOCK_HELP)
    parser.add_argument("--folder", type=Path, help="where the files go, by default that of temporary files")
    parser.add_argument("--small", action="store_true", help="a minute and six minutes in place of the hours")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    logging.getLogger("audio2face").setLevel(logging.WARNING)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    result: dict[str, object] = {"machine": machine()}
    for name in args.methods:
        print(name)
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            result[name] = bench(METHODS[name](args), args, Path(folder))
    if args.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
