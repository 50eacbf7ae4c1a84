"""Fitting principal components to poses, and how well they do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from audio2face.geometry.pca import project, reconstruct
from audio2face.geometry.poses import GIB, PoseSequence
from audio2face.types import Pca

logger = logging.getLogger(__name__)

EXACT_ROWS = 3000  # up to here the Gram matrix is decomposed exactly
COLUMNS = 8192
POWER_ITERATIONS = 4
OVERSAMPLING = 20


@dataclass(frozen=True)
class Fit:
    """A basis, and the share of the fitted poses' variance that it holds."""

    pca: Pca
    share: float


@dataclass(frozen=True)
class ShotError:
    """How a basis reconstructs one shot, in data units: mean and largest vertex distance, and sums of squares.

    `residual` and `variance` are sums over all coordinates of the squared error and the squared distance to the mean.
    """

    mean: float
    largest: float
    residual: float
    variance: float


def fit(poses: np.ndarray, centre: np.ndarray | None, share: float, num_components: int | None = None) -> Fit:
    """Principal components of poses (n, V, 3), about `centre` (V, 3) or about their mean.

    As many as it takes to exceed `share` of the variance, or `num_components`. Exact (inner products in float64) for up
    to 3000 poses, beyond by randomised subspace iteration (Halko, Martinsson, Tropp 2011). Each component's value of
    largest magnitude is positive. Poses without any variance give one component of zeros.
    Raises ValueError when there are fewer independent poses than `num_components`.
    """
    rows = poses.reshape(len(poses), -1)
    mean = (rows.mean(axis=0, dtype=np.float64) if centre is None else centre.reshape(-1)).astype(np.float32)
    most = min(rows.shape)
    if num_components is not None and num_components > most:
        raise ValueError(
            f"{num_components} components cannot come from {len(rows)} poses of {rows.shape[1]} coordinates"
        )
    total = sum(float(np.square(block).sum()) for _, block in _columns(rows, mean))
    if total <= len(rows) * float(np.square(mean.astype(np.float64)).sum()) * 1e-14:  # rounding of float32
        count = num_components or 1
        empty = np.zeros((count, *poses.shape[1:]), np.float32)
        return Fit(Pca(empty, mean.reshape(poses.shape[1:]), np.zeros(count, np.float32)), 1.0)
    if len(rows) <= EXACT_ROWS:
        values, basis = _exact(rows, mean, lambda v: num_components or count_for_share(v, share))
    else:
        values, basis = _randomized(rows, mean, total, share, num_components)
    basis = _fix_signs(np.linalg.qr(basis)[0])
    pca = Pca(
        np.ascontiguousarray(basis.T, np.float32).reshape(-1, *poses.shape[1:]),
        mean.reshape(poses.shape[1:]),
        (values / len(rows)).astype(np.float32),
    )
    return Fit(pca, float(values.sum() / total))


def count_for_share(values: np.ndarray, share: float) -> int:
    """How many of the descending variances `values` it takes for their sum to exceed `share` of the total."""
    total = values.sum()
    if total <= 0:
        return 0
    count = int(np.searchsorted(np.cumsum(values) / total, share, side="right")) + 1
    return min(count, int(np.count_nonzero(values > total * np.finfo(np.float64).eps)))


def _columns(rows: np.ndarray, mean: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of columns of the centred rows in float64."""
    for start in range(0, rows.shape[1], COLUMNS):
        part = slice(start, start + COLUMNS)
        yield part, rows[:, part].astype(np.float64) - mean[part]


def _exact(rows: np.ndarray, mean: np.ndarray, count: Callable[[np.ndarray], int]) -> tuple[np.ndarray, np.ndarray]:
    gram = np.zeros((len(rows), len(rows)))
    for _, block in _columns(rows, mean):
        gram += block @ block.T
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    kept = min(count(values), rows.shape[1])
    basis = np.empty((rows.shape[1], kept))
    scale = np.sqrt(np.maximum(values[:kept], values[0] * 1e-15))
    for part, block in _columns(rows, mean):
        basis[part] = block.T @ (vectors[:, :kept] / scale)
    return values[:kept], basis


def _randomized(
    rows: np.ndarray, mean: np.ndarray, total: float, share: float, num_components: int | None
) -> tuple[np.ndarray, np.ndarray]:
    most = min(rows.shape)
    wanted = num_components or 64
    while True:
        size = min(wanted + OVERSAMPLING, most)
        basis = np.linalg.qr(np.random.default_rng(0).standard_normal((rows.shape[1], size)).astype(np.float32))[0]
        for _ in range(POWER_ITERATIONS):
            basis = np.linalg.qr(_covariance_times(rows, mean, basis))[0].astype(np.float32)
        image = basis.T @ _covariance_times(rows, mean, basis)
        values, turn = np.linalg.eigh((image + image.T) / 2)
        values, turn = np.maximum(values[::-1], 0.0), turn[:, ::-1]
        shares = np.cumsum(values[:wanted]) / total
        if num_components is not None or shares[-1] > share or size == most:
            kept = num_components or min(int(np.searchsorted(shares, share, side="right")) + 1, len(shares))
            return values[:kept], (basis @ turn[:, :kept]).astype(np.float64)
        wanted = min(2 * wanted, most)


def _covariance_times(rows: np.ndarray, mean: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Centred rowsᵀ rows @ basis, summed in float64 over blocks of rows: (D, k)."""
    out = np.zeros(basis.shape)
    for start in range(0, len(rows), 512):
        block = rows[start : start + 512] - mean
        out += block.T @ (block @ basis)
    return out


def _fix_signs(basis: np.ndarray) -> np.ndarray:
    """Columns with their value of largest magnitude made positive."""
    largest = np.argmax(np.abs(basis), axis=0)
    return basis * np.where(basis[largest, np.arange(basis.shape[1])] < 0, -1.0, 1.0)


def project_sequence(pca: Pca, sequence: PoseSequence, memory: float = 2 * GIB) -> tuple[np.ndarray, ShotError]:
    """Coefficients (T, K) float32 of every frame of a shot, and the error of its reconstruction, in one pass.

    Raises FloatingPointError naming the first frame that is not finite.
    """
    coeffs = np.empty((sequence.num_frames, pca.num_components), np.float32)
    size = max(1, int(memory / 32 / (4 * pca.mean.size)))
    distances = largest = residual = variance = 0.0
    for start in range(0, sequence.num_frames, size):
        frames = np.arange(start, min(start + size, sequence.num_frames))
        poses = sequence.read(frames)
        coeffs[frames] = project(pca, poses)
        if not np.isfinite(coeffs[frames]).all():
            bad = int(frames[~np.isfinite(coeffs[frames]).all(axis=1)][0])
            raise FloatingPointError(f"frame {bad} holds values that are not finite")
        error = reconstruct(pca, coeffs[frames]) - poses
        squared = np.einsum("nvc,nvc->nv", error, error)
        distances += float(np.sqrt(squared).sum(dtype=np.float64))
        largest = max(largest, float(np.sqrt(squared.max())))
        residual += float(squared.sum(dtype=np.float64))
        variance += float(np.square(poses - pca.mean).sum(dtype=np.float64))
    count = sequence.num_frames * pca.mean.shape[0]
    return coeffs, ShotError(distances / count, largest, residual, variance)
