"""The phoneme recogniser as an audio encoder of the regression network: frozen features, then a trainable layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders.phoneme_ctc import WIDTH, PhonemeCtc
from audio2face.models.common.layers import GainDropout, drop_out

NOISE_SIGMA, LEFT_OUT = 0.7, 0.3  # of the augmentation: in units of the features, and a share of the channels


class PhonemeCtcBranch(nn.Module):
    """Frozen phoneme features of the very window, then Linear, ReLU and gain dropout: (B, N) → (B, 256, N // 320 - 1, 1)."""

    channels = 256

    def __init__(self, pretrained: bool = True):
        """`pretrained=False` builds the same modules for weights that are loaded afterwards."""
        super().__init__()
        self.model = PhonemeCtc.from_package() if pretrained else PhonemeCtc().requires_grad_(False)
        self.linear = nn.Linear(WIDTH, self.channels)
        self.gain = GainDropout()

    def train(self, mode: bool = True) -> PhonemeCtcBranch:
        super().train(mode)
        self.model.eval()
        return self

    @torch.no_grad()
    def features(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, T, 256), as `PhonemeCtc.steps`."""
        return self.model.steps(audio)

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor:
        """features: (B, T, 256) → (B, 256, T, 1)."""
        x = augment(features, rng) if self.training else features
        return self.gain(torch.relu(self.linear(x)).transpose(1, 2), rng=rng).unsqueeze(3)


def augment(features: Tensor, rng: Rng = WHOLE) -> Tensor:
    """(B, T, C) features in units of their deviation with noise and some channels left out, for training.

    They tell frames apart so well that minutes of speech are otherwise learned by heart.
    """
    noise = rng.normal(*features.shape, device=features.device)
    return drop_out((features + NOISE_SIGMA * noise).transpose(1, 2), LEFT_OUT, True, rng).transpose(1, 2)
