"""Loss values: a total with its terms, means that can be put together from parts of a batch, and averages over steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

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
        """Restore a state that `state_dict` gave."""
        self.squares, self.count = dict(state["squares"]), state["count"]


def weighted_total(terms: Mapping[str, Tensor], weights: Mapping[str, float | None]) -> Tensor:
    """Sum of terms times their weights; a weight of None or 0 leaves the term out."""
    return torch.stack([weight * terms[name] for name, weight in weights.items() if weight and name in terms]).sum()


class MetricAverage:
    """Mean of every loss since the last reading. Sums stay on the device until read."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, terms: dict[str, Tensor]) -> None:
        """Count in one step's terms (scalars); nothing waits for an accelerator."""
        for name, value in terms.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._count += 1

    def peek(self) -> dict[str, float]:
        """Means since the last reading."""
        return {name: float(value) / self._count for name, value in self._sums.items()}

    def read(self) -> dict[str, float]:
        """Means since the last call."""
        means = self.peek()
        self._sums, self._count = {}, 0
        return means
