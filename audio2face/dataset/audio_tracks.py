"""The sound of clips: loaded once, peak-normalised, or synthetic near-silence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio2face.audio.augment import NOISES
from audio2face.audio.waveform import SILENCE, load_track
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
    """The sounds of voices, decoded once: (samples / peak (N,), peak)."""

    def __init__(self, method: str, sample_rate: int, keep: bool = True):
        self.method, self.sample_rate, self.keep = method, sample_rate, keep
        self._tracks: dict[Track, tuple[np.ndarray, float]] = {}
        self._partners: dict[tuple[Track, Track, bool], np.ndarray] = {}

    def load(self, track: Track) -> tuple[np.ndarray, float]:
        """Peak-normalised samples (N,) float32 at the tracks' rate and the peak they were divided by."""
        if track not in self._tracks:
            waveform = load_track(track, self.method, self.sample_rate)
            loaded = (waveform.samples / np.float32(waveform.peak), waveform.peak)
            if not self.keep:
                return loaded
            self._tracks[track] = loaded
        return self._tracks[track]

    def load_partner(self, track: Track, own: Track, standardize: bool) -> np.ndarray:
        """`partner_samples` (N,) of the partner in a conversation with the voice `own`."""
        key = track, own, standardize
        if key not in self._partners:
            partner = load_track(track, PARTNER_METHOD, self.sample_rate)
            samples = partner_samples(partner, *self.load(own), standardize)
            if not self.keep:
                return samples
            self._partners[key] = samples
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
