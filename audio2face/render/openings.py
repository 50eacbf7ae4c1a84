"""Fills the openings of a skin: a dark mouth cavity and eyeballs behind the lids, so that no background shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from audio2face.render.raster import Mesh

INSIDE = (0.24, 0.12, 0.11)
BEHIND, WIDER = 0.5, 0.3  # how far behind an opening its inside lies and stands out, in widths of it
LARGEST = 0.5  # of the face's width: what is larger is no mouth but the edge of the skin
SMALLEST = 6  # edges
ALIKE = 1.3  # sizes and places of two eyes may differ by so much
LID_RINGS = 5  # edges from the opening: what must not be cut by an eyeball
SAMPLES = 24  # frames looked at to place them
RINGS = np.radians([0, 6, 10, 12, 16, 20, 24, 27, 29, 32, 38, 46, 56, 68, 82, 98])
PUPIL, IRIS = np.radians(11), np.radians(28)
WHITE, IRIS_COLOUR = (0.90, 0.89, 0.87), (0.36, 0.44, 0.50)


@dataclass(frozen=True)
class Moving:
    """Vertices of a mesh in `count` frames, computed when asked for."""

    count: int
    at: Callable[[int], np.ndarray]
    ndim: int = 3

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, t: int) -> np.ndarray:
        return self.at(t)


@dataclass(frozen=True)
class Filling:
    """Meshes to draw with a skin, vertices and inward direction of openings, eyeballs (centre, radius), right first."""

    meshes: tuple[Mesh, ...] = ()
    loops: tuple[np.ndarray, ...] = ()
    inward: tuple[np.ndarray, ...] = ()
    eyes: tuple[tuple[np.ndarray, float], ...] = ()

    def at(self, skin: np.ndarray, look: np.ndarray | None = None) -> list[np.ndarray]:
        """Vertices of `meshes` for one skin (V, 3).

        look (2, ≥ 2): degrees of the right and left eye about x (positive looks down) and y; straight ahead without.
        """
        parts = [_curtain(skin[loop], way) for loop, way in zip(self.loops, self.inward, strict=True)]
        found = [np.concatenate(parts)] if parts else []
        for side, (centre, radius) in enumerate(self.eyes):
            ball = _ball()[0] if look is None else _turned(_ball()[0], *look[side, :2])
            found.append(radius * ball + centre)
        return found

    def follow(self, skin: np.ndarray, gaze: np.ndarray | None = None) -> list[Moving]:
        """Vertices of `meshes` for skins (T, V, 3), with gaze (T, 2, ≥ 2) as in `at`, for `render_animation`."""

        def part(k: int) -> Moving:
            return Moving(len(skin), lambda t: self.at(skin[t], None if gaze is None else gaze[t])[k])

        return [part(k) for k in range(len(self.meshes))]


def fill_openings(triangles: np.ndarray, skin: np.ndarray) -> Filling:
    """The filling of a skin's openings, from frames (T, V, 3) of it facing z, y up; empty where nothing is open.

    The edge of the skin stays open, and so does what another part of the mesh already fills.
    """
    triangles = np.asarray(triangles)
    frames = np.asarray(skin[np.unique(np.linspace(0, len(skin) - 1, SAMPLES).round().astype(int))], np.float64)
    rest = frames[0]
    wide = float(np.ptp(rest[np.unique(triangles), 0]))
    part = _parts(triangles, len(rest))
    loops, inward = [], []
    for loop in boundary_loops(triangles):
        ring = rest[loop]
        size = float(np.ptp(ring, axis=0).max())
        way = _normal(frames[:, loop])  # a hole's edges run clockwise from outside: this points inwards
        others = rest[(part != part[loop[0]]) & (part >= 0)]
        filled = len(others) and (np.linalg.norm(others - ring.mean(axis=0), axis=1) < size / 2).any()
        if len(loop) >= SMALLEST and size < LARGEST * wide and way[2] < 0 and not filled:
            loops.append(loop)
            inward.append(way * size)
    eyes = tuple(
        _fit_eyeball(frames[:, _near(triangles, loop, len(rest))], rest[loop]) for loop in _eyes(rest, loops, wide)
    )
    meshes = [Mesh(_ball()[1], _ball()[2], gloss=0.7)] * len(eyes)
    if loops:
        fans, start = [], 0
        for loop in loops:
            fans.append(_fan(len(loop)) + start)
            start += len(loop) + 1
        meshes.insert(0, Mesh(np.concatenate(fans), np.array(INSIDE), gloss=0.0, inside=1.0))
    return Filling(tuple(meshes), tuple(loops), tuple(inward), eyes)


def boundary_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """Vertices of every closed chain of edges that belong to one triangle only, in the triangles' direction."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).tolist()
    known = {(a, b) for a, b in edges}
    after = {a: b for a, b in edges if (b, a) not in known}
    loops = []
    while after:
        start, here = after.popitem()
        loop = [start]
        while here != start and here in after:
            loop.append(here)
            here = after.pop(here)
        if here == start:
            loops.append(np.array(loop))
    return loops


def _normal(rings: np.ndarray) -> np.ndarray:
    """Unit normal (3,) of a closed chain in frames (T, n, 3), counter-clockwise about it, where it is widest open."""
    centred = rings - rings.mean(axis=1, keepdims=True)
    areas = np.cross(centred, np.roll(centred, -1, axis=1)).sum(axis=1)
    sizes = np.linalg.norm(areas, axis=1)
    return areas[sizes.argmax()] / max(float(sizes.max()), 1e-12)


