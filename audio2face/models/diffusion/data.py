"""The diffusion training set: whole clips, of which each epoch takes random segments, batched by padding.

Targets are kept as coefficients; whoever needs vertices decodes the segment, not the clip. What a frozen encoder hears in
each clip can be kept, for a few takes of it that differ in time shift, pitch and noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.long_arrays import Array, Keep, in_memory, keep_flags, repeats
from audio2face.dataset.targets import ShotTargets, clip_times, known_at, sample_linear
from audio2face.distributed import ALONE, Shard, World
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.feature_store import FeatureStore
from audio2face.models.diffusion.heard import OWN, PARTNER, Hear, Take, Takes, keep_takes
from audio2face.models.diffusion.segment_sounds import CONTEXT as CONTEXT
from audio2face.models.diffusion.segment_sounds import PitchShift, SegmentParams, SegmentSounds
from audio2face.types import Clip

Cut = Callable[[int, float, int, SegmentParams, np.random.Generator], np.ndarray]  # one of those of SegmentSounds
Span = tuple[int, int]  # first frame of a segment in its clip, number of frames


@dataclass(frozen=True)
class Heard:
    """What is heard in segments: sounds or features, and the time shift of each in frames, for sounds and target alike.

    Of the partner zeros where there is none; None where no clip has one.
    """

    shifts: list[float]
    audio: Tensor | None = None
    features: Tensor | None = None
    partner: Tensor | None = None
    partner_features: Tensor | None = None


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
    partner: Tensor | None = None  # as audio: whom the actor talks to; None when nobody in the data has a partner
    partner_features: Tensor | None = None  # as features
    partner_there: Tensor | None = None  # (B,) 0 where a clip has no partner: what stands for it above means nothing

    @property
    def actor(self) -> Tensor:
        """(B, A) one-hot."""
        return self.conditions["actor"]


class SegmentData:
    """Clips with their sound and targets, in memory or where `tracks` and `keep` put them, and the batches of an epoch."""

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
        keep: Keep = in_memory,
    ):
        self.world = world
        self.clips, self.conditions, self.layout, self.params = list(clips), list(conditions), layout, params
        self.sounds, self.seed, self.device = SegmentSounds(clips, tracks, noise, pitch_shift), seed, device
        self.num_actors, self.batch_size = num_actors, batch_size
        self._takes: Takes | None = None
        self._take_shifts: tuple[float, ...] = (0.0,)
        self._targets: list[Array] = []
        self._known: list[Array] = []
        for clip in self.clips:
            shot = targets(clip)
            times = clip_times(clip, params.fps)
            self._targets.append(keep(sample_linear(shot.values, shot.fps, times)))
            self._known.append(keep_flags(known_at(shot.known, shot.fps, times).astype(bool), keep))

    @property
    def has_partner(self) -> bool:
        """Whether a partner is heard in any clip."""
        return self.sounds.has_partner

    def num_frames(self, clip: int) -> int:
        """Target frames of the clip with this number."""
        return len(self._targets[clip])

    def has(self, actor_id: int) -> np.ndarray:
        """(C,) whether any clip of an actor has these values."""
        known = [x for x, c in zip(self._known, self.conditions, strict=True) if c.actor_id == actor_id]
        return np.any([np.asarray(x[:1] if repeats(x) else x).any(axis=0) for x in known], axis=0)

    def known_targets(self) -> Iterator[tuple[Array, Array]]:
        """The targets (T, C) of every clip, and which of them are real data; both may lie on the disk."""
        return zip(self._targets, self._known, strict=True)

    def known_sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each value where it is known: its sum, the sum of its squares, and in how many frames; (C,) float64 each."""
        sums, squares, counts = (np.zeros(self.layout.size) for _ in range(3))
        for target, known in self.known_targets():
            there = np.asarray(known)
            values = np.where(there, target, 0).astype(np.float64)
            sums += values.sum(axis=0)
            squares += (values**2).sum(axis=0)
            counts += there.sum(axis=0)
        return sums, squares, counts

    def energy(self, channels: Sequence[str]) -> float:
        """Mean over frames of the sum of squares of these channels' targets."""
        parts = [self.layout.slices[name] for name in channels]
        sums = sum(float(np.square(x[..., part]).sum()) for x in map(np.asarray, self._targets) for part in parts)
        return sums / sum(map(len, self._targets))

    def segment(self, clip: int, rng: np.random.Generator) -> tuple[int, int]:
        """First frame and number of frames of a random segment of a clip."""
        total, p = self.num_frames(clip), self.params
        if p.min_frames is None or p.max_frames is None or total <= p.min_frames:
            return 0, total
        count = int(rng.integers(p.min_frames, min(p.max_frames, total) + 1))
        return int(rng.integers(0, total - count + 1)), count

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
        heard = self._heard_of(clips, spans, rngs, longest)
        target, known, valid = self._target(clips, spans, heard.shifts, longest)
        conditions = [self.conditions[c] for c in clips]
        actor_ids = np.array([c.actor_id for c in conditions])
        there = np.array([self.clips[c].partner is not None for c in clips], np.float32)
        return SegmentBatch(
            audio=heard.audio,
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
            features=heard.features,
            partner=heard.partner,
            partner_features=heard.partner_features,
            partner_there=self._put(there) if self.has_partner else None,
        )

    def _put(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device)

    def _heard_of(
        self, clips: Sequence[int], spans: Sequence[Span], rngs: Sequence[np.random.Generator], longest: int
    ) -> Heard:
        """Sounds or features of segments."""
        if self._takes is not None:
            takes = [int(rng.integers(len(self._take_shifts))) for rng in rngs]
            own = self._features(OWN, clips, spans, takes, longest)
            partner = self._features(PARTNER, clips, spans, takes, longest) if self.has_partner else None
            return Heard([self._take_shifts[take] for take in takes], features=own, partner_features=partner)
        shifts = [(rng.random() - 0.5) * self.params.timeshift for rng in rngs]
        samples = self.params.num_samples(longest)

        def sounds(cut: Cut) -> Tensor:
            found = [
                cut(c, first + shift, count, self.params, rng)
                for c, (first, count), shift, rng in zip(clips, spans, shifts, rngs, strict=True)
            ]
            return self._put(np.stack([np.pad(sound, (0, samples - len(sound))) for sound in found]))

        own = sounds(self.sounds.own)
        return Heard(shifts, own, partner=sounds(self.sounds.partner) if self.has_partner else None)

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

    def _features(
        self, voice: int, clips: Sequence[int], spans: Sequence[Span], takes: Sequence[int], longest: int
    ) -> Tensor:
        """(B, longest, values) float32 of segments, zeros after the end of shorter ones and for what nobody says."""
        assert self._takes is not None
        places = zip(clips, spans, takes, strict=True)
        found = [self._takes(Take(voice, clip, take), *span).to(self.device).float() for clip, span, take in places]
        return torch.stack([F.pad(x, (0, 0, 0, longest - len(x))) for x in found])

    def cache_features(
        self, hear: Hear, shifts: Sequence[float], budget_bytes: float, store: FeatureStore | None = None
    ) -> None:
        """Keep a frozen encoder's features of every clip, as `keep_takes` says; segments then come without sound."""
        self._takes, self._take_shifts = keep_takes(self, hear, shifts, budget_bytes, store), tuple(shifts)

    def take_sound(self, take: Take, shift: float) -> np.ndarray:
        """Sound (CONTEXT + samples of the frames + CONTEXT,) of a whole clip, with a pitch and noise of the take's own."""
        rng, count = np.random.default_rng([self.seed, 4, take.clip, take.number]), self.num_frames(take.clip)
        own = self.sounds.own(take.clip, shift, count, self.params, rng)
        return self.sounds.partner(take.clip, shift, count, self.params, rng) if take.voice == PARTNER else own

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


def raised_units(found: np.ndarray, layout: ChannelLayout, least: float) -> np.ndarray:
    """Units (C,) float32 of values from their deviations: no less than a share of the largest of a channel, so that what hardly
    moves is not blown up; 1 for channels without any motion."""
    raised = found.copy()
    for part in layout.split(raised).values():
        largest = part.max(initial=0.0)
        part[:] = np.maximum(part, least * largest) if largest > 0 else 1.0
    return raised.astype(np.float32)
