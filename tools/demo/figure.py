"""The face as a picture: skin with painted lips, brows and hair, eyeballs, teeth and tongue."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from audio2face.render.raster import Camera, Mesh, auto_camera
from tools.demo.face import JAW_POINTS, Face
from tools.demo.surface import Proportions, cast_from_centre, cast_from_front
from tools.demo.topology import EYE, EYE_RADIUS, ease

LIP_TINT = np.array([0.90, 0.66, 0.65])
FRAME = np.array([[-8.8, -13.0, 2.0], [8.8, 12.6, 2.0]])  # what the camera holds


def figure_camera(size: tuple[int, int] = (512, 512), yaw: float = 0.0, zoom: float = 1.0) -> Camera:
    """A camera on the face from chin to crown; yaw in degrees."""
    corners = np.stack(np.meshgrid(*FRAME.T), axis=-1).reshape(-1, 3)
    return auto_camera(corners, size, yaw=yaw, zoom=zoom)


def figure_meshes(face: Face) -> list[Mesh]:
    """Skin, brows, two eyeballs, upper teeth, lower teeth, tongue: still parts for render_animation."""
    ball, iris = eyeball(face)
    upper, lower = teeth_row(1.0), teeth_row(-1.0)
    hair = hair_cap(face.who)
    brow = Brows(face)
    return [
        Mesh(hair[1], np.tile(np.array(face.who.hair), (len(hair[0]), 1)), gloss=0.06, inside=1.0),
        Mesh(face.mesh.triangles, skin_colours(face), gloss=0.10, inside=0.06),
        Mesh(brow.triangles, np.array(face.who.hair), gloss=0.02, inside=1.0),
        Mesh(ball[1], iris, gloss=0.32),
        Mesh(ball[1], iris, gloss=0.32),
        Mesh(upper[1], upper[2], gloss=0.25),
        Mesh(lower[1], lower[2], gloss=0.25),
        Mesh(face.tongue.triangles, np.array([0.76, 0.40, 0.40]), gloss=0.2),
    ]


def figure_frames(
    face: Face,
    skin: np.ndarray,
    tongue: np.ndarray | None = None,
    jaw: np.ndarray | None = None,
    eyes: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Vertices of figure_meshes over time.

    skin (T, V, 3); tongue (T, Vt, 3) or None for at rest; jaw (T, 5, 3) motion of the key points or None; eyes
    (T, 2, 2) degrees (right, left) x (x, y) or None.
    """
    count = len(skin)
    brow = Brows(face)
    moved = skin[:, brow.bound].astype(np.float64) - face.neutral[brow.bound]  # (T, n, 3 neighbours, 3)
    brow_frames = brow.anchor + (moved * brow.share[..., None]).sum(axis=2)
    looks = np.zeros((count, 2, 2)) if eyes is None else np.asarray(eyes, float).reshape(count, 2, 2)
    ball = eyeball(face)[0][0]
    balls = [turned_ball(ball, looks[:, side], sign) for side, sign in ((0, -1.0), (1, 1.0))]
    lower = teeth_row(-1.0)[0]
    lowered = lower if jaw is None else carry(lower, np.asarray(jaw, float))
    return [
        hair_cap(face.who)[0],
        skin,
        brow_frames,
        *balls,
        teeth_row(1.0)[0],
        lowered,
        face.tongue.neutral if tongue is None else tongue,
    ]


# ---------------------------------------------------------------- skin


def skin_colours(face: Face) -> np.ndarray:
    """Painted colours (V, 3) sRGB: red lips, dark lid edges, warm cheeks."""
    v = face.neutral
    colours = np.tile(np.array(face.who.skin), (len(v), 1))
    x, y, z = np.abs(v[:, 0]), v[:, 1], v[:, 2]
    blush = np.exp(-(((x - 4.2) / 1.8) ** 2) - ((y + 3.2) / 1.4) ** 2) * ease(z, 2, 5)
    blush += 0.8 * np.exp(-((x / 1.3) ** 2) - ((y + 3.8) / 1.0) ** 2) * ease(z, 8, 9.5)
    colours *= 1 - blush[:, None] * [0.01, 0.06, 0.06]
    for ring, amount in ((0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 0.85), (6, 0.35)):
        colours[face.mesh.mouth[ring]] *= 1 - amount * (1 - LIP_TINT)
    colours[face.mesh.mouth[:2]] *= 0.6
    for rings in (face.mesh.left_eye, face.mesh.right_eye):
        upper = np.arange(rings.shape[1]) <= rings.shape[1] // 2
        colours[rings[:2]] = colours[rings[:2]] * 0.55
        colours[rings[2][upper]] *= 0.30
        colours[rings[2][~upper]] *= 0.80
        colours[rings[3]] *= 0.93
    return colours


