"""The network: its tensors, a run at batch 1 and 2, and the TensorRT build arguments."""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.deploy.check.network_info import NetworkInfo
from audio2face.deploy.check.operators import operator_problems
from audio2face.deploy.check.rules import brief
from audio2face.deploy.check.strict_json import Fields
from audio2face.machine import session_options
from audio2face.problems import Problems

_LARGEST_RUN = 2**30  # values of all inputs together
_SAME = 1e-3  # difference between an item run alone and in a batch, as a share of the largest value


@dataclass(frozen=True)
class Tensor:
    """One input or output: its fixed dimensions with None for the batch."""

    name: str
    shape: tuple[int | None, ...]

    def at(self, batch: int) -> tuple[int, ...]:
        """The shape with `batch` in place of the axis that is free."""
        return tuple(batch if n is None else n for n in self.shape)


def expected_tensors(info: NetworkInfo) -> tuple[list[Tensor], list[Tensor]] | None:
    """Inputs and outputs that the runtime knows, or None while network_info.json leaves them open."""
    n, out = info.numbers, info.output_size()
    emotions = None if info.emotions is None else len(info.emotions)
    if out is None or not emotions or "buffer_len" not in n:
        return None
    length = n["buffer_len"]
    if info.regression:
        if "implicit_emotion_len" not in n:
            return None
        inputs = [("input", (None, 1, length)), ("emotion", (None, 1, n["implicit_emotion_len"] + emotions))]
        return [Tensor(*t) for t in inputs], [Tensor("result", (None, 1, out))]
    frames, keys = info.frames(), ("num_diffusion_steps", "num_gru_layers", "gru_latent_dim")
    if frames is None or not info.identities or not all(key in n for key in keys):
        return None
    steps, layers, width = (n[key] for key in keys)
    latents = (steps, layers, None, width)
    return [
        Tensor("window", (None, length)),
        Tensor("identity", (None, len(info.identities))),
        Tensor("emotion", (None, frames[1], emotions)),
        Tensor("input_latents", latents),
        Tensor("noise", (None, steps + 1, sum(frames), out)),
    ], [Tensor("prediction", (None, sum(frames), out)), Tensor("output_latents", latents)]


def check_onnx(path: Path, file: str, info: NetworkInfo, report: Problems, curves: int = 0) -> int | None:
    """Signature and behaviour of the ONNX network; a note when onnxruntime is not installed. `curves`: so many values of
    curves are a further output.

    Returns the batch size that the inputs are fixed to, None when it is free or unknown.
    """
    try:
        import onnxruntime
    except ImportError:
        report.info("note", "onnxruntime is not installed: the network was not checked", file=file)
        return None
    try:
        unfit = operator_problems(path)
    except (ValueError, OSError) as error:
        report.error("onnx-load", f"it cannot be read: {_one_line(error)}", file=file)
        return None
    for line in unfit:
        report.error("onnx-operators", line, file=file)
    if unfit:
        return None
    options = session_options()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no narrower base
        report.error("onnx-load", f"onnxruntime cannot load it: {_one_line(error)}", file=file)
        return None
    expected = expected_tensors(info)
    if expected is None:
        report.info("note", "the network's tensors were not compared, network_info.json is incomplete", file=file)
        return None
    if curves:
        frames = expected[1][0].shape[1]
        expected = expected[0], [*expected[1], Tensor("curves", (None, frames, curves))]
    found = len(report.errors)
    batches = inputs = _check_signature(session.get_inputs(), expected[0], "input", file, report)
    batches = inputs | _check_signature(session.get_outputs(), expected[1], "output", file, report)
    if len(report.errors) == found:
        fixed = {batch for batch in batches if batch is not None}
        if len(fixed) > 1:
            report.error("onnx-shape", f"tensors have different fixed batch sizes {sorted(fixed)}", file=file)
        else:
            _check_runs(session, *expected, fixed.pop() if fixed else None, file, report)
    return inputs.pop() if len(inputs) == 1 else None


