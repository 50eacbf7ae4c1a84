"""Windows and frames of a whole track as the runtime counts them, from the arithmetic of `audio.windows`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from audio2face.audio.windows import Streaming, live_count, live_samples


def regression_samples(num_samples: int, sample_rate: int, fps_num: int, fps_den: int = 1) -> np.ndarray:
    """The samples (T,) of all frames of `num_samples` of audio."""
    step = Fraction(sample_rate * fps_den, fps_num)
    return live_samples(np.arange(live_count(num_samples, step)), step)


@dataclass(frozen=True)
class DiffusionTimeline:
    """`starts` (W,) of windows; `centre_samples` (W, C) of their centre frames; `samples` (T,) of the frames that are shown;
    `source` (T, 2) the window each comes from and its row in that prediction."""

    starts: np.ndarray
    centre_samples: np.ndarray
    samples: np.ndarray
    source: np.ndarray


def diffusion_timeline(windows: Streaming, num_samples: int) -> DiffusionTimeline:
    """All windows and frames of `num_samples` of closed audio."""
    numbers = range(windows.ready(num_samples, closed=True))
    centre = np.array([windows.centre_samples(w) for w in numbers], np.int64).reshape(-1, windows.centre)
    shown = (centre >= 0) & (centre < num_samples)
    window, inside = np.nonzero(shown)
    source = np.stack([window, inside + windows.left], axis=1).astype(np.int64)
    return DiffusionTimeline(np.array([windows.start(w) for w in numbers], np.int64), centre, centre[shown], source)
