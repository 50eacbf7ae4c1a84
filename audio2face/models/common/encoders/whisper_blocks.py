"""Whisper's encoder up to a block, with its log-mel front end, for windows of any length up to its table of positions.

After Radford et al., "Robust speech recognition via large-scale weak supervision" (arXiv 2212.04356). transformers' own
encoder wants exactly 30 s; this one takes no padding, so that its table of positions is cut to the window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio2face.models.common.encoders.melspec import stft_kernel
from audio2face.types import SAMPLE_RATE

FFT, HOP = 400, 160  # samples
FLOOR, RANGE = 1e-10, 8.0  # of the power, and decades below the loudest bin of a window
SIZES = ("d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim", "num_mel_bins", "max_source_positions")  # fmt: skip
BASE = dict(zip(SIZES, (512, 6, 8, 2048, 80, 1500), strict=True))  # openai/whisper-base


class WhisperBlocks(nn.Module):
    """Audio (B, N) at 16 kHz → each kept block's output; weights under transformers' names.

    What leaves a block is Whisper's residual stream, normalised here over its channels to mean 0 and deviation 1: blocks that
    are mixed are then of one size, and the last one's output is what transformers gives but for a scale of each channel.
    """

    kernel: Tensor
    mel: Tensor

    def __init__(self, sizes: Mapping[str, Any], kept: Sequence[int]):
        """`sizes` as SIZES name them in Whisper's config.json, `kept` the blocks whose outputs are wanted, from 1 on."""
        super().__init__()
        self.sizes = {name: int(sizes.get(name, BASE[name])) for name in SIZES} | {"encoder_layers": max(kept)}
        self.kept = tuple(kept)
        width, mels = self.sizes["d_model"], self.sizes["num_mel_bins"]
        self.register_buffer("kernel", stft_kernel(FFT, FFT)[:, None], persistent=False)
        self.register_buffer("mel", slaney_filters(mels, FFT, SAMPLE_RATE), persistent=False)
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(self.sizes["max_source_positions"], width)
        self.layers = nn.ModuleList(
            Block(width, self.sizes["encoder_attention_heads"], self.sizes["encoder_ffn_dim"]) for _ in range(max(kept))
        )

    def forward(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, N // 320, blocks · width), block by block; step k is centred on sample 320 k."""
        with torch.autocast(audio.device.type, enabled=False):
            mel = log_mel(audio.float(), self.kernel, self.mel)
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        steps, most = int(x.shape[1]), self.embed_positions.num_embeddings
        if steps > most:
            raise ValueError(f"Whisper hears at most {most} steps of 20 ms at a time, not {steps}")
        x = x + self.embed_positions.weight[:steps]
        outputs = {}
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)
            outputs[number] = x
        return torch.cat([F.layer_norm(outputs[number], (self.sizes["d_model"],)) for number in self.kept], dim=2)


class Block(nn.Module):
    """A transformer block that normalises before attention and before its feed-forward layers."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, width) → the same shape."""
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class Attention(nn.Module):
    """Multi-head self-attention over all steps; keys have no bias."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(3))
        self.k_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, width) → the same shape."""
        q, k, v = (
            proj(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def log_mel(audio: Tensor, kernel: Tensor, mel: Tensor) -> Tensor:
    """audio: (B, N) → (B, mels, N // 160) as transformers' WhisperFeatureExtractor makes it of the same samples."""
    x = F.pad(audio.unsqueeze(1), (FFT // 2, FFT // 2), mode="reflect")
    real, imaginary = F.conv1d(x, kernel, stride=HOP)[:, :, :-1].chunk(2, 1)
    power = mel @ (real.square() + imaginary.square())
    decades = torch.log(power.clamp(min=FLOOR)) / math.log(10)
    loudest = decades.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(decades, loudest - RANGE) + 4) / 4


def slaney_filters(num_mels: int, fft: int, sample_rate: int) -> Tensor:
    """(num_mels, fft / 2 + 1): triangles of equal area, evenly spaced on Slaney's mel scale, linear up to 1 kHz."""

    def hertz(mels: Tensor) -> Tensor:
        return torch.where(mels < 15, mels * 200 / 3, 1000 * torch.exp(math.log(6.4) / 27 * (mels - 15)))

    top = 15 + 27 * math.log(sample_rate / 2 / 1000) / math.log(6.4)
    corners = hertz(torch.linspace(0, top, num_mels + 2, dtype=torch.float64))
    bins = torch.linspace(0, sample_rate / 2, fft // 2 + 1, dtype=torch.float64)
    rise = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return (torch.minimum(rise, fall).clamp(min=0) * (2 / (corners[2:] - corners[:-2]))[:, None]).float()
