#!/usr/bin/env python3
"""Training speed on made-up data of the Claire data set's size, against plain ways of the same training.

    python tools/bench_train.py                                  all parts, about three minutes on two cores
    python tools/bench_train.py --parts diffusion --json         one part; a JSON object on the last line
    python tools/bench_train.py --small                          small meshes, seconds

Parts: `w2v`, regression with a frozen wav2vec 2.0 of base size; `melspec`, regression on log-mel and autocorrelation;
`diffusion`, on coefficients and on vertices, with a frozen HuBERT of base size; `trained`, the same with a HuBERT that
is trained, as in the example projects. All weights are random, so nothing is downloaded. The comparison:

- regression, plain: each item is cut, autocorrelated (in NumPy, window by window) and encoded when its turn comes, and
  whole meshes are made to measure the lips; ours keeps frozen features, gathers rows by index and makes the lips alone;
- diffusion, plain: the network works on vertices and the frozen encoder runs on every segment again; then on vertices
  with kept features; ours works on coefficients with kept features;
- trained: vertices against coefficients. Nothing can be kept.

Only a few of the 54 clips are trained on, which does not change the speed of a step. Keeping features costs the time in
the line "kept in" once for each time shift.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.machine import set_up

set_up()  # before NumPy and PyTorch load

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.models.regression.data import WindowBatch
from audio2face.runtime import memory_kept
from audio2face.training.precision import Precision
from audio2face.training.settings import FitSettings
from tools.bench import diffusion, regression
from tools.bench.made_up import MadeUp, Size
from tools.bench.measure import CLOCK_HELP, CLOCKS, Memory, Stages, machine

SMALL = Size(240, 2, 400, 100, 12, 3)
ITEMS, SEGMENT = 32, (30, 600)
Result = dict[str, object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--clips", type=int, default=1, help="clips of the data set to train on")
    parser.add_argument("--seconds", type=float, default=10.0, help="at least as long is each way measured")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help=CLOCK_HELP)
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="PRECISION of ours; plain is fp32"
    )
    parser.add_argument("--small", action="store_true", help="small meshes and encoders of a fraction of the size")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    logging.getLogger("audio2face").setLevel(logging.WARNING)
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    size = SMALL if args.small else Size().part(args.clips)
    result: Result = {"machine": machine()}
    for part in args.parts:
        with tempfile.TemporaryDirectory() as folder, Memory() as memory:
            result[part] = {
                **PARTS[part](
                    MadeUp(size), Path(folder), args.seconds, args.clock, Precision(args.precision == "bf16")
                ),
                "peak_gb": memory.resident,
            }
        print(f"{part}: peak memory {memory.resident:.1f} GB")
    ratios = {part: result[part]["ratio"] for part in args.parts}  # type: ignore[index]
    result["ratio"] = next(iter(ratios.values()))
    print(", ".join(f"{part} {ratio:.1f} times faster" for part, ratio in ratios.items()))
    if args.json:
        print(json.dumps(result))
    return 0


def bench_regression(
    encoder: str, actor: MadeUp, folder: Path, seconds: float, clock: str, precision: Precision
) -> Result:
    """Items a second of both ways, and what keeping the features costs."""
    method = regression.make_method(actor, folder, encoder, ITEMS, shifts=1, precision=precision)
    plain = regression.PlainRegression(method, actor, folder)
    rng = np.random.default_rng(0)

    def plain_step(stages: Stages, step: int) -> tuple[Tensor, int]:
        numbers = rng.integers(len(plain.index), size=ITEMS)
        with stages("data"):
            batch = plain.batch(numbers, rng)
        with stages("encode"):
            features = plain.encode(batch)
        with stages("forward"):
            return plain.loss(batch, features, 0.1), ITEMS

    with regression.plain_convolutions():
        slow = train(method.model, torch.optim.Adam(method.param_groups(), 1e-4), plain_step, seconds, clock)
    start = CLOCKS[clock]()
    method.data.cache_features(method.model.network.features, 64e9)
    kept_s = CLOCKS[clock]() - start
    batches = endless(method.data.batches)

    def step(stages: Stages, step: int) -> tuple[Tensor, int]:
        with stages("data"):
            batch = next(batches)
        with stages("forward"):
            return method.loss(batch, 0.1).total, len(batch.items)

    with memory_kept():  # as `training.fit` does
        fast = train(method.model, make_optimizer(method), step, seconds, clock)
    rows = method.data.num_rows
    print(f"regression, {encoder}: {rows} frames, {ITEMS} items of {regression.SEQ_LEN} frames a batch")
    report("plain", "items", slow)
    report("ours", "items", fast)
    print(f"  features kept in {1e3 * kept_s / rows:.1f} ms a frame and time shift")
    return {"ratio": fast["rate"] / slow["rate"], "plain": slow, "ours": fast, "kept_ms": 1e3 * kept_s / rows}  # type: ignore[operator]


def bench_diffusion(actor: MadeUp, folder: Path, seconds: float, clock: str, precision: Precision) -> Result:
    """Frames a second on coefficients, on vertices, and on vertices the plain way."""
    small = actor.size == SMALL
    encoder = "phoneme_ctc" if small else "hubert"
    frames = (30, 60) if small else SEGMENT
    data = diffusion.make_data(actor, folder, 1, frames)
    on_vertices = diffusion.make_method(actor, data, True, encoder, precision)
    plain = diffusion.PlainDiffusion(on_vertices, actor)

    def plain_step(stages: Stages, step: int) -> tuple[Tensor, int]:
        with stages("data"):
            batch = next(data.batches(step))
        with stages("encode"):
            features = plain.encode(batch)
        with stages("forward"):
            return plain.loss(batch, features), batch.lengths[0]

    found = {}
    found["plain"] = train(
        on_vertices.model, torch.optim.Adam(on_vertices.param_groups(), 5e-5), plain_step, seconds, clock
    )
    start = CLOCKS[clock]()
    diffusion.keep_features(on_vertices, 1)
    kept_s = CLOCKS[clock]() - start
    for name, method in (
        ("vertices", on_vertices),
        ("coefficients", diffusion.make_method(actor, data, False, encoder, precision)),
    ):

        def step(stages: Stages, step: int, method: diffusion.DiffusionMethod = method) -> tuple[Tensor, int]:
            with stages("data"):
                batch = next(data.batches(step))
            with stages("forward"):
                return method.loss(batch, 0.1).total, batch.lengths[0]

        with memory_kept():
            found[name] = train(method.model, make_optimizer(method), step, seconds, clock)
    frames_heard = sum(data.num_frames(clip) for clip in range(len(data.clips)))
    print(f"diffusion, frozen {encoder}: segments of {frames[0]} to {frames[1]} frames, one a batch")
    for name, result in found.items():
        report(name, "frames", result)
    print(f"  features kept in {1e3 * kept_s / frames_heard:.1f} ms a frame and take")
    rates = {name: float(result["rate"]) for name, result in found.items()}  # type: ignore[arg-type]
    print(f"  coefficients to plain: {rates['coefficients'] / rates['plain']:.1f}")
    ratio = rates["coefficients"] / rates["vertices"]
    return {"ratio": ratio, "ratio_plain": rates["coefficients"] / rates["plain"], **found}


def bench_trained(actor: MadeUp, folder: Path, seconds: float, clock: str, precision: Precision) -> Result:
    """Frames a second on vertices and on coefficients while the encoder is trained, too."""
    small = actor.size == SMALL
    frames, encoder = ((30, 60), "melspec") if small else (SEGMENT, "hubert")
    data = diffusion.make_data(actor, folder, 1, frames)
    found: dict[str, Result] = {}
    for name in ("vertices", "coefficients"):
        method = diffusion.make_method(actor, data, name == "vertices", encoder, precision, frozen=False)

        def step(stages: Stages, step: int, method: diffusion.DiffusionMethod = method) -> tuple[Tensor, int]:
            with stages("data"):
                batch = next(data.batches(step))
            with stages("forward"):
                return method.loss(batch, 0.1).total, batch.lengths[0]

        with memory_kept():
            found[name] = train(method.model, make_optimizer(method), step, seconds, clock)
    print(f"diffusion, trained {encoder}: segments of {frames[0]} to {frames[1]} frames, one a batch")
    for name, result in found.items():
        report(name, "frames", result)
    return {"ratio": found["coefficients"]["rate"] / found["vertices"]["rate"], **found}  # type: ignore[operator]


PARTS: dict[str, Callable[[MadeUp, Path, float, str, Precision], Result]] = {
    "w2v": lambda *given: bench_regression("w2v", *given),
    "melspec": lambda *given: bench_regression("melspec", *given),
    "diffusion": bench_diffusion,
    "trained": bench_trained,
}


def make_optimizer(method: regression.RegressionMethod | diffusion.DiffusionMethod) -> torch.optim.Optimizer:
    """The optimiser of `training.fit`."""
    from audio2face.training.loop import Fit

    return Fit(method, FitSettings(epochs=1, learning_rate=5e-5)).optimizer


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: Callable[[Stages, int], tuple[Tensor, int]],
    seconds: float,
    clock: str,
) -> Result:
    """Train for `seconds` after a step to warm up: units a second, and the share of time of each stage."""
    model.train()
    stages, done, number = Stages(clock), 0, 0
    while number < 2 or stages.total < seconds:
        loss, count = step(stages, number)
        with stages("backward"):
            loss.backward()
        with stages("optimiser"):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if number == 0:  # what is made once
            stages, done = Stages(clock), 0
        else:
            done += count
        number += 1
    return {"rate": done / stages.total, "steps": number - 1, "shares": stages.shares()}


def endless(batches: Callable[[int], Iterator[WindowBatch]]) -> Iterator[WindowBatch]:
    """The batches of epoch after epoch."""
    epoch = 0
    while True:
        yield from batches(epoch)
        epoch += 1


def report(name: str, unit: str, result: Result) -> None:
    """One line."""
    shares = ", ".join(f"{stage} {share:.0%}" for stage, share in result["shares"].items())  # type: ignore[attr-defined]
    print(f"  {name:13} {result['rate']:8.1f} {unit} a second  ({shares})")


if __name__ == "__main__":
    sys.exit(main())
