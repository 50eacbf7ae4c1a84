"""The test page: the model's own head in a browser, which follows the microphone or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

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
    """The page's files, and the head: its mesh at rest, its faces and its blendshapes, of the model that is served."""

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
        """(JSON of sizes and names, float32 and uint32 numbers): empty without a rig or without the mesh's faces."""
        if self._head is None:
            self._head = self._build()
        return self._head

    def _build(self) -> tuple[bytes, bytes]:
        face = self._served.model.details(self._served.actor).face
        rig, triangles = face.rigs.get("skin"), face.topology.skin
        if rig is None or triangles is None:
            return json.dumps({"vertices": 0, "triangles": 0, "shapes": []}).encode(), b""
        low, high = rig.neutral.min(axis=0), rig.neutral.max(axis=0)
        scale = 2.0 / float((high - low).max())
        shapes = [(place, rig.deltas[number]) for place, number in places(self._served.names, rig.names)]
        info: dict[str, Any] = {
            "vertices": len(rig.neutral),
            "triangles": len(triangles),
            "shapes": [place for place, _ in shapes],
        }
        arrays = [(rig.neutral - (low + high) / 2) * scale, *(delta * scale for _, delta in shapes)]
        numbers = b"".join(np.ascontiguousarray(a, "<f4").tobytes() for a in arrays)
        return json.dumps(info).encode(), numbers + np.ascontiguousarray(triangles, "<u4").tobytes()
