"""Wavefront .obj: the faces of a mesh."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def read_obj_triangles(path: str | os.PathLike[str]) -> np.ndarray:
    """Triangles (F, 3) int64 of an .obj; faces with more corners are cut into a fan, vertices keep the file's order.

    Raises ValueError naming file and line for a face that is none, or a file without faces.
    """
    triangles: list[tuple[int, int, int]] = []
    num_vertices = 0
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if fields[:1] == ["v"]:
                num_vertices += 1
            elif fields[:1] == ["f"]:
                try:
                    corners = [int(field.split("/")[0]) for field in fields[1:]]
                except ValueError as error:
                    raise ValueError(
                        f"{path}: line {number}: expected vertex numbers, found {line.strip()!r}"
                    ) from error
                corners = [corner - 1 if corner > 0 else num_vertices + corner for corner in corners]
                if len(corners) < 3 or min(corners) < 0 or max(corners) >= num_vertices:
                    raise ValueError(f"{path}: line {number}: expected three or more vertices of 1 to {num_vertices}")
                triangles += [(corners[0], b, c) for b, c in zip(corners[1:], corners[2:], strict=False)]
    if not triangles:
        raise ValueError(f"{path}: expected faces (f lines), found none")
    return np.array(triangles, np.int64)
