"""Pitch shift without a change of tempo, through the optional python-stretch (Signalsmith Stretch)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TONALITY_HZ = 8000.0  # above this the sound is shifted without keeping its harmonics in place


def load_pitch_shift(sample_rate: int) -> Callable[[np.ndarray, float], np.ndarray] | None:
    """shift(samples (N,), semitones) -> (N,) float32, or None when the package is not installed."""
    try:
        from python_stretch import Signalsmith
    except ImportError:
        return None

    def shift(samples: np.ndarray, semitones: float) -> np.ndarray:
        stretch = Signalsmith.Stretch()
        stretch.preset(1, sample_rate)
        stretch.setTransposeSemitones(semitones, TONALITY_HZ / sample_rate)
        shifted = np.asarray(stretch.process(np.ascontiguousarray(samples[None], np.float32)))[0]
        return shifted[: len(samples)].astype(np.float32)

    return shift
