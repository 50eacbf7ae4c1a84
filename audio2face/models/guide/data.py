"""The training set of a guide: keyframes alone while the codec learns, then segments with their sound.

Keyframes may begin at any frame, so that a second of motion gives as many first keyframes as it has frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audio2face.models.diffusion.data import SegmentBatch, SegmentData, raised_units

WINDOWS = 32  # windows of keyframes in a batch of the codec
LONGEST_WINDOW = 20  # keyframes
LEAST_UNIT = 0.05  # of the largest unit of a group
MIX = 0.5  # most by which a window is moved towards another one, or away from it: poses that lie between or beyond
LEAST_STEPS = 4  # of an epoch
MOST_VECTORS = 65536  # keyframes that codebooks begin from


@dataclass(frozen=True)
class KeyframeBatch:
    """Windows of keyframes: values and which of them are data (B, K, C), which keyframes there are (B, K), the clips (B), and a
    seed for what is drawn about the batch."""

    target: Tensor
    known: Tensor
    valid: Tensor
    clips: list[int]
    seed: int

    @property
    def counting(self) -> Tensor:
        """(B, K) True for keyframes of which any value is data."""
        return (self.valid > 0) & (self.known.amax(dim=2) > 0)


@dataclass(frozen=True)
class Keys:
    """The keyframes of a batch of segments: their frames (B, K), which of them there are (B, K), values and flags (B, K, C)."""

    frames: Tensor
    valid: Tensor
    target: Tensor
    known: Tensor


def key_frames(num_frames: int, fps: float, guide_fps: float, first: int = 0) -> np.ndarray:
    """Frames (K,) int64 of keyframes, `guide_fps` of them a second, from `first` on; at least one."""
    count = max(1, int(np.ceil((num_frames - first) * guide_fps / fps - 1e-6)))
    return first + np.floor(np.arange(count) * fps / guide_fps + 1e-6).astype(np.int64)


class GuideData:
    """Batches of the epochs of both stages: `codec_epochs` of keyframes, then of the segments of `data`.

    Clips that last several times the longest segment are met as many times in an epoch, and all of them so often that it has
    LEAST_STEPS steps: minutes of data are few clips.
    """

    def __init__(self, data: SegmentData, guide_fps: float, codec_epochs: int):
        self.segments, self.codec_epochs, self.guide_fps = data, codec_epochs, guide_fps
        self.fps, self.world, self.device, self.seed = data.params.fps, data.world, data.device, data.seed
        lengths = np.array([data.num_frames(clip) for clip in range(len(data.clips))])
        longest = data.params.max_frames or lengths.max()
        self.rounds = max(round(float(lengths.mean() / longest)), -(-LEAST_STEPS // data.steps_per_epoch()))
        self._tables, self._shares = list(data.known_targets()), lengths / lengths.sum()

    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the same in both stages."""
        return self.rounds * self.segments.steps_per_epoch()

    def batches(self, epoch: int) -> Iterator[KeyframeBatch | SegmentBatch]:
        """Of keyframes every process gets the whole batch, of segments its shard."""
        if epoch < self.codec_epochs:
            for step in range(self.steps_per_epoch()):
                yield self.windows(np.random.default_rng([self.seed, 5, epoch, step]))
            return
        for again in range(self.rounds):
            yield from self.segments.batches(epoch * self.rounds + again)

    def describe(self, batch: KeyframeBatch | SegmentBatch) -> str:
        """The shots a batch comes from, for an error message."""
        clips = [self.segments.clips[c].shot for c in batch.clips]
        return ", ".join(dict.fromkeys(f"{shot.actor}/{shot.name}" for shot in clips))

    def windows(self, rng: np.random.Generator) -> KeyframeBatch:
        """A batch of windows of clips, long ones as often as they last."""
        clips = rng.choice(len(self._tables), WINDOWS, p=self._shares)
        step, size = self.fps / self.guide_fps, self.segments.layout.size
        target = np.zeros((WINDOWS, LONGEST_WINDOW, size), np.float32)
        known, valid = np.zeros(target.shape, np.float32), np.zeros(target.shape[:2], np.float32)
        for row, clip in enumerate(clips):
            values, flags = self._tables[clip]
            last_first = max(0, len(values) - 1 - int((LONGEST_WINDOW - 1) * step))
            first = int(rng.integers(max(last_first, min(int(step), len(values) - 1)) + 1))
            frames = key_frames(len(values), self.fps, self.guide_fps, first)[:LONGEST_WINDOW]
            target[row, : len(frames)], known[row, : len(frames)] = values[frames], flags[frames]
            valid[row, : len(frames)] = 1.0
        order, share = rng.permutation(WINDOWS), rng.uniform(-MIX, MIX, (WINDOWS, 1, 1)).astype(np.float32)
        both = known * known[order] * (valid * valid[order])[:, :, None]
        target = target + share * (target[order] - target) * both
        put = self._put
        return KeyframeBatch(put(target), put(known), put(valid), clips.tolist(), int(rng.integers(2**62)))

    def all_windows(self) -> Iterator[KeyframeBatch]:
        """Every clip whole, at as many phases as there is room for: what codebooks begin from."""
        step = int(self.fps / self.guide_fps)
        total = sum(len(values) for values, _ in self._tables)
        stride = max(1, -(-total // MOST_VECTORS))
        for clip, (values, flags) in enumerate(self._tables):
            for first in range(0, min(max(step, 1), len(values)), stride):
                frames = key_frames(len(values), self.fps, self.guide_fps, first)
                target, known = (self._put(x[frames].astype(np.float32))[None] for x in (values, flags))
                yield KeyframeBatch(target, known, self._put(np.ones((1, len(frames)), np.float32)), [clip], 0)

    def keys(self, batch: SegmentBatch, phases: Sequence[float] | None = None) -> Keys:
        """The keyframes of segments, which begin at a share of a keyframe's time: `phases` (B), by default drawn from seeds."""
        shares = phases or [float(np.random.default_rng([seed, 11]).random()) for seed in batch.seeds]
        step = self.fps / self.guide_fps
        rows = [
            key_frames(length, self.fps, self.guide_fps, min(int(share * step), length - 1))
            for length, share in zip(batch.lengths, shares, strict=True)
        ]
        frames = np.zeros((len(rows), max(map(len, rows))), np.int64)
        valid = np.zeros(frames.shape, np.float32)
        for number, row in enumerate(rows):
            frames[number, : len(row)], frames[number, len(row) :] = row, row[-1]
            valid[number, : len(row)] = 1.0
        index = self._put(frames)
        place = index.unsqueeze(2).expand(-1, -1, batch.target.shape[2])
        return Keys(index, self._put(valid), batch.target.gather(1, place), batch.known.gather(1, place))

    def _put(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(x)).to(self.device)


def value_statistics(data: SegmentData) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unit (C,) float32 of the values of a training set's targets: the deviation of known ones, but no less than a
    share of the largest of its group, so that what hardly moves is not blown up; 1 in groups without motion."""
    sums, squares, counts = data.known_sums()
    counts = np.maximum(counts, 1)
    mean = sums / counts
    unit = np.sqrt(np.maximum(squares / counts - mean**2, 0))
    return mean.astype(np.float32), raised_units(unit, data.layout, LEAST_UNIT)
