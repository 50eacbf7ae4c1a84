"""Lags between two signals: their correlation without slow changes, and its peak between samples."""

from __future__ import annotations

import numpy as np

SLOW_S = 1.5  # changes slower than this are not speech
WINDOW_S = 0.05  # of sound, around the middle of a frame


def without_slow(x: np.ndarray, fps: float) -> np.ndarray:
    """A signal (T,) less its moving average over SLOW_S, the ends held."""
    width = 2 * int(SLOW_S * fps / 2) + 1
    padded = np.pad(np.asarray(x, np.float64), width // 2, mode="edge")
    sums = np.concatenate([[0.0], np.cumsum(padded)])
    return x - (sums[width:] - sums[:-width]) / width


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two signals (T,); 0 when one is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 1e-12 else 0.0


def peak_position(curve: np.ndarray) -> float:
    """Where a curve (n,) is highest: between samples by a parabola through the largest and its neighbours."""
    peak = int(curve.argmax())
    if not 0 < peak < len(curve) - 1:
        return float(peak)
    left, middle, right = curve[peak - 1 : peak + 2]
    bend = left - 2 * middle + right
    return peak + 0.5 * (left - right) / bend if bend < 0 else float(peak)
