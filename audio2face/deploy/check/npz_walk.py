"""The members of an npz file as the runtime finds them: from one local header to the next, without the directory."""

from __future__ import annotations

import ast
import math
import re
import struct
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from audio2face.deploy.check.rules import brief
from audio2face.problems import Problems

_LOCAL, _DIRECTORY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_ZIP64 = 0xFFFFFFFF
_LONGEST_HEADER = 255  # of a stored array, for the runtime
_LONGEST_TEXT = 2**16
_LARGEST_DEFLATED = 2**30
_BLOCK = 2**22
_DTYPE = re.compile(r"[<>|=]?([a-zA-Z])(\d{1,9})")


@dataclass(frozen=True)
class Member:
    """One array: its dtype as written, shape, order, and where its values are: in the file, or unpacked in `data`."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    offset: int
    data: bytes | None

    @property
    def size(self) -> int:
        """How many values the header promises."""
        return math.prod(self.shape)

    def values(self) -> np.ndarray:
        """The values, flat and in file order. Only for float32, int32 and bytes, whose dtype has been checked."""
        dtype = np.dtype(self.dtype)
        if self.size == 0 or dtype.itemsize == 0:
            return np.zeros(self.size, dtype)
        if self.data is not None:
            return np.frombuffer(self.data, dtype, self.size, self.offset)
        return np.memmap(self.path, dtype, "r", self.offset, (self.size,))

    def all_finite(self) -> bool:
        """Whether no value is NaN or infinite, looked at block by block."""
        values = self.values()
        return all(np.isfinite(values[i : i + _BLOCK]).all() for i in range(0, len(values), _BLOCK))


@dataclass(frozen=True)
class _Local:
    """A member's local header: `size` is what it occupies in the file, None when the header does not say."""

    name: bytes
    flags: int
    method: int
    crc: int
    start: int
    size: int | None
    unpacked: int | None
    sizes_in_place: bool


def walk(path: Path, file: str, report: Problems) -> dict[str, Member]:
    """All arrays of the npz file by name, with everything that is wrong about its containers in the report."""
    if path.suffix != ".npz":
        report.error("npz-extension", "must be named .npz, the runtime reads other names as another format", file=file)
    members: dict[str, Member] = {}
    names: list[str] = []
    headers: dict[str, _Local] = {}
    length = path.stat().st_size
    with path.open("rb") as stream:
        offset = 0
        while (local := _local_header(stream, offset, length)) is not None:
            name = _check_local(local, file, report)
            if name in names:
                report.error("npz-duplicate", f"{brief(name)} occurs twice", file=file)
            names.append(name)
            headers[name] = local
            member, end = _read_member(stream, path, local, length, name, file, report)
            if member is not None:
                members[name] = member
            if end is None or end <= offset:
                break
            offset = end
        stream.seek(min(offset, length))
        rest = stream.read(4)
    if rest not in (_DIRECTORY, _END):
        report.error("npz-sync", f"at byte {offset} there is neither a member nor the directory", file=file)
    elif not names:
        report.error("npz-zip", "has no arrays", file=file)
    _check_directory(path, file, names, headers, report)
    return members


def _local_header(stream: BinaryIO, offset: int, length: int) -> _Local | None:
    """The local header at `offset`, or None when there is none (any more)."""
    stream.seek(offset)
    fixed = stream.read(30)
    if len(fixed) < 30 or fixed[:4] != _LOCAL:
        return None
    flags, method, _, _, crc, packed, unpacked, name_size, extra_size = struct.unpack("<6xHHHHIIIHH", fixed)
    name, extra = stream.read(name_size), stream.read(extra_size)
    in_place = _ZIP64 not in (packed, unpacked)
    sizes = (packed, unpacked) if in_place else _zip64_sizes(extra)
    start = offset + 30 + name_size + extra_size
    if flags & 8 or sizes is None or start + sizes[0] > length:
        return _Local(name, flags, method, crc, start, None, None, in_place)
    return _Local(name, flags, method, crc, start, sizes[0], sizes[1], in_place)


