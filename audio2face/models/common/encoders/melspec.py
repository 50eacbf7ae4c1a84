"""Log-mel encoder: a spectrogram computed inside the graph, then a trainable convolution. Needs no download."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.layers import ConvBlock
from audio2face.types import SAMPLE_RATE

WINDOW = 480  # 30 ms
HOP = 160  # 10 ms, so that a stride of 2 gives the 50 steps per second of the other encoders
FFT, MELS = 512, 80
FLOOR = 1e-4  # mean power per bin under which peak-normalised audio counts as silence
LEVEL_SIGMA, NOISE_SIGMA = 0.125, 0.15  # of the augmentation, in units of the features


class MelSpectrogram(nn.Module):
    """(B, N) audio → (B, N // 320 - 1, 256)."""

    dim, centre, receptive_field, frozen = 256, 320, "local", False
    kernel: Tensor
    mel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", stft_kernel(WINDOW, FFT)[:, None], persistent=False)
        self.register_buffer("mel", mel_filters(MELS, FFT, SAMPLE_RATE), persistent=False)
        self.conv = ConvBlock(MELS, self.dim, 4, 2, 1)

    @torch.no_grad()
    def features(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, MELS, 2 S) log-mel of about zero mean and unit deviation on speech."""
        return log_mel(audio, self.kernel, self.mel, HOP)

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor:
        """features: (B, MELS, 2 S) → (B, S, 256)."""
        return self.conv(augment(features, rng) if self.training else features, rng=rng).transpose(1, 2)

    def rebuild_arguments(self) -> dict[str, Any]:
        return {}


def log_mel(audio: Tensor, kernel: Tensor, mel: Tensor, hop: int) -> Tensor:
    """audio: (B, N), kernel: (2 bins, 1, window) of `stft_kernel`, mel: (mels, bins) → (B, mels, frames), unpadded."""
    real, imaginary = F.conv1d(audio.unsqueeze(1), kernel, stride=hop).chunk(2, 1)
    power = mel @ (real.square() + imaginary.square())
    return 0.25 * torch.log(power + FLOOR) + 1.0


def augment(features: Tensor, rng: Rng = WHOLE) -> Tensor:
    """(B, mels, frames) log-mel with a random level, noise and two random bands blanked per row, for training."""
    rows, mels, frames = features.shape
    device = features.device
    x = features + LEVEL_SIGMA * rng.normal(rows, 1, 1, device=device)
    x = x + NOISE_SIGMA * rng.normal(rows, mels, frames, device=device)
    number = torch.arange(mels, device=device)
    for _ in range(2):
        width = rng.integers(mels * 3 // 10 + 1, rows, 1, device=device)
        first = (rng.uniform(rows, 1, device=device) * (mels - width)).long()
        x = x * ((number < first) | (number >= first + width))[:, :, None]
    return x


def stft_kernel(window: int, fft: int) -> Tensor:
    """(2 (fft / 2 + 1), window): cosine rows, then sine rows, of a Hann-windowed Fourier transform."""
    n = torch.arange(window, dtype=torch.float64)
    angle = 2 * math.pi / fft * torch.arange(fft // 2 + 1, dtype=torch.float64)[:, None] * n
    hann = torch.hann_window(window, dtype=torch.float64)
    return torch.cat([angle.cos() * hann, -angle.sin() * hann]).float()


def mel_filters(num_mels: int, fft: int, sample_rate: int) -> Tensor:
    """(num_mels, fft / 2 + 1): triangles evenly spaced on the mel scale 2595 log10(1 + f / 700), peak 1."""
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, top, num_mels + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, sample_rate / 2, fft // 2 + 1, dtype=torch.float64)
    rise = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp(min=0).float()
