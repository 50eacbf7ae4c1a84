"""How far long work has come: a bar on a terminal, a line of the log now and then where there is none."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)

TELL_S = 30.0  # between two lines of the log
Item = TypeVar("Item")


class Bar:
    """Counts `total` pieces of work. The bar vanishes when it is done, and never gets into a file; `shown` False: silence."""

    def __init__(self, total: int, label: str, unit: str, shown: bool = True):
        terminal = sys.stderr is not None and sys.stderr.isatty()
        hidden: dict[str, Any] = {} if shown and terminal else {"disable": True}  # else TQDM_DISABLE decides
        self._bar = tqdm(total=total, desc=label, unit=unit, leave=False, dynamic_ncols=True, **hidden)
        self._telling, self._began_s = shown and not terminal, time.monotonic()
        self._told_s = self._began_s
        self.total, self.label, self.unit, self.done = total, label, unit, 0

    def update(self, count: int = 1) -> None:
        """`count` more pieces are done."""
        self.done += count
        self._bar.update(count)
        if self._telling and time.monotonic() - self._told_s >= TELL_S:
            self._told_s = time.monotonic()
            left_s = (self._told_s - self._began_s) / max(self.done, 1) * (self.total - self.done)
            left = f"  left {duration(left_s)}" if self.done < self.total else ""
            logger.info("%s: %d of %d %ss%s", self.label, self.done, self.total, self.unit, left)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def each(items: Iterable[Item], total: int, label: str, unit: str, shown: bool = True) -> Iterator[Item]:
    """The items, counted as they are taken."""
    with Bar(total, label, unit, shown) as bar:
        for item in items:
            yield item
            bar.update()


def duration(seconds: float) -> str:
    """h:mm:ss."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
