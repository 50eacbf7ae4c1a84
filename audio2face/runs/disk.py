"""Disks that are full, read-only or gone, said in one line that names the folder."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from audio2face.paths import external_path
from audio2face.problems import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
REASONS = {
    errno.EROFS: "it is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EFBIG: "the file would exceed the size limit there",
    errno.EIO: "the disk reports an error",
    errno.ESTALE: "the network share is gone",
    errno.ENOTCONN: "the network share is gone",
    errno.ENOTDIR: "a part of this path is a file",
}
NOTHING_LEFT = 1 << 20  # bytes: a library that failed with no more than this left failed for want of space
IN_OTHER_WORDS = re.compile(r"No space left|\d+ requested and \d+ written|PytorchStreamWriter failed writing")


def text_of(num_bytes: float) -> str:
    """A size for people: "1.5 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}" if unit == "bytes" or num_bytes >= 100 else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} TB"


def free_bytes(folder: Path) -> int | None:
    """The space left where a folder is or will be; None when that is unknown."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None


def require_space(folder: Path, needed: float, what: str) -> None:
    """Raise UserError, naming the missing space, when `what` needs more bytes than are left in a folder."""
    free = free_bytes(folder)
    if free is not None and free < needed:
        raise UserError(
            f"{what} needs about {text_of(needed)} in {external_path(folder)}, but {text_of(free)} are free: "
            f"free another {text_of(needed - free)}, or set A2F_WORKSPACE_ROOT to a larger disk"
        )


def reserve(file: IO[bytes], num_bytes: int) -> None:
    """Make a file that is going to be mapped this long on the disk. OSError when it is full, where a map would crash."""
    if num_bytes and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, num_bytes)


@contextmanager
def disk_faults(folder: Path, what: str, then: str = "", needed: float = 0) -> Iterator[None]:
    """Within the block, what a disk refuses becomes a UserError: "`what` stopped: no space left in …; `then`".

    `needed` is how many bytes the whole work takes in `folder`, if that is known.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = _reason(error, folder, needed)
        if reason is None:
            raise
        raise UserError(f"{what} stopped: {reason}{f'; {then}' if then else ''}") from error


def _reason(error: BaseException, folder: Path, needed: float) -> str | None:
    fault = _disk_error(error)
    free = free_bytes(folder)
    if fault is None:
        starved = isinstance(error, RuntimeError | ValueError) and free is not None and free < NOTHING_LEFT
        return _full(folder, needed) if starved else None
    name = getattr(fault, "filename2", None) or getattr(fault, "filename", None)  # the second is what a copy writes
    path = Path(name) if isinstance(name, str) else folder
    elsewhere = not path.is_relative_to(folder)
    reason = REASONS.get(getattr(fault, "errno", None) or 0)
    if reason is None:
        return _full(path.parent if elsewhere else folder, 0 if elsewhere else needed)
    return f"{external_path(path if elsewhere else folder)}: {reason}"


def _full(folder: Path, needed: float) -> str:
    free = free_bytes(folder)
    left = "" if free is None else f"{text_of(free)} free"
    missing = f", about {text_of(needed - free)} missing" if free is not None and needed > free else ""
    return f"no space left in {external_path(folder)}{f' ({left}{missing})' if left else ''}"


def _disk_error(error: BaseException | None) -> BaseException | None:
    """What the disk said, behind the errors that libraries made of it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in (*FULL, *REASONS):
            return error
        if isinstance(error, OSError | RuntimeError) and IN_OTHER_WORDS.search(str(error)):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
