"""Binary glTF 2.0 (.glb): meshes with animated morph targets, a head that turns, skeletons. Needs no library."""

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
from audio2face.formats.scene import Figure, MorphMesh, Turn, check_triangles, linear_colours, smooth_normals
from audio2face.paths import atomic

MAGIC, VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
FLOAT, UNSIGNED, SHORT = 5126, 5125, 5123
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
DTYPES = {FLOAT: "<f4", UNSIGNED: "<u4", SHORT: "<u2"}
STOOD_UP = [-(0.5**0.5), 0.0, 0.0, 0.5**0.5]  # a quaternion: z to y
VERTICES, INDICES = 34962, 34963  # what a buffer view is for
_MOST_BYTES = 2**32 - 2**20  # lengths are 32-bit numbers


def write_gltf(
    path: str | os.PathLike[str],
    meshes: Sequence[MorphMesh],
    fps: float,
    units_per_metre: float = 1.0,
    turn: Turn | None = None,
    figures: Sequence[Figure] = (),
) -> None:
    """Write meshes and figures with their animation, whole or not at all. Frame t is at t / fps seconds; glTF's unit is
    the metre. `turn` is that of the node "head", which then holds the meshes.

    Raises ValueError for nothing to write, numbers that are not finite, bad triangles, or more than 4 GB.
    """
    if not meshes and not figures:
        raise ValueError(f"{path}: no meshes to write")
    file = _File(path, fps)
    roots = []
    if meshes:
        face = file.add_node("face", **_scaled(units_per_metre))
        roots.append(face)
        holder, back = face, {}
        if turn is not None:
            holder = file.add_node("head", face, translation=turn.pivot.astype(float).tolist())
            file.animate(holder, "rotation", turn.quaternions)
            back = {"translation": (-turn.pivot).astype(float).tolist()}
        for mesh in meshes:
            file.animate_weights(file.add_node(mesh.name, holder, mesh=file.add_mesh(mesh), **back), mesh)
    for figure in figures:
        roots += file.add_figure(figure)
    root: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "audio2face"},
        "scene": 0,
        "scenes": [{"nodes": roots}],
        **file.tables(),
    }
    _write(path, root, file.blocks)


def _scaled(units_per_metre: float) -> dict[str, Any]:
    return {} if units_per_metre == 1.0 else {"scale": [1.0 / units_per_metre] * 3}


