"""A stand-in for a GPU on machines without one: tensors with a shape, a type and a device, but without values.

PyTorch checks the devices of every operation as it would with a GPU. Meta stands for it: autograd knows it everywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from audio2face.training.precision import Precision

DEVICE = torch.device("meta")


class Waits(TorchDispatchMode):
    """Answers what depends on values: each is 1 or true. `found` names what makes the CPU wait for the accelerator."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::")
        if name == "_local_scalar_dense":
            self.found += [name] if args[0].device == DEVICE else []
            return True if args[0].dtype == torch.bool else 1.0 if args[0].is_floating_point() else 1
        if name == "nonzero":
            self.found += [name] if args[0].device == DEVICE else []
            return args[0].new_zeros(args[0].numel(), args[0].ndim, dtype=torch.long)
        result = func(*args, **(kwargs or {}))
        devices = {x.device for x in tree_leaves((args, result)) if isinstance(x, Tensor)}
        if name in ("_to_copy", "copy_") and len(devices) > 1:
            self.found.append(name)
        return result

    def new_tensor(self, x: Tensor, *values: Any) -> Tensor:
        """`Tensor.new_tensor`, which goes through the CPU and does not tell."""
        self.found.append("new_tensor")
        return torch.zeros(np.shape(values[0]), dtype=x.dtype, device=x.device)


@contextlib.contextmanager
def fake_accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """Within the block tensors have no values, and modules and generators can be on DEVICE."""
    with FakeTensorMode(allow_non_fake_inputs=True), Waits() as waits, monkeypatch.context() as patch:
        make, optimizer = torch.Generator, torch.optim.SGD
        patch.setattr(nn.Module, "to", _move)
        patch.setattr(Tensor, "numpy", lambda x: np.ones(x.shape, str(x.dtype).removeprefix("torch.")))
        patch.setattr(Tensor, "new_tensor", lambda x, *values: waits.new_tensor(x, *values))
        patch.setattr(torch, "Generator", lambda device=None: make())
        patch.setattr(torch.optim, "Adam", lambda groups, lr, fused: optimizer(groups, lr=lr, momentum=0.9))
        patch.setattr(torch, "is_autocast_enabled", lambda device_type: False)  # knows no such device
        patch.setattr(Precision, "autocast", lambda self, device: contextlib.nullcontext())
        yield waits


def on_cpu(state: Any) -> Any:
    """A checkpoint as it comes from the disk."""
    return tree_map(lambda x: x.to("cpu") if isinstance(x, Tensor) else x, state)


def _move(module: nn.Module, device: Any) -> nn.Module:
    """`nn.Module.to` would swap tensors in place, which these do not allow."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                moved = nn.Parameter(parameter.detach().to(device), requires_grad=parameter.requires_grad)
                part._parameters[name] = moved
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(device)
    return module
