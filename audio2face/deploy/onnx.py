"""Export a module to ONNX, then run what was written in onnxruntime and compare it with PyTorch."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from audio2face.deploy.signature import BATCH, Signature
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.machine import session_options
from audio2face.paths import atomic
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")
OPSET = 17
DYNAMO_OPSET = 18
TOLERANCE = 1e-4
# A recurrent state is no result: what is off in it fades from window to window, and counts as far as frames show it.
STATES, STATE_SHARE = ("output_latents",), 0.1
Feeds = dict[str, np.ndarray]


@contextmanager
def _ready(module: nn.Module) -> Iterator[None]:
    """The module on the CPU in evaluation mode; its device and mode are restored afterwards."""
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


def _torchscript(
    module: nn.Module, dummy: tuple[torch.Tensor, ...], signature: Signature, path: Path, opset: int
) -> None:
    """The tracing exporter: plain operators, any opset, quick."""
    axes = signature.dynamic_axes()
    _export(module, dummy, signature, path, opset, dynamic_axes=axes, do_constant_folding=True, dynamo=False)


def _dynamo(module: nn.Module, dummy: tuple[torch.Tensor, ...], signature: Signature, path: Path, opset: int) -> None:
    """The graph-capturing exporter: opset 18 or newer, needs onnxscript."""
    import onnx

    if opset < DYNAMO_OPSET:
        raise UserError(f"ONNX_OPSET {opset}: ONNX_EXPORTER 'dynamo' needs {DYNAMO_OPSET} or more")
    batch = torch.export.Dim(BATCH)
    shapes = tuple({i: batch for i, axis in enumerate(t.axes) if axis == BATCH} for t in signature.inputs)
    try:
        options: dict[str, Any] = {"dynamic_shapes": shapes, "external_data": False, "verbose": False}
        _export(module, dummy, signature, path, opset, dynamo=True, **options)
    except ModuleNotFoundError as error:
        raise UserError(f"ONNX_EXPORTER 'dynamo' needs the package {error.name}: pip install -e '.[dynamo]'") from error
    model = onnx.load(str(path))
    for node in model.graph.node:  # source paths of this machine
        del node.metadata_props[:]
    onnx.save(model, str(path))


def _export(
    module: nn.Module, dummy: tuple[torch.Tensor, ...], signature: Signature, path: Path, opset: int, **options: Any
) -> None:
    names: dict[str, Any] = {"input_names": signature.input_names, "output_names": signature.output_names}
    torch.onnx.export(module, dummy, str(path), opset_version=opset, **names, **options)


EXPORTERS: dict[str, Callable[[nn.Module, tuple[torch.Tensor, ...], Signature, Path, int], None]] = {
    "torchscript": _torchscript,
    "dynamo": _dynamo,
}


def export_onnx(
    module: nn.Module,
    signature: Signature,
    path: str | os.PathLike[str],
    opset: int = OPSET,
    exporter: str = "torchscript",
) -> None:
    """Write `module` as ONNX with the signature's tensor names, batch dynamic and constants folded, and check it.

    `module` takes the signature's inputs in order. Raises ValueError when the file's tensors are not the signature's,
    UserError for an exporter or opset that does not exist here.
    """
    import onnx

    if exporter not in EXPORTERS:
        raise UserError(f"ONNX_EXPORTER {exporter!r} is unknown; known: {', '.join(EXPORTERS)}")
    feeds = signature.dummy(2, np.random.default_rng(0))  # dynamo would take a batch of 1 for a constant
    dummy = tuple(torch.from_numpy(feeds[name]) for name in signature.input_names)
    with _ready(module), atomic(path) as temporary:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing and deprecation notices: the comparison afterwards is the judge
            EXPORTERS[exporter](module, dummy, signature, temporary, opset)
        _declare_shapes(temporary, signature)
        onnx.checker.check_model(str(temporary), full_check=True)
    logger.info("wrote %s (%.1f MB, %s, opset %d)", path, Path(path).stat().st_size / 1e6, exporter, opset)


def _declare_shapes(path: Path, signature: Signature) -> None:
    """Check the file's tensors against the signature, and fill in output sizes that the exporter did not infer.

    The runtime takes no unknown sizes but the batch. Whether the outputs really have them shows when the file is run.
    """
    import onnx

    model = onnx.load(str(path))
    sides = ((model.graph.input, signature.inputs, False), (model.graph.output, signature.outputs, True))
    for tensors, specs, is_output in sides:
        expected = {spec.name: spec.axes for spec in specs}
        found = {t.name: [d.dim_param or d.dim_value for d in t.type.tensor_type.shape.dim] for t in tensors}
        fits = list(found) == list(expected)
        for tensor in tensors if fits else ():
            axes, dims = expected[tensor.name], tensor.type.tensor_type.shape.dim
            fits = fits and len(dims) == len(axes)
            for dim, axis in zip(dims, axes, strict=False):
                if is_output and axis != BATCH and not dim.dim_value:
                    dim.dim_value = int(axis)
                fits = fits and (dim.dim_param or dim.dim_value) == axis
        if not fits:
            raise ValueError(f"exported tensors are {found}, expected {expected}")
    onnx.save(model, str(path))


def open_session(
    path: str | os.PathLike[str], device: torch.device = CPU, providers: Sequence[Any] | None = None
) -> Any:
    """An onnxruntime session that computes on `device`, or with given providers.

    Where onnxruntime has no provider for the device, it runs on the CPU and logs a warning.
    """
    import onnxruntime

    refuse_pointer(path)
    wanted = providers or on_device(onnxruntime.get_available_providers(), device)
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), session_options(), providers=wanted)
    except Exception as error:  # onnxruntime has a class of its own for every cause
        raise ValueError(f"{path}: onnxruntime cannot load it: {error}") from error
    if not providers and not any(name.lower().startswith(device.type) for name in session.get_providers()):
        logger.warning("onnxruntime has no provider for %s, running on the CPU; install onnxruntime-gpu", device)
    return session


def on_device(providers: Sequence[str], device: torch.device) -> list[Any]:
    """The onnxruntime providers of a device, with its number, and the CPU's."""
    chosen: list[Any] = []
    for name in providers:
        if name.lower().startswith("cpu"):
            chosen.append(name)
        elif name.lower().startswith(device.type):
            chosen.append((name, {"device_id": device.index or 0}))
    return chosen


