"""The keys of a glTF scene (.glb, .gltf), and the file with other keys: all else stays, to the byte where nothing was added."""

from __future__ import annotations

import base64
import copy
import json
import os
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from audio2face.formats.budget import inside
from audio2face.formats.gltf import BINARY_CHUNK, FLOAT, JSON_CHUNK, MAGIC, VERSION, binary_start
from audio2face.formats.gltf_rig import Scene, node_matrix, open_gltf
from audio2face.formats.keys import Joint, KeyedMesh, KeyedScene, Keys
from audio2face.paths import atomic

KINDS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
STEPS, CUBIC = "STEP", "CUBICSPLINE"


def read_gltf_keys(path: str | os.PathLike[str]) -> KeyedScene:
    """The animation of a scene: weights, joints that turn, meshes with shapes. Tracks are named "node/what".

    Raises ValueError naming the file when it is malformed, has a target in two animations, or cubic splines.
    """
    path = Path(path)
    try:
        root, buffers = open_gltf(path)
        return _read(path, root, buffers)
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: expected a glTF 2.0 scene: {error!r}") from error
    except ValueError as error:
        raise error if str(error).startswith(str(path)) else ValueError(f"{path}: {error}") from error


@dataclass(frozen=True)
class _Place:
    """Where the keys of a track are: in `channels[channel]` of an animation, with a sampler's input and output."""

    animation: int
    channel: int
    input: int
    output: int


def _read(path: Path, root: dict[str, Any], buffers: list[bytes]) -> KeyedScene:
    scene = Scene(root, buffers, path.stat().st_size + sum(map(len, buffers)))
    worlds, tracks = dict(scene.nodes()), {}
    places: dict[str, _Place] = {}
    for number, animation in enumerate(root.get("animations", [])):
        for place, channel in enumerate(animation["channels"]):
            target, sampler = channel["target"], animation["samplers"][channel["sampler"]]
            what, node = target["path"], target.get("node")
            if what not in ("weights", "rotation", "translation") or node not in worlds:
                continue
            name = f"{node}/{what}"
            if name in tracks:
                names = [str(root["animations"][n].get("name", n)) for n in (places[name].animation, number)]
                raise ValueError(f"{path}: animations {' and '.join(names)} both move {_name(root, node)!r}; keep one")
            if sampler.get("interpolation") == CUBIC:
                raise ValueError(f"{path}: {_name(root, node)!r} has cubic splines; export it sampled, a key a frame")
            tracks[name] = _keys(path, scene, sampler, what, _name(root, node))
            places[name] = _Place(number, place, sampler["input"], sampler["output"])
    weights: dict[str, list[tuple[str, int]]] = {}
    meshes: list[KeyedMesh] = []
    for node in worlds:
        if f"{node}/weights" in tracks:
            _add_mesh(scene, node, worlds[node], tracks[f"{node}/weights"], weights, meshes)
    joints = tuple(_joint(root, node, worlds, tracks) for node in worlds if f"{node}/rotation" in tracks)
    writer = _Writer(path, root, buffers, tracks, places)
    return KeyedScene(path, tracks, weights, joints, tuple(meshes), writer.write)


def _keys(path: Path, scene: Scene, sampler: dict[str, Any], what: str, name: str) -> Keys:
    moments = scene.array(sampler["input"])[:, 0]
    values = scene.array(sampler["output"])
    values = values.reshape(len(moments), -1) if len(moments) else values
    numbers = np.isfinite(moments).all() and np.isfinite(values).all()
    if not len(moments) or not numbers or (np.diff(moments) <= 0).any():
        raise ValueError(f"{path}: {name!r}: moments that do not rise, or keys that are no numbers")
    return Keys(moments, values, what == "rotation", sampler.get("interpolation") == STEPS)


