"""Checkpoints of a training under way: `<run>/checkpoints/step_<n>.pt`, the newest few, each whole or not there.

What does not change is beside them, once, in `frozen_<digest>.pt`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from audio2face.paths import atomic

logger = logging.getLogger(__name__)

FOLDER = "checkpoints"
BEST = "best.pt"
PARTS = ("epoch", "batch", "step", "model", "optimizer", "ema", "method", "random")  # of a training's state


def checkpoint_files(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted((run / FOLDER).glob("step_*.pt"))


def space_needed(model: nn.Module, averaged: bool, keep: int) -> int:
    """About the bytes that a training writes: `keep` checkpoints, at least two, frozen weights, weights, best weights and export."""
    weights = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    frozen = sum(value.numel() * value.element_size() for value in frozen_weights(model).values())
    checkpoint = weights - frozen + (3 if averaged else 2) * trained  # Adam's two averages, and that of the weights
    return max(keep, 2) * checkpoint + frozen + 3 * weights


def save_checkpoint(
    run: Path, state: dict[str, Any], keep: int, frozen: Mapping[str, torch.Tensor] | None = None
) -> Path:
    """Write a training's state; the newest `keep` stay. Old ones go first, so that no more than these are ever there.

    The newest stays until the new one is on the disk. `frozen` weights, which the state then lacks, are written once.
    """
    path = run / FOLDER / f"step_{state['step']:08d}.pt"
    remove_left_overs(run)
    if frozen:
        state = {**state, "frozen": _save_frozen(run, frozen)}
    _remove_old(run, max(keep - 1, 1))
    save_durably(path, state)
    _remove_old(run, max(keep, 1))
    return path


def _remove_old(run: Path, keep: int) -> None:
    for old in checkpoint_files(run)[:-keep]:
        old.unlink()


def frozen_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights that training does not change, by name."""
    return {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}


def weights_digest(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    found = hashlib.sha256()
    for name, value in weights.items():
        found.update(f"{name}{value.dtype}{tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _save_frozen(run: Path, weights: Mapping[str, torch.Tensor]) -> str:
    """Write frozen weights unless they are there; returns their digest."""
    digest = weights_digest(weights)
    path = run / FOLDER / f"frozen_{digest[:16]}.pt"
    if not path.is_file():
        save_durably(path, {name: value.cpu() for name, value in weights.items()})
    return digest


def _with_frozen(run: Path, state: dict[str, Any], model: nn.Module) -> str | None:
    """Add to a state the frozen weights that it is of: the model's own, if they are the same. Returns what is wrong, or None."""
    digest = state.get("frozen")
    if digest is None or not isinstance(state.get("model"), dict):
        return None
    weights: Any = frozen_weights(model)
    if weights_digest(weights) != digest:
        weights = _read(run / FOLDER / f"frozen_{str(digest)[:16]}.pt")
        fault = weights if isinstance(weights, str) else _other_weights(weights, None)
        if fault or weights_digest(weights) != digest:
            return f"its frozen weights are not there: {fault or 'they have been changed'}"
    state["model"] = {**weights, **state["model"]}
    return None


def remove_left_overs(run: Path) -> None:
    """Remove what a process that was killed while writing has left."""
    for left_over in (run / FOLDER).glob(".*.partial.pt"):
        left_over.unlink(missing_ok=True)


def save_durably(path: Path, state: Any) -> None:
    """Write with torch.save, whole or not at all, also when the power is cut."""
    with atomic(path) as partial, partial.open("wb") as file:
        torch.save(state, file)


def load_checkpoint(run: Path, model: nn.Module | None = None) -> dict[str, Any] | None:
    """The newest checkpoint of a run that can be read, and of `model` if that is given; None when there is none."""
    for path in reversed(checkpoint_files(run)):
        state = _read(path)
        if isinstance(state, dict):
            reason = (model and _with_frozen(run, state, model)) or _unfit(state, model)
            if reason is None:
                return state
            logger.warning("%s is not a checkpoint of this training: %s; trying the one before", path, reason)
        else:
            logger.warning("%s cannot be read (%s); trying the one before", path, state)
    return None


def _read(path: Path) -> Any:
    """A file of torch.save as a dictionary, or in words what else it is."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        return "it is damaged, or holds more than tensors, numbers and text"
    except Exception as error:  # torch raises RuntimeError, EOFError … for a damaged file
        return " ".join(str(error).split())[:200] or type(error).__name__
    return state if isinstance(state, dict) else f"it holds a {type(state).__name__}"


def _unfit(state: dict[str, Any], model: nn.Module | None) -> str | None:
    """Why a training cannot go on from a state, or None."""
    if type(state.get("step")) is not int or state["step"] < 0:
        return "it does not tell its step"
    if model is None:
        return None
    if missing := [key for key in PARTS if key not in state]:
        return f"it has no {', '.join(missing)}"
    if any(type(state[key]) is not int or state[key] < 0 for key in ("epoch", "batch")):
        return "epoch and batch are not whole numbers"
    return _other_weights(state["model"], model)


def _other_weights(weights: Any, model: nn.Module | None, all_of_them: bool = True) -> str | None:
    """How weights {name: tensor} differ from a model's, or None."""
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        return "its model is not a table of weights"
    if model is None:
        return None
    own = model.state_dict()
    if weights.keys() - own.keys() or (all_of_them and own.keys() - weights.keys()):
        name = min(weights.keys() ^ own.keys() if all_of_them else weights.keys() - own.keys(), key=str)
        return f"its network is another one ({name})"
    shapes = [
        f"{k} is {tuple(w.shape)}, not {tuple(own[k].shape)}" for k, w in weights.items() if w.shape != own[k].shape
    ]
    return f"its network has another size ({shapes[0]})" if shapes else None


def save_best(run: Path, model: nn.Module, about: dict[str, Any]) -> Path:
    """Write the weights that training changes, with running statistics, and what is to be known `about` them; atomic."""
    frozen = frozen_weights(model)
    state = {name: value.detach().cpu() for name, value in model.state_dict().items() if name not in frozen}
    path = run / FOLDER / BEST
    save_durably(path, {**about, "model": state})
    return path


def load_best(run: Path, model: nn.Module | None = None) -> dict[str, Any] | None:
    """What `save_best` wrote, of `model` if that is given; None when there is nothing that can be used."""
    path = run / FOLDER / BEST
    if not path.is_file():
        return None
    state = _read(path)
    if not isinstance(state, dict):
        reason: str | None = state
    elif not all(isinstance(state.get(key), int | float) for key in ("epoch", "value")):
        reason = "it does not tell its epoch and value"
    else:
        reason = _other_weights(state.get("model"), model, all_of_them=False)
    if reason is None:
        return state
    logger.warning("%s cannot be used: %s", path, reason)
    return None
