#!/usr/bin/env python3
"""Frames a second of the renderer: a sphere of about 10,000 vertices at 512 x 512, by backend, and their ratio.

python tools/bench_render.py [--frames 60] [--rings 71] [--samples 2] [--json]
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.machine import set_up

set_up()  # before NumPy and PyTorch load

import numpy as np

from audio2face.render import Mesh, auto_camera, render, render_animation


def sphere(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (2 rings², 3) and triangles (n, 3) of a sphere cut along latitudes and longitudes."""
    columns = 2 * rings
    polar = np.linspace(0.02, np.pi - 0.02, rings)[:, None]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    x, z = np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around)
    vertices = np.stack([x, np.broadcast_to(np.cos(polar), x.shape), z], axis=-1).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(columns), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    quads = np.stack([a, b, b + columns, a + columns], axis=-1).reshape(-1, 4)
    return vertices.astype(np.float32), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rings", type=int, default=71)
    parser.add_argument("--samples", type=int, default=2, help="samples of a pixel, across and down")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    args = parser.parse_args()
    vertices, triangles = sphere(args.rings)
    mesh, camera = Mesh(triangles, np.array([0.8, 0.6, 0.5])), auto_camera(vertices)
    rates = {}
    for backend, count in (("numba", args.frames), ("numpy", max(args.frames // 10, 1))):
        render([mesh], [vertices], camera, backend=backend)  # compile
        start = time.perf_counter()
        for _ in render_animation([mesh], [np.stack([vertices] * count)], supersample=args.samples, backend=backend):
            pass
        rates[backend] = count / (time.perf_counter() - start)
        print(f"{backend:6} {rates[backend]:7.1f} frames a second, {len(vertices)} vertices")
    ratio = rates["numba"] / rates["numpy"]
    print(f"ratio  {ratio:7.1f}")
    if args.json:
        print(json.dumps({"ratio": ratio, **rates}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
