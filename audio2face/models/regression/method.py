"""Regression: one frame of animation from one window of sound, with learned implicit emotions.

Follows Karras et al., "Audio-driven facial animation by joint end-to-end learning of pose and emotion" (SIGGRAPH 2017),
as Audio2Face-3D (arXiv 2508.16401) extends it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from audio2face.distributed import ALONE, Rng, World
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.vertex_distances import VertexDistances
from audio2face.models.regression.data import WindowBatch, WindowData
from audio2face.models.regression.network import ConvW2vAutocorr
from audio2face.training.losses import (
    Losses,
    Mean,
    RunningRms,
    emotion_regulariser,
    motion,
    mse,
    phoneme_cross_entropy,
    phoneme_motion,
    reduce_means,
    volume_stabiliser,
    weighted_distance,
    weighted_total,
)
from audio2face.training.precision import IN_FULL, Speed

logger = logging.getLogger(__name__)

NORMALISED = ("MSE", "MOTION", "EMO_REG")  # terms divided by their running RMS, fading out as training goes on


@dataclass(frozen=True)
class LossSettings:
    """Weights of the terms (None: off) and their shape parameters, as the LOSS_* keys of a config name them."""

    weights: dict[str, float | None]
    lip_dist_exp: float = 1.0
    vol_stab_exp: float = 5000.0
    lip_dist_emotion: tuple[float, ...] | None = None  # by emotion number
    lip_size_emotion: tuple[float, ...] | None = None
    phoneme_silence_weight: float = 1.0
    phoneme_silence: dict[str, int] = field(default_factory=dict)  # language -> class of silence
    eye_threshold: float | None = None  # lids at most this far apart: the frame's skin does not train


@dataclass(frozen=True)
class Schedule:
    """Learning rate over epochs: a factor per epoch, and optionally a cosine fall to `final` times the rate."""

    gamma: float = 1.0
    cosine: bool = False
    final: float = 0.02
    epochs: int = 1

    def __call__(self, epoch: int) -> float:
        """The factor of the learning rate in an epoch, from 0 on."""
        value = self.gamma**epoch
        if self.cosine:
            value *= self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * epoch / max(self.epochs, 1)))
        return value


class Regression(nn.Module):
    """The network and the table of implicit emotions, one row per training frame."""

    network: ConvW2vAutocorr

    def __init__(
        self, network: ConvW2vAutocorr, num_rows: int, implicit_len: int, sigma: float, generator: torch.Generator
    ):
        super().__init__()
        self.network = network
        self.implicit = nn.Parameter(torch.randn(num_rows, implicit_len, generator=generator) * sigma)


class RegressionMethod:
    """Meets `training.Method`."""

    def __init__(
        self,
        model: Regression,
        data: WindowData,
        layout: ChannelLayout,
        settings: LossSettings,
        schedule: Schedule,
        *,
        batch_size: int,
        emo_lr_mult: float = 1.0,
        skin_scale: Tensor | None = None,
        lip_dist: VertexDistances | None = None,
        lip_size: VertexDistances | None = None,
        eye_dist: VertexDistances | None = None,
        world: World = ALONE,
        speed: Speed = IN_FULL,
    ):
        self.world, self.speed, self.decode = world, speed, speed.compiled(model.network.decode)
        self.model, self.data, self.layout, self.settings = model, data, layout, settings
        self.schedule, self.batch_size, self.emo_lr_mult = schedule, batch_size, emo_lr_mult
        self.skin_scale, self.lip_dist, self.lip_size, self.eye_dist = skin_scale, lip_dist, lip_size, eye_dist
        self.normaliser = RunningRms()
        by_emotion = {"LIP_DIST": settings.lip_dist_emotion, "LIP_SIZE": settings.lip_size_emotion}
        self._by_emotion = {k: torch.tensor(v, device=data.device) for k, v in by_emotion.items() if v is not None}
        self._not_eye = torch.ones(layout.size, device=data.device)
        if "eye" in layout.slices:
            self._not_eye[layout.slices["eye"]] = 0.0

    def batches(self, epoch: int) -> Iterator[WindowBatch]:
        return self.data.batches(epoch, self.batch_size, self.world)

    def steps_per_epoch(self) -> int:
        return self.data.steps_per_epoch(self.batch_size)

    def lr_multiplier(self, epoch: int) -> float:
        return self.schedule(epoch)

    def describe(self, batch: WindowBatch) -> str:
        return self.data.describe(batch)

    def state_dict(self) -> dict[str, Any]:
        return {"normaliser": self.normaliser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.normaliser.load_state_dict(state["normaliser"])

    def param_groups(self) -> list[dict[str, Any]]:
        network = [p for p in self.model.network.parameters() if p.requires_grad]
        return [
            {"params": network, "lr_mult": 1.0},
            {"params": [self.model.implicit], "lr_mult": self.emo_lr_mult, "decay": False},
        ]

    def loss(self, batch: WindowBatch, progress: float) -> Losses:
        """All terms of a batch; the normalised ones are raised to 1 - progress."""
        settings, weights = self.settings, self.settings.weights
        network, implicit = self.model.network, self.model.implicit[batch.frame_ids]
        features = batch.features
        if features is None:
            assert batch.audio is not None, "a batch has features or sound"
            features = network.features(batch.audio)
        with self.speed.autocast(implicit.device):
            prediction, logits = self.decode(features, implicit, batch.explicit, Rng(batch.shard))
        prediction = prediction.to(batch.target.dtype)
        logits = {language: values.to(batch.target.dtype) for language, values in logits.items()}
        mask = self._without_closed_eyes(batch)
        seq_len = batch.seq_len
        means = {"MSE": mse(prediction, batch.target, mask)}
        if seq_len > 1:
            means["MOTION"] = motion(prediction, batch.target, mask, seq_len)
            if implicit.shape[1]:
                means["EMO_REG"] = emotion_regulariser(implicit, seq_len)
            if weights.get("VOL_STAB_REG"):
                means["VOL_STAB_REG"] = volume_stabiliser(
                    prediction, batch.level, mask * self._not_eye, seq_len, settings.vol_stab_exp
                )
        means.update(self._lips(prediction, batch))
        means.update(self._phonemes(logits, batch))
        terms = _over_languages(reduce_means(means, self.world, batch.shard.counts))
        scaled = {k: v for k, v in terms.items() if k in NORMALISED and weights.get(k)}
        scaled = self.normaliser(scaled, 1.0 - progress)
        return Losses(weighted_total({**terms, **scaled}, weights), terms)

    def skin(self, values: Tensor, actor_ids: Tensor) -> Tensor:
        """Skin coefficients in data units of (n, C)."""
        coeffs = values[:, self.layout.slices["skin_coeffs"]]
        return coeffs if self.skin_scale is None else coeffs * self.skin_scale[actor_ids][:, None]

    def _without_closed_eyes(self, batch: WindowBatch) -> Tensor:
        """The mask (n, C) with the skin left out where the true lids are closed; the lips still count in their own terms."""
        if self.eye_dist is None or self.settings.eye_threshold is None:
            return batch.mask
        lids = self.eye_dist(self.skin(batch.target, batch.actor_ids), batch.actor_ids).mean(dim=1)
        items_open = (lids > self.settings.eye_threshold).unflatten(0, (-1, batch.seq_len)).all(dim=1)
        mask = batch.mask.clone()
        mask[:, self.layout.slices["skin_coeffs"]] *= items_open.repeat_interleave(batch.seq_len)[:, None]
        return mask

    def _lips(self, prediction: Tensor, batch: WindowBatch) -> dict[str, Mean]:
        settings, found = self.settings, {}
        for name, distances, exponent in (
            ("LIP_DIST", self.lip_dist, settings.lip_dist_exp),
            ("LIP_SIZE", self.lip_size, 0.0),
        ):
            if distances is None or not settings.weights.get(name):
                continue
            weight = prediction.new_ones(len(prediction), 1)
            if name in self._by_emotion:
                weight = self._by_emotion[name][batch.emotion_ids][:, None]
            ours = distances(self.skin(prediction, batch.actor_ids), batch.actor_ids)
            true = distances(self.skin(batch.target, batch.actor_ids), batch.actor_ids)
            found[name] = weighted_distance(ours, true, weight, exponent)
        return found

    def _phonemes(self, logits: dict[str, Tensor], batch: WindowBatch) -> dict[str, Mean]:
        weights = self.settings.weights
        if not logits or not (weights.get("PHONEME") or weights.get("PHONEME_MOTION")):
            return {}
        found = {}
        for language, values in logits.items():
            rows, index = batch.phonemes[language]
            target = self.data.phoneme_posteriors[language][index]  # (n, T, P)
            silence, silence_weight = self.settings.phoneme_silence.get(language), self.settings.phoneme_silence_weight
            found[f"PHONEME/{language}"] = phoneme_cross_entropy(values[rows], target, silence, silence_weight)
            found[f"PHONEME_MOTION/{language}"] = phoneme_motion(values[rows], target)
        return found


def _over_languages(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms named TERM/language summed to TERM."""
    found: dict[str, Tensor] = {}
    for name, value in terms.items():
        term = name.split("/")[0]
        found[term] = found[term] + value if term in found else value
    return found
