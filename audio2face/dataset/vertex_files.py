"""Lists of vertices and faces of meshes, in the files that may hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.formats.json_file import read_json
from audio2face.formats.npy import read_npy
from audio2face.geometry.regions import chosen_vertices
from audio2face.lazy import lazy
from audio2face.paths import external_path
from audio2face.problems import UserError
from audio2face.types import Pairs

ROWS = {"upper": 0, "lower": 1, "upper_lip": 0, "lower_lip": 1, "top": 0, "bottom": 1}  # of the lists in a .npy
FACE_READERS = {
    ".obj": lazy("audio2face.formats.obj", "read_obj_triangles"),
    **dict.fromkeys((".usd", ".usda", ".usdc"), lazy("audio2face.formats.usd", "read_usd_triangles")),
}


def read_vertices(path: Path, where: str, num_vertices: int, at_least: int = 1) -> np.ndarray:
    """Vertices (n,) of a mesh from a .json or .npy that holds a list or a mask of them. UserError begins with `where`."""
    try:
        values = np.asarray(read_numbers(path))
        if values.ndim != 1 or len(values) >= at_least:
            values = chosen_vertices(values, num_vertices)
    except ValueError as error:
        raise UserError(f"{where}: {str(error).removeprefix(f'{path}: ')}") from error
    if len(values) < at_least:
        raise UserError(f"{where}: needs at least {at_least} vertices, has {len(values)}")
    return values


def vertex_pairs(content: Any, places: tuple[tuple[str, ...], tuple[str, ...]], where: str) -> Pairs:
    """Upper and lower vertices (n,) at two `places` of what `read_numbers` gave. UserError begins with `where`."""
    if isinstance(content, np.ndarray):
        _check_rows(content, len(places[0]), where)
    upper, lower = (_member(content, place, where) for place in places)
    if len(upper) != len(lower):
        names = " and ".join("/".join(place) for place in places)
        raise UserError(f"{where}: {names} must be equally long, they have {len(upper)} and {len(lower)}")
    return upper, lower


def read_faces(path: Path, key: str, read: Callable[[Callable[[Path], Any], Path], Any]) -> np.ndarray:
    """Triangles (F, 3) int64 of a mesh from a .npy, .obj or .usd, each opened by `read`. Raises UserError naming `key`."""
    suffix = path.suffix.lower()
    if suffix in FACE_READERS:
        return read(FACE_READERS[suffix], path)
    if suffix != ".npy":
        raise UserError(f"{key} {external_path(path)}: expected a .npy (F, 3), .obj or .usd file")
    faces = read(read_npy, path)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise UserError(
            f"{key} {external_path(path)}: expected whole numbers (F, 3), found {faces.shape} of {faces.dtype}"
        )
    return np.ascontiguousarray(faces, np.int64)


def read_numbers(path: Path) -> Any:
    """What a list of vertices holds: an array of a .npy, or the content of a .json."""
    return read_npy(path) if path.suffix.lower() == ".npy" else read_json(path)


def _check_rows(lists: np.ndarray, depth: int, where: str) -> None:
    """The lists of a .npy are its rows, in the order that ROWS gives. Raises UserError for another layout."""
    if lists.ndim != depth + 1 or lists.shape[:-1] != (2,) * depth or lists.dtype.kind not in "iu":
        rows = "(2, n): upper, lower" if depth == 1 else "(2, 2, n): top, bottom of the upper lip, then of the lower"
        raise UserError(f"{where}: expected rows of whole numbers {rows}; found {lists.shape} of {lists.dtype}")


def _indices(values: Any, where: str, what: str) -> np.ndarray:
    if not isinstance(values, list) or not values or any(type(v) is not int or v < 0 for v in values):
        raise UserError(f"{where}: expected {what} (whole numbers >= 0), found {str(values)[:60]}")
    if len(values) > 2 and max(values) <= 1:
        raise UserError(f"{where}: expected {what}, found a mask of zeros and ones, which does not pair them")
    return np.array(values, np.int64)


def _member(content: Any, place: tuple[str, ...], where: str) -> np.ndarray:
    what = f"a list of vertices under {'/'.join(place)!r}"
    if isinstance(content, np.ndarray):
        return _indices(content[tuple(ROWS[key] for key in place)].tolist(), where, what)
    for key in place:
        if not isinstance(content, Mapping) or key not in content:
            raise UserError(f"{where}: expected an entry {'/'.join(place)!r} with a list of vertices")
        content = content[key]
    return _indices(content, where, what)
