"""The inner loops of the rasteriser (which face covers a pixel; how bright is it; to 8 bits), in numba and in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

BLOCK = 20_000  # triangles tested together by the numpy version
WRAP = 0.25  # light reaches a little past the terminator, as on skin


class Kernels(NamedTuple):
    """The loops of one backend, called as the numpy functions below."""

    rasterise: Callable[[np.ndarray, np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]
    shade: Callable[..., np.ndarray]
    develop: Callable[[np.ndarray, int, np.ndarray], np.ndarray]


def backend(name: str = "auto") -> Kernels:
    """The loops of "numba", "numpy", or "auto" (numba when it can be imported)."""
    in_numpy = Kernels(rasterise_numpy, shade_numpy, develop_numpy)
    if name == "numpy":
        return in_numpy
    if name not in ("auto", "numba"):
        raise ValueError(f"unknown render backend {name!r}: auto, numba or numpy")
    compiled = _compiled()
    if compiled is None:
        if name == "numba":
            raise ValueError("render backend 'numba' asked for, but numba cannot be imported")
        return in_numpy
    return compiled


@cache
def _compiled() -> Kernels | None:
    try:
        import numba
    except ImportError:
        return None
    loops = (_rasterise_loop, _shade_loop, _develop_loop)
    try:  # compiling takes seconds: keep the result for other processes
        return Kernels(*(numba.njit(nogil=True, error_model="numpy", cache=True)(loop) for loop in loops))
    except RuntimeError:  # no folder to keep it in
        return Kernels(*(numba.njit(nogil=True, error_model="numpy")(loop) for loop in loops))


# ---------------------------------------------------------------- which face is seen


def _rasterise_loop(screen, triangles, width, height):  # type: ignore[no-untyped-def]
    """Compiled by numba. See rasterise_numpy."""
    face = np.full((height, width), -1, np.int64)
    weights = np.empty((height, width, 3), np.float32)
    nearest = np.zeros((height, width))
    for f in range(len(triangles)):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0 or az <= 0.0 or bz <= 0.0 or cz <= 0.0:
            continue
        shrink = 1.0 / area
        x0 = max(0, math.ceil(min(ax, bx, cx) - 0.5))
        x1 = min(width - 1, math.floor(max(ax, bx, cx) - 0.5))
        y0 = max(0, math.ceil(min(ay, by, cy) - 0.5))
        y1 = min(height - 1, math.floor(max(ay, by, cy) - 0.5))
        for y in range(y0, y1 + 1):
            py = y + 0.5
            for x in range(x0, x1 + 1):
                px = x + 0.5
                u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * shrink
                v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * shrink
                w = 1.0 - u - v
                if u < 0.0 or v < 0.0 or w < 0.0:
                    continue
                depth = u * az + v * bz + w * cz
                if depth > nearest[y, x]:
                    nearest[y, x] = depth
                    face[y, x] = f if area < 0.0 else f + len(triangles)
                    weights[y, x, 0] = u * az / depth
                    weights[y, x, 1] = v * bz / depth
                    weights[y, x, 2] = w * cz / depth
    return face, weights


def rasterise_numpy(
    screen: np.ndarray, triangles: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest face at each pixel centre, and the perspective-correct weights of its corners.

    screen: (V, 3) pixel x, y and inverse depth (<= 0 is behind the camera: such faces are left out).
    Returns face (height, width) int64, -1 where empty and counted from F on where seen from behind; weights
    (height, width, 3) float32. Of faces at one depth the first wins.
    """
    face = np.full(height * width, -1, np.int64)
    weights = np.zeros((height * width, 3), np.float32)
    nearest = np.zeros(height * width)
    for start in range(0, len(triangles), BLOCK):
        found = _candidates(screen, triangles[start : start + BLOCK], width, height)
        pixel, index, depth, corner_weights, front = found
        order = np.lexsort((index, -depth, pixel))
        first = order[np.concatenate([[True], np.diff(pixel[order]) != 0])] if len(order) else order
        first = first[depth[first] > nearest[pixel[first]]]
        where = pixel[first]
        nearest[where] = depth[first]
        face[where] = start + index[first] + np.where(front[first], 0, len(triangles))
        weights[where] = corner_weights[first]
    return face.reshape(height, width), weights.reshape(height, width, 3)


