"""Loss terms of face animation as pure functions of tensors.

Rows come in items of L consecutive frames: (B·L, C) is reshaped to (B, L, C) where a term looks at motion.
A term is a `Mean` of one process's rows; `training.metrics.reduce_means` makes the means of the whole batch of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from audio2face.face.codec import kind_of
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.inputs import Inputs
from audio2face.training.metrics import Mean, masked_mean, mean_of


def mse(prediction: Tensor, target: Tensor, mask: Tensor) -> Mean:
    """Mean squared error over the values that are real data: all (B·L, C)."""
    return masked_mean((prediction - target) ** 2, mask)


def frame_differences(x: Tensor, seq_len: int) -> Tensor:
    """(B·L, …) -> (B, L - 1, …) differences between successive frames of each item."""
    return x.unflatten(0, (-1, seq_len)).diff(dim=1)


def motion(prediction: Tensor, target: Tensor, mask: Tensor, seq_len: int) -> Mean:
    """Mean squared error of frame-to-frame differences."""
    both = mask.unflatten(0, (-1, seq_len))
    return masked_mean(frame_differences(prediction - target, seq_len) ** 2, both[:, 1:] * both[:, :-1])


def weighted_mse(prediction: Tensor, target: Tensor, mask: Tensor, weight: Tensor) -> Mean:
    """`mse` over the values of which the weight (C,) is not 0, each times its weight."""
    return masked_mean(weight * (prediction - target) ** 2, mask * (weight != 0))


def weighted_motion(prediction: Tensor, target: Tensor, mask: Tensor, weight: Tensor, seq_len: int) -> Mean:
    """`motion` over the values of which the weight (C,) is not 0, each times its weight."""
    both = (mask * (weight != 0)).unflatten(0, (-1, seq_len))
    error = weight * frame_differences(prediction - target, seq_len) ** 2
    return masked_mean(error, both[:, 1:] * both[:, :-1])


def emotion_regulariser(implicit: Tensor, seq_len: int) -> Mean:
    """Mean squared change of the implicit emotion (B·L, I) over its mean square: keeps it slow at any size."""
    values_per_change = seq_len / (seq_len - 1)
    return Mean((frame_differences(implicit, seq_len) ** 2).sum() * values_per_change, (implicit**2).sum())


def weighted_distance(prediction: Tensor, target: Tensor, weight: Tensor, exponent: float) -> Mean:
    """Squared error of distances (n, pairs), both scaled by exp(-exponent * max(true distance, 0)): closed counts most.

    `weight` (n, 1) scales whole rows (emotion weights, missing data).
    """
    scale = torch.exp(-exponent * target.clamp(min=0.0))
    return mean_of(((prediction - target) * scale) ** 2 * weight)


def volume_stabiliser(prediction: Tensor, level: Tensor, mask: Tensor, seq_len: int, exponent: float) -> Mean:
    """Mean squared frame difference of the values that count, weighted by exp(-exponent * mean |audio|): still in silence."""
    quiet = torch.exp(-exponent * level).unflatten(0, (-1, seq_len)).mean(dim=1)  # (B,)
    both = mask.unflatten(0, (-1, seq_len))
    moved = quiet[:, None, None] * frame_differences(prediction, seq_len) ** 2
    return masked_mean(moved, both[:, 1:] * both[:, :-1])


def phoneme_cross_entropy(
    logits: Tensor, target: Tensor, silence: int | None = None, silence_weight: float = 1.0
) -> Mean:
    """Cross-entropy of logits (n, T, P) with probabilities of the same shape; 0 when n is 0.

    Steps whose likeliest target is the class `silence` are weighted by `silence_weight`.
    """
    entropy = -(target * F.log_softmax(logits, dim=-1)).sum(dim=-1)
    if silence is None or silence_weight == 1.0:
        return mean_of(entropy)
    weight = torch.where(target.argmax(dim=-1) == silence, silence_weight, 1.0)
    return Mean((entropy * weight).sum(), weight.sum())


def phoneme_motion(logits: Tensor, target: Tensor) -> Mean:
    """Mean squared error of the probabilities' differences from step to step of (n, T, P); 0 when n is 0."""
    return mean_of((logits.softmax(dim=-1).diff(dim=1) - target.diff(dim=1)) ** 2)


def build_curve_weights(inputs: Inputs, layout: ChannelLayout, key: str) -> np.ndarray | None:
    """The weight (C,) of every value of a frame in a loss of curves, zeros for the face; None when no group has any."""
    given = getattr(inputs.train, key)
    weights = [np.full(n, given.get(c, 1.0) if kind_of(c) == "curves" else 0.0) for c, n in layout.sizes.items()]
    found = np.concatenate(weights).astype(np.float32)
    return found if found.any() else None


def build_emotion_weights(inputs: Inputs, weights: Mapping[str, float] | None) -> tuple[float, ...] | None:
    """Weights by emotion number, 1 where none is given; None when there are no weights at all."""
    return None if weights is None else tuple(float(weights.get(e, 1.0)) for e in inputs.dataset.SHOT_EMOTION_NAMES)
