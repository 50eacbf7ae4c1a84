"""Windows of sound: around moments in time, and those a diffusion model streams by. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


def frame_times(num_frames: int, fps: float) -> np.ndarray:
    """Times in seconds (num_frames,) float64: frame i is at (i + 0.5) / fps."""
    return (np.arange(num_frames, dtype=np.float64) + 0.5) / fps


def window_starts(times_s: np.ndarray, sample_rate: int, buffer_ofs: int) -> np.ndarray:
    """First sample (n,) int64 of each moment's window: the sample at that time, `buffer_ofs` earlier.

    The sample at t is floor(t * sample_rate); exact multiples are kept from falling one short.
    """
    return np.floor(np.asarray(times_s, np.float64) * sample_rate + 1e-6).astype(np.int64) - buffer_ofs


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

    Each window starts `centre` frames after the one before; the first starts `pad_left` samples before the sound.
    """

    left: int
    centre: int
    right: int
    window: int
    pad_left: int

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
    def lead(self) -> float:
        """Samples of a window before its first centre frame."""
        return self.left * self.window / self.frames

    @property
    def first_frame(self) -> int:
        """Frame of the animation that is the first centre frame of window 0: negative, when silence is heard first."""
        return self.left - self.pad_left * self.frames // self.window

    def window_of(self, frame: int) -> int:
        """The window whose centre holds a frame of the animation."""
        return (frame - self.first_frame) // self.centre

    def frame_of(self, window: int) -> int:
        """Frame of the animation at the beginning of a window's centre."""
        return window * self.centre + self.first_frame

    def start(self, window: int) -> int:
        """First sample of a window, counted from the beginning of the sound; computed afresh, so that nothing drifts."""
        return (self.frame_of(window) - self.left) * self.window // self.frames

    def count(self, num_frames: int) -> int:
        """Windows that give the first `num_frames` frames of the animation."""
        return self.window_of(num_frames - 1) + 1
