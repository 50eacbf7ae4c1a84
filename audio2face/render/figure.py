"""A skeleton as a figure: every bone a tapered tube, on a chequered ground, in a picture that holds the whole motion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from audio2face.render.openings import Moving
from audio2face.render.raster import Camera, Mesh, auto_camera

BONE = (0.33, 0.45, 0.62)
GROUND = ((0.86, 0.87, 0.89), (0.80, 0.81, 0.84))
SIDES = 8
PROFILE = (
    (0.0, 0.0),
    (0.0, 0.5),
    (0.12, 1.0),
    (0.6, 0.8),
    (1.0, 0.45),
    (1.0, 0.0),
)  # (share of the length, of the radius)
THICKNESS = 0.14  # radius of a bone in its lengths
WIDEST = 0.022  # radius in heights of the figure
TILES = 12  # most tiles of the ground along a side
YAW, PITCH = 25.0, 8.0  # degrees from which the camera looks
SAMPLES = 400  # frames looked at to place camera and ground


def up_axis(rest: np.ndarray) -> str:
    """ "y" or "z": along which of them the joints at rest (J, 3) reach further; people are deeper than high in neither."""
    _, high, deep = np.ptp(rest, axis=0)
    return "z" if deep > high else "y"


def upright(positions: np.ndarray, rest: np.ndarray | None = None) -> np.ndarray:
    """Positions (T, J, 3) with y up: turned about x where the pose at rest (J, 3) has z up; without one, the first whole frame."""
    if rest is None:
        rest = positions[int(np.isfinite(positions).all(axis=(1, 2)).argmax())]
    if up_axis(rest) == "y":
        return np.asarray(positions)
    return np.asarray(positions)[..., [0, 2, 1]] * np.array([1.0, 1.0, -1.0], np.float32)


def figure_frames(positions: np.ndarray, bones: np.ndarray) -> tuple[list[Mesh], list[np.ndarray | Moving]]:
    """(meshes, frames) for `render_animation`: joints (T, J, 3), y up, joined by bones (B, 2), on a ground.

    A bone is as thick as it is long in the first frame. Bones without length are left out. Raises ValueError for bones
    between joints that are not there, or when none has a length.
    """
    positions = np.asarray(positions)
    first = positions[0].astype(np.float64)
    bones, radii, tall = _thickness(first, bones)
    tubes = Moving(len(positions), lambda t: _tubes(positions[t].astype(np.float64), bones, radii))
    ground, floor = ground_mesh(positions, tall)
    return [Mesh(_figure_triangles(len(bones)), np.array(BONE), gloss=0.15), ground], [tubes, floor]


def figure_mesh(joints: np.ndarray, bones: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The figure of joints (J, 3) at rest as vertices (V, 3), triangles (F, 3), and the joint (V,) that each vertex goes with.

    Raises ValueError as `figure_frames`.
    """
    joints = np.asarray(joints, np.float64)
    bones, radii, _ = _thickness(joints, bones)
    vertices = _tubes(joints, bones, radii).astype(np.float32)
    return vertices, _figure_triangles(len(bones)), np.repeat(bones[:, 0], len(PROFILE) * SIDES)


def figure_camera(positions: Sequence[np.ndarray], size: tuple[int, int] = (512, 512)) -> Camera:
    """A camera on all of several motions (T, J, 3), y up, from a little to their left and above."""
    boxes = [_box(p) for p in positions]
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    margin = 0.04 * float((high - low).max())
    edges = np.stack([low - margin, high + margin])
    return auto_camera(np.stack(np.meshgrid(*edges.T), axis=-1).reshape(-1, 3), size, -YAW, PITCH)


def _box(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (3,) of what moves, of SAMPLES frames; frames with what is no number are passed over."""
    chosen = np.unique(np.linspace(0, len(positions) - 1, SAMPLES).round().astype(int))
    points = np.asarray(positions)[chosen].reshape(-1, 3).astype(np.float64)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise ValueError("a skeleton without a finite position cannot be drawn")
    return points.min(axis=0), points.max(axis=0)


def _thickness(joints: np.ndarray, bones: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The bones (B, 2) that have a length, their radii (B,), and how tall the joints (J, 3) stand."""
    bones = np.asarray(bones, np.int64).reshape(-1, 2)
    if not len(bones) or bones.min() < 0 or bones.max() >= len(joints):
        raise ValueError(f"bones join joints {bones.min(initial=0)} … {bones.max(initial=-1)} of {len(joints)}")
    lengths = np.linalg.norm(joints[bones[:, 1]] - joints[bones[:, 0]], axis=1)
    tall = float(np.ptp(joints, axis=0).max())
    bones, lengths = bones[lengths > 1e-4 * tall], lengths[lengths > 1e-4 * tall]
    if not len(bones):
        raise ValueError("no bone of the skeleton has a length")
    return bones, np.minimum(THICKNESS * lengths, WIDEST * tall), tall


def _figure_triangles(count: int) -> np.ndarray:
    """Triangles (F, 3) of the tubes of `count` bones."""
    return (_tube_triangles() + (len(PROFILE) * SIDES * np.arange(count))[:, None, None]).reshape(-1, 3)


def _tubes(joints: np.ndarray, bones: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Vertices (B · rings · SIDES, 3) of tubes along bones between joints (J, 3)."""
    start, along = joints[bones[:, 0]], joints[bones[:, 1]] - joints[bones[:, 0]]
    way = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    other = np.where(np.abs(way[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]])
    across = np.cross(way, other)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    third = np.cross(way, across)
    angle = 2 * np.pi * np.arange(SIDES) / SIDES
    circle = np.cos(angle)[:, None] * across[:, None] + np.sin(angle)[:, None] * third[:, None]  # (B, SIDES, 3)
    share, wide = np.array(PROFILE).T
    rings = (start[:, None] + share[:, None] * along[:, None])[:, :, None]  # (B, rings, 1, 3)
    return (rings + (radii[:, None] * wide)[..., None, None] * circle[:, None]).reshape(-1, 3)


@cache
def _tube_triangles() -> np.ndarray:
    ring = np.arange(len(PROFILE) * SIDES).reshape(len(PROFILE), SIDES)
    after = np.roll(ring, -1, axis=1)
    a, b, c, d = ring[:-1], after[:-1], after[1:], ring[1:]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def ground_mesh(positions: np.ndarray, tall: float, level: float | None = None) -> tuple[Mesh, np.ndarray]:
    """A chequered square under the whole motion of joints (T, J, 3), at a level, or just below the lowest joint."""
    low, high = _box(positions)
    level = low[1] - 0.01 * tall if level is None else level
    tile = max(tall / 3, float((high - low)[[0, 2]].max()) / (TILES - 3))
    first, last = np.floor(low / tile) - 1, np.ceil(high / tile) + 1
    x, z = np.meshgrid(np.arange(first[0], last[0]), np.arange(first[2], last[2]))
    corners = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    flat = (np.stack([x, z], -1).reshape(-1, 1, 2) + corners) * tile  # (tiles, 4, 2)
    vertices = np.stack([flat[..., 0], np.full(flat.shape[:2], level), flat[..., 1]], axis=-1)
    quads = 4 * np.arange(len(flat))[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])
    dark = ((x + z).ravel() % 2).astype(int)
    colours = np.repeat(np.array(GROUND)[dark], 4, axis=0)
    return Mesh(quads.reshape(-1, 3), colours, gloss=0.0, inside=1.0), vertices.reshape(-1, 3)
