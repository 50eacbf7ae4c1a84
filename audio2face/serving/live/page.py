"""The test page: a head in a browser, which follows the microphone or a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audio2face.render.head import builtin_head
from audio2face.serving.engine import ServedModel
from audio2face.serving.names import places
from audio2face.viewer.server import PAGE as VIEWER_PAGE

FOLDER = Path(__file__).with_name("page")
FILES = {
    "/": ("text/html; charset=utf-8", FOLDER / "index.html"),
    "/page.js": ("text/javascript; charset=utf-8", FOLDER / "page.js"),
    "/vendor/three.module.min.js": ("text/javascript; charset=utf-8", VIEWER_PAGE / "vendor/three.module.min.js"),
}


class Page:
    """The page's files, and the head: its mesh at rest, its faces and its blendshapes."""

    def __init__(self, served: ServedModel):
        self._served = served
        self._head: tuple[bytes, bytes] | None = None

    def file(self, path: str) -> tuple[str, bytes] | None:
        """(content type, content) of a path, None for others."""
        if path in FILES:
            kind, file = FILES[path]
            return kind, file.read_bytes()
        if path in ("/head.json", "/head.bin"):
            info, data = self._built()
            return ("application/json", info) if path.endswith("json") else ("application/octet-stream", data)
        return None

    def _built(self) -> tuple[bytes, bytes]:
        """(JSON of sizes and names, its numbers): of the model's own head, of the built-in one where it has no mesh."""
        if self._head is None:
            face = self._served.model.details(self._served.actor).face
            rig, triangles = face.rigs.get("skin"), face.topology.skin
            if face.has_mesh and rig is not None and triangles is not None:
                self._head = packed(self._served.names, rig.neutral, rig.names, rig.deltas, triangles)
            else:
                head = builtin_head()
                shapes = head.names, head.deltas
                self._head = packed(self._served.names, head.vertices, *shapes, head.triangles, head.colours)
        return self._head


def packed(
    wire: Sequence[str],
    vertices: np.ndarray,
    names: Sequence[str],
    deltas: np.ndarray,
    triangles: np.ndarray,
    colours: np.ndarray | None = None,
) -> tuple[bytes, bytes]:
    """A mesh (V, 3), (F, 3) with shapes (P, V, 3), and colours (V, 3) sRGB if it has them, as JSON and numbers.

    The numbers, little-endian: float32 vertices within ±1, shapes that the `wire` has, linear colours; uint32 triangles.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    scale = 2.0 / float((high - low).max())
    shapes = places(wire, names)
    info = {
        "vertices": len(vertices),
        "shapes": [place for place, _ in shapes],  # on the wire
        "coloured": colours is not None,
    }
    arrays = [(vertices - (low + high) / 2) * scale, *(deltas[number] * scale for _, number in shapes)]
    arrays += [] if colours is None else [colours**2.2]
    numbers = b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in arrays)
    return json.dumps(info).encode(), numbers + np.ascontiguousarray(triangles, "<u4").tobytes()
