"""Time the skin's preprocessing on made-up data: choosing poses, PCA, coefficients; seconds and memory of each stage.

    python tools/bench_preproc.py                           5,000 frames x 6,706 vertices
    python tools/bench_preproc.py --frames 20000 --vertices 24002 --plain 0 --noise 0.002 --rank 200
                                                            the size of the Claire data set; 6 GB of disk
    python tools/bench_preproc.py --small --json            seconds; a JSON object on the last line

The plain method chooses poses with a singular value decomposition of the chosen poses and a projection of all poses in
every round. It takes hours, so `--plain` rounds of it are timed, spread evenly over the whole choice, and their mean
stands for all of them; `--plain all` runs every round. Both choices are judged by the same error: how well a basis
fitted to them reproduces all frames. When not all rounds are run, the plain choice is made by the same rule from the
products of all poses, and the rounds that are timed must agree with it.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.machine import set_up

set_up()  # before NumPy and PyTorch load

import numpy as np

from audio2face.geometry.pca_fit import count_for_share, fit, project_sequence
from audio2face.geometry.pose_selection.select import select_distinct
from audio2face.geometry.poses import GIB, PoseRows, PoseSequence, prune_similar
from tools.bench.measure import CLOCK_HELP, CLOCKS, Memory, Stages, machine

SHARE, SPAN_SHARE = 0.9995, 0.9999


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--vertices", type=int, default=6706)
    parser.add_argument("--shots", type=int, default=54)
    parser.add_argument("--rank", type=int, default=60, help="independent motions in the data")
    parser.add_argument("--noise", type=float, default=0.0, help="deviation of noise on every coordinate, in units")
    parser.add_argument(
        "--distance", type=float, default=0.0, help="drop poses nearer than this first (0: choose from all)"
    )
    parser.add_argument("--rounds", type=int, default=787)
    parser.add_argument("--memory-gb", type=float, default=2.0)
    parser.add_argument("--plain", default="6", help="rounds of the plain method to time: a number, or all")
    parser.add_argument(
        "--caches", type=Path, help="a folder of SKIN_CACHE_ROOT with .npy caches, in place of made-up data"
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help=CLOCK_HELP)
    parser.add_argument("--small", action="store_true", help="400 frames x 300 vertices, 40 rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if args.small:
        args.frames, args.vertices, args.shots, args.rank, args.rounds, args.noise = 400, 300, 6, 30, 40, 0.01
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    with tempfile.TemporaryDirectory() as folder:
        sequences = open_shots(args.caches) if args.caches else write_shots(Path(folder), args)
        args.frames = sum(sequence.num_frames for sequence in sequences)
        args.vertices = sequences[0].read(np.array([0])).shape[1]
        result = bench(sequences, args)
    if args.json:
        print(json.dumps({"machine": machine(), **result}))
    return 0


def write_shots(folder: Path, args: argparse.Namespace) -> list[PoseSequence]:
    """Smooth random motion of the given rank with a spectrum that falls like 1/k, as .npy shots of a 20 unit face."""
    rng = np.random.default_rng(0)
    rest = rng.uniform(-10, 10, (args.vertices, 3)).astype(np.float32)
    shapes = rng.standard_normal((args.rank, args.vertices * 3)).astype(np.float32)
    shapes /= np.arange(1, args.rank + 1, dtype=np.float32)[:, None] * 2
    window = np.hanning(15)[1:-1] / np.linalg.norm(np.hanning(15)[1:-1])
    sequences = []
    for shot, count in enumerate(np.diff(np.linspace(0, args.frames, args.shots + 1).astype(int)).tolist()):
        white = rng.standard_normal((count + len(window) - 1, args.rank))
        weights = np.stack([np.convolve(w, window, "valid") for w in white.T], axis=1).astype(np.float32)
        frames = (weights @ shapes).reshape(count, -1, 3) + rest
        if args.noise:
            frames += rng.standard_normal(frames.shape, dtype=np.float32) * np.float32(args.noise)
        path = folder / f"{shot}.npy"
        np.save(path, frames)
        sequences.append(PoseSequence(str(shot), count, partial(read_frames, path)))
    return sequences


def open_shots(folder: Path) -> list[PoseSequence]:
    """The .npy caches of every shot below `folder`."""
    paths = sorted(folder.glob("*/*.npy"))
    counts = [np.load(path, mmap_mode="r").shape[0] for path in paths]
    return [PoseSequence(p.stem, n, partial(read_frames, p)) for p, n in zip(paths, counts, strict=True)]


def read_frames(path: Path, frames: np.ndarray) -> np.ndarray:
    """Frames (n,) of a shot: (n, V, 3)."""
    stored = np.load(path, mmap_mode="r")
    return stored[frames]


def bench(sequences: list[PoseSequence], args: argparse.Namespace) -> dict[str, object]:
    """Run and time every stage, then the plain choice."""
    memory = args.memory_gb * GIB
    stages = Stages(args.clock)
    start_cpu = time.process_time()
    watch = Memory()
    kept: list[np.ndarray] = [np.arange(s.num_frames) for s in sequences]
    with watch:
        if args.distance:
            with stages("similar poses"):
                kept = [without_similar(s, args.distance, memory) for s in sequences]
        rows = PoseRows(sequences, kept, memory=memory)
        with stages("distinct poses"):
            chosen = select_distinct(rows, args.rounds, SPAN_SHARE, progress=True)
        with stages("PCA"):
            basis = fit(read_poses(sequences, rows, chosen), None, SHARE)
        with stages("coefficients"):
            errors = [project_sequence(basis.pca, s, memory)[1] for s in sequences]
    seconds, total = stages.seconds, stages.total
    for stage, value in seconds.items():
        print(f"{stage:16} {value:8.1f} s  {value / total:5.0%}")
    result: dict[str, object] = {
        "frames": args.frames, "vertices": args.vertices, "rows": len(rows), "chosen": len(chosen),
        "components": basis.pca.num_components,
        "residual": sum(e.residual for e in errors) / sum(e.variance for e in errors),
        "seconds": seconds, "total_s": total, "cpu_s": time.process_time() - start_cpu,
        "peak_gb": watch.resident, "peak_own_gb": watch.own,
    }  # fmt: skip
    print(f"{'all':16} {total:8.1f} s, {result['cpu_s']:.0f} s of processor time")
    print(
        f"peak memory {watch.resident:.2f} GB, {watch.own:.2f} GB without pages of files, {args.memory_gb:g} GB allowed"
    )
    print(
        f"{len(chosen)} of {len(rows)} poses, K = {result['components']}, unexplained variance {result['residual']:.3e}"
    )
    if args.plain != "0":
        result |= compare(sequences, rows, chosen, seconds, args)
    return result


def without_similar(sequence: PoseSequence, distance: float, memory: float) -> np.ndarray:
    """Frames of a shot that are left when similar ones are dropped."""
    return prune_similar(PoseRows([sequence], [np.arange(sequence.num_frames)], memory=memory), distance)


def compare(
    sequences: list[PoseSequence],
    rows: PoseRows,
    chosen: np.ndarray,
    seconds: dict[str, float],
    args: argparse.Namespace,
) -> dict[str, object]:
    """Time of the plain choice and the error of the basis from it, against ours."""
    poses = rows.take(np.arange(len(rows)))
    every = args.plain == "all" or int(args.plain) >= len(chosen) - 4
    clock = CLOCKS[args.clock]
    start = clock()
    plain_rows = choose_plainly(poses, chosen[:4].tolist(), len(chosen), plain_round if every else None)
    plain_s, agreed = clock() - start, len(chosen) - 4
    if not every:
        plain_s, agreed = sample_rounds(poses, plain_rows, int(args.plain), clock)
    rest = sum(seconds.values()) - seconds["distinct poses"]
    ratio = (plain_s + rest) / sum(seconds.values())
    counted = "" if every else f" (from {args.plain} rounds, {agreed} of which choose as the products say)"
    print(f"plain choice     {plain_s:8.1f} s{counted}; whole preprocessing {ratio:.0f} times faster")
    basis = fit(read_poses(sequences, rows, plain_rows), None, SHARE)
    errors = [project_sequence(basis.pca, s)[1] for s in sequences]
    residual = sum(e.residual for e in errors) / sum(e.variance for e in errors)
    same = len(set(plain_rows.tolist()) & set(chosen.tolist()))
    print(f"plain choice: unexplained variance {residual:.3e}; {same} of {len(chosen)} poses are the same")
    return {
        "plain_choice_s": plain_s,
        "plain_rounds_timed": len(chosen) - 4 if every else int(args.plain),
        "plain_rounds_agreed": agreed,
        "ratio": ratio,
        "ratio_choice": plain_s / seconds["distinct poses"],
        "plain_residual": residual,
        "same_poses": same,
    }


def choose_plainly(
    poses: np.ndarray, first: list[int], count: int, choose: Callable[[np.ndarray, list[int]], int] | None
) -> np.ndarray:
    """`count` rows of (N, D), one a round by `choose`, or (None) by its rule on the products of all poses."""
    rows = list(first)
    products = None if choose else poses.astype(np.float64) @ poses.T
    while len(rows) < count:
        rows.append(choose(poses, rows) if choose else round_on_products(products, rows))
    return np.array(rows)


def sample_rounds(poses: np.ndarray, rows: np.ndarray, rounds: int, clock: Callable[[], float]) -> tuple[float, int]:
    """Seconds to choose as many `rows` by an SVD a round, from some rounds, and how many of these agree with `rows`."""
    full, spent, agreed = len(rows) - 4, 0.0, 0
    for count in np.linspace(4, len(rows) - 1, 2 * rounds + 1).astype(int)[1::2]:  # the middles of equal parts
        start = clock()
        row = plain_round(poses, rows[:count].tolist())
        spent += clock() - start
        agreed += int(row == rows[count])
    return spent / rounds * full, agreed


def round_on_products(products: np.ndarray | None, rows: list[int]) -> int:
    """What `plain_round` chooses, from the inner products (N, N) of all poses alone."""
    assert products is not None
    here = products[rows]  # (n, N)
    mean = here.mean(axis=0)  # products of the mean with every pose
    inner = here[:, rows]
    centred = inner - mean[rows] - mean[rows][:, None] + inner.mean()
    values, vectors = np.linalg.eigh(centred)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    kept = count_for_share(values, SPAN_SHARE)
    along = (vectors[:, :kept] / np.sqrt(values[:kept])).T @ (here - mean - mean[rows][:, None] + inner.mean())
    squared = np.diag(products) - 2 * mean + inner.mean() - np.einsum("kn,kn->n", along, along)
    squared[rows] = -1
    return int(np.argmax(squared))


def plain_round(poses: np.ndarray, rows: list[int]) -> int:
    """The row with the largest residual off the mean and components of `rows`, by a full SVD in vertex space."""
    mean = poses[rows].mean(axis=0)
    _, values, components = np.linalg.svd(poses[rows] - mean, full_matrices=False)
    components = components[: count_for_share(values**2, SPAN_SHARE)]
    centred = poses - mean
    residuals = centred - (centred @ components.T) @ components
    squared = np.einsum("nd,nd->n", residuals, residuals)
    squared[rows] = -1
    return int(np.argmax(squared))


def read_poses(sequences: list[PoseSequence], rows: PoseRows, chosen: np.ndarray) -> np.ndarray:
    """The chosen poses (n, V, 3)."""
    order = np.sort(chosen)
    parts = [s.read(rows.frame[order[rows.shot[order] == i]]) for i, s in enumerate(sequences)]
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


if __name__ == "__main__":
    sys.exit(main())
