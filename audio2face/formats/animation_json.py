"""An animation without its meshes as one JSON file: blendshape weights, lower teeth, eyes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from audio2face.formats.json_file import read_json
from audio2face.paths import atomic

KIND, VERSION = "audio2face-animation", 1
DECIMALS = 6
ROWS = 1024  # turned into text at once


@dataclass(frozen=True)
class JsonAnimation:
    """`weights` {name: (T,)}; `jaw` transforms (T, 4, 4) of teeth or offsets (T, 5, 3); `eyes` (T, 6 or 4) degrees."""

    fps: float
    jaw: np.ndarray
    eyes: np.ndarray
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)


def write_animation_json(path: str | os.PathLike[str], animation: JsonAnimation) -> None:
    """Write an animation, whole or not at all, with six decimals, on one line. Transforms are stored by rows."""
    jaw = np.asarray(animation.jaw)
    columns = list(animation.weights.values())
    weights = np.stack(columns, axis=1) if columns else np.zeros((len(jaw), 0))
    head = {"kind": KIND, "version": VERSION, "fps": animation.fps, "num_frames": len(jaw)}
    names, shape = (json.dumps(x, ensure_ascii=False) for x in (list(animation.weights), list(jaw.shape[1:])))
    tables = (
        (f', "blendshapes": {{"names": {names}, "weights": ', weights),
        (f'}}, "jaw": {{"shape": {shape}, "values": ', jaw.reshape(len(jaw), -1)),
        ('}, "eyes_degrees": ', np.asarray(animation.eyes)),
    )
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        try:
            file.write(json.dumps(head, allow_nan=False)[:-1])
            for before, table in tables:
                file.write(before)
                file.writelines(_rows(table))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        file.write("}\n")


def read_animation_json(path: str | os.PathLike[str]) -> JsonAnimation:
    """Read what `write_animation_json` wrote. Raises ValueError naming the file if it is something else."""
    data = read_json(path)
    if not isinstance(data, dict) or data.get("kind") != KIND or data.get("version") != VERSION:
        raise ValueError(f"{path}: expected kind {KIND!r}, version {VERSION}")
    try:
        count, names = int(data["num_frames"]), list(data["blendshapes"]["names"])
        table = np.array(data["blendshapes"]["weights"], np.float32).reshape(count, len(names))
        jaw = np.array(data["jaw"]["values"], np.float32).reshape(count, *data["jaw"]["shape"])
        eyes = np.array(data["eyes_degrees"], np.float32).reshape(count, -1)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged animation: {error}") from error
    return JsonAnimation(float(data["fps"]), jaw, eyes, dict(zip(names, table.T, strict=True)))


def _rows(table: np.ndarray) -> Iterator[str]:
    """A table (T, n) as JSON, in pieces: an hour of rows as Python numbers would take a gigabyte."""
    yield "["
    for first in range(0, len(table), ROWS):
        rows = np.round(np.asarray(table[first : first + ROWS], np.float64), DECIMALS).tolist()
        yield (", " if first else "") + json.dumps(rows, allow_nan=False)[1:-1]
    yield "]"
