"""The Gram matrix rows that pose selection needs, read in few passes over the data: the likely next ones, or all."""

from __future__ import annotations

import numpy as np

from audio2face.geometry.pose_selection.subspace import Span
from audio2face.geometry.poses import PoseRows

SKETCH_SIZE = 1024
FORESIGHT = 32  # rounds played ahead to guess which products to read in one pass over the data
RUNNERS_UP = 8
READ_SHARE = 0.1  # of all rows: whose products have been read, may get all others' too, if there is room
FALLING = 0.7  # in FORESIGHT rounds: while what is outside the space falls more, all products are not worth reading,
PATIENCE = 3  # until so many times as many have been
STALE = 0.1  # of what was outside when all products were read in single precision: then they are read again
LEAST_KNOWN = 1 + FORESIGHT * (1 + RUNNERS_UP)


class ProductReader:
    """Reads the products of chosen rows with all rows.

    At first of rows that will probably be chosen next, in double precision. When that has come to many rows, what is
    left outside the chosen rows' space falls slowly, and there is room for the products of all remaining rows, these
    are read at once, of what is outside: there single precision loses nothing that matters (`_Remaining`).
    """

    def __init__(self, rows: PoseRows, start: list[int], capacity: int):
        """`start` are the rows that will be chosen first; at most `capacity` will be."""
        everything = len(rows) <= 2 * capacity  # then one pass gives all products that can be needed
        columns = np.random.default_rng(0).permutation(rows.width)[: 0 if everything else SKETCH_SIZE]
        self._rows = rows
        self._norms, sketch = rows.summary(np.sort(columns))
        self._sketch = _Sketch(sketch)
        self._most = len(rows) if everything else max(LEAST_KNOWN, int(rows.memory / 8 / self._norms.nbytes))
        self._room = 8 * len(rows) ** 2 <= rows.memory / 4
        self._known: dict[int, np.ndarray] = {}
        self._remaining: _Remaining | None = None
        self._read_rows = 0
        self._last = (0, np.inf)  # at the last pass: rows chosen, largest squared distance from the space
        self.passes = 1
        self._read(list(range(len(rows))) if everything else start)
        self._first = start[0]
        self._of_first = self._known[start[0]]

    def from_first(self) -> np.ndarray:
        """Squared distance (N,) of every row from the first one."""
        return np.maximum(self._norms - 2 * self._of_first + self._norms[self._first], 0.0)

    def squared_distances(self, row: int, others: np.ndarray) -> np.ndarray:
        """Squared distance (n,) of some rows (n,) from a row, from their coordinates."""
        if not len(others):
            return np.zeros(0)
        apart = self._rows.take(others) - self._rows.take(np.array([row]))
        return np.einsum("nd,nd->n", apart, apart, dtype=np.float64)

    def products(self, span: Span, row: int, variance: float) -> tuple[np.ndarray, int]:
        """What `Span.add` needs of a row outside the space: products (N,) and how many directions they leave out."""
        if self._remaining is None and row not in self._known:
            if self._room and self._is_guessing_dearer(span):
                self._read_remaining(span)
            else:
                self._read([row, *_foresee(span, self._sketch, variance)])
        if self._remaining is not None:
            return self._remaining.products(row), self._remaining.base
        found = self._known.pop(row)
        return found - self._of_first - found[self._first] + self._of_first[self._first], 0

    def _is_guessing_dearer(self, span: Span) -> bool:
        """Whether to read all in place of more guesses, judged at every pass."""
        count, outside = len(span.chosen), float(span.outside[~span.taken].max())
        (count_before, outside_before), self._last = self._last, (count, outside)
        falling = outside < outside_before * FALLING ** ((count - count_before) / FORESIGHT)
        return self._read_rows > len(self._rows) * READ_SHARE * (PATIENCE if falling else 1)

    def refresh(self, span: Span) -> bool:
        """Re-read what has become too inexact, and how far all rows lie from the space; returns whether it was due."""
        due = self._remaining is not None and self._remaining.is_stale(span)
        if due:
            self._read_remaining(span)
        return due

    def _read(self, wanted: list[int]) -> None:
        missing = [row for row in dict.fromkeys(wanted) if row not in self._known]
        for row, products in zip(missing, self._rows.products(np.array(missing)), strict=True):
            self._known[row] = products.copy()
        self._read_rows += len(missing)
        self.passes += 1
        for row in list(self._known)[: -self._most]:
            del self._known[row]

    def _read_remaining(self, span: Span) -> None:
        self._known = {}
        self._remaining = None  # frees its memory first
        self._remaining = _Remaining(self._rows, span)
        self.passes += 1


