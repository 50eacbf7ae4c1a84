"""Lags between two signals: their correlation without slow changes, and its peak between samples.

A mouth opens while sound comes out of it, so the slow changes of both agree. Their correlation over a range of lags peaks
where they are in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SLOW_S = 1.5  # changes slower than this are not speech
WINDOW_S = 0.05  # of sound, around the middle of a frame
RANGE_S = 0.8  # lags looked at, to either side
BANDS, TOP_HZ = 20, 7600.0
SHORTEST_S = 2.0
CLEAR = 0.35  # correlation from which a peak is believed
NEAR = 2  # frames around the usual lag
MIN_SHOTS = 3  # for a usual lag


@dataclass(frozen=True)
class Lag:
    """How a shot's sound lies against its mouth: `frames` > 0 when the sound comes late; correlation there, and by lag."""

    shot: str
    frames: float
    correlation: float
    curve: np.ndarray  # (2 margin + 1,) correlation at lags -margin … margin

    @property
    def margin(self) -> int:
        """The largest shift that was tried, in the curve's steps."""
        return len(self.curve) // 2

    def at(self, frames: float) -> float:
        """Correlation at a lag."""
        return float(np.interp(frames, np.arange(-self.margin, self.margin + 1), self.curve))

    def near(self, frames: float) -> float:
        """Largest correlation within a few frames of a lag."""
        return max(self.at(frames + step) for step in range(-NEAR, NEAR + 1))


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


def margin_frames(fps: float) -> int:
    """Frames of sound needed before and after a shot."""
    return int(round(RANGE_S * fps))


def mel_energy(samples: np.ndarray, rate: int, fps: float, num_frames: int, margin: int) -> np.ndarray:
    """Mean log energy over mel bands, around the middle of every frame: (num_frames + 2 margin,), frame 0 at `margin`."""
    half = int(WINDOW_S / 2 * rate)
    centres = ((np.arange(-margin, num_frames + margin) + 0.5) / fps * rate).round().astype(int)
    window = np.hanning(2 * half)
    frequencies = np.fft.rfftfreq(2 * half, 1 / rate)
    bands = _mel_bands(frequencies, min(TOP_HZ, 0.475 * rate))
    heard = (centres >= 0) & (centres <= len(samples))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, half), 2 * half)
    power = np.zeros((len(centres), BANDS))
    for first in range(0, len(centres), 256):
        part = slice(first, first + 256)
        around = windows[np.clip(centres[part], 0, len(windows) - 1)] * window
        power[part] = np.abs(np.fft.rfft(around, axis=1)) ** 2 @ bands.T
    power[~heard] = 0
    return np.log(power + 1e-6 * power.mean() + 1e-12).mean(axis=1)


def frame_levels(samples: np.ndarray, rate: int, fps: float, num_frames: int) -> np.ndarray:
    """RMS of the sound of every frame, (num_frames,)."""
    edges = np.clip((np.arange(num_frames + 1) / fps * rate).round().astype(int), 0, len(samples))
    sums = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])[edges]
    return np.sqrt(np.maximum(np.diff(sums), 0) / np.maximum(np.diff(edges), 1))


def find_lag(shot: str, energy: np.ndarray, opening: np.ndarray, fps: float) -> Lag | None:
    """The lag of energy (T + 2 margin,) against opening (T,); None for a shot that is too short or does not change."""
    count = len(opening)
    margin = (len(energy) - count) // 2
    if count < SHORTEST_S * fps:
        return None
    mouth, sound = without_slow(opening, fps), without_slow(energy, fps)
    if mouth.std() < 1e-6 * (np.abs(opening).max() + 1e-12) or sound.std() < 1e-6:
        return None
    curve = np.array([correlation(sound[lag : lag + count], mouth) for lag in range(2 * margin + 1)])
    return Lag(shot, peak_position(curve) - margin, float(curve.max()), curve)


def by_chance(seconds: float) -> float:
    """The correlation that sounds and mouths which have nothing to do with each other seldom exceed at any lag, by length.

    Three standard deviations of independent signals with about five independent values a second.
    """
    return 3 / float(np.sqrt(5 * seconds))


def usual_lag(lags: Mapping[str, Lag]) -> float:
    """The median lag of the shots that agree clearly, in frames; 0 when they are too few."""
    clear = [lag.frames for lag in lags.values() if lag.correlation >= CLEAR]
    return float(np.median(clear)) if len(clear) >= MIN_SHOTS else 0.0


def _mel_bands(frequencies: np.ndarray, top: float) -> np.ndarray:
    """Triangles over frequencies (F,), evenly wide in mel: (BANDS, F)."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + top / 700), BANDS + 2) / 2595) - 1)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre)))
