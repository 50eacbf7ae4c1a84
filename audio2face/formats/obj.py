"""Wavefront .obj: the vertices and faces of a mesh."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from audio2face.formats.budget import check_finite
from audio2face.formats.git_lfs import refuse_pointer


def read_obj(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 and triangles (F, 3) int64 of an .obj, in the file's order; F is 0 without faces.

    Faces with more corners are cut into a fan. Raises ValueError naming file and line of a malformed vertex or face.
    """
    refuse_pointer(path)
    triangles: list[tuple[int, int, int]] = []
    vertices: list[list[float]] = []
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if fields[:1] == ["v"]:
                vertices.append(_vertex(path, number, fields))
            elif fields[:1] == ["f"]:
                triangles += _face(path, number, fields, len(vertices))
    points = np.array(vertices, np.float32).reshape(-1, 3)
    check_finite(path, "vertex", points)
    return points, np.array(triangles, np.int64).reshape(-1, 3)


def read_obj_triangles(path: str | os.PathLike[str]) -> np.ndarray:
    """Triangles (F, 3) int64 of an .obj; faces with more corners are cut into a fan, vertices keep the file's order.

    Raises ValueError naming file and line of a malformed face, or a file without faces.
    """
    _, triangles = read_obj(path)
    if not len(triangles):
        raise ValueError(f"{path}: expected faces (f lines), found none")
    return triangles


def _vertex(path: str | os.PathLike[str], number: int, fields: list[str]) -> list[float]:
    try:
        x, y, z = map(float, fields[1:4])
    except ValueError as error:
        raise ValueError(f"{path}: line {number}: expected v and three numbers, found {' '.join(fields)!r}") from error
    return [x, y, z]


def _face(path: str | os.PathLike[str], number: int, fields: list[str], count: int) -> list[tuple[int, int, int]]:
    try:
        corners = [int(field.split("/")[0]) for field in fields[1:]]
    except ValueError as error:
        raise ValueError(f"{path}: line {number}: expected vertex numbers, found {' '.join(fields)!r}") from error
    corners = [corner - 1 if corner > 0 else count + corner for corner in corners]
    if len(corners) < 3 or min(corners) < 0 or max(corners) >= count:
        raise ValueError(f"{path}: line {number}: expected three or more vertices of 1 to {count}")
    return [(corners[0], b, c) for b, c in zip(corners[1:], corners[2:], strict=False)]
