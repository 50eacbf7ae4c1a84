"""Errors of curves, rotations and joints over the values that are known, as sums that add up over shots. Pure NumPy.

`truth` and `prediction` are values over time, `known` which of the true ones are real: what stands at the others, in either,
has no effect. A pair (total, count) is a mean in two parts, so that shots are pooled by adding both.
"""

from __future__ import annotations

import numpy as np

from audio2face.face.rotations import geodesic_degrees

Sums = tuple[float, float]
STILL = 1e-6  # a spread that is this small a share of the values is rounding


def absolute_error(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> Sums:
    """Sum and number of |p - q| of values (T, C)."""
    return _sums(np.abs(_difference(truth, prediction, known)), known)


def squared_error(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> Sums:
    """Sum and number of (p - q)^2 of values (T, C)."""
    return _sums(_difference(truth, prediction, known) ** 2, known)


def relative_error(truth: np.ndarray, prediction: np.ndarray, rest: np.ndarray, known: np.ndarray) -> Sums:
    """Sum of (p - q)^2, and that of (p - r)^2 of a pose `rest` (C,) that is held: of both 1 - explained variance.

    0 is perfect, 1 no better than to hold the pose.
    """
    still = np.broadcast_to(rest, np.shape(truth))
    return squared_error(truth, prediction, known)[0], squared_error(truth, still, known)[0]


def velocity_error(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray, fps: float) -> Sums:
    """Sum and number of |(p_t+1 - p_t) - (q_t+1 - q_t)| * fps of values (T, C), where both frames are known."""
    both = together(known, 2)
    return _sums(np.abs(np.diff(_difference(truth, prediction, known), axis=0)) * fps, both)


def jerk(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> Sums:
    """Sums of |third difference over time| of the prediction and of the truth (T, C), where all four frames are known.

    Their ratio is 1 for as smooth, less for smoother, more for rougher motion.
    """
    four = together(known, 4)
    sides = (np.abs(np.diff(_only(x, known), 3, axis=0)) for x in (prediction, truth))
    ours, true = (float(np.where(four, side, 0).sum()) for side in sides)
    return ours, true


def angle_error(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> Sums:
    """Sum and number of the angles in degrees between rotations (T, R, 3, 3), `known` (T, R)."""
    return _sums(geodesic_degrees(*_turns(truth, prediction, known)), known)


def angular_velocity_error(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray, fps: float) -> Sums:
    """Sum and number of the angles between the turns from frame to frame of rotations (T, R, 3, 3), degrees a second."""
    steps = [np.swapaxes(x[:-1], -1, -2) @ x[1:] for x in _turns(truth, prediction, known)]
    return _sums(geodesic_degrees(*steps) * fps, together(known, 2))


def joint_error(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray, centred: bool = False) -> Sums:
    """Sum and number of the distances of joints (T, J, 3) in the frames that are `known` (T,), in their unit.

    `centred`: with the first joint of both in one place ("MPJPE" after aligning the root).
    """
    apart = _difference(truth, prediction, known[:, None, None])
    if centred:
        apart = apart - apart[:, :1]
    distances = np.linalg.norm(apart, axis=-1)
    return _sums(distances, np.broadcast_to(known[:, None], distances.shape))


def moments(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Of every column x, y of (T, C): n and the sums of x, y, xx, yy, xy, |x - y|, (x - y)^2, (C, 8)."""
    x, y = (_only(side, known) for side in (truth, prediction))
    rows = [known.astype(np.float64), x, y, x * x, y * y, x * y, np.abs(x - y), (x - y) ** 2]
    return np.stack([row.sum(axis=0) for row in rows], axis=-1)


def spreads(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations of truth and prediction (...) of `moments` (..., 8); NaN where nothing is known."""
    n, x, y, xx, yy = np.moveaxis(sums, -1, 0)[:5]
    with np.errstate(invalid="ignore", divide="ignore"):
        return tuple(np.sqrt(np.maximum(b / n - (a / n) ** 2, 0)) for a, b in ((x, xx), (y, yy)))  # type: ignore[return-value]


def correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation (...) of `moments` (..., 8); NaN where a side does not move."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)[:6]
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = [np.where(b - a * a / n > STILL**2 * b, b - a * a / n, np.nan) for a, b in ((x, xx), (y, yy))]
        return (xy - x * y / n) / np.sqrt(parts[0] * parts[1])


def together(known: np.ndarray, count: int) -> np.ndarray:
    """Where `count` successive frames of (T, ...) are known: (T - count + 1, ...)."""
    length = max(len(known) - count + 1, 0)
    return np.logical_and.reduce([known[k : k + length] for k in range(count)])


def _only(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.where(known, np.asarray(values, np.float64), 0.0)


def _difference(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> np.ndarray:
    return _only(truth, known) - _only(prediction, known)


def _turns(truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    """Both with no turn where nothing is known."""
    return [np.where(known[..., None, None], np.asarray(x, np.float64), np.eye(3)) for x in (truth, prediction)]


def _sums(values: np.ndarray, known: np.ndarray) -> Sums:
    return float(np.where(known, values, 0).sum()), float(known.sum())
