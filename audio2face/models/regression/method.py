"""Regression: one frame of animation from one window of sound, with learned implicit emotions.

Follows Karras et al., "Audio-driven facial animation by joint end-to-end learning of pose and emotion" (SIGGRAPH 2017),
as Audio2Face-3D (arXiv 2508.16401) extends it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.distributed import Rng
from audio2face.face.codec import kind_of
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.losses import (
    emotion_regulariser,
    motion,
    mse,
    phoneme_cross_entropy,
    phoneme_motion,
    volume_stabiliser,
    weighted_distance,
    weighted_motion,
    weighted_mse,
)
from audio2face.models.common.vertex_distances import VertexDistances
from audio2face.models.regression.data import WindowBatch, WindowData
from audio2face.models.regression.network import ConvW2vAutocorr
from audio2face.training.metrics import Losses, Mean, RunningRms, reduce_means, weighted_total
from audio2face.training.precision import FLOAT32, Precision

logger = logging.getLogger(__name__)

NORMALISED = (
    "MSE",
    "MOTION",
    "CURVES",
    "CURVES_MOTION",
    "EMO_REG",
)  # terms divided by their running RMS, fading out as training goes on


@dataclass(frozen=True)
class LossSettings:
    """Weights of the terms (None: off) and their shape parameters, as the LOSS_* keys of a config name them.

    `curves` and `curves_motion` (C,) are those of every value in the losses of curves, 0 for the face.
    """

    weights: dict[str, float | None]
    curves: np.ndarray | None = None
    curves_motion: np.ndarray | None = None
    lip_dist_exp: float = 1.0
    vol_stab_exp: float = 5000.0
    lip_dist_emotion: tuple[float, ...] | None = None  # by emotion number
    lip_size_emotion: tuple[float, ...] | None = None
    phoneme_silence_weight: float = 1.0
    phoneme_silence: dict[str, int] = field(default_factory=dict)  # language -> class of silence
    eye_threshold: float | None = None  # lids at most this far apart: the frame's skin does not train


def falling_rate(gamma: float, cosine: bool, epochs: int, final: float = 0.02) -> Callable[[int], float]:
    """Factor of the learning rate: `gamma` per epoch, and with `cosine` a fall to `final` times the rate."""

    def rate(epoch: int) -> float:
        value = gamma**epoch
        if cosine:
            value *= final + (1 - final) * 0.5 * (1 + math.cos(math.pi * epoch / max(epochs, 1)))
        return value

    return rate


class Regression(nn.Module):
    """The network and the table of implicit emotions, one row per training frame."""

    network: ConvW2vAutocorr

    def __init__(
        self, network: ConvW2vAutocorr, num_rows: int, implicit_len: int, sigma: float, generator: torch.Generator
    ):
        super().__init__()
        self.network = network
        self.implicit = nn.Parameter(torch.randn(num_rows, implicit_len, generator=generator) * sigma)


@dataclass(frozen=True)
class Rows:
    """What the loss terms of a batch are made of: (n, …) for its rows."""

    batch: WindowBatch
    prediction: Tensor  # (n, C)
    logits: dict[str, Tensor]  # language -> (n, T, P)
    implicit: Tensor  # (n, I)
    mask: Tensor  # (n, C) 1 where the target is real data that should be learned
    face: Tensor  # (n, C) the same of the face alone, without curves


class RegressionMethod:
    """A `training.loop.Method`."""

    def __init__(
        self,
        model: Regression,
        data: WindowData,
        layout: ChannelLayout,
        settings: LossSettings,
        rate: Callable[[int], float],
        *,
        emo_lr_mult: float = 1.0,
        skin_scale: Tensor | None = None,
        lip_dist: VertexDistances | None = None,
        lip_size: VertexDistances | None = None,
        eye_dist: VertexDistances | None = None,
        precision: Precision = FLOAT32,
    ):
        self.precision, self.decode = precision, precision.compiled(model.network.decode)
        self.model, self.data, self.layout, self.settings = model, data, layout, settings
        self.rate, self.emo_lr_mult = rate, emo_lr_mult
        self.skin_scale, self.lip_dist, self.lip_size, self.eye_dist = skin_scale, lip_dist, lip_size, eye_dist
        self.normaliser = RunningRms()
        by_emotion = {"LIP_DIST": settings.lip_dist_emotion, "LIP_SIZE": settings.lip_size_emotion}
        self._by_emotion = {k: torch.tensor(v, device=data.device) for k, v in by_emotion.items() if v is not None}
        self._is_face = torch.ones(layout.size, device=data.device)
        for name, place in layout.slices.items():
            if kind_of(name) == "curves":
                self._is_face[place] = 0.0
        self._not_eye = self._is_face.clone()
        if "eye" in layout.slices:
            self._not_eye[layout.slices["eye"]] = 0.0
        self.terms = self._build_terms()

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
        weights = self.settings.weights
        network, implicit = self.model.network, self.model.implicit[batch.frame_ids]
        conditions = batch.conditions.replaced(implicit=implicit)
        features = batch.features
        if features is None:
            assert batch.audio is not None, "a batch has features or sound"
            features = network.features(batch.audio)
        with self.precision.autocast(implicit.device):
            prediction, logits = self.decode(features, conditions, Rng(batch.shard))
        prediction = prediction.to(batch.target.dtype)
        logits = {language: values.to(batch.target.dtype) for language, values in logits.items()}
        mask = self._without_closed_eyes(batch)
        rows = Rows(batch, prediction, logits, implicit, mask, mask * self._is_face)
        means = {name: term(rows) for name, term in self.terms.items()}
        terms = _over_languages(reduce_means(means, self.data.world, batch.shard.counts))
        scaled = {k: v for k, v in terms.items() if k in NORMALISED and weights.get(k)}
        scaled = self.normaliser(scaled, 1.0 - progress)
        return Losses(weighted_total({**terms, **scaled}, weights), terms)

    def errors(self, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Mean]:
        """Mean squared error of the face, "MSE", and of curves, "CURVES", as far as the network gives them: all (n, C)."""
        parts = {"MSE": self._is_face, "CURVES": 1 - self._is_face}
        return {name: mse(prediction, target, mask * part) for name, part in parts.items() if part.any()}

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

    def _build_terms(self) -> dict[str, Callable[[Rows], Mean]]:
        """The loss terms that there are, by name; TERM/language is a part of TERM."""
        settings, weights = self.settings, self.settings.weights
        several, terms = self.data.params.seq_len > 1, self._build_curve_terms()
        if self._is_face.any():
            terms["MSE"] = lambda r: mse(r.prediction, r.batch.target, r.face)
            if several:
                terms["MOTION"] = lambda r: motion(r.prediction, r.batch.target, r.face, r.batch.seq_len)
        if several:
            if self.model.implicit.shape[1]:
                terms["EMO_REG"] = lambda r: emotion_regulariser(r.implicit, r.batch.seq_len)
            if weights.get("VOL_STAB_REG") and self._not_eye.any():
                terms["VOL_STAB_REG"] = self._volume
        if self.lip_dist is not None and weights.get("LIP_DIST"):
            by_emotion = self._by_emotion.get("LIP_DIST")
            terms["LIP_DIST"] = partial(self._lips, self.lip_dist, settings.lip_dist_exp, by_emotion)
        if self.lip_size is not None and weights.get("LIP_SIZE"):
            terms["LIP_SIZE"] = partial(self._lips, self.lip_size, 0.0, self._by_emotion.get("LIP_SIZE"))
        if weights.get("PHONEME") or weights.get("PHONEME_MOTION"):
            for language in self.data.phonemes:
                terms[f"PHONEME/{language}"] = partial(self._phonemes, language)
                terms[f"PHONEME_MOTION/{language}"] = partial(self._phoneme_motion, language)
        return terms

    def _build_curve_terms(self) -> dict[str, Callable[[Rows], Mean]]:
        device, s = self.data.device, self.settings
        terms: dict[str, Callable[[Rows], Mean]] = {}
        if s.curves is not None:
            of_values = torch.from_numpy(s.curves).to(device)
            terms["CURVES"] = lambda r: weighted_mse(r.prediction, r.batch.target, r.mask, of_values)
        if s.curves_motion is not None and self.data.params.seq_len > 1:
            of_motion = torch.from_numpy(s.curves_motion).to(device)
            terms["CURVES_MOTION"] = lambda r: weighted_motion(
                r.prediction, r.batch.target, r.mask, of_motion, r.batch.seq_len
            )
        return terms

    def _volume(self, r: Rows) -> Mean:
        mask = r.mask * self._not_eye
        return volume_stabiliser(r.prediction, r.batch.level, mask, r.batch.seq_len, self.settings.vol_stab_exp)

    def _lips(self, distances: VertexDistances, exponent: float, by_emotion: Tensor | None, r: Rows) -> Mean:
        weight = r.prediction.new_ones(len(r.prediction), 1)
        if by_emotion is not None:
            weight = by_emotion[r.batch.emotion_ids][:, None]
        ours = distances(self.skin(r.prediction, r.batch.actor_ids), r.batch.actor_ids)
        true = distances(self.skin(r.batch.target, r.batch.actor_ids), r.batch.actor_ids)
        return weighted_distance(ours, true, weight, exponent)

    def _phonemes(self, language: str, r: Rows) -> Mean:
        rows, target = r.batch.phonemes[language]
        silence, silence_weight = self.settings.phoneme_silence.get(language), self.settings.phoneme_silence_weight
        return phoneme_cross_entropy(r.logits[language][rows], target, silence, silence_weight)

    def _phoneme_motion(self, language: str, r: Rows) -> Mean:
        rows, target = r.batch.phonemes[language]
        return phoneme_motion(r.logits[language][rows], target)


def _over_languages(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms named TERM/language summed to TERM."""
    found: dict[str, Tensor] = {}
    for name, value in terms.items():
        term = name.split("/")[0]
        found[term] = found[term] + value if term in found else value
    return found
