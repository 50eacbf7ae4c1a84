"""Arrays that need not lie in memory: kept in a file without a name, of which parts are read when they are asked for."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from audio2face.runs.disk import disk_faults


@dataclass(frozen=True)
class LongArray:
    """An array of `shape` (T, …) that lies in a file from byte `start` on; np.asarray reads all of it.

    Read by position, not mapped: what is read is not this process's memory.
    """

    file: BinaryIO
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Dimensions of the array."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows by number (from 0), slice or numbers (…), for which all between the least and the largest are read."""
        if isinstance(index, slice):
            first, end, step = index.indices(len(self))
            return self._read(first, max(end - first, 0))[::step]
        rows = np.asarray(index, np.int64)
        first = int(rows.min(initial=len(self)))
        return self._read(first, max(int(rows.max(initial=-1)) + 1 - first, 0))[rows - first]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, first: int, count: int) -> np.ndarray:
        if not 0 <= first <= first + count <= len(self):
            raise IndexError(f"rows {first} to {first + count} of {len(self)}")
        found = np.empty((count, *self.shape[1:]), self.dtype)
        place = self.start + first * math.prod(self.shape[1:]) * found.itemsize
        left = found.reshape(-1).view(np.uint8).data
        while left:  # the system reads no more than 2 GB at a time
            count = _read_at(self.file, left, place)
            assert count, (first, len(left))
            left, place = left[count:], place + count
        return found


def _read_at(file: BinaryIO, into: memoryview, place: int) -> int:
    """Read from a place of a file, whatever other threads read of it (not on Windows, which lacks such a call)."""
    if hasattr(os, "preadv"):
        return os.preadv(file.fileno(), [into], place)
    file.seek(place)
    return int(file.readinto(into))  # type: ignore[attr-defined]


Array = np.ndarray | LongArray
Keep = Callable[[np.ndarray], Array]  # puts an array where it is to lie


def in_memory(array: np.ndarray) -> Array:
    """The array itself."""
    return array


class Scratch:
    """A file without a name in a folder, in which arrays are kept. It goes with the process, however that ends."""

    def __init__(self, folder: Path):
        self.folder = folder
        with disk_faults(folder, "training data"):
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = tempfile.TemporaryFile(dir=folder, buffering=0)  # type: ignore[assignment]

    def keep(self, array: np.ndarray) -> LongArray:
        """Write an array (T, …) to the file. Raises UserError when the disk is full."""
        array = np.ascontiguousarray(array)
        then = "free space there, move FEATURE_CACHE_ROOT, or set a larger DATA_MEMORY_GB"
        with disk_faults(self.folder, "training data", then):
            start, left = self._file.seek(0, os.SEEK_END), array.reshape(-1).view(np.uint8).data
            while left:
                left = left[self._file.write(left) :]
        return LongArray(self._file, start, array.shape, array.dtype)


def keep_flags(flags: np.ndarray, keep: Keep) -> Array:
    """Flags (T, …) put where they are to lie; those of which all rows are the same take the memory of one row."""
    if len(flags) and (flags == flags[0]).all():
        return np.broadcast_to(flags[0].copy(), flags.shape)
    return keep(flags)


def repeats(array: Array) -> bool:
    """Whether `keep_flags` has found that all rows are the same."""
    return isinstance(array, np.ndarray) and array.strides[0] == 0
