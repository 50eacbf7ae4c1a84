"""How values move whatever is said: Gaussian processes with the autocovariance of the training data.

Their mean given noised and known frames is the best linear denoiser (Wiener 1949; Rasmussen & Williams 2006, ch. 2): it smooths
noise as slowly or fast as a value really moves, leads into known frames and goes through keys. The network learns the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor, nn

from audio2face.face.layout import ChannelLayout

REACH_S = 8.0  # longest lag that is measured
TAPER = 0.4  # of it: deviation of the Gaussian that ends covariances, at twice the reach, as a product of two covariances is one
KERNELS = 4  # at most, of a channel: values that move alike share one
KEY_SD = 0.03  # in units: how far known values, and all values at the last steps, are trusted


class MotionPrior(nn.Module):
    """`covariance` (G, 2 reach) by lag in frames, and `member` (G, C) 1 for the values that each is of; until `learn`, values
    of variance 1 that move like white noise."""

    covariance: Tensor
    member: Tensor

    def __init__(self, layout: ChannelLayout, fps: float):
        super().__init__()
        self.layout = layout
        self.kernels = ChannelLayout({name: min(size, KERNELS) for name, size in layout.sizes.items()})
        self.register_buffer("covariance", torch.zeros(self.kernels.size, 2 * round(REACH_S * fps)))
        self.register_buffer("member", torch.zeros(self.kernels.size, layout.size))
        self.covariance[:, 0] = 1.0
        for name, kernels in self.kernels.slices.items():
            self.member[kernels.start, layout.slices[name]] = 1.0

    def learn(self, tracks: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take the autocovariances of values (T, C), in units, where they are known (T, C) bool."""
        found = autocovariance(tracks, self.covariance.shape[1] // 2)
        for name, kernels in self.kernels.slices.items():
            values = self.layout.slices[name]
            alike = _alike(found[values], kernels.stop - kernels.start)
            centres = alike @ found[values] / np.maximum(alike.sum(axis=1, keepdims=True), 1)
            self.covariance[kernels] = torch.from_numpy(centres).to(self.covariance)
            self.member[kernels, values] = torch.from_numpy(alike).to(self.member)

    @torch.no_grad()
    def forward(
        self, x_t: Tensor, signal: Tensor, known: Tensor | None, given: Tensor | None, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What is expected of x_0 (B, T, C), and the standard deviation of x_0 from it (B, 1, C) where nothing is known.

        Args:
            x_t: (B, T, C) noised values.
            signal: (B,) the share ᾱ of x_0 in them.
            known: (B, T, C) values that are known; None for none.
            given: (B, T, channels) 1 where they are.
            valid: (B, T) 1 for frames that there are; None for all.
        """
        with torch.autocast(x_t.device.type, enabled=False):
            share = signal.float()[:, None, None]
            noise = (1 - share).clamp(min=KEY_SD**2 * share).sqrt()
            there = x_t.new_ones(1, 1, 1) if valid is None else valid.float().unsqueeze(2)
            parts = []
            for i, (name, place) in enumerate(self.layout.slices.items()):
                values, weight = x_t[..., place].float() / noise, share.sqrt() / noise  # over the noise's deviation
                if known is not None and given is not None:
                    flags = given[..., i : i + 1] > 0
                    values = torch.where(flags, known[..., place].float() / KEY_SD, values)
                    weight = torch.where(flags, weight.new_tensor(1 / KEY_SD), weight)
                kernels = self.kernels.slices[name]
                covariance, member = self._covariance(kernels, x_t.shape[1]), self.member[kernels, place]
                parts.append(
                    _posterior_mean(covariance, member, values * there, (weight * there).expand(-1, x_t.shape[1], 1))
                )
            return torch.cat(parts, dim=2).to(x_t), self.deviation(signal).to(x_t)

    def deviation(self, signal: Tensor) -> Tensor:
        """Standard deviation (B, 1, C) of x_0 from what is expected of it at shares ᾱ (B,), where nothing is known."""
        share = signal.float()[:, None, None]
        power = torch.fft.rfft(torch.cat([self.covariance, self.covariance[:, 1:-1].flip(1)], dim=1)).real.clamp(min=0)
        power = torch.cat([power, power[:, 1:-1]], dim=1)  # of all frequencies, (G, 2 reach)
        left = (power * (1 - share) / (share * power + 1 - share)).mean(dim=2)  # (B, G)
        return (left @ self.member).sqrt().unsqueeze(1)

    def _covariance(self, kernels: slice, num_frames: int) -> Tensor:
        """(g, T, T)."""
        frames = torch.arange(num_frames, device=self.covariance.device)
        lag = (frames[:, None] - frames).abs().clamp(max=self.covariance.shape[1] - 1)
        return self.covariance[kernels][:, lag]


def _posterior_mean(covariance: Tensor, member: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Of values (B, T, n) and their weight (B, T, 1), both over the noise's deviation, with covariance (g, T, T) of `member`
    (g, n): K W (W K W + I)^-1 values, (B, T, n)."""
    weight = weight.unsqueeze(1)  # (B, 1, T, 1)
    noised = weight * covariance * weight.transpose(2, 3)
    noised.diagonal(dim1=2, dim2=3).add_(1.0)
    solved = torch.cholesky_solve(values.unsqueeze(1) * member.unsqueeze(1), torch.linalg.cholesky(noised))
    return torch.matmul(covariance, weight * solved).sum(dim=1)


def autocovariance(tracks: Iterable[tuple[np.ndarray, np.ndarray]], longest: int) -> np.ndarray:
    """Of values (T, C) about each track's mean where they are known (T, C): (C, 2 longest) float32 by lag in frames.

    Measured up to `longest`; lags that no track has are as the longest that one has. It is a sum of cosines of no negative
    weight times a Gaussian, so that it is a covariance at any length.
    """
    products: np.ndarray | float = 0.0
    counts: np.ndarray | float = 0.0
    for values, known in tracks:
        there = known.astype(np.float64)
        mean = (values * there).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        products = products + _products(np.where(known, values - mean, 0.0), longest)
        counts = counts + np.round(_products(there, longest))
    found = products / np.maximum(counts, 1)
    last = np.maximum((np.asarray(counts) > 0).sum(axis=0) - 1, 0)
    found = np.where(np.asarray(counts) > 0, found, np.take_along_axis(found, last[None], axis=0))
    power = np.fft.rfft(np.concatenate([found, found[-2:0:-1]]), axis=0).real.clip(min=0)
    even = np.fft.irfft(power, n=2 * longest, axis=0)[: longest + 1]
    even *= found[:1] / np.maximum(even[:1], 1e-12)
    lags = np.arange(2 * longest)
    taper = np.exp(-0.5 * (lags / (TAPER * longest)) ** 2)
    taper[-1] = 0.0  # and at all lags beyond
    return np.ascontiguousarray((even[longest - np.abs(lags - longest)] * taper[:, None]).T, np.float32)


def _products(values: np.ndarray, longest: int) -> np.ndarray:
    """Sums over t of x_t x_{t + lag}, (longest + 1, C), of values (T, C)."""
    size = len(values) + longest + 1
    return np.fft.irfft(np.abs(np.fft.rfft(values, n=size, axis=0)) ** 2, n=size, axis=0)[: longest + 1]


def _alike(curves: np.ndarray, count: int) -> np.ndarray:
    """(count, n) 1 where a curve (n, L) belongs to a group of similar ones."""
    groups = fcluster(linkage(curves, "ward"), count, "maxclust") if len(curves) > 1 else np.ones(1, int)
    return (np.arange(1, count + 1)[:, None] == groups).astype(np.float32)
