"""Stanford .ply meshes (ASCII or binary): vertices and faces."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from audio2face.formats.budget import check_corners, check_finite, check_fits
from audio2face.formats.git_lfs import refuse_pointer

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


def read_ply(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 and triangles (F, 3) int64 (F is 0 without faces); larger faces are cut into fans.

    Raises ValueError naming the file when it is malformed or cut short.
    """
    refuse_pointer(path)
    data = Path(path).read_bytes()
    head, mark, body = data.partition(b"end_header")
    if not data.startswith(b"ply") or not mark:
        raise ValueError(f"{path}: byte 0: expected a .ply file")
    body = body.partition(b"\n")[2]
    try:
        order, elements = _header(head)
        read = _ascii if order == "ascii" else _binary
        points, faces = read(body, elements, _ORDERS[order])
        triangles = [(f[0], f[i], f[i + 1]) for f in faces for i in range(1, len(f) - 1)]
        found = np.array(triangles, np.int64).reshape(-1, 3)
    except (KeyError, IndexError, OverflowError, ValueError) as error:
        raise ValueError(f"{path}: expected vertices x, y, z and faces as its header says: {error!r}") from error
    check_corners(path, found, len(points))
    check_finite(path, "vertex", points)
    return points.astype(np.float32), found


def _header(head: bytes) -> tuple[str, list[tuple[str, int, list[list[str]]]]]:
    """The format, and (name, count, properties as words) of every element."""
    order = ""
    elements: list[tuple[str, int, list[list[str]]]] = []
    for line in head.decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            order = words[1]
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            elements[-1][2].append(words[1:])
    return order, elements


def _ascii(body: bytes, elements: list, order: str) -> tuple[np.ndarray, list]:
    lines = body.decode("ascii").splitlines()
    points, faces, at = np.zeros((0, 3)), [], 0
    for name, count, properties in elements:
        check_fits("header", f"lines of {name}", count, 1, len(lines) - at)
        rows = [line.split() for line in lines[at : at + count]]
        at += count
        if name == "vertex":
            names = [p[-1] for p in properties]
            points = np.array([[float(row[names.index(axis)]) for axis in "xyz"] for row in rows]).reshape(-1, 3)
        elif name == "face":
            for row in rows:
                corners = check_fits("faces", "corners", int(row[0]), 1, len(row) - 1)
                faces.append([int(v) for v in row[1 : 1 + corners]])
    return points, faces


def _binary(body: bytes, elements: list, order: str) -> tuple[np.ndarray, list]:
    points, faces, at = np.zeros((0, 3)), [], 0
    for name, count, properties in elements:
        if any(p[0] == "list" for p in properties):
            if name != "face" or len(properties) != 1:
                raise ValueError(f"lists in element {name}")
            size, index = (np.dtype(order + _TYPES[t]) for t in properties[0][1:3])
            check_fits("header", "faces", count, size.itemsize, len(body) - at)
            found = _equal_faces(body, at, count, size, index)
            if found is not None:
                faces, at = found.tolist(), at + found.shape[0] * (size.itemsize + found.shape[1] * index.itemsize)
                continue
            for _ in range(count):
                left = len(body) - at - size.itemsize
                corners = check_fits("faces", "corners", int(np.frombuffer(body, size, 1, at)[0]), index.itemsize, left)
                faces.append(np.frombuffer(body, index, corners, at + size.itemsize).tolist())
                at += size.itemsize + corners * index.itemsize
            continue
        table = np.dtype([(p[1], order + _TYPES[p[0]]) for p in properties])
        check_fits("header", f"rows of {name}", count, table.itemsize, len(body) - at)
        rows = np.frombuffer(body, table, count, at)
        at += count * table.itemsize
        if name == "vertex":
            points = np.stack([rows[axis] for axis in "xyz"], axis=1)
    return points, faces


def _equal_faces(body: bytes, at: int, count: int, size: np.dtype, index: np.dtype) -> np.ndarray | None:
    """Faces (count, n) that all have as many corners as the first; None otherwise."""
    corners = int(np.frombuffer(body, size, 1, at)[0]) if count else 0
    room = (len(body) - at) // count if count else 0
    if corners < 1 or size.itemsize + corners * index.itemsize > room:
        return None
    rows = np.frombuffer(body, np.dtype([("corners", size), ("vertices", index, (corners,))]), count, at)
    return rows["vertices"] if (rows["corners"] == corners).all() else None
