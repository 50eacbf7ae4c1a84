"""Named values per frame in JSON: tables as Audio2Face exports them, and lists of frames as Live Link tools write them."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.formats.animation_json import KIND, JsonAnimation, read_animation_json
from audio2face.formats.curve_rows import CurveRows, check_fps, empty_rows, is_frame, rate_from, time_unit, times_from
from audio2face.formats.json_file import read_json

RATES = ("fps", "exportfps", "framerate", "rate")
NAMES = ("names", "facsnames", "blendshapenames", "curvenames")
VALUES = ("values", "weights", "weightmat", "blendshapes", "scores")
CURVES = (
    "blendshapes",
    "curves",
    "weights",
    "values",
    "facial",
    "properties",
    "data",
    "arkit",
)  # hold a frame's values
ABOUT = ("metadata", "info", "header", "meta")
NAME_KEYS, VALUE_KEYS = ("name", "categoryname", "curve", "key"), ("value", "score", "weight")
MOST_DEPTH = 4


def read_curve_json(path: str | os.PathLike[str]) -> CurveRows:
    """The columns of a JSON file, null or absent where a frame has none. Raises ValueError naming file, frame and name.

    Known are {"facsNames": […], "weightMat": [[…], …], "exportFps": 30} and its likes, {"names": […], "frames": [{"weights":
    […], "time": s}, …]}, lists of frames {"jawOpen": 0.1, …} or {"blendshapes": {"jawOpen": 0.1, …}, …} whose curves may
    also be lists of {"name": …, "value": …}, and this framework's own animations.
    """
    path = Path(path)
    data = read_json(path)
    if isinstance(data, dict) and data.get("kind") == KIND:
        animation = read_animation_json(path)
        return _own_rows(animation, check_fps(path, animation.fps))
    head = _lower(data) if isinstance(data, dict) else {}
    about = {**next((_lower(head[key]) for key in ABOUT if isinstance(head.get(key), dict)), {}), **head}
    stated = next((about[key] for key in RATES if about.get(key) is not None), None)
    fps = None if stated is None else check_fps(path, stated)
    names = next((head[key] for key in NAMES if isinstance(head.get(key), list)), None)
    frames = data if isinstance(data, list) else _frames(head)
    if frames is None:
        known = ", ".join(map(str, head)) or type(data).__name__
        raise ValueError(f"{path}: expected names and rows of values, or a list of frames; found {known:.200}")
    return _rows(path, frames, names, fps)


def _own_rows(animation: JsonAnimation, fps: float) -> CurveRows:
    """The groups of curves of our own animation, then the solved weights that none of them is named like."""
    names = [name for group in animation.curves for name in group.names]
    taken = {name.lower() for name in names}
    solved = [name for name in animation.weights if name.lower() not in taken]
    tables = [group.values for group in animation.curves] + [animation.weights[name][:, None] for name in solved]
    values = np.concatenate(tables, axis=1) if tables else np.zeros((0, 0))
    return CurveRows((*names, *solved), values.astype(np.float64), None, fps)


def _frames(head: Mapping[str, Any]) -> list[Any] | None:
    """The list of rows or frames of an object, wherever it keeps it."""
    for key in ("frames", *VALUES, *CURVES):
        value = head.get(key)
        if isinstance(value, list) and (not value or isinstance(value[0], list | dict | None)):
            return value
    return None


def _rows(path: Path, frames: list[Any], names: Any, fps: float | None) -> CurveRows:
    places: dict[str, int] = {}
    rows, columns, numbers = array("q"), array("q"), array("d")
    times = np.full(len(frames), np.nan)
    units: dict[str, float | None] = {}
    for index, frame in enumerate(frames):
        where = f"{path}: frame {index}"
        time = _time(where, frame)
        if time is not None:
            units[time[0]], times[index] = time[1], time[2]
        seen: set[str] = set()
        for name, value in _curves(where, frame, names, 0):
            if name in seen:
                raise ValueError(f"{where}: {name!r} stands there twice")
            seen.add(name)
            column = places.setdefault(name, len(places))
            if value is not None and value == value:
                rows.append(index)
                columns.append(column)
                numbers.append(_number(f"{where}, {name}", value))
    if not places:
        raise ValueError(f"{path}: none of its {len(frames)} frames has a named value")
    values = empty_rows(path, len(frames), len(places), path.stat().st_size)
    values[np.array(rows, np.int64), np.array(columns, np.int64)] = np.array(numbers)
    if np.isnan(times).any():
        return CurveRows(tuple(places), values, None, fps)
    stamps, note = times_from(path, times, next(iter(units.values()), None), range(len(frames)))
    return CurveRows(tuple(places), values, stamps, fps or rate_from(stamps), (note,) if note else ())


def _curves(where: str, frame: Any, names: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Names and values of one frame; frames without any are missing."""
    if depth > MOST_DEPTH:
        raise ValueError(f"{where}: nested more than {MOST_DEPTH} deep")
    if frame is None:
        return
    if isinstance(frame, list):
        yield from _listed(where, frame, names)
        return
    if not isinstance(frame, dict):
        raise ValueError(f"{where}: expected an object or a list, found {frame!r:.40}")
    lower = _lower(frame)
    own = next((lower[key] for key in NAMES if isinstance(lower.get(key), list)), names)
    inner = next((key for key in frame if key.lower() in CURVES and isinstance(frame[key], dict | list)), None)
    for key, value in frame.items():
        if key == inner:
            yield from _curves(where, value, own, depth + 1)
        elif isinstance(value, dict) and not _is_time(key):
            yield from ((f"{key}_{name}", x) for name, x in _curves(where, value, None, depth + 1))
        elif inner is None and not _is_time(key) and isinstance(value, int | float | None) and value is not True:
            yield key, value


