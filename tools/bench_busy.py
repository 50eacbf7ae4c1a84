#!/usr/bin/env python3
"""A training step of both methods alone and beside busy processes: as the commands run it, and with threads that spin.

    python tools/bench_busy.py                        beside two busy processes, about five minutes
    python tools/bench_busy.py --busy 1 4             beside one, and beside four
    python tools/bench_busy.py --methods regression   one of them
    python tools/bench_busy.py --small --json         small meshes, half a minute; a JSON object on the last line
    docker run --cpus 1 … python tools/bench_busy.py --busy 0     in a container with a quota

`ours` has the environment that the commands set (threads that sleep while they wait, as many as the cores of this
process), `plain` that of the libraries (threads that spin, as many as the machine's cores). Each is a process of its
own. They take turns, and a round measures each alone and beside the busy ones: figures are medians over rounds, so other
work on the machine meets all of them. The features of frozen encoders are not part of a step. A method's `slower` is how
many times longer a step takes beside busy processes than alone.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.machine import PASSIVE, child_environment, granted_cores

METHODS = ("regression", "diffusion")
WAYS = ("ours", "plain")
SMALL = (240, 2, 400, 100, 12, 3)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--busy", nargs="+", type=int, default=[2], metavar="N", help="numbers of busy processes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="at least as long is each step's time measured")
    parser.add_argument("--small", action="store_true", help="small meshes and segments")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--worker", choices=METHODS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        work(args.worker, args.small, args.seconds)
        return 0
    cores = {"machine": os.cpu_count() or 1, "granted": granted_cores()}
    print(f"{cores['machine']} cores, {cores['granted']} of them for this process")
    result: dict[str, object] = {"cores": cores}
    for method in args.methods:
        found = measure(method, [0, *(number for number in args.busy if number)], args)
        result[method] = {
            way: {"ms": {str(n): ms for n, ms in times.items()}, "slower": slower(times)}
            for way, times in found.items()
        }
        report(method, found)
    if args.json:
        print(json.dumps(result))
    return 0


def measure(method: str, numbers: Sequence[int], args: argparse.Namespace) -> dict[str, dict[int, float]]:
    """Milliseconds of a step by way and number of busy processes: medians over rounds."""
    workers = {way: start_worker(method, environment(way), args) for way in WAYS}
    times: dict[str, dict[int, list[float]]] = {way: {number: [] for number in numbers} for way in WAYS}
    try:
        for turn in range(args.rounds):
            for number in numbers:
                with busy_processes(number):
                    for way in WAYS if turn % 2 else reversed(WAYS):
                        times[way][number].append(ask(workers[way]))
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    return {way: {number: statistics.median(ms) for number, ms in by.items()} for way, by in times.items()}


def environment(way: str) -> dict[str, str]:
    """What the worker's libraries read when they load."""
    plain = {name: value for name, value in os.environ.items() if name not in PASSIVE}
    return child_environment(1) if way == "ours" else plain


def start_worker(method: str, environ: dict[str, str], args: argparse.Namespace) -> subprocess.Popen[str]:
    """A process that trains `method` when asked."""
    argv = [sys.executable, __file__, "--worker", method, "--seconds", str(args.seconds)]
    return subprocess.Popen(
        argv + ["--small"] * args.small, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ask(worker: subprocess.Popen[str]) -> float:
    """Let the worker train for a while: its milliseconds a step."""
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write("\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise RuntimeError("the training process failed: its message is above")
    return float(answer)


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """`number` processes that compute without end."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def slower(times: dict[int, float]) -> dict[str, float]:
    """Times as long as alone, by number of busy processes."""
    return {str(number): ms / times[0] for number, ms in times.items() if number}


def report(method: str, found: dict[str, dict[int, float]]) -> None:
    """A line for each way, and one that compares them."""
    print(f"{method}, a step:")
    for way, times in found.items():
        beside = ", ".join(
            f"beside {number} busy {ms:.1f} ms ({ms / times[0]:.1f} times)" for number, ms in times.items() if number
        )
        print(f"  {way:6} alone {times[0]:.1f} ms" + (f", {beside}" if beside else ""))
    ratios = [f"{found['plain'][n] / ms:.2f} {f'beside {n}' if n else 'alone'}" for n, ms in found["ours"].items()]
    print(f"  plain takes as many times as long as ours: {', '.join(ratios)}")


def work(method: str, small: bool, seconds: float) -> None:
    """Train for at least `seconds` for every line on stdin, and print the milliseconds a step took."""
    logging.getLogger("audio2face").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        step = build_step(method, small, Path(folder))
        step()  # what is made once
        for _ in sys.stdin:
            start, steps = time.perf_counter(), 0
            while not steps or time.perf_counter() - start < seconds:
                step()
                steps += 1
            print(1e3 * (time.perf_counter() - start) / steps, flush=True)


def build_step(method: str, small: bool, folder: Path) -> Callable[[], None]:
    """A whole training step: batch, loss, gradients, optimiser."""
    import torch  # noqa: F401  before the benchmarks, which would set up its threads

    from tools import bench_train
    from tools.bench import diffusion, regression
    from tools.bench.made_up import MadeUp, Size

    actor = MadeUp(Size(*SMALL) if small else Size().part(1))
    trained: regression.RegressionMethod | diffusion.DiffusionMethod
    if method == "regression":
        trained = regression.make_method(actor, folder, "melspec", 32, shifts=1)
        trained.data.cache_features(trained.model.network.features, 64e9)
        batches = bench_train.endless(trained.data.batches)
    else:
        frames = (30, 60) if small else bench_train.SEGMENT
        data = diffusion.make_data(actor, folder, 1, frames)
        trained = diffusion.make_method(actor, data, False, "melspec")
        batches = bench_train.endless(data.batches)
    optimizer = bench_train.make_optimizer(trained)
    trained.model.train()

    def step() -> None:
        trained.loss(next(batches), 0.1).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    sys.exit(main())
