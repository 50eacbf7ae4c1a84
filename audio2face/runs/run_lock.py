"""Who is writing a run: a lock on a file in its folder, which the system drops when the process ends, however it ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nobody is ever seen to write
    fcntl = None  # type: ignore[assignment]

_held: dict[Path, int] = {}  # lock file -> descriptor, for as long as this process writes


def hold(path: Path) -> bool:
    """Create the lock file and hold it. False when another process holds it; OSError when it cannot be written."""
    if path in _held:
        return True
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if _try_lock(descriptor) is False:
        os.close(descriptor)
        return False
    _held[path] = descriptor
    return True


def release(path: Path, remove: bool = True) -> None:
    """Let go of a lock file, and remove it or not."""
    if remove:
        path.unlink(missing_ok=True)
    descriptor = _held.pop(path, None)
    if descriptor is not None:
        os.close(descriptor)


def moved(old: Path, new: Path) -> None:
    """The folder of a held lock file has been renamed."""
    if old in _held:
        _held[new] = _held.pop(old)


def is_held(path: Path) -> bool | None:
    """Whether a process, perhaps this one, holds the lock file; None when this machine or disk cannot tell."""
    if path in _held:
        return True
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        got = _try_lock(descriptor)
        return None if got is None else not got
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool | None:
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None  # None: a share without locks
    return True
