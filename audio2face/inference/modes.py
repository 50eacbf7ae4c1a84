"""What an INFERENCE_MODE string means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from audio2face.problems import UserError


@dataclass(frozen=True)
class Mode:
    """How inference runs.

    `windowed`: in windows as a live host would, else in one go. `stateless`: the network's state is passed in and out
    instead of kept inside. `delta`: output relative to the mean geometry. `backend`: a key of BACKENDS.
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
SUPPORTED = {
    "regression": ("offline", "offline_onnx"),
    "diffusion": tuple(name for name in MODES if not name.startswith("offline_")),
}


def parse_mode(name: str | None, network_type: str) -> Mode:
    """The Mode of an INFERENCE_MODE string. Raises UserError naming the modes that a network of this type has."""
    supported = SUPPORTED.get(network_type, ())
    listed = ", ".join(supported) or "none"
    if name is None:
        raise UserError(f"INFERENCE_MODE is not set; a {network_type} network has: {listed}")
    if name not in MODES:
        near = difflib.get_close_matches(str(name), supported, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"INFERENCE_MODE {name!r} is unknown; a {network_type} network has: {listed}{hint}")
    if name not in supported:
        raise UserError(f"INFERENCE_MODE {name!r} does not exist for a {network_type} network, which has: {listed}")
    return MODES[name]