def _listed(where: str, values: list[Any], names: Any) -> Iterator[tuple[str, Any]]:
    """Values in the order of names, or [{"name": …, "value": …}, …]."""
    if values and all(isinstance(value, dict) for value in values):
        for entry in map(_lower, values):
            name = next((entry[key] for key in NAME_KEYS if isinstance(entry.get(key), str)), None)
            key = next((key for key in VALUE_KEYS if key in entry), None)
            if name is None or key is None:
                raise ValueError(f"{where}: expected a name and a value, found {', '.join(map(str, entry)):.60}")
            yield name, entry[key]
        return
    if not isinstance(names, list) or len(values) != len(names):
        count = f"{len(names)} names" if isinstance(names, list) else "no names"
        raise ValueError(f"{where}: {len(values)} values, {count} for them")
    for name, value in zip(names, values, strict=True):
        if not isinstance(name, str):
            raise ValueError(f"{where}: expected names, found {name!r:.40}")
        yield name, value


def _time(where: str, frame: Any) -> tuple[str, float | None, float] | None:
    """(key, unit in seconds if stated, value) of a frame's time."""
    if not isinstance(frame, dict):
        return None
    for key, value in frame.items():
        if time_unit(key)[0] and isinstance(value, int | float) and not isinstance(value, bool):
            return key, time_unit(key)[1], _number(f"{where}, {key}", value)
        if key.lower().replace("_", "") == "frametime" and isinstance(value, dict):  # Live Link's: frames at a rate
            parts = {k: value.get(k, 0) for k in ("frame_number", "sub_frame", "numerator", "denominator")}
            number, part, top, bottom = (_number(f"{where}, {key}, {k}", v) for k, v in parts.items())
            return (key, 1.0, (number + part) * bottom / top) if top > 0 < bottom else None
    return None


def _is_time(key: str) -> bool:
    return time_unit(key)[0] or is_frame(key) or key.lower().replace("_", "") == "frametime"


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e38:
        raise ValueError(f"{where}: expected a number, found {value!r:.40}")
    return float(value)


def _lower(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower().replace("_", ""): value for key, value in data.items()}
