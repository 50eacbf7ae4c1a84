"""What this machine offers a process: its CPU cores, and how the threads of libraries wait. Standard library only."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from audio2face.paths import FRAMEWORK_ROOT
from audio2face.problems import UserError

MOST_THREADS = 1024
# Threads of OpenMP sleep while they wait: those that spin take the cores from other programs, and from what they wait for.
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
COUNTED = "A2F_THREADS_COUNTED"  # set when OMP_NUM_THREADS is the number counted here, not the user's


def num_cores() -> int:
    """CPU cores to use: A2F_THREADS, else what the system grants this process. Raises UserError for a bad A2F_THREADS."""
    return _requested() or granted_cores()


def pool_size() -> int:
    """Threads that read, decode or draw at a time: each holds frames in memory."""
    return min(4, num_cores())


def _requested() -> int:
    text = os.environ.get("A2F_THREADS", "").strip()
    if text and not (text.isdecimal() and 0 < int(text) <= MOST_THREADS):
        raise UserError(
            f"A2F_THREADS={text}: expected a whole number from 1 to {MOST_THREADS}, or nothing for all cores"
        )
    return int(text or 0)


def granted_cores(root: Path = Path("/")) -> int:
    """Cores by CPU affinity and by the quota of the control group, a part of a core counted as one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([cores, *(max(math.ceil(quota), 1) for quota in _quotas(root))])


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take: free or freed when asked for, within its control group; None when unknown."""
    fields = dict(line.split(":", 1) for line in _text(root / "proc/meminfo").splitlines() if ":" in line)
    if "MemAvailable" not in fields:
        return None
    return min([int(fields["MemAvailable"].split()[0]) << 10, *_memory_left(root)])


def _memory_left(root: Path) -> Iterator[int]:
    """What is left in this process's control group and those above it; pages of files there count as free."""
    for old, folder in _control_groups(root, "memory"):
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if old else ("memory.max", "memory.current")
        limit, used = (_text(folder / name).strip() for name in names)
        if limit.isdecimal() and used.isdecimal():  # else max
            counts = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
            files = sum(int(counts.get(name, 0)) for name in ("inactive_file", "active_file"))
            yield max(int(limit) - int(used) + files, 0)


def _quotas(root: Path) -> Iterator[float]:
    """The limits, in cores, of this process's control group and those above it."""
    for old, folder in _control_groups(root, "cpu"):
        if old:
            limit = [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
        else:
            limit = _text(folder / "cpu.max").split()
        if len(limit) == 2 and all(text.strip().isdecimal() and int(text) for text in limit):  # else -1 or max
            yield int(limit[0]) / int(limit[1])


def _control_groups(root: Path, controller: str) -> Iterator[tuple[bool, Path]]:
    """Folders of this process's control group and those above it, and whether they are of version 1.

    A container may see its own group as the root of the tree, under a name that only its host knows.
    """
    tree = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, group = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        names = (controllers, controller) if controllers else ("", "unified")
        for place in [Path(group.strip("/")), *Path(group.strip("/")).parents]:
            yield from ((bool(controllers), tree / name / place) for name in names)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def thread_limit() -> int:
    """`num_cores` where it is fewer than the machine's or requested, else 0: libraries then choose by themselves."""
    cores = num_cores()
    return cores if _requested() or cores < (os.cpu_count() or 1) else 0


def set_up(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set how the threads of this process wait and how many there are; what the user has set stays.

    Libraries read it when they load: call it before NumPy, PyTorch and onnxruntime are imported. Raises UserError for
    a bad A2F_THREADS.
    """
    limit = thread_limit()
    for name, value in _waiting(environ).items():
        environ.setdefault(name, value)
    if limit and "OMP_NUM_THREADS" not in environ:
        environ.update({"OMP_NUM_THREADS": str(limit), COUNTED: "1"})


def _waiting(environ: Mapping[str, str]) -> dict[str, str]:
    return {} if "OMP_WAIT_POLICY" in environ else PASSIVE


def child_environment(count: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of each of `count` processes at a time: its part of the CPU's cores, unless OMP_NUM_THREADS is set."""
    search = [str(FRAMEWORK_ROOT), environ.get("PYTHONPATH", "")]
    threads = str(max(num_cores() // count, 1))
    given = {name: value for name, value in environ.items() if name != "OMP_NUM_THREADS" or COUNTED not in environ}
    return {
        **_waiting(given),
        "OMP_NUM_THREADS": threads,
        **given,
        "A2F_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(filter(None, search)),
    }


def session_options(threads: int = 0) -> Any:
    """Options of an onnxruntime session: `threads`, or this process's number of them, which sleep while they wait."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or thread_limit()
    # Threads that spin while they wait slow down what follows a run.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options
