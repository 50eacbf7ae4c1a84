"""The affine subspace of chosen rows of a data set, grown row by row, and every other row's distance from it."""

from __future__ import annotations

import numpy as np

from audio2face.geometry.pose_selection.rank_one_eig import PrincipalAxes

NEGLIGIBLE = 1e-5  # of the data's extent: a residual or a distance that is rounding, not motion
GROUP = 64  # coordinates whose length is kept together, to bound rounding
ROUND_OFF = float(np.finfo(np.float32).eps) / 2
BLUR = 1e-5  # of a squared length: far more than a product in single precision errs


class Span:
    """The affine space of the chosen rows, through the first of them.

    Holds the coordinates of all N rows in an orthonormal basis of the chosen rows' differences (Gram-Schmidt on inner
    products, that is a pivoted Cholesky factor), and the chosen rows' principal axes in it. Directions that are
    rounding only are left out, so the basis is no larger than the data's rank.
    """

    def __init__(self, squared: np.ndarray, first: int, capacity: int):
        """`squared` (N,): squared distances of all rows from row `first`, the first one chosen."""
        count = len(squared)
        self.chosen = [first]
        self.widening: list[int] = []  # the chosen rows that gave the basis, in its order
        self.capacity = capacity
        self.negligible = NEGLIGIBLE**2 * float(squared.max())  # a squared distance that is rounding
        self.from_first = squared
        self.outside = squared.copy()  # squared distance of every row from the space
        self.taken = squared <= self.negligible  # chosen, or the very same pose elsewhere
        self.taken[first] = True
        self.coordinates = np.empty((capacity, count))
        self.rough = np.empty((capacity, count), np.float32)  # the same, to look where it is worth computing
        self.grouped = np.zeros((-(-capacity // GROUP), count))  # squared lengths of groups of coordinates
        self.sums = np.zeros(count)  # products of every row with all chosen rows, inside the space
        self.axes = PrincipalAxes()
        self._blur = 0.0  # what a squared distance inside the space may err

    @property
    def rank(self) -> int:
        """The dimension of the space."""
        return len(self.widening)

    def is_inside(self, row: int) -> bool:
        """Whether a row has no part outside the space."""
        return bool(self.outside[row] <= self.negligible)

    def add(self, row: int, products: np.ndarray | None, base: int = 0) -> np.ndarray:
        """Choose a row.

        `products` (N,) are its inner products with all rows: of their differences from the first row; or, when `base`
        is given, in single precision, of what is left of them outside the first `base` directions of the space. None
        for a row inside the space. Returns the rows (n,) that may show the very same pose, where that is undecided:
        these are to be compared, and marked as `taken` if they do.
        """
        here = self.coordinates[: self.rank, row].copy()
        beyond = here[base:] @ self.coordinates[base : self.rank]
        within = beyond + here[:base] @ self.coordinates[:base]
        if products is not None:
            self._blur = max(self._blur, BLUR * float(self.outside[row]) if base else 0.0)
            length = np.sqrt(self.outside[row])
            column = (products - beyond) / length
            column[row] = length
            self._widen(row, column)
            within += length * column
            here = np.append(here, length)
        self.taken[row] = True
        self.chosen.append(row)
        self.sums += within
        self.axes.add(here)
        near = self.from_first - 2 * within + self.from_first[row] <= self.negligible + self._blur
        if self._blur:
            return np.flatnonzero(near & ~self.taken)
        self.taken |= near
        return np.zeros(0, np.int64)

    def _widen(self, row: int, column: np.ndarray) -> None:
        squared = np.square(column)
        self.coordinates[self.rank] = self.rough[self.rank] = column
        self.grouped[self.rank // GROUP] += squared
        self.outside -= squared
        self.widening.append(row)

    def directions(self, points: np.ndarray, since: int = 0) -> np.ndarray:
        """Directions of the basis from `since` on (n, D), where the widening rows from there on are `points` (n, D).

        These are taken from the first row, and without their part in the directions before.
        """
        until = since + len(points)
        corner = self.coordinates[since:until, self.widening[since:until]].T
        return np.linalg.solve(corner.astype(points.dtype), points)

    def next_row(self, variance: float) -> int | None:
        """The row farthest from the chosen rows' mean and components up to `variance`; None when that is negligible."""
        residuals, error = self.residuals(variance)
        residuals[self.taken] = -np.inf
        rows = np.flatnonzero(residuals + error >= (residuals - error).max())
        exact = np.where(self.taken[rows], -np.inf, self.outside[rows] + self._left_out(variance, rows))
        best = int(np.argmax(exact))
        return int(rows[best]) if exact[best] > self.negligible else None

    def residuals(self, variance: float) -> tuple[np.ndarray, np.ndarray | float]:
        """Squared distance (N,) of every row from the chosen rows' mean and components up to `variance`, and its error.

        What is left out of the space is measured in single precision where it is not much more than what is kept.
        """
        left_out, kept = self.axes.split(variance)
        if left_out.shape[1] <= 2 * kept.shape[1]:
            squared, error = self._along_roughly(left_out)
            return self.outside + squared, error
        mean = self.axes.mean
        to_mean = self.from_first - 2 / len(self.chosen) * self.sums + mean @ mean
        return to_mean - self._along(kept, np.s_[:]), 0.0

    def left_out_products(self, variance: float, row: int) -> np.ndarray:
        """Inner products (N,) of a row's residual with every row's, inside the space."""
        left_out, _ = self.axes.split(variance)
        direction = left_out @ (left_out.T @ (self.coordinates[: self.rank, row] - self.axes.mean))
        return direction @ self.coordinates[: self.rank] - direction @ self.axes.mean

    def _left_out(self, variance: float, rows: np.ndarray) -> np.ndarray:
        return self._along(self.axes.split(variance)[0], rows)

    def _along(self, components: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
        """Squared distance (n,) of some rows from the mean along some components (rank, k) of the space."""
        along = components.T @ self.coordinates[: self.rank, rows]
        along -= (components.T @ self.axes.mean)[:, None]
        return np.einsum("kn,kn->n", along, along)

    def _along_roughly(self, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`_along` of all rows in single precision, and a bound on its error: (N,) both.

        The error of each sum of products is at most `bound` of the sum of their magnitudes (Higham, Accuracy and
        Stability of Numerical Algorithms, 3.5), of whose length over all components Minkowski's and, for each group of
        coordinates, Cauchy's inequality make a product of few numbers.
        """
        bound = (self.rank + 8) * ROUND_OFF
        shift = components.T @ self.axes.mean
        along = components.T.astype(np.float32) @ self.rough[: self.rank]
        along -= shift.astype(np.float32)[:, None]
        squared = np.einsum("kn,kn->n", along, along).astype(np.float64)
        starts = np.arange(0, self.rank, GROUP)
        weights = np.sqrt(np.add.reduceat(np.square(components).sum(axis=1), starts)) if self.rank else starts
        error = bound * (weights @ np.sqrt(self.grouped[: len(starts)]) + np.linalg.norm(shift))
        return squared, (2 * np.sqrt(squared) + error) * error + bound * squared
