"""Rigid motion between point sets (Kabsch), for whole sequences at once."""

from __future__ import annotations

import numpy as np


def fit_rigid(points: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (T, 3, 3) and translation (T, 3), float64, that carry points (T, P, 3) onto target (P, 3).

    Least squares without reflection: R p + t ~ target. W. Kabsch, "A solution for the best rotation to relate two sets
    of vectors", 1976. Raises ValueError on fewer than 3 points or shapes that do not match.
    """
    points = np.asarray(points, np.float64)
    target = np.asarray(target, np.float64)
    if points.ndim != 3 or target.shape != points.shape[1:] or target.shape[0] < 3 or target.shape[1] != 3:
        raise ValueError(
            f"expected points (T, P, 3) and target (P, 3) with P >= 3, got {points.shape} and {target.shape}"
        )
    centre, target_centre = points.mean(axis=1), target.mean(axis=0)
    covariance = np.einsum("tpi,pj->tij", points - centre[:, None], target - target_centre)
    left, _, right = np.linalg.svd(covariance)
    turn = np.ones(left.shape[:2])
    turn[:, 2] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    turn[turn == 0] = 1.0
    rotation = np.einsum("tji,tj,tkj->tik", right, turn, left)
    return rotation, target_centre - np.einsum("tij,tj->ti", rotation, centre)


def rigid_motion(rest: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (T, 3, 3) and shifts (T, 3) that carry rest (P, 3) onto moved (T, P, 3): the inverse of `fit_rigid`."""
    rotation, translation = fit_rigid(moved, rest)
    turns = rotation.transpose(0, 2, 1)
    return turns, -np.einsum("tij,tj->ti", turns, translation)


def stabilize(poses: np.ndarray, vertices: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Poses (T, V, 3) moved rigidly so that `vertices` (P,) match their places in neutral (V, 3): float32 (T, V, 3)."""
    rotation, translation = fit_rigid(poses[:, vertices], neutral[vertices])
    return (np.matmul(poses, rotation.transpose(0, 2, 1)) + translation[:, None]).astype(np.float32)
