"""Convolutions along short rows as matrix products of oneDNN: for training on x86 processors.

Rows of 2 to 32 steps leave convolution kernels mostly idle, and PyTorch's own matrix products leave half the width of other
makers' processors unused (MKL), which oneDNN's do not: together two to three times the speed of a whole training step.
Everywhere else, and in graphs that are exported or compiled, a convolution stays a convolution.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

X86 = platform.machine().lower() in ("x86_64", "amd64")
VECTOR = 16  # float32 values of a 512 bit register; products with a multiple of them run 5 to 15 % faster


def _onednn_product() -> Callable[[Tensor, Tensor, Tensor | None, str], Tensor] | None:
    """x (n, k), weight (m, k), bias (m,) or None, "none" or "relu" -> (n, m); None where PyTorch has none.

    It has no public name.
    """
    if not (X86 and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return None
    pointwise = torch.ops.mkldnn._linear_pointwise.default
    return lambda x, weight, bias, then: pointwise(x, weight, bias, then, [], "")


PRODUCT = _onednn_product()
BFLOAT16 = PRODUCT is not None and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def usable(x: Tensor) -> bool:
    """Whether rows like x are to be convolved by products here."""
    dtype = _dtype(x)
    return not (
        PRODUCT is None
        or x.device.type != "cpu"
        or not (dtype == torch.float32 or (dtype == torch.bfloat16 and BFLOAT16))
        or not torch.is_grad_enabled()
        or torch.jit.is_tracing()
        or torch.compiler.is_compiling()
    )


def _dtype(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def conv_relu(conv: nn.Conv1d, x: Tensor, gain: Tensor) -> Tensor:
    """`relu(conv(x)) * gain` where `usable`: x (B, C, T); gain (G, C') > 0, one for B / G neighbouring rows."""
    assert conv.bias is not None
    given = (t.to(_dtype(x)) for t in (x, conv.weight, conv.bias))
    return _ConvRelu.apply(*given, gain, conv.stride[0], conv.padding[0])


def join_channels(maps: Sequence[Tensor]) -> Tensor:
    """`torch.cat(maps, 1)` of (B, C, T), with the channels of a step side by side in memory where that is `usable`."""
    if not usable(maps[0]):
        return torch.cat(list(maps), 1)
    return torch.cat([x.transpose(1, 2) for x in maps], 2).transpose(1, 2)


class _ConvRelu(torch.autograd.Function):
    """The columns of the kernel at every step, side by side, times the kernel. Maps are (B, T, C) in memory throughout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, gain: Tensor, stride: int, padding: int) -> Tensor:
        assert PRODUCT is not None
        rows, kernel = x.transpose(1, 2), weight.shape[2]
        columns = _columns(rows.contiguous(), kernel, stride, padding)
        flat, taps = columns.flatten(0, 1), kernel * x.shape[1]
        matrix = weight.new_zeros(len(weight), flat.shape[1])
        matrix[:, :taps].view(len(weight), kernel, -1).copy_(weight.permute(0, 2, 1))
        out = PRODUCT(flat, matrix, bias, "relu")
        out.view(len(gain), -1, out.shape[1]).mul_(gain.unsqueeze(1))
        ctx.save_for_backward(flat, matrix, gain, out)
        ctx.shape, ctx.kernel, ctx.stride, ctx.padding = rows.shape, kernel, stride, padding
        return out.view(len(x), -1, out.shape[1]).transpose(1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        assert PRODUCT is not None
        flat, matrix, gain, out = ctx.saved_tensors
        by_row = gradients[0].transpose(1, 2)
        # a gain is positive: what it leaves at 0 was cut off
        passed = torch.ops.aten.threshold_backward(by_row, out.view(by_row.shape), 0).contiguous()
        passed = passed.view(len(gain), -1, out.shape[1]).mul_(gain.unsqueeze(1)).flatten(0, 1)
        x = None
        if ctx.needs_input_grad[0]:
            columns = PRODUCT(passed, matrix.t(), None, "none")
            x = _fold(columns, ctx.shape, ctx.kernel, ctx.stride, ctx.padding).transpose(1, 2)
        weight = _weight_gradient(passed, flat)[:, : ctx.kernel * ctx.shape[2]]
        weight = weight.unflatten(1, (ctx.kernel, -1)).permute(0, 2, 1)
        return x, weight, passed.sum(0), None, None, None


def _weight_gradient(out: Tensor, flat: Tensor) -> Tensor:
    """out (n, m), flat (n, k) -> outᵀ flat (m, k)."""
    assert PRODUCT is not None
    if flat.shape[1] < VECTOR:  # not worth the reordering that comes before oneDNN's product
        return (flat.t() @ out).t()
    if out.dtype != torch.float32:  # PyTorch's own product is oneDNN's
        return out.t() @ flat
    turned = torch._mkldnn_transpose(out.to_mkldnn(), 0, 1).to_dense()  # twice the speed of `contiguous`
    return PRODUCT(turned, flat.t(), None, "none")


def _columns(rows: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """rows (B, T, C) -> (B, steps, kernel C, and zeros up to a multiple of VECTOR).

    What the kernel meets at every step, zeros beyond the ends.
    """
    batch, length, channels = rows.shape
    steps, taps = (length + 2 * padding - kernel) // stride + 1, kernel * channels
    columns = rows.new_empty(batch, steps, taps if taps < VECTOR else -(-taps // VECTOR) * VECTOR)
    columns[:, :, taps:] = 0
    first = -(-padding // stride)  # the steps first … last - 1 meet no end
    last = max((length + padding - kernel) // stride + 1, first)
    if last > first:  # neighbours of a step lie one after the other already
        strides = (length * channels, stride * channels, 1)
        offset = rows.storage_offset() + (first * stride - padding) * channels
        columns[:, first:last, :taps] = rows.as_strided((batch, last - first, taps), strides, offset)
    for step in [*range(min(first, steps)), *range(last, steps)]:
        begin = step * stride - padding
        low, high = max(begin, 0), max(min(begin + kernel, length), 0)
        parts = columns[:, step, :taps].unflatten(1, (kernel, channels))
        parts[:, : low - begin] = 0
        parts[:, low - begin : high - begin] = rows[:, low:high]
        parts[:, high - begin :] = 0
    return columns


def _fold(columns: Tensor, shape: Sequence[int], kernel: int, stride: int, padding: int) -> Tensor:
    """The gradient of rows (B, T, C) from that of their columns (B steps, kernel C and more)."""
    batch, length, channels = shape
    columns = columns.view(batch, -1, columns.shape[1])
    steps, padded = columns.shape[1], length + 2 * padding
    rows = columns.new_empty(batch, padded, channels)
    begin, end = max(kernel - stride, 0), (steps - 1) * stride + kernel
    for edge in (slice(0, begin), slice(end, None)) if kernel >= stride else (slice(None),):
        rows[:, edge] = 0
    at_steps = (padded * channels, stride * channels, 1)  # the last taps write every place once
    last = rows.as_strided((batch, steps, (kernel - begin) * channels), at_steps, begin * channels)
    last.copy_(columns[:, :, begin * channels : kernel * channels])
    for i in range(begin):  # the others add to it
        rows[:, i : i + (steps - 1) * stride + 1 : stride] += columns[:, :, i * channels : (i + 1) * channels]
    return rows[:, padding : length + padding]
