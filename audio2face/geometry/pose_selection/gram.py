"""The Gram matrix of the poses, read in few passes over the data: the rows predicted to be needed next, or all remaining ones."""

from __future__ import annotations

import numpy as np

from audio2face.geometry.pose_selection.subspace import Subspace
from audio2face.geometry.poses import PoseRows

SKETCH_SIZE = 1024
LOOKAHEAD = 32  # rounds simulated ahead to predict which products to read in one pass over the data
RUNNERS_UP = 8
READ_SHARE = (
    0.1  # of all rows: once the products of so many have been read, all remaining ones may be, if there is room
)
FAST_DECAY = 0.7  # in LOOKAHEAD rounds: while the residual falls faster, reading all products does not pay,
PATIENCE = 3  # until this many times as many have been read
REFRESH_SHARE = 0.1  # of the residual when all products were read in single precision: below, they are read again
MIN_CACHED = 1 + LOOKAHEAD * (1 + RUNNERS_UP)


class GramReader:
    """Reads the products of chosen rows with all rows.

    At first of rows that will probably be chosen next, in double precision. When that has come to many rows, what is
    left outside the chosen rows' space falls slowly, and there is room for the products of all remaining rows, these are
    read at once, of what is outside: there single precision loses nothing that matters (`_ResidualGram`).
    """

    def __init__(self, rows: PoseRows, start: list[int], capacity: int):
        """`start` are the rows that will be chosen first; at most `capacity` will be."""
        everything = len(rows) <= 2 * capacity  # then one pass gives all products that can be needed
        columns = np.random.default_rng(0).permutation(rows.width)[: 0 if everything else SKETCH_SIZE]
        self._rows = rows
        self._norms, sketch = rows.summary(np.sort(columns))
        self._sketch = _Sketch(sketch)
        self._most = len(rows) if everything else max(MIN_CACHED, int(rows.memory / 8 / self._norms.nbytes))
        self._room = 8 * len(rows) ** 2 <= rows.memory / 4
        self._cached: dict[int, np.ndarray] = {}
        self._residual_gram: _ResidualGram | None = None
        self._read_rows = 0
        self._last = (0, np.inf)  # at the last pass: rows chosen, largest squared distance from the space
        self.passes = 1
        self._read(list(range(len(rows))) if everything else start)
        self._first = start[0]
        self._first_products = self._cached[start[0]]

    def first_distance_sq(self) -> np.ndarray:
        """Squared distance (N,) of every row from the first one."""
        return np.maximum(self._norms - 2 * self._first_products + self._norms[self._first], 0.0)

    def squared_distances(self, row: int, others: np.ndarray) -> np.ndarray:
        """Squared distance (n,) of some rows (n,) from a row, from their coordinates."""
        if not len(others):
            return np.zeros(0)
        apart = self._rows.take(others) - self._rows.take(np.array([row]))
        return np.einsum("nd,nd->n", apart, apart, dtype=np.float64)

    def products(self, space: Subspace, row: int, variance: float) -> tuple[np.ndarray, int]:
        """What `Subspace.add` needs of a row outside the space: products (N,) and how many directions they leave out."""
        if self._residual_gram is None and row not in self._cached:
            if self._room and self._should_read_all(space):
                self._read_residuals(space)
            else:
                self._read([row, *_predict_next(space, self._sketch, variance)])
        if self._residual_gram is not None:
            return self._residual_gram.products(row), self._residual_gram.base
        found = self._cached.pop(row)
        return found - self._first_products - found[self._first] + self._first_products[self._first], 0

    def _should_read_all(self, space: Subspace) -> bool:
        """Whether to read all in place of more guesses, judged at every pass."""
        count, distance_sq = len(space.chosen), float(space.distance_sq[~space.used].max())
        (count_before, distance_before), self._last = self._last, (count, distance_sq)
        falling = distance_sq < distance_before * FAST_DECAY ** ((count - count_before) / LOOKAHEAD)
        return self._read_rows > len(self._rows) * READ_SHARE * (PATIENCE if falling else 1)

    def refresh(self, space: Subspace) -> bool:
        """Read the residual products again when they have become too inexact; whether that was due."""
        due = self._residual_gram is not None and self._residual_gram.is_inexact(space)
        if due:
            self._read_residuals(space)
        return due

    def _read(self, wanted: list[int]) -> None:
        missing = [row for row in dict.fromkeys(wanted) if row not in self._cached]
        for row, products in zip(missing, self._rows.products(np.array(missing)), strict=True):
            self._cached[row] = products.copy()
        self._read_rows += len(missing)
        self.passes += 1
        for row in list(self._cached)[: -self._most]:
            del self._cached[row]

    def _read_residuals(self, space: Subspace) -> None:
        self._cached = {}
        self._residual_gram = None  # frees its memory first
        self._residual_gram = _ResidualGram(self._rows, space)
        self.passes += 1


