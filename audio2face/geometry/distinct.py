"""Which poses of a data set to learn a basis from: a greedy choice of distinct ones, from inner products only.

No decomposition in vertex space: the cost of a round does not grow with the number of vertices, and the poses are read
in a few passes over blocks of them.
"""

from __future__ import annotations

import copy
import logging

import numpy as np

from audio2face.bars import Bar
from audio2face.geometry.pca import count_for_share
from audio2face.geometry.poses import PoseRows

logger = logging.getLogger(__name__)

START_ROWS = 4
NEGLIGIBLE = 1e-5  # of the data's extent: a residual or a distance that is rounding, not motion
SKETCH_SIZE = 1024
FORESIGHT = 32  # rounds played ahead to guess which products to read in one pass over the data
RUNNERS_UP = 8
READ_SHARE = 0.15  # of all rows: whose products are read by then, gets the others' too, if there is room
LEAST_KNOWN = 1 + FORESIGHT * (1 + RUNNERS_UP)


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
    room = 8 * len(rows) ** 2 <= rows.memory / 4  # for the products of all rows
    columns = np.random.default_rng(0).permutation(rows.width)[: 0 if everything else SKETCH_SIZE]
    norms, sketch = rows.summary(np.sort(columns))
    span = _Span(norms, sketch, capacity)
    first = np.arange(len(rows)) if everything else np.array(span.start)
    known = _Products(rows, len(rows) if everything or room else max(LEAST_KNOWN, int(rows.memory / 8 / norms.nbytes)))
    known.read(first.tolist())
    with Bar(capacity, "distinct poses", "pose", progress) as bar:
        while len(span.chosen) < capacity and (candidates := span.next_rows(variance)):
            row = candidates[0]
            products = span.known_products(row)
            if products is None:
                if row not in known:
                    if room and known.read_rows > len(rows) * READ_SHARE:  # the rest costs less than many more guesses
                        known.read(np.flatnonzero(~span.taken).tolist())
                        span.forget_sketch()
                    else:
                        known.read([row, *_foresee(span, variance)])
                products = known.pop(row)
            span.add(row, products)
            bar.update()
    logger.debug(
        "distinct poses: %d of %d rows, %d passes over the data", len(span.chosen), len(rows), known.passes + 1
    )
    return np.array(span.chosen)


class _Products:
    """Inner products of single rows with all rows, read for many rows in one pass; the oldest go when there are many."""

    def __init__(self, rows: PoseRows, most: int):
        self._rows = rows
        self._most = most
        self._products: dict[int, np.ndarray] = {}
        self.passes = self.read_rows = 0

    def __contains__(self, row: int) -> bool:
        return row in self._products

    def read(self, wanted: list[int]) -> None:
        """Read the products of the rows that are not there yet."""
        missing = [row for row in dict.fromkeys(wanted) if row not in self._products]
        for row, products in zip(missing, self._rows.products(np.array(missing)), strict=True):
            self._products[row] = products.copy()
        self.passes += 1
        self.read_rows += len(missing)
        for row in list(self._products)[: -self._most]:
            del self._products[row]

    def pop(self, row: int) -> np.ndarray:
        """The products of a row (N,), which are then forgotten."""
        return self._products.pop(row)


def _foresee(span: _Span, variance: float) -> list[int]:
    """Rows that will probably be chosen next and whose products must be read, judged from the sketch.

    The choice is played on for some rounds; the runners-up of each go along, since the guess may take them for less.
    """
    span = span.copy()
    ahead: list[int] = []
    for _ in range(FORESIGHT):
        candidates = span.next_rows(variance, 1 + RUNNERS_UP)
        if len(span.chosen) == len(span.coordinates) or not candidates:
            break
        products = span.known_products(candidates[0])
        if products is None:
            ahead += candidates
            products = span.estimated_products(candidates[0])
        span.add(candidates[0], products)
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

    def forget_sketch(self) -> None:
        """No product will have to be guessed any more."""
        self.sketch = self.sketch[:, :0]

    def next_rows(self, variance: float, count: int = 1) -> list[int]:
        """The row to choose next and up to `count` - 1 runners-up, best first; none when what remains is negligible."""
        while self.start:
            row = self.start.pop(0)
            if not self.taken[row]:
                return [row]
        residuals = np.where(self.taken, -np.inf, self.residuals(variance))
        if count == 1:
            best = np.array([np.argmax(residuals)])
        else:
            best = np.argsort(-residuals, kind="stable")[:count]
        return best[residuals[best] > NEGLIGIBLE**2 * self.extent].tolist()

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
        split = count_for_share(values, variance)
        if 2 * split > rank:  # fewer components are left out than kept
            return self.outside + self._along(vectors[:, split:], mean)
        return to_mean - self._along(vectors[:, :split], mean)

    def _along(self, components: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Squared distance (N,) of every row from `mean` along some components (rank, k) of the space."""
        along = components.T @ self.coordinates[: self.rank]
        along -= (components.T @ mean)[:, None]
        return np.einsum("kn,kn->n", along, along)