def _candidates(screen: np.ndarray, triangles: np.ndarray, width: int, height: int) -> tuple[np.ndarray, ...]:
    """Every (pixel, triangle) pair that covers: pixel (P,), triangle (P,), depth (P,), weights (P, 3), front (P,)."""
    corners = screen[triangles]  # (F, 3, 3)
    x, y, z = corners[:, :, 0], corners[:, :, 1], corners[:, :, 2]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0])
    usable = (area != 0) & (z > 0).all(axis=1)
    with np.errstate(invalid="ignore"):
        x0 = np.clip(np.ceil(x.min(axis=1) - 0.5), 0, width).astype(np.int64)
        x1 = np.clip(np.floor(x.max(axis=1) - 0.5), -1, width - 1).astype(np.int64)
        y0 = np.clip(np.ceil(y.min(axis=1) - 0.5), 0, height).astype(np.int64)
        y1 = np.clip(np.floor(y.max(axis=1) - 0.5), -1, height - 1).astype(np.int64)
    columns = np.maximum(x1 - x0 + 1, 0)
    counts = np.where(usable, columns * np.maximum(y1 - y0 + 1, 0), 0)
    index = np.repeat(np.arange(len(triangles)), counts)
    within = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    col = x0[index] + within % np.maximum(columns[index], 1)
    row = y0[index] + within // np.maximum(columns[index], 1)
    px, py = col + 0.5, row + 0.5
    shrink = 1.0 / np.where(usable, area, 1.0)[index]
    cx, cy = x[index], y[index]
    u = ((cx[:, 1] - px) * (cy[:, 2] - py) - (cy[:, 1] - py) * (cx[:, 2] - px)) * shrink
    v = ((cx[:, 2] - px) * (cy[:, 0] - py) - (cy[:, 2] - py) * (cx[:, 0] - px)) * shrink
    w = 1.0 - u - v
    keep = (u >= 0) & (v >= 0) & (w >= 0)
    index, u, v, w = index[keep], u[keep], v[keep], w[keep]
    depths = z[index]
    depth = u * depths[:, 0] + v * depths[:, 1] + w * depths[:, 2]
    shares = np.stack([u * depths[:, 0], v * depths[:, 1], w * depths[:, 2]], axis=1) / depth[:, None]
    return (row * width + col)[keep], index, depth, shares, area[index] < 0


# ---------------------------------------------------------------- how bright it is


