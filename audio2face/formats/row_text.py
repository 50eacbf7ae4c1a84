"""Rows of numbers in the text of a table (.csv) or a motion (.bvh), some of which are written anew; all else stays, to the byte."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.curve_csv import SEPARATORS, UNICODE_MARKS
from audio2face.paths import atomic

MOTION = "frametime:"  # what the line of a BVH before its rows begins with, without blanks


@dataclass(frozen=True)
class RowText:
    """A file's `lines` with their ends, those of them that are `rows`, what parts their cells (None: blanks), the `columns`."""

    path: Path
    lines: list[str]
    rows: list[int]
    separator: str | None
    columns: list[str]

    def write(self, path: str | os.PathLike[str], cells: Mapping[tuple[int, int], float]) -> None:
        """Write the file with other numbers in some cells {(row, column): number}, whole or not at all."""
        lines = list(self.lines)
        changed: dict[int, dict[int, float]] = {}
        for (row, column), value in cells.items():
            changed.setdefault(self.rows[row], {})[column] = value
        for place, values in changed.items():
            line = lines[place].rstrip("\r\n")
            texts = line.split(self.separator)
            for column, value in values.items():
                comma = self.separator != "," and "," in texts[column]  # as the cell has it
                texts[column] = exact(value).replace(".", ",") if comma else exact(value)
            lines[place] = (self.separator or " ").join(texts) + lines[place][len(line) :]
        with atomic(path) as temporary:
            temporary.write_bytes("".join(lines).encode("utf-8", errors="surrogateescape"))


def exact(value: float) -> str:
    """A float32 as text: as many digits as it takes to read the same number again."""
    return np.format_float_positional(np.float32(value), unique=True, trim="0")


def read_csv_text(path: str | os.PathLike[str], num_rows: int) -> RowText:
    """The text of a table that `read_curve_csv` reads as so many rows. Raises ValueError naming the file when not each of them
    is a line of its own."""
    lines = _lines(Path(path))
    first = lines[0].lstrip("\ufeff").rstrip("\r\n") if lines else ""
    separator = next((mark for mark in SEPARATORS if mark in first), ",")
    columns = [name.strip().strip('"') for name in first.split(separator)]
    rows = [n for n, line in enumerate(lines) if n and any(c and not c.isspace() for c in line.split(separator))]
    return _checked(RowText(Path(path), lines, rows, separator, columns), num_rows)


def read_bvh_text(path: str | os.PathLike[str], columns: list[str], num_rows: int) -> RowText:
    """The text of a BVH of so many rows of these columns. Raises ValueError as `read_csv_text` does."""
    lines = _lines(Path(path))
    first = next((n for n, line in enumerate(lines) if "".join(line.lower().split()).startswith(MOTION)), len(lines))
    rows = [n for n, line in enumerate(lines) if n > first and line.strip()]
    return _checked(RowText(Path(path), lines, rows, None, columns), num_rows)


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    if data[:2] in UNICODE_MARKS:
        raise ValueError(f"{path}: UTF-16; save it as UTF-8")
    return io.StringIO(data.decode("utf-8", errors="surrogateescape"), newline="").readlines()


def _checked(text: RowText, num_rows: int) -> RowText:
    wide = len(text.columns)
    broken = next((n for n in text.rows if len(text.lines[n].split(text.separator)) != wide), None)
    if broken is not None:
        raise ValueError(f"{text.path}: line {broken + 1} is no row of {wide} plain cells; export it as a plain table")
    if len(text.rows) != num_rows:
        what = f"{num_rows} frames in {len(text.rows)} lines (frames are missing, or blank)"
        raise ValueError(f"{text.path}: {what}; export it with a line for each frame, or as .npz")
    return text
