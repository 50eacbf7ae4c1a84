"""Residual vector quantisation: every codebook codes what those before it have left (Zeghidour et al. 2021, arXiv 2107.03312).

Codebooks are not learned by gradients but are means of what is given their codes, by averages that forget (van den Oord et
al. 2017, arXiv 1711.00937, appendix). A code that is hardly used is put among what the batch holds: in the averages, of
which the codebook is made, so that it stays there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DECAY = 0.97  # of the averages, per step: codebooks follow a codec that still learns
SMOOTHING = 1e-5  # added to every count (Laplace)
DEAD = 0.1  # of the fair share of a code: those that are used less begin anew
KMEANS_ROUNDS = 20
JITTER = 0.01  # of the deviation: how far codes lie apart that begin at the same vector


@dataclass(frozen=True)
class Quantized:
    """What vectors (…, D) become: `codes` (…, depth) int64, `values` (…, D) through which gradients pass straight, and the
    squared distance of each codebook's residual to its code (…, depth), which draws the vectors towards their codes."""

    codes: Tensor
    values: Tensor
    commitment: Tensor


class ResidualQuantizer(nn.Module):
    """`depth` codebooks of `size` vectors of `dim` values; `counts` and `sums` are the averages that they are made of."""

    codebooks: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, dim: int, size: int, depth: int):
        super().__init__()
        self.dim, self.size, self.depth = dim, size, depth
        self.register_buffer("codebooks", torch.zeros(depth, size, dim))
        self.register_buffer("counts", torch.ones(depth, size))
        self.register_buffer("sums", torch.zeros(depth, size, dim))

    def forward(self, z: Tensor, stages: Tensor | None = None) -> Quantized:
        """Vectors (B, K, D) -> what they become with the first `stages` (B,) codebooks of each row, by default all."""
        codes, partial = self._code(z)
        before = F.pad(partial, (0, 0, 1, 0))  # what the codebooks before each one give
        commitment = (z.unsqueeze(-2) - partial).square().mean(dim=-1)
        values = partial[..., -1, :]
        if stages is not None:
            index = stages[:, None, None, None].expand(*z.shape[:2], 1, self.dim)
            values = before.gather(2, index).squeeze(2)
        return Quantized(codes, z + (values - z).detach(), commitment)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (…, depth) -> vectors (…, D)."""
        return self.partial(codes)[..., -1, :]

    def partial(self, codes: Tensor) -> Tensor:
        """Codes (…, n) of the first n codebooks -> sums of the first 1 … n of their vectors (…, n, D)."""
        stages = torch.arange(codes.shape[-1], device=codes.device)
        return self.codebooks[stages, codes].cumsum(dim=-2)

    @torch.no_grad()
    def update(self, z: Tensor, generator: torch.Generator) -> None:
        """Move the codebooks towards a batch of vectors (n, D); `generator` (on the CPU) chooses where dead codes go."""
        residual = z
        for stage in range(self.depth):
            codes = nearest(residual, self.codebooks[stage])
            one_hot = F.one_hot(codes, self.size).to(z)
            self.counts[stage].mul_(DECAY).add_(one_hot.sum(dim=0), alpha=1 - DECAY)
            self.sums[stage].mul_(DECAY).add_(one_hot.T @ residual, alpha=1 - DECAY)
            self._revive(stage, residual, generator)
            left = residual - self.codebooks[stage, codes]
            self.codebooks[stage] = self.sums[stage] / self._smoothed(stage)[:, None]
            residual = left

    @torch.no_grad()
    def fit(self, z: Tensor, generator: torch.Generator) -> None:
        """Codebooks of many vectors (n, D): k-means of what the codebooks before have left. Counts are about 1, as a batch's are,
        so that many vectors do not weigh more than the batches that follow."""
        residual, fair = z, len(z) / self.size
        for stage in range(self.depth):
            centres = k_means(residual, self.size, generator)
            codes = nearest(residual, centres)
            counts = (torch.bincount(codes, minlength=self.size).to(z) / fair).clamp(min=2 * DEAD)
            self.codebooks[stage], self.counts[stage], self.sums[stage] = centres, counts, centres * counts[:, None]
            residual = residual - centres[codes]

    def _code(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (…, depth) of vectors (…, D), and the sums of the first 1 … depth of their vectors (…, depth, D)."""
        residual, codes = z.detach(), []
        for stage in range(self.depth):
            codes.append(nearest(residual, self.codebooks[stage]))
            residual = residual - self.codebooks[stage][codes[-1]]
        found = torch.stack(codes, dim=-1)
        return found, self.partial(found)

    def _smoothed(self, stage: int) -> Tensor:
        """Counts (size,) of which none is 0, of the same sum."""
        counts = self.counts[stage]
        return (counts + SMOOTHING) * (counts.sum() / (counts.sum() + self.size * SMOOTHING))

    def _revive(self, stage: int, residual: Tensor, generator: torch.Generator) -> None:
        """Give the codes that are hardly used vectors of the batch (n, D) and a fair share of the counts."""
        counts = self.counts[stage]
        fair = counts.mean()
        dead = counts < DEAD * fair
        drawn = torch.randint(len(residual), (self.size,), generator=generator).to(residual.device)
        self.counts[stage] = torch.where(dead, fair, counts)
        self.sums[stage] = torch.where(dead[:, None], residual[drawn] * fair, self.sums[stage])


def nearest(x: Tensor, codebook: Tensor) -> Tensor:
    """The codes (…) whose vectors (size, D) are nearest to x (…, D)."""
    products = x @ codebook.T
    return (codebook.square().sum(dim=1) - 2 * products).argmin(dim=-1)


def k_means(x: Tensor, size: int, generator: torch.Generator, rounds: int = KMEANS_ROUNDS) -> Tensor:
    """Centres (size, D) of vectors (n, D) (Lloyd 1982), which begin far from each other. Those without any vector go to the
    ones that are farthest off their own; of fewer vectors than centres, several stay at the same, a little apart."""
    centres = _far_apart(x, size, generator)
    for _ in range(rounds if size <= len(x) else 0):
        codes = nearest(x, centres)
        counts = torch.bincount(codes, minlength=size)
        sums = torch.zeros_like(centres).index_add_(0, codes, x)
        empty = counts == 0
        if empty.any():
            far = (x - centres[codes]).square().sum(dim=1).topk(int(empty.sum())).indices
            sums[empty], counts = x[far], counts.clamp(min=1)
        centres = sums / counts[:, None]
    return centres


def _far_apart(x: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """`size` of the vectors (n, D), each drawn the likelier the farther it is from those before it (Arthur & Vassilvitskii 2007)."""
    chosen = [int(torch.randint(len(x), (1,), generator=generator))]
    distances = (x - x[chosen[0]]).square().sum(dim=1)
    for _ in range(min(size, len(x)) - 1):
        likely = distances.cpu() if distances.sum() > 0 else torch.ones(len(x))
        chosen.append(int(torch.multinomial(likely, 1, generator=generator)))
        distances = torch.minimum(distances, (x - x[chosen[-1]]).square().sum(dim=1))
    again = torch.arange(size) % len(chosen)
    noise = (
        torch.randn(size, x.shape[1], generator=generator).to(x) * (torch.arange(size) >= len(chosen)).to(x)[:, None]
    )
    return x[torch.tensor(chosen)[again].to(x.device)] + JITTER * x.std() * noise
