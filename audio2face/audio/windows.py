"""Windows of sound around moments in time. NumPy only."""

from __future__ import annotations

import numpy as np


def frame_times(num_frames: int, fps: float, first: float = 0.0) -> np.ndarray:
    """Times in seconds (num_frames,) float64 of frames first, first + 1, …: frame i is at (i + 0.5) / fps."""
    return (np.arange(num_frames, dtype=np.float64) + first + 0.5) / fps


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
