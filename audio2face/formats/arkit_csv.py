"""Live Link Face recordings (.csv): a row per frame with 52 ARKit weights and the turns of head and eyes."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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


@dataclass(frozen=True)
class ArkitRecording:
    """`values` (T, 61) float32 in the order of COLUMNS; `times_s` (T,) by the time codes, from the first row."""

    values: np.ndarray
    times_s: np.ndarray

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


def read_arkit_csv(path: str | os.PathLike[str], fps: float) -> ArkitRecording:
    """Read a recording whose time codes count `fps` frames a second; columns may be in any order, rows may be empty.

    Raises ValueError naming file and line when it has another layout.
    """
    path = Path(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if header[:2] != ["Timecode", "BlendShapeCount"] and [h.lower() for h in header[:2]] != [
            "timecode",
            "blendshapecount",
        ]:
            raise ValueError(f"{path}: line 1: expected Timecode,BlendShapeCount,…, found {','.join(header[:2])!r}")
        columns = [_column(name) for name in header[2:]]
        values, times = [], []
        for row in rows:
            if len(row) < 2 or row[1] in ("", "0"):
                continue  # the app writes such rows for moments without a face
            if len(row) != len(header):
                raise ValueError(f"{path}: line {rows.line_num}: expected {len(header)} values, found {len(row)}")
            line = np.zeros(len(COLUMNS), np.float32)
            try:
                times.append(_seconds(row[0], fps))
                for column, text in zip(columns, row[2:], strict=True):
                    if column is not None:
                        line[column] = float(text)
            except ValueError as error:
                raise ValueError(f"{path}: line {rows.line_num}: {error}") from error
            values.append(line)
    stamps = np.array(times)
    return ArkitRecording(
        np.array(values, np.float32).reshape(-1, len(COLUMNS)), stamps - stamps[0] if len(stamps) else stamps
    )


_PLACES = {name.lower(): column for column, name in enumerate(COLUMNS)}


def _column(name: str) -> int | None:
    return _PLACES.get(name.lower())


def _seconds(timecode: str, fps: float) -> float:
    parts = timecode.split(":")
    if len(parts) != 4:
        raise ValueError(f"expected a time code HH:MM:SS:FF.fff, found {timecode!r}")
    hours, minutes, seconds, frames = map(float, parts)
    return hours * 3600 + minutes * 60 + seconds + frames / fps