def _zip64_sizes(extra: bytes) -> tuple[int, int] | None:
    """Packed and unpacked size from the zip64 record of a local header."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == 1 and size >= 16 and len(extra) >= 20:
            unpacked, packed = struct.unpack_from("<QQ", extra, 4)
            return packed, unpacked
        extra = extra[4 + size :]
    return None


def _check_local(local: _Local, file: str, report: Problems) -> str:
    """Report what is wrong with a member apart from its data; returns the array's name."""
    full = local.name.decode("utf-8", "replace")
    if not full.endswith(".npy"):
        report.error("npz-name", f"member {brief(full)} does not end in .npy", file=file)
    if local.flags & 8:
        report.error(
            "npz-descriptor", f"member {brief(full)} was written to a stream, its size comes after it", file=file
        )
    if local.flags & 1 or local.method not in (0, 8):
        report.error(
            "npz-compressed", f"member {brief(full)} is encrypted or packed by method {local.method}", file=file
        )
    elif local.method == 8 and (not local.sizes_in_place or local.size is None):
        report.error("npz-compressed", f"member {brief(full)} is deflated without its size; use np.savez", file=file)
    return full[:-4]


def _read_member(
    stream: BinaryIO, path: Path, local: _Local, length: int, name: str, file: str, report: Problems
) -> tuple[Member | None, int | None]:
    """A member's array and the byte after it (None: unknown)."""
    end = None if local.size is None else local.start + local.size
    if local.flags & 1 or local.method not in (0, 8) or (local.method == 8 and local.size is None):
        return None, end
    if local.method == 8:
        data = _inflate(stream, local)
        if data is None:
            report.error("npz-zip", f"{brief(name)}: cannot be unpacked", file=file)
            return None, end
        source, size, base = data, len(data), 0
    else:
        stream.seek(local.start)
        data, size, base = None, max(length - local.start, 0), local.start
        source = stream.read(min(size, _LONGEST_TEXT + 12))
    header = parse_header(source, stored=local.method == 0)
    if isinstance(header, str):
        report.error("npy-header", f"{brief(name)}: {header}", file=file)
        return None, end
    dtype, shape, fortran, header_size = header
    item = _DTYPE.fullmatch(dtype)
    if item is None or item[1] in "OUVmM":
        report.error(
            "dtype", f"{brief(name)}: dtype {brief(dtype)} cannot be read and hides the arrays after it", file=file
        )
        return None, end
    needed = header_size + math.prod(shape) * int(item[2])
    if needed > size:
        report.error(
            "npz-zip", f"{brief(name)}: shape {brief(shape)} needs {needed} bytes, the file ends before", file=file
        )
        return None, end
    if local.method == 0:
        end = local.start + needed  # the runtime ignores the size in the zip header
    elif needed < size:  # of what is deflated it takes the last bytes
        report.error(
            "npz-sync", f"{brief(name)}: {size - needed} bytes follow the values of shape {brief(shape)}", file=file
        )
    if _crc(stream, local, needed, data) != local.crc and not local.flags & 8:
        report.error("npz-crc", f"{brief(name)}: the data do not match their checksum", file=file)
    return Member(path, dtype, shape, fortran, base + header_size, data), end


def _inflate(stream: BinaryIO, local: _Local) -> bytes | None:
    assert local.size is not None and local.unpacked is not None
    if local.unpacked > _LARGEST_DEFLATED:
        return None
    stream.seek(local.start)
    try:
        data = zlib.decompressobj(-15).decompress(stream.read(local.size), local.unpacked + 1)
    except zlib.error:
        return None
    return data if len(data) == local.unpacked else None


