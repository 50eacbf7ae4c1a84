"""Frames at other times: linear interpolation, for targets of training and for captures at another rate."""

from __future__ import annotations

import numpy as np


def interpolate(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Values (T, ...) at positions (n,) between 0 and T - 1, in frames, linear between neighbours: (n, ...)."""
    low = np.floor(position + 1e-9).astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    weight = np.maximum(position - low, 0.0).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - weight) + values[high] * weight


def resampled_length(num_frames: int, from_fps: float, to_fps: float) -> int:
    """Frames at another rate that lie within the same span of time."""
    return int((num_frames - 1) / from_fps * to_fps + 1e-6) + 1


def resample_frames(frames: np.ndarray, from_fps: float, to_fps: float) -> np.ndarray:
    """Frames (T, ...) at another rate, the first at the same moment: float32."""
    count = resampled_length(len(frames), from_fps, to_fps)
    position = np.minimum(np.arange(count) * from_fps / to_fps, len(frames) - 1)
    return interpolate(frames, position).astype(np.float32)
