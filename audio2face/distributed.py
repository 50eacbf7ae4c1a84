"""Several processes that train one network: ranks, shards of a batch, random numbers as if they were one process.

torchrun starts the processes and gives each its rank in environment variables. Without it there is one process, for which
the collective operations do nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

PATIENCE = timedelta(hours=2)  # how long the others may wait for one that writes files; a dead one is noticed at once
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Shard:
    """The items first, first + step, … of a batch of `total` items: what one process computes.

    A process for which no item is left takes the first as a stand-in that does not count.
    """

    total: int
    first: int = 0
    step: int = 1
    counts: bool = True

    @property
    def size(self) -> int:
        """Items of this shard."""
        return len(range(self.first, self.total, self.step))

    def of(self, items: Any) -> Any:
        """This shard of a list, array or tensor with one entry per item of the whole batch."""
        return items[self.first :: self.step]


@dataclass(frozen=True)
class Rng:
    """Random numbers for the rows of a batch; an item has one row or several neighbouring ones.

    Every process draws those of the whole batch and takes its own (`shard`; None: it has all of it): however many
    processes there are, an item meets the same numbers. `generator` None is the device's own, whose state a checkpoint keeps.
    """

    shard: Shard | None = None
    generator: torch.Generator | None = None

    def normal(self, rows: int, *shape: int, device: torch.device) -> Tensor:
        """(rows, *shape) of mean 0 and deviation 1."""
        return self.rows(rows, lambda n: torch.randn(n, *shape, device=device, **self._source))

    def uniform(self, rows: int, *shape: int, device: torch.device) -> Tensor:
        """(rows, *shape) in 0…1."""
        return self.rows(rows, lambda n: torch.rand(n, *shape, device=device, **self._source))

    def integers(self, end: int, rows: int, *shape: int, device: torch.device) -> Tensor:
        """(rows, *shape) in 0…end - 1."""
        return self.rows(rows, lambda n: torch.randint(0, end, (n, *shape), device=device, **self._source))

    @property
    def _source(self) -> dict[str, Any]:
        """Named only where there is one: torch.compile knows no generators."""
        return {} if self.generator is None else {"generator": self.generator}

    def rows(self, num_rows: int, draw: Callable[[int], Tensor]) -> Tensor:
        """This shard's rows (num_rows, …) of what `draw(n)` gives (n, …) for the whole batch."""
        shard = self.shard
        if shard is None or shard.step == 1 or num_rows % shard.size:
            return draw(num_rows)
        per_item = num_rows // shard.size
        return shard.of(draw(shard.total * per_item).unflatten(0, (shard.total, per_item))).flatten(0, 1)


WHOLE = Rng()  # draws for a batch that is not shared


@dataclass(frozen=True)
class World:
    """This process and how many train together. All must call the same methods in the same order."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and logs."""
        return self.rank == 0

    def shard(self, total: int) -> Shard:
        """What this process has of a batch of `total` items."""
        return Shard(total, self.rank, self.size) if self.rank < total else Shard(total, 0, total, counts=False)

    def reduce_sum(self, x: Tensor) -> Tensor:
        """Sum of `x` over the processes. The gradient flows to this process's own part alone."""
        return x if self.size == 1 else _Sum.apply(x)

    def reduce_gradients_(self, parameters: Sequence[Tensor]) -> None:
        """Replace the gradients by their sums over the processes; one that some processes lack counts as zero there."""
        if self.size == 1:
            return
        flags = self.any_rank([p.grad is not None for p in parameters])
        used = [p for p, flag in zip(parameters, flags, strict=True) if flag]
        gradients = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in used]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        for parameter, part in zip(used, flat.split([p.numel() for p in used]), strict=True):
            parameter.grad = part.view_as(parameter)

    def all_reduce_(self, x: Tensor) -> None:
        """Replace `x` (no gradient) by its sum over the processes."""
        if self.size > 1:
            torch.distributed.all_reduce(x)

    def any_rank(self, flags: list[bool]) -> list[bool]:
        """For each flag whether any process has set it."""
        if self.size == 1:
            return flags
        counts = torch.tensor(flags, dtype=torch.int32)  # on the CPU: no step waits for an accelerator
        torch.distributed.all_reduce(counts)
        return (counts > 0).tolist()

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values of `tensors`."""
        if self.size > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)

    def all_gather(self, value: Any) -> list[Any]:
        """The `value` of every process, in order of rank."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values

    def destroy(self) -> None:
        """Leave the group, so that the others may go on or end without this process."""
        if self.size > 1:
            torch.distributed.destroy_process_group()


ALONE = World()


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


def init(backend: str) -> World:
    """Meet the other processes that torchrun has started; alone without torchrun."""
    if not started_by_torchrun():
        return ALONE
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(backend, timeout=PATIENCE)
    return World(torch.distributed.get_rank(), torch.distributed.get_world_size())
