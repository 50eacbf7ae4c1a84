"""Audio encoders of the diffusion networks: sound of any length -> features at 50 steps a second.

`forward(audio (B, N), rng) -> (B, S, dim)`; step k is centred on sample `centre` + 320 k. `hearing` tells what a step depends
on: "near" is less than 0.2 s on either side; "all" is everything that is given, trained on segments of any length;
"window" also is everything, by an encoder that must hear in training what it will hear when streaming.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders.melspec import MelSpectrogram
from audio2face.models.common.encoders.phoneme_ctc import WIDTH as PHONEME_WIDTH
from audio2face.models.common.encoders.phoneme_ctc import PhonemeCtc
from audio2face.models.common.encoders.pretrained import Use, build_model, load_speech_model, model_settings
from audio2face.models.common.layers import Chain, ChannelDropout
from audio2face.problems import UserError

# no layer is dropped, and nothing is masked unless asked for: crops as short as half a second are trained on
STEADY = {"layerdrop": 0.0, "apply_spec_augment": False}
WAYS_OUT = (
    "or give NETWORK_HYPER_PARAMS['hubert_model'] or ['w2v_model'] a local folder with config.json and the weights,",
    "or torchaudio's .pth of the base model;",
    "or train without them: audio_encoder 'phoneme_ctc' (needs the package hama) or 'melspec' (needs nothing)",
)
TRANSFORMERS = {  # audio_encoder -> model type, where it comes from by default, what it is loaded for
    "hubert": (
        "hubert",
        "facebook/hubert-base-ls960",
        Use(
            "NETWORK_HYPER_PARAMS hubert_model",
            WAYS_OUT,
            elsewhere={"wav2vec2": "NETWORK_HYPER_PARAMS audio_encoder 'w2v' and w2v_model to it"},
        ),
    ),
    "w2v": (
        "wav2vec2",
        "facebook/wav2vec2-base",
        Use(
            "NETWORK_HYPER_PARAMS w2v_model",
            WAYS_OUT,
            elsewhere={"hubert": "NETWORK_HYPER_PARAMS audio_encoder 'hubert' and hubert_model to it"},
        ),
    ),
}


class SegmentEncoder(Protocol):
    """What an encoder offers besides being a module: where its first step is centred, what it hears, values a step.

    `frozen` tells that nothing in it is trained, so that what it makes of a sound can be kept.
    """

    centre: int
    hearing: str
    dim: int
    frozen: bool

    def __call__(self, audio: Tensor, rng: Rng = WHOLE) -> Tensor: ...

    def rebuild_arguments(self) -> dict[str, Any]:
        """Arguments that build the same module without its source: JSON values."""


class SpeechTransformer(nn.Module):
    """HuBERT, wav2vec 2.0 or a relative: the convolutions, projection and first `freeze_layers` layers frozen, the rest trained.

    With `frozen` nothing is trained; it then hears windows, in training as when streaming.
    """

    centre = 200
    model: Any  # a transformers model

    def __init__(
        self,
        name: str,
        source: str | None = None,
        cache_root: Path | str | None = None,
        config: Mapping[str, Any] | None = None,
        pretrained: bool = True,
        freeze_layers: int = 2,
        spec_augment: bool = False,
        frozen: bool = False,
    ):
        """`name`: of TRANSFORMERS. `source`: a name on the hub, a local folder, or torchaudio's `.pth` of the base model.

        `config` and `pretrained=False` rebuild the model for weights that are loaded afterwards. Raises UserError when
        the pretrained weights cannot be found or do not fit.
        """
        super().__init__()
        settings = {**STEADY, "apply_spec_augment": spec_augment}
        model_type, default, use = TRANSFORMERS[name]
        if pretrained:
            self.model = load_speech_model(source or default, settings, use, cache_root, model_type)
        else:
            self.model = build_model({**(config or {}), **settings}, model_type)
        self.dim = int(self.model.config.hidden_size)
        self.freeze_layers, self.frozen = freeze_layers, frozen
        self.hearing = "window" if frozen else "all"
        for part in self._frozen():
            part.requires_grad_(False).eval()

    def _frozen(self) -> list[nn.Module]:
        model = self.model
        if self.frozen:
            return [model]
        return [model.feature_extractor, model.feature_projection, *model.encoder.layers[: self.freeze_layers]]

    def train(self, mode: bool = True) -> SpeechTransformer:
        """As usual, but the frozen parts keep their evaluation behaviour: no dropout in what cannot adapt to it."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def forward(self, audio: Tensor, rng: Rng = WHOLE) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.model(audio).last_hidden_state

    def rebuild_arguments(self) -> dict[str, Any]:
        """Arguments that build the same module without its source: JSON values."""
        return {"config": model_settings(self.model), "pretrained": False}


class MelSteps(nn.Module):
    """Log-mel and trainable convolutions that hear 0.18 s on either side: the recurrent layers cannot look ahead."""

    centre, hearing = 320, "near"
    dim, frozen = 256, False

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelSpectrogram()
        self.around = Chain(
            nn.Conv1d(self.mel.channels, 160, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(160, 160, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(160, self.dim, 3, padding=3, dilation=3),
            nn.ReLU(),
            ChannelDropout(0.2),
        )

    def forward(self, audio: Tensor, rng: Rng = WHOLE) -> Tensor:
        steps = self.mel(self.mel.features(audio), rng).squeeze(3)  # (B, 256, S)
        return self.around(steps, rng).transpose(1, 2)

    def rebuild_arguments(self) -> dict[str, Any]:
        return {}


class PhonemeSteps(nn.Module):
    """A hidden layer of the frozen phoneme recogniser."""

    centre, hearing = 320, "window"
    model: PhonemeCtc
    dim, frozen = PHONEME_WIDTH, True

    def __init__(self, pretrained: bool = True):
        super().__init__()
        self.model = PhonemeCtc.from_package() if pretrained else PhonemeCtc().requires_grad_(False)
        self.model.eval()

    def train(self, mode: bool = True) -> PhonemeSteps:
        """The recogniser itself is never trained."""
        super().train(mode)
        self.model.eval()
        return self

    @torch.no_grad()
    def forward(self, audio: Tensor, rng: Rng = WHOLE) -> Tensor:
        return self.model.steps(audio)

    def rebuild_arguments(self) -> dict[str, Any]:
        return {"pretrained": False}


def build_segment_encoder(
    name: str, arguments: Mapping[str, Any], source: str | None = None, frozen: bool = False
) -> nn.Module:
    """The audio encoder `name`. `arguments` come from `rebuild_arguments`, or hold `cache_root` for a first build.

    `frozen` trains nothing of a HuBERT or wav2vec 2.0; of the others it changes nothing. Raises UserError on an unknown
    name or when weights cannot be found.
    """
    if name in TRANSFORMERS:
        return SpeechTransformer(name, source, frozen=frozen, **arguments)
    arguments = {k: v for k, v in arguments.items() if k != "cache_root"}
    if name == "melspec":
        return MelSteps()
    if name == "phoneme_ctc":
        return PhonemeSteps(**arguments)
    known = ", ".join([*TRANSFORMERS, "melspec", "phoneme_ctc"])
    raise UserError(f"NETWORK_HYPER_PARAMS audio_encoder: {name!r} is unknown; known: {known}")
