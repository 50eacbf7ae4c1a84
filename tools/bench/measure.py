"""Seconds by stage, peak memory and a description of the machine."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from audio2face.machine import num_cores

STATUS = Path("/proc/self/status")


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
CLOCK_HELP = "wall time, or processor time: what to trust on a busy machine, with one thread (OMP_NUM_THREADS=1)"


class Stages:
    """Seconds spent in named stages, by one of CLOCKS."""

    def __init__(self, clock: str = "wall") -> None:
        self.seconds: dict[str, float] = {}
        self.clock = CLOCKS[clock]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - start

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def shares(self) -> dict[str, float]:
        """Share of the whole that each stage took."""
        return {name: value / self.total for name, value in self.seconds.items()} if self.seconds else {}

    def line(self) -> str:
        """`stage 40%, stage 60%`."""
        return ", ".join(f"{name} {share:.0%}" for name, share in self.shares().items())


class Memory:
    """The process's peak memory within a `with` block, in GB, sampled every 20 ms.

    `resident` counts pages of mapped files that happen to be in memory, `own` only memory not backed by a file. Both
    are 0 where the system does not report them.
    """

    def __init__(self) -> None:
        self.resident = self.own = 0.0
        self._done = threading.Event()

    def __enter__(self) -> Memory:
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._watch.join()

    def _look(self) -> None:
        while True:
            now = memory_gb()
            self.resident, self.own = max(self.resident, now[0]), max(self.own, now[1])
            if self._done.wait(0.02):
                return


def memory_gb() -> tuple[float, float]:
    """Resident memory of this process and the part not backed by a file, in GB; zeros where unknown."""
    if not STATUS.is_file():
        return 0.0, 0.0
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) / 1e6 if name in fields else 0.0 for name in ("VmRSS", "RssAnon"))  # type: ignore[return-value]


def machine() -> dict[str, object]:
    """Processor, usable cores, memory in GB and versions."""
    import numpy
    import torch

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    found: dict[str, object] = {"processor": model, "cores": num_cores(), "threads": torch.get_num_threads()}
    if hasattr(os, "sysconf"):
        found["memory_gb"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    return found | {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}