def _add_mesh(scene: Scene, node: int, world: np.ndarray, keys: Keys, weights: dict, meshes: list[KeyedMesh]) -> None:
    for mesh in scene.meshes(node, world):
        count = len(mesh.target_names)
        if keys.values.shape[1] != count:
            raise ValueError(f"{mesh.name!r}: {keys.values.shape[1]} weights a key, it has {count} shapes")
        for column, name in enumerate(mesh.target_names):
            weights.setdefault(name, []).append((f"{node}/weights", column))
        skinned = "skin" in scene.root["nodes"][node]  # its shapes are not in the node's own space
        own = None if skinned else node
        meshes.append(KeyedMesh(mesh.name, mesh.rest, f"{node}/weights", mesh.targets, world, own))


def _joint(root: dict[str, Any], node: int, worlds: Mapping[int, np.ndarray], tracks: Mapping[str, Keys]) -> Joint:
    parent = next((n for n in worlds if node in root["nodes"][n].get("children", [])), None)
    above = np.eye(3) if parent is None else _turn(worlds[parent])
    moved = (f"{node}/translation", slice(0, 3)) if f"{node}/translation" in tracks else None
    rest = _turn(node_matrix(root["nodes"][node]))
    return Joint(_name(root, node), f"{node}/rotation", slice(0, 4), rest, above, moved)


def _turn(matrix: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) of a placement (4, 4)."""
    u, _, v = np.linalg.svd(matrix[:3, :3])
    return u @ v


def _name(root: dict[str, Any], node: int) -> str:
    return str(root["nodes"][node].get("name", node))


@dataclass
class _Writer:
    """The file as it was read, and how it is written with other keys."""

    path: Path
    root: dict[str, Any]
    buffers: list[bytes]
    tracks: Mapping[str, Keys]
    places: Mapping[str, _Place]

    def write(self, stem: Path, tracks: Mapping[str, Keys], shapes: Mapping[int, np.ndarray]) -> Path:
        """Write `<stem>` with the file's suffix; `shapes` {node: further targets (K, V, 3) of its mesh, in its own space}."""
        out = _Out(copy.deepcopy(self.root), [bytearray(b) for b in self.buffers])
        for node, targets in shapes.items():
            out.add_shapes(node, targets)
        for name, keys in tracks.items():
            place, old = self.places[name], self.tracks[name]
            same = keys.moments.shape == old.moments.shape and (keys.moments == old.moments).all()
            if not (same and keys.values.shape == old.values.shape and out.patch(place, keys.values, self.places)):
                out.add_keys(place, keys, same)
        path = stem.with_name(stem.name + self.path.suffix.lower())
        (_write_glb if self.path.read_bytes()[:4] == MAGIC else _write_gltf)(self, out, path)
        return path


