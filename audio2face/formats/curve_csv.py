"""Tables of text with a header of names and a row per frame: .csv of any separator, Live Link Face's time codes too."""

from __future__ import annotations

import csv
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from audio2face.formats.arkit_csv import read_clock
from audio2face.formats.budget import check_unpacked
from audio2face.formats.curve_rows import (
    CurveRows,
    by_frames,
    check_blank,
    empty_rows,
    find_names,
    is_frame,
    rate_from,
    time_unit,
    times_from,
)
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import atomic

MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none")
SEPARATORS = "\t;"  # else a comma
MOST_HEADER = 1 << 20  # characters
UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_curve_csv(path: str | os.PathLike[str], names: Sequence[str] | None = None) -> CurveRows:
    """The columns `names` (None: all but times and frame numbers) of a table, as written.

    Times are read from a column of seconds, milliseconds or time codes; rows whose numbers a column of frames leaves out
    are missing, as are blank rows between others, empty cells, "nan" and rows of a Live Link Face recording without a face.
    Raises ValueError naming file, line and column for cells that are no numbers, rows of another length and a missing header.
    """
    path = Path(path)
    refuse_pointer(path)
    with _open(path) as file:
        first = file.readline(MOST_HEADER)
        separator = next((mark for mark in SEPARATORS if mark in first), ",")
        file.seek(0)
        lines = _lines(path, csv.reader(file, delimiter=separator))
        header = [name.strip() for name in next(lines, (1, []))[1]]
        _check_header(path, header)
        role = _Roles.of(header)
        chosen = (
            [i for i in range(len(header)) if i not in role.used] if names is None else find_names(path, header, names)
        )
        if not chosen:
            raise ValueError(f"{path}: line 1: no column of values beside {', '.join(header):.200}")
        body = _read_body(path, lines, header, role, chosen, separator != ",")
    return _placed(path, body, header, role, [header[i] for i in chosen], separator != ",")


def write_curve_csv(
    path: str | os.PathLike[str], names: Sequence[str], values: np.ndarray, times_s: np.ndarray | None = None
) -> None:
    """Write values (T, D), NaN for what is missing, under their names, whole or not at all; `times_s` (T,) go first."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*([] if times_s is None else ["time"]), *names])
        for t, row in enumerate(np.asarray(values)):
            time = [] if times_s is None else [repr(round(float(times_s[t]), 9))]
            writer.writerow([*time, *(f"{v:.9g}" for v in row)])


@dataclass(frozen=True)
class _Roles:
    """Columns that are no values (`used`): times, frame numbers, and how many shapes a row has (0: no face)."""

    time: int | None
    frame: int | None
    faces: int | None
    used: frozenset[int]

    @classmethod
    def of(cls, header: Sequence[str]) -> _Roles:
        times = [i for i, name in enumerate(header) if time_unit(name)[0]]
        frames = [i for i, name in enumerate(header) if is_frame(name)]
        faces = [i for i, name in enumerate(header) if name.lower() == "blendshapecount"]
        time, frame, face = (found[0] if found else None for found in (times, frames, faces))
        return cls(time, frame, face, frozenset(times + frames + faces))

    @property
    def clock(self) -> int | None:
        """The column that says when a row is."""
        return self.frame if self.time is None else self.time


@dataclass(frozen=True)
class _Body:
    """Rows that are not blank: their `lines` of the file, `places` among all rows, `stamps` of time or frame, `values`."""

    lines: list[int]
    places: list[int]
    stamps: list[str]
    values: np.ndarray


def _open(path: Path) -> TextIO:
    with path.open("rb") as file:
        wide = file.read(2) in UNICODE_MARKS
    return path.open(newline="", encoding="utf-16" if wide else "utf-8-sig", errors="replace")


def _lines(path: Path, rows: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line numbers, blank ones as [], by a csv.reader."""
    last = 0
    try:
        for cells in rows:
            filled = any(cell and not cell.isspace() for cell in cells)
            last = rows.line_num if filled else last
            check_blank(path, rows.line_num, last)
            yield rows.line_num, cells if filled else []
    except csv.Error as error:
        raise ValueError(f"{path}: line {rows.line_num}: {error}") from error


