"""The pretrained phoneme recogniser as a speech encoder: frozen features, and a trained projection when asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders.phoneme_ctc import WIDTH, PhonemeCtc
from audio2face.models.common.layers import GainDropout, drop_out

NOISE_SIGMA, LEFT_OUT = 0.7, 0.3  # of the augmentation: in units of the features, and a share of the channels


class PhonemeEncoder(nn.Module):
    """(B, N) → (B, N // 320 - 1, dim): the recogniser's hidden layer; with `width` then Linear, ReLU and gain dropout."""

    centre, receptive_field, frozen = 320, "window", True

    def __init__(self, pretrained: bool = True, width: int | None = None):
        """`pretrained=False` builds the same modules for weights that are loaded afterwards."""
        super().__init__()
        self.model = PhonemeCtc.from_package() if pretrained else PhonemeCtc().requires_grad_(False)
        self.model.eval()
        self.dim = width or WIDTH
        self.linear = nn.Linear(WIDTH, width) if width else None
        self.gain = GainDropout()

    def train(self, mode: bool = True) -> PhonemeEncoder:
        """The recogniser itself is never trained."""
        super().train(mode)
        self.model.eval()
        return self

    @torch.no_grad()
    def features(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, S, 256), as `PhonemeCtc.steps`."""
        return self.model.steps(audio)

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor:
        """features: (B, S, 256) → (B, S, dim)."""
        if self.linear is None:
            return features
        x = augment(features, rng) if self.training else features
        return self.gain(torch.relu(self.linear(x)).transpose(1, 2), rng=rng).transpose(1, 2)

    def rebuild_arguments(self) -> dict[str, Any]:
        return {"pretrained": False}


def augment(features: Tensor, rng: Rng = WHOLE) -> Tensor:
    """(B, T, C) features in units of their deviation with noise and some channels left out, for training.

    They tell frames apart so well that minutes of speech are otherwise learned by heart.
    """
    noise = rng.normal(*features.shape, device=features.device)
    return drop_out((features + NOISE_SIGMA * noise).transpose(1, 2), LEFT_OUT, True, rng).transpose(1, 2)
