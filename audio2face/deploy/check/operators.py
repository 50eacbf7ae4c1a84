"""Which ONNX operators a network may be made of: those whose work is bounded by the network's size and its inputs'.

The names are read from the file before any library opens it: loops, random numbers, sequences, text, images and functions (which
may call each other without end) are not among what networks of speech and faces need.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BitShift BitwiseAnd
    BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu Clip Col2Im Compress Concat Constant ConstantOfShape Conv
    ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum
    Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool
    Greater GreaterOrEqual GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If
    InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool
    MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu
    Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence
    RotaryEmbedding Round STFT Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus
    Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample
    Where Xor
    """.split()
)  # of ONNX itself
OWN_OPERATORS = frozenset(
    """
    Attention BiasGelu DynamicQuantizeMatMul FastGelu FusedConv FusedGemm FusedMatMul Gelu MatMulIntegerToFloat MatMulNBits
    MultiHeadAttention QuickGelu SkipLayerNormalization
    """.split()
)  # of onnxruntime, which it makes of the others
DOMAINS = {"": OPERATORS, "ai.onnx": OPERATORS, "com.microsoft": OWN_OPERATORS}
MOST_DEPTH = 20  # graphs within graphs
FUNCTION = "a function of the file itself"
MODEL_GRAPH, MODEL_FUNCTIONS, GRAPH_NODE = 7, 25, 1
NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_GRAPHS = (6, 11)
FIXED = {1: 8, 5: 4}  # bytes of a value, by kind of field


def operator_problems(path: Path) -> list[str]:
    """What an .onnx file is made of and must not be, a line each. Raises ValueError when it is no such file, OSError."""
    if not path.stat().st_size:
        raise ValueError("it is empty")
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # closed when nothing refers to it, errors included
    try:
        found = _operators(memoryview(data))
    except ValueError as error:
        raise ValueError(f"it is not an ONNX file: {error}") from error
    names = sorted(
        {f"{domain}.{name}" if domain else name for domain, name in found if name not in DOMAINS.get(domain, ())}
    )
    return [f"operator {name[:60]!r} is not one that a network may use; export it without" for name in names[:10]]


def _operators(model: memoryview) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    graphs, depth = [], 0
    for field, value in _fields(model):
        if field == MODEL_FUNCTIONS:
            found.add(("", FUNCTION))
        if field == MODEL_GRAPH:
            graphs.append(_bytes(value))
    if not graphs:
        raise ValueError("it has no graph")
    while graphs:
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError(f"its graphs are nested more than {MOST_DEPTH} deep")
        graphs = [inner for graph in graphs for inner in _inner(graph, found)]
    return found


def _inner(graph: memoryview, found: set[tuple[str, str]]) -> Iterator[memoryview]:
    """The graphs within a graph; its operators (domain, name) go to `found`."""
    for field, node in _fields(graph):
        if field != GRAPH_NODE:
            continue
        name = domain = ""
        for part, value in _fields(_bytes(node)):
            if part == NODE_OPERATOR:
                name = str(_bytes(value), "utf-8", "replace")  # of several, the last counts
            elif part == NODE_DOMAIN:
                domain = str(_bytes(value), "utf-8", "replace")
            elif part == NODE_ATTRIBUTE:
                yield from (_bytes(held) for kind, held in _fields(_bytes(value)) if kind in ATTRIBUTE_GRAPHS)
        found.add((domain, name))


def _bytes(value: memoryview | None) -> memoryview:
    if value is None:
        raise ValueError("a part of it is a number")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Numbers and contents of a protocol buffer's fields; None for numbers. Raises ValueError when it is none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            _, at = _varint(message, at)
            yield number, None
        elif kind == 2:
            length, at = _varint(message, at)
            if length > len(message) - at:
                raise ValueError("it ends too early")
            yield number, message[at : at + length]
            at += length
        elif kind in FIXED and at + FIXED[kind] <= len(message):
            at += FIXED[kind]
            yield number, None
        else:
            raise ValueError(f"a field of kind {kind}")
        if not 0 < number < 1 << 29:
            raise ValueError(f"a field {number}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends too early")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise ValueError("a number of more than ten bytes")
