"""glTF 2.0 from any program (.glb, .gltf): meshes with morph targets, placed as in the scene. Needs no library."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from audio2face.formats.budget import (
    check_corners,
    check_finite,
    check_unpacked,
    inside,
    parse_json,
    whole,
)
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.gltf import glb_chunks
from audio2face.formats.scene import MorphMesh

TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
TRIANGLES = 4  # mode of a primitive
PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression")


def read_gltf_rig(path: str | os.PathLike[str]) -> list[MorphMesh]:
    """Every mesh of the scene in metres, y up, with its morph targets and no animation (weights (0, K)).

    Skinned meshes take their skeleton's rest pose. A mesh split by materials becomes one mesh again. Raises
    ValueError naming the file when it is malformed, compressed, or refers to files outside its folder.
    """
    path = Path(path)
    try:
        root, buffers = open_gltf(path)
        scene = Scene(root, buffers, path.stat().st_size + sum(map(len, buffers)))
        return [mesh for node, world in scene.nodes() for mesh in scene.meshes(node, world)]
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: expected a glTF 2.0 scene: {error!r}") from error
    except ValueError as error:
        raise error if str(error).startswith(str(path)) else ValueError(f"{path}: {error}") from error


def read_gltf_skin(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The first mesh with a skin as it was bound, by the names of `body_mesh.ARRAYS`; ValueError as `read_gltf_rig`."""
    path = Path(path)
    try:
        root, buffers = open_gltf(path)
        return Scene(root, buffers, path.stat().st_size + sum(map(len, buffers))).skin()
    except (
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        np.linalg.LinAlgError,
    ) as error:
        raise ValueError(f"{path}: expected a glTF 2.0 scene with a skinned mesh: {error!r}") from error
    except ValueError as error:
        raise error if str(error).startswith(str(path)) else ValueError(f"{path}: {error}") from error


