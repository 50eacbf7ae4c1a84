"""Conditions: what a network makes a face from, as named tensors. A network lists those that it takes as `ConditionSpec`s."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng

AXES = {"static": 2, "track": 3, "mask": 2}  # (B, c), (B, T, c), (B, T)


@dataclass(frozen=True)
class ConditionSpec:
    """A condition of a network: a "static" vector (B, size), a "track" (B, T, size) or a "mask" (B, T).

    A track may come as one vector (B, size), which is held over all frames. In training a share `drop` of the segments
    goes without it: in its place they get zeros, or a vector that is learned.
    """

    name: str
    kind: str
    size: int = 1
    drop: float = 0.0
    learned_null: bool = False

    def fits(self, x: Tensor) -> bool:
        """Whether a tensor is one of this kind and size."""
        held = self.kind == "track" and x.ndim == AXES["static"]
        return (held or x.ndim == AXES[self.kind]) and (self.kind == "mask" or x.shape[-1] == self.size)


@dataclass(frozen=True)
class Conditions:
    """Named tensors of one batch: at least those that the network lists."""

    tensors: Mapping[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def replaced(self, **tensors: Tensor) -> Conditions:
        """The same with some of them added or in place of others."""
        return Conditions({**self.tensors, **tensors})

    def check(self, specs: Sequence[ConditionSpec]) -> None:
        """Raise ValueError unless those that a network lists are there, each of its kind and size."""
        wrong = [s.name for s in specs if s.name not in self.tensors or not s.fits(self.tensors[s.name])]
        if wrong:
            shapes = {name: tuple(x.shape) for name, x in self.tensors.items()}
            raise ValueError(f"conditions {', '.join(wrong)} do not fit the network; given {shapes}")


class ConditionDropout(nn.Module):
    """In training leaves conditions out as their specs ask, segment by segment; holds the vectors that stand for nothing."""

    def __init__(self, specs: Sequence[ConditionSpec], together: float = 0.0):
        """`together` is the share of segments that go without any of those that can be dropped."""
        super().__init__()
        self.together = together
        self.specs = tuple(specs)
        self.nulls = nn.ParameterDict({s.name: nn.Parameter(torch.zeros(s.size)) for s in specs if s.learned_null})

    def forward(self, conditions: Conditions, rng: Rng = WHOLE) -> Conditions:
        if not self.training:
            return conditions
        conditions.check(self.specs)
        dropped, all_left = [spec for spec in self.specs if spec.drop], None
        if self.together and dropped:
            first = conditions[dropped[0].name]
            all_left = rng.uniform(len(first), device=first.device) < self.together
        found = {spec.name: self._dropped(spec, conditions[spec.name], rng, all_left) for spec in dropped}
        return conditions.replaced(**found)

    def without(self, conditions: Conditions, names: Sequence[str]) -> Conditions:
        """The same with the named ones left out of every segment, which guidance compares with."""
        return conditions.replaced(**{s.name: self._null(s, conditions[s.name]) for s in self.specs if s.name in names})

    def where_there(self, name: str, x: Tensor, there: Tensor) -> Tensor:
        """A condition (B, …) with what stands for nothing in rows where `there` (B,) is 0, whatever x holds in them."""
        spec = next(spec for spec in self.specs if spec.name == name)
        return torch.where(there.reshape(-1, *[1] * (x.ndim - 1)) > 0, x, self._null(spec, x))

    def nothing(self, name: str, like: Tensor) -> Tensor:
        """What stands for a condition that is left out, in the shape of `like` (…, size)."""
        return self._null(next(spec for spec in self.specs if spec.name == name), like)

    def _dropped(self, spec: ConditionSpec, x: Tensor, rng: Rng, all_left: Tensor | None) -> Tensor:
        leave = rng.uniform(len(x), *[1] * (x.ndim - 1), device=x.device) < spec.drop
        if all_left is not None:
            leave = leave | all_left.reshape(leave.shape)
        return torch.where(leave, self._null(spec, x), x)

    def _null(self, spec: ConditionSpec, x: Tensor) -> Tensor:
        return self.nulls[spec.name].to(x).expand_as(x) if spec.learned_null else torch.zeros_like(x)
