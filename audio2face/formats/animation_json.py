"""An animation without its meshes as one JSON file: blendshape weights, lower teeth, eyes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audio2face.formats.json_file import read_json
from audio2face.paths import atomic

KIND, VERSION = "audio2face-animation", 1
DECIMALS = 6


@dataclass(frozen=True)
class JsonAnimation:
    """`weights` {name: (T,)}; `jaw` (T, 4, 4) transforms of the lower teeth or (T, 5, 3) offsets; `eyes` (T, 6 or 4) degrees."""

    fps: float
    jaw: np.ndarray
    eyes: np.ndarray
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)


def write_animation_json(path: str | os.PathLike[str], animation: JsonAnimation) -> None:
    """Write an animation, whole or not at all, with six decimals, on one line. Transforms are stored by rows."""
    jaw = np.asarray(animation.jaw)
    columns = list(animation.weights.values())
    table = np.stack(columns, axis=1) if columns else np.zeros((len(jaw), 0))
    data = {
        "kind": KIND,
        "version": VERSION,
        "fps": animation.fps,
        "num_frames": len(jaw),
        "blendshapes": {"names": list(animation.weights), "weights": _rows(table)},
        "jaw": {"shape": list(jaw.shape[1:]), "values": _rows(jaw.reshape(len(jaw), -1))},
        "eyes_degrees": _rows(animation.eyes),
    }
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_animation_json(path: str | os.PathLike[str]) -> JsonAnimation:
    """Read what `write_animation_json` wrote. Raises ValueError naming the file when it is something else."""
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


def _rows(table: Any) -> list[list[float]]:
    return np.round(np.asarray(table, np.float64), DECIMALS).tolist()
