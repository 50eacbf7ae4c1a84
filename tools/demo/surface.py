"""The head as a smooth solid: signed distance of blended primitives, and ray casting. Centimetres, y up, z forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CENTRE = np.array([0.0, -1.5, 0.6])  # every point of the surface can be seen from here
NECK_CUT_Y = -18.0


@dataclass(frozen=True)
class Proportions:
    """What makes one person differ from another; 1 and 0 are the first identity."""

    width: float = 1.0
    jaw_width: float = 1.0
    nose_length: float = 0.0
    nose_width: float = 1.0
    chin: float = 0.0
    cheek: float = 0.0
    brow: float = 0.0
    lips: float = 1.0
    forehead: float = 0.0
    skin: tuple[float, float, float] = (0.87, 0.68, 0.58)
    hair: tuple[float, float, float] = (0.24, 0.16, 0.12)
    iris: tuple[float, float, float] = (0.25, 0.42, 0.50)


IDENTITIES = (
    Proportions(),
    Proportions(
        width=1.05,
        jaw_width=1.16,
        nose_length=0.30,
        nose_width=1.18,
        chin=0.35,
        cheek=-0.15,
        brow=0.25,
        lips=0.85,
        forehead=-0.25,
        skin=(0.62, 0.44, 0.34),
        hair=(0.09, 0.07, 0.06),
        iris=(0.28, 0.17, 0.09),
    ),
)


def ellipsoid(p: np.ndarray, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """Distance of points (N, 3) from an axis-aligned ellipsoid, first-order exact at the surface."""
    q = p - centre
    k0 = np.sqrt(((q / radii) ** 2).sum(axis=-1))
    k1 = np.sqrt(((q / np.square(radii)) ** 2).sum(axis=-1))
    return k0 * (k0 - 1.0) / np.maximum(k1, 1e-9)


def capsule(
    p: np.ndarray, a: tuple[float, float, float], b: tuple[float, float, float], ra: float, rb: float
) -> np.ndarray:
    """Distance from a rounded cone between a (radius ra) and b (radius rb)."""
    start, axis = np.asarray(a), np.subtract(b, a)
    t = np.clip(((p - start) @ axis) / (axis @ axis), 0.0, 1.0)
    return np.sqrt(((p - start - t[..., None] * axis) ** 2).sum(axis=-1)) - (ra + (rb - ra) * t)


def union(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """Smooth minimum over a blend of width k."""
    h = np.maximum(k - np.abs(a - b), 0.0) / k
    return np.minimum(a, b) - h**2 * k * 0.25


def carve(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """a without b, smoothly."""
    return -union(-a, b, k)


def head_distance(points: np.ndarray, who: Proportions) -> np.ndarray:
    """Signed distance (N,) of points (N, 3) from the head's skin, without eyes, lids and lips."""
    p = np.array(points, float)
    p[:, 0] = np.abs(p[:, 0]) / who.width  # symmetric
    d = ellipsoid(p, (0, 3.3 + who.forehead / 2, -0.9), (7.35, 8.3 + who.forehead / 2, 9.3))  # cranium
    d = union(d, ellipsoid(p, (0, 2.6, 3.4), (5.9, 5.6, 5.2)), 2.0)  # forehead
    d = union(d, ellipsoid(p, (0, -3.4, 2.1), (5.35, 6.6, 6.2)), 2.2)  # mid face
    jaw = who.jaw_width
    d = union(d, capsule(p, (4.75 * jaw, -3.6, -0.6), (4.25 * jaw, -7.0, 1.0), 1.1, 1.05), 2.4)
    d = union(d, capsule(p, (4.25 * jaw, -7.0, 1.0), (1.0 * jaw, -10.2, 6.2), 1.1, 1.2), 2.2)
    d = union(d, ellipsoid(p, (0, -7.2, 4.6), (4.0 * jaw, 3.6, 4.0)), 1.6)  # dental arches and floor
    d = union(d, ellipsoid(p, (0, -6.4, 6.3), (2.9, 2.1, 2.55)), 1.5)  # muzzle
    d = union(d, ellipsoid(p, (0, -10.0 - who.chin, 7.1), (1.55 * jaw, 1.25, 1.25)), 1.5)  # chin
    d = carve(d, ellipsoid(p, (0, -8.45, 9.55), (1.9, 0.42, 0.75)), 1.0)  # fold below the lower lip
    d = union(d, ellipsoid(p, (4.05, -2.75, 4.9), (1.75 + who.cheek, 1.5, 1.75)), 1.9)  # cheekbone
    d = union(d, ellipsoid(p, (3.1, -4.6, 5.4), (1.7 + who.cheek, 1.7, 1.6)), 2.0)  # cheek
    d = union(d, capsule(p, (1.0, 1.75, 7.75), (4.7, 1.75, 5.6), 0.62 + who.brow, 0.55), 1.3)  # brow ridge
    d = carve(d, ellipsoid(p, (3.3, 0.1, 8.6), (1.9, 1.15, 1.6)), 1.5)  # eye socket
    d = carve(d, ellipsoid(p, (7.7, 3.6, 4.0), (1.0, 2.2, 2.2)), 2.2)  # temple
    d = _nose(p, d, who)
    d = union(d, capsule(p, (0, -7.5, -2.6), (0, -18.5, -4.0), 4.9, 5.6), 2.6)  # neck
    d = union(d, capsule(p, (4.6, -4.5, -2.0), (1.0, -16.5, 0.6), 1.2, 1.1), 2.4)  # neck muscle
    d = union(d, ellipsoid(p, (0, -12.9, 1.15), (1.3, 1.7, 1.1)), 1.6)  # larynx
    d = _ear(p, d)
    return np.maximum(d, NECK_CUT_Y - p[:, 1])


