"""An animation without its meshes as one JSON file: blendshape weights, lower teeth, eyes, groups of curves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audio2face.formats.budget import whole
from audio2face.formats.json_file import read_json
from audio2face.paths import atomic

KIND, VERSION = "audio2face-animation", 1
DECIMALS = 6
ROWS = 1024  # turned into text at once


@dataclass(frozen=True)
class JsonCurves:
    """A group of curves: `values` (T, D) under `names` (D), and `about` them its name, kind, blocks and skeleton."""

    about: Mapping[str, Any]
    names: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True)
class JsonAnimation:
    """`weights` {name: (T,)}; `jaw` transforms (T, 4, 4) of teeth or offsets (T, 5, 3); `eyes` (T, 6 or 4) degrees; both None
    of what has no face mesh; groups of curves."""

    fps: float
    jaw: np.ndarray | None
    eyes: np.ndarray | None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    curves: tuple[JsonCurves, ...] = ()

    @property
    def num_frames(self) -> int:
        known = (self.jaw, self.eyes, *self.weights.values(), *(group.values for group in self.curves))
        return next((len(values) for values in known if values is not None), 0)


def write_animation_json(path: str | os.PathLike[str], animation: JsonAnimation) -> None:
    """Write an animation, whole or not at all, with six decimals, on one line. Transforms are stored by rows."""
    count, columns = animation.num_frames, list(animation.weights.values())
    weights = np.stack(columns, axis=1) if columns else np.zeros((0, 0))
    head = {"kind": KIND, "version": VERSION, "fps": animation.fps, "num_frames": count}
    parts: list[str | np.ndarray] = [
        f', "blendshapes": {{"names": {_text(list(animation.weights))}, "weights": ',
        weights,
        "}",
    ]
    if animation.jaw is not None:
        jaw = np.asarray(animation.jaw)
        parts += [f', "jaw": {{"shape": {_text(list(jaw.shape[1:]))}, "values": ', jaw.reshape(len(jaw), -1), "}"]
    if animation.eyes is not None:
        parts += [', "eyes_degrees": ', np.asarray(animation.eyes)]
    for number, group in enumerate(animation.curves):
        about = _text({**group.about, "names": list(group.names)})
        parts += [", " if number else ', "curves": [', f'{about[:-1]}, "values": ', group.values, "}"]
    parts += ["]"] if animation.curves else []
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        try:
            file.write(json.dumps(head, allow_nan=False)[:-1])
            for part in parts:
                file.writelines([part] if isinstance(part, str) else _rows(part))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        file.write("}\n")


def read_animation_json(path: str | os.PathLike[str]) -> JsonAnimation:
    """Read what `write_animation_json` wrote. Raises ValueError naming the file if it is something else."""
    data = read_json(path)
    if not isinstance(data, dict) or data.get("kind") != KIND or data.get("version") != VERSION:
        raise ValueError(f"{path}: expected kind {KIND!r}, version {VERSION}")
    try:
        count, names = whole(path, data["num_frames"], "num_frames"), list(map(str, data["blendshapes"]["names"]))
        table = np.array(data["blendshapes"]["weights"], np.float32).reshape(count, len(names))
        jaw = eyes = None
        if "jaw" in data:
            jaw = np.array(data["jaw"]["values"], np.float32).reshape(count, *data["jaw"]["shape"])
        if "eyes_degrees" in data:
            eyes = np.array(data["eyes_degrees"], np.float32).reshape(count, -1)
        curves = tuple(_read_curves(group, count) for group in data.get("curves", []))
        return JsonAnimation(float(data["fps"]), jaw, eyes, dict(zip(names, table.T, strict=True)), curves)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: damaged animation: {error!r}") from error


def _read_curves(group: Mapping[str, Any], count: int) -> JsonCurves:
    names = tuple(map(str, group["names"]))
    values = np.array(group["values"], np.float32).reshape(count, len(names))
    return JsonCurves({key: x for key, x in group.items() if key not in ("names", "values")}, names, values)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _rows(table: np.ndarray) -> Iterator[str]:
    """A table (T, n) as JSON, in pieces: an hour of rows as Python numbers would take a gigabyte."""
    yield "["
    for first in range(0, len(table), ROWS):
        rows = np.round(np.asarray(table[first : first + ROWS], np.float64), DECIMALS).tolist()
        yield (", " if first else "") + json.dumps(rows, allow_nan=False)[1:-1]
    yield "]"
