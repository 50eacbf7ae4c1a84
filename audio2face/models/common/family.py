"""What a family of networks is to the commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio2face.problems import UserError

if TYPE_CHECKING:
    import numpy as np

    from audio2face.config import Section
    from audio2face.face.codec import FaceCodec
    from audio2face.models.common.inputs import Inputs, Training
    from audio2face.models.common.options import Options
    from audio2face.models.common.rollout import KeyframeDrawer, Rollout
    from audio2face.runs.train_run import ActorData, TrainRun
    from audio2face.runtime import Runtime

    Arrays = tuple[Mapping[str, np.ndarray], FaceCodec, np.ndarray | None]


def no_animation(*_: Any) -> Any:
    """Stands for what a family leaves out."""
    raise UserError("networks of this type cannot animate: their family has no load, options and actor_arrays")


@dataclass(frozen=True)
class Family:
    """What the commands need of a family: without `export` and `package` its networks cannot be deployed, without `load`,
    `options` and `actor_arrays` they do not animate. Those that `hears_partner` also hear whom an actor talks to,
    those that `takes_keys` animate through keyframes.
    With `keyframes` they draw keyframes to a sound, for other networks.
    """

    build: Callable[[Inputs, Runtime], Training]  # config and data -> method, network, settings
    kinds: frozenset[str]  # of channels that it can make: mesh, points, angles, curves
    load: Callable[[TrainRun, Any, Options], Rollout] = (
        no_animation  # run, torch.device -> its network, ready to animate
    )
    options: Callable[[Section, TrainRun], Options] = no_animation  # config_inference -> how a run is to animate
    actor_arrays: Callable[[TrainRun, ActorData, Mapping[str, Any]], Arrays] = (
        no_animation  # arrays and channels that make a face of rows, and the implicit emotion of a CONFIG
    )
    export: Callable[[TrainRun, int, str, Path], dict[str, Path]] | None = (
        None  # run, ONNX_OPSET, ONNX_EXPORTER, a new folder -> {actor: folder}
    )
    package: Callable[[Path, TrainRun, str, Mapping[str, Mapping[str, Any]]], None] | None = None
    hears_partner: bool = False
    takes_keys: bool = False
    keyframes: Callable[[TrainRun, Any, Options], KeyframeDrawer] | None = (
        None  # run, torch.device -> what draws keyframes, of networks that make no animations
    )
    edits: bool = False  # whether what `load` gives restores animations around frames that are kept