def hair_share(v: np.ndarray) -> np.ndarray:
    """1 where hair grows, 0 on the face, of points (N, 3) on the skin; smooth at the hairline."""
    x, y, z = np.abs(v[:, 0]), v[:, 1], v[:, 2]
    line = 6.4 - 3.0 * ease(x, 3.4, 6.6) + 0.5 * np.exp(-((x / 1.4) ** 2))
    top = ease(y - line, -0.5, 1.3)
    temple = ease(z, 2.2, 0.6) * ease(y, -0.2, 1.6)
    back = ease(z, -2.9, -4.2) * ease(y, -7.8, -5.6)
    ear = np.sqrt(((x - 7.2) / 1.6) ** 2 + ((y + 0.7) / 2.9) ** 2 + ((z + 1.2) / 1.9) ** 2)
    return np.maximum.reduce([top, temple, back]) * ease(ear, 0.95, 1.35)


@cache
def hair_cap(who: Proportions, rows: int = 56, columns: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A cap of hair over the skull: vertices (n, 3) and triangles. It does not move."""
    turn = 2 * np.pi * np.arange(columns) / columns
    polar, around = np.meshgrid(np.linspace(0.001, 2.3, rows), turn, indexing="ij")
    flat = [np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)]
    directions = np.stack(flat, axis=-1).reshape(-1, 3)
    skull = cast_from_centre(directions, who)
    share = hair_share(skull)
    wave = 0.05 * np.sin(9 * around.ravel() + 3 * polar.ravel()) * np.sin(7 * polar.ravel())
    lifted = skull + directions * ((0.72 + wave) * share**0.7 - 0.16)[:, None]  # starts below the skin
    ring = np.arange(rows * columns).reshape(rows, columns)
    after = np.roll(ring, -1, axis=1)
    a, b, c, d = ring[:-1], ring[1:], after[1:], after[:-1]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return lifted, triangles[(share[triangles] > 0).any(axis=1)]


class Brows:
    """Two strips above the eyes bound to the nearest skin: anchor (n, 3), bound (n, 3) vertices, share (n, 3)."""

    def __init__(self, face: Face):
        t = np.linspace(0, 1, 15)
        x = 1.05 + 3.75 * t
        y = 1.78 + 0.62 * np.sin(np.pi * np.clip(t / 1.25, 0, 1)) - 0.35 * t
        thick = 0.30 * (1 - t) ** 0.5 * ease(t, -0.12, 0.25) + 0.03
        points, triangles = [], []
        for sign in (1.0, -1.0):
            base = sum(len(p) for p in points)
            for k, offset in enumerate((1.0, 0.0, -1.0)):
                row = cast_from_front(sign * x, y + offset * thick, face.who)
                row[:, 2] += 0.05 + 0.07 * (k == 1)
                points.append(row)
            ring = base + np.arange(45).reshape(3, 15)
            a, b, c, d = ring[:-1, :-1], ring[1:, :-1], ring[1:, 1:], ring[:-1, 1:]
            faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
            triangles.append(faces if sign > 0 else faces[:, ::-1])
        self.anchor = np.concatenate(points)
        self.triangles = np.concatenate(triangles)
        distance, self.bound = cKDTree(face.neutral).query(self.anchor, k=3)
        share = 1.0 / np.maximum(distance, 0.05)
        self.share = share / share.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------- eyes and teeth


def eyeball(face: Face, columns: int = 36) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """((vertices about the origin looking along +z (n, 3), triangles), colours (n, 3))."""
    polar = np.radians([0, 3, 6, 7.6, 8.4, 10, 13, 16, 18.5, 20.5, 22.5, 26, 32, 42, 55, 75, 100, 130, 160])
    around = 2 * np.pi * np.arange(columns) / columns
    r = EYE_RADIUS + 0.06 * np.exp(-((polar / 0.32) ** 2))
    rings = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(around),
            np.sin(polar)[:, None] * np.sin(around),
            np.repeat(np.cos(polar)[:, None], columns, 1),
        ],
        axis=-1,
    )
    vertices = (rings * r[:, None, None]).reshape(-1, 3)
    ring = np.arange(len(vertices)).reshape(-1, columns)
    after = np.roll(ring, -1, axis=1)
    a, b, c, d = ring[:-1], ring[1:], after[1:], after[:-1]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    degrees = np.repeat(np.degrees(polar), columns)[:, None]
    spokes = (
        1 + 0.18 * np.cos(9 * np.tile(around, len(polar)))[:, None] * np.cos(5 * np.tile(around, len(polar)))[:, None]
    )
    white = np.array([0.93, 0.92, 0.90])
    iris = np.array(face.who.iris) * spokes * (0.8 + 0.5 * (degrees - 8) / 12)
    colours = np.where(degrees < 8.0, 0.02, np.where(degrees < 19.5, iris, white))
    colours = np.where((degrees >= 18) & (degrees < 21), colours * 0.45, colours)
    return (vertices, triangles), np.clip(colours, 0, 1)


def turned_ball(ball: np.ndarray, look: np.ndarray, sign: float) -> np.ndarray:
    """Eyeball vertices (T, n, 3) turned by look (T, 2) degrees: about x (positive looks down), then y."""
    a, b = np.radians(look[:, :1]), np.radians(look[:, 1:])
    x, y, z = ball.T
    y, z = np.cos(a) * y - np.sin(a) * z, np.sin(a) * y + np.cos(a) * z
    x, z = np.cos(b) * x + np.sin(b) * z, -np.sin(b) * x + np.cos(b) * z
    return np.stack([x, y, z], axis=-1) + EYE * [sign, 1.0, 1.0]


def teeth_row(side: float, per: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (n, 3), triangles, colours of the upper (side 1) or lower (-1) row: an arch of fourteen teeth."""
    count = 14
    u = np.linspace(-1, 1, per * count + 1)
    wide, deep, front = (2.6, 3.9, 8.42) if side > 0 else (2.45, 3.7, 8.12)
    angle = u * 1.35
    x, z = wide * np.sin(angle) / np.sin(1.35), front - deep * (1 - np.cos(angle)) / (1 - np.cos(1.35))
    between = np.abs(((u + 1) / 2 * count) % 1.0 - 0.5) * 2  # 1 between teeth, 0 in their middle
    gap = ease(between, 0.72, 1.0)
    edge, root = (-6.55, -5.4) if side > 0 else (-6.62, -7.7)
    rows, tint = [], []
    for t, out, shade in (
        (0.0, -0.25, 0.8),
        (0.0, 0.0, 1.0),
        (0.5, 0.08, 1.0),
        (0.85, 0.0, 1.0),
        (0.95, 0.02, 0.0),
        (1.5, 0.05, 0.0),
    ):
        y = edge + t * (root - edge) + side * 0.10 * gap * (t == 0) + side * 0.05 * np.abs(u)
        push = (out - 0.10 * gap * (t < 0.9))[:, None]
        rows.append(np.stack([x, y, z], axis=1) + push * np.stack([np.sin(angle), 0 * u, np.cos(angle)], axis=1))
        tooth = np.array([0.93, 0.90, 0.83]) * (1 - 0.35 * gap[:, None])
        tint.append(tooth * shade if shade else np.tile([0.68, 0.36, 0.36], (len(u), 1)))
    vertices = np.concatenate(rows)
    ring = np.arange(len(vertices)).reshape(len(rows), -1)
    a, b, c, d = ring[:-1, :-1], ring[:-1, 1:], ring[1:, 1:], ring[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return vertices, faces if side > 0 else faces[:, ::-1], np.concatenate(tint)


def carry(points: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Points (n, 3) carried rigidly (Kabsch) by motion (T, 5, 3) of the jaw's key points -> (T, n, 3)."""
    rest = JAW_POINTS - JAW_POINTS.mean(axis=0)
    now = JAW_POINTS + motion
    middle = now.mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("ni,tnj->tij", rest, now - middle))
    flip = np.sign(np.linalg.det(u @ vt))
    u[:, :, 2] *= flip[:, None]
    return (points - JAW_POINTS.mean(axis=0)) @ (u @ vt) + middle
