"""What is heard in a segment of a clip: the actor's own sound, and the partner's of the same moments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from audio2face.audio.windows import cut, window_starts
from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise
from audio2face.dataset.long_arrays import Array
from audio2face.types import SAMPLE_RATE, Clip

PitchShift = Callable[[np.ndarray, float], np.ndarray]
CONTEXT = SAMPLE_RATE  # samples of sound kept around a segment for encoders that hear windows


@dataclass(frozen=True)
class SegmentParams:
    """Frame rate, how long random segments are in frames (None: always whole clips), and pitch augmentation.

    `pitch` is (lowest, highest, probability) in semitones. `standardize` brings every track to mean 0 and variance 1.
    """

    fps: float
    sample_rate: int
    min_frames: int | None
    max_frames: int | None
    pitch: tuple[float, float, float] | None = None
    timeshift: float = 0.0
    standardize: bool = False

    def num_samples(self, num_frames: int) -> int:
        """Samples of a segment, with CONTEXT at both ends."""
        return math.ceil(num_frames * self.sample_rate / self.fps - 1e-6) + 2 * CONTEXT


class SegmentSounds:
    """The sounds of clips, cut for segments."""

    def __init__(
        self, clips: Sequence[Clip], tracks: AudioTracks, noise: MutedNoise, pitch_shift: PitchShift | None = None
    ):
        self.clips, self.tracks, self.noise, self.pitch_shift = list(clips), tracks, noise, pitch_shift

    @property
    def has_partner(self) -> bool:
        """Whether a partner is heard in any clip."""
        return any(clip.partner is not None for clip in self.clips)

    def own(self, index: int, first: float, count: int, params: SegmentParams, rng: np.random.Generator) -> np.ndarray:
        """The actor's sound (CONTEXT + samples of the frames + CONTEXT,) of `count` frames from `first` on."""
        clip, total = self.clips[index], params.num_samples(count)
        if clip.track is None:
            return self.noise.track(total, rng) * np.float32(rng.uniform(*self.noise.local_range))
        samples, _ = self.tracks.load(clip.track, params.standardize)
        return self._pitched(_part(samples, clip, clip.audio_offset, first, total, params), params, rng)

    def partner(
        self, index: int, first: float, count: int, params: SegmentParams, rng: np.random.Generator
    ) -> np.ndarray:
        """The partner's of the same moments, silence where the file has none; zeros, which nobody is to hear, without one."""
        clip, total = self.clips[index], params.num_samples(count)
        if clip.track is None or clip.partner is None:
            return np.zeros(total, np.float32)
        samples = self.tracks.load_partner(clip.partner.track, clip.track, params.standardize)
        return self._pitched(_part(samples, clip, clip.partner.offset, first, total, params), params, rng)

    def _pitched(self, sound: np.ndarray, params: SegmentParams, rng: np.random.Generator) -> np.ndarray:
        if params.pitch and self.pitch_shift and rng.random() < params.pitch[2]:
            return self.pitch_shift(sound, float(rng.uniform(params.pitch[0], params.pitch[1])))
        return sound


def _part(samples: Array, clip: Clip, offset: int, first: float, total: int, params: SegmentParams) -> np.ndarray:
    """`total` samples of a track (N,) around frame `first` of a clip, zeros beyond its ends."""
    seconds = (clip.first + offset) / clip.shot.fps + first / params.fps
    start = int(window_starts(np.array([seconds]), params.sample_rate, CONTEXT)[0])
    return cut(samples, start, start + total)  # type: ignore[arg-type]
