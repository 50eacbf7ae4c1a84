"""Pretrained speech models through transformers: from the hub, a local folder, or the cache of an earlier download."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audio2face.types import UserError

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
