"""The codec of keyframes: each becomes a vector, which codebooks code, and is made of its codes again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2face.models.guide.quantizer import Quantized, ResidualQuantizer

BLOCKS = 2  # of the encoder, and of the decoder


class Block(nn.Module):
    """A perceptron beside a way around it. Keyframes do not see each other: minutes of data tell poses, not how they follow."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) -> the same shape."""
        return x + self.down(F.gelu(self.up(self.norm(x))))


@dataclass(frozen=True)
class Coded:
    """Keyframes through the codec: as they come out (B, K, C), in units, and how they were quantised (None: they were not)."""

    decoded: Tensor
    quantized: Quantized | None


class KeyframeCodec(nn.Module):
    """Keyframes (B, K, C), normalised values, to vectors, codes and back.

    Inside, every value is less its `mean` and over its `unit` (C,). What is not known is a vector that is learned.
    """

    mean: Tensor
    unit: Tensor

    def __init__(self, size: int, width: int, dim: int, codebook_size: int, depth: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("unit", torch.ones(size))
        self.missing = nn.Parameter(torch.zeros(size))
        self.into, self.encoder = nn.Linear(size, width), nn.Sequential(*(Block(width) for _ in range(BLOCKS)))
        self.code = nn.Linear(width, dim)
        self.quantizer = ResidualQuantizer(dim, codebook_size, depth)
        self.uncode, self.decoder = nn.Linear(dim, width), nn.Sequential(*(Block(width) for _ in range(BLOCKS)))
        self.out = nn.Linear(width, size)

    def forward(self, x: Tensor, known: Tensor, quantize: bool = True, stages: Tensor | None = None) -> Coded:
        """Keyframes (B, K, C), of which `known` (B, K, C) is 1 where they are data, through vectors and codes.

        Without `quantize` the vectors are decoded as they are; `stages` (B,) is how many codebooks a row gets.
        """
        z = self.encode(x, known)
        quantized = self.quantizer(z, stages) if quantize else None
        return Coded(self.decode(z if quantized is None else quantized.values), quantized)

    def in_units(self, x: Tensor) -> Tensor:
        """Normalised values (…, C) -> as the network sees them."""
        return (x - self.mean) / self.unit

    def encode(self, x: Tensor, known: Tensor) -> Tensor:
        """Keyframes (B, K, C) -> vectors (B, K, D)."""
        h = torch.where(known > 0, self.in_units(x), self.missing)
        z = self.code(self.encoder(self.into(h)))
        return F.layer_norm(z, z.shape[-1:])  # of a size that stays, so that codebooks can follow

    def decode(self, z: Tensor) -> Tensor:
        """Vectors (B, K, D) -> keyframes (B, K, C), in units."""
        return self.out(self.decoder(self.uncode(z)))

    def codes(self, x: Tensor, known: Tensor) -> Tensor:
        """Keyframes (B, K, C) -> codes (B, K, depth)."""
        return self.quantizer(self.encode(x, known)).codes

    def keyframes(self, codes: Tensor) -> Tensor:
        """Codes (B, K, depth) -> keyframes (B, K, C), normalised values."""
        return self.decode(self.quantizer.decode(codes)) * self.unit + self.mean
