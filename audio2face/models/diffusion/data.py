"""The diffusion training set: whole clips, of which each epoch takes random segments, batched by padding.

Targets are kept as coefficients; whoever needs vertices decodes the segment, not the clip. What a frozen encoder hears in
each clip can be kept, for a few takes of it that differ in time shift, pitch and noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from audio2face.audio.windows import window_starts
from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise, standardized
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.targets import ShotTargets, clip_times, known_at, sample_linear
from audio2face.distributed import ALONE, Shard, World
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.feature_store import FeatureStore
from audio2face.models.diffusion.heard import Hear, Heard, keep_takes
from audio2face.types import SAMPLE_RATE, Clip

PitchShift = Callable[[np.ndarray, float], np.ndarray]
Span = tuple[int, int]  # first frame of a segment in its clip, number of frames
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


@dataclass
class SegmentBatch:
    """B segments padded to T frames; `valid` marks real frames. Sound has CONTEXT more samples at both ends.

    `seeds` are for what is drawn about each segment later on: a segment meets the same noise alone and in a batch.
    """

    audio: Tensor | None  # (B, CONTEXT + N + CONTEXT) peak-normalised; None when there are features
    target: Tensor  # (B, T, C)
    valid: Tensor  # (B, T) 1 for real frames
    known: Tensor  # (B, T, C) 1 where the target is real data
    conditions: Conditions  # actor (B, A) one-hot, emotion (B, E); speech is encoded from sound or features
    actor_ids: Tensor  # (B,)
    emotion_ids: Tensor  # (B,)
    lengths: list[int]
    seeds: list[int]
    clips: list[int]
    shard: Shard  # what the segments are of the whole batch
    features: Tensor | None = None  # (B, T, values) what the frozen encoder heard

    @property
    def actor(self) -> Tensor:
        """(B, A) one-hot."""
        return self.conditions["actor"]


class SegmentData:
    """Clips with their sound and targets in memory, and the batches of an epoch."""

    def __init__(
        self,
        clips: Sequence[Clip],
        conditions: Sequence[ClipConditions],
        targets: Callable[[Clip], ShotTargets],
        layout: ChannelLayout,
        tracks: AudioTracks,
        noise: MutedNoise,
        params: SegmentParams,
        *,
        num_actors: int,
        batch_size: int,
        seed: int,
        device: torch.device,
        pitch_shift: PitchShift | None = None,
        world: World = ALONE,
    ):
        self.world = world
        self.clips, self.conditions, self.layout, self.params = list(clips), list(conditions), layout, params
        self.tracks, self.noise, self.seed, self.device = tracks, noise, seed, device
        self.num_actors, self.batch_size, self.pitch_shift = num_actors, batch_size, pitch_shift
        self._heard: Heard | None = None
        self._take_shifts: tuple[float, ...] = (0.0,)
        self._targets: list[np.ndarray] = []
        self._known: list[np.ndarray] = []
        for clip in self.clips:
            shot = targets(clip)
            times = clip_times(clip, params.fps)
            self._targets.append(sample_linear(shot.values, shot.fps, times))
            self._known.append(known_at(shot.known, shot.fps, times).astype(bool))

    def num_frames(self, clip: int) -> int:
        """Target frames of the clip with this number."""
        return len(self._targets[clip])

    def has(self, actor_id: int) -> np.ndarray:
        """(C,) whether any clip of an actor has these values."""
        own = [x.any(axis=0) for x, c in zip(self._known, self.conditions, strict=True) if c.actor_id == actor_id]
        return np.any(own, axis=0)

    def known_targets(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The targets (T, C) of every clip, and which of them are real data."""
        return zip(self._targets, self._known, strict=True)

    def energy(self, channels: Sequence[str]) -> float:
        """Mean over frames of the sum of squares of these channels' targets."""
        sums = sum(float(np.square(self.layout.split(x)[name]).sum()) for x in self._targets for name in channels)
        return sums / sum(map(len, self._targets))

    def segment(self, clip: int, rng: np.random.Generator) -> tuple[int, int]:
        """First frame and number of frames of a random segment of a clip."""
        total, p = self.num_frames(clip), self.params
        if p.min_frames is None or p.max_frames is None or total <= p.min_frames:
            return 0, total
        count = int(rng.integers(p.min_frames, min(p.max_frames, total) + 1))
        return int(rng.integers(0, total - count + 1)), count

    def _num_samples(self, num_frames: int) -> int:
        return math.ceil(num_frames * self.params.sample_rate / self.params.fps - 1e-6) + 2 * CONTEXT

    def _sound(self, index: int, first: float, count: int, rng: np.random.Generator) -> np.ndarray:
        """Sound (CONTEXT + samples of the frames + CONTEXT,) of a segment."""
        clip, p = self.clips[index], self.params
        total = self._num_samples(count)
        if clip.audio is None:
            return self.noise.track(total, rng) * np.float32(rng.uniform(*self.noise.local_range))
        samples, _ = self.tracks.load(clip.audio)
        if p.standardize:
            samples = standardized(samples)
        seconds = (clip.first + clip.audio_offset) / clip.shot.fps + first / p.fps
        start = int(window_starts(np.array([seconds]), p.sample_rate, CONTEXT)[0])
        cut = samples[max(start, 0) : max(start + total, 0)]
        sound = np.pad(cut, (max(-start, 0), 0))
        sound = np.pad(sound, (0, total - len(sound)))
        if p.pitch and self.pitch_shift and rng.random() < p.pitch[2]:
            sound = self.pitch_shift(sound, float(rng.uniform(p.pitch[0], p.pitch[1])))
        return sound

    def batch(
        self, clips: Sequence[int], rngs: Sequence[np.random.Generator], shard: Shard | None = None
    ) -> SegmentBatch:
        """A batch of one random segment of each clip, each drawn from its own generator; only `shard` of it, if given.

        The shard is padded as the whole batch would be.
        """
        shard = shard or Shard(len(clips))
        spans = [self.segment(c, rng) for c, rng in zip(clips, rngs, strict=True)]
        longest = max(count for _, count in spans)
        clips, rngs, spans = shard.of(clips), shard.of(rngs), shard.of(spans)
        audio, features, shifts = self._heard_of(clips, spans, rngs, longest)
        target, known, valid = self._target(clips, spans, shifts, longest)
        conditions = [self.conditions[c] for c in clips]
        actor_ids = np.array([c.actor_id for c in conditions])
        return SegmentBatch(
            audio=audio,
            target=self._put(target),
            valid=self._put(valid),
            known=self._put(known),
            conditions=Conditions(
                {
                    "actor": self._put(np.eye(self.num_actors, dtype=np.float32)[actor_ids]),
                    "emotion": self._put(np.stack([c.explicit for c in conditions])),
                }
            ),
            actor_ids=self._put(actor_ids),
            emotion_ids=self._put(np.array([c.emotion_id for c in conditions])),
            lengths=[count for _, count in spans],
            seeds=[int(rng.integers(2**62)) for rng in rngs],
            clips=list(clips),
            shard=shard,
            features=features,
        )

    def _put(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device)

    def _heard_of(
        self, clips: Sequence[int], spans: Sequence[Span], rngs: Sequence[np.random.Generator], longest: int
    ) -> tuple[Tensor | None, Tensor | None, list[float]]:
        """Sound or features of segments, and the time shift of each in frames, for sound and target alike."""
        if self._heard is not None:
            takes = [int(rng.integers(len(self._take_shifts))) for rng in rngs]
            return None, self._features(clips, spans, takes, longest), [self._take_shifts[take] for take in takes]
        shifts = [(rng.random() - 0.5) * self.params.timeshift for rng in rngs]
        sounds = [
            self._sound(c, first + shift, count, rng)
            for c, (first, count), shift, rng in zip(clips, spans, shifts, rngs, strict=True)
        ]
        samples = self._num_samples(longest)
        return self._put(np.stack([np.pad(sound, (0, samples - len(sound))) for sound in sounds])), None, shifts

    def _target(
        self, clips: Sequence[int], spans: Sequence[Span], shifts: Sequence[float], longest: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Targets (B, longest, C) of segments, held after their ends, which of them and which frames (B, longest) are real."""
        target = np.zeros((len(clips), longest, self.layout.size), np.float32)
        known = np.zeros(target.shape, np.float32)
        valid = np.zeros((len(clips), longest), np.float32)
        for row, (clip, (first, count), shift) in enumerate(zip(clips, spans, shifts, strict=True)):
            times = (np.arange(count) + first + shift + 0.5) / self.params.fps
            target[row, :count] = sample_linear(self._targets[clip], self.params.fps, times)
            target[row, count:] = target[row, count - 1]
            known[row, :count] = known_at(self._known[clip], self.params.fps, times)
            valid[row, :count] = 1.0
        return target, known, valid

    def _features(self, clips: Sequence[int], spans: Sequence[Span], takes: Sequence[int], longest: int) -> Tensor:
        """(B, longest, values) float32 of segments, zeros after the end of shorter ones."""
        assert self._heard is not None
        places = zip(clips, spans, takes, strict=True)
        found = [self._heard(clip, take, *span).to(self.device).float() for clip, span, take in places]
        return torch.stack([F.pad(x, (0, 0, 0, longest - len(x))) for x in found])

    def cache_features(
        self, hear: Hear, shifts: Sequence[float], budget_bytes: float, store: FeatureStore | None = None
    ) -> None:
        """Keep a frozen encoder's features of every clip, as `keep_takes` says; segments then come without sound."""
        self._heard, self._take_shifts = keep_takes(self, hear, shifts, budget_bytes, store), tuple(shifts)

    def take_sound(self, clip: int, take: int, shift: float) -> np.ndarray:
        """Sound (CONTEXT + samples of the frames + CONTEXT,) of a take of a clip, with its own pitch and noise, drawn as for a segment."""
        return self._sound(clip, shift, self.num_frames(clip), np.random.default_rng([self.seed, 4, clip, take]))

    def silence(self, num_frames: int) -> np.ndarray:
        """Zeros, as long as the sound of so many frames."""
        return np.zeros(self._num_samples(num_frames), np.float32)

    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the last of which may be smaller."""
        return -(-len(self.clips) // self.batch_size)

    def batches(self, epoch: int) -> Iterator[SegmentBatch]:
        """Every clip once. Clips of similar length share a batch; order and segments depend on seed and epoch alone.

        Of each batch this process gets its shard.
        """
        rng = np.random.default_rng([self.seed, 2, epoch])
        order = rng.permutation(len(self.clips))
        if self.batch_size > 1:  # buckets: sorted by length within groups of 8 batches, batches then shuffled
            group = 8 * self.batch_size
            order = np.concatenate(
                [
                    sorted(order[i : i + group], key=lambda c: self.num_frames(int(c)))
                    for i in range(0, len(order), group)
                ]
            )
        batches = [order[i : i + self.batch_size].tolist() for i in range(0, len(order), self.batch_size)]
        if self.batch_size > 1:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        for clips in batches:
            rngs = [np.random.default_rng([self.seed, 3, epoch, clip]) for clip in clips]
            yield self.batch(clips, rngs, self.world.shard(len(clips)))

    def describe(self, batch: SegmentBatch) -> str:
        """The shots a batch comes from, for an error message."""
        return ", ".join(f"{self.clips[c].shot.actor}/{self.clips[c].shot.name}" for c in batch.clips)
