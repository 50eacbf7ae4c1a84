"""Pretrained speech models: from the hub or a local folder through transformers, or torchaudio's `.pth` of weights."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audio2face.formats.git_lfs import pointer_problems
from audio2face.types import UserError, raise_problems

logger = logging.getLogger(__name__)


def load_speech_model(
    class_name: str,
    source: str,
    settings: Mapping[str, Any],
    cache_root: Path | str | None,
    key: str,
    ways_out: Sequence[str],
) -> nn.Module:
    """A transformers model of `class_name` from a hub name or local folder, with `settings` over its own.

    `num_hidden_layers` in `settings` keeps the first layers. `key` and `ways_out` go into the message when it fails.

    Raises:
        UserError: no connection and nothing cached, no such folder, or weights of another architecture.
    """
    import transformers

    raise_problems([f"{key}: {line}" for line in pointer_problems([Path(source).expanduser()])])
    cache = str(cache_root) if cache_root is not None else None
    try:
        config = transformers.AutoConfig.from_pretrained(source, cache_dir=cache)
        wanted = settings.get("num_hidden_layers", config.num_hidden_layers)
        if wanted > config.num_hidden_layers:
            raise UserError(f"{key}: {wanted} layers asked for, {source} has {config.num_hidden_layers}")
        config.update(dict(settings))
        model = getattr(transformers, class_name)
        return model.from_pretrained(source, config=config, cache_dir=cache, dtype=torch.float32)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        first = f"  ways out: connect to the internet once (kept in {cache or 'the Hugging Face cache'});"
        message = f"{key}: the weights {source!r} could not be read or downloaded: {reason}"
        raise UserError([message, first, *(f"  {line}" for line in ways_out)]) from error


def is_checkpoint(source: str, key: str) -> bool:
    """Whether a source names a file of weights, and not a hub name or a folder. UserError when such a file is missing."""
    path = Path(source).expanduser()
    if path.is_file():
        return True
    if path.suffix in (".pth", ".pt") or (path.is_absolute() and not path.is_dir()):
        raise UserError(f"{key}: {source} does not exist")
    return False


def fill_from_checkpoint(model: nn.Module, source: str, key: str) -> None:
    """Load torchaudio's weights of a base model (`.pth`) into a transformers model of the same size.

    Layers beyond the model's own are left out, everything else must be there. Raises UserError naming `key` and the file
    when it holds anything else.
    """
    raise_problems([f"{key}: {line}" for line in pointer_problems([Path(source).expanduser()])])
    try:
        state = torch.load(Path(source).expanduser(), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{key}: {source} could not be read as weights: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{key}: {source} holds no state dict {{name: tensor}}, such as torchaudio's models save")
    state = rename_torchaudio(state)
    wanted = model.state_dict()
    missing = [k for k in wanted if k not in state and k != "masked_spec_embed"]
    wrong = [k for k in wanted if k in state and state[k].shape != wanted[k].shape]
    if missing or wrong:
        raise UserError(
            f"{key}: {source} does not hold the weights of a {type(model).__name__} of base size ({len(missing)} tensors "
            f"missing, {len(wrong)} of another shape, first {(missing + wrong)[0]})"
        )
    model.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=False)


def rename_torchaudio(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchaudio's names of the weights of its wav2vec 2.0 and HuBERT models → transformers' names."""
    renamed = {}
    for name, value in state.items():
        name = name.removeprefix("model.")
        name = name.replace("encoder.feature_projection.", "feature_projection.").replace(
            "encoder.transformer.", "encoder."
        )
        for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
            name = name.replace(f"pos_conv_embed.conv.{old}", f"pos_conv_embed.conv.parametrizations.weight.{new}")
        renamed[name] = value
    return renamed
