"""The named tensors of an exported network, declared once: dummy inputs, dynamic axes and TensorRT shapes follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BATCH = "batch"
TRT_DEFAULTS = {"MAX_BATCH_SIZE": 8, "OPT_BATCH_SIZE": 3}


@dataclass(frozen=True)
class TensorSpec:
    """One float32 tensor: its name and its axes, each a fixed size or "batch"."""

    name: str
    axes: tuple[int | str, ...]

    def shape(self, batch: int) -> tuple[int, ...]:
        """The shape for a batch of that size."""
        return tuple(batch if axis == BATCH else int(axis) for axis in self.axes)


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of an exported network, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def input_names(self) -> list[str]:
        return [tensor.name for tensor in self.inputs]

    @property
    def output_names(self) -> list[str]:
        return [tensor.name for tensor in self.outputs]

    def dummy(self, batch: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """{input: float32 array} of values drawn uniformly from -1 to 1."""
        return {t.name: rng.uniform(-1, 1, t.shape(batch)).astype(np.float32) for t in self.inputs}

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """{tensor: {axis: "batch"}} as the ONNX exporter takes it."""
        tensors = self.inputs + self.outputs
        named = {t.name: {i: BATCH for i, axis in enumerate(t.axes) if axis == BATCH} for t in tensors}
        return {name: axes for name, axes in named.items() if axes}

    def trt_shapes(self, batch: int | str) -> str:
        """All inputs as trtexec's shape arguments write them, e.g. "input:1x1x8320,emotion:1x1x26"."""
        return ",".join(
            f"{t.name}:{'x'.join(str(batch if axis == BATCH else axis) for axis in t.axes)}" for t in self.inputs
        )


CURVES_NETWORK = "network_curves.onnx"  # gives curves beside the face; the runtime does not know it


def regression_signature(window_len: int, emotion_len: int, result_len: int, curves_len: int = 0) -> Signature:
    """Tensors of a deployed regression network: sound window, implicit then explicit emotion; all channels, and curves."""
    curves = (TensorSpec("curves", (BATCH, 1, curves_len)),) if curves_len else ()
    return Signature(
        inputs=(TensorSpec("input", (BATCH, 1, window_len)), TensorSpec("emotion", (BATCH, 1, emotion_len))),
        outputs=(TensorSpec("result", (BATCH, 1, result_len)), *curves),
    )


def diffusion_signature(
    *,
    window: int,
    identities: int,
    centre: int,
    emotions: int,
    steps: int,
    layers: int,
    width: int,
    frames: int,
    values: int,
    curves: int = 0,
) -> Signature:
    """Tensors of a deployed diffusion network; the latents' batch is axis 2. `curves`: values of a frame beside the face."""
    latents = (steps, layers, BATCH, width)
    more = (TensorSpec("curves", (BATCH, frames, curves)),) if curves else ()
    return Signature(
        inputs=(
            TensorSpec("window", (BATCH, window)),
            TensorSpec("identity", (BATCH, identities)),
            TensorSpec("emotion", (BATCH, centre, emotions)),
            TensorSpec("input_latents", latents),
            TensorSpec("noise", (BATCH, steps + 1, frames, values)),
        ),
        outputs=(TensorSpec("prediction", (BATCH, frames, values)), TensorSpec("output_latents", latents), *more),
    )


def trt_info(signature: Signature, builder_time_s: int | None = None) -> dict[str, Any]:
    """trt_info.json: the arguments with which trtexec builds this network's engine, and their default batch sizes."""
    shapes = [
        f"--minShapes={signature.trt_shapes(1)}",
        f"--maxShapes={signature.trt_shapes('{MAX_BATCH_SIZE}')}",
        f"--optShapes={signature.trt_shapes('{OPT_BATCH_SIZE}')}",
    ]
    info: dict[str, Any] = {} if builder_time_s is None else {"estimated_trt_builder_time": builder_time_s}
    info["trt_build_param"] = {
        "cuda_in_graphics": ["--memPoolSize=tacticSharedMem:0.046875"],
        "batch": shapes,
    }
    return {**info, "defaults": dict(TRT_DEFAULTS)}
