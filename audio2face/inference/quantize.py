"""Smaller numbers for the part of a network that takes the time: the speech encoder, in 8-bit integers."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from audio2face.confined import confined
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

PART = "encoder"  # what the names of the audio encoders' nodes hold
SMALLEST = 256  # sizes of weights below which nothing is gained


def quantize_int8(network: Path, to: Path) -> int:
    """Write `network` to `to` with the matrix products of its audio encoder in 8-bit integers; returns how many.

    Weights are rounded once, by output; what they meet is rounded as it comes (dynamic quantisation). Everything behind the
    encoder keeps its precision: it is small, and the face is made there. The network is opened in a process of its own. Raises
    UserError when there is nothing to gain, the package onnx cannot read it, or is missing.
    """
    count = confined(_quantized, os.fspath(network), os.fspath(to))
    logger.info("%s: %d matrix products in 8 bits, %.0f MB", network, count, to.stat().st_size / 1e6)
    return int(count)


def _quantized(network: str, to: str) -> int:
    """The number of products that became integers."""
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise UserError(f"quantize='int8' needs the package {error.name}: pip install onnx") from error
    try:
        model = onnx.load(network)
    except (onnx.checker.ValidationError, ValueError) as error:  # a linked data file, which onnxruntime reads
        raise UserError(f"{network}: quantize='int8' cannot read it: {' '.join(str(error).split())[:200]}") from error
    graph = model.graph
    _unshare_gemms(graph)
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    chosen = [
        node.name
        for node in graph.node
        if node.op_type == "MatMul"
        and PART in node.name
        and any(name in weights and min(weights[name], default=0) >= SMALLEST for name in node.input)
    ]
    if not chosen:
        raise UserError(
            f"{network}: quantize='int8' finds no large speech encoder in it; there is nothing to gain (networks exported "
            "with ONNX_EXPORTER 'dynamo' do not name their parts)"
        )
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preprocessing that changes nothing here
    try:
        # Seven bits: sums of eight overflow on processors without instructions for them, in silence.
        quantize_dynamic(
            model, to, nodes_to_quantize=chosen, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
        )
    finally:
        root.setLevel(level)
    return len(chosen)


def _unshare_gemms(graph: Any) -> None:
    """Give every Gemm a weight of its own: the quantiser turns each one's weight round, a shared one as often as it is used."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    seen: set[str] = set()
    for number, node in enumerate(graph.node):
        if node.op_type != "Gemm" or node.input[1] not in weights:
            continue
        name = node.input[1]
        if name in seen:
            copy = graph.initializer.add()
            copy.CopyFrom(weights[name])
            copy.name = node.input[1] = f"{name}.{number}"
        seen.add(name)
