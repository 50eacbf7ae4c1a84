"""How strongly conditions count: animations are drawn from p(x) (p(x | conditions) / p(x))^scale (classifier-free guidance, Ho &
Salimans 2022, arXiv 2207.12598), one condition after the other.

Usually x_0 without conditions is moved by `scale` times what they change, which overshoots: values that a condition tells almost
surely then move more than they ever do. Of Gaussian values the mean of the animations above can be written down, with the share `noise`
of a value's motion that conditions leave open: x_0 moves by `strength`. The sound above 1 does not move x_0 further, as lips that
open too far are no nearer to what is said; it takes noise away from what it tells, and leaves lids, of which it says nothing, free.
"""

from __future__ import annotations

import math
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
MOST = {"audio": 1.0}  # by which a condition moves x_0


def guidance_passes(
    scales: Mapping[str, float], names: Sequence[str] = MONOLOGUE
) -> list[tuple[float, float, tuple[str, ...]]]:
    """The passes of the network that a guided x_0 is a sum of: (scale before, scale after, conditions that are left out).

    x_0 = c_0 + g_1 (c_1 - c_0) + g_2 (c_2 - c_1) + … with c_i that hears the conditions of the first i `names`, g_i the
    strength of their scale. Of c_i there is g_i - g_{i+1}; passes with equal scales are not needed, so that scales of 1 take one.
    """
    steps = [1.0, *(min(float(scales.get(name, 1.0)), MOST.get(name, math.inf)) for name in names), 0.0]
    left_out = [tuple(c for name in names[i:] for c in CONDITIONS[name]) for i in range(len(names) + 1)]
    return [(a, b, left) for (a, b), left in zip(pairwise(steps), left_out, strict=True) if a != b]


def guided(
    network: SequenceTransformer, x_t: Tensor, t: Tensor, conditions: Conditions, scales: Mapping[str, float]
) -> Tensor:
    """x_0 (B, T, C) of x_t (B, T, C) at steps (B,), all passes in one batch. A partner who is not among the conditions is not
    there: the scale of that name then has no effect."""
    names = [name for name in CONDITIONS if name in MONOLOGUE or name in conditions.tensors]
    passes = guidance_passes(scales, names)
    if passes == [(1.0, 0.0, ())]:
        return network(x_t, t, conditions)[0]
    cases = [network.dropout.without(conditions, left) if left else conditions for _, _, left in passes]
    joined = Conditions({name: torch.cat([case[name] for case in cases]) for name in conditions.tensors})
    count = len(passes)
    found = network(x_t.repeat(count, 1, 1), t.repeat(count), joined)[0].unflatten(0, (count, -1))
    signal = network.signal[t][:, None, None]
    weights = [strength(a, network.noise, signal) - strength(b, network.noise, signal) for a, b, _ in passes]
    return sum((weight * x_0 for weight, x_0 in zip(weights, found, strict=True)), torch.zeros_like(x_t))


def strength(scale: float, noise: Tensor, signal: Tensor) -> Tensor:
    """By what share x_0 (B, 1, C) moves towards x_0 with a condition, at shares `signal` (B, 1, 1) of x_0 in x_t: 0 at scale 0, 1
    at 1, the scale itself for values that conditions say nothing of (`noise` (C,) 1)."""
    surer = 1 + (1 - signal) * (1 / noise - 1)  # how much, with the condition
    return scale * surer / (1 + scale * (surer - 1))


def variety(noise: Tensor, scale: float) -> Tensor:
    """How far takes go from what is likely, where conditions leave the shares `noise` (C,) open and the sound counts by `scale`: not
    at all what it tells, in full what it says nothing of, everything at scale 0."""
    return (noise.square() / (noise.square() + (1 - noise).square())) ** scale
