"""What a family of networks is to the commands."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audio2face.models.common.inputs import Inputs, Training
    from audio2face.runs.train_run import TrainRun
    from audio2face.runtime import Runtime


@dataclass(frozen=True)
class Family:
    """What the commands need of a family. Without `export` and `package` its networks train and evaluate, and cannot be deployed."""

    build: Callable[[Inputs, Runtime], Training]  # config and data -> method, network, settings
    load: Callable[..., Any]  # training run -> its trained network
    kinds: frozenset[str]  # of channels that it can make: mesh, points, angles, curves
    export: Callable[[TrainRun, int, str], dict[str, Path]] | None = (
        None  # run, ONNX_OPSET, ONNX_EXPORTER -> {actor: folder}
    )
    package: Callable[[Path, TrainRun, str, Mapping[str, Mapping[str, Any]]], None] | None = None


def lazy(module: str, name: str) -> Callable[..., Any]:
    """The function `name` of a module, which is imported at the first call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call
