"""How the motion of several shots is distributed, in values of any number of columns: distances and variety. Pure NumPy.

Each shot is resampled as a whole: `counts` (1 + R, S) say how often it is drawn, and every function gives a value (1 + R,)
for each row of them, the first of all shots once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio2face.evaluation.curve_metrics import Sums

ENOUGH = 2  # rows for each column, for a covariance
BLOCK = 128  # drawings at once
PAIRS = 10_000
FRAMES = 256  # of each shot from which pairs are drawn


def frechet_distances(truth: Sequence[np.ndarray], ours: Sequence[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Fréchet distance (1 + R,) of the rows (n, K) of true and predicted shots, as `motion.frechet_distance` of all together.

    From each shot's moments, so that a drawing costs no more than two roots of K x K matrices. NaN where a drawing has fewer
    than ENOUGH rows for each column.
    """
    sides = [_moments(rows) for rows in (truth, ours)]
    size = truth[0].shape[1]
    found = []
    for first in range(0, len(counts), BLOCK):
        part = counts[first : first + BLOCK]
        (n, mean_a, cov_a), (_, mean_b, cov_b) = (_pooled(part, side) for side in sides)
        values, vectors = np.linalg.eigh(cov_a)
        root = (vectors * np.sqrt(np.maximum(values, 0))[:, None]) @ np.swapaxes(vectors, 1, 2)
        cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum(axis=1)
        traces = np.trace(cov_a, axis1=1, axis2=2) + np.trace(cov_b, axis1=1, axis2=2)
        distance = ((mean_a - mean_b) ** 2).sum(axis=1) + traces - 2 * cross
        found.append(np.where(n >= max(ENOUGH * size, 2), np.maximum(distance, 0), np.nan))
    return np.concatenate(found)


def pair_distances(
    frames: Sequence[np.ndarray],
    lengths: Sequence[int],
    names: Sequence[str],
    counts: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Mean distance (1 + R,) of two frames of `frames` (n, K), drawn at random from all takes of shots (Div_g).

    mean of |x_i - x_j| over PAIRS pairs, i ≠ j; a take is drawn by its `lengths`, the frames that `frames` stand for. A pair
    counts as often as both of its shots (`names`) were drawn, or the one it is from; both over how often that happens, since
    two copies of a shot are no two shots, whose frames differ more. NaN where there is no pair.
    """
    share = np.asarray(lengths, np.float64)
    if share.sum() < 2:
        return np.full(len(counts), np.nan)
    shots = rng.choice(len(frames), (PAIRS, 2), p=share / share.sum())
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in frames])])
    places = starts[shots] + (rng.random((PAIRS, 2)) * np.diff(starts)[shots]).astype(np.int64)
    shots, places = (x[places[:, 0] != places[:, 1]] for x in (shots, places))
    every = np.concatenate(frames)
    apart = np.linalg.norm(every[places[:, 0]].astype(np.float64) - every[places[:, 1]], axis=1)
    known, first, place = np.unique(list(names), return_index=True, return_inverse=True)
    tables = np.zeros((2, len(known), len(known)))
    for table, values in zip(tables, (apart, np.ones(len(apart))), strict=True):
        np.add.at(table, tuple(place[shots].T), values)
    with np.errstate(invalid="ignore"):
        total, pairs = (_of_pairs(table, counts[:, first]) for table in tables)
        return total / pairs


def _of_pairs(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums (1 + R,) over pairs of shots (S, S) by how often each shot (1 + R, S) was drawn, over the mean of that."""
    drawn = counts[1:]
    together, alone = (sums / max(len(drawn), 1) for sums in (drawn.T @ drawn, drawn.sum(axis=0)))
    apart = np.where(np.eye(len(table)) + (together == 0) > 0, 0.0, table / np.where(together > 0, together, 1))
    same = np.where(alone > 0, np.diag(table) / np.where(alone > 0, alone, 1), 0.0)
    found = np.einsum("rs,st,rt->r", counts, apart, counts, optimize=True) + counts @ same
    found[0] = table.sum()
    return found


def some_frames(rows: np.ndarray) -> np.ndarray:
    """At most FRAMES of rows (n, K), evenly spread over time, float32."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(FRAMES, len(rows))).round().astype(np.int64))
    return rows[chosen].astype(np.float32)


def variance_over_time(values: np.ndarray, known: np.ndarray) -> Sums:
    """Sum and number of (x_t - mean_t x)^2 of values (T, C) that are known: their ratio is the mean variance of a column (Div_k)."""
    x, count = np.where(known, values, 0.0), known.sum(axis=0)
    mean = x.sum(axis=0) / np.maximum(count, 1)
    return float((np.where(known, values - mean, 0.0) ** 2).sum()), float(count.sum())


def variance_over_takes(takes: Sequence[np.ndarray]) -> Sums:
    """Sum and number of the variances of each value of several takes (T, C) over the takes (Div_sample)."""
    variance = np.var(np.stack(takes), axis=0)
    return float(variance.sum()), float(variance.size)


def _moments(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each shot the number of rows (S,), their sum (S, K) and that of their products (S, K, K)."""
    shots = [np.asarray(x, np.float64) for x in rows]
    return (
        np.array([len(x) for x in shots], np.float64),
        np.stack([x.sum(axis=0) for x in shots]),
        np.stack([x.T @ x for x in shots]),
    )


def _pooled(
    counts: np.ndarray, moments: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of rows (R,), mean (R, K) and covariance (R, K, K) of each drawing."""
    n, sums, products = (np.tensordot(counts, part, axes=1) for part in moments)
    mean = sums / np.maximum(n, 1)[:, None]
    covariance = products - n[:, None, None] * mean[:, :, None] * mean[:, None, :]
    return n, mean, covariance / np.maximum(n - 1, 1)[:, None, None]
