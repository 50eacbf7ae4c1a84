"""Speech encoders: sound (B, N) at 16 kHz → features (B, S, dim) at 50 steps a second, for every family of networks.

An encoder has two halves. `features(audio)` is everything before the first trained weight: it carries no gradient and may be
cached. `forward(features, rng)` is the trained rest, which draws from `rng` in training. The pretrained encoders give their
own features, or with `width` a trained projection of them to so many values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders.autocorr import Autocorrelation
from audio2face.models.common.encoders.melspec import MelSpectrogram
from audio2face.models.common.encoders.phoneme import PhonemeEncoder
from audio2face.models.common.encoders.speech_transformer import SpeechTransformer
from audio2face.models.common.encoders.whisper import Whisper
from audio2face.runtime import quick_in_bf16


class SpeechEncoder(Protocol):
    """What an encoder offers besides being a module; step k is centred on sample `centre` + 320 k.

    `receptive_field` is what a step depends on: "local" is less than 0.2 s on either side; "global" is everything that is
    given, trained on segments of any length; "window" likewise, by an encoder that must be given in training the windows
    that it will be given when streaming. `frozen`: `features` does everything of which weights are pretrained.
    """

    dim: int
    centre: int
    receptive_field: str
    frozen: bool

    def features(self, audio: Tensor) -> Tensor: ...

    def __call__(self, features: Tensor, rng: Rng = WHOLE) -> Tensor: ...

    def rebuild_arguments(self) -> dict[str, Any]:
        """Arguments that build the same module without its source: JSON values."""


ENCODERS: dict[str, type[nn.Module]] = {
    "w2v": SpeechTransformer,
    "hubert": SpeechTransformer,
    "whisper": Whisper,
    "phoneme_ctc": PhonemeEncoder,
    "melspec": MelSpectrogram,
    "autocorr": Autocorrelation,
}

COARSE = (SpeechTransformer, Whisper)  # of which bfloat16 changes features by a hundredth; others would lose more


def in_precision(encoder: nn.Module, bf16: bool, device: torch.device, compute: Callable[[], Tensor]) -> Tensor:
    """What `compute` makes of an encoder's features, to be kept; with `bf16` those of a frozen transformer in bfloat16.

    They are computed so, too, where the device is quick at it; else in float32, and rounded.
    """
    if not (bf16 and isinstance(encoder, COARSE) and encoder.frozen):
        return compute()
    with torch.autocast(device.type, torch.bfloat16, enabled=quick_in_bf16(device)):
        return compute().to(torch.bfloat16)