class _Remaining:
    """Products of all rows that are not taken yet with each other, of what they have outside the space.

    In single precision: a product errs by some 1e-7 of the squared length of these remainders, not of the rows. So it
    is as good as one in double precision of whole rows where little is left of them, until even less is (`STALE`). The
    remainders' lengths are remeasured as well: the next products depend on nothing else.
    """

    def __init__(self, rows: PoseRows, span: Span):
        """Reads them, and writes the remainders' squared lengths into `span.outside`."""
        among = np.flatnonzero(~span.taken)
        self.base = min(span.rank, int(rows.memory / 8 / (8 * rows.width)))
        points = rows.take(np.array([span.chosen[0], *span.widening[: self.base]])).astype(np.float64)
        directions = span.directions(points[1:] - points[0])

        def beyond(part: np.ndarray, block: np.ndarray) -> np.ndarray:
            within = span.coordinates[: self.base, part].T @ directions
            within += points[0]
            rest = np.subtract(block, within, out=np.empty_like(block), casting="same_kind")
            later = span.coordinates[self.base : span.rank, part]
            span.outside[part] = np.einsum("nd,nd->n", rest, rest, dtype=np.float64) - np.einsum(
                "kn,kn->n", later, later
            )
            return rest

        self._among = among
        self._place = np.full(len(rows), -1)
        self._place[among] = np.arange(len(among))
        self._matrix = rows.mutual_products(among, beyond)
        self._level = float(span.outside[among].max())

    def is_stale(self, span: Span) -> bool:
        """Whether so little is left that the products must be read again."""
        return bool(span.outside[~span.taken].max() < STALE * self._level)

    def products(self, row: int) -> np.ndarray:
        """Products (N,) of a row's remainder with that of every row; those that were taken have none."""
        products = np.zeros(len(self._place))
        products[self._among] = self._matrix[self._place[row]]
        return products


class _Sketch:
    """Some coordinates (N, s) of every row, less their part in the space: from them products are guessed."""

    def __init__(self, values: np.ndarray):
        self._values = values
        self._rank = -1

    def reduce(self, span: Span) -> None:
        """Take away what lies in the space that has come since."""
        if self._rank < 0:
            self._values = self._values - self._values[span.chosen[0]]
            self._rank = 0
        directions = span.directions(self._values[span.widening[self._rank :]], self._rank)
        self._values -= span.rough[self._rank : span.rank].T @ directions
        self._rank = span.rank

    def squared(self) -> np.ndarray:
        """Squared lengths (N,) of what is held of every row."""
        return np.einsum("ns,ns->n", self._values, self._values)

    def products(self, row: int) -> np.ndarray:
        """Inner products (N,) of what is held of a row and of every row."""
        return self._values @ self._values[row]


def _foresee(span: Span, sketch: _Sketch, variance: float) -> list[int]:
    """Rows that will probably be chosen next and whose products must be read.

    The choice is played on for some rounds on the residuals of now, with what each row chosen takes from them; the
    runners-up of each go along, since the guess may take them for less.
    """
    sketch.reduce(span)
    residuals, _ = span.residuals(variance)
    residuals[span.taken] = 0.0
    squared = sketch.squared()
    scale = span.outside.sum() / max(squared.sum(), np.finfo(np.float32).tiny)
    whole = np.maximum(residuals - span.outside, 0.0) + scale * squared  # as seen in the sketch
    rest = whole.copy()
    columns = np.zeros((min(FORESIGHT, span.capacity - len(span.chosen)), len(rest)))
    ahead: list[int] = []
    for i, column in enumerate(columns):
        left = residuals * np.divide(rest, whole, out=np.zeros_like(rest), where=whole > 0)
        best = np.argsort(-left, kind="stable")[: 1 + RUNNERS_UP]
        best = best[left[best] > span.negligible]
        if not len(best):
            break
        row = int(best[0])
        ahead += [r for r in best.tolist() if not span.is_inside(r)]
        column[:] = (
            span.left_out_products(variance, row) + scale * sketch.products(row) - columns[:i, row] @ columns[:i]
        )
        column /= np.sqrt(rest[row])
        rest = np.maximum(rest - np.square(column), 0.0)
        rest[row] = 0.0
    return ahead
