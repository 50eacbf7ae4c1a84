"""Sound files (wav, flac and whatever else libsndfile reads) as float32 samples.

A wav file gives two lengths: R, of the whole, and L, of its sound. A program that writes to a pipe cannot go back to
fill them in, others fill in wrong ones, and files are cut short. How to tell these apart, where A bytes really follow
the header:

| L | R | what it is |
|---|---|---|
| up to A, not 0 | any | whole: L bytes are read, with a warning where what follows is not chunks |
| 0 | 0, the header alone, or left open | a pipe or a browser's recorder (Python's wave, GStreamer): all is read |
| 0 | another | a header that nobody completed: all is read, with a warning |
| just below or at 2 or 4 GiB, above A | any | a pipe (sox and espeak 0x7ffff000, arecord 0x7fffff00 and 0x80000000, \
ffmpeg 0xffffffff): all is read |
| above A | ends within the file, or left open | L alone is wrong: all is read, with a warning |
| above A by less than 10 ms and 1/256 | ends beyond the file | a little too long: all is read, with a warning |
| above A by more | ends beyond the file | cut short: an error |

"All" ends before chunks (LIST, id3, …) that end where the file does; where there are such, the file's end is not lost,
and it is not cut short. RF64 and BW64 are alike, with 64-bit lengths. A flac file from a pipe gives no length either.
"""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from audio2face.confined import confined
from audio2face.formats.budget import check_finite, check_sound, check_unpacked
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import atomic
from audio2face.problems import UserError

if TYPE_CHECKING:
    from soundfile import SoundFile

# Files that are taken for sound, everywhere; of two of one name the first is read.
SOUND_SUFFIXES = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3")
DECODER = ["soundfile"]  # loaded once for all files
LITTLE_S, LITTLE_SHARE = 0.01, 1 / 256  # of sound that may be missing at the end
_OPEN_BYTES = 1 << 20  # lengths so near to 2 or 4 GiB are left open
_MOST_CHUNKS = 1000  # in a file; no recorder writes more
_CHUNK = struct.Struct("<4sI")
_LATER_CHUNKS = re.compile(rb"LIST|id3 |ID3 |bext|iXML|_PMX|cue |smpl|fact|JUNK|axml|chna")  # after the sound
_LATER_BYTES, _LATER_AT_MOST = 1 << 20, 8  # where they are looked for, and how many in a row
Chunk = tuple[bytes, int, int]  # tag, first byte, length
_FLAC_SAMPLES = (1 << 36) - 1  # their number: the low bits of bytes 18 to 25


@dataclass(frozen=True)
class SoundInfo:
    """A sound file's header, with its lengths corrected.

    `open_ended`: it gives no length, as when a program writes to a pipe. `note`: what else was wrong with its lengths.
    """

    num_samples: int
    sample_rate: int
    num_channels: int
    open_ended: bool = False
    note: str = ""

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate


def sound_info(path: str | os.PathLike[str]) -> SoundInfo:
    """Length, rate and channels, without decoding. Raises ValueError naming a file that is not sound or cut short."""
    return SoundInfo(**confined(_info, os.fspath(path), load=DECODER))


def sounds_info(paths: Iterable[Path]) -> dict[Path, SoundInfo]:
    """What `sound_info` gives of all files that it can read, in one call: for hundreds of them, a call for each takes seconds."""
    wanted = list(dict.fromkeys(paths))
    if not wanted:  # no process for nothing
        return {}
    try:
        found = confined(_infos, [os.fspath(path) for path in wanted], load=DECODER)
    except ValueError:  # one of them ended the call: whoever reads it alone is told
        return {}
    return {path: SoundInfo(**info) for path, info in zip(wanted, found, strict=True) if info}


