"""Windows of sound: around moments in time, and those a diffusion model streams by. NumPy only.

When is frame i of an animation? In training, and in whole animations, which are made and measured the same way, it stands
for the middle of its interval, (i + 0.5) / fps (`frame_times`). A live host such as the runtime asks at the beginning, at
i / fps, rounded down to a sample (`live_samples`), and gets the face of that moment: the same face over time, read half a
frame earlier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from audio2face.types import SAMPLE_RATE


def frame_count(num_samples: int, sample_rate: int, fps: float) -> int:
    """Frames that cover a track: the last one begins before the sound ends. At least 1."""
    return max(1, math.ceil(num_samples * fps / sample_rate - 1e-6))


def frame_times(num_frames: int, fps: float) -> np.ndarray:
    """Times in seconds (num_frames,) float64: frame i is at (i + 0.5) / fps."""
    return (np.arange(num_frames, dtype=np.float64) + 0.5) / fps


def live_samples(frames: np.ndarray, samples_per_frame: Fraction) -> np.ndarray:
    """The samples (n,) int64 at which a live host asks for frames (n,): floor(i * rate / fps)."""
    return np.asarray(frames, np.int64) * samples_per_frame.numerator // samples_per_frame.denominator


def live_count(num_samples: int, samples_per_frame: Fraction) -> int:
    """Frames whose sample lies inside `num_samples` of sound."""
    return -(-max(num_samples, 0) * samples_per_frame.denominator // samples_per_frame.numerator)


def window_starts(times_s: np.ndarray, sample_rate: int, buffer_ofs: int) -> np.ndarray:
    """First sample (n,) int64 of each moment's window: the sample at that time, `buffer_ofs` earlier.

    The sample at t is floor(t * sample_rate); exact multiples are kept from falling one short.
    """
    return np.floor(np.asarray(times_s, np.float64) * sample_rate + 1e-6).astype(np.int64) - buffer_ofs


def cut(samples: np.ndarray, start: int, end: int) -> np.ndarray:
    """samples[start:end] of (N,), zeros beyond the ends."""
    part = samples[max(0, start) : max(0, end)]
    before = min(max(0, -start), end - start)
    return np.pad(part, (before, end - start - before - len(part)))


def cut_windows(samples: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Windows (n, length) of samples (N,), zeros beyond the ends."""
    starts = np.asarray(starts, np.int64)
    before = int(max(0, -starts.min(initial=0)))
    after = int(max(0, starts.max(initial=0) + length - len(samples)))
    padded = np.pad(samples, (before, after))
    return padded[(starts + before)[:, None] + np.arange(length)]


@dataclass(frozen=True)
class Streaming:
    """Windows of sound of `window` samples that last `frames` = left + centre + right frames, of which the centre counts.

    Each window starts `centre` frames after the one before; the first starts `pad_left` samples before the sound. Frames
    of the animation count from the beginning of the sound; `start`, `ready` and `centre_samples` are the arithmetic of the
    runtime, in samples, to whose moments frames may lie up to one sample early.
    """

    left: int
    centre: int
    right: int
    window: int
    pad_left: int
    sample_rate: int = SAMPLE_RATE

    def __post_init__(self) -> None:
        positive = {"window": self.window, "centre": self.centre, "sample_rate": self.sample_rate}
        if wrong := [f"{name} {value}" for name, value in positive.items() if value <= 0]:
            raise ValueError(f"must be positive: {', '.join(wrong)}")
        if min(self.left, self.right, self.pad_left) < 0:
            raise ValueError("left, right and pad_left must not be negative")

    @classmethod
    def of(cls, cfg: Mapping[str, int]) -> Streaming:
        """From an entry of STREAMING_CFG."""
        left, right, centre = cfg["left_truncate"], cfg["right_truncate"], cfg["block_frame_size"]
        return cls(left, centre, right, cfg["window_size"], cfg["audio_pad_left"])

    @property
    def frames(self) -> int:
        """Frames of a window."""
        return self.left + self.centre + self.right

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        return Fraction(self.frames * self.sample_rate, self.window)

    @property
    def lead(self) -> float:
        """Samples of a window before its first centre frame."""
        return self.left * self.window / self.frames

    @property
    def first_frame(self) -> int:
        """Frame of the animation that is the first centre frame of window 0: negative when the window starts in silence."""
        return self.left - self.pad_left * self.frames // self.window

    def window_of(self, frame: int) -> int:
        """The window whose centre holds a frame of the animation."""
        return (frame - self.first_frame) // self.centre

    def frame_of(self, window: int) -> int:
        """Frame of the animation at the beginning of a window's centre."""
        return window * self.centre + self.first_frame

    def count(self, num_frames: int) -> int:
        """Windows that give the first `num_frames` frames of the animation."""
        return self.window_of(num_frames - 1) + 1

    def sample_of(self, frame: int) -> int:
        """First sample of a frame of the animation; computed afresh, so that nothing drifts."""
        return frame * self.window // self.frames

    def start(self, window: int) -> int:
        """First sample of a window, before 0 for the first ones."""
        return self.sample_of(window * self.centre) - self.pad_left

    def centre_samples(self, window: int) -> np.ndarray:
        """Samples (centre,) int64 of a window's centre frames, also of those outside the sound, which are not shown."""
        frames = window * self.centre + np.arange(self.centre, dtype=np.int64)
        return frames * self.window // self.frames + self.sample_of(self.left) - self.pad_left

    def ready(self, num_samples: int, closed: bool) -> int:
        """Windows that can run: those that end before `num_samples`, or all of a sound that is `closed`.

        All are those whose first centre frame is inside the sound or before it.
        """
        if closed:  # window w runs when floor(w C L / F) < span
            span = num_samples + self.pad_left - self.sample_of(self.left)
            return max(-(-span * self.frames // (self.centre * self.window)), 0)
        last_start = num_samples - self.window + self.pad_left
        return max(((last_start + 1) * self.frames - 1) // (self.window * self.centre) + 1, 0) if last_start >= 0 else 0