class _File:
    """The binary part and the tables that point into it, while they grow."""

    def __init__(self, path: str | os.PathLike[str], fps: float):
        self.path, self.fps = path, fps
        self.blocks: list[bytes] = []
        self.length = 0
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.meshes: list[dict[str, Any]] = []
        self.nodes: list[dict[str, Any]] = []
        self.skins: list[dict[str, Any]] = []
        self.samplers: list[dict[str, Any]] = []
        self.channels: list[dict[str, Any]] = []
        self.clocks: dict[int, int] = {}

    def tables(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "nodes": self.nodes,
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": self.length}],
        }
        found |= {name: table for name, table in (("meshes", self.meshes), ("skins", self.skins)) if table}
        if any("COLOR_0" in p["attributes"] for mesh in self.meshes for p in mesh["primitives"]):
            found["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.7}}]
        if self.channels:
            found["animations"] = [{"name": "speech", "samplers": self.samplers, "channels": self.channels}]
        return found

    def add_node(self, name: str, parent: int | None = None, **what: Any) -> int:
        """Append a node, and enter it among its parent's children; returns its number."""
        self.nodes.append({"name": name, **what})
        number = len(self.nodes) - 1
        if parent is not None:
            self.nodes[parent].setdefault("children", []).append(number)
        return number

    def animate(self, node: int, what: str, values: np.ndarray) -> None:
        """Append the animation of a node's "rotation", "translation" (both (T, n)) or "weights" (T, K)."""
        count = len(values)
        if not count:
            return
        if count not in self.clocks:
            self.clocks[count] = self.add(
                np.arange(count, dtype=np.float32) / np.float32(self.fps), "SCALAR", bounds=True
            )
        kind = {"rotation": "VEC4", "translation": "VEC3", "weights": "SCALAR"}[what]
        output = self.add(values.reshape(-1) if what == "weights" else values, kind)
        self.samplers.append({"input": self.clocks[count], "interpolation": "LINEAR", "output": output})
        self.channels.append({"sampler": len(self.samplers) - 1, "target": {"node": node, "path": what}})

    def animate_weights(self, node: int, mesh: MorphMesh) -> None:
        if mesh.target_names:
            self.animate(node, "weights", mesh.weights)

    def add_figure(self, figure: Figure) -> list[int]:
        """Append a skeleton's joints as nodes, their motion, and the mesh that follows them; returns the scene's nodes."""
        place = _scaled(figure.units_per_metre) | ({"rotation": STOOD_UP} if figure.z_up else {})
        top = self.add_node(figure.name, **place)
        nodes: list[int] = []
        for number, joint in enumerate(figure.skeleton.joints):
            offset = [float(v) for v in joint.offset]
            nodes.append(
                self.add_node(joint.name, nodes[joint.parent] if joint.parent >= 0 else top, translation=offset)
            )
            self.animate(nodes[-1], "rotation", figure.quaternions[:, number])
            places = np.asarray(figure.places[:, number], np.float32)
            if len(places) and (joint.parent < 0 or (places != np.array(joint.offset, np.float32)).any()):
                self.animate(nodes[-1], "translation", places)
        if figure.mesh is None:
            return [top]
        matrices = np.tile(np.eye(4), (len(nodes), 1, 1))
        matrices[:, 3, :3] = -figure.rest  # columns first: a matrix that takes a joint at rest to the origin
        self.skins.append(
            {"joints": nodes, "skeleton": top, "inverseBindMatrices": self.add(matrices.reshape(-1, 16), "MAT4")}
        )
        number = self.add_mesh(figure.mesh, figure)
        node = self.add_node(figure.mesh.name, mesh=number, skin=len(self.skins) - 1)
        self.animate_weights(node, figure.mesh)
        return [top, node]

    def add(self, array: np.ndarray, kind: str, target: int | None = None, bounds: bool = False) -> int:
        """Append an array of numbers; returns its accessor."""
        number = {"u2": SHORT, "i4": UNSIGNED}.get(array.dtype.str[1:], FLOAT)
        array = np.ascontiguousarray(array, DTYPES[number])
        if number == FLOAT and not np.isfinite(array).all():
            raise ValueError(f"{self.path}: NaN and infinity cannot be written")
        data = array.tobytes()
        view = {"buffer": 0, "byteOffset": self.length, "byteLength": len(data)}
        self.views.append(view | ({"target": target} if target else {}))
        self.blocks.append(data)
        self.length += len(data)
        accessor: dict[str, Any] = {
            "bufferView": len(self.views) - 1,
            "componentType": number,
            "count": len(array),
            "type": kind,
        }
        if bounds:
            low, high = np.atleast_1d(array.min(axis=0)), np.atleast_1d(array.max(axis=0))
            accessor |= {"min": low.astype(float).tolist(), "max": high.astype(float).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_mesh(self, mesh: MorphMesh, figure: Figure | None = None) -> int:
        """Append geometry, targets and what moves a figure's mesh; returns the mesh's number."""
        triangles = check_triangles(mesh.name, mesh.triangles, len(mesh.rest))
        attributes = {
            "POSITION": self.add(mesh.rest, "VEC3", VERTICES, bounds=True),
            "NORMAL": self.add(smooth_normals(mesh.rest, triangles), "VEC3", VERTICES),
        }
        if mesh.colours is not None:
            attributes["COLOR_0"] = self.add(linear_colours(mesh.colours), "VEC3", VERTICES)
        if figure is not None and figure.joints is not None and figure.shares is not None:
            joints, shares = _four(figure.joints, figure.shares)
            attributes |= {
                "JOINTS_0": self.add(joints, "VEC4", VERTICES),
                "WEIGHTS_0": self.add(shares, "VEC4", VERTICES),
            }
        indices = self.add(triangles.reshape(-1), "SCALAR", INDICES)
        primitive: dict[str, Any] = {"attributes": attributes, "indices": indices}
        if mesh.colours is not None:
            primitive["material"] = 0
        entry: dict[str, Any] = {"name": mesh.name, "primitives": [primitive]}
        if mesh.target_names:
            primitive["targets"] = [{"POSITION": self.add(t, "VEC3", VERTICES, bounds=True)} for t in mesh.targets]
            first = mesh.weights[0] if len(mesh.weights) else np.zeros(len(mesh.target_names))
            entry |= {"weights": first.astype(float).tolist(), "extras": {"targetNames": list(mesh.target_names)}}
        self.meshes.append(entry)
        return len(self.meshes) - 1


def _four(joints: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints and shares (V, 4) of (V, K), filled up; a joint without a share is 0, as the format asks."""
    room = ((0, 0), (0, 4 - joints.shape[1]))
    shares = np.pad(np.asarray(shares, np.float32), room)
    return np.where(shares > 0, np.pad(joints, room), 0).astype(np.uint16), shares


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
                if channel["target"]["path"] != "weights":
                    continue
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
    start = binary_start(path, data)
    return parse_json(f"{path}: byte 20: expected JSON", data[20 : start - 8]), data[start:]


def binary_start(path: str | os.PathLike[str], data: bytes) -> int:
    """The byte at which the binary part of a .glb begins. Raises ValueError where the file is too short for its JSON part."""
    size = struct.unpack_from("<I", data, 12)[0]
    return 28 + check_fits(path, "byte 12: the JSON part", size, 1, len(data) - 20)


def _array(root: dict[str, Any], accessor: dict[str, Any], binary: bytes) -> np.ndarray:
    width, dtype = WIDTHS[accessor["type"]], np.dtype(DTYPES[accessor["componentType"]])
    start = root["bufferViews"][accessor["bufferView"]]["byteOffset"]
    count = check_fits("accessor", "elements", accessor["count"], dtype.itemsize * width, len(binary) - start)
    values = np.frombuffer(binary, dtype, count * width, start)
    return values if width == 1 else values.reshape(-1, width)