def read_sound(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """(samples (N, C) float32, sample rate); integer formats are scaled to [-1, 1).

    Raises ValueError naming the file when it is not a sound file, is cut short, or holds NaN or infinity.
    """
    samples, rate = confined(_samples, os.fspath(path), load=DECODER)
    return samples, rate


def write_sound(path: str | os.PathLike[str], samples: np.ndarray, sample_rate: int, subtype: str = "PCM_16") -> None:
    """Write samples (N,) or (N, C) in the format of the suffix, whole or not at all; integer subtypes clip at ±1."""
    import soundfile

    with atomic(path) as temporary:
        soundfile.write(os.fspath(temporary), samples, sample_rate, subtype=subtype)


def with_right_header(path: str | os.PathLike[str]) -> bytes | None:
    """The file with its lengths corrected and the same samples; None if they are right. Raises as `read_sound`."""
    opened = _open(Path(path))
    return opened.content.getvalue() if opened.content and (opened.open_ended or opened.note) else None


def wav_chunks(file: BinaryIO) -> Iterator[Chunk]:
    """(tag, first byte, length) of a wav file's chunks up to its sound, `data`; the first stands for the whole.

    Nothing when it is not a wav file. Lengths are as the header gives them, of RF64 and BW64 in 64 bits.
    """
    magic, riff, kind = struct.unpack("<4sI4s", file.read(12).ljust(12))
    if magic not in (b"RIFF", b"RF64", b"BW64") or kind != b"WAVE":
        return
    long = {}
    start = 12
    if magic != b"RIFF":
        tag, length, *sizes = struct.unpack("<4sIQQ", file.read(24).ljust(24))
        if tag == b"ds64":
            long = dict(zip((magic, b"data"), sizes, strict=True))
            start += 8 + length
    yield magic, 8, long.get(magic, riff)
    file.seek(start)
    for _ in range(_MOST_CHUNKS):
        if len(head := file.read(8)) < 8:
            return
        tag, length = _CHUNK.unpack(head)
        start = file.tell()
        yield tag, start, long.get(tag, length) if length == 0xFFFFFFFF else length
        if tag == b"data":
            return
        file.seek(start + length)
        padded = length % 2 and file.read(4) not in (b"data", b"fmt ", b"LIST", b"fact")  # some forget the padding
        file.seek(start + length + padded)


def _info(path: str) -> dict[str, Any]:
    opened = _open(Path(path))
    with _decoder(path, opened.content) as file:
        check_sound(path, file.frames, file.channels, file.samplerate)
        return asdict(SoundInfo(file.frames, file.samplerate, file.channels, opened.open_ended, opened.note))


def _infos(paths: list[str]) -> list[dict[str, Any] | None]:
    found: list[dict[str, Any] | None] = []
    for path in paths:
        try:
            found.append(_info(path))
        except (UserError, ValueError, OSError, MemoryError):
            found.append(None)
    return found


def _samples(path: str) -> tuple[np.ndarray, int]:
    with _decoder(path, _open(Path(path)).content) as file:
        check_sound(path, file.frames, file.channels, file.samplerate)
        samples, rate = file.read(file.frames, dtype="float32", always_2d=True), file.samplerate
    check_finite(path, "sample", samples)
    return samples, int(rate)


@dataclass(frozen=True)
class _Opened:
    """What libsndfile is to read: `content`, or the file itself where None."""

    content: io.BytesIO | None = None
    open_ended: bool = False
    note: str = ""


def _open(path: Path) -> _Opened:
    """Look at the header. Raises ValueError for a wav file that is cut short: libsndfile reads one silently."""
    refuse_pointer(path)
    with path.open("rb") as file:
        if file.read(4) == b"fLaC":
            return _open_flac(path, file)
        file.seek(0)
        chunks = list(wav_chunks(file))
        if not chunks:
            return _Opened()
        size = path.stat().st_size
        if chunks[-1][0] != b"data":
            raise ValueError(f"{path}: byte {size}: expected a 'data' chunk, the file ends")
        whole, (_, start, given) = chunks[0], chunks[-1]
        form = next((at for tag, at, _ in chunks if tag == b"fmt "), None)
        if form is None:
            return _Opened()  # libsndfile reports it
        file.seek(form + 8)
        per_second = max(1, *struct.unpack("<I", file.read(4).ljust(4, b"\0")))
        file.seek(start)
        rest = file.read() if given == 0 or start + given > size else b""
        if 0 < given <= size - start:
            more = size - _chunks_end(file, start + given)
            note = f"{more / per_second:.2f} s of data follow the sound that the header declares, and are not read"
            plain = whole[0] == b"RIFF" and all(map(_follows, chunks[1:], chunks[2:]))
            content = None if plain else _rewritten(path, chunks, given)
            return _Opened(content, False, "" if _is_little(more, given, per_second) else note)
    there = _length(rest)
    if given == there == 0:
        return _Opened()
    return _judge(path, chunks, there, size, per_second)


def _judge(path: Path, chunks: list[Chunk], there: int, size: int, per_second: int) -> _Opened:
    """A wav file of `size` bytes whose header gives another length than the `there` bytes of sound that it holds."""
    (_, _, riff), (_, start, given) = chunks[0], chunks[-1]
    end = riff + 8
    seconds, given_s = f"{there / per_second:.2f} s", f"{given / per_second:.2f} s"
    if _is_open(given) or (given == 0 and (end in (8, start) or _is_open(riff))):
        return _Opened(_rewritten(path, chunks, there), True)
    proven = end <= size or _is_open(riff) or there < size - start  # the end of the file is not lost
    if given == 0 or proven or _is_little(given - there, given, per_second):
        note = f"the header declares {given_s} of sound; all {seconds} in the file are read"
        if given_s == seconds:
            note = f"the header declares {given} bytes of sound; all {there} in the file are read"
        return _Opened(_rewritten(path, chunks, there), False, note)
    raise ValueError(
        f"{path}: byte {size}: expected {given} bytes of sound from byte {start}, but the file ends after {seconds} "
        f"of {given_s}: copy or export it again"
    )


def _chunks_end(file: BinaryIO, at: int) -> int:
    """Where the chunks end that follow each other from byte `at` on, in a file that may end before it should."""
    size = file.seek(0, os.SEEK_END)
    for _ in range(_MOST_CHUNKS):
        at += at % 2
        file.seek(at)
        tag, length = _CHUNK.unpack(file.read(8).ljust(8, b"\0"))  # no tag at the end
        if not re.fullmatch(rb"[ -~]{4}", tag) or at + 8 + length > size:
            break
        at += 8 + length
    return at


def _is_open(length: int) -> bool:
    return length > 1 << 30 and min(length % (1 << 31), -length % (1 << 31)) <= _OPEN_BYTES


def _is_little(missing: int, given: int, bytes_per_s: int) -> bool:
    return missing < LITTLE_S * bytes_per_s and missing < LITTLE_SHARE * given


def _follows(chunk: Chunk, after: Chunk) -> bool:
    return after[1] == chunk[1] + chunk[2] + chunk[2] % 2 + 8


def _length(rest: bytes) -> int:
    """How much of the rest of a file is sound: up to the chunks that end where the file does."""
    for found in _LATER_CHUNKS.finditer(rest, max(0, len(rest) - _LATER_BYTES)):
        at = found.start()
        for _ in range(_LATER_AT_MOST):
            if at + 8 > len(rest):
                break
            at += 8 + _CHUNK.unpack_from(rest, at)[1]
            at += at % 2 and at < len(rest)
        if at == len(rest):
            return found.start()
    return len(rest)


def _rewritten(path: Path, chunks: list[Chunk], length: int) -> io.BytesIO | None:
    """The file as RIFF with `length` bytes of sound, and the chunks before and after it; None for one of 4 GiB."""
    if path.stat().st_size >= 1 << 32:
        return None
    data = path.read_bytes()
    parts = [b"WAVE"]
    for tag, start, given in chunks[1:]:
        count = length if tag == b"data" else given
        if tag != b"fact" or length == given:  # a number of samples, as wrong as the length
            parts += [_CHUNK.pack(tag, count), data[start : start + count], b"\0" * (count % 2)]
    later = data[start + length :]
    parts.append(later[length % 2 if not _LATER_CHUNKS.match(later) else 0 :])
    return io.BytesIO(b"".join([_CHUNK.pack(b"RIFF", sum(map(len, parts))), *parts]))


def _open_flac(path: Path, file: BinaryIO) -> _Opened:
    """A flac file whose header gives no number of samples: count them, and enter it."""
    file.seek(0)
    head = file.read(26)
    (packed,) = struct.unpack(">Q", head[18:26].ljust(8, b"\1"))
    if packed & _FLAC_SAMPLES:
        return _Opened()
    with _decoder(path, None) as decoder:
        count = _count(path, decoder)
    return _Opened(io.BytesIO(head[:18] + struct.pack(">Q", packed | count) + file.read()), True)


def _count(path: Path, file: SoundFile) -> int:
    """Samples up to the end, which libsndfile reads before it fails to find its place there."""
    from soundfile import LibsndfileError

    block, count = np.empty((1 << 16, file.channels), np.float32), 0
    while True:
        block[:] = np.nan
        with suppress(LibsndfileError):
            file.read(out=block)
        here = int(np.isfinite(block[:, 0]).sum())
        count += here
        check_unpacked(path, "samples", 4 * count * file.channels, path.stat().st_size)
        if here < len(block):
            return count


@contextmanager
def _decoder(path: str | os.PathLike[str], content: io.BytesIO | None) -> Iterator[SoundFile]:
    import soundfile

    try:
        with soundfile.SoundFile(content or os.fspath(path)) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: expected a sound file: {error.error_string}") from error
