"""One pass over an animation: how far every frame moves, what is no number, and the paths of a few vertices."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from audio2face.dataset.caches import MAPPED, read_frames
from audio2face.types import Cache

BLOCK_VALUES = 1 << 23  # values held at once: 32 MB
SAMPLED_FRAMES = 3  # of each shot, by the quick check
LEAST_SAMPLES = 150  # of all shots together: of fewer, speech might show closed lips only


@dataclass(frozen=True)
class ShotStats:
    """What one shot's animation of a mesh holds; distances in its unit. Bad frames (not finite) count as not moving.

    `step` (T,) largest way of a vertex since the frame before; `spike` (T,) largest distance of a vertex from the middle
    of its neighbours in time; `reach` (T,) largest distance of a vertex from rest; `picked` (T, n, 3) the chosen vertices;
    `mean` and `variance` (V, 3) over frames; `digest` of all numbers.
    """

    shot: str
    bad_frames: list[int]
    step: np.ndarray
    spike: np.ndarray
    reach: np.ndarray
    picked: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    digest: str

    @property
    def num_frames(self) -> int:
        return len(self.step)


@dataclass(frozen=True)
class MeshStats:
    """All scanned shots of a mesh together: mean and standard deviation (V, 3) over frames, within and between shots."""

    mean: np.ndarray
    deviation: np.ndarray
    picked: np.ndarray  # (all frames, n, 3)


def scan_cache(cache: Cache, rest: np.ndarray | None, vertices: np.ndarray) -> ShotStats:
    """Read a whole animation. `rest` (V, 3) is where `reach` is measured from, else the first frame; `vertices` (n,)."""
    frames = read_frames(cache)
    count, points = frames.shape[:2]
    bad: list[int] = []
    step, spike, reach = np.zeros(count), np.zeros(count), np.zeros(count)
    picked = np.zeros((count, len(vertices), 3), np.float32)
    total, squares = np.zeros((points, 3)), np.zeros((points, 3))
    digest = hashlib.blake2b(digest_size=16)
    tail = np.empty((0, points, 3), np.float32)  # the two frames before the block
    for first, block in _blocks(frames):
        digest.update(block.data)
        finite = np.isfinite(block).all(axis=(1, 2))
        if not finite.all():
            bad += (first + np.flatnonzero(~finite)).tolist()
            block = _filled(block, finite, tail[-1] if len(tail) else None)
        if rest is None:
            rest = block[0].copy()
        offset = block - rest
        reach[first : first + len(block)] = _longest(offset)
        total += offset.sum(axis=0, dtype=np.float64)
        squares += np.square(offset, out=offset).sum(axis=0, dtype=np.float64)
        picked[first : first + len(block)] = block[:, vertices]
        joined = np.concatenate([tail, block])
        start = first - len(tail)
        if len(joined) > 1:
            steps = np.diff(joined, axis=0)
            step[start + 1 : start + len(joined)] = _longest(steps)
            if len(joined) > 2:
                spike[start + 1 : start + len(joined) - 1] = _longest(np.diff(steps, axis=0)) / 2
        tail = joined[-2:].copy()
    assert rest is not None
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0)
    return ShotStats(cache.shot, bad, step, spike, reach, picked, mean + rest, variance, digest.hexdigest())


def frames_to_sample(num_shots: int) -> int:
    """How many frames of each of so many shots show enough of a face together."""
    return max(SAMPLED_FRAMES, -(-LEAST_SAMPLES // max(1, num_shots)))


def sample_cache(cache: Cache, vertices: np.ndarray, count: int = SAMPLED_FRAMES) -> ShotStats | None:
    """`count` frames of an animation, as far as they can be had without decoding it all: None for other formats."""
    if cache.path.suffix.lower() not in MAPPED:
        return None
    frames = read_frames(cache)
    which = np.unique(np.linspace(0, len(frames) - 1, count).astype(int))
    poses = np.array([frames[i] for i in which], np.float32)
    finite = np.asarray(np.isfinite(poses).all(axis=(1, 2)))
    bad = which[~finite].tolist()
    poses = _filled(poses, finite, None)
    still = np.zeros(len(which))
    return ShotStats(
        cache.shot, bad, still, still, still, poses[:, vertices], poses.mean(axis=0), poses.var(axis=0), ""
    )


def combine(scans: Iterable[ShotStats]) -> MeshStats:
    """Mean and deviation over the frames of all shots."""
    scans = [scan for scan in scans if scan.num_frames > len(scan.bad_frames)]
    weights = np.array([scan.num_frames for scan in scans], np.float64)
    weights /= weights.sum()
    mean = sum(w * scan.mean for w, scan in zip(weights, scans, strict=True))
    variance = sum(w * (scan.variance + (scan.mean - mean) ** 2) for w, scan in zip(weights, scans, strict=True))
    picked = np.concatenate([scan.picked for scan in scans])
    return MeshStats(np.asarray(mean), np.sqrt(variance), picked)


def _blocks(frames: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    size = max(4, BLOCK_VALUES // max(1, frames[0].size))
    for first in range(0, len(frames), size):
        yield first, np.array(frames[first : first + size], dtype=np.float32, order="C")


def _filled(block: np.ndarray, finite: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """Bad frames replaced by the good frame before them, else by the next good one, else by zeros."""
    good = np.flatnonzero(finite)
    filled = block.copy()
    for index in np.flatnonzero(~finite):
        earlier = good[good < index]
        if len(earlier):
            filled[index] = block[earlier[-1]]
        elif before is not None:
            filled[index] = before
        else:
            filled[index] = block[good[0]] if len(good) else 0
    return filled


def _longest(vectors: np.ndarray) -> np.ndarray:
    """Length of the longest vector of each frame: (T, V, 3) -> (T,)."""
    return np.sqrt(np.einsum("tvc,tvc->tv", vectors, vectors).max(axis=1))
