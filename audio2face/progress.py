"""What a long run shows and listens to: means of losses, time left, and the request to stop."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

logger = logging.getLogger(__name__)

SAME_STOP_S = 2.0  # a second signal within this time is the same key press, delivered twice


@dataclass
class Stop:
    """A request to end training after the current step, set by Ctrl-C, SIGTERM or a terminal that is closed."""

    requested: bool = False
    signal: int = signal.SIGINT  # that asked for it
    time_s: float = 0.0

    @contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """Within the block the first SIGINT, SIGTERM or SIGHUP sets `requested`; a later one raises KeyboardInterrupt.

        A SIGHUP that is ignored already, as under nohup, stays so.
        """

        def ask(number: int, _: Any) -> None:
            if self.requested:
                if time.monotonic() - self.time_s > SAME_STOP_S:
                    raise KeyboardInterrupt
                return
            logger.warning("%s: stopping after this step, then saving and exporting", signal.Signals(number).name)
            self.requested, self.signal, self.time_s = True, number, time.monotonic()

        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        every = [signal.Signals[name] for name in names]
        numbers = [n for n in every if n.name != "SIGHUP" or signal.getsignal(n) != signal.SIG_IGN]
        before = {n: signal.signal(n, ask) for n in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Meter:
    """Mean of every loss since the last reading. Sums stay on the device until read."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0

    def add(self, terms: dict[str, torch.Tensor]) -> None:
        """Count in one step's terms (scalars); nothing waits for an accelerator."""
        for name, value in terms.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
        self._count += 1

    def read(self) -> dict[str, float]:
        """Means since the last call."""
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


class Clock:
    """Log lines with the speed and the time left."""

    def __init__(self, total: int, done: int = 0):
        self.total, self.done, self.start = total, done, time.monotonic()

    def line(self, step: int, epoch: int, epochs: int, values: dict[str, float]) -> str:
        """A line of the log: step, epoch, terms and the time that is left."""
        elapsed = time.monotonic() - self.start
        left = elapsed / max(step - self.done, 1) * (self.total - step)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in values.items() if name != "learning_rate")
        return f"epoch {epoch + 1}/{epochs}  step {step}/{self.total}  left {_duration(left)}  {terms}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