def open_gltf(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON part and all buffers."""
    refuse_pointer(path)
    data = path.read_bytes()
    binary = b""
    if data[:4] == b"glTF":
        root, binary = glb_chunks(path, data)
    else:
        root = parse_json(f"{path}: expected glTF (JSON) or GLB", data)
    used = [name for name in PACKED if name in root.get("extensionsRequired", [])]
    if used:
        raise ValueError(f"{path}: the meshes are compressed ({', '.join(used)}); export without compression")
    return root, [_buffer(path, entry, binary) for entry in root.get("buffers", [])]


def _buffer(path: Path, entry: dict[str, Any], binary: bytes) -> bytes:
    uri = entry.get("uri")
    if uri is None:
        return binary
    if uri.startswith("data:"):
        return base64.b64decode(uri.partition(",")[2])
    file = inside(path, unquote(uri), "buffer")
    if not file.is_file():
        raise ValueError(f"{path}: its buffer {uri!r} is missing; keep the files together")
    refuse_pointer(file)
    return file.read_bytes()


@dataclass
class Scene:
    root: dict[str, Any]
    buffers: list[bytes]
    packed: int  # bytes of the file with its buffers
    unpacked: int = field(default=0, init=False)  # bytes of numbers made so far

    def nodes(self) -> Iterator[tuple[int, np.ndarray]]:
        """Every node of the scene with its world matrix (4, 4)."""
        scenes = self.root.get("scenes")
        start = scenes[self.root.get("scene", 0)].get("nodes", []) if scenes else range(len(self.root["nodes"]))
        stack = [(number, np.eye(4)) for number in reversed(start)]
        seen: set[int] = set()
        while stack:
            number, above = stack.pop()
            if number in seen:
                raise ValueError(f"node {number} is its own ancestor, or has two parents")
            seen.add(number)
            node = self.root["nodes"][number]
            world = above @ node_matrix(node)
            yield number, world
            stack += [(child, world) for child in reversed(node.get("children", []))]

    def meshes(self, number: int, world: np.ndarray) -> Iterator[MorphMesh]:
        """The mesh of a node, in the scene's space; nothing for a node without one."""
        node = self.root["nodes"][number]
        if "mesh" not in node:
            return
        mesh = self.root["meshes"][node["mesh"]]
        parts = [
            p for p in mesh["primitives"] if p.get("mode", TRIANGLES) == TRIANGLES and "POSITION" in p["attributes"]
        ]
        if not parts:
            return
        rest, targets, corners, first, seen = [], [], [], 0, {}
        for part in parts:
            accessor = part["attributes"]["POSITION"]
            positions = self.array(accessor)
            if accessor not in seen:  # materials often share one block of vertices
                seen[accessor] = first
                first += len(positions)
                absent = sum("POSITION" not in t for t in part.get("targets", []))
                self.take(8 * positions.size * absent)
                deltas = [self.array(t["POSITION"]) if "POSITION" in t else np.zeros_like(positions)
                          for t in part.get("targets", [])]  # fmt: skip
                shapes = np.stack(deltas) if deltas else np.zeros((0, *positions.shape))
                turn, shift = self.placement(node, part, world, len(positions))
                rest.append(np.einsum("vij,vj->vi", turn, positions) + shift)
                targets.append(np.einsum("vij,kvj->kvi", turn, shapes))
            indices = self.array(part["indices"]).reshape(-1) if "indices" in part else np.arange(len(positions))
            corners.append(indices.astype(np.int64).reshape(-1, 3) + seen[accessor])
        if len({len(t) for t in targets}) > 1:
            raise ValueError(f"mesh {_name(node, mesh)!r}: its parts have different numbers of morph targets")
        shapes = np.concatenate(targets, axis=1)
        names = self.target_names(node, mesh, parts, len(shapes))
        points, triangles = np.concatenate(rest).astype(np.float32), np.concatenate(corners)
        check_corners(f"mesh {_name(node, mesh)!r}", triangles, len(points))
        check_finite(f"mesh {_name(node, mesh)!r}", "vertex", points)
        yield MorphMesh(
            _name(node, mesh), points, triangles, shapes.astype(np.float32), names, np.zeros((0, len(shapes)), np.float32),
        )  # fmt: skip

    def target_names(self, node: dict, mesh: dict, parts: list[dict], count: int) -> tuple[str, ...]:
        """Names of `count` morph targets: `targetNames` in the extras of mesh, primitives or node, else accessor names.

        Raises ValueError when such a list has another length and nothing else names them.
        """
        given = (_extras(place).get("targetNames") for place in (mesh, *parts, node))
        lists = [names for names in given if isinstance(names, list) and names]
        found = next((names for names in lists if len(names) == count), None)
        accessors = self.accessor_names(parts, _name(node, mesh))
        if found is None and lists and not accessors:
            raise ValueError(f"mesh {_name(node, mesh)!r}: {len(lists[0])} targetNames, it has {count} morph targets")
        return tuple(map(str, found or accessors or [f"target_{k}" for k in range(count)]))

    def accessor_names(self, parts: list[dict], mesh_name: str) -> list[str]:
        """Target names from their position accessors, where FBX2glTF and others put them; none unless all differ."""
        targets: list[dict] = next((part["targets"] for part in parts if part.get("targets")), [])
        accessors = [self.root["accessors"][t["POSITION"]] if "POSITION" in t else {} for t in targets]
        names = [_shape_name(str(accessor.get("name") or ""), mesh_name) for accessor in accessors]
        return names if all(names) and len(set(names)) == len(names) else []

    def placement(self, node: dict, part: dict, world: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """How a node or the skeleton at rest places vertices: matrices (V, 3, 3) and offsets (V, 3)."""
        if "skin" not in node or "JOINTS_0" not in part["attributes"]:
            return np.broadcast_to(world[:3, :3], (count, 3, 3)), np.broadcast_to(world[:3, 3], (count, 3))
        nodes, inverse = self.bindings(node)
        worlds = dict(self.nodes())
        bones = np.stack([worlds[j] @ m for j, m in zip(nodes, inverse, strict=True)])
        joints, weights = (self.array(part["attributes"][k]) for k in ("JOINTS_0", "WEIGHTS_0"))
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        mixed = np.einsum("vj,vjab->vab", weights, bones[joints.astype(int)])
        return mixed[:, :3, :3], mixed[:, :3, 3]

    def skin(self) -> dict[str, np.ndarray]:
        """The first node with a skin: its mesh and bones (parents first) in the pose of binding."""
        nodes = self.root["nodes"]
        node = next((n for n in nodes if "skin" in n and "mesh" in n), None)
        if node is None:
            raise ValueError("no mesh has a skin")
        joints, inverse = self.bindings(node)
        above = {child: number for number, entry in enumerate(nodes) for child in entry.get("children", [])}
        order = sorted(range(len(joints)), key=lambda k: _depth(joints[k], above))
        places = {joints[k]: place for place, k in enumerate(order)}
        parents = [next((places[n] for n in _ancestors(joints[k], above) if n in places), -1) for k in order]
        parts = [p for p in self.root["meshes"][node["mesh"]]["primitives"] if "JOINTS_0" in p["attributes"]]
        kinds = ("POSITION", "JOINTS_0", "WEIGHTS_0")
        points, bones, weights = ([self.array(p["attributes"][kind]) for p in parts] for kind in kinds)
        starts = np.concatenate([[0], np.cumsum([len(x) for x in points])])
        corners = [
            (self.array(p["indices"]).reshape(-1) if "indices" in p else np.arange(len(x))).reshape(-1, 3) + start
            for p, x, start in zip(parts, points, starts, strict=False)
        ]
        moved = np.empty(len(joints), np.int64)
        moved[order] = np.arange(len(order))
        return {
            "vertices": np.concatenate(points),
            "triangles": np.concatenate(corners).astype(np.int64),
            "bone_names": np.array([str(nodes[joints[k]].get("name", f"bone_{k}")) for k in order]),
            "bone_parents": np.array(parents),
            "bone_heads": np.linalg.inv(inverse)[order, :3, 3],
            "skin_bones": moved[np.concatenate(bones).astype(np.int64)],
            "skin_weights": np.concatenate(weights),
        }

    def bindings(self, node: dict) -> tuple[list[int], np.ndarray]:
        """The nodes of a skin's joints, and their inverse bind matrices (J, 4, 4)."""
        skin = self.root["skins"][node["skin"]]
        if "inverseBindMatrices" not in skin:
            return skin["joints"], np.broadcast_to(np.eye(4), (len(skin["joints"]), 4, 4))
        return skin["joints"], self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)

    def array(self, number: int) -> np.ndarray:
        """The numbers of an accessor: (count, width) float64; sparse and normalised ones as they are meant."""
        accessor = self.root["accessors"][number]
        width, count = WIDTHS[accessor["type"]], whole(f"accessor {number}", accessor["count"], "count")
        dtype = np.dtype(TYPES[accessor["componentType"]])
        self.take(8 * count * width)
        if "bufferView" not in accessor:
            values = np.zeros((count, width), dtype)
        else:
            values = self.view(accessor["bufferView"], accessor.get("byteOffset", 0), dtype, count, width).copy()
        if sparse := accessor.get("sparse"):
            where, what = sparse["indices"], sparse["values"]
            kind = np.dtype(TYPES[where["componentType"]])
            rows = self.view(where["bufferView"], where.get("byteOffset", 0), kind, sparse["count"], 1)[:, 0]
            values[rows] = self.view(what["bufferView"], what.get("byteOffset", 0), dtype, sparse["count"], width)
        if not accessor.get("normalized"):
            return values.astype(np.float64)
        return np.maximum(values / np.iinfo(dtype).max, -1.0)

    def take(self, size: int) -> None:
        """Count bytes of numbers that are about to be made. Raises ValueError when the file holds too little for them."""
        self.unpacked += size
        check_unpacked("accessors", "numbers", self.unpacked, self.packed)

    def view(self, number: int, offset: int, dtype: np.dtype, count: int, width: int) -> np.ndarray:
        view = self.root["bufferViews"][number]
        where, size = f"buffer view {number}", dtype.itemsize * width
        step = whole(where, view.get("byteStride", size), "byteStride", size)
        start = whole(where, view.get("byteOffset", 0), "byteOffset") + whole(where, offset, "byteOffset")
        buffer = self.buffers[view["buffer"]]
        if start + step * (whole(where, count, "count") - 1) + size > len(buffer):
            raise ValueError(f"byte {len(buffer)}: buffer {view['buffer']} ends within accessor data")
        return np.ndarray((count, width), dtype, buffer, start, (step, dtype.itemsize))


def _ancestors(node: int, above: Mapping[int, int]) -> Iterator[int]:
    """The nodes above one, the nearest first. Raises ValueError when it is among them."""
    place = above.get(node)
    seen = {node}
    while place is not None:
        if place in seen:
            raise ValueError(f"node {place} is its own ancestor")
        seen.add(place)
        yield place
        place = above.get(place)


def _depth(node: int, above: Mapping[int, int]) -> int:
    return sum(1 for _ in _ancestors(node, above))


def node_matrix(node: dict[str, Any]) -> np.ndarray:
    """The local matrix (4, 4) of a node."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _extras(place: dict[str, Any]) -> dict[str, Any]:
    """The extras of a node, mesh or primitive; empty when they are not a JSON object."""
    extras = place.get("extras")
    return extras if isinstance(extras, dict) else {}


def _shape_name(accessor: str, mesh_name: str) -> str:
    """A shape's name from its accessor's, which some writers put between the mesh's name and what the numbers are."""
    return re.sub(rf"^{re.escape(mesh_name)}[_\-.:|/ ]+|[_\-.:|/ ]+positions?$", "", accessor, flags=re.IGNORECASE)


def _name(node: dict[str, Any], mesh: dict[str, Any]) -> str:
    return str(node.get("name") or mesh.get("name") or f"mesh_{node['mesh']}")