def _check_signature(
    nodes: list[Any], expected: list[Tensor], side: str, file: str, report: Problems
) -> set[int | None]:
    """Names, ranks, types and fixed dimensions of inputs or outputs. Returns the batch sizes, None for a free one."""
    actual = {node.name: node for node in nodes}
    for name in sorted(actual.keys() - {t.name for t in expected}):
        report.error("onnx-tensors", f"{side} {brief(name)} is not known to the runtime", file=file)
    batches: set[int | None] = set()
    for tensor in expected:
        node = actual.get(tensor.name)
        if node is None:
            report.error("onnx-tensors", f"there is no {side} {tensor.name!r}", file=file)
            continue
        if node.type != "tensor(float)":
            report.error("onnx-dtype", f"{side} {tensor.name!r} is {node.type}, the runtime gives float32", file=file)
        if len(node.shape) != len(tensor.shape):
            message = f"{side} {tensor.name!r} has dimensions {node.shape}, the runtime expects {len(tensor.shape)}"
            report.error("onnx-rank", message, file=file)
            continue
        for actual_size, size in zip(node.shape, tensor.shape, strict=True):
            fixed = isinstance(actual_size, int)
            if size is None:
                batches.add(actual_size if fixed else None)
            elif actual_size != size and (fixed or side == "input"):  # free output sizes are measured in the run
                message = f"{side} {tensor.name!r} has dimensions {node.shape}, the runtime expects {_show(tensor)}"
                report.error("onnx-shape", message, file=file)
                break
    return batches


def _check_runs(
    session: Any, inputs: list[Tensor], outputs: list[Tensor], fixed: int | None, file: str, report: Problems
) -> None:
    """Run on noise at batch 1 and 2, or at the one size that the network is fixed to."""
    if fixed is not None:
        report.info(
            "note", f"the batch size is fixed to {fixed}: the network serves that many tracks, no more", file=file
        )
    batch = 2 if fixed is None else fixed
    if sum(math.prod(t.at(batch)) for t in inputs) > _LARGEST_RUN:
        report.info("note", "the network was not run, its inputs are too large", file=file)
        return
    rng = np.random.default_rng(0)
    feed = {t.name: (0.1 * rng.standard_normal(t.at(batch))).astype(np.float32) for t in inputs}
    if "identity" in feed:
        feed["identity"] = np.eye(feed["identity"].shape[1], dtype=np.float32)[[0] * batch]
    together = _run(session, feed, outputs, batch, file, report)
    if fixed is not None or together is None:
        return
    alone = _run(session, {t.name: feed[t.name][_first(t)] for t in inputs}, outputs, 1, file, report)
    if alone is None:
        return
    for tensor, whole, single in zip(outputs, together, alone, strict=True):
        difference = np.abs(whole[_first(tensor)] - single).max(initial=0)
        if difference > _SAME * max(1e-3, float(np.abs(single).max(initial=0))):
            message = f"{tensor.name!r} of an item differs by {difference:.2g} between batch 1 and batch 2"
            report.error("onnx-batch", message, file=file)


def _first(tensor: Tensor) -> tuple[slice, ...]:
    """Index of the first item along the batch axis."""
    return tuple(slice(0, 1) if size is None else slice(None) for size in tensor.shape)


def _run(
    session: Any, feed: dict[str, np.ndarray], outputs: list[Tensor], batch: int, file: str, report: Problems
) -> list[np.ndarray] | None:
    try:
        results = session.run([t.name for t in outputs], feed)
    except Exception as error:  # onnxruntime's errors share no narrower base
        report.error("onnx-run", f"fails at batch {batch}: {_one_line(error)}", file=file)
        return None
    for tensor, result in zip(outputs, results, strict=True):
        if result.shape != tensor.at(batch):
            message = f"{tensor.name!r} comes out as {result.shape} at batch {batch}, expected {tensor.at(batch)}"
            report.error("onnx-shape", message, file=file)
            return None
        if not np.isfinite(result).all():
            report.error("onnx-run", f"{tensor.name!r} holds NaN or infinity at batch {batch}", file=file)
            return None
    return results


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _show(tensor: Tensor) -> str:
    return "[" + ", ".join("batch" if n is None else str(n) for n in tensor.shape) + "]"


