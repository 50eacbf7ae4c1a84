"""The sound of clips: loaded once, peak-normalised, or synthetic near-silence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.audio.augment import NOISES
from audio2face.audio.waveform import load_waveform
from audio2face.config import Section


@dataclass(frozen=True)
class MutedNoise:
    """Near-silence under muted clips: kind of noise (None: zeros), overall scale and range of the local scale."""

    kind: str | None = "mic"
    scale: float = 0.1
    local_range: tuple[float, float] = (0.0, 1.0)

    def track(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """(num_samples,) float32."""
        if self.kind is None:
            return np.zeros(num_samples, np.float32)
        return (NOISES[self.kind](num_samples, rng) * self.scale).astype(np.float32)


class AudioTracks:
    """Sound files by path, decoded once: (samples / peak (N,), peak)."""

    def __init__(self, method: str, sample_rate: int, keep: bool = True):
        self.method, self.sample_rate, self.keep = method, sample_rate, keep
        self._tracks: dict[Path, tuple[np.ndarray, float]] = {}

    def load(self, path: Path) -> tuple[np.ndarray, float]:
        """Peak-normalised samples (N,) float32 at the tracks' rate and the peak they were divided by."""
        if path not in self._tracks:
            waveform = load_waveform(path, self.method, self.sample_rate)
            track = (waveform.samples / np.float32(waveform.peak), waveform.peak)
            if not self.keep:
                return track
            self._tracks[path] = track
        return self._tracks[path]


def standardized(samples: np.ndarray) -> np.ndarray:
    """A track (N,) at mean 0 and variance 1, as the speech encoders' own preprocessing does it."""
    return ((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)).astype(np.float32)


def build_tracks(train: Section) -> AudioTracks:
    """The sound files of the clips."""
    return AudioTracks(train.AUDIO_PREPROC_METHOD, train.AUDIO_PARAMS["samplerate"], keep=train.AUDIO_DATA_CACHING)


def build_noise(train: Section) -> MutedNoise:
    """The near-silence under muted clips."""
    low, high = train.AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE
    return MutedNoise(train.AUG_MUTED_AUDIO_NOISE_TYPE, train.AUG_MUTED_AUDIO_NOISE_SCALE, (low, high))
