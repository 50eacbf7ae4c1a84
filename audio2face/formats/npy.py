"""NumPy arrays on disk: .npy memory-mapped, .npz as a dict. Never pickled objects."""

from __future__ import annotations

import io
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from audio2face.formats.budget import check_unpacked, whole
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import atomic

BLOCK_BYTES = 1 << 24  # written at once
MOST_HEADER_BYTES = 10_000  # of an array: NumPy reads no longer one
_FORMAT = np.lib.format
_MALFORMED = (ValueError, EOFError, SyntaxError, TypeError, KeyError, tokenize.TokenError)
_HEADER_READERS = {(1, 0): _FORMAT.read_array_header_1_0, (2, 0): _FORMAT.read_array_header_2_0}


def npy_header(path: str | os.PathLike[str]) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """(shape, whether in Fortran order, dtype, byte offset of the data), without reading the data.

    Raises ValueError naming file and offset when it is not an .npy, holds objects, or contradicts its header's length.
    """
    path = Path(path)
    refuse_pointer(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            shape, fortran, dtype = _read_header(file)
        except _MALFORMED as error:
            raise ValueError(f"{path}: byte {file.tell()}: expected an .npy header: {error}") from error
        offset = file.tell()
    if dtype.hasobject:
        raise ValueError(f"{path}: byte {offset}: expected numbers, found pickled Python objects (dtype {dtype})")
    expected = offset + dtype.itemsize * math.prod(whole(path, n, f"shape {shape}") for n in shape)
    if size != expected:
        raise ValueError(
            f"{path}: byte {size}: expected {expected} bytes for shape {shape} of {dtype}, the file has {size}"
        )
    return shape, fortran, dtype, offset


def read_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of a .npy, memory-mapped read-only in its stored type. Raises ValueError as `npy_header` does."""
    shape, fortran, dtype, offset = npy_header(path)
    if 0 in shape:
        return np.empty(shape, dtype)
    array = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F" if fortran else "C")
    return _with_text(path, array)


def write_npy(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write a .npy in C order, whole or not at all; views of large files are never in memory as a whole."""
    array = np.asanyarray(array)
    rows = max(1, BLOCK_BYTES * len(array) // max(array.nbytes, 1)) if array.ndim else 1
    with atomic(path) as temporary, temporary.open("wb") as file:
        if array.dtype.hasobject:
            raise ValueError(f"{path}: expected numbers, not Python objects")
        header = {"descr": _FORMAT.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
        _FORMAT.write_array_header_1_0(file, header)
        for first in range(0, len(array) if array.ndim else 1, rows):
            file.write(np.ascontiguousarray(array[first : first + rows] if array.ndim else array).data)


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Every array of a .npz. Raises ValueError naming file and array when it is damaged or holds pickled objects."""
    path = Path(path)
    refuse_pointer(path)
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            check_unpacked(path, "arrays", sum(e.file_size for e in archive.infolist()), path.stat().st_size)
            arrays = {}
            for name in archive.namelist():
                with archive.open(name) as file:
                    _check_header(file, archive.getinfo(name).file_size)
                with archive.open(name) as file:
                    arrays[name.removesuffix(".npy")] = _with_text("text", _FORMAT.read_array(file, allow_pickle=False))
            return arrays
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: expected a .npz (zip) file{f', array {name!r}' if name else ''}: {error}") from error
    except (*_MALFORMED, zlib.error, RuntimeError, OverflowError) as error:  # RuntimeError: encrypted, unknown packing
        raise ValueError(f"{path}: {f'array {name!r}: ' if name else ''}{error}") from error
    except OSError as error:
        if error.filename is not None:
            raise
        raise ValueError(f"{path}: expected a .npz (zip) file, but its parts lie outside the file: {error}") from error


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of the array that begins here. NumPy would make room for a header of any length first."""
    version = _FORMAT.read_magic(file)
    length = file.read(2 if version == (1, 0) else 4)
    promised = int.from_bytes(length, "little")
    if promised > MOST_HEADER_BYTES:
        raise ValueError(f"a header of {promised} bytes, expected at most {MOST_HEADER_BYTES}")
    read = _HEADER_READERS.get(version, _FORMAT.read_array_header_2_0)
    return read(io.BytesIO(length + file.read(promised)))


def _check_header(file: IO[bytes], size: int) -> None:
    """Raise ValueError when an array's header promises another length than is there: NumPy would allocate it first."""
    shape, _, dtype = _read_header(file)
    if dtype.hasobject:
        raise ValueError(f"expected numbers, found pickled Python objects (dtype {dtype})")
    expected = file.tell() + dtype.itemsize * math.prod(whole("header", n, f"shape {shape}") for n in shape)
    if size != expected:
        raise ValueError(f"expected {expected} bytes for shape {shape} of {dtype}, found {size}")


def _with_text(where: object, array: np.ndarray) -> np.ndarray:
    """The array itself, whose text, if it is that, is of characters that there are: Python fails at others wherever they go."""
    if array.dtype.kind == "U" and array.size:
        codes = np.ascontiguousarray(array).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
            raise ValueError(f"{where}: expected characters of Unicode")
    return array


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays uncompressed and in C order, whole or not at all. Their names may be anything, "file" too."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, np.asarray(array, order="C"), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))  # the same arrays are the same bytes
            archive.writestr(entry, buffer.getvalue())
