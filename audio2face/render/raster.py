"""A small triangle rasteriser: depth buffer, perspective, per-pixel lighting; numba when present, else numpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from audio2face.machine import pool_size
from audio2face.render import kernels

GAMMA = 2.2
VIEW_ANGLE = 22.0  # degrees
BACKGROUND = (0.93, 0.94, 0.96)  # sRGB at the top of the picture; the bottom is a little darker
# Directions to the lights in camera space (x right, y up, z towards the viewer), and their strength.
LIGHTS = np.array([[-0.55, 0.55, 0.75, 0.92], [0.8, 0.1, 0.5, 0.32], [0.2, 0.6, -0.7, 0.35]])
AMBIENT = (0.20, 0.11)  # from above, from below


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: rotation (3, 3) about centre (3,), seen from `distance` with `focal` length in pixels."""

    rotation: np.ndarray
    centre: np.ndarray
    distance: float
    focal: float
    width: int
    height: int

    def project(self, vertices: np.ndarray) -> np.ndarray:
        """Points (V, 3) to pixel x, pixel y (downwards) and inverse depth (0: behind the camera): (V, 3) float64."""
        turned = (np.asarray(vertices, np.float64) - self.centre) @ self.rotation.T
        depth = self.distance - turned[:, 2]
        inverse = np.where(depth > 1e-6 * self.distance, 1.0 / np.maximum(depth, 1e-9), 0.0)
        x = self.width / 2 + self.focal * turned[:, 0] * inverse
        y = self.height / 2 - self.focal * turned[:, 1] * inverse
        return np.stack([x, y, inverse], axis=1)


@dataclass(frozen=True)
class Mesh:
    """A mesh without positions: triangles (F, 3) int, counter-clockwise from outside, colours (V, 3) or (3,) sRGB 0..1.

    Seen from inside, a surface shows its colour times `inside`: a head without a mouth cavity then has a dark mouth.
    """

    triangles: np.ndarray
    colours: np.ndarray
    gloss: float = 0.12
    inside: float = 0.10


