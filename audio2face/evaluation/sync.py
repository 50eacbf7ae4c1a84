"""Synchrony of face and sound. Pure NumPy."""

from __future__ import annotations

import numpy as np

from audio2face.audio.sync import WINDOW_S, correlation, peak_position, without_slow

REACH_S = 0.4  # lags looked at, to either side
BEAT_SIGMA_S = 0.05
STILL = 1e-5  # a range that is this small a share of the values is rounding
FLOOR = 1e-3  # of the loudest frame: quieter is silence


def speech_energy(samples: np.ndarray, rate: int, fps: float, num_frames: int) -> np.ndarray:
    """Log of the sound's RMS in WINDOW_S around the middle of each frame: (num_frames,), frame i at (i + 0.5) / fps."""
    centres = (np.arange(num_frames) + 0.5) / fps * rate
    half = WINDOW_S / 2 * rate
    edges = np.clip(np.round([centres - half, centres + half]), 0, len(samples)).astype(np.int64)
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(samples, np.float64) ** 2)])
    power = np.maximum(sums[edges[1]] - sums[edges[0]], 0) / (2 * half)
    rms = np.sqrt(power)
    return np.log(np.maximum(rms, FLOOR * max(float(rms.max(initial=0.0)), 1e-9)))


def lag_ms(reference: np.ndarray, signal: np.ndarray, fps: float) -> float:
    """By how much a signal (T,) is later than a reference (T,), in milliseconds; NaN when either does not change.

    The lag within ±REACH_S with the greatest correlation of the two over the frames that they share, both without
    slow changes; between frames by a parabola through the peak. Audio–mouth lag is that of the mouth's
    opening behind `speech_energy`.
    """
    reach = min(int(round(REACH_S * fps)), len(signal) // 2)
    if reach < 1 or any(np.ptp(x) <= STILL * np.abs(x).max() for x in (reference, signal)):
        return float("nan")
    a, b = without_slow(reference, fps), without_slow(signal, fps)
    curve = np.array([_shifted_correlation(a, b, lag) for lag in range(-reach, reach + 1)])
    return float((peak_position(curve) - reach) * 1000 / fps)


def beat_alignment(audio_beats_s: np.ndarray, motion_beats_s: np.ndarray, sigma_s: float = BEAT_SIGMA_S) -> float:
    """How close every beat of the motion is to one of the sound, 0 to 1; NaN when either has none.

    mean over motion beats m of exp(-min_a (m - a)^2 / (2 sigma^2)), as in AI Choreographer (Li et al., ICCV 2021),
    whose sigma is 3 frames at 60 a second.
    """
    if not len(audio_beats_s) or not len(motion_beats_s):
        return float("nan")
    apart = np.abs(np.asarray(motion_beats_s)[:, None] - np.asarray(audio_beats_s)[None]).min(axis=1)
    return float(np.exp(-(apart**2) / (2 * sigma_s**2)).mean())


def audio_beats(energy: np.ndarray, fps: float) -> np.ndarray:
    """Seconds (n,) at which sound sets in: peaks of the rise of `speech_energy` (T,) above its standard deviation."""
    rise = np.maximum(np.diff(np.asarray(energy, np.float64)), 0)
    return (_peaks(rise, rise.std()) + 1.0) / fps  # a difference lies between two frames


def motion_beats(points: np.ndarray, fps: float) -> np.ndarray:
    """Seconds (n,) at which points (T, V, 3) come to rest: local minima of their mean speed."""
    speed = np.linalg.norm(np.diff(np.asarray(points, np.float64), axis=0), axis=-1).mean(axis=1)
    return (_peaks(-speed, -np.inf) + 1.0) / fps


def _peaks(x: np.ndarray, least: float) -> np.ndarray:
    inner = x[1:-1]
    return np.flatnonzero((inner > x[:-2]) & (inner >= x[2:]) & (inner > least)) + 1


def _shifted_correlation(a: np.ndarray, b: np.ndarray, lag: int) -> float:
    """Correlation of a_t with b_t+lag."""
    count = len(a) - abs(lag)
    x = a[max(0, -lag) : max(0, -lag) + count]
    y = b[max(0, lag) : max(0, lag) + count]
    return correlation(x, y)
