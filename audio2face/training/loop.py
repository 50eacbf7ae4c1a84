"""The one training loop, for every method.

Called by `commands.train_fit` with what a family's `build` has made; next: `models.regression.method` or
`models.diffusion.method`, whose loss of a batch it takes a step on.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from audio2face.distributed import ALONE, World
from audio2face.runtime import memory_kept, random_state, set_random_state
from audio2face.training.ema import Ema, load_trainable, trainable_state
from audio2face.training.metrics import Losses, MetricAverage
from audio2face.training.nan_guard import NonFiniteGuard
from audio2face.training.progress import Clock, Forecast, Stop
from audio2face.training.settings import FitSettings

logger = logging.getLogger(__name__)

Log = Callable[[int, dict[str, float]], None]


class Data(Protocol):
    """The batches that a method trains on."""

    def batches(self, epoch: int) -> Iterator[Any]:
        """The batches of one epoch, in an order that depends on the epoch alone."""

    def steps_per_epoch(self) -> int:
        """How many there are."""

    def describe(self, batch: Any) -> str:
        """Where a batch comes from, for messages."""


class Method(Protocol):
    """What `fit` needs to know of a way of training: its weights, its batches and its loss."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def data(self) -> Data: ...
    @property
    def rate(self) -> Callable[[int], float]:
        """The factor of the learning rate in an epoch, from 0 on."""

    def loss(self, batch: Any, progress: float) -> Losses:
        """Losses of a batch; `progress` is the share of the training that is done, 0 to 1."""

    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups; `lr_mult` (default 1) multiplies the learning rate."""

    def state_dict(self) -> dict[str, Any]:
        """What changes from step to step beside the weights: running statistics, random generators."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` gave."""


