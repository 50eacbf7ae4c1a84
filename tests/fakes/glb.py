"""A second reader of .glb files, by the letter of the glTF 2.0 specification: where everything is at a time."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess

import numpy as np
import pytest

NUMBERS = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """The nodes of a file, placed by their animation."""

    def __init__(self, path):
        data = path.read_bytes()
        length, kind = struct.unpack_from("<I4s", data, 12)
        assert data[:4] == b"glTF" and struct.unpack_from("<II", data, 4) == (2, len(data)) and kind == b"JSON"
        self.root = json.loads(data[20 : 20 + length])
        size, kind = struct.unpack_from("<I4s", data, 20 + length)
        assert kind == b"BIN\0" and length % 4 == 0 and size % 4 == 0
        self.binary = data[28 + length :]
        self.names = [node["name"] for node in self.root["nodes"]]
        self.parents = {c: n for n, node in enumerate(self.root["nodes"]) for c in node.get("children", [])}
        self.tracks = {}
        for animation in self.root.get("animations", []):
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                times, values = self.array(sampler["input"])[:, 0], self.array(sampler["output"])
                assert times[0] == 0 and (np.diff(times) > 0).all() and sampler["interpolation"] == "LINEAR"
                key = channel["target"]["node"], channel["target"]["path"]
                assert key not in self.tracks
                self.tracks[key] = times, values.reshape(len(times), -1)

    def array(self, number):
        """(count, width); its bounds are checked when they are told."""
        a = self.root["accessors"][number]
        view, width, dtype = self.root["bufferViews"][a["bufferView"]], WIDTHS[a["type"]], NUMBERS[a["componentType"]]
        assert view["byteOffset"] % 4 == 0 and view["byteLength"] == a["count"] * width * np.dtype(dtype).itemsize
        values = np.frombuffer(self.binary, dtype, a["count"] * width, view["byteOffset"]).reshape(-1, width)
        if "min" in a:
            np.testing.assert_allclose(values.min(axis=0), a["min"], rtol=1e-6)
            np.testing.assert_allclose(values.max(axis=0), a["max"], rtol=1e-6)
        return values

    def value(self, node, what, frame, otherwise):
        """Of the frame's own key."""
        if (node, what) in self.tracks:
            return self.tracks[node, what][1][frame].astype(np.float64)
        return np.array(self.root["nodes"][node].get(what, otherwise), np.float64)

    def local(self, node, frame):
        matrix = np.eye(4)
        x, y, z, w = quaternion = self.value(node, "rotation", frame, [0, 0, 0, 1])
        assert abs(np.linalg.norm(quaternion) - 1) < 1e-6
        matrix[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        matrix[:3, :3] *= self.value(node, "scale", frame, [1, 1, 1])
        matrix[:3, 3] = self.value(node, "translation", frame, [0, 0, 0])
        return matrix

    def world(self, node, frame):
        """(4, 4), in metres."""
        matrix = self.local(node, frame)
        while node in self.parents:
            node = self.parents[node]
            matrix = self.local(node, frame) @ matrix
        return matrix

    def place(self, name, frame):
        """Where the node of a name is (3,)."""
        return self.world(self.names.index(name), frame)[:3, 3]

    def vertices(self, name, frame):
        """Of the mesh of a node (V, 3): first its shapes, then its joints or its node."""
        node = next(n for n, entry in enumerate(self.root["nodes"]) if entry["name"] == name and "mesh" in entry)
        entry = self.root["nodes"][node]
        mesh = self.root["meshes"][entry["mesh"]]
        (part,) = mesh["primitives"]
        points = self.array(part["attributes"]["POSITION"]).astype(np.float64)
        targets = [self.array(target["POSITION"]) for target in part.get("targets", [])]
        if targets:
            weights = self.value(node, "weights", frame, mesh["weights"])
            points = points + np.tensordot(weights, np.stack(targets), 1)
        points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        if "skin" not in entry:
            return (points @ self.world(node, frame).T)[:, :3]
        skin = self.root["skins"][entry["skin"]]
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        moved = np.stack([self.world(joint, frame) for joint in skin["joints"]]) @ inverse
        joints, shares = (self.array(part["attributes"][a]) for a in ("JOINTS_0", "WEIGHTS_0"))
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
        return np.einsum("vk,vkij,vj->vi", shares, moved[joints], points)[:, :3]


def validator_issues(path):
    """Errors and warnings that the Khronos validator finds; the test is skipped without it."""
    script = (
        "const v = require('gltf-validator'), fs = require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[1]))).then(r => console.log(r.issues.numErrors + r.issues.numWarnings))"
    )
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", "require('gltf-validator')"], capture_output=True).returncode:
        pytest.skip("no gltf-validator")
    return int(subprocess.run([node, "-e", script, str(path)], capture_output=True, text=True, check=True).stdout)
