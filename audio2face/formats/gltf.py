"""Binary glTF 2.0 (.glb): meshes with morph targets whose weights are animated. Needs no library."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.formats.budget import check_fits, parse_json
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.scene import MorphMesh, check_triangles, smooth_normals
from audio2face.paths import atomic

MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
FLOAT, UNSIGNED = 5126, 5125
VERTICES, INDICES = 34962, 34963  # what a buffer view is for
_MOST_BYTES = 2**32 - 2**20  # lengths are 32-bit numbers


def write_gltf(
    path: str | os.PathLike[str], meshes: Sequence[MorphMesh], fps: float, units_per_metre: float = 1.0
) -> None:
    """Write meshes with their animation, whole or not at all. Frame t is at t / fps seconds; glTF's unit is the metre.

    Raises ValueError for no meshes, numbers that are not finite, bad triangles, or more than 4 GB.
    """
    if not meshes:
        raise ValueError(f"{path}: no meshes to write")
    file = _File(path)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    clocks: dict[int, int] = {}
    scale = 1.0 / units_per_metre
    nodes: list[dict[str, Any]] = [{"name": "face", "children": list(range(1, len(meshes) + 1))}]
    if scale != 1.0:
        nodes[0]["scale"] = [scale] * 3
    for mesh in meshes:
        nodes.append({"name": mesh.name, "mesh": file.add_mesh(mesh)})
        count = len(mesh.weights)
        if count and mesh.target_names:
            if count not in clocks:
                clocks[count] = file.add(np.arange(count, dtype=np.float32) / np.float32(fps), "SCALAR", bounds=True)
            output = file.add(mesh.weights.reshape(-1), "SCALAR")
            samplers.append({"input": clocks[count], "interpolation": "LINEAR", "output": output})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": len(nodes) - 1, "path": "weights"}})
    root: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "audio2face"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        **file.tables(),
    }
    if samplers:
        root["animations"] = [{"name": "speech", "samplers": samplers, "channels": channels}]
    _write(path, root, file.blocks)


class _File:
    """The binary part and the tables that point into it, while they grow."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = path
        self.blocks: list[bytes] = []
        self.length = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.meshes: list[dict[str, Any]] = []

    def tables(self) -> dict[str, Any]:
        return {
            "meshes": self.meshes,
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": self.length}],
        }

    def add(self, array: np.ndarray, kind: str, target: int | None = None, bounds: bool = False) -> int:
        """Append an array of numbers; returns its accessor."""
        whole = array.dtype.kind in "iu"
        array = np.ascontiguousarray(array, "<u4" if whole else "<f4")
        if not whole and not np.isfinite(array).all():
            raise ValueError(f"{self.path}: NaN and infinity cannot be written")
        data = array.tobytes()
        view = {"buffer": 0, "byteOffset": self.length, "byteLength": len(data)}
        self.views.append(view | ({"target": target} if target else {}))
        self.blocks.append(data)
        self.length += len(data)
        accessor: dict[str, Any] = {
            "bufferView": len(self.views) - 1,
            "componentType": UNSIGNED if whole else FLOAT,
            "count": len(array),
            "type": kind,
        }
        if bounds:
            low, high = np.atleast_1d(array.min(axis=0)), np.atleast_1d(array.max(axis=0))
            accessor |= {"min": low.astype(float).tolist(), "max": high.astype(float).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_mesh(self, mesh: MorphMesh) -> int:
        """Append geometry and targets; returns the mesh's number."""
        triangles = check_triangles(mesh.name, mesh.triangles, len(mesh.rest))
        attributes = {
            "POSITION": self.add(mesh.rest, "VEC3", VERTICES, bounds=True),
            "NORMAL": self.add(smooth_normals(mesh.rest, triangles), "VEC3", VERTICES),
        }
        indices = self.add(triangles.reshape(-1), "SCALAR", INDICES)
        primitive: dict[str, Any] = {"attributes": attributes, "indices": indices}
        entry: dict[str, Any] = {"name": mesh.name, "primitives": [primitive]}
        if mesh.target_names:
            primitive["targets"] = [{"POSITION": self.add(t, "VEC3", VERTICES, bounds=True)} for t in mesh.targets]
            first = mesh.weights[0] if len(mesh.weights) else np.zeros(len(mesh.target_names))
            entry |= {"weights": first.astype(float).tolist(), "extras": {"targetNames": list(mesh.target_names)}}
        self.meshes.append(entry)
        return len(self.meshes) - 1


def _write(path: str | os.PathLike[str], root: dict[str, Any], blocks: list[bytes]) -> None:
    text = json.dumps(root, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    length = sum(map(len, blocks))  # all arrays are made of 4-byte numbers, so that nothing has to be padded
    total = 12 + 8 + len(text) + 8 + length
    if total > _MOST_BYTES:
        raise ValueError(f"{path}: {total / 1e9:.1f} GB is more than a .glb can hold; split the audio into parts")
    with atomic(path) as temporary, temporary.open("wb") as out:
        out.write(struct.pack("<4sII", MAGIC, VERSION, total))
        out.write(struct.pack("<I4s", len(text), JSON_CHUNK) + text)
        out.write(struct.pack("<I4s", length, BINARY_CHUNK))
        for block in blocks:
            out.write(block)


def read_gltf(path: str | os.PathLike[str]) -> tuple[list[MorphMesh], float | None]:
    """Meshes and frame rate (None: no animation) of a .glb written by `write_gltf`. Raises ValueError if malformed."""
    refuse_pointer(path)
    data = Path(path).read_bytes()
    root, binary = glb_chunks(path, data)
    try:
        arrays = [_array(root, accessor, binary) for accessor in root["accessors"]]
        weights: dict[int, np.ndarray] = {}
        fps = None
        for animation in root.get("animations", []):
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                times = arrays[sampler["input"]]
                weights[channel["target"]["node"]] = arrays[sampler["output"]].reshape(len(times), -1)
                fps = (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else fps
        meshes = []
        for number, node in enumerate(root["nodes"]):
            if "mesh" not in node:
                continue
            mesh = root["meshes"][node["mesh"]]
            part = mesh["primitives"][0]
            rest = arrays[part["attributes"]["POSITION"]]
            targets = [arrays[t["POSITION"]] for t in part.get("targets", [])]
            names = tuple(mesh.get("extras", {}).get("targetNames", [str(k) for k in range(len(targets))]))
            stacked = np.stack(targets) if targets else np.zeros((0, *rest.shape), np.float32)
            moving = weights.get(number, np.zeros((0, len(targets)), np.float32))
            meshes.append(MorphMesh(node["name"], rest, arrays[part["indices"]].reshape(-1, 3), stacked, names, moving))
        return meshes, fps
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path}: expected a mesh with morph targets as this program writes it: {error!r}") from error


def glb_chunks(path: str | os.PathLike[str], data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON part and the binary part of a .glb. Raises ValueError naming the byte where it is not one."""
    if len(data) < 20 or data[:4] != MAGIC or struct.unpack_from("<I", data, 4)[0] != VERSION:
        raise ValueError(f"{path}: byte 0: expected a binary glTF 2, found {data[:8]!r}")
    if struct.unpack_from("<I", data, 8)[0] != len(data):
        raise ValueError(f"{path}: byte 8: the file has {len(data)} bytes, its header says otherwise")
    size = struct.unpack_from("<I", data, 12)[0]
    check_fits(path, "byte 12: the JSON part", size, 1, len(data) - 20)
    return parse_json(f"{path}: byte 20: expected JSON", data[20 : 20 + size]), data[28 + size :]


def _array(root: dict[str, Any], accessor: dict[str, Any], binary: bytes) -> np.ndarray:
    width = {"SCALAR": 1, "VEC3": 3}[accessor["type"]]
    dtype = {FLOAT: "<f4", UNSIGNED: "<u4"}[accessor["componentType"]]
    start = root["bufferViews"][accessor["bufferView"]]["byteOffset"]
    count = check_fits("accessor", "elements", accessor["count"], 4 * width, len(binary) - start)
    values = np.frombuffer(binary, dtype, count * width, start)
    return values.reshape(-1, 3) if width == 3 else values
