"""Animations that are edited: read from the files of other programs, and written back as they were but for what is new."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audio2face.dataset.curve_kinds import choose_columns
from audio2face.dataset.curves import aligned
from audio2face.face.curves import CurveGroup, skeleton_group
from audio2face.formats import ANIMATION_READERS, read_animation
from audio2face.formats.bvh import read_bvh, write_bvh
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.maya_cache import write_maya_cache
from audio2face.formats.npy import read_npz, write_npy, write_npz
from audio2face.formats.point_cache import write_point_cache
from audio2face.paths import atomic
from audio2face.problems import UserError

TABLES = (".csv", ".npz", ".bvh")
DIGITS = 10  # of a number in a table


class EditFile(Protocol):
    """`channels` {"skin": (T, V, 3)} or {group: raw values (T, D)}, `valid` {group: (T, D)}; `fps` None: not known."""

    path: Path
    fps: float | None
    first_frame: int
    channels: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], changed: np.ndarray) -> Path:
        """Write the animation with `channels` in the place of its own at the frames `changed` (T,); returns the file."""


@dataclass
class MeshFile:
    """A Maya cache, .pc2 or .npy of the skin."""

    path: Path
    fps: float | None
    first_frame: int
    channels: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    mesh: str = "head_meshShape"
    rate: float = 30.0

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], changed: np.ndarray) -> Path:
        path = stem.with_name(stem.name + self.path.suffix.lower())
        frames = self.channels["skin"].copy()
        frames[changed] = channels["skin"][changed]
        if path.suffix == ".npy":
            write_npy(path, frames)
        elif path.suffix == ".pc2":
            write_point_cache(path, frames, self.first_frame)
        else:
            write_maya_cache(path, frames, self.fps or self.rate, self.mesh, self.first_frame)
        return path


@dataclass
class TableFile:
    """A .csv, .npz or .bvh of groups; `columns` {group: its columns as the file calls them}."""

    path: Path
    fps: float | None
    channels: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    columns: dict[str, tuple[str, ...]]
    first_frame: int = 0

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], changed: np.ndarray) -> Path:
        path = stem.with_name(stem.name + self.path.suffix.lower())
        values = {
            name: channels[group][:, place]
            for group, names in self.columns.items()
            for place, name in enumerate(names)
            if name and group in channels
        }
        {".csv": _write_csv, ".npz": _write_npz, ".bvh": _write_bvh}[path.suffix](self.path, path, values, changed)
        return path


def read_edit_file(path: Path, groups: Mapping[str, CurveGroup], skin_vertices: int | None, fps: float) -> EditFile:
    """Open an animation of a model with these groups and a skin of so many vertices (None: no skin) at a rate.

    Raises UserError when the file is none, has another topology or rate, or holds nothing that the model gives.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"EDIT/file {path}: no such file")
    try:
        if suffix == ".bvh":
            found: Any = _read_bvh(path, groups)
        elif suffix in TABLES:
            found = _read_table(path, groups)
        elif suffix in ANIMATION_READERS:
            found = _read_mesh(path, skin_vertices, fps)
        else:
            known = ", ".join((*ANIMATION_READERS, *TABLES))
            raise UserError(f"EDIT/file {path}: expected one of {known}; export it in one of these")
    except ValueError as error:
        raise UserError(f"EDIT/file: {error}") from error
    if found.fps and abs(found.fps / fps - 1) > 0.01:
        raise UserError(
            f"EDIT/file {path}: runs at {found.fps:g} frames a second, the model at {fps:g}; export it at that rate"
        )
    return found


def _read_mesh(path: Path, skin_vertices: int | None, fps: float) -> MeshFile:
    if skin_vertices is None:
        raise UserError(f"EDIT/file {path}: a mesh, and the model gives no skin")
    animation = read_animation(path)
    if animation.frames.shape[1] != skin_vertices:
        raise UserError(
            f"EDIT/file {path}: {animation.frames.shape[1]} vertices, the model's skin has {skin_vertices}: another topology"
        )
    return MeshFile(path, animation.fps, int(animation.start_frame), {"skin": animation.block()}, {}, rate=fps)


def _read_table(path: Path, groups: Mapping[str, CurveGroup]) -> TableFile:
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
    return TableFile(path, table.fps, channels, valid, columns)


def _read_bvh(path: Path, groups: Mapping[str, CurveGroup]) -> TableFile:
    skeleton, values, frame_time_s = read_bvh(path)
    for name, group in groups.items():
        if group.skeleton is not None and group.names == skeleton_group(name, skeleton).names:
            raw = values.astype(np.float32)
            return TableFile(path, 1 / frame_time_s, {name: raw}, {name: np.ones(raw.shape, bool)}, {name: group.names})
    raise UserError(
        f"EDIT/file {path}: its skeleton is that of none of the model's groups ({', '.join(groups) or 'none'})"
    )


def _write_csv(source: Path, path: Path, values: Mapping[str, np.ndarray], changed: np.ndarray) -> None:
    """The text of the source with other numbers in the changed rows; all other cells and rows stay as they are."""
    from audio2face.formats.arkit_names import arkit_name

    text = source.read_text(encoding="utf-8-sig")
    delimiter = ";" if text.split("\n", 1)[0].count(";") > text.split("\n", 1)[0].count(",") else ","
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    header = [arkit_name(cell.strip()) or cell.strip() for cell in rows[0]]
    places = {header.index(name): table for name, table in values.items() if name in header}
    lines = text.splitlines(keepends=True)
    filled = [i for i, row in enumerate(rows[1:], start=1) if any(cell.strip() for cell in row)]
    if len(filled) != len(changed) or len(lines) < len(rows):
        raise UserError(
            f"EDIT/file {source}: its rows cannot be told apart; save it as .npz (tools/import_live_link.py)"
        )
    out = list(lines)
    for frame, line in enumerate(filled):
        if not changed[frame]:
            continue
        cells = list(rows[line])
        for place, table in places.items():
            cells[place] = f"{table[frame]:.{DIGITS}f}"
        ending = "\r\n" if lines[line].endswith("\r\n") else "\n"
        out[line] = delimiter.join(cells) + ending
    with atomic(path) as temporary:
        temporary.write_text("".join(out), encoding="utf-8", newline="")


def _write_npz(source: Path, path: Path, values: Mapping[str, np.ndarray], changed: np.ndarray) -> None:
    arrays = dict(read_npz(source))
    names = [str(name) for name in arrays["names"]]
    table = np.array(arrays["values"])
    for name, column in values.items():
        match = next((place for place, own in enumerate(names) if own == name or _same(own, name)), None)
        if match is not None:
            table[changed, match] = column[changed]
    arrays["values"] = table
    if "valid" in arrays:
        valid = np.array(arrays["valid"])
        valid[changed] = 1
        arrays["valid"] = valid
    write_npz(path, arrays)


def _same(own: str, name: str) -> bool:
    from audio2face.formats.arkit_names import arkit_name

    return arkit_name(own) == name


def _write_bvh(source: Path, path: Path, values: Mapping[str, np.ndarray], changed: np.ndarray) -> None:
    skeleton, table, frame_time_s = read_bvh(source)
    if not changed.any():
        shutil.copyfile(source, path)
        return
    new = np.stack([*values.values()], axis=1).astype(np.float64)
    table[changed] = new[changed]
    write_bvh(path, skeleton, table, 1 / frame_time_s)
