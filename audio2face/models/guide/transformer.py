"""A transformer over codes that hears sound: one code after the other, each from those before it and the sound around it.

Positions are times in seconds (rotary), so that lengths may differ from training. A code sees those of the last MEMORY_S
seconds and hears REACH_S seconds of sound on either side: nothing in it has a length, and every minute of a long sound costs
the same. In training all codes go through at once, in sampling one at a time, beside what is kept of those before it (`Past`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.layers import drop_out
from audio2face.models.sequence.layers import rotary, rotated

MEMORY_S, REACH_S = 20.0, 4.0
SLACK_S = 1e-3  # by which a moment may miss the end of what is seen
EXPANSION = 2

KeysValues = tuple[Tensor, Tensor]  # (B, heads, n, head size) each


@dataclass(frozen=True)
class Heard:
    """What the layers hear of a sound: keys and values of its frames, which of them there are (B, T), and when (T,)."""

    layers: Sequence[KeysValues]
    valid: Tensor
    times_s: Tensor

    def around(self, moment_s: float) -> Heard:
        """Of the frames alone that a code at this moment hears: those of other frames would change nothing."""
        near = (self.times_s - moment_s).abs() <= REACH_S + SLACK_S
        layers = [(keys[:, :, near], values[:, :, near]) for keys, values in self.layers]
        return Heard(layers, self.valid[:, near], self.times_s[near])


@dataclass(frozen=True)
class Past:
    """What the layers keep of the codes before: keys and values, and their times (B, n)."""

    layers: Sequence[KeysValues]
    times_s: Tensor


class Layer(nn.Module):
    """Attention to the codes before, attention to the sound, and a perceptron."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm, self.norm_2, self.norm_3, self.norm_sound = (nn.LayerNorm(width) for _ in range(4))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.query, self.sound, self.out_2 = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.up, self.down = nn.Linear(width, EXPANSION * width), nn.Linear(EXPANSION * width, width)

    def hear(self, sound: Tensor, turns: tuple[Tensor, Tensor]) -> KeysValues:
        """Keys and values of a sound (B, T, width)."""
        keys, values = self._split(self.sound(self.norm_sound(sound)), 2)
        return rotated(keys, turns), values

    def forward(
        self,
        x: Tensor,
        turns: tuple[Tensor, Tensor],
        past: KeysValues | None,
        seen: Tensor,
        heard: KeysValues,
        audible: Tensor,
        rng: Rng,
    ) -> tuple[Tensor, KeysValues]:
        """x (B, n, width) -> the same shape, and keys and values of `past` and of x; `seen` and `audible` are masks."""
        query, keys, values = self._split(self.qkv(self.norm(x)), 3)
        keys = rotated(keys, turns)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        h = F.scaled_dot_product_attention(rotated(query, turns), keys, values, attn_mask=seen)
        x = x + self._dropped(self.out(_joined(h)), rng)
        (query,) = self._split(self.query(self.norm_2(x)), 1)
        h = F.scaled_dot_product_attention(rotated(query, turns), *heard, attn_mask=audible)
        x = x + self._dropped(self.out_2(_joined(h)), rng)
        x = x + self._dropped(self.down(F.gelu(self.up(self.norm_3(x)), approximate="tanh")), rng)
        return x, (keys, values)

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        return tuple(part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in x.chunk(parts, dim=2))

    def _dropped(self, x: Tensor, rng: Rng) -> Tensor:
        return drop_out(x, self.dropout, rng=rng) if self.training and self.dropout else x


class CodeTransformer(nn.Module):
    """Vectors that stand for codes (B, n, width) at their times, beside a sound -> what the next codes are drawn from."""

    def __init__(self, width: int, num_layers: int, num_heads: int, dropout: float):
        super().__init__()
        self.head_size = width // num_heads
        self.layers = nn.ModuleList(Layer(width, num_heads, dropout) for _ in range(num_layers))
        self.last = nn.LayerNorm(width)

    def hear(self, sound: Tensor, valid: Tensor, fps: float) -> Heard:
        """What the layers hear of a sound (B, T, width), of which `valid` (B, T) says what there is; once for all codes."""
        times = torch.arange(sound.shape[1], device=sound.device) / fps
        turns = rotary(times, self.head_size)
        layers: list[Any] = list(self.layers)
        return Heard([layer.hear(sound, turns) for layer in layers], valid, times)

    def forward(
        self, x: Tensor, times_s: Tensor, heard: Heard, past: Past | None = None, rng: Rng = WHOLE
    ) -> tuple[Tensor, Past]:
        """x (B, n, width) at times (B, n) that do not fall -> the same shape, and what the codes after them need."""
        turns = self._turns(times_s)
        before = times_s if past is None else torch.cat([past.times_s, times_s], dim=1)
        seen, audible = _seen(times_s, before), _audible(times_s, heard)
        kept = []
        for number, layer in enumerate(self.layers):
            x, both = layer(x, turns, past and past.layers[number], seen, heard.layers[number], audible, rng)
            kept.append(both)
        return self.last(x), _recent(Past(kept, before))

    def _turns(self, times_s: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (B, 1, n, half a head) of times (B, n)."""
        found = rotary(times_s.flatten(), self.head_size)
        cosine, sine = (part.unflatten(0, times_s.shape).unsqueeze(1) for part in found)
        return cosine, sine


def _seen(times_s: Tensor, before: Tensor) -> Tensor:
    """(B, 1, n, m) True where one of n codes, the last of m, sees another: itself and those before it, of MEMORY_S seconds."""
    n, m = times_s.shape[1], before.shape[1]
    order = torch.ones(n, m, dtype=torch.bool, device=before.device).tril(diagonal=m - n)
    recent = times_s.unsqueeze(2) - before.unsqueeze(1) <= MEMORY_S + SLACK_S
    return (order & recent).unsqueeze(1)


def _audible(times_s: Tensor, heard: Heard) -> Tensor:
    """(B, 1, n, T) True where a code hears a frame; codes after the end of a sound hear all of it, for nothing."""
    near = (times_s.unsqueeze(2) - heard.times_s).abs() <= REACH_S + SLACK_S
    mask = near & heard.valid.bool().unsqueeze(1)
    return (mask | ~mask.any(dim=2, keepdim=True)).unsqueeze(1)


def _recent(past: Past) -> Past:
    """Without codes that none will see any more."""
    first = int((past.times_s < past.times_s[:, -1:] - MEMORY_S - SLACK_S).all(dim=0).sum())
    if not first:
        return past
    layers = [(keys[:, :, first:], values[:, :, first:]) for keys, values in past.layers]
    return Past(layers, past.times_s[:, first:])


def _joined(x: Tensor) -> Tensor:
    """(B, heads, n, head size) -> (B, n, width)."""
    return x.transpose(1, 2).flatten(2)
