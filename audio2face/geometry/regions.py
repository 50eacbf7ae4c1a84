"""Regions of a face: vertices named by a mask or a list, lip and lid measures, the upper face. Y is up, z forward.

The distance functions index and subtract only, so they take NumPy arrays and tensors alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

UP, FORWARD = 1, 2
HEAD_M, HEAD_RATIO = 0.27, 2.8  # usual largest extent of a head mesh; times larger or smaller: still a head
INWARD = -0.1  # of all faces looking outward; a mesh below is mirrored, or its faces are turned


def chosen_vertices(values: Any, num_vertices: int) -> np.ndarray:
    """The vertices (n,) that `values` name: a mask of zeros and ones, one for each vertex, or a list of their numbers.

    Raises ValueError for anything else. Zeros and ones that are not as many as the vertices are refused: they would be
    a mask of another mesh, or nothing but the vertices 0 and 1.
    """
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "biuf":
        raise _no_vertices(num_vertices, f"{array.shape} of {array.dtype}")
    if np.isin(array, (0, 1)).all():
        if len(array) != num_vertices:
            raise _no_vertices(
                num_vertices, f"{len(array)} zeros and ones: a mask of another mesh, or vertices 0 and 1?"
            )
        if not array.any():
            raise _no_vertices(num_vertices, "a mask of zeros, which selects no vertex")
        return np.flatnonzero(array)
    if array.dtype.kind not in "iu" or array.min() < 0:
        raise _no_vertices(num_vertices, f"{array.dtype} from {array.min():g} to {array.max():g}")
    if array.max() >= num_vertices:
        raise ValueError(f"vertex {array.max()} does not exist; the mesh has vertices 0 to {num_vertices - 1}")
    return array.astype(np.int64)


def _no_vertices(num_vertices: int, found: str) -> ValueError:
    expected = (
        f"a mask of {num_vertices} zeros and ones, one for each vertex, or a list of vertices (whole numbers >= 0)"
    )
    return ValueError(f"expected {expected}, found {found}")


def opening(poses: Any, upper: Any, lower: Any) -> Any:
    """Height of upper over lower vertices: poses (..., V, 3), indices (n,) and (n,) -> (..., n) in the poses' unit."""
    return poses[..., upper, UP] - poses[..., lower, UP]


def mean_opening(poses: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Mean opening of the pairs: (..., V, 3) -> (...); of the lips' pairs the mouth opening, of the lids' the eyes'."""
    return opening(poses, upper, lower).mean(axis=-1)


def mouth_opening_correlation(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Pearson's correlation over frames, -1 to 1; NaN when either does not change."""
    a, b = (np.asarray(x, np.float64) - np.mean(x, dtype=np.float64) for x in (truth, prediction))
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size > 0 else float("nan")


def mouth_opening_error_mm(truth: np.ndarray, prediction: np.ndarray, mm: float) -> float:
    """Mean absolute difference over frames; millimetres. mean_t |p_t - q_t|."""
    return float(np.abs(opening_difference(truth, prediction)).mean() * mm)


def mouth_opening_relative_error(truth: np.ndarray, prediction: np.ndarray, rest: float) -> float:
    """Mean absolute difference as a share of that of a mouth that stays at `rest`, the mean pose's opening.

    sum_t |p_t - q_t| / sum_t |p_t - rest|: 0 is perfect, 1 no better than the mean pose. NaN when the truth is at rest.
    """
    still = np.abs(np.asarray(truth, np.float64) - rest).sum()
    return float(np.abs(opening_difference(truth, prediction)).sum() / still) if still > 0 else float("nan")


def opening_difference(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return np.asarray(truth, np.float64) - np.asarray(prediction, np.float64)


def lip_vertices(*pairs: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray | None:
    """Every vertex (n,) of the lips' lists, once; None without any list."""
    found = [side for pair in pairs if pair is not None for side in pair]
    return np.unique(np.concatenate(found)) if found else None


def outwardness(points: np.ndarray, triangles: np.ndarray) -> float:
    """How far the faces (F, 3) of a mesh (V, 3) look outward: 1 all of them, -1 all inward, as mirroring leaves them.

    It is their volume, over that of the same faces turned as well as possible; of a mesh that is open it is taken from
    a point behind its middle.
    """
    corners = np.asarray(points, np.float64)[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inside = corners.reshape(-1, 3).mean(axis=0)
    inside[FORWARD] = corners[..., FORWARD].min() - 0.1 * np.ptp(corners.reshape(-1, 3), axis=0).max()
    away = corners.mean(axis=1) - inside
    largest = float((np.linalg.norm(normals, axis=1) * np.linalg.norm(away, axis=1)).sum())
    return float((normals * away).sum()) / largest if largest > 0 else 0.0


def looks_inward(points: np.ndarray, triangles: np.ndarray | None) -> bool:
    """Whether the faces (F, 3) of a mesh (V, 3) look inward on the whole; not without faces that belong to it."""
    if triangles is None or not triangles.size or triangles.min() < 0 or triangles.max() >= len(points):
        return False
    return outwardness(points, triangles) < INWARD


def upper_face_mask(neutral: np.ndarray, lower_lids: np.ndarray) -> np.ndarray:
    """How much each vertex belongs to the upper front of the face: neutral (V, 3), lids (2,) left and right -> (V,).

    The product of two logistic steps: above the lower lids in y, and less than one eye distance behind them in z. The
    distance between the eyes is taken between the two lids; half of it is the steepness, in the inverse of the unit.
    """
    lids = np.asarray(neutral, np.float64)[np.asarray(lower_lids)]
    eye_distance = float(np.linalg.norm(lids[0] - lids[1]))
    height, depth = lids[:, UP].mean(), lids[:, FORWARD].mean() - eye_distance
    steepness = eye_distance / 2
    above = _logistic(steepness * (neutral[:, UP] - height))
    front = _logistic(steepness * (neutral[:, FORWARD] - depth))
    return (above * front).astype(np.float32)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, np.float64)))