class _ResidualGram:
    """Products of all rows that are not taken yet with each other, of what they have outside the space.

    In single precision: a product errs by some 1e-7 of the squared length of these remainders, not of the rows. So it is
    as good as one in double precision of whole rows where little is left of them, until even less is (`REFRESH_SHARE`). The
    remainders' lengths are measured again as well: they are all that the next products rest on.
    """

    def __init__(self, rows: PoseRows, space: Subspace):
        """Reads them, and writes the remainders' squared lengths into `space.distance_sq`."""
        among = np.flatnonzero(~space.used)
        self.base = min(space.rank, int(rows.memory / 8 / (8 * rows.width)))
        points = rows.take(np.array([space.chosen[0], *space.basis_rows[: self.base]])).astype(np.float64)
        basis_vectors = space.basis_vectors(points[1:] - points[0])

        def beyond(part: np.ndarray, block: np.ndarray) -> np.ndarray:
            within = space.coordinates[: self.base, part].T @ basis_vectors
            within += points[0]
            rest = np.subtract(block, within, out=np.empty_like(block), casting="same_kind")
            later = space.coordinates[self.base : space.rank, part]
            space.distance_sq[part] = np.einsum("nd,nd->n", rest, rest, dtype=np.float64) - np.einsum(
                "kn,kn->n", later, later
            )
            return rest

        self._among = among
        self._place = np.full(len(rows), -1)
        self._place[among] = np.arange(len(among))
        self._matrix = rows.mutual_products(among, beyond)
        self._level = float(space.distance_sq[among].max())

    def is_inexact(self, space: Subspace) -> bool:
        """Whether so little is left that the products must be read again."""
        return bool(space.distance_sq[~space.used].max() < REFRESH_SHARE * self._level)

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

    def reduce(self, space: Subspace) -> None:
        """Take away what lies in the space that has come since."""
        if self._rank < 0:
            self._values = self._values - self._values[space.chosen[0]]
            self._rank = 0
        basis_vectors = space.basis_vectors(self._values[space.basis_rows[self._rank :]], self._rank)
        self._values -= space.coordinates32[self._rank : space.rank].T @ basis_vectors
        self._rank = space.rank

    def squared(self) -> np.ndarray:
        """Squared lengths (N,) of what is held of every row."""
        return np.einsum("ns,ns->n", self._values, self._values)

    def products(self, row: int) -> np.ndarray:
        """Inner products (N,) of what is held of a row and of every row."""
        return self._values @ self._values[row]


def _predict_next(space: Subspace, sketch: _Sketch, variance: float) -> list[int]:
    """Rows that will probably be chosen next and whose products must be read.

    The choice is played on for some rounds on the residuals of now, with what each row chosen takes from them; the
    runners-up of each go along, since the guess may take them for less.
    """
    sketch.reduce(space)
    residuals, _ = space.residuals(variance)
    residuals[space.used] = 0.0
    squared = sketch.squared()
    scale = space.distance_sq.sum() / max(squared.sum(), np.finfo(np.float32).tiny)
    whole = np.maximum(residuals - space.distance_sq, 0.0) + scale * squared  # as seen in the sketch
    rest = whole.copy()
    columns = np.zeros((min(LOOKAHEAD, space.capacity - len(space.chosen)), len(rest)))
    ahead: list[int] = []
    for i, column in enumerate(columns):
        left = residuals * np.divide(rest, whole, out=np.zeros_like(rest), where=whole > 0)
        best = np.argsort(-left, kind="stable")[: 1 + RUNNERS_UP]
        best = best[left[best] > space.negligible]
        if not len(best):
            break
        row = int(best[0])
        ahead += [r for r in best.tolist() if not space.contains(r)]
        column[:] = (
            space.residual_products(variance, row) + scale * sketch.products(row) - columns[:i, row] @ columns[:i]
        )
        column /= np.sqrt(rest[row])
        rest = np.maximum(rest - np.square(column), 0.0)
        rest[row] = 0.0
    return ahead
