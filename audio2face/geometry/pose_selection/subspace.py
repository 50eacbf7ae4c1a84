"""The affine subspace of the chosen rows, grown row by row (Gram-Schmidt), and the distance of every other row from it."""

from __future__ import annotations

import numpy as np

from audio2face.geometry.pose_selection.rank_one_eig import IncrementalPca

NEGLIGIBLE = 1e-5  # of the data's extent: a residual or a distance that is rounding, not motion
GROUP_SIZE = 64  # coordinates whose length is kept together, to bound rounding
UNIT_ROUNDOFF = float(np.finfo(np.float32).eps) / 2
FLOAT32_ERROR = 1e-5  # of a squared length: far more than a product in single precision errs


class Subspace:
    """The affine space of the chosen rows, through the first of them.

    Holds the coordinates of all N rows in an orthonormal basis of the chosen rows' differences (Gram-Schmidt on inner
    products, that is a pivoted Cholesky factor), and the chosen rows' principal axes in it. Directions that are
    rounding only are left out, so the basis is no larger than the data's rank.
    """

    def __init__(self, squared: np.ndarray, first: int, capacity: int):
        """`squared` (N,): squared distances of all rows from row `first`, the first one chosen."""
        count = len(squared)
        self.chosen = [first]
        self.basis_rows: list[int] = []  # the chosen rows that gave the basis, in its order
        self.capacity = capacity
        self.negligible = NEGLIGIBLE**2 * float(squared.max())  # a squared distance that is rounding
        self.first_distance_sq = squared
        self.distance_sq = squared.copy()  # squared distance of every row from the space
        self.used = squared <= self.negligible  # chosen, or the very same pose elsewhere
        self.used[first] = True
        self.coordinates = np.empty((capacity, count))
        self.coordinates32 = np.empty((capacity, count), np.float32)  # the same, to look where it is worth computing
        self.group_energy = np.zeros((-(-capacity // GROUP_SIZE), count))  # squared lengths of groups of coordinates
        self.chosen_products = np.zeros(count)  # products of every row with all chosen rows, inside the space
        self.axes = IncrementalPca()
        self._rounding = 0.0  # what a squared distance inside the space may err

    @property
    def rank(self) -> int:
        """The dimension of the space."""
        return len(self.basis_rows)

    def contains(self, row: int) -> bool:
        """Whether a row has no part outside the space."""
        return bool(self.distance_sq[row] <= self.negligible)

    def add(self, row: int, products: np.ndarray | None, base: int = 0) -> np.ndarray:
        """Choose a row.

        `products` (N,) are its inner products with all rows: of their differences from the first row; or, when `base` is
        given, in single precision, of what is left of them outside the first `base` directions of the space. None for a
        row inside the space. Returns the rows (n,) that may show the very same pose, where that cannot be told: these
        are to be compared, and marked as `used` if they do.
        """
        here = self.coordinates[: self.rank, row].copy()
        beyond = here[base:] @ self.coordinates[base : self.rank]
        within = beyond + here[:base] @ self.coordinates[:base]
        if products is not None:
            self._rounding = max(self._rounding, FLOAT32_ERROR * float(self.distance_sq[row]) if base else 0.0)
            length = np.sqrt(self.distance_sq[row])
            column = (products - beyond) / length
            column[row] = length
            self._extend_basis(row, column)
            within += length * column
            here = np.append(here, length)
        self.used[row] = True
        self.chosen.append(row)
        self.chosen_products += within
        self.axes.add(here)
        near = self.first_distance_sq - 2 * within + self.first_distance_sq[row] <= self.negligible + self._rounding
        if self._rounding:
            return np.flatnonzero(near & ~self.used)
        self.used |= near
        return np.zeros(0, np.int64)

    def _extend_basis(self, row: int, column: np.ndarray) -> None:
        squared = np.square(column)
        self.coordinates[self.rank] = self.coordinates32[self.rank] = column
        self.group_energy[self.rank // GROUP_SIZE] += squared
        self.distance_sq -= squared
        self.basis_rows.append(row)

    def basis_vectors(self, points: np.ndarray, since: int = 0) -> np.ndarray:
        """Directions of the basis from `since` on (n, D), where the rows that gave them are `points` (n, D).

        These are taken from the first row, and without their part in the directions before.
        """
        until = since + len(points)
        corner = self.coordinates[since:until, self.basis_rows[since:until]].T
        return np.linalg.solve(corner.astype(points.dtype), points)

    def farthest_row(self, variance: float) -> int | None:
        """The row farthest from the chosen rows' mean and components up to `variance`; None when that is negligible."""
        residuals, error = self.residuals(variance)
        residuals[self.used] = -np.inf
        rows = np.flatnonzero(residuals + error >= (residuals - error).max())
        exact = np.where(self.used[rows], -np.inf, self.distance_sq[rows] + self._residual_sq(variance, rows))
        best = int(np.argmax(exact))
        return int(rows[best]) if exact[best] > self.negligible else None

    def residuals(self, variance: float) -> tuple[np.ndarray, np.ndarray | float]:
        """Squared distance (N,) of every row from the chosen rows' mean and components up to `variance`, and its error.

        What is left out of the space is measured in single precision where it is not much more than what is kept.
        """
        left_out, kept = self.axes.split(variance)
        if left_out.shape[1] <= 2 * kept.shape[1]:
            squared, error = self._projected_sq32(left_out)
            return self.distance_sq + squared, error
        mean = self.axes.mean
        to_mean = self.first_distance_sq - 2 / len(self.chosen) * self.chosen_products + mean @ mean
        return to_mean - self._projected_sq(kept, np.s_[:]), 0.0

    def residual_products(self, variance: float, row: int) -> np.ndarray:
        """Inner products (N,) of a row's residual with every row's, inside the space."""
        left_out, _ = self.axes.split(variance)
        direction = left_out @ (left_out.T @ (self.coordinates[: self.rank, row] - self.axes.mean))
        return direction @ self.coordinates[: self.rank] - direction @ self.axes.mean

    def _residual_sq(self, variance: float, rows: np.ndarray) -> np.ndarray:
        return self._projected_sq(self.axes.split(variance)[0], rows)

    def _projected_sq(self, components: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
        """Squared distance (n,) of some rows from the mean along some components (rank, k) of the space."""
        along = components.T @ self.coordinates[: self.rank, rows]
        along -= (components.T @ self.axes.mean)[:, None]
        return np.einsum("kn,kn->n", along, along)

    def _projected_sq32(self, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`_projected_sq` of all rows in single precision, and a bound on its error: (N,) both.

        The error of each sum of products is at most `bound` of the sum of their magnitudes (Higham, Accuracy and
        Stability of Numerical Algorithms, 3.5), of whose length over all components Minkowski's and, for each group of
        coordinates, Cauchy's inequality make a product of few numbers.
        """
        bound = (self.rank + 8) * UNIT_ROUNDOFF
        shift = components.T @ self.axes.mean
        along = components.T.astype(np.float32) @ self.coordinates32[: self.rank]
        along -= shift.astype(np.float32)[:, None]
        squared = np.einsum("kn,kn->n", along, along).astype(np.float64)
        starts = np.arange(0, self.rank, GROUP_SIZE)
        weights = np.sqrt(np.add.reduceat(np.square(components).sum(axis=1), starts)) if self.rank else starts
        error = bound * (weights @ np.sqrt(self.group_energy[: len(starts)]) + np.linalg.norm(shift))
        return squared, (2 * np.sqrt(squared) + error) * error + bound * squared
