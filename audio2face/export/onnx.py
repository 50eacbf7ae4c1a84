"""Export a module to ONNX, then run what was written in onnxruntime and compare it with PyTorch."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from audio2face.export.signature import BATCH, Signature
from audio2face.paths import atomic

logger = logging.getLogger(__name__)

OPSET = 17
TOLERANCE = 1e-4
Feeds = dict[str, np.ndarray]


@contextmanager
def _ready(module: nn.Module) -> Iterator[None]:
    """The module on the CPU in evaluation mode, put back as it was afterwards."""
    first = next(module.parameters(), None)
    device = first.device if first is not None else torch.device("cpu")
    training = {name: part.training for name, part in module.named_modules()}
    module.eval().to("cpu")
    try:
        with torch.no_grad():
            yield
    finally:
        module.to(device)
        for name, part in module.named_modules():
            part.training = training[name]


def export_onnx(module: nn.Module, signature: Signature, path: str | os.PathLike[str], opset: int = OPSET) -> None:
    """Write `module` as ONNX with the signature's tensor names, batch dynamic and constants folded, and check it.

    `module` takes the signature's inputs in order. Raises ValueError when the file's tensors are not the signature's.
    """
    import onnx

    dummy = signature.dummy(2, np.random.default_rng(0))
    with _ready(module), atomic(path) as temporary:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing and deprecation notices: the comparison below is the judge
            torch.onnx.export(
                module,
                tuple(torch.from_numpy(dummy[name]) for name in signature.input_names),
                str(temporary),
                input_names=signature.input_names,
                output_names=signature.output_names,
                dynamic_axes=signature.dynamic_axes(),
                opset_version=opset,
                do_constant_folding=True,
                dynamo=False,
            )
        onnx.checker.check_model(str(temporary), full_check=True)
        _check_tensors(temporary, signature)
    logger.info("wrote %s (%.1f MB, opset %d)", path, Path(path).stat().st_size / 1e6, opset)


def _check_tensors(path: Path, signature: Signature) -> None:
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    for tensors, specs in ((graph.input, signature.inputs), (graph.output, signature.outputs)):
        found = {}
        for tensor in tensors:
            dims = tensor.type.tensor_type.shape.dim
            found[tensor.name] = tuple(BATCH if d.dim_param else d.dim_value for d in dims)
        expected = {spec.name: spec.axes for spec in specs}
        if found != expected:
            raise ValueError(f"exported tensors are {found}, expected {expected}")


def open_session(path: str | os.PathLike[str], device_type: str = "cpu") -> Any:
    """An onnxruntime session on a device type ("cpu", or another that onnxruntime has a provider for)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers = [p for p in onnxruntime.get_available_providers() if p.lower().startswith((device_type, "cpu"))]
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=providers)


def compare_onnx(
    path: str | os.PathLike[str], module: nn.Module, inputs: Mapping[str, Feeds], tolerance: float = TOLERANCE
) -> list[dict[str, Any]]:
    """Run the file in onnxruntime and `module` in PyTorch on the same inputs.

    `inputs` maps a case's name to {input: array}. Returns per case the batch, the largest absolute difference, the
    largest absolute value and their ratio (to at least 1). Raises RuntimeError when a ratio is above `tolerance`.
    """
    session = open_session(path)
    input_names = [tensor.name for tensor in session.get_inputs()]
    cases = []
    with _ready(module):
        for name, feeds in inputs.items():
            expected = module(*(torch.from_numpy(feeds[n]) for n in input_names))
            expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
            difference = largest = 0.0
            for ours, theirs in zip(expected, session.run(None, feeds), strict=True):
                if tuple(ours.shape) != theirs.shape:
                    raise RuntimeError(f"{path}: case {name}: shape {theirs.shape}, PyTorch gives {tuple(ours.shape)}")
                difference = max(difference, float(np.abs(ours.numpy() - theirs).max()))
                largest = max(largest, float(np.abs(ours.numpy()).max()))
            cases.append(
                {
                    "case": name,
                    "batch": len(feeds[input_names[0]]),
                    "largest_difference": difference,
                    "largest_value": largest,
                    "ratio": difference / max(1.0, largest),
                }
            )
    bad = [case for case in cases if not case["ratio"] <= tolerance]  # also catches NaN
    if bad:
        listed = "; ".join(f"{c['case']}: {c['largest_difference']:.3g} at values up to {c['largest_value']:.3g}" for c in bad)
        raise RuntimeError(f"{path}: the exported network differs from PyTorch by more than {tolerance:g} ({listed})")
    return cases
