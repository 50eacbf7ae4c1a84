"""Readable JSON: strict on both ends, short lists of numbers and strings on one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.formats.budget import parse_json
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import atomic

_LINE = 120


def _plain(value: Any) -> Any:
    """NumPy values, tuples, sets and paths as JSON types."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(v) for v in value)
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _format(value: Any, indent: int) -> str:
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    pad = " " * (indent + 4)
    if isinstance(value, dict) and value:
        rows = [f"{pad}{json.dumps(k, ensure_ascii=False)}: {_format(v, indent + 4)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    nested = isinstance(value, list) and any(
        isinstance(v, dict) or (isinstance(v, list) and v and isinstance(v[0], list)) for v in value
    )
    if isinstance(value, list) and value and (nested or len(flat) + indent > _LINE):
        rows = [f"{pad}{_format(v, indent + 4)}" for v in value]
        return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"
    return flat


def dumps_json(data: Any) -> str:
    """JSON text of plain data, NumPy values, tuples and paths. Raises ValueError on NaN or infinity."""
    return _format(_plain(data), 0) + "\n"


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write `data` as JSON, whole or not at all. Raises ValueError naming the file on NaN or infinity."""
    try:
        text = dumps_json(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file. Raises ValueError naming the file, line and column when it is malformed."""
    refuse_pointer(path)
    return parse_json(path, Path(path).read_bytes())
