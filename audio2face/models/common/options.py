"""How a trained model is to animate: what an INFERENCE_MODE string means, and the choices beside it. NumPy only."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audio2face.problems import UserError
from audio2face.runs.train_run import TrainRun


@dataclass(frozen=True)
class Mode:
    """How inference runs.

    `windowed`: in windows as a live host would, else in one go. `stateless`: the network's state is passed in and out
    instead of kept inside. `delta`: output relative to the mean geometry. `backend`: torch, onnx or trt.
    """

    name: str
    windowed: bool = False
    stateless: bool = False
    delta: bool = False
    backend: str = "torch"

    @property
    def exported(self) -> bool:
        """Whether the exported graph runs, and not the network it was made from."""
        return self.backend != "torch"


_TORCH = (
    Mode("offline"),
    Mode("streaming", windowed=True),
    Mode("streaming_stateless", windowed=True, stateless=True),
    Mode("streaming_stateless_output_delta", windowed=True, stateless=True, delta=True),
)
_EXPORTED = tuple(
    Mode(f"{mode.name}_{backend}", mode.windowed, mode.stateless, mode.delta, backend)
    for mode in _TORCH
    if mode.name != "streaming"  # its state lives inside the network, and an exported graph has none
    for backend in ("onnx", "trt")
)
MODES = {mode.name: mode for mode in _TORCH + _EXPORTED}


@dataclass(frozen=True)
class Options:
    """How a training run animates.

    Each sound `takes` times; `seed` chooses the noise; `behaviour` names the actor whose behaviour every face gets, None
    its own. `sampling` is what else the family has to choose.
    """

    mode: Mode
    takes: int = 1
    seed: int = 0
    behaviour: str | None = None
    sampling: Any = None


def parse_mode(name: str | None, network_type: str, supported: Sequence[str]) -> Mode:
    """The Mode of an INFERENCE_MODE string. Raises UserError naming the modes that a network of this type has."""
    listed = ", ".join(supported)
    if name is None:
        raise UserError(f"INFERENCE_MODE is not set; a {network_type} network has: {listed}")
    if name not in MODES:
        near = difflib.get_close_matches(str(name), supported, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"INFERENCE_MODE {name!r} is unknown; a {network_type} network has: {listed}{hint}")
    if name not in supported:
        raise UserError(f"INFERENCE_MODE {name!r} does not exist for a {network_type} network, which has: {listed}")
    return MODES[name]


def actor_name(name: str | None, run: TrainRun, key: str = "ACTOR_NAME") -> str:
    """The actor that a key names, or the only one there is. Raises UserError."""
    actors = run.spec.actors
    if name is None and len(actors) > 1:
        raise UserError(
            f"{key} is not set: training run {run.name} knows {', '.join(actors)}; set it in config_inference.py, or pass "
            f"--actor {actors[0]}"
        )
    if name is not None and name not in actors:
        raise UserError(f"{key} {name!r}: training run {run.name} knows {', '.join(actors)}")
    return name or actors[0]
