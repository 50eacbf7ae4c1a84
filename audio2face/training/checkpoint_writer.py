"""Writes checkpoints while the training goes on: one at a time, from a copy of what there is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

State = dict[str, Any]


class CheckpointWriter:
    """Hands copies of a training's state to `write`, in a thread. A state that comes while one is being written waits for it.

    What `write` raises is raised by the next call, or at the end of the block, which waits for the last one. Only one copy is
    in memory at a time. A process that is killed leaves what `write` leaves when it is.
    """

    def __init__(self, write: Callable[[State], None]):
        self._write = write
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __call__(self, state: State) -> int:
        """Begin to write a state; returns as soon as it is copied, with the bytes of its tensors."""
        self.wait()
        copy = copied(state)
        self._thread = threading.Thread(target=self._run, args=(copy,), name="checkpoint", daemon=True)
        self._thread.start()
        return sum(x.numel() * x.element_size() for x in tree_leaves(copy) if isinstance(x, torch.Tensor))

    def _run(self, state: State) -> None:
        try:
            self._write(state)
        except BaseException as error:  # told in the thread that trains
            self._error = error

    def wait(self) -> None:
        """Until what was begun is on the disk. Raises what came in the way."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error of the training itself goes before one of the disk; a second Ctrl-C waits for nothing."""
        if kind is None:
            self.wait()
        elif issubclass(kind, Exception) and self._thread is not None:
            self._thread.join()


def copied(state: State) -> State:
    """A state with all its tensors copied to the CPU."""
    return tree_map(lambda x: x.detach().to("cpu", copy=True) if isinstance(x, torch.Tensor) else x, state)  # type: ignore[no-any-return]
