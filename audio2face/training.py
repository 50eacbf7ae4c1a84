"""The one training loop, for every method."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from audio2face.losses import Losses

logger = logging.getLogger(__name__)

Log = Callable[[int, dict[str, float]], None]
SAME_STOP_S = 2.0  # a second signal within this time is the same key press, delivered twice


class Method(Protocol):
    """What `fit` needs to know of a way of training: its weights, its batches and its loss."""

    model: nn.Module

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


class TrainingDiverged(RuntimeError):
    """The loss is not finite any more. The model has been put back to its last good state."""


@dataclass
class Stop:
    """A request to end training after the current step, set by Ctrl-C or SIGTERM."""

    requested: bool = False
    time_s: float = 0.0

    @contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """Within the block the first SIGINT or SIGTERM sets `requested`; a later one raises KeyboardInterrupt."""

        def ask(number: int, _: Any) -> None:
            if self.requested:
                if time.monotonic() - self.time_s > SAME_STOP_S:
                    raise KeyboardInterrupt
                return
            logger.warning("%s: stopping after this step, then saving and exporting", signal.Signals(number).name)
            self.requested, self.time_s = True, time.monotonic()

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {n: signal.signal(n, ask) for n in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast: `accumulate` batches make one optimiser step; an epoch's last step takes what is left."""

    epochs: int
    learning_rate: float
    accumulate: int = 1
    weight_decay: float = 0.0
    clip_norm: float | None = None
    ema_decay: float | None = None
    log_period: int = 50


@dataclass
class Ema:
    """Exponential moving average of trained weights, with a warm-up so that short runs are not held back."""

    decay: float
    state: dict[str, torch.Tensor] = field(default_factory=dict)
    updates: int = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in model.named_parameters():
            if not value.requires_grad:
                continue
            if name in self.state:
                self.state[name].lerp_(value.detach(), 1 - decay)
            else:
                self.state[name] = value.detach().clone()

    def load_into(self, model: nn.Module) -> None:
        """Put the average in place of the model's trained weights."""
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in self.state:
                    value.copy_(self.state[name])


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights that training changes."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def _restore(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in state:
                parameter.copy_(state[name])


def fit(
    method: Method,
    settings: FitSettings,
    log: Log,
    stop: Stop | None = None,
    on_epoch: Callable[[int, nn.Module], None] | None = None,
) -> int:
    """Train `method.model` and return the number of optimiser steps done.

    The loss of an accumulated step is the mean over its batches. Ends early, at a step's end, when `stop` is requested.
    With `ema_decay` the model ends up holding the moving average. `on_epoch(epoch, model)` is called after each epoch.

    Raises:
        TrainingDiverged: the loss became NaN or infinite; the model holds the last good epoch's weights.
    """
    model, stop = method.model, stop or Stop()
    optimizer = torch.optim.Adam(method.param_groups(), lr=settings.learning_rate)
    rates = [settings.learning_rate * group.get("lr_mult", 1.0) for group in optimizer.param_groups]
    per_epoch = method.steps_per_epoch()
    steps_per_epoch = math.ceil(per_epoch / settings.accumulate)
    total = steps_per_epoch * settings.epochs
    ema = Ema(settings.ema_decay) if settings.ema_decay else None
    meter, step, good = Meter(), 0, trained_state(model)
    clock = Clock(total)
    model.train()
    for epoch in range(settings.epochs):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * method.lr_multiplier(epoch)
        for index, batch in enumerate(method.batches(epoch)):
            group_size = min(settings.accumulate, per_epoch - index // settings.accumulate * settings.accumulate)
            losses = method.loss(batch, progress=step / total)
            (losses.total / group_size).backward()
            meter.add({**losses.terms, "total": losses.total})
            if (index + 1) % settings.accumulate and index + 1 < per_epoch:
                continue
            _decay_weights(optimizer, settings.weight_decay)
            if settings.clip_norm:
                nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if ema:
                ema.update(model)
            if step % settings.log_period == 0 or step == total or stop.requested:
                values = meter.read()
                if not math.isfinite(values["total"]):
                    _restore(model, good)
                    raise TrainingDiverged(
                        f"the loss became {values['total']} around step {step} (epoch {epoch + 1}), with {method.describe(batch)}"
                    )
                values["learning_rate"] = optimizer.param_groups[0]["lr"]
                log(step, values)
                logger.info("%s", clock.line(step, epoch, settings.epochs, values))
            if stop.requested:
                break
        if all(torch.isfinite(p).all() for p in model.parameters()):
            good = trained_state(model)
        if on_epoch:
            on_epoch(epoch, model)
        if stop.requested:
            break
    if ema:
        ema.load_into(model)
    model.eval()
    return step


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


class Meter:
    """Mean of every loss since the last reading. Sums stay on the device until read."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0

    def add(self, terms: dict[str, torch.Tensor]) -> None:
        for name, value in terms.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._count += 1

    def read(self) -> dict[str, float]:
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


class Clock:
    """Log lines with the speed and the time left."""

    def __init__(self, total: int):
        self.total, self.start = total, time.monotonic()

    def line(self, step: int, epoch: int, epochs: int, values: dict[str, float]) -> str:
        elapsed = time.monotonic() - self.start
        left = elapsed / step * (self.total - step)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in values.items() if name != "learning_rate")
        return f"epoch {epoch + 1}/{epochs}  step {step}/{self.total}  left {_duration(left)}  {terms}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
