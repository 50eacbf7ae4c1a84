"""Trainings whose loss or weights are not finite any more: noticed before anything of them is kept, and traced to a batch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audio2face.distributed import World

if TYPE_CHECKING:
    from audio2face.training.loop import Method

Place = tuple[int, int]  # epoch, batch within it, both from 0


class TrainingDiverged(RuntimeError):
    """The loss is not finite any more. The model has been put back to its last good state."""


class Guard:
    """Remembers the losses since it was last asked, on their device, so that watching costs no wait."""

    def __init__(self, method: Method, world: World):
        self._method, self._world = method, world
        self._seen: list[tuple[Place, Tensor]] = []
        self._last: Place = (0, 0)

    def saw(self, epoch: int, batch: int, total: Tensor) -> None:
        """The loss () of a batch."""
        self._last = (epoch, batch)
        self._seen.append((self._last, total.detach()))

    def first_fault(self, parameters: Sequence[Tensor]) -> Place | None:
        """Where a loss was not finite for the first time since the last question; None when all were, and `parameters` are.

        All processes ask at the same time and get the same answer.
        """
        place = self._first_loss()
        sound = not parameters or bool(torch.stack([torch.isfinite(p).all() for p in parameters]).all())
        if not self._world.any_rank([place is not None, not sound]) == [False, False]:
            return min(p for p in self._world.all_gather(place or self._last) if p is not None)
        return None

    def explain(self, place: Place, step: int) -> str:
        """What to tell about a training that diverged in a batch, its model being in the last good state again.

        The batch is tried once more with those weights: a loss that is not finite then is the data's fault.
        """
        epoch, index = place
        batch = next(itertools.islice(self._method.batches(epoch), index, None), None)
        described = self._world.all_gather("unknown clips" if batch is None else self._method.describe(batch))
        with torch.no_grad():
            sound = batch is not None and bool(torch.isfinite(self._method.loss(batch, progress=0.0).total))
        advice = (
            "with the last good weights its loss is finite, so the training got out of hand: lower LEARNING_RATE"
            if sound
            else "with the last good weights its loss is not finite either: look at the data of these clips"
        )
        clips = dict.fromkeys(name for part in described for name in part.split(", "))
        where = f"first in epoch {epoch + 1}, batch {index + 1}, of {', '.join(clips)}"
        return f"the loss is not finite by step {step}, {where}; {advice}"

    def _first_loss(self) -> Place | None:
        if not self._seen:
            return None
        bad = ~torch.isfinite(torch.stack([total for _, total in self._seen]))
        place = self._seen[int(bad.int().argmax())][0] if bad.any() else None
        self._seen = []
        return place
