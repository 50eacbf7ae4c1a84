"""Audio encoders: each turns a window of 16 kHz audio into a map of 256 channels at 50 steps per second.

An encoder has two halves. `features(audio (B, N))` is everything before the first trainable weight: it carries no
gradient and may be cached per window. `forward(features, rng)` is the trainable rest, which draws from `rng` in training,
and returns (B, 256, T, 1), with T = N // 320 - 1 (25 for 8320 samples); `channels` is the 256.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders.autocorr import Autocorrelation
from audio2face.models.common.encoders.melspec import MelSpectrogram
from audio2face.models.common.encoders.phoneme_branch import PhonemeCtcBranch
from audio2face.models.common.encoders.wav2vec2 import Wav2Vec2Branch


class Encoder(Protocol):
    """What an audio encoder offers besides being a module."""

    channels: int

    def features(self, audio: Tensor) -> Tensor: ...

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor: ...


ENCODERS: dict[str, type[nn.Module]] = {
    "w2v": Wav2Vec2Branch,
    "phoneme_ctc": PhonemeCtcBranch,
    "melspec": MelSpectrogram,
    "autocorr": Autocorrelation,
}
