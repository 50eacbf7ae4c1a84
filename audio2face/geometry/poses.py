"""Which poses of a data set to learn a basis from: drop similar ones, then choose distinct ones greedily.

Poses are read in blocks and never held all at once, and everything is computed from inner products of rows: no vertex
space decomposition, whatever the number of vertices.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

logger = logging.getLogger(__name__)

ANCHOR_STRIDE = 10  # every 10th remaining pose is an anchor
FEW_POSES = 10  # nothing more is dropped from this many on
START_ROWS = 4
NEGLIGIBLE = 1e-5  # of the data's extent: a residual or a distance that is rounding, not motion
SKETCH_SIZE = 1024
FORESIGHT = 128  # rows whose products are read in one pass
GIB = 1 << 30


@dataclass(frozen=True)
class PoseSequence:
    """The poses of one shot. `read(frames)` gives (n, V, 3) float32 of frame indices (n,).

    It opens its source anew at each call, so that no file mapping outlives the block that was read.
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
        return self._read(rows) if self._cache is None else self._cache[rows]

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

    def summary(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared lengths (N,) float64 of all rows and their coordinates `columns` (c,): (N, c) float32, in one pass."""
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


# ---- distinct poses


def select_distinct(rows: PoseRows, max_rounds: int, variance: float = 0.9999, progress: bool = False) -> np.ndarray:
    """Rows chosen greedily to span the data, in order of choice: (n,) indices, no row or pose twice.

    From 4 evenly spaced rows, each round adds the row with the largest residual off the affine subspace of the chosen
    ones: their mean and their components up to `variance`. Ends after `max_rounds`, or when the largest residual is
    negligible. Needs the inner products of the chosen rows with all rows only, in float64.
    """
    if len(rows) == 0:
        raise ValueError("no poses to choose from")
    capacity = min(len(rows), START_ROWS + max_rounds)
    everything = len(rows) <= 2 * capacity  # then one pass gives all products that can be needed
    columns = np.random.default_rng(0).permutation(rows.width)[: 0 if everything else SKETCH_SIZE]
    norms, sketch = rows.summary(np.sort(columns))
    span = _Span(norms, sketch, capacity)
    first = np.arange(len(rows)) if everything else np.array(span.start)
    known = dict(zip(first.tolist(), rows.products(first), strict=True))
    unforeseen = 0
    with tqdm(total=capacity, desc="distinct poses", disable=not progress, leave=False) as bar:
        while len(span.chosen) < capacity and (row := span.next_row(variance)) is not None:
            products = span.known_products(row)
            if products is None and row not in known:
                unforeseen += 1
                batch = np.array([row, *(r for r in _foresee(span, variance) if r not in known and r != row)])
                known.update(zip(batch.tolist(), rows.products(batch), strict=True))
            span.add(row, known[row] if products is None else products)
            bar.update()
    logger.debug("distinct poses: %d of %d rows, read in %d passes", len(span.chosen), len(rows), 2 + unforeseen)
    return np.array(span.chosen)


def _foresee(span: _Span, variance: float) -> list[int]:
    """Rows that will probably be chosen next and whose products must be read, judged from the sketch."""
    span = span.copy()
    ahead: list[int] = []
    for _ in range(FORESIGHT):
        if len(span.chosen) == len(span.coordinates) or (row := span.next_row(variance)) is None:
            break
        products = span.known_products(row)
        if products is None:
            ahead.append(row)
            products = span.estimated_products(row)
        span.add(row, products)
    return ahead


class _Span:
    """The affine space of the chosen rows, grown row by row.

    Holds the coordinates of all N rows in an orthonormal basis of the chosen rows' differences (Gram-Schmidt on inner
    products, that is a pivoted Cholesky factor), and the chosen rows' moments in it. Directions that are rounding only
    are left out, so the basis is no larger than the data's rank. `sketch` (N, s) holds some coordinates of every row,
    less their part inside the space: it serves to guess products that are not read yet.
    """

    def __init__(self, norms: np.ndarray, sketch: np.ndarray, capacity: int):
        self.norms = norms
        self.sketch = sketch
        self.start = np.unique(np.linspace(0, len(norms) - 1, START_ROWS).astype(np.int64)).tolist()
        self.chosen: list[int] = []
        self.taken = np.zeros(len(norms), bool)
        self.coordinates = np.empty((capacity, len(norms)))
        self.rank = 0
        self.total = np.zeros(len(norms))  # sum over chosen rows of their products with all rows
        self.first = np.zeros(0)  # products of the first chosen row
        self.outside = np.zeros(0)  # squared distance of every row from the space
        self.extent = 0.0  # largest squared distance from the first chosen row
        self.sums = np.zeros(capacity)
        self.moments = np.zeros((capacity, capacity))

    def copy(self) -> _Span:
        """An independent copy, to try out choices."""
        other = copy.copy(self)
        for name in ("sketch", "taken", "total", "outside", "sums", "moments"):
            setattr(other, name, getattr(self, name).copy())
        other.start, other.chosen = list(self.start), list(self.chosen)
        other.coordinates = np.empty_like(self.coordinates)
        other.coordinates[: self.rank] = self.coordinates[: self.rank]
        return other

    def next_row(self, variance: float) -> int | None:
        """The row to choose next, or None when what remains is negligible."""
        while self.start:
            row = self.start.pop(0)
            if not self.taken[row]:
                return row
        residuals = np.where(self.taken, -np.inf, self.residuals(variance))
        row = int(np.argmax(residuals))
        return None if residuals[row] <= NEGLIGIBLE**2 * self.extent else row

    def add(self, row: int, products: np.ndarray) -> None:
        """Choose a row, given its inner products with all rows (N,)."""
        squared = np.maximum(self.norms - 2 * products + self.norms[row], 0.0)
        if not self.chosen:
            self.first, self.outside, self.extent = products.copy(), squared, float(squared.max())
            self.sketch = self.sketch - self.sketch[row]
        elif not self._inside(row):
            self._widen(row, products)
        self.taken |= squared <= NEGLIGIBLE**2 * self.extent  # the very same pose elsewhere
        self.taken[row] = True
        self.chosen.append(row)
        self.total += products
        here = self.coordinates[: self.rank, row]
        self.sums[: self.rank] += here
        self.moments[: self.rank, : self.rank] += np.outer(here, here)

    def _inside(self, row: int) -> bool:
        return bool(self.outside[row] <= NEGLIGIBLE**2 * self.extent)

    def _widen(self, row: int, products: np.ndarray) -> None:
        first = self.chosen[0]
        inside = self.coordinates[: self.rank, row] @ self.coordinates[: self.rank]
        along = products - self.first - products[first] + self.first[first] - inside
        if along[row] <= NEGLIGIBLE**2 * self.extent:
            return
        column = along / np.sqrt(along[row])
        self.coordinates[self.rank] = column
        self.outside -= np.square(column)
        if self.sketch.shape[1]:
            self.sketch -= np.outer(column.astype(np.float32), self.sketch[row] / np.float32(column[row]))
        self.rank += 1

    def _products(self, row: int, outside: np.ndarray | float) -> np.ndarray:
        along = self.coordinates[: self.rank, row] @ self.coordinates[: self.rank] + outside
        return along + self.first + self.first[row] - self.first[self.chosen[0]]

    def known_products(self, row: int) -> np.ndarray | None:
        """Inner products of `row` with all rows (N,), or None while it has a part outside the chosen rows' space."""
        return self._products(row, 0.0) if self.chosen and self._inside(row) else None

    def estimated_products(self, row: int) -> np.ndarray:
        """Inner products of `row` with all rows (N,), the part outside the space guessed from the sketch."""
        guess = (self.sketch @ self.sketch[row]).astype(np.float64)
        return self._products(row, guess * (self.outside[row] / max(guess[row], np.finfo(np.float32).tiny)))

    def residuals(self, variance: float) -> np.ndarray:
        """Squared distance (N,) of every row from the chosen rows' mean and components up to `variance`."""
        count, rank = len(self.chosen), self.rank
        mean = self.sums[:rank] / count
        to_mean = self.norms - 2 / count * self.total + self.total[self.chosen].sum() / count**2
        values, vectors = np.linalg.eigh(self.moments[:rank, :rank] - count * np.outer(mean, mean))
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        kept = vectors[:, : count_for_share(values, variance)]
        along = kept.T @ self.coordinates[:rank] - (kept.T @ mean)[:, None]
        return to_mean - np.einsum("kn,kn->n", along, along)


def count_for_share(values: np.ndarray, share: float) -> int:
    """How many of the descending variances `values` it takes for their sum to exceed `share` of the total."""
    total = values.sum()
    if total <= 0:
        return 0
    count = int(np.searchsorted(np.cumsum(values) / total, share, side="right")) + 1
    return min(count, int(np.count_nonzero(values > total * np.finfo(np.float64).eps)))