def _parts(triangles: np.ndarray, count: int) -> np.ndarray:
    """Number of the connected part of each vertex (V,), -1 where no triangle uses it."""
    part = np.arange(count)
    while True:  # every vertex takes the smallest number around it, and then its number's
        lowest = part[triangles].min(axis=1)
        new = part.copy()
        np.minimum.at(new, triangles.ravel(), np.repeat(lowest, 3))
        new = new[new]
        if (new == part).all():
            break
        part = new
    used = np.zeros(count, bool)
    used[triangles.ravel()] = True
    return np.where(used, part, -1)


def _near(triangles: np.ndarray, loop: np.ndarray, count: int) -> np.ndarray:
    """Vertices up to LID_RINGS edges away from a loop."""
    near = np.zeros(count, bool)
    near[loop] = True
    for _ in range(LID_RINGS):
        near[triangles[near[triangles].any(axis=1)]] = True
    return np.flatnonzero(near)


def _eyes(rest: np.ndarray, loops: Sequence[np.ndarray], wide: float) -> list[np.ndarray]:
    """The two openings beside each other at one height, above another one if there is: right and left, or none."""
    places = [rest[loop].mean(axis=0) for loop in loops]
    sizes = [np.ptp(rest[loop], axis=0).max() for loop in loops]
    middle = np.median(rest[:, 0])
    pairs = [
        (sizes[i] + sizes[j], loops[i], loops[j])
        for i in range(len(loops))
        for j in range(len(loops))
        if places[i][0] < middle < places[j][0]
        and max(sizes[i], sizes[j]) < ALIKE * min(sizes[i], sizes[j])
        and abs(places[i][1] - places[j][1]) < (ALIKE - 1) * sizes[i]
        and sizes[i] < places[j][0] - places[i][0] < 0.7 * wide
    ]
    return list(max(pairs, key=lambda pair: pair[0])[1:]) if pairs else []


def _fit_eyeball(lids: np.ndarray, ring: np.ndarray) -> tuple[np.ndarray, float]:
    """(centre, radius) of a ball behind an opening (n, 3), so far forward as lids (T, m, 3) are never cut."""
    radius = float(np.ptp(ring, axis=0).max()) / 2
    middle = (ring.min(axis=0) + ring.max(axis=0)) / 2
    away = np.linalg.norm(lids[..., :2] - middle[:2], axis=-1)
    over = away < 0.9 * radius
    depth = lids[..., 2][over] - np.sqrt(radius**2 - away[over] ** 2)
    z = float(depth.min()) if over.any() else middle[2] - radius
    return np.array([middle[0], middle[1], z - 0.02 * radius]), radius


def _curtain(ring: np.ndarray, inward: np.ndarray) -> np.ndarray:
    """A larger copy (n + 1, 3) of an opening (n, 3) behind it, and its middle; inward is as long as it is wide."""
    middle = ring.mean(axis=0)
    out = ring - middle
    far = np.linalg.norm(out, axis=1, keepdims=True)
    out *= 1 + WIDER * np.linalg.norm(inward) / np.maximum(far, 1e-9)
    return np.concatenate([middle + out, middle[None]]) + BEHIND * inward


def _fan(count: int) -> np.ndarray:
    """Triangles (n, 3) between a closed chain of n vertices and vertex n, seen from outside."""
    here = np.arange(count)
    return np.stack([np.roll(here, -1), here, np.full(count, count)], axis=1)


@cache
def _ball(around: int = 32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (n, 3) of a unit eyeball looking along z, triangles, colours (n, 3)."""
    turn = 2 * np.pi * np.arange(around) / around
    polar = np.repeat(RINGS, around)
    x, y = np.tile(np.cos(turn), len(RINGS)), np.tile(np.sin(turn), len(RINGS))
    vertices = np.stack([np.sin(polar) * x, np.sin(polar) * y, np.cos(polar)], axis=1)
    ring = np.arange(len(polar)).reshape(-1, around)
    after = np.roll(ring, -1, axis=1)
    a, b, c, d = ring[:-1], ring[1:], after[1:], after[:-1]
    triangles = np.concatenate([np.stack(f, -1).reshape(-1, 3) for f in ((a, b, c), (a, c, d))])
    iris = np.array(IRIS_COLOUR) * (0.7 + 0.5 * (polar / IRIS))[:, None]
    edge = np.abs(polar - IRIS)[:, None] < np.radians(2)
    colours = np.where(polar[:, None] < PUPIL, 0.03, np.where(polar[:, None] < IRIS, iris, np.array(WHITE)))
    return vertices, triangles, np.where(edge, 0.5 * colours, colours)


def _turned(ball: np.ndarray, down: float, aside: float) -> np.ndarray:
    """Vertices (n, 3) turned by degrees about x, then about y."""
    a, b = np.radians(down), np.radians(aside)
    x, y, z = ball.T
    y, z = np.cos(a) * y - np.sin(a) * z, np.sin(a) * y + np.cos(a) * z
    return np.stack([np.cos(b) * x + np.sin(b) * z, y, np.cos(b) * z - np.sin(b) * x], axis=-1)
