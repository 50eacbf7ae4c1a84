"""Checkpoints of a training under way: `<run>/checkpoints/step_<n>.pt`, the newest few, each whole or not there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from audio2face.paths import atomic

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"


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
