"""The training of a sequence network: whole segments are restored, around values that are given in random patterns.

Every value is brought to about unit variance first, so that what moves little (lids, brows) is not drowned by noise long
before the mouth is; in the loss, values count by how much they move.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audio2face.distributed import WHOLE, Rng
from audio2face.face.codec import FaceCodec, kind_of
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.diffusion.data import SegmentBatch, SegmentData, raised_units
from audio2face.models.diffusion.method import DiffusionMethod, Segments, over_frames
from audio2face.models.diffusion.samplers import add_noise
from audio2face.models.sequence.masks import batch_flags
from audio2face.models.sequence.partner import hear_batch
from audio2face.training.metrics import Mean

LEAST_UNIT = 0.02  # of the largest unit of a channel
KEY_NOISE = (
    0.05  # most by which given values are off in training, in units: keys of animators are not quite like the data
)
LEAST_DEVIATION = 0.01  # errors count in inverse proportion to what the motion prior leaves unknown, in units
LEAST_OPEN, MEASURED_BATCHES = 0.2, 50
FOLLOWS = 0.1  # of the farthest value of a channel: values that move less far follow the others
MOST_FRAMES = 500_000  # from which motion is measured: hours
CHANNEL_WEIGHTS = {"jaw": 0.5, "eye": 0.3}  # beside those that the losses name


class SequenceMethod(DiffusionMethod):
    """A `training.loop.Method`: as in diffusion, but for the units, the known values and the mean squared error."""

    def __init__(self, *arguments: Any, farthest: np.ndarray, **named: Any):
        """`farthest` (C,) as the function of that name gives it."""
        super().__init__(*arguments, **named)
        moved = self.network.unit * torch.from_numpy(farthest).to(self.network.unit)
        self.importance = (self.weight * importance(moved, self.codec.layout)).to(self.data.device)
        self.followers = followers(moved, self.codec.layout)
        self.levels = self.network.prior.deviation(self.alphas).clamp(min=LEAST_DEVIATION).reciprocal()

    def restored(self, batch: SegmentBatch, x_0: Tensor, place: Tensor, noise: Tensor, rng: Rng) -> Tensor:
        """What the network makes of x_0 (B, T, C) noised to places (B,) of the schedule: (B, T, C)."""
        unit = self.network.unit
        clean = x_0 / unit
        x_t, t = add_noise(clean, self.alphas[place][:, None, None], noise), self.timesteps[place]
        flags = batch_flags(batch.lengths, x_0.shape[1], len(self.codec.layout.sizes), batch.seeds)
        given = torch.from_numpy(flags).to(x_0) * self._whole_channels(batch)
        with self.precision.autocast(x_t.device):
            conditions = self.heard(batch, rng).replaced(
                known=clean + self._off(batch, clean), given=given, valid=batch.valid
            )
            prediction, _ = self.denoise(x_t, t, conditions, rng=rng)
        return prediction.to(x_0.dtype) * unit

    def counted(self, place: Tensor) -> Tensor:
        """As in diffusion: more where less noise leaves more to be known."""
        return self.levels[place]

    def heard(self, batch: SegmentBatch, rng: Rng = WHOLE) -> Conditions:
        """The conditions of a batch with the sounds that the network hears."""
        return hear_batch(self.network, batch, self.streaming, rng)

    @torch.no_grad()
    def measure_noise(self) -> None:
        """Set the share of each value's motion that conditions leave open, measured on segments of the training: sampling starts with
        noise accordingly. Lips that the sound tells stay near what is likely, while lids, brows and gaze vary in full. Values that
        hardly move are left no choice: drawn at random, they would tell the network where lips are."""
        self.network.eval()
        left, whole = (torch.zeros_like(self.network.unit) for _ in range(2))
        for batch in itertools.islice(self.data.batches(0), MEASURED_BATCHES):
            x_0 = self.codec.frames(batch.target, batch.actor) / self.network.unit
            _, noise = self._draw(batch, x_0.shape[2])
            t = self.timesteps[-1:].expand(len(x_0))
            prediction, _ = self.network(noise, t, self.heard(batch).replaced(valid=batch.valid))
            there = self.codec.known(batch.known) * batch.valid.unsqueeze(2)
            mean = (x_0 * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1.0)
            left += ((prediction - x_0).square() * there).sum(dim=(0, 1))
            whole += ((x_0 - mean).square() * there).sum(dim=(0, 1))
        share = torch.where(whole > 0, left / whole, torch.ones_like(whole)).masked_fill(self.followers, 0.0)
        self.network.noise.copy_(share.clamp(LEAST_OPEN, 1.0))

    def _off(self, batch: SegmentBatch, clean: Tensor) -> Tensor:
        """Noise (B, T, C) on given values, as strong in a whole segment, up to KEY_NOISE."""
        rows = []
        for seed in batch.seeds:
            generator = self.generator.manual_seed(seed + 1)
            strength = KEY_NOISE * torch.rand(1, generator=generator, device=clean.device)
            rows.append(strength * torch.randn(*clean.shape[1:], generator=generator, device=clean.device))
        return torch.stack(rows)

    def _whole_channels(self, batch: SegmentBatch) -> Tensor:
        """(B, T, channels) 1 where every value that the actor has of a channel is real data."""
        lacking = 1 - self.codec.noised(batch.actor).unsqueeze(1)
        parts = self.codec.layout.split(torch.maximum(self.codec.known(batch.known), lacking))
        return torch.stack([part.amin(dim=2) for part in parts.values()], dim=2)

    def _mse(self, s: Segments) -> Mean:
        error = ((s.prediction - s.x_0) / self.network.unit) ** 2 * self.importance * self.codec.known(s.batch.known)
        error = error if s.counts is None else error * s.counts
        return over_frames(error.sum(dim=2) / self.importance.sum().clamp(min=1e-12), s.batch.valid)


def units(data: SegmentData) -> np.ndarray:
    """The unit (C,) float32 of every value of a training set's targets: its standard deviation about 0 where it is known, but
    no less than a share of the largest of its channel; 1 for channels without any motion."""
    _, squares, counts = data.known_sums()
    return raised_units(np.sqrt(squares / np.maximum(counts, 1)), data.layout, LEAST_UNIT)


def in_units(data: SegmentData, unit: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Targets (T, C) over the unit (C,) of each value, and which are real data, of clips from all over the data: of about
    MOST_FRAMES frames."""
    every = math.ceil(sum(len(target) for target, _ in data.known_targets()) / MOST_FRAMES)
    for target, known in itertools.islice(data.known_targets(), 0, None, every):
        yield np.asarray(target) / unit, np.asarray(known)


