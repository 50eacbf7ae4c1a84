"""The sound of clips: loaded once, peak-normalised, or synthetic near-silence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio2face.audio.augment import NOISES
from audio2face.audio.waveform import SILENCE, load_track
from audio2face.config import Section
from audio2face.dataset.long_arrays import Array, Keep, in_memory
from audio2face.types import Track, Waveform

PARTNER_GAIN = 4.0  # most by which a partner is amplified beyond the actor's own sound: 12 dB
SPEECH_DEVIATION = 0.1  # of speech whose peak is 1, about
PARTNER_METHOD = "w2v"  # keeps the level of a track, whatever AUDIO_PREPROC_METHOD does to the actor's own


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
    """The sounds of voices, decoded once and kept by `keep`; None: decoded whenever they are asked for."""

    def __init__(self, method: str, sample_rate: int, keep: Keep | None = in_memory):
        self.method, self.sample_rate, self.keep = method, sample_rate, keep
        self._tracks: dict[tuple[Track, bool], tuple[Array, float]] = {}
        self._partners: dict[tuple[Track, Track, bool], Array] = {}

    def load(self, track: Track, standardize: bool = False) -> tuple[Array, float]:
        """Peak-normalised samples (N,) float32 at the tracks' rate, `standardized` if asked for, and the peak they were divided by."""
        key = track, standardize
        if key not in self._tracks:
            samples, peak = self._decode(track)
            samples = standardized(samples) if standardize else samples
            if self.keep is None:
                return samples, peak
            self._tracks[key] = self.keep(samples), peak
        return self._tracks[key]

    def _decode(self, track: Track) -> tuple[np.ndarray, float]:
        waveform = load_track(track, self.method, self.sample_rate)
        return waveform.samples / np.float32(waveform.peak), waveform.peak

    def load_partner(self, track: Track, own: Track, standardize: bool) -> Array:
        """`partner_samples` (N,) of the partner in a conversation with the voice `own`."""
        key = track, own, standardize
        if key not in self._partners:
            partner = load_track(track, PARTNER_METHOD, self.sample_rate)
            samples = partner_samples(partner, *self._decode(own), standardize)
            if self.keep is None:
                return samples
            self._partners[key] = self.keep(samples)
        return self._partners[key]


def partner_samples(partner: Waveform, own: np.ndarray, own_peak: float, standardize: bool) -> np.ndarray:
    """A partner's samples (N,) float32 at the level at which a network hears the actor's `own` (M,), peak-normalised.

    Speech comes to the level of speech. What is quiet beside the actor's own sound stays quiet, and near-silence stays what it
    is: amplified, the noise of an open microphone would be heard as somebody who talks.
    """
    if not standardize:  # the peak of near-silence is 1
        return (partner.samples / np.float32(max(partner.peak, own_peak / PARTNER_GAIN))).astype(np.float32)
    deviation, least = float(partner.samples.std()), float(own.std()) * own_peak / PARTNER_GAIN
    if np.abs(partner.samples).max(initial=0.0) <= SILENCE:
        least = SPEECH_DEVIATION
    return ((partner.samples - partner.samples.mean()) / np.float32(max(deviation, least, 1e-6))).astype(np.float32)


def standardized(samples: np.ndarray) -> np.ndarray:
    """A track (N,) at mean 0 and variance 1, as the speech encoders' own preprocessing does it."""
    return ((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)).astype(np.float32)


def build_tracks(train: Section, keep: Keep = in_memory) -> AudioTracks:
    """The sound files of the clips."""
    kept = keep if train.AUDIO_DATA_CACHING or keep is not in_memory else None
    return AudioTracks(train.AUDIO_PREPROC_METHOD, train.AUDIO_PARAMS["samplerate"], kept)


def build_noise(train: Section) -> MutedNoise:
    """The near-silence under muted clips."""
    low, high = train.AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE
    return MutedNoise(train.AUG_MUTED_AUDIO_NOISE_TYPE, train.AUG_MUTED_AUDIO_NOISE_SCALE, (low, high))
