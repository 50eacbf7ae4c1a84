"""The speech encoder of a diffusion network: where its weights come from, and more context for those that are local."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders import ENCODERS
from audio2face.models.common.encoders.pretrained import SPEECH_MODELS, WHISPER, Use
from audio2face.models.common.layers import Chain, ChannelDropout
from audio2face.problems import UserError

WITHOUT = "or train without them: audio_encoder 'phoneme_ctc' (needs the package hama) or 'melspec' (needs nothing)"
WAYS_OUT = (
    "or give NETWORK_HYPER_PARAMS['hubert_model'] or ['w2v_model'] a local folder with config.json and the weights,",
    "or torchaudio's .pth of the base model;",
    WITHOUT,
)


def _under(name: str) -> str:
    """Where a model of another kind belongs."""
    return f"NETWORK_HYPER_PARAMS audio_encoder {name!r} and {name}_model to it"


TRANSFORMERS = {  # audio_encoder -> where it comes from by default, what it is loaded for
    "hubert": (
        "facebook/hubert-base-ls960",
        Use(
            "NETWORK_HYPER_PARAMS hubert_model",
            WAYS_OUT,
            model_type="hubert",
            elsewhere={"wav2vec2": _under("w2v"), "whisper": _under("whisper")},
        ),
    ),
    "w2v": (
        "facebook/wav2vec2-base",
        Use(
            "NETWORK_HYPER_PARAMS w2v_model",
            WAYS_OUT,
            elsewhere={"hubert": _under("hubert"), "whisper": _under("whisper")},
        ),
    ),
    "whisper": (
        "openai/whisper-base",
        Use(
            "NETWORK_HYPER_PARAMS whisper_model",
            ("or give NETWORK_HYPER_PARAMS['whisper_model'] a local folder with config.json and the weights;", WITHOUT),
            model_type="whisper",
            elsewhere={kind: _under("hubert" if kind == "hubert" else "w2v") for kind in SPEECH_MODELS},
            kinds=WHISPER,
            layers="encoder_layers",
        ),
    ),
}
FROZEN_LAYERS = 2  # of a pretrained model that is trained


class WithContext(nn.Module):
    """A local encoder and trained convolutions over 0.18 s on either side: the recurrent layers cannot look ahead."""

    receptive_field, frozen, dim = "local", False, 256

    def __init__(self, encoder: Any):
        super().__init__()
        self.mel, self.centre = encoder, encoder.centre
        self.around = Chain(
            nn.Conv1d(encoder.dim, 160, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(160, 160, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(160, self.dim, 3, padding=3, dilation=3),
            nn.ReLU(),
            ChannelDropout(0.2),
        )

    def features(self, audio: Tensor) -> Tensor:
        return self.mel.features(audio)

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor:
        return self.around(self.mel(features, rng).transpose(1, 2), rng).transpose(1, 2)

    def rebuild_arguments(self) -> dict[str, Any]:
        return self.mel.rebuild_arguments()


def build_encoder(
    name: str,
    arguments: Mapping[str, Any],
    source: str | None = None,
    frozen: bool = False,
    whisper_layer: int | Sequence[int] = 3,
) -> nn.Module:
    """The SpeechEncoder `name`. `arguments` come from `rebuild_arguments`, or hold `cache_root` for a first build.

    `frozen` trains nothing of a HuBERT, wav2vec 2.0 or Whisper; of the others it changes nothing. Raises UserError on an
    unknown name or when weights cannot be found.
    """
    if name not in ENCODERS:
        raise UserError(f"NETWORK_HYPER_PARAMS audio_encoder: {name!r} is unknown; known: {', '.join(ENCODERS)}")
    if name in TRANSFORMERS:
        default, use = TRANSFORMERS[name]
        layers = None if frozen else FROZEN_LAYERS
        chosen = {"layer": whisper_layer} if name == "whisper" else {}
        return ENCODERS[name](use, source or default, frozen=frozen, frozen_layers=layers, **chosen, **arguments)
    encoder: Any = ENCODERS[name](**{k: v for k, v in arguments.items() if k != "cache_root"})
    return WithContext(encoder) if encoder.receptive_field == "local" else encoder
