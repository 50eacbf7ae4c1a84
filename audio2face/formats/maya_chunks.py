"""The binary half of a Maya cache: .mc (FOR4) and .mcx (FOR8) files, as groups of big-endian chunks.

A chunk is tag, length, data, padding. FOR4 has 32-bit lengths and pads data to 4 bytes; FOR8 puts four zero bytes after
each tag, has 64-bit lengths and pads data to 8. A file is a group CACH (VRSN, STIM, ETIM), then one group MYCH per
frame: TIME in ticks (left out when each frame has its own file) and, for each channel, CHNM, SIZE and the values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from audio2face.formats.git_lfs import refuse_pointer

VECTOR_TYPES: dict[bytes, np.dtype] = {b"FVCA": np.dtype(">f4"), b"DVCA": np.dtype(">f8")}
_HEADS = {False: struct.Struct(">4sI"), True: struct.Struct(">4s4xQ")}
_GROUPS = {False: b"FOR4", True: b"FOR8"}


@dataclass(frozen=True)
class ChunkFile:
    """An open data file, memory-mapped; `wide` is FOR8."""

    path: Path
    data: mmap | bytes
    wide: bool

    def malformed(self, offset: int, expected: str, found: str) -> ValueError:
        """The error to raise for what was found at byte `offset`."""
        return ValueError(f"{self.path}: byte {offset}: expected {expected}, found {found}")


@dataclass(frozen=True)
class ChannelValues:
    """Where a channel's values lie in one frame: type tag, first byte, number of vertices."""

    tag: bytes
    start: int
    count: int


@dataclass(frozen=True)
class Sample:
    """One frame: when it is, where its group starts, and its channels."""

    file: ChunkFile
    offset: int
    tick: int
    channels: dict[str, ChannelValues]


def open_chunks(path: Path) -> ChunkFile:
    """Map a data file. Raises ValueError when it does not begin with FOR4 or FOR8."""
    refuse_pointer(path)
    data: mmap | bytes = b""
    if path.stat().st_size:
        with path.open("rb") as file:
            data = mmap(file.fileno(), 0, access=ACCESS_READ)
    chunks = ChunkFile(path, data, wide=data[:4] == b"FOR8")
    if data[:4] not in _GROUPS.values():
        raise chunks.malformed(0, "FOR4 or FOR8", repr(data[:4]))
    return chunks


def read_groups(file: ChunkFile) -> Iterator[tuple[bytes, int, int]]:
    """(type, byte of the first chunk, end) of each group in the file. Raises ValueError where the file breaks off."""
    at, end = 0, len(file.data)
    while at < end:
        tag, start, length = _chunk(file, at, end)
        if tag != _GROUPS[file.wide] or length < 4:
            raise file.malformed(at, f"a {_GROUPS[file.wide]!r} group", f"{tag!r} of {length} bytes")
        yield file.data[start : start + 4], start + 4, start + length
        at = start + length
        if file.wide and file.data[at : at + 4] == bytes(4):  # groups, too, may be padded to 8 bytes
            at += 4


def read_samples(file: ChunkFile) -> Iterator[Sample]:
    """The frames of the file; one without TIME is at the file's STIM. Raises ValueError where the file is malformed."""
    groups = read_groups(file)
    kind, at, end = next(groups)
    if kind != b"CACH":
        raise file.malformed(at - 4, "CACH", repr(kind))
    first_tick = 0
    while at < end:
        tag, start, length = _chunk(file, at, end)
        if tag == b"STIM":
            first_tick = _integer(file, start, length)
        at = _next(file, start, length)
    for kind, at, end in groups:
        if kind != b"MYCH":
            raise file.malformed(at - 4, "MYCH", repr(kind))
        yield _sample(file, at, end, first_tick)


def pack_chunk(wide: bool, tag: bytes, data: bytes) -> bytes:
    """A whole chunk, padded."""
    return _HEADS[wide].pack(tag, len(data)) + data + padding(wide, len(data))


def padding(wide: bool, length: int) -> bytes:
    """The zeros that follow `length` bytes of data."""
    return bytes(-length % (8 if wide else 4))


def pack_file_head(wide: bool, first_tick: int, last_tick: int) -> bytes:
    """The group in front of the frames."""
    body = b"CACH" + pack_chunk(wide, b"VRSN", b"0.1\0")
    body += pack_chunk(wide, b"STIM", struct.pack(">i", first_tick))
    body += pack_chunk(wide, b"ETIM", struct.pack(">i", last_tick))
    return _HEADS[wide].pack(_GROUPS[wide], len(body)) + body


def pack_frame_head(wide: bool, tick: int, channel: str, tag: bytes, count: int) -> bytes:
    """The group of a frame with one channel, up to its values."""
    size = count * 3 * VECTOR_TYPES[tag].itemsize
    body = b"MYCH" + pack_chunk(wide, b"TIME", struct.pack(">i", tick))
    body += pack_chunk(wide, b"CHNM", channel.encode("utf-8") + b"\0")
    body += pack_chunk(wide, b"SIZE", struct.pack(">i", count)) + _HEADS[wide].pack(tag, size)
    return _HEADS[wide].pack(_GROUPS[wide], len(body) + size + len(padding(wide, size))) + body


def _chunk(file: ChunkFile, at: int, end: int) -> tuple[bytes, int, int]:
    """(tag, first byte of the data, its length) of the chunk at byte `at`, which must end by byte `end`."""
    head = _HEADS[file.wide]
    if at + head.size > end:
        raise file.malformed(at, f"a chunk header of {head.size} bytes", f"the end at byte {end}")
    tag, length = head.unpack_from(file.data, at)
    if at + head.size + length > end:
        raise file.malformed(at, f"{length} bytes of {tag!r}", f"the end at byte {end}")
    return tag, at + head.size, length


def _sample(file: ChunkFile, at: int, end: int, tick: int) -> Sample:
    offset = at - 4
    channels: dict[str, ChannelValues] = {}
    while at < end:
        tag, start, length = _chunk(file, at, end)
        if tag == b"TIME" and not channels:
            tick = _integer(file, start, length)
        elif tag == b"CHNM":
            name = file.data[start : start + length].split(b"\0")[0].decode("utf-8", "replace")
            if name in channels:
                raise file.malformed(at, "each channel once in a frame", f"{name!r} again")
            channels[name], start, length = _values(file, _next(file, start, length), end)
        else:
            raise file.malformed(at, "CHNM", repr(tag))
        at = _next(file, start, length)
    return Sample(file, offset, tick, channels)


def _values(file: ChunkFile, at: int, end: int) -> tuple[ChannelValues, int, int]:
    """SIZE and the values behind it; with the start and length of the latter."""
    tag, start, length = _chunk(file, at, end)
    if tag != b"SIZE":
        raise file.malformed(at, "SIZE", repr(tag))
    count = _integer(file, start, length)
    tag, start, length = _chunk(file, _next(file, start, length), end)
    if tag in VECTOR_TYPES and length != count * 3 * VECTOR_TYPES[tag].itemsize:
        raise file.malformed(at, f"the number of vertices in {length} bytes of {tag.decode()}", str(count))
    return ChannelValues(tag, start, count), start, length


def _integer(file: ChunkFile, start: int, length: int) -> int:
    if length not in (4, 8):
        raise file.malformed(start, "an integer of 4 or 8 bytes", f"{length} bytes")
    return int.from_bytes(file.data[start : start + length], "big", signed=True)


def _next(file: ChunkFile, start: int, length: int) -> int:
    return start + length + len(padding(file.wide, length))
