"""Several processes that train one network: who this one is, sums over all of them, and decisions taken together.

torchrun starts the processes and tells each its place in environment variables. Without it there is one process, for which
everything here does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from audio2face.training.shares import Share, share_of

PATIENCE = timedelta(hours=2)  # how long the others may wait for one that writes files; a dead one is noticed at once
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """This process and how many there are. All must call the same methods in the same order."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and logs."""
        return self.rank == 0

    def share(self, total: int) -> Share:
        """What this process has of a batch of `total` items."""
        return share_of(total, self.rank, self.count)

    def sum(self, x: Tensor) -> Tensor:
        """Sum of `x` over the processes. The gradient flows to this process's own part alone."""
        return x if self.count == 1 else _Sum.apply(x)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace the gradients by their sums over the processes; one that is missing counts as zero."""
        if self.count == 1:
            return
        parameters = list(parameters)
        gradients = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)

    def add_up(self, x: Tensor) -> None:
        """Replace `x` (no gradient) by its sum over the processes."""
        if self.count > 1:
            torch.distributed.all_reduce(x)

    def any(self, flags: list[bool]) -> list[bool]:
        """For each flag whether any process has set it."""
        if self.count == 1:
            return flags
        counts = torch.tensor(flags, dtype=torch.int32)  # on the CPU: no step waits for an accelerator
        torch.distributed.all_reduce(counts)
        return (counts > 0).tolist()

    def of_first(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values of `tensors`."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)

    def gather(self, value: Any) -> list[Any]:
        """The `value` of every process, first to last."""
        if self.count == 1:
            return [value]
        found = [None] * self.count
        torch.distributed.all_gather_object(found, value)
        return found

    def leave(self) -> None:
        """Part from the others, so that they may go on or end without this one."""
        if self.count > 1:
            torch.distributed.destroy_process_group()


ALONE = Processes()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def started_by_torchrun(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is one of several that torchrun (or a cluster in its manner) has started."""
    return all(name in environ for name in VARIABLES) and int(environ["WORLD_SIZE"]) > 1


def under_torchrun(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun has started this process, alone or with others."""
    return "TORCHELASTIC_RUN_ID" in environ or started_by_torchrun(environ)


def local_rank(environ: Mapping[str, str] = os.environ) -> int:
    """This process's number among those of its machine."""
    return int(environ.get("LOCAL_RANK", "0"))


def local_count(environ: Mapping[str, str] = os.environ) -> int:
    """How many processes torchrun has started on this machine."""
    return int(environ["LOCAL_WORLD_SIZE"]) if started_by_torchrun(environ) else 1


def join(backend: str) -> Processes:
    """Meet the other processes that torchrun has started; alone without torchrun."""
    if not started_by_torchrun():
        return Processes()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(backend, timeout=PATIENCE)
    return Processes(torch.distributed.get_rank(), torch.distributed.get_world_size())
