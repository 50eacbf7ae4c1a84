"""Live Link Face recordings (.csv): a row per frame with 52 ARKit weights and the turns of head and eyes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.formats.budget import check_unpacked
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.time_code import (
    DAY,
    NTSC,
    counted_rate,
    drops_frames,
    elapsed,
    parse_time_code,
    rate_of,
    same_rate,
    spread,
)
from audio2face.paths import atomic

_LEFT_EYE = "EyeBlink EyeLookDown EyeLookIn EyeLookOut EyeLookUp EyeSquint EyeWide".split()
_MOUTH = (
    "JawForward JawRight JawLeft JawOpen MouthClose MouthFunnel MouthPucker MouthRight MouthLeft MouthSmileLeft "
    "MouthSmileRight MouthFrownLeft MouthFrownRight MouthDimpleLeft MouthDimpleRight MouthStretchLeft "
    "MouthStretchRight MouthRollLower MouthRollUpper MouthShrugLower MouthShrugUpper MouthPressLeft MouthPressRight "
    "MouthLowerDownLeft MouthLowerDownRight MouthUpperUpLeft MouthUpperUpRight"
).split()
_REST = (
    "BrowDownLeft BrowDownRight BrowInnerUp BrowOuterUpLeft BrowOuterUpRight CheekPuff CheekSquintLeft "
    "CheekSquintRight NoseSneerLeft NoseSneerRight TongueOut"
).split()
ARKIT_NAMES = (*(n + "Left" for n in _LEFT_EYE), *(n + "Right" for n in _LEFT_EYE), *_MOUTH, *_REST)
ROTATION_NAMES = tuple(
    part + turn for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll")
)  # radians
COLUMNS = (*ARKIT_NAMES, *ROTATION_NAMES)
HEADER = ("Timecode", "BlendShapeCount", *COLUMNS)


@dataclass(frozen=True)
class Clock:
    """The time codes of a recording: rows a second, frames counted per second, and how long their day lasts.

    `missing` codes have no row, `repeated` rows have the code of the row before; `uneven_s` is how far most steps
    from row to row are from the mean.
    """

    rows_per_s: float = 0.0
    counted_per_s: float = 0.0
    drop_frame: bool = False
    day_s: float = float(DAY)
    missing: int = 0
    repeated: int = 0
    uneven_s: float = 0.0


@dataclass(frozen=True)
class ArkitRecording:
    """`values` (T, 61) float32 in the order of COLUMNS; `times_s` (T,) by the time codes, from the first of these rows.

    `start_s` is the first row's time code in seconds since midnight, `lead_s` how long rows without a face came before
    it. `columns` are those of COLUMNS that the file has, `unknown` its other columns.
    """

    values: np.ndarray
    times_s: np.ndarray
    start_s: float = 0.0
    lead_s: float = 0.0
    columns: tuple[str, ...] = COLUMNS
    unknown: tuple[str, ...] = ()
    clock: Clock = Clock()

    @property
    def fps(self) -> float:
        """Rows a second."""
        return self.clock.rows_per_s

    def weight(self, name: str) -> np.ndarray:
        """The weights (T,) of an ARKit shape, whatever the case of its first letter. KeyError for an unknown name."""
        column = _column(name)
        if column is None:
            raise KeyError(name)
        return self.values[:, column]

    def peak(self, names: Sequence[str]) -> tuple[str, float]:
        """Which of these columns of one frame at least is farthest from 0, and how far."""
        columns = [COLUMNS.index(name) for name in names]
        peaks = np.abs(self.values[:, columns]).max(axis=0)
        return names[int(peaks.argmax())], float(peaks.max())


def arkit_columns(names: list[str] | tuple[str, ...]) -> dict[int, int]:
    """Position in `names` -> ARKit column, for the names that ARKit has; "jawOpen" and "JawOpen" are one."""
    found = ((i, _column(name)) for i, name in enumerate(names))
    return {i: column for i, column in found if column is not None and column < len(ARKIT_NAMES)}


def write_arkit_csv(
    path: str | os.PathLike[str],
    weights: Mapping[str, np.ndarray],
    fps: float,
    eyes: np.ndarray | None = None,
    turns: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write weights {ARKit name: (T,)}, eyes (T, 6) degrees and turns, whole or not at all; what is absent is 0.

    `eyes` are right X, Y, Z, left X, Y, Z: X becomes pitch, Y yaw, Z roll. `turns` {"Head", "LeftEye", "RightEye": (T, 3)}
    are yaw, pitch, roll in radians, and go before `eyes`. Names that ARKit lacks are left out. Frame t has time code t,
    counted from 0 at the nearest whole rate. Raises ValueError when no name is known.
    """
    names = list(weights)
    columns = arkit_columns(names)
    if not columns:
        raise ValueError(f"{path}: none of the {len(names)} blendshapes has a name of ARKit's, such as jawOpen")
    values = np.zeros((len(weights[names[0]]), len(COLUMNS)))
    for i, column in columns.items():
        values[:, column] = weights[names[i]]
    if eyes is not None:
        angles = np.deg2rad(np.asarray(eyes, np.float64)).reshape(-1, 2, 3)[:, ::-1]  # left, right
        values[:, len(ARKIT_NAMES) + 3 :] = angles[:, :, [1, 0, 2]].reshape(-1, 6)
    for part, yaw_pitch_roll in (turns or {}).items():
        first = COLUMNS.index(f"{part}Yaw")
        values[:, first : first + 3] = yaw_pitch_roll
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
    ValueError naming file and line when it has another layout, and when the codes do not show the rate.
    """
    path = Path(path)
    refuse_pointer(path)
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = _rows(path, csv.reader(file))
        _, names = next(rows, (1, []))
        header = [name.strip() for name in names]
        if [h.lower() for h in header[:1]] != ["timecode"] or len(header) < 2:
            raise ValueError(f"{path}: line 1: expected Timecode,BlendShapeCount,…, found {','.join(header[:2])!r}")
        columns = [_column(name) for name in header]
        count = next((i for i, name in enumerate(header) if name.lower() == "blendshapecount"), None)
        values, codes, kept = [], [], []
        for number, row in rows:
            if not any(field.strip() for field in row):
                continue
            codes.append((number, row[0].strip()))
            if count is not None and (len(row) <= count or row[count].strip() in ("", "0")):
                continue  # the app writes such rows for moments without a face
            if len(row) != len(header):
                raise ValueError(f"{path}: line {number}: expected {len(header)} values, found {len(row)}")
            line = np.zeros(len(COLUMNS), np.float32)
            try:
                for column, text in zip(columns, row, strict=True):
                    if column is not None:
                        line[column] = float(text)
            except ValueError as error:
                raise ValueError(f"{path}: line {number}: {error}") from error
            if not np.isfinite(line).all():
                raise ValueError(f"{path}: line {number}: expected numbers, found NaN or infinity")
            kept.append(len(codes) - 1)
            values.append(line)
    clock, stamps = read_clock(path, codes, fps)
    times = stamps[kept] if kept else np.zeros(0)
    span = int(np.ptp(stamps) * clock.rows_per_s) if len(stamps) else 0
    check_unpacked(path, "frames between its time codes", span * 4 * len(COLUMNS), path.stat().st_size)
    start = float(times[0]) if kept else 0.0
    return ArkitRecording(
        values=np.array(values, np.float32).reshape(-1, len(COLUMNS)),
        times_s=times - start,
        start_s=start,
        lead_s=start - float(stamps[0]) if kept else 0.0,
        columns=tuple(COLUMNS[column] for column in columns if column is not None),
        unknown=tuple(n for n, c in zip(header[1:], columns[1:], strict=True) if c is None and n != header[count or 0]),
        clock=clock,
    )


def _rows(path: Path, rows: Any) -> Iterator[tuple[int, list[str]]]:
    """Lines with their numbers. Raises ValueError naming the line of a field without end."""
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise ValueError(f"{path}: line {rows.line_num}: {error}") from error


def read_clock(path: Path, codes: Sequence[tuple[int, str]], fps: float | None) -> tuple[Clock, np.ndarray]:
    """The clock of time codes [(line, code)], and their seconds since midnight (T,), rising.

    `fps` is how many frames a second they count; None finds it in them. Raises ValueError naming file and line.
    """
    parts = []
    for line, code in codes:
        try:
            parts.append(parse_time_code(code))
        except ValueError as error:
            raise ValueError(f"{path}: line {line}: {error}") from error
    table = np.array(parts, np.float64).reshape(-1, 3)
    seconds, frames = table[:, 0], table[:, 1]
    seconds = seconds + DAY * np.concatenate([[0], np.cumsum(np.diff(seconds) < -DAY / 2)])  # past midnight
    base = counted_rate(seconds, frames) if fps is None else max(round(fps), 1)
    if base is None:
        raise ValueError(f"{path}: cannot determine the rate of its time codes; pass --csv-fps")
    beyond = np.flatnonzero(frames >= base)
    if len(beyond):
        line, code = codes[int(beyond[0])]
        raise ValueError(f"{path}: line {line}: time code {code} counts beyond {base} frames a second (--csv-fps)")
    drop = bool(table[:, 2].any()) or drops_frames(seconds, frames, base)
    fps = fps or base * (NTSC if drop else 1.0)
    times = elapsed(seconds, frames, fps, drop)
    backwards = np.flatnonzero(np.diff(times) < 0)
    if len(backwards):
        line, code = codes[int(backwards[0]) + 1]
        raise ValueError(f"{path}: line {line}: time code {code} is earlier than that of the line above; wrong rate?")
    rounded = 1 / fps if not np.any(frames % 1) else 0.0
    return _clock(times, fps, drop, rounded), spread(times)


def _clock(times: np.ndarray, fps: float, drop: bool, rounded_s: float) -> Clock:
    steps = np.diff(spread(times))
    rate = rate_of(spread(times), fps / max(round(fps), 1), rounded_s)
    near = steps[steps < 1.6 / rate] if rate else steps
    slack = 0.0 if same_rate(rate, fps) else rounded_s
    return Clock(
        rows_per_s=rate,
        counted_per_s=fps,
        drop_frame=drop,
        day_s=float(elapsed(np.array(DAY), np.array(0), fps, drop)),
        missing=int(np.maximum(np.rint((steps - slack) * rate) - 1, 0).sum()),
        repeated=int((np.diff(times) == 0).sum()) if rate <= 1.1 * fps else 0,
        uneven_s=float(np.percentile(np.abs(near - near.mean()), 75)) if len(near) else 0.0,
    )


_PLACES = {name.lower(): column for column, name in enumerate(COLUMNS)}


def _column(name: str) -> int | None:
    return _PLACES.get(name.lower())
