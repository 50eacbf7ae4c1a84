"""Curves that are edited: tables of numbers (.csv, .npz) and skeletons (.bvh), of which only what is new is written anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.dataset.curve_kinds import choose_columns
from audio2face.dataset.curves import aligned
from audio2face.face.curves import CurveGroup, skeleton_group
from audio2face.formats.arkit_names import arkit_name
from audio2face.formats.bvh import read_bvh
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.npy import read_npz, write_npz
from audio2face.formats.row_text import RowText, read_bvh_text, read_csv_text
from audio2face.inference.edit.request import Edit
from audio2face.problems import UserError

TABLES = (".csv", ".npz", ".bvh")


@dataclass
class _Curves:
    """Groups of a file; `columns` {group: its columns as the file calls them, "" for those that it lacks}."""

    path: Path
    fps: float | None
    channels: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    columns: dict[str, tuple[str, ...]]
    first_frame: int = 0

    def new_values(
        self, channels: Mapping[str, np.ndarray], changed: np.ndarray
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """{column: its new values (n,), and the frames (n,) that have them}, of columns that change."""
        found = {}
        for group, names in self.columns.items():
            for place, name in enumerate(names):
                new, old = channels[group][:, place], self.channels[group][:, place]
                rows = np.flatnonzero(changed & ((new != old) | ~self.valid[group][:, place]))
                if name and len(rows):
                    found[name] = (new[rows], rows)
        return found


@dataclass
class TextFile(_Curves):
    """A table of text, or the motion of a skeleton."""

    text: RowText | None = None

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], edit: Edit) -> Path:
        assert self.text is not None
        path = stem.with_name(stem.name + self.path.suffix.lower())
        header = [arkit_name(name) or name for name in self.text.columns]
        cells = {
            (int(row), header.index(name)): float(value)
            for name, (values, rows) in self.new_values(channels, edit.free).items()
            for value, row in zip(values, rows, strict=True)
        }
        self.text.write(path, cells)
        return path


@dataclass
class NpzFile(_Curves):
    """A table in arrays."""

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], edit: Edit) -> Path:
        path, arrays = stem.with_name(stem.name + self.path.suffix.lower()), dict(read_npz(self.path))
        names = [arkit_name(str(name)) or str(name) for name in arrays["names"]]
        table = np.array(arrays["values"])
        valid = np.array(arrays["valid"]) if "valid" in arrays else None
        for name, (values, rows) in self.new_values(channels, edit.free).items():
            table[rows, names.index(name)] = values
            if valid is not None:
                valid[(rows, names.index(name)) if valid.ndim == 2 else rows] = 1
        write_npz(path, {**arrays, "values": table, **({} if valid is None else {"valid": valid})})
        return path


def read_table(path: Path, groups: Mapping[str, CurveGroup]) -> TextFile | NpzFile:
    """Open a table for a model with these groups. Raises ValueError for a malformed file, UserError for one that holds
    nothing of them, or whose text cannot be written anew."""
    if path.suffix.lower() == ".bvh":
        return _read_bvh(path, groups)
    table = read_curve_table(path)
    channels, valid, columns = {}, {}, {}
    for name, group in groups.items():
        own = choose_columns(table, name, len(groups) > 1)
        if not set(own.names) & set(group.names):
            continue
        channels[name], valid[name] = aligned(own, group.names)
        columns[name] = tuple(column if column in own.names else "" for column in group.names)
    if not channels:
        listed = ", ".join(groups) or "none"
        raise UserError(f"EDIT/file {path}: no column of the model's groups ({listed})")
    if path.suffix.lower() == ".npz":
        return NpzFile(path, table.fps, channels, valid, columns)
    text = read_csv_text(path, len(table.values))
    return TextFile(path, table.fps, channels, valid, columns, text=text)


def _read_bvh(path: Path, groups: Mapping[str, CurveGroup]) -> TextFile:
    skeleton, values, frame_time_s = read_bvh(path)
    for name, group in groups.items():
        if group.skeleton is not None and group.names == skeleton_group(name, skeleton).names:
            raw, known = values.astype(np.float32), np.ones(values.shape, bool)
            text = read_bvh_text(path, list(group.names), len(values))
            return TextFile(path, 1 / frame_time_s, {name: raw}, {name: known}, {name: group.names}, text=text)
    raise UserError(
        f"EDIT/file {path}: its skeleton is that of none of the model's groups ({', '.join(groups) or 'none'})"
    )
