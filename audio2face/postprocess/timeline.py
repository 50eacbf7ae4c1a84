"""When each frame is: the runtime's windows over the audio, time stamps of frames, and the emotion curve.

Times are samples from the start of the audio. Frames before 0 or past the end are never shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


def frame_duration_s(fps_num: int, fps_den: int = 1) -> np.float32:
    """Seconds a frame, in float32 as the runtime computes it."""
    return np.float32(fps_den) / np.float32(fps_num)


def regression_timestamps(num_samples: int, sample_rate: int, fps_num: int, fps_den: int = 1) -> np.ndarray:
    """Time stamps (T,) int64 of all frames of `num_samples` of audio: floor(i * rate / fps) while inside the audio.

    The window of frame i starts at its time stamp minus `buffer_ofs`.
    """
    _check_positive(sample_rate=sample_rate, fps_num=fps_num, fps_den=fps_den)
    common = math.gcd(sample_rate * fps_den, fps_num)
    step, per = sample_rate * fps_den // common, fps_num // common
    count = -(-max(num_samples, 0) * per // step)
    return np.arange(count, dtype=np.int64) * step // per


def regression_ready(
    accumulated: int, sample_rate: int, fps_num: int, fps_den: int, buffer_len: int, buffer_ofs: int
) -> int:
    """Frames from the start that can run while more audio may come: those whose window lies before `accumulated`."""
    last_start = accumulated - buffer_len + buffer_ofs  # the latest time stamp whose window is complete
    return len(regression_timestamps(min(last_start + 1, accumulated), sample_rate, fps_num, fps_den))


@dataclass(frozen=True)
class DiffusionWindows:
    """How a diffusion model steps through audio. All but the frame counts are samples.

    `left`, `centre`, `right` count the frames of a window's prediction; only the centre is used.
    """

    buffer_len: int
    left: int
    centre: int
    right: int
    padding_left: int
    sample_rate: int

    def __post_init__(self) -> None:
        _check_positive(buffer_len=self.buffer_len, centre=self.centre, sample_rate=self.sample_rate)
        if min(self.left, self.right, self.padding_left) < 0:
            raise ValueError("left, right and padding_left must not be negative")

    @property
    def frames(self) -> int:
        """Frames of one prediction."""
        return self.left + self.centre + self.right

    @property
    def fps(self) -> tuple[int, int]:
        """Frames a second as a reduced fraction."""
        num, den = self.frames * self.sample_rate, self.buffer_len
        common = math.gcd(num, den)
        return num // common, den // common

    def start(self, window: np.ndarray | int) -> np.ndarray:
        """First sample of each window, int64, before 0 for the first ones."""
        w = np.asarray(window, np.int64)
        return w * (self.buffer_len * self.centre) // self.frames - self.padding_left

    def centre_timestamps(self, window: np.ndarray | int) -> np.ndarray:
        """Time stamps (..., C) of the centre frames of each window, int64, also of those that are not shown."""
        frame = np.asarray(window, np.int64)[..., None] * self.centre + np.arange(self.centre)
        shift = self.buffer_len * self.left // self.frames - self.padding_left
        return frame * self.buffer_len // self.frames + shift

    def count(self, num_samples: int) -> int:
        """Windows that run for `num_samples` of closed audio: those whose first centre frame is inside or before it."""
        shift = self.buffer_len * self.left // self.frames - self.padding_left
        span = num_samples - shift  # window w runs when floor(w C L / F) < span
        return max(-(-span * self.frames // (self.centre * self.buffer_len)), 0)

    def ready(self, accumulated: int) -> int:
        """Windows that can run while more audio may come: those that end before `accumulated`."""
        last_start = accumulated - self.buffer_len + self.padding_left
        if last_start < 0:
            return 0
        return ((last_start + 1) * self.frames - 1) // (self.buffer_len * self.centre) + 1

    def timeline(self, num_samples: int) -> DiffusionTimeline:
        """All windows and frames of `num_samples` of closed audio."""
        windows = np.arange(self.count(num_samples))
        stamps = self.centre_timestamps(windows)
        shown = (stamps >= 0) & (stamps < num_samples)
        window, inside = np.nonzero(shown)
        source = np.stack([window, inside + self.left], axis=1).astype(np.int64)
        return DiffusionTimeline(self.start(windows), stamps, stamps[shown], source)


@dataclass(frozen=True)
class DiffusionTimeline:
    """Windows and frames of a whole track, all int64.

    `starts` (W,) first sample of each window; `centre_timestamps` (W, C) of its centre frames; `timestamps` (T,) of the
    frames that are shown; `source` (T, 2) the window each comes from and its row in that prediction.
    """

    starts: np.ndarray
    centre_timestamps: np.ndarray
    timestamps: np.ndarray
    source: np.ndarray


def cut_windows(audio: np.ndarray, starts: np.ndarray, length: int, gain: float = 1.0) -> np.ndarray:
    """Windows (n, length) float32 of audio (N,) times `gain`; samples outside the audio are zero."""
    audio = np.asarray(audio, np.float32)
    out = np.zeros((len(starts), length), np.float32)
    for row, start in zip(out, np.asarray(starts).tolist(), strict=True):
        first, last = max(start, 0), min(start + length, len(audio))
        if first < last:
            row[first - start : last - start] = audio[first:last] * np.float32(gain)
    return out


def emotion_curve(key_times: np.ndarray, key_values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Emotion at `times` (T,) from keys (n,) strictly increasing in samples, values (n, E): (T, E) float32.

    Between keys it is linear, with a float32 weight; before the first and after the last key it is constant.
    """
    keys, values = np.asarray(key_times, np.int64), np.asarray(key_values, np.float32)
    times = np.asarray(times, np.int64)
    if len(keys) == 0 or len(keys) != len(values) or (np.diff(keys) <= 0).any():
        raise ValueError("emotion keys must be at least one, one value each, with strictly increasing times")
    after = np.clip(np.searchsorted(keys, times, side="right"), 1, max(len(keys) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(keys) - 1)
    span = np.maximum(keys[after] - keys[before], 1).astype(np.float32)
    weight = np.clip((times - keys[before]).astype(np.float32) / span, 0, 1)[..., None]
    blend = (1 - weight) * values[before] + weight * values[after]
    return np.where(weight == 1, values[after], np.where(weight == 0, values[before], blend))


def _check_positive(**values: int) -> None:
    if wrong := [f"{name} {value}" for name, value in values.items() if value <= 0]:
        raise ValueError(f"must be positive: {', '.join(wrong)}")
