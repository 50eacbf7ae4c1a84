"""wav2vec 2.0 encoder, or a relative of it: the first transformer layers of a pretrained model, then a trainable projection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders.pretrained import Use, build_model, load_speech_model, model_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HUB_NAME = "facebook/wav2vec2-base"
USE = Use(
    "NETWORK_HYPER_PARAMS w2v_model",
    (
        "or set NETWORK_HYPER_PARAMS['w2v_model'] to a local folder with config.json and the weights, or to",
        "torchaudio's wav2vec2_fairseq_base_ls960.pth; or train without them: use_w2v_features False and",
        "use_phoneme_ctc_features True (needs the package hama) or use_melspec_features True (needs nothing)",
    ),
)
# torchaudio's extract_features neither drops layers nor masks; transformers does both in training by default.
TRAINING_BEHAVIOUR: dict[str, Any] = {
    "layerdrop": 0.0,
    "apply_spec_augment": False,
    "feat_proj_dropout": 0.1,
    "hidden_dropout": 0.1,
    "activation_dropout": 0.1,
    "attention_dropout": 0.1,
}


class Wav2Vec2Branch(nn.Module):
    """(B, N) audio → (B, 256, T, 1) with T = (N - 400) // 320 + 1.

    The outputs of the kept layers are summed with softmax weights (learned when there are several layers), then Linear
    and ReLU. A frozen model stays in evaluation mode and its outputs can be cached.
    """

    channels = 256

    def __init__(
        self,
        num_layers: int = 1,
        freeze: bool = True,
        source: str = HUB_NAME,
        cache_root: Path | str | None = None,
        config: dict[str, Any] | None = None,
        pretrained: bool = True,
    ):
        """Build the model, and read its weights unless `pretrained` is false (weights that follow are loaded later).

        Args:
            source: a name on the Hugging Face hub, a local folder in its format, or torchaudio's WAV2VEC2_BASE `.pth`.
            cache_root: folder that keeps what is downloaded.
            config: the model's own settings, as `model_settings` gave them; read from the source when None.

        Raises:
            UserError: the weights cannot be found or do not fit.
        """
        super().__init__()
        self.freeze = freeze
        settings = {**TRAINING_BEHAVIOUR, "num_hidden_layers": num_layers}
        self.model: PreTrainedModel
        if pretrained:
            self.model = load_speech_model(source, settings, USE, cache_root)
        else:
            self.model = build_model({**(config or {}), **settings})
        self.model.requires_grad_(not freeze)
        self.layer_weights = nn.Parameter(torch.zeros(num_layers), requires_grad=num_layers > 1)
        self.linear = nn.Linear(self.model.config.hidden_size, self.channels)

    @property
    def model_settings(self) -> dict[str, Any]:
        """Settings in which the model differs from wav2vec 2.0 base: `config` for building it without its source."""
        return model_settings(self.model)

    def train(self, mode: bool = True) -> Wav2Vec2Branch:
        super().train(mode)
        if self.freeze:
            self.model.eval()
        return self

    def features(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, layers, T, width) when frozen; the audio itself when the model is trained."""
        if not self.freeze:
            return audio
        with torch.no_grad():
            return self.hidden_states(audio)

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor:
        """features: what `features` gave → (B, 256, T, 1). A model that is trained draws its dropout by itself."""
        hidden = features if self.freeze else self.hidden_states(features)
        if hidden.shape[1] == 1:
            mixed = hidden[:, 0]
        else:
            mixed = (hidden * torch.softmax(self.layer_weights, 0)[:, None, None]).sum(1)
        return torch.relu(self.linear(mixed)).transpose(1, 2).unsqueeze(3)

    def hidden_states(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, layers, T, width), the output of each kept transformer layer."""
        outputs = self.model(audio, output_hidden_states=True, return_dict=True)
        return torch.stack(outputs.hidden_states[1:], 1)
