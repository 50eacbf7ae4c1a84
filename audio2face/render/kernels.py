"""Inner loops of the rasteriser, in numba and in numpy: which face covers a sample, and the colour of a pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

BLOCK = 20_000  # triangles tested together by the numpy version
WRAP = 0.25  # light reaches a little past the terminator, as on skin
REACH = 1.0 / (1.0 + WRAP)


class Kernels(NamedTuple):
    """One backend's loops, called like the numpy functions below, and how many samples a pixel has across and down."""

    rasterise: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]
    shade: Callable[..., np.ndarray]
    samples: int


def backend(name: str = "auto") -> Kernels:
    """The loops of "numba", "numpy", or "auto" (numba when it can be imported)."""
    # edges are not smooth in numpy, where that takes four times as long
    in_numpy = Kernels(rasterise_numpy, shade_numpy, samples=1)
    if name == "numpy":
        return in_numpy
    if name not in ("auto", "numba"):
        raise ValueError(f"unknown render backend {name!r}: auto, numba or numpy")
    compiled = _compiled()
    if compiled is None:
        if name == "numba":
            raise ValueError("render backend 'numba' requested, but numba cannot be imported")
        return in_numpy
    return compiled


@cache
def _compiled() -> Kernels | None:
    try:
        import numba
    except ImportError:
        return None

    def compiled(keep: bool) -> Kernels:
        jit = numba.njit(nogil=True, error_model="numpy", cache=keep)
        return Kernels(jit(_rasterise_loop), jit(_shade_loop), samples=2)

    try:  # compiling takes seconds: keep the result for other processes
        return compiled(keep=True)
    except RuntimeError:  # no folder to keep it in
        return compiled(keep=False)


# ---------------------------------------------------------------- which face is seen


def _rasterise_loop(screen, triangles, width, height):  # type: ignore[no-untyped-def]
    """Compiled by numba. See rasterise_numpy."""
    face = np.full((height, width), -1, np.int32)
    nearest = np.zeros((height, width), np.float32)
    for f in range(len(triangles)):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not (abs(area) > 0.0 and az > 0.0 and bz > 0.0 and cz > 0.0):  # nor what is no number
            continue
        side = 1.0 if area > 0.0 else -1.0
        name = np.int32(f if area < 0.0 else f + len(triangles))
        first = max(0.0, math.ceil(min(ax, bx, cx) - 0.5))
        last = min(width - 1.0, math.floor(max(ax, bx, cx) - 0.5))
        y0 = int(max(0.0, math.ceil(min(ay, by, cy) - 0.5)))
        y1 = int(min(height - 1.0, math.floor(max(ay, by, cy) - 0.5)))
        for y in range(y0, y1 + 1):
            # Each edge function is value + slope * x, and positive inside. Neighbours share both but for the sign, so
            # that no sample falls between them.
            py = y + 0.5
            u = side * ((bx - 0.5) * (cy - py) - (by - py) * (cx - 0.5))
            v = side * ((cx - 0.5) * (ay - py) - (cy - py) * (ax - 0.5))
            w = side * ((ax - 0.5) * (by - py) - (ay - py) * (bx - 0.5))
            low, high = first, last
            for value, slope in ((u, side * (by - cy)), (v, side * (cy - ay)), (w, side * (ay - by))):
                if slope > 0.0:
                    low = max(low, -value / slope)
                elif slope < 0.0:
                    high = min(high, -value / slope)
                elif value < 0.0:
                    high = -1.0
            if high < low:
                continue
            depth = (u * az + v * bz + w * cz) / (side * area)
            step = ((by - cy) * az + (cy - ay) * bz + (ay - by) * cz) / area
            start = int(math.ceil(low))
            near, names = nearest[y, start:], face[y, start:]
            for i in range(int(math.floor(high)) + 1 - start):
                here = np.float32(depth + step * (start + i))
                if here > near[i]:
                    near[i] = here
                    names[i] = name
    return face


def rasterise_numpy(screen: np.ndarray, triangles: np.ndarray, width: int, height: int) -> np.ndarray:
    """The nearest face at the middle of each sample: (height, width) int32.

    screen: (V, 3) sample x, y and inverse depth (<= 0 is behind the camera: such faces are left out). -1 is empty;
    faces seen from behind are counted from F on. Of faces at one depth the first wins.
    """
    face = np.full(height * width, -1, np.int32)
    nearest = np.zeros(height * width, np.float32)
    for start in range(0, len(triangles), BLOCK):
        sample, index, depth, front = _candidates(screen, triangles[start : start + BLOCK], width, height)
        order = np.lexsort((index, -depth, sample))
        first = order[np.concatenate([[True], np.diff(sample[order]) != 0])] if len(order) else order
        first = first[depth[first] > nearest[sample[first]]]
        where = sample[first]
        nearest[where] = depth[first]
        face[where] = start + index[first] + np.where(front[first], 0, len(triangles))
    return face.reshape(height, width)


