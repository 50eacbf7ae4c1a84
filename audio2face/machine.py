"""What this machine offers a process. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping

from audio2face.paths import FRAMEWORK_ROOT


def num_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def child_environment(count: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of each of `count` processes at a time: its part of the CPU's cores, unless OMP_NUM_THREADS is set."""
    search = [str(FRAMEWORK_ROOT), environ.get("PYTHONPATH", "")]
    threads = str(max(num_cores() // count, 1))
    return {"OMP_NUM_THREADS": threads, **environ, "PYTHONPATH": os.pathsep.join(filter(None, search))}
