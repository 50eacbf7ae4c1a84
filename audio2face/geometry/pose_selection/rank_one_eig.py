"""PCA of points that come one at a time: a rank-one update of the eigendecomposition instead of a new one."""

from __future__ import annotations

import numpy as np

from audio2face.geometry.pca_fit import count_for_share

EPS = float(np.finfo(np.float64).eps)
DIRECT_SIZE = 128  # matrices up to here are as quickly decomposed
ITERATIONS = 16  # of the search for eigenvalues; about eight are needed


class IncrementalPca:
    """Axes and variances of points about their mean; the first point is the origin.

    `values` (r,) are the sums of squares along the axes `vectors` (r, r), in columns, ascending.
    """

    def __init__(self) -> None:
        self.count = 1
        self.mean = np.zeros(0)
        self.values = np.zeros(0)
        self.vectors = np.zeros((0, 0))

    def add(self, point: np.ndarray) -> None:
        """Take in a point (r,) or (r + 1,): one more coordinate means a new dimension, in which all others are zero."""
        old = len(self.mean)
        off = point - np.append(self.mean, np.zeros(len(point) - old))
        along = self.vectors.T @ off[:old]
        values = self.values
        if len(point) > old:  # the new dimension is the axis of least variance, none
            along, values = np.append(off[old], along), np.append(0.0, values)
        self.values, turn = rank_one_update(values, along, self.count / (self.count + 1))
        if len(point) > old:
            self.vectors = np.concatenate([self.vectors @ turn[1:], turn[:1]])
        else:
            self.vectors = self.vectors @ turn
        self.count += 1
        self.mean = point - off * ((self.count - 1) / self.count)

    def split(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Axes that hold little of the variance (r, d) and those that together exceed `share` of it (r, k)."""
        left_out = len(self.values) - count_for_share(np.maximum(self.values[::-1], 0.0), share)
        return self.vectors[:, :left_out], self.vectors[:, left_out:]


def rank_one_update(values: np.ndarray, z: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (r,) ascending and eigenvectors (r, r), in columns, of diag(values) + weight z zᵀ; weight > 0.

    `values` (r,) ascend. The eigenvalues are the roots of the secular equation, one above each old one; the vectors are
    those of a z slightly changed to which these roots belong exactly, and so orthonormal to rounding (Gu, Eisenstat
    1994). In place of deflation, equal values and zeros of z are moved apart by a rounding error of the whole. Where the
    roots are slow to find, as among many equal values, and for small matrices, LAPACK decomposes diag(values) + weight z zᵀ.
    """
    total = weight * float(z @ z)
    scale = max(float(values.max(initial=0.0)), total)
    if total <= EPS**2 * scale:
        return values, np.eye(len(values))
    steps = np.arange(len(values)) * (4 * EPS * scale)
    poles = np.maximum.accumulate(values - steps) + steps
    z = np.copysign(np.maximum(np.abs(z), EPS * scale / np.sqrt(weight * total)), z)
    found = _secular_roots(poles, weight * np.square(z)) if len(poles) > DIRECT_SIZE else None
    if found is None:
        return np.linalg.eigh(np.diag(poles) + weight * np.outer(z, z))
    roots, gaps = found
    vectors = np.copysign(_loewner_z(poles, gaps), z) / gaps
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return roots, vectors.T


def _secular_roots(poles: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Roots (r,) of 1 + sum over j of squares_j / (poles_j - x), one between each pole and the next, and one above all.

    Also the poles less each root, (r, r) [root, pole], free of cancellation: a root is held as its distance from the
    nearer pole. None where that takes too many rounds.
    """
    ends = np.append(poles, poles[-1] + squares.sum())
    width = np.append(np.diff(poles), squares.sum())
    half = width / 2
    value = 1 + (1 / (poles - (poles + half)[:, None])) @ squares
    right = value < 0  # the root is nearer to the right end
    right[-1] = False  # which is no pole there
    side = np.where(right, -1.0, 1.0)
    near = np.arange(len(poles)) + right
    low, high = np.where(right, -half, 0.0), np.where(right, 0.0, half)
    low[-1], high[-1] = 0.0, width[-1] * (1 + 4 * EPS)
    weights = np.append(squares, 0.0)
    near_square, other_square = weights[near], weights[near + side.astype(int)]
    constant = value + side * (near_square - other_square) / half
    offset = side * half + _two_pole_root(constant, near_square, other_square, -side * half, side * half)
    offset = np.where((offset > low) & (offset < high), offset, (low + high) / 2)
    todo = np.arange(len(poles))
    for _ in range(ITERATIONS):
        inverse = 1 / ((poles - ends[near[todo], None]) - offset[todo, None])
        value = 1 + inverse @ squares
        coarse = np.abs(value) > (1 + np.abs(inverse) @ squares) * (EPS * len(poles))
        if not coarse.any():
            return ends[near] + offset, (poles - ends[near, None]) - offset[:, None]
        slope = (np.square(inverse, out=inverse) @ squares)[coarse]
        todo, value = todo[coarse], value[coarse]
        here = offset[todo]
        low[todo], high[todo] = np.where(value < 0, here, low[todo]), np.where(value < 0, high[todo], here)
        to_near, to_other, square = -here, side[todo] * width[todo] - here, near_square[todo]
        rest = (slope - square / np.square(to_near)) * to_other  # of the other terms, all put at the other end
        moved = here + _two_pole_root(value - square / to_near - rest, square, rest * to_other, to_near, to_other)
        inside = (moved > low[todo]) & (moved < high[todo])
        offset[todo] = np.where(inside, moved, (low[todo] + high[todo]) / 2)
    return None


def _two_pole_root(
    constant: np.ndarray, near_square: np.ndarray, other_square: np.ndarray, near: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """The root x (n,) between the two poles of constant + near_square / (near - x) + other_square / (other - x)."""
    linear = constant * (near + other) + near_square + other_square
    product = constant * near * other + near_square * other + other_square * near
    with np.errstate(all="ignore"):  # what is not finite is refused
        root = np.sqrt(np.maximum(linear**2 - 4 * constant * product, 0.0))
        return np.where(linear > 0, 2 * product / (linear + root), (linear - root) / (2 * constant))


def _loewner_z(poles: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """|z| (r,), up to a factor, of the update whose roots lie `gaps` (r, r) from the poles (Löwner's formula)."""
    between = poles - poles[:, None]
    others = np.where(np.tri(len(poles), dtype=bool), np.roll(between, -1, axis=0), between)
    others[-1] = -1.0
    return np.sqrt(np.prod(gaps / others, axis=0))
