"""Losses or weights that are no longer finite: noticed before anything of them is kept, and traced to a batch."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from audio2face.distributed import World
from audio2face.training.ema import load_trainable, trainable_state

if TYPE_CHECKING:
    from audio2face.training.loop import Method

Place = tuple[int, int]  # epoch, batch within it, both from 0


class TrainingDiverged(RuntimeError):
    """The loss is no longer finite. The model has been put back to its last good state."""


class NonFiniteGuard:
    """Keeps the losses since the last check on their device, so that watching costs no wait, and the last good state."""

    def __init__(self, method: Method, world: World):
        self._method, self._world = method, world
        self._parameters = [p for p in method.model.parameters() if p.requires_grad]
        self._seen: list[tuple[Place, Tensor]] = []
        self._last: Place = (0, 0)
        self._good: tuple[dict[str, Tensor], dict[str, Any]] = {}, {}

    def keep(self) -> None:
        """Keep the present state of the method as the last good one."""
        self._good = trainable_state(self._method.model), copy.deepcopy(self._method.state_dict())

    def check(self, step: int, weights: bool = True) -> None:
        """Raise TrainingDiverged, the last good state restored, when a loss or (`weights`) a weight is not finite.

        All processes check at the same time and agree.
        """
        place = self._first_fault(self._parameters if weights else [])
        if place is not None:
            good_weights, good_method = self._good
            load_trainable(self._method.model, good_weights)
            self._method.load_state_dict(good_method)
            raise TrainingDiverged(self._explain(place, step))

    def saw(self, epoch: int, batch: int, total: Tensor) -> None:
        """The loss () of a batch."""
        self._last = (epoch, batch)
        self._seen.append((self._last, total.detach()))

    def _first_fault(self, parameters: Sequence[Tensor]) -> Place | None:
        """Where a loss was not finite for the first time since the last check; None when all were, and `parameters` are."""
        place = self._first_loss()
        sound = not parameters or bool(torch.stack([torch.isfinite(p).all() for p in parameters]).all())
        if not self._world.any_rank([place is not None, not sound]) == [False, False]:
            return min(p for p in self._world.all_gather(place or self._last) if p is not None)
        return None

    def _explain(self, place: Place, step: int) -> str:
        """The message about a training that diverged in a batch, its model being in the last good state again.

        The batch is tried once more with those weights: a loss that is not finite then is the data's fault.
        """
        epoch, index = place
        batch = next(itertools.islice(self._method.data.batches(epoch), index, None), None)
        described = self._world.all_gather("unknown clips" if batch is None else self._method.data.describe(batch))
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
