"""Diffusion: the network learns to restore noised animation of whole segments, given their sound.

The targets are coefficients of skin and tongue, jaw and eye. `diffusion_rnn_pca` works on them as they are;
`diffusion_rnn` decodes them to vertices. The bases are orthonormal, so white noise on vertices projects to white noise on
coefficients, and the squared error of poses in the span is that of their coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.audio.windows import Streaming
from audio2face.distributed import WHOLE, Rng
from audio2face.face.codec import part_of
from audio2face.models.common.vertex_distances import VertexDistances
from audio2face.models.diffusion.audio_context import batch_features
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.data import SegmentBatch, SegmentData
from audio2face.models.diffusion.network import SpeechFrames
from audio2face.models.diffusion.samplers import add_noise
from audio2face.models.diffusion.schedule import Schedule
from audio2face.training.metrics import Losses, Mean, mean_of, reduce_means, weighted_total
from audio2face.training.precision import FLOAT32, Precision

HARDLY = 1e-3  # of the largest weight: a vertex that hardly counts


@dataclass(frozen=True)
class DiffusionLosses:
    """Weights of the terms (None: off) and what shapes them."""

    weights: dict[str, float | None]
    curves: np.ndarray | None = None  # (C,) of every value in the loss of curves, 0 for the face
    curves_motion: np.ndarray | None = None
    tongue_weight: float = 0.1
    jaw_weight: float = 1.0
    lip_dist_exp: float = 10.0
    lip_dist_emotion: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Smoothness:
    """Squared upper-face motion, a mean over 3V: of the skin's values at `index` (n,), weighed by `weights` (A, n).

    Without an index of skin coefficients, as a quadratic form `weights` (A, K, K) of their differences.
    """

    weights: Tensor
    index: Tensor | None = None

    def __call__(self, skin: Tensor, actor_ids: Tensor) -> Tensor:
        """Of skin (B, T, 3V or K), from frame to frame: (B, T - 1)."""
        weights = self.weights[actor_ids]
        if self.index is None:
            moved = skin.diff(dim=1)
            return (torch.bmm(moved, weights) * moved).sum(dim=2)
        return torch.matmul(skin.index_select(2, self.index).diff(dim=1).square(), weights.unsqueeze(2)).squeeze(2)


@dataclass(frozen=True)
class Segments:
    """What the loss terms of a batch are made of: frames (B, T, C) as they are and as predicted, and perhaps how much squared
    errors of each value count at the noise that was added (B, 1, C)."""

    batch: SegmentBatch
    x_0: Tensor
    prediction: Tensor
    counts: Tensor | None = None


class DiffusionMethod:
    """A `training.loop.Method`."""

    def __init__(
        self,
        network: SpeechFrames,
        data: SegmentData,
        codec: TorchCodec,
        schedule: Schedule,
        settings: DiffusionLosses,
        rate: Callable[[int], float],
        *,
        lip_dist: VertexDistances | None = None,
        smooth: Smoothness | None = None,
        streaming: Streaming,
        step_bias: float = 0.0,
        precision: Precision = FLOAT32,
    ):
        """Half the segments get a step t at an even chance, half at one proportional to t ** step_bias."""
        self.precision, self.denoise = precision, precision.compiled(network)
        self.model: nn.Module = network
        self.network: Any = network
        self.data, self.codec, self.settings = data, codec, settings
        skin = codec.poses.slices["skin_pose"]
        self.rate, self.skin_scale, self.skin_size = (
            rate,
            codec.scale[:, skin.start],
            skin.stop - skin.start,
        )
        self.lip_dist, self.smooth, self.streaming, self.step_bias = lip_dist, smooth, streaming, step_bias
        device = data.device
        self.generator = torch.Generator(device=device)
        self.alphas = torch.from_numpy(schedule.alphas_cumprod).float().to(device)
        self.timesteps = torch.from_numpy(schedule.timesteps).long().to(device)
        weight = {"tongue": settings.tongue_weight, "jaw": settings.jaw_weight}
        weight |= dict.fromkeys(codec.curves.sizes, 0.0)  # which have terms of their own
        values = [np.full(size, weight.get(part_of(name), 1.0)) for name, size in codec.layout.sizes.items()]
        self.weight = torch.from_numpy(np.concatenate(values)).float().to(device)
        by_emotion = settings.lip_dist_emotion
        self._by_emotion = None if by_emotion is None else torch.tensor(by_emotion, device=device)
        self.terms = self._build_terms()

    def state_dict(self) -> dict[str, Any]:
        return {}  # all that is drawn comes from the segments' own seeds

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""

    def param_groups(self) -> list[dict[str, Any]]:
        return [{"params": [p for p in self.network.parameters() if p.requires_grad]}]

    def _draw(self, batch: SegmentBatch, size: int) -> tuple[Tensor, Tensor]:
        """Places (B,) in the schedule and noise (B, T, size) of a batch, each segment's from its own seed."""
        steps, noise = [], batch.target.new_zeros(*batch.valid.shape, size)
        for row, (seed, length) in enumerate(zip(batch.seeds, batch.lengths, strict=True)):
            generator = self.generator.manual_seed(seed)
            even, share = torch.rand(2, generator=generator, device=noise.device).split(1)
            share = torch.where(even < 0.5, share, share ** (1 / (1 + self.step_bias)))
            steps.append((share * len(self.alphas)).long().clamp(max=len(self.alphas) - 1))
            torch.randn(length, size, generator=generator, device=noise.device, out=noise[row, :length])
        if not self.codec.on_vertices:  # where noise is added to everything
            noise = noise * self.codec.noised(batch.actor).unsqueeze(1)
        return torch.cat(steps), noise

    def loss(self, batch: SegmentBatch, progress: float) -> Losses:
        """Denoise the segments at a random step each. Padded frames and absent channels do not count.

        Every term is a mean within each segment, then over segments: a batch equals its segments accumulated.
        """
        x_0 = self.codec.frames(batch.target, batch.actor)
        place, noise = self._draw(batch, x_0.shape[2])
        prediction = self.restored(batch, x_0, place, noise, Rng(batch.shard))
        segments = Segments(batch, x_0, prediction, self.counted(place))
        means = {name: term(segments) for name, term in self.terms.items()}
        terms = reduce_means(means, self.data.world, batch.shard.counts)
        return Losses(weighted_total(terms, {"MSE": 1.0, **self.settings.weights}), terms)

    def restored(self, batch: SegmentBatch, x_0: Tensor, place: Tensor, noise: Tensor, rng: Rng) -> Tensor:
        """What the network makes of x_0 (B, T, C) noised to places (B,) of the schedule: (B, T, C)."""
        x_t, t = add_noise(x_0, self.alphas[place][:, None, None], noise), self.timesteps[place]
        with self.precision.autocast(x_t.device):
            conditions = batch.conditions.replaced(speech=self.encode(batch, rng))
            prediction, _ = self.denoise(x_t, t, conditions, rng=rng)
        return prediction.to(x_0.dtype)

    def counted(self, place: Tensor) -> Tensor | None:
        """How much squared errors of each value count at places (B,) of the schedule (B, 1, C); None: all the same."""
        return None

    def encode(self, batch: SegmentBatch, rng: Rng = WHOLE) -> Tensor:
        """The audio features of each frame (B, T, dim)."""
        return batch_features(self.network, batch, batch.audio, batch.features, self.streaming, rng)

    def _skin(self, frames: Tensor) -> Tensor:
        return frames[..., self.codec.part("skin")]

    def _build_terms(self) -> dict[str, Callable[[Segments], Mean]]:
        """The loss terms that there are, by name."""
        weights = self.settings.weights
        terms: dict[str, Callable[[Segments], Mean]] = {"MSE": self._mse}
        if weights.get("LIP_DIST") and self.lip_dist:
            terms["LIP_DIST"] = partial(self._lips, self.lip_dist)
        if weights.get("VELOCITY"):
            terms["VELOCITY"] = self._velocity
        if weights.get("EXP_SMOOTH") and self.smooth is not None:
            terms["EXP_SMOOTH"] = partial(self._smoothness, self.smooth)
        for name, of_values, change in (
            ("CURVES", self.settings.curves, _as_they_are),
            ("CURVES_MOTION", self.settings.curves_motion, _differences),
        ):
            if of_values is not None:
                terms[name] = partial(self._curves, torch.from_numpy(of_values).to(self.data.device), change)
        return terms

    def _curves(self, weight: Tensor, change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], s: Segments) -> Mean:
        """Squared error of the known values of curves: a mean within each segment that has any, then over those segments."""
        known = self.codec.known(s.batch.known) * s.batch.valid.unsqueeze(2) * (weight != 0)
        error, counts = change(s.prediction - s.x_0, known)
        number = counts.sum(dim=(1, 2))
        weight = weight if s.counts is None else weight * s.counts
        of_segments = (weight * error**2 * counts).sum(dim=(1, 2)) / number.clamp(min=1.0)
        return Mean(of_segments.sum(), (number > 0).to(error).sum())

    def _mse(self, s: Segments) -> Mean:
        error = (s.prediction - s.x_0) * (self.weight * self.codec.known(s.batch.known))
        return over_frames((error**2).sum(dim=2) / self.codec.poses.size, s.batch.valid)

    def _velocity(self, s: Segments) -> Mean:
        difference = (self._skin(s.prediction) - self._skin(s.x_0)).diff(dim=1)
        return over_frames((difference**2).sum(dim=2) / self.skin_size, _moving(s.batch))

    def _smoothness(self, smooth: Smoothness, s: Segments) -> Mean:
        return over_frames(smooth(self._skin(s.prediction), s.batch.actor_ids), _moving(s.batch))

    def _lips(self, lip_dist: VertexDistances, s: Segments) -> Mean:
        """Squared error of lip distances in data units, closed lips weighing most."""
        ours = self.codec.skin_coeffs(s.prediction, s.batch.actor)
        true = self.codec.coeffs.split(s.batch.target)["skin_coeffs"]
        scale = self.skin_scale[s.batch.actor_ids][:, None, None]
        ids = s.batch.actor_ids.repeat_interleave(ours.shape[1])
        distances = [lip_dist((c * scale).flatten(0, 1), ids).unflatten(0, ours.shape[:2]) for c in (ours, true)]
        predicted, target = distances
        error = ((predicted - target) * torch.exp(-self.settings.lip_dist_exp * target.clamp(min=0.0))) ** 2
        if self._by_emotion is not None:
            error = error * self._by_emotion[s.batch.emotion_ids][:, None, None]
        return over_frames(error.mean(dim=2), s.batch.valid)