def _nose(p: np.ndarray, d: np.ndarray, who: Proportions) -> np.ndarray:
    tip = (0.0, -3.35 - who.nose_length, 10.15 + who.nose_length)
    wide = who.nose_width
    nose = capsule(p, (0, 1.2, 7.75), tip, 0.55, 0.62)  # bridge
    nose = union(nose, ellipsoid(p, tip, (0.92 * wide, 0.78, 0.8)), 0.7)
    nose = union(nose, ellipsoid(p, (1.05 * wide, tip[1] - 0.25, 9.0), (0.58, 0.62, 0.85)), 0.9)  # wings
    nose = union(nose, capsule(p, (0, tip[1] - 0.45, 9.9), (0, tip[1] - 1.0, 8.8), 0.42, 0.4), 0.5)  # column
    nose = carve(nose, ellipsoid(p, (0.58 * wide, tip[1] - 0.95, 9.45), (0.3, 0.34, 0.5)), 0.25)  # nostril
    return union(d, nose, 0.95)


def _ear(p: np.ndarray, d: np.ndarray) -> np.ndarray:
    turn, lean = np.radians(22), np.radians(10)
    q = p - (7.2, -0.7, -1.2)
    x = np.cos(turn) * q[:, 0] + np.sin(turn) * q[:, 2]
    z = -np.sin(turn) * q[:, 0] + np.cos(turn) * q[:, 2]
    y, z = np.cos(lean) * q[:, 1] - np.sin(lean) * z, np.sin(lean) * q[:, 1] + np.cos(lean) * z
    local = np.stack([x, y, z], axis=1)
    ear = ellipsoid(local, (0.15, 0, 0), (0.5, 2.75, 1.6))
    ear = carve(ear, ellipsoid(local, (0.75, 0.25, 0.25), (0.42, 1.85, 0.9)), 0.4)
    return union(d, ear, 0.7)


def cast(origins: np.ndarray, directions: np.ndarray, reach: float, who: Proportions) -> np.ndarray:
    """Where rays (N, 3) coming in from origin + reach * direction towards the origin first meet the head -> (N, 3)."""
    t = np.full(len(origins), float(reach))
    moving = np.arange(len(t))
    for _ in range(90):
        step = 0.6 * head_distance(origins[moving] + t[moving, None] * directions[moving], who)
        t[moving] = np.clip(t[moving] - step, 0.0, reach)
        moving = moving[np.abs(step) > 1e-6]
        if not len(moving):
            break
    return origins + t[:, None] * directions


def cast_from_centre(directions: np.ndarray, who: Proportions) -> np.ndarray:
    """The outermost skin point (N, 3) along unit directions (N, 3) from CENTRE."""
    return cast(np.broadcast_to(CENTRE, directions.shape), directions, 26.0, who)


def cast_from_front(x: np.ndarray, y: np.ndarray, who: Proportions) -> np.ndarray:
    """The foremost skin point (N, 3) above (x, y)."""
    origins = np.stack([x, y, np.zeros_like(x)], axis=1)
    return cast(origins, np.broadcast_to([0.0, 0.0, 1.0], origins.shape), 16.0, who)
