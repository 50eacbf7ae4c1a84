"""Poses of many shots as rows of coordinates, read in blocks and never held all at once, and those that are similar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

ANCHOR_STRIDE = 10  # every 10th remaining pose is an anchor
FEW_POSES = 10  # nothing more is dropped from this many on
GIB = 1 << 30


@dataclass(frozen=True)
class PoseSequence:
    """The poses of one shot. `read(frames)` gives (n, V, 3) float32 of frame indices (n,).

    It reopens its source at each call, so that no file mapping outlives the block that was read.
    """

    name: str
    num_frames: int
    read: Callable[[np.ndarray], np.ndarray]


class PoseRows:
    """Frames of several sequences as rows of coordinates (N, D), centred on a common origin, read in blocks.

    `frames[i]` are the frames of `sequences[i]` to use; `vertices` (n,) restricts the coordinates. At most about
    `memory` bytes are used by any method.
    """

    def __init__(
        self,
        sequences: Sequence[PoseSequence],
        frames: Sequence[np.ndarray],
        vertices: np.ndarray | None = None,
        memory: float = 2 * GIB,
    ):
        self.sequences = sequences
        self.vertices = vertices
        self.memory = memory
        self.shot = np.repeat(np.arange(len(frames)), [len(f) for f in frames])
        self.frame = np.concatenate([np.asarray(f, np.int64) for f in frames])
        self._origin = np.zeros(1, np.float32)
        self._cache: np.ndarray | None = None
        sample = self._read(np.unique(np.linspace(0, len(self) - 1, 32).astype(np.int64)))
        with np.errstate(invalid="ignore"):
            origin = sample.mean(axis=0, dtype=np.float64)
        self._origin = np.where(np.isfinite(origin), origin, 0.0).astype(np.float32)
        self.width = sample.shape[1]

    def __len__(self) -> int:
        return len(self.frame)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        parts = []
        for start, end in _runs(self.shot[rows]):
            poses = self.sequences[self.shot[rows[start]]].read(self.frame[rows[start:end]])
            if self.vertices is not None:
                poses = poses[:, self.vertices]
            parts.append(poses.reshape(len(poses), -1))
        block = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return block - self._origin

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The centred coordinates of `rows` (n,): (n, D) float32."""
        if self._cache is None and 4 * len(self) * self.width <= self.memory / 4:
            self._cache = self._read(np.arange(len(self)))
        if self._cache is None:
            return self._read(rows)
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            return self._cache[rows[0] : rows[0] + len(rows)]  # no copy
        return self._cache[rows]

    def blocks(self, among: np.ndarray | None = None) -> Iterator[tuple[slice, np.ndarray]]:
        """Consecutive blocks of the rows `among` (all when None): (slice into them, (n, D) float32)."""
        among = np.arange(len(self)) if among is None else among
        size = max(1, int(self.memory / 16 / (8 * self.width)))
        for start in range(0, len(among), size):
            part = slice(start, min(start + size, len(among)))
            yield part, self.take(among[part])

    def products(self, picks: np.ndarray, among: np.ndarray | None = None, dtype: type = np.float64) -> np.ndarray:
        """Inner products of rows `picks` (p,) with rows `among` (n,; all when None), computed in `dtype`: (p, n)."""
        out: np.ndarray = np.empty((len(picks), len(self) if among is None else len(among)), dtype)
        size = max(1, int(self.memory / 4 / (np.dtype(dtype).itemsize * self.width)))
        for start in range(0, len(picks), size):
            left: np.ndarray = np.asarray(self.take(picks[start : start + size]), dtype)
            for part, block in self.blocks(among):
                out[start : start + size, part] = (np.asarray(block, dtype) @ left.T).T
        return out

    def mutual_products(self, among: np.ndarray, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """Inner products of rows `among` (n,) with each other, in single precision: (n, n) float32.

        `change(rows, block)` gives what to multiply in place of the coordinates (m, D) float32 of some of them.
        """
        out = np.empty((len(among), len(among)), np.float32)
        size = max(1, int(self.memory / 8 / (4 * self.width)))
        for start in range(0, len(among), size):
            here, after = among[start : start + size], among[start + size :]
            left = np.empty((len(here), self.width), np.float32)
            for part, block in self.blocks(here):
                left[part] = change(here[part], block)
            square = slice(start, start + len(here))
            out[square, square] = left @ left.T  # the same array twice: half the work
            for part, block in self.blocks(after):
                below = slice(start + size + part.start, start + size + part.stop)
                out[below, square] = change(after[part], block) @ left.T
                out[square, below] = out[below, square].T
        return out

    def summary(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared lengths (N,) float64 of all rows and their coordinates `columns` (c,): (N, c) float32; one pass."""
        norms = np.empty(len(self))
        sketch = np.empty((len(self), len(columns)), np.float32)
        for part, block in self.blocks():
            norms[part] = np.einsum("nd,nd->n", block, block, dtype=np.float64)
            sketch[part] = block[:, columns]
        return norms, sketch


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of each run of equal values."""
    edges = np.flatnonzero(np.diff(values)) + 1
    bounds = [0, *edges.tolist(), len(values)]
    return list(zip(bounds[:-1], bounds[1:], strict=True))


# ---- similar poses


def prune_similar(rows: PoseRows, distance: float, max_rounds: int | None = None) -> np.ndarray:
    """Rows that remain when those near an anchor are dropped, in order: (n,) indices.

    Every 10th remaining row is an anchor and drops the others within `distance` (Euclidean over all coordinates).
    Repeated until nothing changes or at most 10 rows remain, or `max_rounds` times. Raises FloatingPointError naming
    the first frame that is not finite.
    """
    norms, _ = rows.summary(np.arange(0))
    if not np.isfinite(norms).all():
        first = rows.frame[np.argmin(np.isfinite(norms))]
        raise FloatingPointError(f"frame {first} holds values that are not finite")
    remaining = np.arange(len(rows))
    rounds = 0
    while max_rounds is None or rounds < max_rounds:
        is_anchor = np.zeros(len(remaining), bool)
        is_anchor[::ANCHOR_STRIDE] = True
        anchors, others = remaining[is_anchor], remaining[~is_anchor]
        near = np.zeros(len(remaining), bool)
        near[~is_anchor] = _near_any(rows, norms, anchors, others, distance)
        remaining = remaining[~near]
        rounds += 1
        if not near.any() or len(remaining) <= FEW_POSES:
            break
    return remaining


def _near_any(
    rows: PoseRows, norms: np.ndarray, anchors: np.ndarray, others: np.ndarray, distance: float
) -> np.ndarray:
    near = np.zeros(len(others), bool)
    size = max(1, int(rows.memory / 16 / (8 * max(1, len(others)))))
    for start in range(0, len(anchors), size):
        part = anchors[start : start + size]
        squared = norms[part, None] + norms[others] - 2 * rows.products(part, others, np.float32).astype(np.float64)
        near |= (squared <= distance**2).any(axis=0)
    return near
