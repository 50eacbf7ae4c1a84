"""What a file may claim: its counts, sizes, rates and references, compared with the file before room is made for them.

Every reader of this room asks here first, so that a small file never costs much memory or time. Each check raises
ValueError naming the file, what it claims, and what to do.
"""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

FREE_BYTES = 256 << 20  # numbers that any file may unpack to, however small it is
MOST_PACKED = 200  # beyond that, bytes of numbers for each byte of the file
LEAST_RATE, MOST_RATE = 1_000, 768_000  # samples a second
ANY_RATE, RATE_STEP = 192_000, 100  # rates above the first are multiples of the second: others need filters of 100 MB
MOST_CHANNELS = 256
FREE_PRIMS, PRIMS_EACH = (
    1_000,
    20,
)  # what references may make of a scene: this many, and this many for each written prim
MOST_DEPTH = 1_000  # brackets within brackets of a scene
MOST_LAYERS = 1_000  # files that a scene is made of


def whole(where: object, value: Any, what: str, least: int = 0) -> int:
    """`value` itself when it is a whole number from `least`; true and 3.0 are not."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{where}: {what}: expected a whole number from {least}, found {_short(value)}")
    return int(value)


def check_fits(where: object, what: str, count: Any, item_bytes: int, available: int) -> int:
    """`count` when so many items of `item_bytes` (at least one) fit in the `available` bytes that the file has left."""
    count = whole(where, count, what)
    if count * max(item_bytes, 1) > max(available, 0):
        raise ValueError(
            f"{where}: {what}: expected {_short(count)} of {item_bytes} bytes, the file has {max(available, 0)} left; "
            "copy or export it again"
        )
    return count


def check_unpacked(where: object, what: str, unpacked: int, packed: int) -> None:
    """Refuse a file of `packed` bytes whose numbers would take far more memory than real ones ever do."""
    if unpacked > max(FREE_BYTES, MOST_PACKED * packed):
        raise ValueError(
            f"{where}: {packed} bytes would unpack to {_short(unpacked)} bytes of {what}, which no real file does; "
            "export it without compression, or in parts"
        )


def check_rate(where: object, rate: Any) -> int:
    """A sample rate as int: 1 to 768 kHz, above 192 kHz a multiple of 100."""
    number = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
    if not number or not LEAST_RATE <= rate <= MOST_RATE or rate != int(rate) or (rate > ANY_RATE and rate % RATE_STEP):
        raise ValueError(
            f"{where}: a sample rate of {_short(rate)} Hz: expected a whole number from {LEAST_RATE} to {MOST_RATE}, above "
            f"{ANY_RATE} a multiple of {RATE_STEP}; export the sound at 48000 Hz"
        )
    return int(rate)


def check_sound(path: str | os.PathLike[str], frames: int, channels: int, rate: int) -> None:
    """A sound's rate and channels, and that a small file does not hold hours of them."""
    check_rate(path, rate)
    if channels > MOST_CHANNELS:
        raise ValueError(f"{path}: {channels} channels: expected at most {MOST_CHANNELS}; export the voice as mono")
    check_unpacked(path, "samples", 4 * channels * whole(path, frames, "samples"), os.stat(path).st_size)


def check_finite(where: object, what: str, numbers: np.ndarray) -> None:
    """Refuse rows (N, …) with NaN or infinity."""
    if not np.isfinite(numbers).all():
        first = int(np.argmin(np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1)))
        raise ValueError(f"{where}: {what} {first}: expected numbers, found NaN or infinity")


def check_corners(where: object, triangles: np.ndarray, num_vertices: int) -> None:
    """Refuse triangles (F, 3) that name vertices which are not there."""
    if triangles.size and (triangles.min() < 0 or triangles.max() >= num_vertices):
        raise ValueError(
            f"{where}: faces name vertices {triangles.min()} to {triangles.max()}, there are {num_vertices}"
        )


def inside(path: Path, reference: str | os.PathLike[str], what: str) -> Path:
    """The file that `path` refers to, which must lie in its folder, and have a name that files can have."""
    file = path.parent / reference
    try:
        outside = not file.resolve().is_relative_to(path.parent.resolve())
        file.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a loop of links
        raise ValueError(
            f"{path}: {what} {os.fspath(reference)[:60]!r} is no name of a file ({error.__class__.__name__})"
        ) from error
    if outside:
        raise ValueError(
            f"{path}: {what} {os.fspath(reference)!r} lies outside the file's folder; copy it into that folder"
        )
    return file


def check_depth(where: object, text: bytes) -> None:
    """Refuse a text whose brackets nest so deep that a parser in C would end the process."""
    brackets = np.frombuffer(text, np.uint8)
    brackets = brackets[np.isin(brackets, np.frombuffer(b"{}[]()", np.uint8))]
    steps = np.where(np.isin(brackets, np.frombuffer(b"{[(", np.uint8)), np.int32(1), np.int32(-1))
    deepest = int(np.cumsum(steps, dtype=np.int32).max(initial=0))
    if deepest > MOST_DEPTH:
        raise ValueError(
            f"{where}: nested {deepest} deep, expected at most {MOST_DEPTH}; export the face alone, flattened"
        )


def parse_json(where: object, text: str | bytes) -> Any:
    """JSON text as Python's values; ValueError also for nesting without end and numbers of thousands of digits."""
    try:
        return json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except RecursionError as error:
        raise ValueError(f"{where}: nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 text (byte {error.start})") from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def parse_xml(where: object, text: bytes, what: str) -> ElementTree.Element:
    """The root of an XML text that declares no entities of its own, which could grow without end."""
    try:
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise ValueError("it declares a document type")
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: encodings that expat refuses
        raise ValueError(f"{where}: expected {what} (XML): {error}") from error


def _short(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "a number of more than 38 digits"
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}…"
