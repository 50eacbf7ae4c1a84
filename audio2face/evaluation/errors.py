"""Distances between a predicted and a true mesh, in every convention in use. Pure NumPy.

`truth` and `prediction` are frames (T, V, 3) in data units; `mm` is millimetres per data unit. Results of papers are
comparable only within one convention: what some call lip vertex error differs from the others by its unit, by a square
and by a factor of 3.
"""

from __future__ import annotations

import numpy as np


def vertex_distances(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Euclidean distance of every vertex in every frame: (T, V) float64, data units."""
    return np.sqrt(_squared(truth, prediction))


def lip_vertex_error_max_squared(truth: np.ndarray, prediction: np.ndarray, lips: np.ndarray) -> float:
    """Mean over frames of the largest squared distance of a lip vertex; data units squared.

    mean_t max_v |p_tv - q_tv|^2, v in `lips` (n,). The "LVE" of CodeTalker's evaluation (Xing et al., CVPR 2023).
    """
    return float(_squared(truth[:, lips], prediction[:, lips]).max(axis=1).mean())


def lip_vertex_error_rms(truth: np.ndarray, prediction: np.ndarray, lips: np.ndarray) -> float:
    """Root mean square over frames of the largest distance of a lip vertex; data units.

    sqrt(mean_t max_v |p_tv - q_tv|^2): the square root of `lip_vertex_error_max_squared`.
    """
    return float(np.sqrt(lip_vertex_error_max_squared(truth, prediction, lips)))


def lip_vertex_error_squared_xyz(truth: np.ndarray, prediction: np.ndarray, lips: np.ndarray) -> float:
    """Mean over frames of a lip vertex's largest mean squared difference over x, y, z; data units squared.

    mean_t max_v (1/3) sum_xyz (p_tv - q_tv)^2: a third of `lip_vertex_error_max_squared`, the result of a mean squared
    error over the last axis.
    """
    return lip_vertex_error_max_squared(truth, prediction, lips) / 3


def lip_vertex_error_mm(truth: np.ndarray, prediction: np.ndarray, lips: np.ndarray, mm: float) -> float:
    """Mean over frames of the largest distance of a lip vertex; millimetres.

    mean_t max_v |p_tv - q_tv|: in MeshTalk's words (Richard et al., ICCV 2021) "maximal L2 error of all lip vertices".
    """
    return float(vertex_distances(truth[:, lips], prediction[:, lips]).max(axis=1).mean() * mm)


def mean_vertex_error_mm(truth: np.ndarray, prediction: np.ndarray, mm: float) -> float:
    """Mean distance over frames and vertices; millimetres. mean_tv |p_tv - q_tv|."""
    return float(vertex_distances(truth, prediction).mean() * mm)


def upper_face_dynamics_deviation(
    truth: np.ndarray, prediction: np.ndarray, neutral: np.ndarray, upper: np.ndarray
) -> float:
    """Difference of how much the upper face moves, signed; data units squared; positive: the prediction moves less.

    mean_v (std_t |p_tv - n_v|^2 - std_t |q_tv - n_v|^2), p the truth, n `neutral` (V, 3), v in `upper` (n,). "FDD" as
    CodeTalker's evaluation computes it (Xing et al., CVPR 2023): of squared norms, and errors of both signs cancel.
    """
    still = neutral[upper]
    true, ours = (_squared(x[:, upper], still).std(axis=0) for x in (truth, prediction))
    return float((true - ours).mean())


def upper_face_dynamics_error_mm(
    truth: np.ndarray, prediction: np.ndarray, neutral: np.ndarray, upper: np.ndarray, mm: float
) -> float:
    """Difference of how much each vertex of the upper face moves, absolute; millimetres.

    mean_v |std_t |p_tv - n_v| - std_t |q_tv - n_v||: the former of norms instead of squares, and without cancelling.
    """
    still = neutral[upper]
    true, ours = (vertex_distances(x[:, upper], still).std(axis=0) for x in (truth, prediction))
    return float(np.abs(true - ours).mean() * mm)


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances of (…, 3) to (…, 3): (…) float64."""
    return ((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2).sum(axis=-1)