def compare_onnx(
    path: str | os.PathLike[str],
    module: nn.Module,
    inputs: Mapping[str, Feeds],
    data_scales: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Run the file in onnxruntime and `module` in PyTorch on the same inputs.

    `inputs` maps a case's name to {input: array}, `data_scales` an output's name to what counts as large in its units.
    Returns per case the batch, and of the output that differs most its name, largest absolute difference, largest
    absolute value, and the ratio of the difference to its scale: the largest value of this very case, but no less than
    that of the median case and the data's. (A face at rest has values near zero, but comes out of the same sums as the
    others; one extreme case must not excuse them.) Raises RuntimeError when a ratio is above TOLERANCE.
    """
    session = open_session(path)
    input_names = [tensor.name for tensor in session.get_inputs()]
    output_names = [tensor.name for tensor in session.get_outputs()]
    measured: dict[str, np.ndarray] = {}  # case -> (outputs, 2): largest difference, largest value
    with _ready(module):
        for name, feeds in inputs.items():
            expected = module(*(torch.from_numpy(feeds[n]) for n in input_names))
            expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
            rows = []
            for ours, theirs in zip(expected, session.run(None, feeds), strict=True):
                if tuple(ours.shape) != theirs.shape:
                    raise RuntimeError(f"{path}: case {name}: shape {theirs.shape}, PyTorch gives {tuple(ours.shape)}")
                rows.append((np.abs(ours.numpy() - theirs).max(), np.abs(ours.numpy()).max()))
            measured[name] = np.array(rows, np.float64)
    least = [(data_scales or {}).get(name, float(np.finfo(np.float32).tiny)) for name in output_names]
    least = np.maximum(least, np.median(np.stack(list(measured.values()))[:, :, 1], axis=0))
    cases = []
    for name, found in measured.items():
        ratio = (
            found[:, 0] / np.maximum(found[:, 1], least) * [STATE_SHARE if n in STATES else 1.0 for n in output_names]
        )
        worst = int(np.argmax(ratio))  # NaN counts as the largest
        case = {"case": name, "batch": len(inputs[name][input_names[0]]), "output": output_names[worst]}
        case |= {"largest_difference": float(found[worst, 0]), "largest_value": float(found[worst, 1])}
        cases.append(case | {"ratio": float(ratio[worst])})
    bad = [case for case in cases if not case["ratio"] <= TOLERANCE]  # also catches NaN
    if bad:
        listed = "; ".join(
            f"{c['case']}: {c['output']} by {c['largest_difference']:.3g} at values up to {c['largest_value']:.3g}"
            for c in bad
        )
        raise RuntimeError(f"{path}: the exported network differs from PyTorch by more than {TOLERANCE:g} ({listed})")
    return cases