def check_trt_info(root: Fields, info: NetworkInfo, fixed: int | None = None) -> None:
    """Rules of trt_info.json: placeholders have defaults, and the shapes of all inputs are given three times.

    `fixed`: the batch size that the network is fixed to, of which trtexec takes no shapes.
    """
    report, file = root.report, root.file
    groups = root.object("trt_build_param")
    if groups is None:
        return
    lists = [groups.texts(name) for name in groups.values]
    arguments = [argument for group in lists if group is not None for argument in group]
    defaults = root.object("defaults") if "defaults" in root.values else None
    values = {} if defaults is None else {k: defaults.unsigned(k) for k, v in defaults.values.items() if type(v) is int}
    filled = [_fill(argument, values, file, report) for argument in arguments]
    expected = expected_tensors(info)
    if expected is None:
        return
    _check_formats(filled, file, report)
    sizes = []
    for option in ("minShapes", "optShapes", "maxShapes"):
        given = [text.removeprefix(f"--{option}=") for text in filled if text and text.startswith(f"--{option}=")]
        if fixed is not None:
            if given:
                message = (
                    f"--{option} is given, but the network's batch size is fixed to {fixed}: trtexec refuses shapes"
                )
                report.error("trt-info", message, file=file)
        elif len(given) != 1:
            report.error("trt-info", f"--{option} is given {len(given)} times, it must be given once", file=file)
        else:
            found = _batch_of(given[0], expected[0], 1 if option == "minShapes" else None)
            if isinstance(found, str):
                report.error("trt-info", f"--{option}: {found}", file=file)
            else:
                sizes.append(found)
    if len(sizes) == 3 and sizes[1] > sizes[2]:
        report.error("trt-info", f"the usual batch size {sizes[1]} is above the largest, {sizes[2]}", file=file)


def _check_formats(arguments: list[str | None], file: str, report: Problems) -> None:
    """The runtime's buffers are float32, which it does not compare with the engine's."""
    for text in arguments:
        option, _, formats = (text or "").partition("=")
        kinds = {part.split(":")[0] for part in formats.split(",")}
        if option in ("--inputIOFormats", "--outputIOFormats") and kinds != {"fp32"}:
            report.error("trt-info", f"{option} is {brief(formats)}; the runtime's tensors are fp32", file=file)


def _fill(argument: str, values: dict[str, int | None], file: str, report: Problems) -> str | None:
    """The argument with its placeholders replaced; None when that is impossible. No attributes are looked up."""
    try:
        parts = list(string.Formatter().parse(argument))
    except ValueError as error:
        report.error("trt-info", f"argument {brief(argument)}: {error}", file=file)
        return None
    out = ""
    for text, name, spec, conversion in parts:
        out += text
        if name is None:
            continue
        if spec or conversion or values.get(name) is None:
            report.error(
                "trt-info", f"placeholder {brief('{' + name + '}')} has no whole number in defaults", file=file
            )
            return None
        out += str(values[name])
    return out


def _batch_of(text: str, inputs: list[Tensor], batch: int | None) -> int | str:
    """The one batch size of "input:8x1x520,emotion:8x1x26", or what is wrong with it."""
    shapes: dict[str, list[str]] = {}
    for part in text.split(","):
        name, _, sizes = part.partition(":")
        if name in shapes:
            return f"names {brief(name)} twice"
        shapes[name] = sizes.split("x")
    if shapes.keys() != {t.name for t in inputs}:
        return f"names {brief(sorted(shapes))}, the inputs are {[t.name for t in inputs]}"
    batches = set()
    for tensor in inputs:
        given = shapes[tensor.name]
        if len(given) != len(tensor.shape) or not all(size.isdecimal() and len(size) < 10 for size in given):
            return f"{tensor.name} is {brief('x'.join(given))}, expected {_show(tensor)}"
        for size, wanted in zip(map(int, given), tensor.shape, strict=True):
            if wanted is None:
                batches.add(size)
            elif size != wanted:
                return f"{tensor.name} is {brief('x'.join(given))}, expected {_show(tensor)}"
    if len(batches) != 1 or 0 in batches or (batch is not None and batches != {batch}):
        return f"the batch sizes are {sorted(batches)}" + ("" if batch is None else f", they must be {batch}")
    return batches.pop()
