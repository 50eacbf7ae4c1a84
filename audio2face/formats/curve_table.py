"""Tables of named values per frame: blendshape weights, turns of the head, anything with a name, from many programs' files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audio2face.formats.arkit_names import arkit_name
from audio2face.formats.curve_csv import read_curve_csv, write_curve_csv
from audio2face.formats.curve_json import read_curve_json
from audio2face.formats.curve_rows import CurveRows, check_fps, find_names, rate_from, times_from
from audio2face.formats.curve_text import is_curve_text, read_curve_text
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.npy import read_npy, read_npz, write_npz


@dataclass(frozen=True)
class CurveTable:
    """`values` (T, D) float32 under `names` (D), in the file's units; where `valid` (T, D) is False they are missing and 0.

    Names of ARKit's shapes are written as ARKit does ("jawOpen"), others as the file does. `fps` None: not known. `times_s`
    (T,) rise; rows may be lost between them. `source` is the kind of file; `notes` say what was decided about it.
    """

    names: tuple[str, ...]
    values: np.ndarray
    valid: np.ndarray
    fps: float | None = None
    times_s: np.ndarray | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def with_gaps(self) -> np.ndarray:
        """Values (T, D) float32, NaN where they are missing."""
        return np.where(self.valid, self.values, np.float32(np.nan))

    def column(self, name: str) -> np.ndarray:
        """The values (T,) of a name. KeyError for one that the table lacks."""
        if name not in self.names:
            raise KeyError(name)
        return self.values[:, self.names.index(name)]


def curve_table(
    names: Sequence[str],
    values: np.ndarray,
    fps: float | None = None,
    valid: np.ndarray | None = None,
    times_s: np.ndarray | None = None,
    source: str = "",
    where: object = "table",
) -> CurveTable:
    """A table of values (T, D), NaN where they are missing; `valid` (T,) or (T, D) says where else.

    Raises ValueError naming `where`, the file they are of, when they differ or cannot be.
    """
    return _table(where, CurveRows(tuple(map(str, names)), np.asarray(values), times_s, fps), source, valid)


def read_curve_table(path: str | os.PathLike[str], names: Sequence[str] | None = None) -> CurveTable:
    """Read the columns `names` (none: all) of a table, by the file's suffix and content.

    - `.csv`, `.tsv`, `.txt`: a header of names and a row per frame, with a column of times or frame numbers or without
      (Live Link Face, MediaPipe, Audio2Face-3D's animation_frames.csv), or lines of iFacialMocap and FaceMotion3D
    - `.json`: names and rows, or frames with named values
    - `.npz`: `values` (T, D), `names` (D,), `fps`, optional `valid` (T,) or (T, D) and `times_s` (T,); NaN is missing
    - `.npy`: (T, D), whose columns are called `names`

    Raises ValueError naming the file, its line and column, and what was expected.
    """
    path = Path(path)
    reader = CURVE_READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: expected a table of curves ({', '.join(CURVE_READERS)})")
    refuse_pointer(path)
    return reader(path, names or None)


def write_curve_table(path: str | os.PathLike[str], table: CurveTable) -> None:
    """Write a table as `.npz` or `.csv`, whole or not at all, NaN for what is missing; a .csv has times if they are known."""
    path = Path(path)
    if path.suffix.lower() == ".csv":
        times = table.times_s
        if times is None and table.fps is not None:
            times = np.arange(len(table.values)) / table.fps
        write_curve_csv(path, table.names, table.with_gaps, times)
    elif path.suffix.lower() == ".npz":
        optional = {"fps": table.fps, "times_s": table.times_s}
        known = {name: np.asarray(value, np.float64) for name, value in optional.items() if value is not None}
        write_npz(path, {"values": table.with_gaps, "names": np.array(table.names, np.str_), **known})
    else:
        raise ValueError(f"{path}: tables of curves are written as .npz or .csv")


def read_missing(path: str | os.PathLike[str], num_frames: int) -> np.ndarray:
    """Missing frames (n,) int64, rising, each once, of a .npy with their numbers or a mask (num_frames,) of bool.

    Raises ValueError naming the file when they are no whole numbers from 0 to num_frames - 1.
    """
    frames = read_npy(path)
    if frames.dtype.kind == "b" and frames.shape == (num_frames,):
        return np.flatnonzero(frames).astype(np.int64)
    if frames.ndim != 1 or (frames.dtype.kind not in "iu" and len(frames)):
        raise ValueError(
            f"{path}: expected frame numbers (n,) or a mask ({num_frames},), found {frames.shape} of {frames.dtype}"
        )
    outside = frames[(frames < 0) | (frames >= num_frames)]
    if len(outside):
        raise ValueError(f"{path}: frame {outside[0]} is not one of the shot's {num_frames} (0 to {num_frames - 1})")
    return np.unique(frames).astype(np.int64)


def _table(where: object, rows: CurveRows, source: str, valid: np.ndarray | None = None) -> CurveTable:
    """Rows with ARKit's names, what is missing marked. Raises ValueError for two columns of one name."""
    names = tuple(arkit_name(name) or name for name in rows.names)
    _check_shapes(where, names, rows.values, rows.times_s)
    for place, name in enumerate(names):
        if name in names[:place]:
            both = f"{rows.names[names.index(name)]!r} and {rows.names[place]!r}"
            raise ValueError(f"{where}: columns {both} are both {name}; rename one, or choose columns by name")
    with np.errstate(over="ignore"):
        values = np.array(rows.values, np.float32, order="C")
    known = ~np.isnan(values)
    if valid is not None:
        given = np.asarray(valid)
        if given.dtype.kind not in "bui" or given.shape not in (values.shape, values.shape[:1]):
            raise ValueError(
                f"{where}: valid: expected a mask {values.shape[:1]} or {values.shape}, found {given.shape}"
            )
        known &= given.astype(bool) if given.ndim == 2 else given.astype(bool)[:, None]
    values[~known] = 0
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = infinite[0].tolist()
        raise ValueError(f"{where}: row {row}, column {names[column]!r}: expected a number, found infinity")
    fps = None if rows.fps is None else check_fps(where, rows.fps)
    return CurveTable(names, values, known, fps, rows.times_s, source, rows.notes)


def _check_shapes(where: object, names: Sequence[str], values: np.ndarray, times_s: np.ndarray | None) -> None:
    if values.ndim != 2 or values.dtype.kind not in "fiub" or values.shape[1] != len(names) or not names:
        raise ValueError(f"{where}: expected numbers (T, {len(names)}), found {values.shape} of {values.dtype}")
    if times_s is not None and np.shape(times_s) != values.shape[:1]:
        raise ValueError(f"{where}: times_s: expected {values.shape[:1]}, found {np.shape(times_s)}")


def _chosen(path: Path, table: CurveTable, names: Sequence[str] | None) -> CurveTable:
    if names is None:
        return table
    places = find_names(path, table.names, names)
    return replace(
        table,
        names=tuple(table.names[place] for place in places),
        values=table.values[:, places],
        valid=table.valid[:, places],
    )


def _read_text(path: Path, names: Sequence[str] | None) -> CurveTable:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(1 << 16)
    if is_curve_text(first):
        return _chosen(path, _table(path, read_curve_text(path), "ifacialmocap"), names)
    rows = read_curve_csv(path, names)
    if "blendshapecount" in first.lower():
        return _table(path, rows, "live_link")
    if any(name.lower().startswith("blendshapes.") for name in rows.names):
        return _table(path, rows, "audio2face")
    return _table(path, rows, "mediapipe" if "_neutral" in rows.names else "csv")


def _read_json(path: Path, names: Sequence[str] | None) -> CurveTable:
    return _chosen(path, _table(path, read_curve_json(path), "json"), names)


def _read_npz(path: Path, names: Sequence[str] | None) -> CurveTable:
    arrays = read_npz(path)
    own = arrays.get("names")
    if "values" not in arrays or (own is None and names is None):
        raise ValueError(f"{path}: expected the arrays values and names, found {', '.join(arrays):.200}")
    if own is not None and (own.ndim != 1 or own.dtype.kind not in "US"):
        raise ValueError(f"{path}: names: expected texts (D,), found {own.shape} of {own.dtype}")
    written = (
        names if own is None else [n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in own.tolist()]
    )
    assert written is not None
    fps, times = arrays.get("fps"), arrays.get("times_s")
    if fps is not None and fps.size != 1:
        raise ValueError(f"{path}: fps: expected one number, found {fps.shape}")
    rate = None if fps is None else check_fps(path, fps.reshape(-1)[0])
    if times is not None:
        if times.ndim != 1 or times.dtype.kind not in "fiu" or not np.isfinite(times).all():
            raise ValueError(f"{path}: times_s: expected finite seconds (T,), found {times.shape} of {times.dtype}")
        times = times_from(path, times.astype(np.float64), 1.0, range(len(times)))[0]
        rate = rate or rate_from(times)
    rows = CurveRows(tuple(written), arrays["values"], times, rate)
    return _chosen(path, _table(path, rows, "npz", arrays.get("valid")), names)


def _read_npy(path: Path, names: Sequence[str] | None) -> CurveTable:
    if names is None:
        raise ValueError(
            f"{path}: a .npy has no names of its columns; give them, or write a .npz with values and names"
        )
    return _table(path, CurveRows(tuple(names), read_npy(path)), "npy")


CURVE_READERS: dict[str, Callable[[Path, Sequence[str] | None], CurveTable]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".txt": _read_text,
    ".json": _read_json,
    ".npz": _read_npz,
    ".npy": _read_npy,
}
