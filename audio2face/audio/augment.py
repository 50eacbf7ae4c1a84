"""Augmentation of speech: time shifts, background noise for muted clips, and pitch shift through the optional python-stretch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audio2face.types import SAMPLE_RATE

SEGMENT = 256  # samples of a segment; neighbours overlap by half
LEVEL_SPREAD_DB = 5.85
TONALITY_HZ = 8000.0  # above this a pitch shift does not keep the harmonics in place


def shift_grid(timeshift: float, count: int) -> tuple[float, ...]:
    """`count` evenly spaced shifts over [-timeshift / 2, timeshift / 2]: the midpoints of equal parts; (0,) without."""
    if timeshift <= 0 or count <= 1:
        return (0.0,)
    return tuple(((np.arange(count) + 0.5) / count - 0.5) * timeshift)


def gauss(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """White noise of unit deviation: (num_samples,) float32."""
    return rng.standard_normal(num_samples, dtype=np.float32)


def mic(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of a quiet room at 16 kHz, as loud as recorded (about 1e-4 RMS): (num_samples,) float32.

    A spectrogram of 129 bins with random phases and levels, inverted. Levels are normal in dB, about -82 at 0 Hz and
    -121 at high frequencies.
    """
    from scipy.signal import istft

    if num_samples == 0:
        return np.zeros(0, np.float32)
    frequencies = np.linspace(0, SAMPLE_RATE / 2, SEGMENT // 2 + 1)
    shape = (len(frequencies), num_samples // (SEGMENT // 2) + 2)
    level_db = rng.normal(39 * np.exp(-frequencies / 300) - 121, LEVEL_SPREAD_DB, shape[::-1]).T
    spectrogram = 10 ** (level_db / 20) * np.exp(2j * np.pi * rng.random(shape))
    _, samples = istft(spectrogram, nperseg=SEGMENT, noverlap=SEGMENT // 2)
    return samples[:num_samples].astype(np.float32)


NOISES: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {"gauss": gauss, "mic": mic}


def load_pitch_shift(sample_rate: int) -> Callable[[np.ndarray, float], np.ndarray] | None:
    """Pitch shift (Signalsmith Stretch) at the same tempo: shift(samples (N,), semitones) -> (N,) float32; None without the package."""
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