def _crc(stream: BinaryIO, local: _Local, size: int, data: bytes | None) -> int:
    if data is not None:
        return zlib.crc32(data)
    stream.seek(local.start)
    crc = 0
    while size > 0 and (block := stream.read(min(size, _BLOCK))):
        crc = zlib.crc32(block, crc)
        size -= len(block)
    return crc


def parse_header(source: bytes, stored: bool) -> tuple[str, tuple[int, ...], bool, int] | str:
    """dtype, shape, Fortran order and length of an npy header, or what is wrong with it."""
    if source[:6] != b"\x93NUMPY" or len(source) < 12:
        return "is not an npy array"
    major = source[6]
    if major == 1:
        size, start = struct.unpack_from("<H", source, 8)[0], 10
    elif major in (2, 3):
        size, start = struct.unpack_from("<I", source, 8)[0], 12
    else:
        return f"npy version {major} is unknown"
    if size > _LONGEST_TEXT:
        return f"has a header of {size} bytes"
    if stored and (major != 1 or size > _LONGEST_HEADER):
        return f"npy version {major} with a header of {size} bytes; the runtime reads version 1 up to {_LONGEST_HEADER}"
    text = source[start : start + size]
    if len(text) < size:
        return "the npy header is cut off"
    try:
        with warnings.catch_warnings(action="ignore"):  # of Python syntax in a damaged header
            header = ast.literal_eval(text.decode("latin1").strip())
        dtype, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        return "the npy header cannot be parsed"
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 2**63 for n in shape) or len(shape) > 32:
        return f"the npy header has shape {brief(shape)}"
    if not isinstance(fortran, bool):
        return f"the npy header has fortran_order {brief(fortran)}"
    dtype = dtype if isinstance(dtype, str) else "structured"
    if fault := _layout_fault(text, dtype, fortran, stored):
        return fault
    return dtype, shape, fortran, start + size


def _layout_fault(text: bytes, dtype: str, fortran: bool, stored: bool) -> str | None:
    """What the runtime would misread in a valid npy header: it expects values at fixed places, and a line break."""
    if stored and text.find(b"\n") != len(text) - 1:
        return "the npy header does not end with its only line break, where the runtime expects the values"
    wanted = {b"descr": (9, dtype), b"fortran_order": (16, str(fortran))}
    for key, (offset, value) in wanted.items():
        at = text.find(key) + offset
        if dtype != "structured" and text[at : at + len(value)] != value.encode("latin1"):
            return f"the npy header is not spaced as NumPy writes it: the runtime does not find {key.decode()} in it"
    return None


def _check_directory(path: Path, file: str, names: list[str], headers: dict[str, _Local], report: Problems) -> None:
    """The zip directory, by which every other program reads, must list the same members at the same places."""
    try:
        with zipfile.ZipFile(path) as archive:
            listed = [info.filename[:-4] for info in archive.infolist()]
            wrong = [info.filename for info in archive.infolist() if not _agrees(archive, info, headers)]
    except Exception as error:  # zipfile raises a dozen kinds for damaged files; each is this finding
        report.error("npz-zip", f"the zip directory cannot be read: {brief(str(error))}", file=file)
        return
    if sorted(listed) != sorted(names):
        report.error(
            "npz-sync", f"its directory lists {len(listed)} arrays, the runtime's walk finds {len(names)}", file=file
        )
    elif wrong:
        report.error("npz-zip", f"its directory entry of {brief(wrong[0])} contradicts the member", file=file)


def _agrees(archive: zipfile.ZipFile, info: zipfile.ZipInfo, headers: dict[str, _Local]) -> bool:
    """Whether a directory entry agrees with the member's own header. Raises what zipfile raises."""
    local = headers.get(info.filename[:-4])
    if local is None or local.flags & 8:  # has its own finding
        return True
    archive.open(info).close()  # reads the header there
    told = (info.compress_type, info.CRC, info.compress_size, info.file_size)
    return told == (local.method, local.crc, local.size, local.unpacked)
