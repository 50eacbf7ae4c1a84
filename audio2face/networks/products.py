"""Convolutions along short rows as matrix products of oneDNN: for training on x86 processors.

Rows of 2 to 32 steps leave convolution kernels mostly idle, and PyTorch's own matrix products leave half the width of other
makers' processors unused (MKL), which oneDNN's do not: together about twice the speed of a whole training step. Everywhere
else, and in graphs that are exported or compiled, a convolution stays a convolution.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

X86 = platform.machine().lower() in ("x86_64", "amd64")


def _onednn_product() -> Callable[[Tensor, Tensor, Tensor | None], Tensor] | None:
    """x (n, k), weight (m, k), bias (m,) or None -> (n, m); None where PyTorch has none. It has no public name."""
    if not (X86 and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return None
    pointwise = torch.ops.mkldnn._linear_pointwise
    return lambda x, weight, bias: pointwise(x, weight, bias, "none", [], "")


PRODUCT = _onednn_product()
BFLOAT16 = PRODUCT is not None and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def conv1d(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """`conv(x)` of x (B, C, T), by the faster way here."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    plain = (
        PRODUCT is None
        or x.device.type != "cpu"
        or not (dtype == torch.float32 or (dtype == torch.bfloat16 and BFLOAT16))
        or not torch.is_grad_enabled()
        or torch.jit.is_tracing()
        or torch.compiler.is_compiling()
    )
    if plain:
        return conv(x)
    given = (t if t is None else t.to(dtype) for t in (x, conv.weight, conv.bias))
    return _Conv.apply(*given, conv.stride[0], conv.padding[0])


class _Conv(torch.autograd.Function):
    """Columns of the input side by side, times the kernel; strides over rows (B, T, C) keep neighbours together."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        assert PRODUCT is not None
        kernel = weight.shape[2]
        rows = F.pad(x.transpose(1, 2), (0, 0, padding, padding)).contiguous()  # (B, T + 2 padding, C)
        batch, length, channels = rows.shape
        steps = (length - kernel) // stride + 1
        columns = rows.as_strided(  # neighbours of a step lie one after the other already
            (batch, steps, kernel * channels), (length * channels, stride * channels, 1)
        )
        flat, matrix = columns.reshape(-1, kernel * channels), weight.permute(0, 2, 1).flatten(1)
        ctx.save_for_backward(flat, matrix)
        ctx.shape, ctx.stride, ctx.padding, ctx.kernel = rows.shape, stride, padding, kernel
        return PRODUCT(flat, matrix, bias).unflatten(0, (batch, steps)).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        assert PRODUCT is not None
        (gradient,) = gradients
        flat, matrix = ctx.saved_tensors
        (batch, length, channels), kernel = ctx.shape, ctx.kernel
        by_row = gradient.transpose(1, 2)
        out = by_row.reshape(-1, by_row.shape[2])
        weight = out.t() @ flat
        weight = weight.unflatten(1, (kernel, channels)).permute(0, 2, 1)
        x = None
        if ctx.needs_input_grad[0]:
            columns = PRODUCT(out, matrix.t().contiguous(), None).unflatten(0, (batch, -1))
            rows = out.new_zeros(batch, length, channels)
            last = length - kernel + 1
            for i in range(kernel):
                rows[:, i : last + i : ctx.stride] += columns[..., i * channels : (i + 1) * channels]
            x = rows[:, ctx.padding : length - ctx.padding].transpose(1, 2)
        return x, weight, out.sum(0), None, None
