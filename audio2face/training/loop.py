"""The one training loop, for every method.

Called by `commands.train` with what a family's `build` has made; next: `models.regression.method` or
`models.diffusion.method`, whose loss of a batch it takes a step on.
"""

from __future__ import annotations

import copy
import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from audio2face.distributed import ALONE, World
from audio2face.runtime import memory_kept, random_state, set_random_state
from audio2face.training.ema import Ema, put_back, trained_state
from audio2face.training.losses import Losses
from audio2face.training.nan_guard import Guard, TrainingDiverged
from audio2face.training.progress import Clock, Forecast, Meter, Stop

logger = logging.getLogger(__name__)

Log = Callable[[int, dict[str, float]], None]


class Method(Protocol):
    """What `fit` needs to know of a way of training: its weights, its batches and its loss."""

    @property
    def model(self) -> nn.Module: ...

    def batches(self, epoch: int) -> Iterator[Any]:
        """The batches of one epoch, in an order that depends on the epoch alone."""

    def steps_per_epoch(self) -> int: ...

    def loss(self, batch: Any, progress: float) -> Losses:
        """Losses of a batch; `progress` is the share of the training that is done, 0 to 1."""

    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups; `lr_mult` (default 1) multiplies the learning rate."""

    def lr_multiplier(self, epoch: int) -> float:
        """Factor of the learning rate in an epoch."""

    def describe(self, batch: Any) -> str:
        """Where a batch comes from, for messages."""

    def state_dict(self) -> dict[str, Any]:
        """What changes from step to step beside the weights: running statistics, random generators."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast: `accumulate` batches make one optimiser step; an epoch's last step takes what is left.

    A checkpoint is due after every `checkpoint_epochs` epochs and after `checkpoint_minutes`, at a step's end.
    """

    epochs: int
    learning_rate: float
    accumulate: int = 1
    weight_decay: float = 0.0
    clip_norm: float | None = None
    ema_decay: float | None = None
    log_period: int = 50
    checkpoint_epochs: int | None = None
    checkpoint_minutes: float | None = None


class Fit:
    """A training under way: weights, optimiser, averages, position and random states, which a checkpoint keeps."""

    def __init__(self, method: Method, settings: FitSettings, world: World = ALONE):
        self.method, self.settings, self.model, self.world = method, settings, method.model, world
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.ended = False  # by request, before its last epoch
        self.optimizer = torch.optim.Adam(method.param_groups(), lr=settings.learning_rate, fused=True)
        self.rates = [settings.learning_rate * group.get("lr_mult", 1.0) for group in self.optimizer.param_groups]
        self.ema = Ema(settings.ema_decay) if settings.ema_decay else None
        self.good: tuple[dict[str, torch.Tensor], dict[str, Any]] = {}, {}  # weights and method after the last epoch
        self.epoch = self.batch = self.step = 0  # the batch to come within the epoch; steps done
        self.per_epoch = method.steps_per_epoch()
        self.total = math.ceil(self.per_epoch / settings.accumulate) * settings.epochs

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on: tensors, numbers and dictionaries only."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None,
            "method": self.method.state_dict(),
            "random": random_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint of a training with the same settings."""
        self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema and state["ema"]:
            self.ema.load_state_dict(state["ema"], self.model)
        self.method.load_state_dict(state["method"])
        set_random_state(state["random"])

    @contextmanager
    def as_it_would_end(self) -> Iterator[None]:
        """Within the block the model is as `finish` would leave it now; afterwards training goes on as if nothing was."""
        weights, random = trained_state(self.model), random_state()
        if self.ema:
            self.ema.load_into(self.model)
        self.model.eval()
        try:
            yield
        finally:
            put_back(self.model, weights)
            set_random_state(random)
            self.model.train()

    def run(
        self,
        log: Log,
        stop: Stop,
        save: Callable[[dict[str, Any]], None] | None,
        on_epoch: Callable[[Fit], bool | None] | None = None,
        shorter: Sequence[str] = (),
    ) -> None:
        """Train to the end, or to the end of the step in which `stop` is requested; `save` gets checkpoints.

        The first line comes within half a minute, whatever `log_period` is; of a long training it names what makes it
        `shorter`. `on_epoch` is called after every whole epoch, before its checkpoint; when it returns True the training ends there.
        """
        meter, clock, guard = Meter(), Clock(self.total, self.step), Guard(self.method, self.world)
        forecast, silent = Forecast(self._batches_left(), shorter), True
        self._remember()
        saved_s = time.monotonic()
        self.world.broadcast_(self.model.state_dict().values())
        self.model.train()
        while self.epoch < self.settings.epochs and not self.ended:
            self._set_rates()
            for batch in itertools.islice(self.method.batches(self.epoch), self.batch, None):
                losses = self._backward(batch)
                meter.add({**losses.terms, "total": losses.total})
                guard.saw(self.epoch, self.batch, losses.total)
                self.batch += 1
                forecast.batch_done()
                if self.batch % self.settings.accumulate and self.batch < self.per_epoch:
                    continue
                due = save is not None and self._minutes_due(saved_s)
                self.ended, saving = self.world.any_rank([stop.requested, due])
                self._step()
                if self.step % self.settings.log_period == 0 or self.step == self.total or self.ended:
                    self._check(guard, weights=False)
                    self._report(meter.read(), log, clock)
                    silent = False
                elif silent and forecast.given:
                    logger.info("%s", clock.line(self.step, self.epoch, self.settings.epochs, meter.peek()))
                    silent = False
                if self.ended:
                    break
                if saving:
                    self._save(guard, save)
                    saved_s = time.monotonic()
            if self.batch >= self.per_epoch:
                self.epoch, self.batch = self.epoch + 1, 0
                self._check(guard)
                self._remember()
                if self.world.any_rank([bool(on_epoch and on_epoch(self))])[0]:
                    return
            every = self.settings.checkpoint_epochs
            last = self.epoch == self.settings.epochs  # so that a process killed while it exports has nothing to repeat
            if self.ended or last or (every and self.epoch % every == 0):
                self._save(guard, save)
                saved_s = time.monotonic()

    def finish(self) -> None:
        """Put the averaged weights in place, if there are any, and the model in evaluation mode."""
        if self.ema:
            self.ema.load_into(self.model)
        self.model.eval()

    def _batches_left(self) -> int:
        return self.per_epoch * (self.settings.epochs - self.epoch) - self.batch

    def _set_rates(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.method.lr_multiplier(self.epoch)

    def _backward(self, batch: Any) -> Losses:
        accumulate = self.settings.accumulate
        group_size = min(accumulate, self.per_epoch - self.batch // accumulate * accumulate)
        losses = self.method.loss(batch, progress=self.step / self.total)
        (losses.total / group_size).backward()
        return losses

    def _check(self, guard: Guard, weights: bool = True) -> None:
        """Raise TrainingDiverged, the last good weights in place, when a loss or (`weights`) a weight is not finite."""
        place = guard.first_fault(self.parameters if weights else [])
        if place is not None:
            good_weights, good_method = self.good
            put_back(self.model, good_weights)
            self.method.load_state_dict(good_method)
            raise TrainingDiverged(guard.explain(place, self.step))

    def _remember(self) -> None:
        """Keep the present state as the last good one."""
        self.good = trained_state(self.model), copy.deepcopy(self.method.state_dict())

    def _save(self, guard: Guard, save: Callable[[dict[str, Any]], None] | None) -> None:
        """A checkpoint of a state that is known to be good."""
        self._check(guard)
        if save:
            save(self.state_dict())

    def _report(self, values: dict[str, float], log: Log, clock: Clock) -> None:
        """Log the means of the losses."""
        values["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        log(self.step, values)
        logger.info("%s", clock.line(self.step, self.epoch, self.settings.epochs, values))

    def _step(self) -> None:
        """One step of the optimiser, with the gradients of all processes."""
        self.world.reduce_gradients_(self.parameters)
        _decay_weights(self.optimizer, self.settings.weight_decay)
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.ema:
            self.ema.update(self.model)

    def _minutes_due(self, saved_s: float) -> bool:
        minutes = self.settings.checkpoint_minutes
        return minutes is not None and minutes > 0 and time.monotonic() - saved_s > 60 * minutes


def fit(
    method: Method,
    settings: FitSettings,
    log: Log,
    stop: Stop | None = None,
    save: Callable[[dict[str, Any]], None] | None = None,
    resume: dict[str, Any] | None = None,
    on_epoch: Callable[[Fit], bool | None] | None = None,
    world: World = ALONE,
    shorter: Sequence[str] = (),
) -> int:
    """Train `method.model` and return the number of optimiser steps done.

    The loss of an accumulated step is the mean over its batches. Ends early, at a step's end, when `stop` is requested.
    With `ema_decay` the model ends up holding the moving average. `save` is given checkpoints, of which `resume` takes
    one to go on from; on the CPU the result is bit-equal to that of an uninterrupted training. `on_epoch` is called after
    every epoch; within `Fit.as_it_would_end` it may measure the model, and by returning True it ends the training.
    `shorter` is advice for a training of hours.

    The processes of `world` train one model when each calls this with its method, whose batches are shards of the same
    ones and whose losses are over all shards. Only the first needs `log` and `save`. A checkpoint does not depend on how many
    there are.

    Raises:
        TrainingDiverged: the loss became NaN or infinite; the model holds the last good epoch's weights.
    """
    training = Fit(method, settings, world)
    if resume:
        training.load_state_dict(resume)
    with memory_kept():
        training.run(log, stop or Stop(), save, on_epoch, shorter)
    training.finish()
    return training.step


def _decay_weights(optimizer: torch.optim.Optimizer, decay: float) -> None:
    """Decoupled weight decay (Loshchilov & Hutter 2019) of matrices; biases and tables are left alone."""
    if not decay:
        return
    with torch.no_grad():
        for group in optimizer.param_groups:
            if group.get("decay", True):
                for p in group["params"]:
                    if p.ndim > 1 and p.grad is not None:
                        p.mul_(1 - group["lr"] * decay)
