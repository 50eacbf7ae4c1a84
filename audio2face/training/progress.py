"""What a training shows and listens to: lines of the log, TensorBoard, a forecast of its time, and the request to stop."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio2face.logs import duration

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)

SAME_STOP_S = 2.0  # a second signal within this time is the same key press, delivered twice
RELIABLE_S, RELIABLE_BATCHES = 10.0, 3  # from here on a forecast can be relied upon
LATEST_S = 25.0  # a forecast is given by then, however little has been seen
LONG_S = 3600.0  # what takes so long could do with advice


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


class Clock:
    """Lines of the log with the speed and the time that is left."""

    def __init__(self, total: int, done: int = 0):
        self.total, self.done, self.start, self.lines = total, done, time.monotonic(), 0

    def line(self, step: int, epoch: int, epochs: int, values: dict[str, float]) -> str:
        """A line of the log: step, epoch, terms and the time that is left."""
        self.lines += 1
        elapsed = time.monotonic() - self.start
        left = elapsed / max(step - self.done, 1) * (self.total - step)
        terms = {name: value for name, value in values.items() if name != "learning_rate"}
        return f"epoch {epoch + 1}/{epochs}  step {step}/{self.total}  left {duration(left)}  {listed(terms, '  ')}"


class Forecast:
    """The first words of a training: how long it will take, once a few batches have been seen, and what would shorten it."""

    def __init__(self, batches: int, advice: Sequence[str] = ()):
        """`batches` are still to come; `advice` is for a training of hours."""
        self.batches, self.advice = batches, advice
        self.start = self.first_end = time.monotonic()
        self.done, self.given = 0, False

    def batch_done(self) -> bool:
        """Count a batch; logs the forecast when it is time, and tells whether it was."""
        now = time.monotonic()
        self.done += 1
        if self.done == 1:
            self.first_end = now
        took_s = now - self.start
        sure = self.done > RELIABLE_BATCHES and took_s >= RELIABLE_S
        if self.given or not (sure or took_s >= LATEST_S):
            return False
        self.given = True
        pace_s = (now - self.first_end) / (self.done - 1) if self.done > 1 else took_s  # the first one is slower
        whole_s = took_s + pace_s * (self.batches - self.done)
        message = "%d of %d batches took %s: at this pace all take about %s"
        logger.info(message, self.done, self.batches, in_words(took_s), in_words(whole_s))
        if whole_s >= LONG_S and self.advice:
            logger.info("what would shorten it: %s", "; ".join(self.advice))
        return True


class TensorBoard:
    """Scalars and pictures of a run as TensorBoard events; none when not `writing`."""

    def __init__(self, folder: Path, writing: bool, step: int = 0):
        self._folder, self._writing, self._step = folder, writing, step
        self._writer: Any = None

    def __enter__(self) -> TensorBoard:
        if self._writing:
            from torch.utils.tensorboard import SummaryWriter

            repeated = self._step + 1 if self._step else None  # what came after the checkpoint is written again
            self._writer = SummaryWriter(str(self._folder), purge_step=repeated)
        return self

    def log(self, step: int, values: dict[str, float], group: str = "train") -> None:
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def show(self, step: int, name: str, picture: np.ndarray) -> None:
        if self._writer:
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()


def in_words(seconds: float) -> str:
    """A rough duration: "40 seconds", "25 minutes", "1.5 hours", "31 hours"."""
    for unit_s, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * unit_s:
            count = seconds / unit_s
            return f"{count:.1f} {unit}" if count < 9.95 and unit == "hours" else f"{count:.0f} {unit}"
    return f"{max(seconds, 1):.0f} seconds"


def listed(values: Mapping[str, float], between: str = ", ") -> str:
    """Losses by name. The total is that of the terms times their weights, not the sum of what stands beside it."""
    return between.join(f"{'weighted ' if name == 'total' else ''}{name} {value:.4g}" for name, value in values.items())
