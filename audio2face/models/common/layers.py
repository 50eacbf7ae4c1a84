"""Building blocks of the networks: scaled activation, gain dropout, conditioned convolutions, the phoneme head."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.face.codec import kind_of, part_of
from audio2face.models.common.onednn_conv import conv_relu, join_channels, usable

STEP = 320  # samples from one step of an encoder to the next: 50 steps a second
RELU_GAIN = math.sqrt(2.0)  # max(x, 0) · √2 keeps the mean square of a centred signal through the layer
NUM_TIME_CONVS = 4
GAIN_SIGMA = math.log(1.4)  # spread of the random gains, in nepers


class GainDropout(nn.Module):
    """Random gain per (row, channel) in training, nothing in evaluation.

    Each channel is multiplied by 1.4^N(0, 1); the gains of a row are then scaled to unit RMS over its channels, so that
    the level of the whole map stays. A multiplicative relative of dropout that never erases a channel.
    """

    def forward(self, x: Tensor, shared_rows: int = 1, scale: float = 1.0, rng: Rng = WHOLE) -> Tensor:
        """x: (B · shared_rows, C, T) → the same shape; `shared_rows` neighbouring rows get the same gains.

        `scale` multiplies everything, in evaluation too, without another pass over x.
        """
        if not self.training:
            return x if scale == 1.0 else x * scale
        gain = self.gains(x.shape[0] // shared_rows, x.shape[1], scale, x.device, rng)
        return (x.unflatten(0, (-1, shared_rows)) * gain[:, None, :, None]).flatten(0, 1)

    def gains(self, rows: int, channels: int, scale: float, device: torch.device, rng: Rng = WHOLE) -> Tensor:
        """Gains times `scale`, (rows, channels); all `scale`, (1, channels), in evaluation."""
        if not self.training:
            return torch.full((1, channels), scale, device=device)
        noise = rng.normal(rows, channels, 1, device=device)[:, :, 0]
        gain = torch.exp(GAIN_SIGMA * noise)
        return gain * (scale * torch.rsqrt(gain.square().mean(1, keepdim=True)))


def drop_out(x: Tensor, p: float, whole_channels: bool = False, rng: Rng = WHOLE) -> Tensor:
    """x (B, C, T) with a share p of its values, or of its (row, channel) pairs, set to 0 and the others scaled up."""
    shape = (x.shape[1], 1) if whole_channels else x.shape[1:]
    keep = rng.uniform(x.shape[0], *shape, device=x.device) >= p
    return x * keep / (1.0 - p)


class ChannelDropout(nn.Module):
    """In training each (row, channel) of (B, C, T) is left out with probability p."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor, rng: Rng = WHOLE) -> Tensor:
        return drop_out(x, self.p, whole_channels=True, rng=rng) if self.training else x


class ConvBlock(nn.Module):
    """Conv1d, scaled ReLU, gain dropout: (B, C_in, T) → (B, C_out, T')."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0):
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel, stride, padding)
        self.gain = GainDropout()

    def forward(self, x: Tensor, shared_rows: int = 1, rng: Rng = WHOLE) -> Tensor:
        """x (B, C, T) -> (B, C', T'); `shared_rows` neighbouring rows get the same gains in training."""
        if usable(x):
            gains = self.gain.gains(x.shape[0] // shared_rows, self.conv.out_channels, RELU_GAIN, x.device, rng)
            return conv_relu(self.conv, x, gains)
        return self.gain(torch.relu(self.conv(x)), shared_rows, RELU_GAIN, rng)


class Chain(nn.Sequential):
    """Layers one after the other; those that draw random numbers in training draw them from `rng`."""

    def forward(self, x: Tensor, rng: Rng = WHOLE) -> Tensor:
        for layer in self:
            x = layer(x, rng=rng) if isinstance(layer, ConvBlock | ChannelDropout) else layer(x)
        return x


class ConditionedTimeConvs(nn.Module):
    """Strided convolutions along time; the condition is concatenated to the channels after each of them.

    (B, in_channels, T) and (B, condition) → (B, flat_size): T is halved (rounded up) NUM_TIME_CONVS times.
    """

    def __init__(self, in_channels: int, steps: int, condition: int, channels: int = 256):
        super().__init__()
        self.blocks = nn.ModuleList()
        for i in range(NUM_TIME_CONVS):
            self.blocks.append(ConvBlock(in_channels if i == 0 else channels + condition, channels, 3, 2, 1))
            steps = (steps + 1) // 2
        self.flat_size = (channels + condition) * steps

    def forward(self, x: Tensor, condition: Tensor, rng: Rng = WHOLE) -> Tensor:
        for block in self.blocks:
            x = block(x, rng=rng)
            x = join_channels([x, condition.unsqueeze(2).expand(-1, -1, x.shape[2])])
        return x.flatten(1)


class PhonemeHead(nn.Module):
    """Phoneme logits per language from one encoder branch: two convolutions along time, then a Linear per language."""

    def __init__(self, channels: int, sizes: Mapping[str, int]):
        super().__init__()
        self.convs = Chain(ConvBlock(channels, channels, 3, 1, 1), ConvBlock(channels, channels, 3, 1, 1))
        self.languages = nn.ModuleDict({language: nn.Linear(channels, size) for language, size in sizes.items()})

    def forward(self, x: Tensor, rng: Rng = WHOLE) -> dict[str, Tensor]:
        """x: (B, C, T) → {language: (B, T, phonemes)}."""
        x = self.convs(x, rng).transpose(1, 2)
        return {language: linear(x) for language, linear in self.languages.items()}


def num_steps(buffer_len: int) -> int:
    """Feature steps (50 per second) that every encoder gives for a window of `buffer_len` samples at 16 kHz."""
    return buffer_len // STEP - 1


def head_of(channel: str) -> str:
    """The head of a network that a channel comes from: "tongue", "curves" for groups of curves, "face" for everything else."""
    if kind_of(channel) == "curves":
        return "curves"
    return "tongue" if part_of(channel) == "tongue" else "face"
