"""Time the skin's preprocessing on made-up data: choosing poses, PCA, coefficients; seconds and memory of each stage.

    python tools/bench_preproc.py                           5,000 frames x 6,706 vertices
    python tools/bench_preproc.py --frames 20000 --vertices 24002 --plain 0       the size of the Claire data set
    python tools/bench_preproc.py --json                    a JSON object on the last line

The plain method chooses poses with a singular value decomposition of the chosen poses and a projection of all poses in
every round. It takes hours, so `--plain` rounds of it are timed, spread evenly over the whole choice, and their mean
stands for all of them; `--plain all` runs every round. Both choices are then judged by the same error: how well a basis
fitted to them reproduces all frames (for the plain method only with `--plain all`).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from audio2face.geometry.distinct import select_distinct
from audio2face.geometry.pca import count_for_share, fit, project_sequence
from audio2face.geometry.poses import GIB, PoseRows, PoseSequence, prune_similar

T = TypeVar("T")
SHARE, SPAN_SHARE = 0.9995, 0.9999


def main() -> None:
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
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sequences = write_shots(Path(folder), args)
        result = bench(sequences, args)
    print(f"peak memory of the process: {result['peak_gb']:.2f} GB")
    if args.json:
        print(json.dumps(result))


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


def read_frames(path: Path, frames: np.ndarray) -> np.ndarray:
    """Frames (n,) of a shot: (n, V, 3)."""
    stored = np.load(path, mmap_mode="r")
    return stored[frames]


def bench(sequences: list[PoseSequence], args: argparse.Namespace) -> dict[str, object]:
    """Run and time every stage, then the plain choice."""
    memory = args.memory_gb * GIB
    seconds: dict[str, float] = {}
    kept: list[np.ndarray] = [np.arange(s.num_frames) for s in sequences]
    if args.distance:
        kept = timed(seconds, "similar poses", lambda: [without_similar(s, args.distance, memory) for s in sequences])
    rows = PoseRows(sequences, kept, memory=memory)
    chosen = timed(seconds, "distinct poses", lambda: select_distinct(rows, args.rounds, SPAN_SHARE, progress=True))
    basis = timed(seconds, "PCA", lambda: fit(read_poses(sequences, rows, chosen), None, SHARE))
    errors = timed(seconds, "coefficients", lambda: [project_sequence(basis.pca, s, memory)[1] for s in sequences])
    total = sum(seconds.values())
    for stage, value in seconds.items():
        print(f"{stage:16} {value:8.1f} s  {value / total:5.0%}")
    result: dict[str, object] = {
        "frames": args.frames, "vertices": args.vertices, "rows": len(rows), "chosen": len(chosen),
        "components": basis.pca.num_components, "residual": sum(e.residual for e in errors) / sum(e.variance for e in errors),
        "seconds": seconds, "total_s": total, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }  # fmt: skip
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
    """Time of the plain choice and of the basis from it, against ours."""
    every = args.plain == "all"
    poses = rows.take(np.arange(len(rows)))
    plain_s, plain_rows = plain_choice(poses, chosen, args.rounds if every else int(args.plain))
    rest = sum(seconds.values()) - seconds["distinct poses"]
    ratio = (plain_s + rest) / sum(seconds.values())
    print(
        f"plain choice     {plain_s:8.1f} s{'' if every else ' (estimated)'}; whole preprocessing {ratio:.0f} times faster"
    )
    result: dict[str, object] = {
        "plain_choice_s": plain_s,
        "ratio": ratio,
        "ratio_choice": plain_s / seconds["distinct poses"],
    }
    if every:
        basis = fit(read_poses(sequences, rows, plain_rows), None, SHARE)
        errors = [project_sequence(basis.pca, s)[1] for s in sequences]
        result["plain_residual"] = sum(e.residual for e in errors) / sum(e.variance for e in errors)
        print(
            f"plain: unexplained variance {result['plain_residual']:.3e}, same choice: {plain_rows.tolist() == chosen.tolist()}"
        )
    return result


def plain_choice(poses: np.ndarray, chosen: np.ndarray, rounds: int) -> tuple[float, np.ndarray]:
    """Seconds for choosing as many rows of (N, D) as `chosen` with an SVD a round, and the rows if all rounds are run.

    With fewer rounds than that, the rounds timed take the first rows of `chosen` as what is chosen so far.
    """
    full = len(chosen) - 4
    if rounds >= full:
        start = time.perf_counter()
        rows = chosen[:4].tolist()
        while len(rows) < len(chosen):
            rows.append(plain_round(poses, rows))
        return time.perf_counter() - start, np.array(rows)
    spent = 0.0
    for count in np.linspace(4, len(chosen) - 1, 2 * rounds + 1).astype(int)[1::2]:  # the middles of equal parts
        start = time.perf_counter()
        plain_round(poses, chosen[:count].tolist())
        spent += time.perf_counter() - start
    return spent / rounds * full, np.zeros(0, np.int64)


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


def timed(seconds: dict[str, float], stage: str, work: Callable[[], T]) -> T:
    """Do `work` and note its duration under `stage`."""
    start = time.perf_counter()
    result = work()
    seconds[stage] = time.perf_counter() - start
    return result


if __name__ == "__main__":
    main()
