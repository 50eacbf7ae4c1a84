"""Recordings of iFacialMocap and FaceMotion3D as text: a line per frame of `name-value|name&value|=head#x,y,z,…`."""

from __future__ import annotations

import os
import re
from array import array
from pathlib import Path

import numpy as np

from audio2face.formats.curve_rows import CurveRows, check_blank, empty_rows
from audio2face.formats.git_lfs import refuse_pointer

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SHAPE = re.compile(rf"([^&#=|-]+)[-&]({_NUMBER})")
_BONE = re.compile(r"=?([^&#=|-]+)#(.*)")
_TURNS = ("Pitch", "Yaw", "Roll")  # about x, y, z, in degrees
_PLACES = ("_position_x", "_position_y", "_position_z")
MOST_LINE = 1 << 16  # characters of a frame: 80 values take 2,000


def is_curve_text(first_line: str) -> bool:
    """Whether a file that begins with this line is such a recording."""
    parts = [part for part in first_line.strip().split("|") if part]
    return len(parts) > 1 and any(_SHAPE.fullmatch(part) or _BONE.fullmatch(part) for part in parts)


def read_curve_text(path: str | os.PathLike[str]) -> CurveRows:
    """Weights as written (0 to 100), head and eyes as headPitch, headYaw, headRoll in degrees, head_position_x, ….

    An empty line between others is a missing frame; what a line leaves out is missing. The file has no times and no rate.
    Raises ValueError naming file and line.
    """
    path = Path(path)
    refuse_pointer(path)
    places: dict[str, int] = {}
    rows, columns, numbers = array("q"), array("q"), array("d")
    count = 0
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line, text in enumerate(iter(lambda: file.readline(MOST_LINE), ""), start=1):
            if not text.endswith("\n") and len(text) == MOST_LINE:
                raise ValueError(f"{path}: line {line}: longer than {MOST_LINE} characters, which no frame is")
            frame = _frame(f"{path}: line {line}", text.strip())
            for name, value in frame.items():
                rows.append(line - 1)
                columns.append(places.setdefault(name, len(places)))
                numbers.append(value)
            count = line if frame else count
            check_blank(path, line, count)
    if not places:
        raise ValueError(f"{path}: line 1: expected name-value|name-value|…, found nothing")
    values = empty_rows(path, count, len(places), path.stat().st_size)
    values[np.array(rows), np.array(columns)] = np.array(numbers)
    return CurveRows(tuple(places), values)


def _frame(where: str, line: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in line.split("|"))):
        if shape := _SHAPE.fullmatch(part):
            new = {shape[1].strip(): float(shape[2])}
        elif bone := _BONE.fullmatch(part):
            new = _bone(where, bone[1].strip(), bone[2])
        else:
            raise ValueError(f"{where}: expected name-value, name&value or =name#x,y,z, found {part!r:.60}")
        double = next(iter(found.keys() & new.keys()), None)
        if double is not None:
            raise ValueError(f"{where}: {double!r} stands there twice")
        found |= new
    infinite = next((name for name, value in found.items() if not np.isfinite(value)), None)
    if infinite is not None:
        raise ValueError(f"{where}: {infinite!r}: expected a number, found infinity")
    return found


def _bone(where: str, name: str, text: str) -> dict[str, float]:
    try:
        values = [float(number) for number in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (3, 6):
        raise ValueError(f"{where}: {name}: expected 3 degrees, or these and a position, found {text!r:.60}")
    keys = [name + ending for ending in (*_TURNS, *_PLACES)]
    return dict(zip(keys, values, strict=False))