def _shade_loop(face, weights, triangles, normals, colours, surface, lights, ambient, background):  # type: ignore[no-untyped-def]
    """Compiled by numba. See shade_numpy."""
    height, width = face.shape
    count = len(triangles)
    out = np.empty((height, width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            f = face[y, x]
            if f < 0:
                out[y, x, 0], out[y, x, 1], out[y, x, 2] = background[y, 0], background[y, 1], background[y, 2]
                continue
            behind = f >= count
            if behind:
                f -= count
            a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
            u, v, w = float(weights[y, x, 0]), float(weights[y, x, 1]), float(weights[y, x, 2])
            nx = u * normals[a, 0] + v * normals[b, 0] + w * normals[c, 0]
            ny = u * normals[a, 1] + v * normals[b, 1] + w * normals[c, 1]
            nz = u * normals[a, 2] + v * normals[b, 2] + w * normals[c, 2]
            scale = 1.0 / max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-12)
            if behind:
                scale = -scale
            nx, ny, nz = nx * scale, ny * scale, nz * scale
            light = ambient[1] + (ambient[0] - ambient[1]) * (0.5 + 0.5 * ny)
            shine = 0.0
            for k in range(len(lights)):
                facing = nx * lights[k, 0] + ny * lights[k, 1] + nz * lights[k, 2]
                light += lights[k, 6] * max(0.0, (facing + WRAP) / (1.0 + WRAP))
                half = nx * lights[k, 3] + ny * lights[k, 4] + nz * lights[k, 5]
                if facing > 0.0 and half > 0.0:
                    half8 = half**2 * half**2
                    half8 = half8 * half8
                    shine += lights[k, 6] * (half8 * half8 * half8)
            gloss = surface[a, 0]
            if behind:
                light *= surface[a, 1]
                gloss *= surface[a, 1]
            for i in range(3):
                out[y, x, i] = (u * colours[a, i] + v * colours[b, i] + w * colours[c, i]) * light + gloss * shine
    return out


def shade_numpy(
    face: np.ndarray,
    weights: np.ndarray,
    triangles: np.ndarray,
    normals: np.ndarray,
    colours: np.ndarray,
    surface: np.ndarray,
    lights: np.ndarray,
    ambient: tuple[float, float],
    background: np.ndarray,
) -> np.ndarray:
    """Linear colour (height, width, 3) float32 of every pixel: wrapped diffuse, highlight, sky and ground.

    face, weights: from rasterise; normals (V, 3) unit, in camera space; colours (V, 3) linear; surface (V, 2) gloss
    and the factor for faces seen from behind; lights (L, 7): unit direction, unit direction of its highlight,
    strength; ambient from above and below; background (height, 3) linear.
    """
    out = np.repeat(background[:, None, :].astype(np.float32), face.shape[1], axis=1)
    rows, cols = np.nonzero(face >= 0)
    behind = face[rows, cols] >= len(triangles)
    corners = triangles[face[rows, cols] % len(triangles)]  # (P, 3)
    share = weights[rows, cols].astype(np.float64)
    normal = _mix(share, normals, corners)
    tone = _mix(share, colours, corners)
    scale = 1.0 / np.maximum(np.sqrt((normal**2).sum(axis=1)), 1e-12)
    normal *= np.where(behind, -scale, scale)[:, None]
    light = ambient[1] + (ambient[0] - ambient[1]) * (0.5 + 0.5 * normal[:, 1])
    shine = np.zeros(len(light))
    for source in lights:
        facing = normal @ source[:3]
        light += source[6] * np.maximum(0.0, (facing + WRAP) / (1.0 + WRAP))
        half = normal @ source[3:6]
        half8 = np.where((facing > 0) & (half > 0), half, 0.0) ** 8
        shine += source[6] * (half8 * half8 * half8)
    dim = np.where(behind, surface[corners[:, 0], 1], 1.0)
    gloss = surface[corners[:, 0], 0] * dim
    out[rows, cols] = tone * (light * dim)[:, None] + (gloss * shine)[:, None]
    return out


def _mix(share: np.ndarray, values: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The corners' values (V, 3) weighted by share (P, 3) -> (P, 3)."""
    mixed = share[:, :1] * values[corners[:, 0]]
    mixed += share[:, 1:2] * values[corners[:, 1]]
    mixed += share[:, 2:] * values[corners[:, 2]]
    return mixed


# ---------------------------------------------------------------- to 8 bits


def _develop_loop(linear, n, table):  # type: ignore[no-untyped-def]
    """Compiled by numba. See develop_numpy."""
    height, width = linear.shape[0] // n, linear.shape[1] // n
    top = len(table) - 1
    out = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            for i in range(3):
                total = 0.0
                for dy in range(n):
                    for dx in range(n):
                        total += linear[y * n + dy, x * n + dx, i]
                out[y, x, i] = table[int(min(max(total / (n * n) * top + 0.5, 0.0), top))]
    return out


def develop_numpy(linear: np.ndarray, n: int, table: np.ndarray) -> np.ndarray:
    """Average blocks of n x n pixels of linear (n·H, n·W, 3) and look their tone up in table -> (H, W, 3) uint8."""
    height, width, _ = linear.shape
    mean = linear.reshape(height // n, n, width // n, n, 3).sum(axis=(1, 3), dtype=np.float64) / (n * n)
    top = len(table) - 1
    return table[np.clip(mean * top + 0.5, 0, top).astype(np.int64)]