def _candidates(screen: np.ndarray, triangles: np.ndarray, width: int, height: int) -> tuple[np.ndarray, ...]:
    """Every (sample, triangle) pair that covers: sample (P,), triangle (P,), inverse depth (P,) float32, front (P,)."""
    corners = screen[triangles]  # (F, 3, 3)
    x, y, z = corners[:, :, 0], corners[:, :, 1], corners[:, :, 2]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0])
    usable = (np.abs(area) > 0) & (z > 0).all(axis=1)  # nor what is no number
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
    edges = _edges(x[index], y[index], col + 0.5, row + 0.5)
    keep = (edges * np.sign(area[index])[:, None] >= 0).all(axis=1)
    index = index[keep]
    depth = ((edges[keep] * z[index]).sum(axis=1) / area[index]).astype(np.float32)
    return (row * width + col)[keep], index, depth, area[index] < 0


def _edges(x: np.ndarray, y: np.ndarray, px: np.ndarray, py: np.ndarray) -> np.ndarray:
    """Edge functions (P, 3), each zero on the side opposite to its corner, of corners x, y (P, 3) at points (P,)."""
    x, y = x - px[:, None], y - py[:, None]
    return np.stack([x[:, i] * y[:, j] - y[:, i] * x[:, j] for i, j in ((1, 2), (2, 0), (0, 1))], axis=1)


# ---------------------------------------------------------------- its colour


def _shade_loop(face, n, triangles, vertices, lights, ambient, background, table):  # type: ignore[no-untyped-def]
    """Compiled by numba. See shade_numpy."""
    height, width = face.shape[0] // n, face.shape[1] // n
    count, full = len(triangles), (len(table) - 1) / (n * n)
    out = np.empty((height, width, 3), np.uint8)
    names = np.empty(n * n, np.int64)
    across, down = np.empty(n * n), np.empty(n * n)  # of a sample in its pixel
    for i in range(n * n):
        across[i], down[i] = i % n + 0.5, i // n + 0.5
    for y in range(height):
        for x in range(width):
            i, whole = 0, True
            for row in range(y * n, y * n + n):
                for col in range(x * n, x * n + n):
                    names[i] = face[row, col]
                    whole = whole and names[i] == names[0]
                    i += 1
            red, green, blue = 0.0, 0.0, 0.0
            for i in range(1 if whole else n * n):
                f = names[i]
                if f == -2:  # lit already, with an earlier sample
                    continue
                px, py, share = n / 2, n / 2, n * n * 1.0
                if not whole:
                    px, py, share = 0.0, 0.0, 0.0
                    for j in range(i, n * n):
                        if names[j] == f:
                            px, py, share = px + across[j], py + down[j], share + 1.0
                            names[j] = -2
                    px, py = px / share, py / share
                if f == -1:
                    red += share * background[y, 0]
                    green += share * background[y, 1]
                    blue += share * background[y, 2]
                    continue
                behind = f >= count
                if behind:
                    f -= count
                px, py = x * n + px, y * n + py
                a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
                ax, ay = vertices[a, 0] - px, vertices[a, 1] - py
                bx, by = vertices[b, 0] - px, vertices[b, 1] - py
                cx, cy = vertices[c, 0] - px, vertices[c, 1] - py
                u = (bx * cy - by * cx) * vertices[a, 2]
                v = (cx * ay - cy * ax) * vertices[b, 2]
                w = (ax * by - ay * bx) * vertices[c, 2]
                scale = 1.0 / (u + v + w)
                u, v, w = u * scale, v * scale, w * scale
                nx = u * vertices[a, 3] + v * vertices[b, 3] + w * vertices[c, 3]
                ny = u * vertices[a, 4] + v * vertices[b, 4] + w * vertices[c, 4]
                nz = u * vertices[a, 5] + v * vertices[b, 5] + w * vertices[c, 5]
                scale = (-1.0 if behind else 1.0) / max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-12)
                nx, ny, nz = nx * scale, ny * scale, nz * scale
                light = ambient[1] + (ambient[0] - ambient[1]) * (0.5 + 0.5 * ny)
                shine = 0.0
                for k in range(len(lights)):
                    facing = nx * lights[k, 0] + ny * lights[k, 1] + nz * lights[k, 2]
                    light += lights[k, 6] * max(0.0, facing + WRAP) * REACH
                    half = nx * lights[k, 3] + ny * lights[k, 4] + nz * lights[k, 5]
                    if facing > 0.0 and half > 0.0:
                        half8 = half**2 * half**2
                        half8 = half8 * half8
                        shine += lights[k, 6] * (half8 * half8 * half8)
                dim = vertices[a, 10] if behind else 1.0
                light, shine = light * dim, shine * dim * vertices[a, 9]
                red += share * min((u * vertices[a, 6] + v * vertices[b, 6] + w * vertices[c, 6]) * light + shine, 1.0)
                green += share * min(
                    (u * vertices[a, 7] + v * vertices[b, 7] + w * vertices[c, 7]) * light + shine, 1.0
                )
                blue += share * min((u * vertices[a, 8] + v * vertices[b, 8] + w * vertices[c, 8]) * light + shine, 1.0)
            out[y, x, 0] = table[int(red * full + 0.5) if red >= 0.0 else 0]  # no number is black
            out[y, x, 1] = table[int(green * full + 0.5) if green >= 0.0 else 0]
            out[y, x, 2] = table[int(blue * full + 0.5) if blue >= 0.0 else 0]
    return out


