"""The regression training set: every frame's window of sound, target and conditions as tensors, batches by index.

A row is one frame of one clip. An item is SEQ_LEN consecutive rows that share one time shift, taken from a grid of
evenly spaced shifts: with a grid, what frozen layers make of a window is computed once per shift and kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.windows import window_starts
from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.targets import ShotTargets, clip_times, known_at, sample_linear
from audio2face.distributed import ALONE, Shard, World
from audio2face.face.layout import ChannelLayout
from audio2face.listing import natural_order
from audio2face.logs import each
from audio2face.types import Clip

logger = logging.getLogger(__name__)

Encode = Callable[[Tensor], dict[str, Tensor]]
ENCODE_BATCH = 32  # more would not be faster on a processor, and take gigabytes
PHONEME_STEP = 320  # samples between two steps of a speech encoder at 16 kHz, 50 steps a second
PHONEME_CENTRE = 200  # its first step is centred on this sample of the window (receptive field of 400)


@dataclass(frozen=True)
class WindowParams:
    """How items are cut: frames per second of the targets, window length and offset in samples, and the shifts.

    `shifts` are in target frames: audio and targets of an item are both taken at t + shift.
    """

    fps: float
    sample_rate: int
    buffer_len: int
    buffer_ofs: int
    seq_len: int
    seq_stride: int
    shifts: tuple[float, ...]


@dataclass
class WindowBatch:
    """L = SEQ_LEN rows of B items, flattened item by item to B·L rows; `features` or `audio` is there, not both."""

    seq_len: int
    audio: Tensor | None  # (B·L, N) peak-normalised
    features: dict[str, Tensor] | None  # (B·L, …)
    level: Tensor  # (B·L,) mean absolute value of the window before normalisation
    target: Tensor  # (B·L, C)
    mask: Tensor  # (B·L, C) 1 where the target is real data
    explicit: Tensor  # (B·L, E')
    frame_ids: Tensor  # (B·L,) row of the implicit emotion table
    actor_ids: Tensor  # (B·L,)
    emotion_ids: Tensor  # (B·L,)
    phonemes: dict[str, tuple[Tensor, Tensor]]  # language -> rows (n,), index (n, steps) into its posteriors
    items: Tensor  # (B,) for messages
    shard: Shard  # what the items are of the whole batch


@dataclass(frozen=True)
class ClipRows:
    """The n target frames of a clip at S time shifts, and their windows of sound."""

    starts: np.ndarray  # (S, n) first sample of the window in the sound of all clips
    gain: np.ndarray  # (S, n)
    peak: np.ndarray  # (n,)
    target: np.ndarray  # (S, n, C)
    mask: np.ndarray  # (n, C)
    table_row: np.ndarray  # (n,)


class Sound:
    """The sound of all clips in one array, zeros between the tracks, while it is put together."""

    def __init__(self, tracks: AudioTracks, noise: MutedNoise, params: WindowParams, rng: np.random.Generator):
        self.tracks, self.noise, self.params, self.rng = tracks, noise, params, rng
        self.pad = np.zeros(params.buffer_len, np.float32)
        self.parts, self.size = [self.pad], params.buffer_len
        self.track_start: dict[object, int] = {}  # of every track

    def windows(self, clip: Clip, times: np.ndarray, shifted: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Starts and gains (S, n) of windows at `shifted` (S, n) seconds in the shot, and the peak of the track."""
        return self._noise(times, shifted) if clip.audio is None else self._speech(clip, shifted)

    def samples(self) -> np.ndarray:
        """All tracks (N,)."""
        return np.concatenate([*self.parts, self.pad])

    def _speech(self, clip: Clip, shifted: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        assert clip.track is not None
        samples, peak = self.tracks.load(clip.track)
        if clip.track not in self.track_start:
            self.track_start[clip.track] = self.size
            self._append([samples, self.pad])
        moments = shifted + clip.audio_offset / clip.shot.fps
        starts = window_starts(moments, self.params.sample_rate, self.params.buffer_ofs)
        starts = np.clip(starts, -self.params.buffer_len, len(samples)) + self.track_start[clip.track]
        return starts, np.ones(shifted.shape, np.float32), peak

    def _noise(self, times: np.ndarray, shifted: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """One track of noise per shift, its loudness drawn per window."""
        length = int(times[-1] * self.params.sample_rate) + 2 * self.params.buffer_len
        starts = window_starts(np.broadcast_to(times, shifted.shape), self.params.sample_rate, 0)
        starts = starts + self.size + np.arange(len(shifted))[:, None] * length
        self._append([self.noise.track(length, self.rng) for _ in shifted])
        return starts, self.rng.uniform(*self.noise.local_range, shifted.shape).astype(np.float32), 1.0

    def _append(self, parts: list[np.ndarray]) -> None:
        self.parts += parts
        self.size += sum(len(part) for part in parts)


def clip_rows(clip: Clip, table_start: int, shot: ShotTargets, params: WindowParams, sound: Sound) -> ClipRows:
    """The rows of one clip, whose sound is added to that of all clips."""
    times = clip_times(clip, params.fps)
    shifted = times[None] + np.asarray(params.shifts)[:, None] / params.fps  # (S, n) seconds in the shot
    starts, gain, peak = sound.windows(clip, times, shifted)
    known = np.minimum.reduce([known_at(shot.known, shot.fps, t) for t in shifted])  # at every shift
    frames = np.clip(np.floor(times * clip.shot.fps).astype(np.int64), 0, clip.shot.num_frames - 1)
    return ClipRows(
        starts,
        gain,
        np.full(len(times), peak, np.float32),
        np.stack([sample_linear(shot.values, shot.fps, t) for t in shifted]),
        known,
        table_start + frames,
    )


def item_rows(counts: Sequence[int], seq_len: int, seq_stride: int) -> np.ndarray:
    """Rows (I, seq_len) of all items: runs of consecutive rows within clips of `counts` rows."""
    starts = np.cumsum([0, *counts[:-1]])
    firsts = [np.arange(0, max(count - seq_len + 1, 0), seq_stride) for count in counts]
    return np.concatenate([s + first[:, None] + np.arange(seq_len) for s, first in zip(starts, firsts, strict=True)])


class WindowData:
    """All items of the clips on one device. Build it, then `cache_features` (optional), then draw `batches`."""

    def __init__(
        self,
        clips: Sequence[Clip],
        conditions: Sequence[ClipConditions],
        targets: Callable[[Clip], ShotTargets],
        layout: ChannelLayout,
        tracks: AudioTracks,
        noise: MutedNoise,
        params: WindowParams,
        *,
        batch_size: int = 1,
        seed: int,
        device: torch.device,
        world: World = ALONE,
    ):
        self.clips, self.layout, self.params, self.seed, self.device = list(clips), layout, params, seed, device
        self.batch_size, self.world = batch_size, world
        self.features: dict[str, Tensor] | None = None
        self.phoneme_posteriors: dict[str, Tensor] = {}
        self._phoneme_index: dict[str, tuple[Tensor, Tensor, int]] = {}
        sound = Sound(tracks, noise, params, np.random.default_rng([seed, 0]))
        rows = [
            clip_rows(clip, condition.table_start, targets(clip), params, sound)
            for clip, condition in zip(self.clips, conditions, strict=True)
        ]
        counts = [len(r.peak) for r in rows]

        def put(x: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(x)).to(device)

        def column(name: str, axis: int = 0) -> Tensor:
            return put(np.concatenate([getattr(r, name) for r in rows], axis=axis))

        self.sound = put(sound.samples())  # (N,) every track, zeros between
        self.starts, self.gain = column("starts", 1), column("gain", 1)  # (S, R)
        self.peak, self.table_row = column("peak"), column("table_row")  # (R,)
        self.clip_of_row = put(np.repeat(np.arange(len(counts)), counts))  # (R,)
        self.target, self.mask = column("target", 1), column("mask")  # (S, R, C), (R, C)
        self.items = put(item_rows(counts, params.seq_len, params.seq_stride))  # (I, L)
        self.explicit = put(np.stack([c.explicit for c in conditions]))  # (clips, E')
        self.actor_id = torch.tensor([c.actor_id for c in conditions], device=device)
        self.emotion_id = torch.tensor([c.emotion_id for c in conditions], device=device)
        self.track_start = torch.tensor([sound.track_start.get(c.track, 0) for c in self.clips], device=device)
        self.level = self._levels()

    @property
    def num_items(self) -> int:
        """How many runs of consecutive frames an epoch shows."""
        return len(self.items)

    def has(self, actor_id: int) -> np.ndarray:
        """(C,) whether any clip of an actor has these values."""
        own = self.actor_id[self.clip_of_row] == actor_id
        return (self.mask.bool() & own[:, None]).any(dim=0).cpu().numpy()

    @property
    def num_rows(self) -> int:
        """Target frames of all clips."""
        return self.starts.shape[1]

    def windows(self, shift: Tensor, rows: Tensor) -> Tensor:
        """Windows of sound (n, buffer_len), peak-normalised, of rows (n,) at shifts (n,)."""
        index = self.starts[shift, rows][:, None] + torch.arange(self.params.buffer_len, device=self.device)
        return self.sound[index] * self.gain[shift, rows][:, None]

    def _all_rows(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        rows = torch.arange(self.num_rows, device=self.device)
        for shift in range(len(self.params.shifts)):
            for part in rows.split(ENCODE_BATCH):
                yield shift, part, torch.full_like(part, shift)

    def _levels(self) -> Tensor:
        """(S, R) mean absolute value of each window, in the loudness of the sound file."""
        level = torch.empty(self.starts.shape, device=self.device)
        for shift, rows, shifts in self._all_rows():
            level[shift, rows] = self.windows(shifts, rows).abs().mean(dim=1) * self.peak[rows]
        return level

    def cache_features(self, encode: Encode, budget_bytes: float) -> None:
        """Compute frozen features of every window once: float32 when they fit in the budget, else float16, else not at all.

        Several processes compute a part each.
        """
        probe = encode(
            self.windows(torch.zeros(2, dtype=torch.long, device=self.device), torch.arange(2, device=self.device))
        )
        values = sum(x[0].numel() for x in probe.values()) * self.num_rows * len(self.params.shifts)
        dtype = next((d for d, size in ((torch.float32, 4), (torch.float16, 2)) if values * size <= budget_bytes), None)
        if dtype is None:
            logger.info(
                "features of all windows need %.1f GB, more than FEATURE_CACHE_GB: computed again in every epoch",
                values * 2 / 1e9,
            )
            return
        shape = (len(self.params.shifts), self.num_rows)
        self.features = {
            k: torch.zeros(*shape, *x.shape[1:], dtype=dtype, device=self.device) for k, x in probe.items()
        }
        total = -(-self.num_rows // ENCODE_BATCH) * len(self.params.shifts)
        counted = each(self._all_rows(), total, "audio features", "block", self.world.first)
        for number, (shift, rows, shifts) in enumerate(counted):
            if number % self.world.size == self.world.rank:
                for name, x in encode(self.windows(shifts, rows)).items():
                    self.features[name][shift, rows] = x.to(dtype)
        for values_of_shifts in self.features.values():
            for values_of_shift in values_of_shifts:
                self.world.all_reduce_(values_of_shift)
        logger.info(
            "audio features cached: %d windows x %d shifts, %.2f GB",
            *shape[::-1],
            values * (4 if dtype == torch.float32 else 2) / 1e9,
        )

    def set_phonemes(self, language: str, posteriors: dict[int, np.ndarray], steps: int) -> None:
        """Phoneme targets of one language: {clip: (T, P) probabilities at 50 a second of its whole sound file}."""
        offsets = torch.full((len(self.clips),), -1, dtype=torch.long)
        lengths = torch.ones(len(self.clips), dtype=torch.long)
        parts, position = [], 0
        for clip, values in posteriors.items():
            offsets[clip], lengths[clip] = position, len(values)
            parts.append(values)
            position += len(values)
        self.phoneme_posteriors[language] = torch.from_numpy(np.concatenate(parts).astype(np.float32)).to(self.device)
        self._phoneme_index[language] = (offsets.to(self.device), lengths.to(self.device), steps)

    def _phonemes(self, shift: Tensor, rows: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        found = {}
        for language, (offsets, lengths, steps) in self._phoneme_index.items():
            clips = self.clip_of_row[rows]
            chosen = (offsets[clips] >= 0).nonzero().squeeze(1)
            start = (self.starts[shift, rows] - self.track_start[clips])[chosen]
            step = (
                start[:, None] + PHONEME_CENTRE + PHONEME_STEP * torch.arange(steps, device=self.device)
            ) // PHONEME_STEP
            clips = clips[chosen]
            found[language] = (chosen, offsets[clips][:, None] + step.clamp(min=0).minimum(lengths[clips][:, None] - 1))
        return found

    def batch(self, items: Tensor, shift: Tensor, shard: Shard | None = None) -> WindowBatch:
        """The batch of items (B,) at shift numbers (B,), which are `shard` of a larger one, if given."""
        rows = self.items[items].flatten()
        shifts = shift.repeat_interleave(self.params.seq_len)
        clips = self.clip_of_row[rows]
        cached = self.features is not None
        return WindowBatch(
            seq_len=self.params.seq_len,
            audio=None if cached else self.windows(shifts, rows),
            features={k: x[shifts, rows].float() for k, x in self.features.items()}
            if self.features is not None
            else None,
            level=self.level[shifts, rows],
            target=self.target[shifts, rows],
            mask=self.mask[rows],
            explicit=self.explicit[clips],
            frame_ids=self.table_row[rows],
            actor_ids=self.actor_id[clips],
            emotion_ids=self.emotion_id[clips],
            phonemes=self._phonemes(shifts, rows),
            items=items,
            shard=shard or Shard(len(items)),
        )

    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the last of which may be smaller."""
        return -(-self.num_items // self.batch_size)

    def batches(self, epoch: int) -> Iterator[WindowBatch]:
        """Every item once, in an order and at shifts that depend on the seed and the epoch alone.

        Of each batch this process gets its shard.
        """
        rng = np.random.default_rng([self.seed, 1, epoch])
        order = torch.from_numpy(rng.permutation(self.num_items)).to(self.device)
        shift = torch.from_numpy(rng.integers(len(self.params.shifts), size=self.num_items)).to(self.device)
        for part, shifts in zip(order.split(self.batch_size), shift.split(self.batch_size), strict=True):
            shard = self.world.shard(len(part))
            yield self.batch(shard.of(part), shard.of(shifts), shard)

    def describe(self, batch: WindowBatch) -> str:
        """The shots a batch comes from, for an error message."""
        clips = self.clip_of_row[self.items[batch.items, 0]].unique().tolist()
        return ", ".join(natural_order({f"{self.clips[c].shot.actor}/{self.clips[c].shot.name}" for c in clips}))
