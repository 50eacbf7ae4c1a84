"""Live Link Face recordings (.csv): a row per frame with 52 ARKit weights and the turns of head and eyes."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import atomic

_LEFT_EYE = "EyeBlink EyeLookDown EyeLookIn EyeLookOut EyeLookUp EyeSquint EyeWide".split()
_MOUTH = (
    "JawForward JawRight JawLeft JawOpen MouthClose MouthFunnel MouthPucker MouthRight MouthLeft MouthSmileLeft "
    "MouthSmileRight MouthFrownLeft MouthFrownRight MouthDimpleLeft MouthDimpleRight MouthStretchLeft MouthStretchRight "
    "MouthRollLower MouthRollUpper MouthShrugLower MouthShrugUpper MouthPressLeft MouthPressRight MouthLowerDownLeft "
    "MouthLowerDownRight MouthUpperUpLeft MouthUpperUpRight"
).split()
_REST = (
    "BrowDownLeft BrowDownRight BrowInnerUp BrowOuterUpLeft BrowOuterUpRight CheekPuff CheekSquintLeft CheekSquintRight "
    "NoseSneerLeft NoseSneerRight TongueOut"
).split()
ARKIT_NAMES = (*(n + "Left" for n in _LEFT_EYE), *(n + "Right" for n in _LEFT_EYE), *_MOUTH, *_REST)
ROTATION_NAMES = tuple(
    part + turn for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll")
)  # radians
COLUMNS = (*ARKIT_NAMES, *ROTATION_NAMES)
HEADER = ("Timecode", "BlendShapeCount", *COLUMNS)
RATES = (24, 25, 30, 48, 50, 60, 100, 120)  # frames a second that time codes count


@dataclass(frozen=True)
class ArkitRecording:
    """`values` (T, 61) float32 in the order of COLUMNS; `times_s` (T,) by the time codes, from the first of these rows.

    `start_s` is the first row's time code in seconds since midnight, `lead_s` how long rows without a face came before
    it. `columns` are those of COLUMNS that the file has, `unknown` its other columns; `fps` counts the time codes.
    """

    values: np.ndarray
    times_s: np.ndarray
    start_s: float = 0.0
    lead_s: float = 0.0
    columns: tuple[str, ...] = COLUMNS
    unknown: tuple[str, ...] = ()
    fps: float = 0.0

    def weight(self, name: str) -> np.ndarray:
        """The weights (T,) of an ARKit shape, whatever the case of its first letter. KeyError for an unknown name."""
        column = _column(name)
        if column is None:
            raise KeyError(name)
        return self.values[:, column]


def arkit_columns(names: list[str] | tuple[str, ...]) -> dict[int, int]:
    """Position in `names` -> ARKit column, for the names that ARKit has; "jawOpen" and "JawOpen" are one."""
    found = ((i, _column(name)) for i, name in enumerate(names))
    return {i: column for i, column in found if column is not None and column < len(ARKIT_NAMES)}


def write_arkit_csv(
    path: str | os.PathLike[str],
    weights: Mapping[str, np.ndarray],
    fps: float,
    eyes: np.ndarray | None = None,
) -> None:
    """Write weights {ARKit name: (T,)} and eyes (T, 6) degrees, whole or not at all; what is absent is 0.

    `eyes` are right X, Y, Z, left X, Y, Z: X becomes pitch, Y yaw, Z roll. Names that ARKit lacks are left out. Frame t
    has time code t, counted from 0 at the nearest whole rate. Raises ValueError when no name is known.
    """
    names = list(weights)
    columns = arkit_columns(names)
    if not columns:
        raise ValueError(f"{path}: none of the {len(names)} blendshapes has a name of ARKit's, such as jawOpen")
    values = np.zeros((len(weights[names[0]]), len(COLUMNS)))
    for i, column in columns.items():
        values[:, column] = weights[names[i]]
    if eyes is not None:
        turns = np.deg2rad(np.asarray(eyes, np.float64)).reshape(-1, 2, 3)[:, ::-1]  # left, right
        values[:, len(ARKIT_NAMES) + 3 :] = turns[:, :, [1, 0, 2]].reshape(-1, 6)
    rate = max(round(fps), 1)
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for t, row in enumerate(values):
            seconds, frame = divmod(t, rate)
            clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:02d}.000"
            writer.writerow([clock, len(COLUMNS), *(f"{v:.10g}" for v in row)])


def read_arkit_csv(path: str | os.PathLike[str], fps: float | None = None) -> ArkitRecording:
    """Read a recording whose time codes count `fps` frames a second; None finds the rate in the codes themselves.

    Columns may be in any order or missing (then 0), also BlendShapeCount; rows without a face are left out. Raises
    ValueError naming file and line when it has another layout, and when the codes do not tell the rate.
    """
    path = Path(path)
    refuse_pointer(path)
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.reader(file)
        header = [name.strip() for name in next(rows, [])]
        if [h.lower() for h in header[:1]] != ["timecode"] or len(header) < 2:
            raise ValueError(f"{path}: line 1: expected Timecode,BlendShapeCount,…, found {','.join(header[:2])!r}")
        columns = [_column(name) for name in header]
        count = next((i for i, name in enumerate(header) if name.lower() == "blendshapecount"), None)
        values, codes, kept = [], [], []
        for row in rows:
            if not any(field.strip() for field in row):
                continue
            codes.append((rows.line_num, row[0].strip()))
            if count is not None and (len(row) <= count or row[count].strip() in ("", "0")):
                continue  # the app writes such rows for moments without a face
            if len(row) != len(header):
                raise ValueError(f"{path}: line {rows.line_num}: expected {len(header)} values, found {len(row)}")
            line = np.zeros(len(COLUMNS), np.float32)
            try:
                for column, text in zip(columns, row, strict=True):
                    if column is not None:
                        line[column] = float(text)
            except ValueError as error:
                raise ValueError(f"{path}: line {rows.line_num}: {error}") from error
            if not np.isfinite(line).all():
                raise ValueError(f"{path}: line {rows.line_num}: expected numbers, found NaN or infinity")
            kept.append(len(codes) - 1)
            values.append(line)
    fps, stamps = _stamps(path, codes, fps)
    times = stamps[kept] if kept else np.zeros(0)
    start = float(times[0]) if kept else 0.0
    return ArkitRecording(
        values=np.array(values, np.float32).reshape(-1, len(COLUMNS)),
        times_s=times - start,
        start_s=start,
        lead_s=start - float(stamps[0]) if kept else 0.0,
        columns=tuple(COLUMNS[column] for column in columns if column is not None),
        unknown=tuple(n for n, c in zip(header[1:], columns[1:], strict=True) if c is None and n != header[count or 0]),
        fps=fps,
    )


def _stamps(path: Path, codes: list[tuple[int, str]], fps: float | None) -> tuple[float, np.ndarray]:
    """The rate of time codes [(line, code)] and their seconds since midnight."""
    parts = []
    for line, code in codes:
        try:
            parts.append(_parts(code))
        except ValueError as error:
            raise ValueError(f"{path}: line {line}: {error}") from error
    table = np.array(parts).reshape(-1, 2)
    if fps is None:
        highest = int(table[:, 1].max(initial=0))  # a whole second shows every frame number
        rates = [rate for rate in RATES if rate > highest]
        whole = len(table) and table[-1, 0] - table[0, 0] >= 2
        if not rates or not whole or rates[0] - highest > 2:
            raise ValueError(f"{path}: the rate of its time codes cannot be told; give it (--csv-fps)")
        fps = float(rates[0])
    seconds = (table[:, 0] * max(round(fps), 1) + table[:, 1]) / fps  # codes count whole frames: 29.97 runs slow
    seconds = seconds + 86400.0 * np.concatenate([[0], np.cumsum(np.diff(seconds) < -43200)])  # past midnight
    backwards = np.flatnonzero(np.diff(seconds) < 0)
    if len(backwards):
        line, code = codes[int(backwards[0]) + 1]
        raise ValueError(f"{path}: line {line}: time code {code} lies before that of the line above; wrong rate?")
    return fps, seconds


_PLACES = {name.lower(): column for column, name in enumerate(COLUMNS)}


def _column(name: str) -> int | None:
    return _PLACES.get(name.lower())


def _parts(timecode: str) -> tuple[float, float]:
    """Whole seconds and frames of HH:MM:SS:FF.fff."""
    parts = timecode.replace(";", ":").split(":")
    if len(parts) != 4:
        raise ValueError(f"expected a time code HH:MM:SS:FF.fff, found {timecode!r}")
    hours, minutes, seconds, frames = map(float, parts)
    if not 0 <= hours + minutes + seconds + frames < 1e6:
        raise ValueError(f"expected a time code HH:MM:SS:FF.fff, found {timecode!r}")
    return hours * 3600 + minutes * 60 + seconds, frames
