"""Checkpoints of a training under way: `<run>/checkpoints/step_<n>.pt`, the newest few, each whole or not there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audio2face.paths import atomic

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"
BEST = "best.pt"


def checkpoint_files(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / FOLDER).glob("step_*.pt"))


def save_checkpoint(run: Path, state: dict[str, Any], keep: int) -> Path:
    """Write a training's state and remove all but the newest `keep`."""
    path = run / FOLDER / f"step_{state['step']:08d}.pt"
    with atomic(path) as partial:
        torch.save(state, partial)
    for old in checkpoint_files(run)[: -max(keep, 1)]:
        old.unlink()
    for left_over in (run / FOLDER).glob(".*.partial.pt"):  # of a process that was killed while writing
        left_over.unlink(missing_ok=True)
    return path


def load_checkpoint(run: Path) -> dict[str, Any] | None:
    """The newest checkpoint of a run that can be read, or None when there is none."""
    for path in reversed(checkpoint_files(run)):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError … for a damaged file
            logger.warning("%s cannot be read (%s); trying the one before", path, error)
    return None


def save_best(run: Path, model: nn.Module, about: dict[str, Any]) -> Path:
    """Write the weights that training changes, with running statistics, and what is to be known `about` them; atomic."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    state = {name: value.detach().cpu() for name, value in model.state_dict().items() if name not in frozen}
    path = run / FOLDER / BEST
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial:
        torch.save({**about, "model": state}, partial)
    return path


def load_best(run: Path) -> dict[str, Any] | None:
    """What `save_best` wrote, or None when there is none."""
    path = run / FOLDER / BEST
    return torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else None
