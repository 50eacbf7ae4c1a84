"""wav2vec 2.0, HuBERT or a relative as a speech encoder, frozen or in part trained further."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders.pretrained import (
    PretrainedEncoder,
    Use,
    build_model,
    load_speech_model,
    model_settings,
)

# No layer is dropped and nothing is masked, as torchaudio has it; transformers does both in training by default.
STEADY = {"layerdrop": 0.0, "apply_spec_augment": False}


class SpeechTransformer(PretrainedEncoder):
    """(B, N) → (B, S, dim) with S = (N - 400) // 320 + 1: the last hidden layer.

    With `width` instead the outputs of all layers, summed with softmax weights (learned when there are several), then Linear
    and ReLU. Frozen parts stay in evaluation mode: no dropout in what cannot adapt to it.
    """

    centre = 200
    model: Any  # of transformers

    def __init__(
        self,
        use: Use,
        source: str,
        cache_root: Path | str | None = None,
        config: Mapping[str, Any] | None = None,
        pretrained: bool = True,
        settings: Mapping[str, Any] | None = None,
        frozen: bool = True,
        frozen_layers: int | None = None,
        width: int | None = None,
    ):
        """Build the model and read its weights.

        Args:
            source: a name on the Hugging Face hub, a local folder in its format, or torchaudio's `.pth` of the base model.
            cache_root: folder that keeps what is downloaded.
            config: with `pretrained` false, the model's own settings as `rebuild_arguments` gave them, for weights that
                are loaded afterwards.
            settings: settings over the model's own.
            frozen: nothing of the model is trained; else all of it is, but with `frozen_layers` not its convolutions, its
                projection and its first layers.

        Raises:
            UserError: the weights cannot be found or do not fit.
        """
        super().__init__()
        settings = {**STEADY, **(settings or {})}
        if pretrained:
            self.model = load_speech_model(source, settings, use, cache_root)
        else:
            self.model = build_model({**(config or {}), **settings}, use.model_type)
        self.receptive_field = "window" if frozen else "global"
        self.freeze(self.model, self._frozen_parts(frozen, frozen_layers), whole=frozen)
        layers, size = self.model.config.num_hidden_layers, int(self.model.config.hidden_size)
        self.dim = width or size
        self.layer_weights = nn.Parameter(torch.zeros(layers), requires_grad=layers > 1) if width else None
        self.linear = nn.Linear(size, width) if width else None

    def _frozen_parts(self, whole: bool, layers: int | None) -> list[nn.Module]:
        model = self.model
        if whole:
            return [model]
        if layers is None:
            return []
        return [model.feature_extractor, model.feature_projection, *model.encoder.layers[:layers]]

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor:
        """features: what `features` gave → (B, S, dim). A model that is trained draws its dropout by itself."""
        hidden = features if self.frozen else self.hidden(features)
        if self.linear is None or self.layer_weights is None:
            return hidden
        if hidden.shape[1] == 1:
            mixed = hidden[:, 0]
        else:
            mixed = (hidden * torch.softmax(self.layer_weights, 0)[:, None, None]).sum(1)
        return torch.relu(self.linear(mixed))

    def hidden(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → the last layer's output (B, S, size); with `width` every layer's (B, layers, S, size)."""
        if self.linear is None:
            return self.model(audio).last_hidden_state
        outputs = self.model(audio, output_hidden_states=True, return_dict=True)
        return torch.stack(outputs.hidden_states[1:], 1)

    def rebuild_arguments(self) -> dict[str, Any]:
        return {"config": model_settings(self.model), "pretrained": False}
