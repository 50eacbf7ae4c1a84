"""How a face moves: speed, smoothness, variety, and distances between distributions. Pure NumPy.

Frames are (T, V, 3) in data units, `mm` millimetres per data unit.
"""

from __future__ import annotations

import itertools

import numpy as np


def velocity_error_mm_s(truth: np.ndarray, prediction: np.ndarray, fps: float, mm: float) -> float:
    """Mean distance between the velocities of all vertices; millimetres per second; NaN below 2 frames.

    mean_tv |(p_t+1 - p_t) - (q_t+1 - q_t)| * fps.
    """
    if len(truth) < 2:
        return float("nan")
    difference = np.asarray(truth, np.float64) - np.asarray(prediction, np.float64)
    return float(np.linalg.norm(np.diff(difference, axis=0), axis=-1).mean() * fps * mm)


def mean_jerk_mm_s3(frames: np.ndarray, fps: float, mm: float) -> float:
    """Mean size of the third difference over time; millimetres per second cubed; NaN below 4 frames.

    mean_tv |x_t+3 - 3 x_t+2 + 3 x_t+1 - x_t| * fps^3.
    """
    if len(frames) < 4:
        return float("nan")
    return float(np.linalg.norm(np.diff(np.asarray(frames, np.float64), 3, axis=0), axis=-1).mean() * fps**3 * mm)


def jerk_ratio(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean jerk of the prediction over that of the truth: 1 is as smooth, less is smoother, more is rougher.

    NaN below 4 frames or when the truth has none.
    """
    true = mean_jerk_mm_s3(truth, 1.0, 1.0)
    return mean_jerk_mm_s3(prediction, 1.0, 1.0) / true if true > 0 else float("nan")


def diversity_mm(samples: np.ndarray, mm: float) -> float:
    """How much several animations (S, T, V, 3) of one sound differ; millimetres; NaN for a single one.

    Mean over pairs of samples, frames and vertices of the distance.
    """
    pairs = list(itertools.combinations(range(len(samples)), 2))
    if not pairs:
        return float("nan")
    apart = [np.linalg.norm(np.asarray(samples[a], np.float64) - samples[b], axis=-1).mean() for a, b in pairs]
    return float(np.mean(apart) * mm)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of the normal distributions fitted to rows a (n, K) and b (m, K); unit of the values squared.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2) with covariances A and B (Dowson & Landau 1982; on network
    features known as FID). Needs clearly more rows than columns. NaN below 2 rows.
    """
    if min(len(a), len(b)) < 2:
        return float("nan")
    a, b = (np.atleast_2d(np.asarray(x, np.float64)) for x in (a, b))
    cov_a, cov_b = (np.cov(x, rowvar=False).reshape(x.shape[1], -1) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    shift = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    return float(max(shift + np.trace(cov_a) + np.trace(cov_b) - 2 * cross, 0.0))


def real_time_factor(computed_s: float, sound_s: float) -> float:
    """Seconds of computing for each second of sound: below 1 is faster than real time."""
    return computed_s / sound_s