class _Out:
    """JSON part and buffers while they change; `changed` says whether the JSON part did."""

    def __init__(self, root: dict[str, Any], buffers: list[bytearray]):
        self.root, self.buffers, self.changed = root, buffers, False

    def patch(self, place: _Place, values: np.ndarray, places: Mapping[str, _Place]) -> bool:
        """Put values where a track's are; False where they cannot lie there, or belong to other tracks too."""
        accessor = self.root["accessors"][place.output]
        shared = sum(other.output == place.output for other in places.values()) > 1
        users = sum(s["output"] == place.output for a in self.root["animations"] for s in a["samplers"])
        if shared or users > 1 or accessor["componentType"] != FLOAT or "sparse" in accessor:
            return False
        view = self.root["bufferViews"][accessor.get("bufferView", -1)] if "bufferView" in accessor else None
        width = KINDS[accessor["type"]]
        if view is None or view.get("byteStride", 4 * width) != 4 * width:
            return False
        data = np.ascontiguousarray(values, "<f4").tobytes()
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        self.buffers[view["buffer"]][start : start + len(data)] = data
        if "min" in accessor or "max" in accessor:
            table = np.asarray(values, np.float32).reshape(-1, width)
            bounds = {"min": table.min(axis=0).tolist(), "max": table.max(axis=0).tolist()}
            self.changed |= any(accessor.get(key) != bounds[key] for key in bounds)
            accessor |= bounds
        return True

    def add_keys(self, place: _Place, keys: Keys, same_moments: bool) -> None:
        """Append the keys of a track, and a sampler that has them."""
        animation = self.root["animations"][place.animation]
        channel = animation["channels"][place.channel]
        kind = {"weights": "SCALAR", "rotation": "VEC4", "translation": "VEC3"}[channel["target"]["path"]]
        moments = place.input if same_moments else self.add(keys.moments[:, None], "SCALAR", bounds=True)
        output = self.add(keys.values.reshape(-1, KINDS[kind]), kind)
        sampler = {**animation["samplers"][channel["sampler"]], "input": moments, "output": output}
        animation["samplers"].append(sampler)
        channel["sampler"] = len(animation["samplers"]) - 1

    def add_shapes(self, node: int, targets: np.ndarray) -> None:
        """Append targets (K, V, 3) to the mesh of a node, named "edit_0" and so on, with weights of 0."""
        entry, mesh = self.root["nodes"][node], self.root["meshes"][self.root["nodes"][node]["mesh"]]
        added = [{"POSITION": self.add(target, "VEC3", bounds=True)} for target in targets]
        for part in mesh["primitives"]:
            part["targets"] = [*part.get("targets", []), *added]
        for place in (mesh, entry):
            if "weights" in place:
                place["weights"] = [*place["weights"], *[0.0] * len(targets)]
        for place in (mesh, entry, *mesh["primitives"]):
            extras = place.get("extras")
            if isinstance(extras, dict) and isinstance(extras.get("targetNames"), list):
                extras["targetNames"] = [*extras["targetNames"], *(f"edit_{k}" for k in range(len(targets)))]

    def add(self, array: np.ndarray, kind: str, bounds: bool = False) -> int:
        """Append numbers (n, width) as an accessor of the first buffer; returns its number."""
        buffer, values = self.buffers[0], np.ascontiguousarray(array, "<f4")
        buffer += b"\0" * (-len(buffer) % 4)
        views, accessors = self.root["bufferViews"], self.root["accessors"]
        views.append({"buffer": 0, "byteOffset": len(buffer), "byteLength": values.nbytes})
        buffer += values.tobytes()
        self.root["buffers"][0]["byteLength"] = len(buffer)
        accessor = {"bufferView": len(views) - 1, "componentType": FLOAT, "count": len(values), "type": kind}
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        accessors.append(accessor)
        self.changed = True
        return len(accessors) - 1


def _write_glb(source: _Writer, out: _Out, path: Path) -> None:
    data = source.path.read_bytes()
    head, rest = data[: binary_start(source.path, data)], bytes(out.buffers[0]) if out.buffers else b""
    if out.changed:
        text = json.dumps(out.root, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        rest += b"\0" * (-len(rest) % 4)
        head = struct.pack("<4sII", MAGIC, VERSION, 28 + len(text) + len(rest))
        head += struct.pack("<I4s", len(text), JSON_CHUNK) + text + struct.pack("<I4s", len(rest), BINARY_CHUNK)
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(head + rest)
    _copy_others(source, path)


def _write_gltf(source: _Writer, out: _Out, path: Path) -> None:
    """Buffers that changed lie beside the file under its name, the others under their own."""
    for number, (old, new) in enumerate(zip(source.buffers, out.buffers, strict=True)):
        if bytes(new) != old:
            if str(out.root["buffers"][number].get("uri", "")).startswith("data:"):
                text = base64.b64encode(bytes(new)).decode()
                out.root["buffers"][number]["uri"] = f"data:application/octet-stream;base64,{text}"
                continue
            file = path.with_name(f"{path.stem}_{number}.bin")
            with atomic(file) as temporary:
                temporary.write_bytes(bytes(new))
            out.root["buffers"][number]["uri"] = file.name
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(out.root, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    _copy_others(source, path)


def _copy_others(source: _Writer, path: Path) -> None:
    """Copy the pictures and buffers that the file refers to and that did not change."""
    for entry in (*source.root.get("images", []), *source.root.get("buffers", [])):
        uri = entry.get("uri")
        if uri is None or uri.startswith("data:"):
            continue
        there = inside(source.path, unquote(uri), "file")
        here = inside(path, unquote(uri), "file")
        if there.is_file() and not here.exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(there, here)