class Fit:
    """A training under way: weights, optimiser, averages, position and random states, which a checkpoint keeps."""

    def __init__(self, method: Method, settings: FitSettings, world: World = ALONE):
        self.method, self.settings, self.model, self.world = method, settings, method.model, world
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(method.param_groups(), lr=settings.learning_rate, fused=True)
        self.rates = [settings.learning_rate * group.get("lr_mult", 1.0) for group in self.optimizer.param_groups]
        self.ema = Ema(settings.ema_decay) if settings.ema_decay else None
        self.epoch = self.batch = self.step = 0  # the batch to come within the epoch; steps done
        self.per_epoch = method.data.steps_per_epoch()
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
        """Continue from a checkpoint of a training with the same settings."""
        self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema and state["ema"]:
            self.ema.load_state_dict(state["ema"], self.model)
        self.method.load_state_dict(state["method"])
        set_random_state(state["random"])

    @property
    def batches_left(self) -> int:
        """Batches of this and all later epochs that are still to come."""
        return self.per_epoch * (self.settings.epochs - self.epoch) - self.batch

    @property
    def step_is_due(self) -> bool:
        """Whether the batches since the last step of the optimiser make the next one."""
        return self.batch % self.settings.accumulate == 0 or self.batch >= self.per_epoch

    def set_learning_rates(self) -> None:
        """Those of the present epoch."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.method.rate(self.epoch)

    def backward(self, batch: Any) -> Losses:
        """Losses and gradients of the batch to come; those of `accumulate` batches add up to their mean."""
        accumulate = self.settings.accumulate
        group_size = min(accumulate, self.per_epoch - self.batch // accumulate * accumulate)
        losses = self.method.loss(batch, progress=self.step / self.total)
        (losses.total / group_size).backward()
        return losses

    def optimizer_step(self) -> None:
        """One step, with the gradients of all processes."""
        self.world.reduce_gradients_(self.parameters)
        _decay_weights(self.optimizer, self.settings.weight_decay)
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.ema:
            self.ema.update(self.model)

    @contextmanager
    def as_it_would_end(self) -> Iterator[None]:
        """Within the block the model is as `finish` would leave it now; afterwards training continues as if nothing was."""
        weights, random = trainable_state(self.model), random_state()
        self.finish()
        try:
            yield
        finally:
            load_trainable(self.model, weights)
            set_random_state(random)
            self.model.train()

    def finish(self) -> None:
        """Put the averaged weights in place, if there are any, and the model in evaluation mode."""
        if self.ema:
            self.ema.load_into(self.model)
        self.model.eval()


@dataclass
class Checkpoints:
    """When a checkpoint is due, and writing it; without `save` none is written, and the state is only checked.

    `save` returns how many bytes it writes, if it knows.
    """

    save: Callable[[dict[str, Any]], int | None] | None
    settings: FitSettings
    written_s: float = field(default_factory=time.monotonic)
    wait_s: float = 0.0  # after the last one, for its size

    def due_by_time(self) -> bool:
        """Whether `checkpoint_minutes` have passed since the last one."""
        minutes = self.settings.checkpoint_minutes
        return bool(self.save and minutes) and self._waited_s() > max(60 * (minutes or 0), self.wait_s)

    def due_after(self, epoch: int) -> bool:
        """Whether one is due when `epoch` epochs are done: after the last, too, so that a failed export repeats nothing."""
        every = self.settings.checkpoint_epochs
        by_epochs = bool(self.save and every and epoch % every == 0) and self._waited_s() >= self.wait_s
        return epoch == self.settings.epochs or by_epochs

    def _waited_s(self) -> float:
        return time.monotonic() - self.written_s

    def write(self, run: Fit, guard: NonFiniteGuard) -> None:
        """A checkpoint of a state that is known to be good."""
        guard.check(run.step)
        if self.save:
            size, limit = self.save(run.state_dict()), self.settings.checkpoint_gb_per_hour
            self.wait_s = 3600 * (size or 0) / (limit * 1e9) if limit else 0.0
        self.written_s = time.monotonic()


class Reports:
    """What is reported of a training: its losses every `log_period` steps, and once early how long it will take."""

    def __init__(self, run: Fit, log: Log, advice: Sequence[str] = ()):
        self.averages, self.log = MetricAverage(), log
        self.clock, self.forecast = Clock(run.total, run.step), Forecast(run.batches_left, advice)

    def batch_done(self, losses: Losses) -> None:
        """Count a batch and its losses."""
        self.averages.add({**losses.terms, "total": losses.total})
        self.forecast.batch_done()

    def step_done(self, run: Fit, guard: NonFiniteGuard, ending: bool) -> None:
        """Report when it is time, or when the training is `ending`. Raises TrainingDiverged before a loss that is not finite."""
        if run.step % run.settings.log_period == 0 or run.step == run.total or ending:
            guard.check(run.step, weights=False)
            values = {**self.averages.read(), "learning_rate": run.optimizer.param_groups[0]["lr"]}
            self.log(run.step, values)
        elif self.forecast.given and not self.clock.lines:
            values = self.averages.peek()
        else:
            return
        logger.info("%s", self.clock.line(run.step, run.epoch, run.settings.epochs, values))


def fit(
    method: Method,
    settings: FitSettings,
    log: Log,
    stop: Stop | None = None,
    *,
    save: Callable[[dict[str, Any]], int | None] | None = None,
    resume: dict[str, Any] | None = None,
    validate: Callable[[Fit], bool] | None = None,
    preview: Callable[[Fit], None] | None = None,
    world: World = ALONE,
    advice: Sequence[str] = (),
) -> int:
    """Train `method.model` and return the number of optimiser steps done.

    The loss of an accumulated step is the mean over its batches. Ends early, at a step's end, when `stop` is requested.
    With `ema_decay` the model ends up holding the moving average. `save` is given checkpoints, of which `resume` takes
    one to continue from; on the CPU the result is bit-equal to that of an uninterrupted training. `validate` and `preview`
    are called after every whole epoch; within `Fit.as_it_would_end` they may look at the model, and when `validate`
    returns True the training ends. `advice` is logged in a training of hours.

    The processes of `world` train one model when each calls this with its method, whose batches are shards of the same
    ones and whose losses are over all shards. Only the first needs `log`, `save` and `preview`. A checkpoint does not
    depend on how many there are.

    Raises:
        TrainingDiverged: the loss became NaN or infinite; the model holds the last good epoch's weights.
    """
    run, stop = Fit(method, settings, world), stop or Stop()
    if resume:
        run.load_state_dict(resume)
    guard, reports, checkpoints = NonFiniteGuard(method, world), Reports(run, log, advice), Checkpoints(save, settings)
    stopping = due = False
    with memory_kept():
        world.broadcast_(run.model.state_dict().values())
        guard.keep()
        run.model.train()
        while run.epoch < settings.epochs and not stopping:
            run.set_learning_rates()
            for batch in itertools.islice(method.data.batches(run.epoch), run.batch, None):
                losses = run.backward(batch)
                guard.saw(run.epoch, run.batch, losses.total)
                reports.batch_done(losses)
                run.batch += 1
                if not run.step_is_due:
                    continue
                stopping, saving = world.any_rank([stop.requested, checkpoints.due_by_time()])
                run.optimizer_step()
                reports.step_done(run, guard, stopping)
                if stopping:
                    break
                if saving:  # checkpoint: every so many minutes
                    checkpoints.write(run, guard)

            if run.batch >= run.per_epoch:  # end of epoch
                run.epoch, run.batch = run.epoch + 1, 0
                guard.check(run.step)
                guard.keep()
                enough = validate is not None and validate(run)
                if preview:
                    preview(run)
                enough, due = world.any_rank([enough, checkpoints.due_after(run.epoch)])
                if enough:
                    break
            if stopping or due:
                checkpoints.write(run, guard)
    run.finish()
    return run.step


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
