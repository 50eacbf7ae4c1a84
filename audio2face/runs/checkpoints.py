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


def space_needed(model: nn.Module, averaged: bool, keep: int) -> int:
    """About the bytes that a training writes: `keep` checkpoints and one in the making, weights, best weights and export."""
    weights = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    checkpoint = weights + (3 if averaged else 2) * trained  # Adam's two averages, and that of the weights
    return (keep + 1) * checkpoint + 3 * weights


def save_checkpoint(run: Path, state: dict[str, Any], keep: int) -> Path:
    """Write a training's state and remove all but the newest `keep`."""
    path = run / FOLDER / f"step_{state['step']:08d}.pt"
    remove_left_overs(run)
    save_durably(path, state)
    for old in checkpoint_files(run)[: -max(keep, 1)]:
        old.unlink()
    return path


def remove_left_overs(run: Path) -> None:
    """Remove what a process that was killed while writing has left."""
    for left_over in (run / FOLDER).glob(".*.partial.pt"):
        left_over.unlink(missing_ok=True)


def save_durably(path: Path, state: Any) -> None:
    """Write with torch.save, whole or not at all, also when the power is cut."""
    with atomic(path) as partial, partial.open("wb") as file:
        torch.save(state, file)


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
    save_durably(path, {**about, "model": state})
    return path


def load_best(run: Path) -> dict[str, Any] | None:
    """What `save_best` wrote, or None when there is none."""
    path = run / FOLDER / BEST
    return torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else None
