"""The regression training set: every frame's window of sound, target and conditions, batches by index.

A row is one frame of one clip. An item is SEQ_LEN consecutive rows that share one time shift, taken from a grid of
evenly spaced shifts: with a grid, what frozen layers make of a window is computed once per shift and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.long_arrays import Array
from audio2face.dataset.targets import ShotTargets, clip_times
from audio2face.distributed import ALONE, Shard, World
from audio2face.face.layout import ChannelLayout
from audio2face.listing import natural_order
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.feature_store import FeatureStore
from audio2face.models.regression.features import BLOCK, Encode, KeptWindows, keep_windows
from audio2face.models.regression.stretches import to_device
from audio2face.models.regression.window_sound import Moments, WindowSound
from audio2face.models.regression.window_sound import WindowParams as WindowParams
from audio2face.models.regression.window_targets import PhonemeTargets, WindowTargets
from audio2face.types import Clip

MANY = 4096  # rows whose targets are looked at together


@dataclass
class WindowBatch:
    """L = SEQ_LEN rows of B items, flattened item by item to B·L rows; `features` or `audio` is there, not both."""

    seq_len: int
    audio: Tensor | None  # (B·L, N) peak-normalised
    features: dict[str, Tensor] | None  # (B·L, …)
    level: Tensor  # (B·L,) mean absolute value of the window before normalisation
    target: Tensor  # (B·L, C)
    mask: Tensor  # (B·L, C) 1 where the target is real data
    conditions: Conditions  # emotion (B·L, E), actor (B·L, A) one-hot; the method adds the implicit emotion
    frame_ids: Tensor  # (B·L,) row of the implicit emotion table
    actor_ids: Tensor  # (B·L,)
    emotion_ids: Tensor  # (B·L,)
    phonemes: dict[str, tuple[Tensor, Tensor]]  # language -> rows (n,), their probabilities (n, steps, P)
    items: Tensor  # (B,) for messages
    shard: Shard  # what the items are of the whole batch


def item_starts(counts: Sequence[int], seq_len: int, seq_stride: int) -> np.ndarray:
    """The first rows (I,) of all items: runs of `seq_len` consecutive rows within clips of `counts` rows."""
    starts = np.cumsum([0, *counts[:-1]])
    firsts = [np.arange(0, max(count - seq_len + 1, 0), seq_stride) for count in counts]
    return np.concatenate([start + first for start, first in zip(starts, firsts, strict=True)])


class WindowData:
    """All items of the clips, their sound and targets on one device or, `on_disk`, read when a batch needs them.

    Build it, then `cache_features` (optional), then draw `batches`: the same ones wherever the data lies.
    """

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
        num_actors: int,
        batch_size: int = 1,
        seed: int,
        device: torch.device,
        world: World = ALONE,
        on_disk: bool = False,
    ):
        self.clips, self.layout, self.params, self.seed, self.device = list(clips), layout, params, seed, device
        self.batch_size, self.world = batch_size, world
        self.features: KeptWindows | None = None
        self.phonemes: dict[str, PhonemeTargets] = {}
        self._on_disk = on_disk
        self.sound = WindowSound(self.clips, tracks, noise, params, np.random.default_rng([seed, 0]), device, on_disk)
        self._targets = WindowTargets([targets(clip) for clip in self.clips], params, device, on_disk)
        counts = [len(clip_times(clip, params.fps)) for clip in self.clips]
        self._first_rows = np.cumsum([0, *counts[:-1]])  # (clips,), as what follows
        self._first_s = np.array([clip.first / clip.shot.fps for clip in self.clips])
        self._shot_fps = np.array([clip.shot.fps for clip in self.clips])
        self._shot_frames = np.array([clip.shot.num_frames for clip in self.clips])
        self._table_start = np.array([c.table_start for c in conditions])
        self.clip_of_row = np.repeat(np.arange(len(counts), dtype=np.int32), counts)  # (R,)
        self.items = item_starts(counts, params.seq_len, params.seq_stride)
        self.actor_id = torch.tensor([c.actor_id for c in conditions], device=device)
        self.emotion_id = torch.tensor([c.emotion_id for c in conditions], device=device)
        emotions = torch.from_numpy(np.stack([c.explicit for c in conditions])).to(device)
        actors = torch.eye(num_actors, device=device)[self.actor_id]
        self.conditions = Conditions({"emotion": emotions, "actor": actors})  # (clips, …)

    @property
    def num_items(self) -> int:
        """How many runs of consecutive frames an epoch shows."""
        return len(self.items)

    @property
    def num_rows(self) -> int:
        """Target frames of all clips."""
        return len(self.clip_of_row)

    def moments(self, shifts: np.ndarray, rows: np.ndarray) -> Moments:
        """Rows (n,) at shifts with numbers (n,)."""
        clips = self.clip_of_row[rows].astype(np.int64)
        frames = rows - self._first_rows[clips]
        times = self._first_s[clips] + (frames + 0.5) / self.params.fps
        return Moments(shifts, clips, frames, times, times + np.asarray(self.params.shifts)[shifts] / self.params.fps)

    def has(self, actor_id: int) -> np.ndarray:
        """(C,) whether any clip of an actor has these values."""
        found = np.zeros(self.layout.size, bool)
        for clip in np.flatnonzero(self.actor_id.cpu().numpy() == actor_id).tolist():
            first, end = np.searchsorted(self.clip_of_row, [clip, clip + 1])
            rows = np.arange(first, first + 1 if self._targets.steady(clip) else end)
            for part in np.array_split(rows, -(-len(rows) // MANY)):
                found |= self._targets.mask(self.moments(np.zeros_like(part), part)).bool().any(dim=0).cpu().numpy()
        return found

    def windows(self, shifts: np.ndarray, rows: np.ndarray) -> Tensor:
        """Windows of sound (n, buffer_len), peak-normalised, of rows (n,) at shifts (n,)."""
        return self.sound.windows(self.moments(shifts, rows))[0]

    def targets(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Targets and masks (n, C) of all rows at the first shift, many at a time, and the actors (n,)."""
        for rows in np.array_split(np.arange(self.num_rows), -(-self.num_rows // MANY)):
            at = self.moments(np.zeros_like(rows), rows)
            yield self._targets.values(at), self._targets.mask(at), self.actor_id[to_device(at.clips, self.device)]

    def blocks(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """All rows at all shifts, few at a time: the shift, rows (n,), and the shift of each."""
        for shift in range(len(self.params.shifts)):
            for first in range(0, self.num_rows, BLOCK):
                rows = np.arange(first, min(first + BLOCK, self.num_rows))
                yield shift, rows, np.full_like(rows, shift)

    def cache_features(self, encode: Encode, budget_bytes: float, store: FeatureStore | None = None) -> None:
        """Compute frozen features of every window once, as `keep_windows` says; batches then come with them."""
        self.features = keep_windows(self, encode, budget_bytes, store)

    def set_phonemes(self, language: str, posteriors: Mapping[int, Array], steps: int) -> None:
        """Phoneme targets of one language: {clip: (T, P) probabilities at 50 a second of its whole sound file}."""
        self.phonemes[language] = PhonemeTargets(posteriors, steps, self.device, self._on_disk)

    def batch(self, items: np.ndarray, shifts: np.ndarray, shard: Shard | None = None) -> WindowBatch:
        """The batch of items (B,) at shift numbers (B,), which are `shard` of a larger one, if given."""
        length, device = self.params.seq_len, self.device
        rows = (self.items[items][:, None] + np.arange(length)).ravel()
        at = self.moments(np.repeat(shifts, length), rows)
        features = self.features(at.shifts, rows) if self.features else None
        audio, level = self.sound.windows(at)
        starts = self.sound.places(at)[1]
        clips = to_device(at.clips, device)
        return WindowBatch(
            seq_len=length,
            audio=None if features else audio,
            features=features,
            level=level,
            target=self._targets.values(at),
            mask=self._targets.mask(at),
            conditions=self.conditions.rows(clips),
            frame_ids=to_device(self._table_rows(at), device),
            actor_ids=self.actor_id[clips],
            emotion_ids=self.emotion_id[clips],
            phonemes={language: targets(at.clips, starts) for language, targets in self.phonemes.items()},
            items=torch.from_numpy(items),
            shard=shard or Shard(len(items)),
        )

    def _table_rows(self, at: Moments) -> np.ndarray:
        """Rows (n,) of the implicit emotion table."""
        frames = np.floor(at.times * self._shot_fps[at.clips]).astype(np.int64)
        return self._table_start[at.clips] + np.clip(frames, 0, self._shot_frames[at.clips] - 1)

    def steps_per_epoch(self) -> int:
        """Batches of an epoch, the last of which may be smaller."""
        return -(-self.num_items // self.batch_size)

    def batches(self, epoch: int) -> Iterator[WindowBatch]:
        """Every item once, in an order and at shifts that depend on the seed and the epoch alone.

        Of each batch this process gets its shard.
        """
        rng = np.random.default_rng([self.seed, 1, epoch])
        order = rng.permutation(self.num_items)
        shifts = rng.integers(len(self.params.shifts), size=self.num_items)
        for first in range(0, self.num_items, self.batch_size):
            part = np.s_[first : first + self.batch_size]
            shard = self.world.shard(len(order[part]))
            yield self.batch(shard.of(order[part]), shard.of(shifts[part]), shard)

    def describe(self, batch: WindowBatch) -> str:
        """The shots a batch comes from, for an error message."""
        clips = self.clip_of_row[self.items[batch.items.numpy()]].tolist()
        return ", ".join(natural_order({f"{self.clips[c].shot.actor}/{self.clips[c].shot.name}" for c in clips}))
