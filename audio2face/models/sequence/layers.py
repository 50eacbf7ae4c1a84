"""Layers of a sequence network: blocks over all frames, a few weights for each value alone, the sounds around a frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2face.distributed import Rng
from audio2face.models.common.layers import drop_out

SHORTEST_S, LONGEST_S = 0.15, 30.0  # periods of the rotary positions
KERNEL = 7
EXPANSION = 3
OWN_WIDTH, OWN_KERNEL = 8, 15


class Block(nn.Module):
    """A convolution over neighbouring frames, attention to all, and a perceptron, each modulated and gated."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.norm, self.norm_2 = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.near = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, EXPANSION * width), nn.Linear(EXPANSION * width, width)

    def forward(
        self, x: Tensor, condition: Tensor, turns: tuple[Tensor, Tensor], valid: Tensor | None, rng: Rng
    ) -> Tensor:
        """x and condition (B, T, width) -> (B, T, width); `valid` (B, T) is 1 for frames that there are, None for all."""
        shift, scale, gate, shift_2, scale_2, gate_2 = self.modulation(condition).chunk(6, dim=2)
        h = self.norm(x) * (1 + scale) + shift
        h = h if valid is None else h * valid.unsqueeze(2)
        h = h + self.near(h.transpose(1, 2)).transpose(1, 2)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(h).chunk(3, dim=2))
        mask = None if valid is None else valid.bool()[:, None, None]
        h = F.scaled_dot_product_attention(rotated(q, turns), rotated(k, turns), v, attn_mask=mask)
        h = self.out(h.transpose(1, 2).flatten(2))
        x = x + gate * self._dropped(h, rng)
        h = self.norm_2(x) * (1 + scale_2) + shift_2
        return x + gate_2 * self._dropped(self.down(F.gelu(self.up(h), approximate="tanh")), rng)

    def _dropped(self, x: Tensor, rng: Rng) -> Tensor:
        return drop_out(x, self.dropout, rng=rng) if self.training and self.dropout else x


class OwnLayers(nn.Module):
    """Two convolutions over neighbouring frames for each value, which no other value has a part in: so that what moves seldom
    and far (lids) is learned beside what moves all the time."""

    def __init__(self, size: int, width: int):
        super().__init__()
        self.inner = nn.Conv1d(2 * size, OWN_WIDTH * size, OWN_KERNEL, padding=OWN_KERNEL // 2, groups=size)
        self.level = nn.Linear(width, OWN_WIDTH * size)
        self.outer = nn.Conv1d(OWN_WIDTH * size, size, OWN_KERNEL, padding=OWN_KERNEL // 2, groups=size)
        for parameter in (*self.level.parameters(), *self.outer.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, expected: Tensor, step: Tensor, valid: Tensor | None) -> Tensor:
        """x and expected (B, T, C), step (B, width) -> (B, T, C)."""
        pairs = torch.stack([x, expected], dim=3).flatten(2)
        pairs = pairs if valid is None else pairs * valid.unsqueeze(2)
        h = self.inner(pairs.transpose(1, 2)) * (1 + self.level(step)).unsqueeze(2)
        h = F.gelu(h, approximate="tanh")
        h = h if valid is None else h * valid.unsqueeze(1)
        return self.outer(h).transpose(1, 2)


class Surroundings(nn.Module):
    """What the sounds around a frame add to its own. x_t, which is noise at first, has no part in it: an answer to a sound, some
    time after it, is learned much sooner here than by attention. It starts at zeros."""

    def __init__(self, width: int, reach: int):
        """`reach` is how many frames count on either side."""
        super().__init__()
        self.along = nn.Conv1d(width, width, 2 * reach + 1, padding=reach, groups=width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, speech: Tensor, valid: Tensor | None) -> Tensor:
        """(B, T, width) -> (B, T, width); `valid` as blocks have it."""
        x = speech if valid is None else speech * valid.unsqueeze(2)
        return self.out(F.gelu(self.along(x.transpose(1, 2)).transpose(1, 2), approximate="tanh"))


def rotary(times_s: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, size / 2) of moments (T,) in seconds, for periods from SHORTEST_S to LONGEST_S."""
    steps = torch.linspace(0, 1, size // 2, dtype=torch.float64, device=times_s.device)
    periods = SHORTEST_S * (LONGEST_S / SHORTEST_S) ** steps
    angles = 2 * math.pi * times_s.double()[:, None] / periods
    return angles.cos().float(), angles.sin().float()


def rotated(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """(B, heads, T, size) with each pair of values turned by the angles (T, size / 2) of its frame."""
    cosine, sine = (part.to(x) for part in turns)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)