def shade_numpy(
    face: np.ndarray,
    n: int,
    triangles: np.ndarray,
    vertices: np.ndarray,
    lights: np.ndarray,
    ambient: tuple[float, float],
    background: np.ndarray,
    table: np.ndarray,
) -> np.ndarray:
    """Pixels (H, W, 3) uint8 of n x n samples each: every face in a pixel is lit once, at the mean of its samples.

    face (n·H, n·W): from rasterise; vertices (V, 11): place as for rasterise (3), unit normal in camera space (3),
    linear colour (3), gloss, and the factor for faces seen from behind; lights (L, 7): unit direction, unit direction
    of its highlight, strength; ambient from above and below; background (H, 3) linear; table: linear 0 … 1 to 8 bits.
    """
    height, width = face.shape[0] // n, face.shape[1] // n
    row, col = np.indices(face.shape).reshape(2, -1)
    names = 2 * len(triangles) + 1
    seen = ((row // n) * width + col // n) * names + face.ravel() + 1
    seen, which, share = np.unique(seen, return_inverse=True, return_counts=True)
    pixel, name = np.divmod(seen, names)
    tone = background[pixel // width].astype(np.float64)
    solid = name > 0
    points = np.stack([np.bincount(which, at + 0.5)[solid] / share[solid] for at in (col, row)], axis=1)
    tone[solid] = np.minimum(_lit(name[solid] - 1, points, triangles, vertices, lights, ambient), 1.0)
    total = np.stack([np.bincount(pixel, tone[:, k] * share) for k in range(3)], axis=-1).reshape(height, width, 3)
    total = np.where(total >= 0, total, 0.0)  # no number is black
    return table[(total / (n * n) * (len(table) - 1) + 0.5).astype(np.int64)]


def _lit(
    name: np.ndarray,
    points: np.ndarray,
    triangles: np.ndarray,
    vertices: np.ndarray,
    lights: np.ndarray,
    ambient: tuple[float, float],
) -> np.ndarray:
    """Linear colour (P, 3) of faces (P,) at points (P, 2): wrapped diffuse, highlight, sky and ground."""
    behind = name >= len(triangles)
    corners = triangles[name % len(triangles)]  # (P, 3)
    at = vertices[corners, :3]
    share = _edges(at[:, :, 0], at[:, :, 1], *points.T) * at[:, :, 2]  # perspective-correct
    share /= share.sum(axis=1, keepdims=True)
    normal = _mix(share, vertices[:, 3:6], corners)
    scale = 1.0 / np.maximum(np.sqrt((normal**2).sum(axis=1)), 1e-12)
    normal *= np.where(behind, -scale, scale)[:, None]
    light = ambient[1] + (ambient[0] - ambient[1]) * (0.5 + 0.5 * normal[:, 1])
    shine = np.zeros(len(light))
    for source in lights:
        facing = normal @ source[:3]
        light += source[6] * np.maximum(0.0, facing + WRAP) * REACH
        half = normal @ source[3:6]
        half8 = np.where((facing > 0) & (half > 0), half, 0.0) ** 8
        shine += source[6] * (half8 * half8 * half8)
    gloss, inside = vertices[corners[:, 0], 9:11].T
    dim = np.where(behind, inside, 1.0)
    return _mix(share, vertices[:, 6:9], corners) * (light * dim)[:, None] + (gloss * shine * dim)[:, None]


def _mix(share: np.ndarray, values: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The corners' values (V, 3) weighted by share (P, 3) -> (P, 3)."""
    mixed = share[:, :1] * values[corners[:, 0]]
    mixed += share[:, 1:2] * values[corners[:, 1]]
    mixed += share[:, 2:] * values[corners[:, 2]]
    return mixed
