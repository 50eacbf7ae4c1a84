"""Loss terms as pure functions of tensors, their weighted total, and the running normaliser.

Rows come in items of L consecutive frames: (B·L, C) is reshaped to (B, L, C) where a term looks at motion.
A term is a `Mean` of one process's rows; `reduce_means` makes the means of the whole batch of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2face.distributed import World

SMALLEST_WEIGHT = 1e-12


@dataclass(frozen=True)
class Losses:
    """The total to minimise and every term that went into it, unweighted, all scalars."""

    total: Tensor
    terms: dict[str, Tensor]


@dataclass(frozen=True)
class Mean:
    """A weighted mean in two parts, scalars, so that parts of a batch can be put together before they are divided."""

    total: Tensor
    weight: Tensor

    @property
    def value(self) -> Tensor:
        """The mean; 0 when nothing counts."""
        return self.total / self.weight.clamp(min=SMALLEST_WEIGHT)


def mean_of(x: Tensor) -> Mean:
    """Mean of all values of x."""
    return Mean(x.sum(), x.new_full((), float(x.numel())))


def masked_mean(x: Tensor, mask: Tensor) -> Mean:
    """Mean of x over the entries that count; the mask (1 or 0) broadcasts. 0 when none does."""
    mask = mask.expand_as(x)
    return Mean((x * mask).sum(), mask.sum())


def reduce_means(terms: Mapping[str, Mean], world: World, counts: bool = True) -> dict[str, Tensor]:
    """The values of terms over the batches of all processes, in one exchange; `counts` is False for a stand-in batch.

    Every process gets the same values, and of each the gradient of its own part.
    """
    parts = torch.stack([part for term in terms.values() for part in (term.total, term.weight)])
    totals, weights = world.reduce_sum(parts if counts else parts * 0.0).unflatten(0, (-1, 2)).unbind(1)
    return dict(zip(terms, (totals / weights.clamp(min=SMALLEST_WEIGHT)).unbind(), strict=True))


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


@dataclass
class RunningRms:
    """Divides each term by the running RMS of itself (decay 0.99, bias-corrected), then raises it to a power.

    The state stays on the device: no step waits for it.
    """

    decay: float = 0.99
    squares: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0

    def __call__(self, terms: Mapping[str, Tensor], power: float) -> dict[str, Tensor]:
        """Each term (scalar) over its running root mean square to the `power`; counts this call's values in."""
        self.count += 1
        correction = 1.0 - self.decay**self.count
        scaled = {}
        for name, value in terms.items():
            square = value.detach() ** 2
            previous = self.squares.get(name, torch.zeros_like(square))
            self.squares[name] = self.decay * previous + (1.0 - self.decay) * square
            rms = (self.squares[name] / correction).sqrt().clamp(min=1e-12)
            scaled[name] = (value / rms).clamp(min=1e-12) ** power
        return scaled

    def state_dict(self) -> dict[str, object]:
        return {"squares": dict(self.squares), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self.squares, self.count = dict(state["squares"]), state["count"]


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float | None]) -> Tensor:
    """Sum of terms times their weights; a weight of None or 0 leaves the term out."""
    return torch.stack([weight * terms[name] for name, weight in weights.items() if weight and name in terms]).sum()