def _as_they_are(error: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    return error, known


def _differences(error: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T - 1, C) changes from frame to frame, and where both frames are known."""
    return error.diff(dim=1), known[:, 1:] * known[:, :-1]


def _moving(batch: SegmentBatch) -> Tensor:
    """(B, T - 1) 1 where a frame and the one before it are real."""
    return batch.valid[:, 1:] * batch.valid[:, :-1]


def over_frames(x: Tensor, valid: Tensor) -> Mean:
    """Mean of x (B, T) over each segment's real frames, then over segments."""
    return mean_of((x * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1.0))


def warm_cosine(
    learning_rate: float, lowest: float, epochs: int, warmup_init: float, warmup_epochs: int
) -> Callable[[int], float]:
    """Multiplier of the learning rate: linear from `warmup_init` to it over the warm-up, then a cosine to `lowest`."""

    def multiplier(epoch: int) -> float:
        if epoch < warmup_epochs:
            rate = warmup_init + (learning_rate - warmup_init) * epoch / warmup_epochs
        else:
            rate = lowest + 0.5 * (learning_rate - lowest) * (1 + np.cos(np.pi * min(epoch / epochs, 1.0)))
        return float(rate / learning_rate)

    return multiplier


def vertex_smoothness(masks: Sequence[np.ndarray], device: torch.device) -> Smoothness:
    """Smoothness of vertices, given the mask (V,) of every actor; vertices that hardly count are left out."""
    stacked = np.stack(masks)
    chosen = np.flatnonzero((stacked > HARDLY * stacked.max()).any(axis=0))
    index = (3 * chosen[:, None] + np.arange(3)).ravel()
    weights = np.repeat(stacked[:, chosen] / (3 * stacked.shape[1]), 3, axis=1)
    return Smoothness(torch.from_numpy(weights).float().to(device), torch.from_numpy(index).to(device))


def coefficient_smoothness(
    bases: Sequence[np.ndarray], masks: Sequence[np.ndarray], size: int, device: torch.device
) -> Smoothness:
    """The same of coefficients, padded to `size`: bases (K, V, 3), masks (V,) of every actor."""
    forms = np.zeros((len(bases), size, size), np.float32)
    for form, basis, mask in zip(forms, bases, masks, strict=True):
        form[: len(basis), : len(basis)] = smooth_form(basis, mask)
    return Smoothness(torch.from_numpy(forms).to(device))


def smooth_form(basis: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(K, K) float32 with dᵀ Q d = mean over 3V of mask · (d @ basis)²: basis (K, V, 3), mask (V,)."""
    flat = basis.reshape(len(basis), -1).astype(np.float64)
    return ((flat * np.repeat(mask, 3)) @ flat.T / flat.shape[1]).astype(np.float32)
