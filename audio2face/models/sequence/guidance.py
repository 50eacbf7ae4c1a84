"""How strongly conditions count: x_0 with fewer of them, moved towards x_0 with more (classifier-free guidance, Ho & Salimans
2022, arXiv 2207.12598), one condition after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from audio2face.models.common.conditions import Conditions
from audio2face.models.sequence.network import SequenceTransformer

CONDITIONS = {
    "audio": ("speech",),
    "partner": ("partner",),
    "style": ("actor", "emotion"),
}  # name of a scale -> conditions, in the order of nesting
MONOLOGUE = ("audio", "style")


def guidance_passes(
    scales: Mapping[str, float], names: Sequence[str] = MONOLOGUE
) -> list[tuple[float, tuple[str, ...]]]:
    """The passes of the network that a guided x_0 is a sum of: (weight, conditions that are left out).

    x_0 = c_0 + s_1 (c_1 - c_0) + s_2 (c_2 - c_1) + … with c_i that hears the conditions of the first i `names`; passes of
    weight 0 are not needed, so that scales of 1 take one.
    """
    steps = [*(float(scales.get(name, 1.0)) for name in names), 0.0]
    left_out = [tuple(c for name in names[i:] for c in CONDITIONS[name]) for i in range(len(names) + 1)]
    weights = [1.0 - steps[0], *(before - after for before, after in pairwise(steps))]
    return [(weight, left) for weight, left in zip(weights, left_out, strict=True) if weight]


def guided(
    network: SequenceTransformer, x_t: Tensor, t: Tensor, conditions: Conditions, scales: Mapping[str, float]
) -> Tensor:
    """x_0 (B, T, C) of x_t (B, T, C) at steps (B,), all passes in one batch. A partner who is not among the conditions is not
    there: the scale of that name then has no effect."""
    names = [name for name in CONDITIONS if name in MONOLOGUE or name in conditions.tensors]
    passes = guidance_passes(scales, names)
    if [left for _, left in passes] == [()] and passes[0][0] == 1.0:
        return network(x_t, t, conditions)[0]
    cases = [network.dropout.without(conditions, left) if left else conditions for _, left in passes]
    joined = Conditions({name: torch.cat([case[name] for case in cases]) for name in conditions.tensors})
    count = len(passes)
    found = network(x_t.repeat(count, 1, 1), t.repeat(count), joined)[0].unflatten(0, (count, -1))
    weights = torch.tensor([weight for weight, _ in passes]).to(found)
    x_0 = (weights[:, None, None, None] * found).sum(dim=0)
    return x_0 if passes[-1][1] else calmed(x_0, found[-1])


def calmed(x_0: Tensor, usual: Tensor) -> Tensor:
    """x_0 (B, T, C) of which no value moves more than without guidance, as sums of passes do (Lin et al. 2023, arXiv 2305.08891)."""
    mean = x_0.mean(dim=1, keepdim=True)
    spread, most = (x.std(dim=1, keepdim=True, correction=0) for x in (x_0, usual))
    return mean + (x_0 - mean) * (most / spread.clamp(min=1e-6)).clamp(max=1.0)
