"""The weights of a network on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.runs.checkpoints import save_durably
from audio2face.runs.manifest import check_file
from audio2face.runs.train_run import SPEC_FILE, TrainRun, undamaged

Network = TypeVar("Network", bound=nn.Module)


def save_weights(path: Path, module: nn.Module) -> None:
    """Write the whole state dict, frozen encoders included, so that a run needs no download again; atomic."""
    save_durably(path, {name: value.detach().cpu() for name, value in module.state_dict().items()})


def read_weights(path: Path) -> dict[str, Tensor]:
    """What `save_weights` wrote. Raises ValueError when it is not such a file, or no longer what its run's manifest says."""
    check_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError … for a bad file
        raise ValueError(f"{path}: not a file of weights: {_reason(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: not the weights of a network, which are {{name: tensor}}")
    return state


def load_weights(module: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into a module built with the same arguments.

    Raises:
        ValueError: not such a file, weights of another network, or values that are not finite.
    """
    refuse_pointer(path)
    state = read_weights(path)
    try:
        module.load_state_dict(state)
    except Exception as error:  # RuntimeError for other names and shapes, UserError of a recogniser
        raise ValueError(f"{path}: not the weights of this network: {_reason(error)}") from error
    odd = next((name for name, value in module.named_parameters() if not value.isfinite().all()), None)
    odd = odd or next((name for name, value in module.named_buffers() if value.isnan().any()), None)
    if odd:
        raise ValueError(f"{path}: {odd} holds values that are not finite")


def trained(run: TrainRun, build: Callable[[], Network]) -> Network:
    """The network that `build` makes, with the weights of a run, on the CPU. Raises UserError when they are missing or damaged."""
    if not run.weights.is_file():
        raise UserError(f"training run {run.name}: {external_path(run.weights)} is missing")
    with undamaged(run.name):
        try:  # sizes and names are the file's
            network = build()
        except (KeyError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
            raise ValueError(f"{SPEC_FILE} describes no network of this version ({_reason(error)})") from error
        load_weights(network, run.weights)
    return network


def _reason(error: Exception) -> str:
    lines = str(error).strip().split("\n")
    told = lines[1] if lines[0].endswith(":") and len(lines) > 1 else lines[0]  # PyTorch lists keys below a heading
    return told.strip().split(". ")[0]