def farthest(codecs: Sequence[FaceCodec], layout: ChannelLayout) -> np.ndarray:
    """How far 1 of each value (C,) moves the vertex that it moves most, of any actor; 1 for values that are not of a mesh."""
    found = {name: np.full(size, float(kind_of(name) != "mesh")) for name, size in layout.sizes.items()}
    bases = [(channel.name, channel.basis) for codec in codecs for channel in codec.channels if channel.basis]
    for name, basis in bases:
        lengths = np.linalg.norm(basis.components.reshape(len(basis.components), -1, 3), axis=2).max(axis=1)
        found[name][: len(lengths)] = np.maximum(found[name][: len(lengths)], lengths)
    return np.concatenate(list(found.values())).astype(np.float32)


def importance(moved: Tensor, layout: ChannelLayout) -> Tensor:
    """How much each value (C,) counts: in each channel in proportion to how far a unit of it moves what it moves most, all of
    them together as CHANNEL_WEIGHTS say. A lid that closes moves few vertices, but far."""
    parts = layout.split(moved)
    return torch.cat(
        [CHANNEL_WEIGHTS.get(name, 1.0) * part / part.sum().clamp(min=1e-12) for name, part in parts.items()]
    )


def followers(moved: Tensor, layout: ChannelLayout) -> Tensor:
    """Which values (C,) of a mesh move it by less than FOLLOWS of what the farthest of their channel does."""
    parts = layout.split(moved).items()
    return torch.cat([(part < FOLLOWS * part.amax()) & (kind_of(name) == "mesh") for name, part in parts])