def _read_body(
    path: Path, rows: Iterator[tuple[int, list[str]]], header: list[str], role: _Roles, chosen: list[int], comma: bool
) -> _Body:
    body, numbers, clock = _Body([], [], [], np.empty(0)), array("d"), role.clock
    names, nothing = [header[i] for i in chosen], [np.nan] * len(chosen)
    for place, (line, cells) in enumerate(rows):
        if not cells:
            continue
        if len(cells) != len(header):
            raise ValueError(f"{path}: line {line}: expected {len(header)} cells as in the header, found {len(cells)}")
        face = role.faces is None or cells[role.faces].strip() not in ("", "0")
        numbers.extend(_numbers(path, line, [cells[i] for i in chosen], names, comma) if face else nothing)
        body.lines.append(line)
        body.places.append(place)
        if clock is not None:
            body.stamps.append(cells[clock].strip())
    check_unpacked(path, "values", numbers.itemsize * len(numbers), path.stat().st_size)
    values = np.frombuffer(numbers, np.float64).reshape(-1, len(chosen)) if numbers else np.empty((0, len(chosen)))
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = infinite[0].tolist()
        raise ValueError(f"{path}: line {body.lines[row]}, column {names[column]!r}: expected a number, found infinity")
    return replace(body, values=values)


def _placed(path: Path, body: _Body, header: list[str], role: _Roles, names: list[str], comma: bool) -> CurveRows:
    """Rows in their places: by times, by frame numbers, or as they come, blank ones missing."""
    size, clock = path.stat().st_size, role.clock
    found = CurveRows(tuple(names), body.values)
    if clock is None:
        if not body.places or all(place == 2 * i + 1 for i, place in enumerate(body.places)):
            return found  # every second line is blank: how some programs end their lines
        values = empty_rows(path, body.places[-1] + 1, len(names), size)
        values[body.places] = body.values
        return replace(found, values=values)
    if role.time is not None and any(":" in stamp for stamp in body.stamps[:1]):
        codes, stamps = read_clock(path, list(zip(body.lines, body.stamps, strict=True)), None)
        return replace(found, times_s=stamps - stamps[:1], fps=codes.rows_per_s or None)
    name = header[clock]
    stamps = np.array([_number(path, n, name, s, comma) for n, s in zip(body.lines, body.stamps, strict=True)])
    if np.isnan(stamps).any():
        line = body.lines[int(np.isnan(stamps).argmax())]
        raise ValueError(f"{path}: line {line}, column {name!r}: expected a number, found nothing")
    if role.time is None:
        return by_frames(path, found, stamps, body.lines, size)
    times, note = times_from(path, stamps, time_unit(name)[1], body.lines)
    return replace(found, times_s=times, fps=rate_from(times), notes=(note,) if note else ())


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise ValueError(f"{path}: line 1: expected a header of names, found nothing")
    if all(_is_number(name) for name in header):
        raise ValueError(f"{path}: line 1: expected a header of names, found numbers; write the names above them")
    double = next((name for name, same in groupby(sorted(header)) if len(list(same)) > 1), None)
    if double is not None:
        places = [str(i + 1) for i, name in enumerate(header) if name == double]
        raise ValueError(f"{path}: line 1: columns {' and '.join(places)} are both named {double!r}; rename one")


def _numbers(path: Path, line: int, cells: Sequence[str], names: Sequence[str], comma: bool) -> list[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return [_number(path, line, name, cell, comma) for name, cell in zip(names, cells, strict=True)]


def _number(path: Path, line: int, name: str, cell: str, comma: bool) -> float:
    text = cell.strip()
    if text.lower() in MISSING:
        return np.nan
    if comma and "." not in text:
        text = text.replace(",", ".", 1)
    try:
        value = float(text)
    except ValueError:
        value = np.inf
    if not np.isfinite(value):
        raise ValueError(f"{path}: line {line}, column {name!r}: expected a number, found {cell.strip()!r:.40}")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