def auto_camera(
    vertices: np.ndarray,
    size: tuple[int, int] = (512, 512),
    yaw: float = 0.0,
    pitch: float = 0.0,
    zoom: float = 1.0,
) -> Camera:
    """A camera that frames all points (V, 3) in a picture of size (width, height); degrees, yaw to the face's left."""
    points = np.asarray(vertices, np.float64).reshape(-1, 3)
    if not len(points) or not np.isfinite(points).all():
        raise ValueError("auto_camera needs at least one vertex, and finite coordinates")
    a, b = np.radians(yaw), np.radians(pitch)
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    rotation = nod @ turn
    low, high = points.min(axis=0), points.max(axis=0)
    centre = (low + high) / 2
    turned = (points - centre) @ rotation.T
    width, height = size
    focal = 0.5 * min(width, height) / np.tan(np.radians(VIEW_ANGLE) / 2)
    # Every point must satisfy |x| * focal / (distance - z) <= half the picture, less a margin.
    half = np.array([width, height]) / 2 * 0.94
    distance = float((np.abs(turned[:, :2]) * focal / half + turned[:, 2:]).max())
    return Camera(rotation, centre, max(distance, 1e-6) / zoom, focal, width, height)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3) float64 of vertices (V, 3)."""
    corners = np.asarray(vertices, np.float64)[triangles]  # (F, 3, 3)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.empty((len(vertices), 3))
    for axis in range(3):
        per_corner = np.repeat(face[:, axis], 3)
        normals[:, axis] = np.bincount(triangles.ravel(), per_corner, minlength=len(vertices))
    length = np.sqrt((normals**2).sum(axis=1, keepdims=True))
    return normals / np.maximum(length, 1e-12)


def render(
    meshes: Sequence[Mesh],
    vertices: Sequence[np.ndarray],
    camera: Camera,
    background: tuple[float, float, float] = BACKGROUND,
    supersample: int | None = None,
    backend: str = "auto",
) -> np.ndarray:
    """Draw meshes at the given vertices [(V, 3), ...] -> (height, width, 3) uint8.

    Every pixel is the mean of supersample x supersample samples, by default 2 x 2 for smooth edges, 1 without numba.
    Backend: "auto", "numba" or "numpy" (the same picture for equal samples). Raises ValueError when vertices and meshes
    do not match.
    """
    scene = _join(meshes)
    return _draw(scene, [np.asarray(v) for v in vertices], camera, background, supersample, backend)


def render_animation(
    meshes: Sequence[Mesh],
    frames: Sequence[Any],
    size: tuple[int, int] = (512, 512),
    camera: Camera | None = None,
    supersample: int | None = None,
    backend: str = "auto",
    threads: int | None = None,
) -> Iterator[np.ndarray]:
    """Draw frames of several meshes, each (T, V, 3), `Moving` or still (V, 3), as T pictures (height, width, 3) uint8.

    Without a camera, one is placed to hold the first frame of every mesh. Raises ValueError when lengths disagree.
    """
    scene = _join(meshes)
    if len(frames) != len(meshes):
        raise ValueError(f"{len(meshes)} meshes but {len(frames)} animations")
    lengths = {len(f) for f in frames if np.ndim(f) == 3}
    if len(lengths) != 1:
        raise ValueError(f"the animations have different lengths: {sorted(lengths)}")
    view = camera or auto_camera(np.concatenate([f[0] if np.ndim(f) == 3 else f for f in frames]), size)

    def draw(t: int) -> np.ndarray:
        moved = [np.asarray(f[t] if np.ndim(f) == 3 else f) for f in frames]
        return _draw(scene, moved, view, BACKGROUND, supersample, backend)

    return _ordered(draw, range(lengths.pop()), threads or pool_size())


def _ordered(draw: Any, items: Iterable[int], threads: int) -> Iterator[np.ndarray]:
    """draw(item) for each item in order, a few of them ahead in threads (the kernels release the interpreter)."""
    if threads <= 1:
        yield from map(draw, items)
        return
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(draw, item) for item in islice(rest, 2 * threads)]
        while waiting:
            done = waiting.pop(0)
            waiting.extend(pool.submit(draw, item) for item in islice(rest, 1))
            yield done.result()


@dataclass(frozen=True)
class _Scene:
    """All meshes in one: triangles, linear colours, gloss and inside factor per vertex, vertex counts."""

    meshes: tuple[np.ndarray, ...]
    triangles: np.ndarray
    colours: np.ndarray
    surface: np.ndarray  # (V, 2) gloss, inside
    counts: tuple[int, ...]


def _join(meshes: Sequence[Mesh]) -> _Scene:
    if not meshes:
        raise ValueError("nothing to draw: no mesh given")
    own, triangles, colours, surface, counts, start = [], [], [], [], [], 0
    for mesh in meshes:
        faces = np.ascontiguousarray(mesh.triangles, np.int64)
        shade = np.atleast_2d(np.asarray(mesh.colours, np.float64))
        count = len(shade) if len(shade) > 1 else int(faces.max()) + 1
        if faces.min() < 0 or faces.max() >= count:
            raise ValueError(f"a triangle names vertex {faces.max()} of {count}")
        own.append(faces)
        triangles.append(faces + start)
        colours.append(np.broadcast_to(np.clip(shade, 0, 1) ** GAMMA, (count, 3)))
        surface.append(np.tile([mesh.gloss, mesh.inside], (count, 1)))
        counts.append(count)
        start += count
    return _Scene(
        tuple(own), np.concatenate(triangles), np.concatenate(colours), np.concatenate(surface), tuple(counts)
    )


def _draw(
    scene: _Scene,
    vertices: list[np.ndarray],
    camera: Camera,
    background: tuple[float, float, float],
    supersample: int | None,
    backend: str,
) -> np.ndarray:
    shapes = tuple(len(v) for v in vertices)
    if len(shapes) != len(scene.counts) or any(n < c for n, c in zip(shapes, scene.counts, strict=True)):
        raise ValueError(f"vertices {shapes} do not fit the meshes {scene.counts}")
    vertices = [v[:count] for v, count in zip(vertices, scene.counts, strict=True)]
    normals = np.concatenate([vertex_normals(v, t) for v, t in zip(vertices, scene.meshes, strict=True)])
    loops = kernels.backend(backend)
    n = supersample or loops.samples
    view = Camera(
        camera.rotation, camera.centre, camera.distance, camera.focal * n, camera.width * n, camera.height * n
    )
    screen = view.project(np.concatenate(vertices))
    face = loops.rasterise(screen, scene.triangles, view.width, view.height)
    ramp = np.linspace(1.0, 0.8, camera.height)[:, None] * np.clip(background, 0.0, 1.0) ** GAMMA
    points = np.concatenate([screen, normals @ camera.rotation.T, scene.colours, scene.surface], axis=1)
    return loops.shade(face, n, scene.triangles, points, _LIGHTS_AND_HALVES, AMBIENT, ramp, _TO_SRGB)


def _lights_and_halves() -> np.ndarray:
    """(L, 7): unit direction to the light, unit direction between it and the viewer, strength."""
    direction = LIGHTS[:, :3] / np.sqrt((LIGHTS[:, :3] ** 2).sum(axis=1, keepdims=True))
    middle = direction + [0.0, 0.0, 1.0]
    middle /= np.sqrt((middle**2).sum(axis=1, keepdims=True))
    return np.concatenate([direction, middle, LIGHTS[:, 3:]], axis=1)


_LIGHTS_AND_HALVES = _lights_and_halves()
_TO_SRGB = (255 * (np.arange(4096) / 4095) ** (1 / GAMMA) + 0.5).astype(np.uint8)
