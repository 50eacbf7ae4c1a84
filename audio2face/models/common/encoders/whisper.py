"""The first blocks of Whisper as a speech encoder, frozen or in part trained further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.encoders.pretrained import PretrainedEncoder, Use, load_whisper
from audio2face.models.common.encoders.whisper_blocks import WhisperBlocks
from audio2face.models.common.layers import GainDropout, drop_out

NOISE_SIGMA, LEFT_OUT = 0.3, 0.3  # of the augmentation: in units of the features, and a share of the channels


class Whisper(PretrainedEncoder):
    """(B, N) → (B, N // 320 - 1, dim): the outputs of the chosen blocks side by side, each of deviation 1.

    With `width` instead their sum with softmax weights (learned when there are several), then Linear, ReLU and gain dropout.
    A block hears the whole window that is given, and where in it a moment lies: Whisper's positions are counted from the
    window's beginning. Frozen parts stay in evaluation mode.
    """

    centre, receptive_field = 320, "window"

    def __init__(
        self,
        use: Use,
        source: str,
        layer: int | Sequence[int] = 3,
        cache_root: Path | str | None = None,
        config: Mapping[str, Any] | None = None,
        pretrained: bool = True,
        frozen: bool = True,
        frozen_layers: int | None = None,
        width: int | None = None,
    ):
        """Build the blocks up to the last of `layer`, and read their weights.

        Args:
            source: a name on the Hugging Face hub, or a local folder in its format.
            layer: the block whose output is taken, from 1 on, or several.
            cache_root: folder that keeps what is downloaded.
            config: with `pretrained` false, the sizes as `rebuild_arguments` gave them, for weights that are loaded afterwards.
            frozen: nothing of Whisper is trained; else all of it is but its positions, or with `frozen_layers` not its
                convolutions and its first blocks either.

        Raises:
            UserError: the weights cannot be found or do not fit, or Whisper has fewer blocks.
        """
        super().__init__()
        kept = [layer] if isinstance(layer, int) else list(layer)
        if pretrained:
            sizes, weights = load_whisper(source, max(kept), use, cache_root)
            self.encoder = WhisperBlocks(sizes, kept)
            self.encoder.load_state_dict({name: weights[name] for name in self.encoder.state_dict()})
        else:
            self.encoder = WhisperBlocks(config or {}, kept)
        self.freeze(self.encoder, self._frozen_parts(frozen, frozen_layers), whole=frozen)
        size = self.encoder.sizes["d_model"]
        self.dim = width or size * len(kept)
        self.mix = LayerMix(len(kept)) if width else None
        self.linear = nn.Linear(size, width) if width else None
        self.gain = GainDropout()

    def _frozen_parts(self, whole: bool, layers: int | None) -> list[nn.Module]:
        encoder = self.encoder
        if whole:
            return [encoder]
        if layers is None:
            return [encoder.embed_positions]
        return [encoder.embed_positions, encoder.conv1, encoder.conv2, *encoder.layers[:layers]]

    def forward(self, features: Tensor, rng: Rng = WHOLE) -> Tensor:
        """features: what `features` gave → (B, S, dim)."""
        hidden = features if self.frozen else self.hidden(features)
        if self.linear is None or self.mix is None:
            return hidden
        mixed = self.mix(hidden)
        if self.training:
            mixed = augment(mixed, rng)
        return self.gain(torch.relu(self.linear(mixed)).transpose(1, 2), rng=rng).transpose(1, 2)

    def hidden(self, audio: Tensor) -> Tensor:
        """audio: (B, N) → (B, N // 320 - 1, blocks · size): the step at the very beginning is left out."""
        return self.encoder(audio)[:, 1 : audio.shape[1] // 320]

    def rebuild_arguments(self) -> dict[str, Any]:
        return {"config": self.encoder.sizes, "pretrained": False}


class LayerMix(nn.Module):
    """(B, T, pieces · layers · size) → (B, T, pieces · size): the layers summed with softmax weights."""

    def __init__(self, layers: int, pieces: int = 1):
        super().__init__()
        self.pieces = pieces
        self.layer_weights = nn.Parameter(torch.zeros(layers), requires_grad=layers > 1)

    def forward(self, x: Tensor) -> Tensor:
        if len(self.layer_weights) == 1:
            return x
        weights = torch.softmax(self.layer_weights, 0)[:, None]
        return (x.unflatten(2, (self.pieces, len(self.layer_weights), -1)) * weights).sum(3).flatten(2)


def augment(features: Tensor, rng: Rng = WHOLE) -> Tensor:
    """(B, S, C) features with noise and some channels left out, for training: minutes of speech are else learned by heart."""
    noise = rng.normal(*features.shape, device=features.device)
    return drop_out((features + NOISE_SIGMA * noise).transpose(1, 2), LEFT_OUT, True, rng).transpose(1, 2)
