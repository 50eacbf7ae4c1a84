"""Seams between frames that are kept and frames that are made anew: what the kept ones have and the new ones lack is faded.

NumPy only.
"""

from __future__ import annotations

import numpy as np

from audio2face.render.pictures import spans

KEY_FRAMES, KEYS = 3, 2.5  # so few kept frames are a key, whose surroundings are blended so much longer


def fade(residual: np.ndarray, kept: np.ndarray, blend: float) -> np.ndarray:
    """(T, ...) to add to frames made anew so that nothing jumps at kept ones.

    `residual` (T, ...) is what kept frames (T,) bool have beyond what was made of them; from each of them it is faded by a
    smooth step over `blend` frames on either side, from keys over KEYS times as many: there is no motion beside them that leads
    into the new one. Between two that are nearer than that, one goes over into the other.
    """
    out = residual * kept.reshape(-1, *[1] * (residual.ndim - 1))
    places = np.flatnonzero(kept)
    if not len(places) or kept.all():
        return out
    frames = np.flatnonzero(~kept)
    after = np.searchsorted(places, frames)
    left, right = places[np.maximum(after - 1, 0)], places[np.minimum(after, len(places) - 1)]
    from_left = np.where(after > 0, (frames - left).astype(np.float64), np.inf)
    to_right = np.where(after < len(places), (right - frames).astype(np.float64), np.inf)
    reach = blend * np.where(_alone(kept), KEYS, 1.0)
    reach_left = np.minimum(reach[left], np.where(np.isfinite(to_right), from_left + to_right, np.inf))
    weight_left = np.where(np.isfinite(from_left), smooth_step(1 - from_left / np.maximum(reach_left, 1e-9)), 0.0)
    reach_right = np.minimum(reach[right], np.where(np.isfinite(from_left), from_left + to_right, np.inf))
    weight_right = np.where(np.isfinite(to_right), smooth_step(1 - to_right / np.maximum(reach_right, 1e-9)), 0.0)
    shape = (-1, *[1] * (residual.ndim - 1))
    out[frames] = weight_left.reshape(shape) * residual[left] + weight_right.reshape(shape) * residual[right]
    return out


def _alone(kept: np.ndarray) -> np.ndarray:
    """(T,) bool: kept frames in runs of at most KEY_FRAMES."""
    found = np.zeros(len(kept), bool)
    for first, end in spans(kept):
        found[first:end] = end - first <= KEY_FRAMES
    return found


def smooth_step(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, 3x² - 2x³ between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def border_jumps(values: np.ndarray, kept: np.ndarray, reach: int = 2) -> np.ndarray:
    """Second differences (n, ...) of values (T, ...) within `reach` frames of the borders between kept and new frames."""
    borders = np.flatnonzero(np.diff(kept.astype(np.int8)))
    second = np.abs(np.diff(values, 2, axis=0))
    near = sorted({i for b in borders for i in range(b - reach, b + reach) if 0 <= i < len(second)})
    return second[near]
