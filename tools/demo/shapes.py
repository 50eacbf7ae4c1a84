"""The 52 ARKit blendshapes of the head, each a field of displacements computed from where a vertex lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.demo.surface import Proportions
from tools.demo.topology import (
    CONTACT,
    EYE,
    MOUTH_COUNT,
    MOUTH_HALF_WIDTH,
    HeadMesh,
    ease,
    lip_heights,
    lip_line,
)

JAW_AXIS = np.array([0.0, -1.3, -0.3])  # the joints are at (±x, this)
JAW_ANGLE = np.radians(16.0)  # of jawOpen = 1
_NAMES = (
    "eyeBlinkLeft eyeLookDownLeft eyeLookInLeft eyeLookOutLeft eyeLookUpLeft eyeSquintLeft eyeWideLeft "
    "eyeBlinkRight eyeLookDownRight eyeLookInRight eyeLookOutRight eyeLookUpRight eyeSquintRight eyeWideRight "
    "jawForward jawLeft jawRight jawOpen mouthClose mouthFunnel mouthPucker mouthLeft mouthRight "
    "mouthSmileLeft mouthSmileRight mouthFrownLeft mouthFrownRight mouthDimpleLeft mouthDimpleRight "
    "mouthStretchLeft mouthStretchRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper "
    "mouthPressLeft mouthPressRight mouthLowerDownLeft mouthLowerDownRight mouthUpperUpLeft mouthUpperUpRight "
    "browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft "
    "cheekSquintRight noseSneerLeft noseSneerRight tongueOut"
)
ARKIT = tuple(_NAMES.split())
LID_FOLLOW = (1.0, 1.0, 1.0, 0.82, 0.45, 0.14, 0.04, 0.0)  # how much each ring around the eye follows the lid's edge
# How much each ring around the mouth goes along when the open jaw's lips are closed, in the upper and the lower half.
CLOSE_ABOVE = (0.8, 1.0, 1.0, 1.0, 0.95, 0.88, 0.78, 0.60, 0.42, 0.27, 0.14, 0.05)
CLOSE_BELOW = (0.8, 1.0, 1.0, 1.0, 1.0, 0.97, 0.92, 0.80, 0.62, 0.42, 0.24, 0.10)
LIDS_MEET = 0.2  # where closed lids meet: this share of the way from the lower to the upper edge


@dataclass(frozen=True)
class _Fields:
    """What the shapes are made from, per vertex of the skin (V,)."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    front: np.ndarray  # 1 on the face, 0 behind
    t: np.ndarray  # height above the lip line as if the lips were a little apart
    low: np.ndarray  # 1 below the mouth, 0 above, smooth at its corners
    red: np.ndarray  # height of the red of the lip on this side
    left: np.ndarray  # 1 on the person's left
    jaw: np.ndarray  # 1 where the skin goes with the jaw

    @property
    def zero(self) -> np.ndarray:
        return np.zeros_like(self.x)

    def bump(self, x: float, y: float, wide: float, high: float) -> np.ndarray:
        return self.front * np.exp(-(((self.x - x) / wide) ** 2) - ((self.y - y) / high) ** 2)

    def lips(self, wide: float, up: float, down: float) -> np.ndarray:
        """1 on the lips, falling off over `wide` sideways, `up` above and `down` below the lip line."""
        reach = np.where(self.t > 0, up, down)
        return self.front * np.exp(-((np.abs(self.x) / wide) ** 4) - (self.t / reach) ** 2)


def _fields(mesh: HeadMesh, who: Proportions) -> _Fields:
    x, y, z = mesh.skin.T
    s = np.clip(x / MOUTH_HALF_WIDTH, -1, 1)
    t = y - lip_line(s)
    column = np.arange(MOUTH_COUNT)
    side = np.where(column % (MOUTH_COUNT // 2) == 0, 0.0, np.where(column < MOUTH_COUNT // 2, 1.0, -1.0))
    apart = 0.7 * side * np.sqrt(np.maximum(1 - s[mesh.mouth] ** 2, 0.0))
    t = t.copy()
    t[mesh.mouth] += apart
    blend = 0.35 + 0.9 * ease(np.abs(x), MOUTH_HALF_WIDTH - 0.6, MOUTH_HALF_WIDTH + 1.6)
    low = ease(-t / blend, -1.0, 1.0)
    upper, lower = lip_heights(s, who)
    front = ease(z, 1.5, 4.5)
    around = np.exp(-((x / 2.9) ** 4)) * ease(z, 4.0, 6.0)
    cheek = ease(y, -1.8, -8.6)
    throat = np.where(z < 7.0, 1 - ease(y, -11.0, -14.0) * ease(z, 7.0, 4.5), 1.0)
    jaw = (cheek * (1 - around) + low * around) * ease(z, -3.0, 3.0) * throat
    return _Fields(x, y, z, front, t, low, np.where(t > 0, upper, lower) + 0.02, ease(x, -0.7, 0.7), jaw)


def _stack(field: _Fields, dx: object = 0.0, dy: object = 0.0, dz: object = 0.0) -> np.ndarray:
    return np.stack([field.zero + dx, field.zero + dy, field.zero + dz], axis=1)


def turn_jaw(points: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Points (..., 3) turned about the jaw's joints by angles that broadcast to (...), in radians; positive opens."""
    y, z = points[..., 1] - JAW_AXIS[1], points[..., 2] - JAW_AXIS[2]
    c, s = np.cos(angle), np.sin(angle)
    x = np.broadcast_to(points[..., 0], np.broadcast_shapes(y.shape, np.shape(angle)))
    return np.stack([x, JAW_AXIS[1] + c * y - s * z, JAW_AXIS[2] + s * y + c * z], axis=-1)


def build_shapes(mesh: HeadMesh, who: Proportions) -> dict[str, np.ndarray]:
    """The 52 displacement fields (V, 3) by ARKit name; tongueOut is zero on the skin."""
    f = _fields(mesh, who)
    shapes = {"tongueOut": _stack(f), **_jaw(mesh, f), **_mouth(f), **_brows_and_cheeks(f), **_eyes(mesh)}
    shapes["mouthClose"] = _mouth_close(mesh, shapes["jawOpen"])
    for name in ARKIT:
        if name not in shapes:
            twin = shapes[name.replace("Right", "Left")]
            shapes[name] = twin[mesh.mirror] * [-1.0, 1.0, 1.0]
    return {name: shapes[name] for name in ARKIT}


def _jaw(mesh: HeadMesh, f: _Fields) -> dict[str, np.ndarray]:
    opened = turn_jaw(mesh.skin, JAW_ANGLE * f.jaw) - mesh.skin
    corner = f.bump(MOUTH_HALF_WIDTH, -6.6, 1.6, 1.5) - f.bump(-MOUTH_HALF_WIDTH, -6.6, 1.6, 1.5)
    opened[:, 0] -= 0.28 * corner  # the corners are drawn in
    hollow = f.bump(4.2, -5.6, 1.6, 2.2) - f.bump(-4.2, -5.6, 1.6, 2.2)
    opened[:, 0] -= 0.25 * hollow
    return {
        "jawOpen": opened,
        "jawForward": _stack(f, dz=0.7 * f.jaw),
        "jawLeft": _stack(f, dx=0.8 * f.jaw, dy=-0.1 * f.jaw),
    }


def _mouth_close(mesh: HeadMesh, opened: np.ndarray) -> np.ndarray:
    """What brings the lips together when jawOpen is as large: the gap of the open jaw, closed from both sides."""
    half = MOUTH_COUNT // 2
    delta = np.zeros_like(opened)
    s = mesh.skin[mesh.mouth[CONTACT, 1:half], 0] / MOUTH_HALF_WIDTH
    share = (0.38 + 0.12 * s**4)[:, None]  # of the way that the upper lip makes
    for row, from_above, from_below in zip(mesh.mouth, CLOSE_ABOVE, CLOSE_BELOW, strict=True):
        upper, lower = row[1:half], row[:half:-1]
        gap = opened[upper] - opened[lower]  # (21, 3)
        delta[upper] = -share * from_above * gap
        delta[lower] = (1 - share) * from_below * gap
    return delta


def _mouth(f: _Fields) -> dict[str, np.ndarray]:
    half = MOUTH_HALF_WIDTH
    around = f.lips(3.6, 1.5, 1.9)
    middle = np.exp(-((f.x / 1.7) ** 2))
    bulge = f.lips(2.6, 1.2, 1.35) * middle
    up, down = 1 - f.low, f.low
    lift = f.lips(2.6, 1.3, 9.0) * up * ease(np.abs(f.x), half, 0.7)
    drop = f.lips(2.6, 9.0, 1.6) * down * ease(np.abs(f.x), half, 0.7)
    # 0 in the middle, 1 at the left corner, falling off over the cheek
    pull = np.clip(f.x / half, 0, 1.2) * np.exp(-(((np.maximum(f.x, half) - half) / 1.5) ** 2))
    pull = pull * f.front * np.exp(-(((f.y + 6.4) / 1.9) ** 2))
    corner = pull**2
    cheek = f.bump(3.9, -4.0, 1.6, 1.5)
    within = np.clip(-f.t / f.red, 0, 1) * down  # 0 on the line between the lips … 1 on the lower border
    above = np.clip(f.t / f.red, 0, 1) * up
    shapes = {
        "mouthFunnel": _stack(f, -0.26 * f.x * around, bulge * (0.42 * up - 0.55 * down), 0.70 * bulge + 0.15 * around),
        "mouthPucker": _stack(f, -0.42 * f.x * around, -0.10 * f.t * around, 0.85 * bulge + 0.2 * around),
        "mouthLeft": _stack(f, 0.85 * f.lips(3.8, 1.9, 2.3), 0.12 * f.lips(3.0, 1.4, 1.8) * f.left, -0.25 * corner),
        "mouthSmileLeft": _stack(
            f, 0.52 * pull + 0.12 * cheek, 0.72 * corner + 0.34 * cheek, -0.34 * corner + 0.3 * cheek
        ),
        "mouthFrownLeft": _stack(f, 0.06 * pull, -0.75 * corner, -0.12 * corner),
        "mouthDimpleLeft": _stack(f, 0.42 * pull, 0.06 * corner, -0.45 * corner),
        "mouthStretchLeft": _stack(f, 0.62 * pull, -0.30 * corner, -0.20 * corner),
        "mouthRollLower": _roll(f, within, down, 1.0),
        "mouthRollUpper": _roll(f, above, up, -1.0),
        "mouthShrugLower": _stack(
            f, dy=0.42 * f.lips(2.6, 0.4, 2.2) * down + 0.35 * f.bump(0, -9.6, 1.6, 1.4) * down, dz=0.14 * drop
        ),
        "mouthShrugUpper": _stack(f, dy=0.34 * lift, dz=0.22 * lift),
        "mouthPressLeft": f.left[:, None] * _press(f, around, pull),
        "mouthLowerDownLeft": _stack(f, 0.06 * drop * f.left, -0.62 * drop * f.left, -0.10 * drop * f.left),
        "mouthUpperUpLeft": _stack(f, 0.04 * lift * f.left, 0.55 * lift * f.left, 0.02 * lift * f.left),
    }
    return shapes


def _roll(f: _Fields, within: np.ndarray, side: np.ndarray, sign: float) -> np.ndarray:
    """A lip rolled in over the teeth: its red hides, the skin beyond follows. sign +1 is the lower lip."""
    beyond = np.maximum(np.abs(f.t) - f.red, 0.0)
    middle = ease(np.abs(f.x), 2.6, 1.2) * f.front * side
    follow = np.exp(-((beyond / 0.8) ** 2)) * middle
    return _stack(f, dy=sign * 0.62 * f.red * within * follow, dz=-(0.20 + 0.30 * within) * follow)


def _press(f: _Fields, around: np.ndarray, pull: np.ndarray) -> np.ndarray:
    lips = f.lips(2.9, 0.9, 1.1)
    return _stack(f, 0.10 * pull, -0.30 * np.clip(f.t, -0.9, 0.8) * lips, -0.10 * lips - 0.10 * around)


def _brows_and_cheeks(f: _Fields) -> dict[str, np.ndarray]:
    above = ease(f.y, 0.55, 1.5)
    inner, outer = f.bump(1.3, 2.0, 1.3, 1.5) * above, f.bump(4.0, 2.0, 1.7, 1.6) * above
    whole = f.bump(2.5, 1.9, 2.3, 1.3) * above
    puff = f.bump(4.1, -6.2, 1.9, 1.8) + f.bump(-4.1, -6.2, 1.9, 1.8)
    wing = f.bump(1.25, -3.6, 0.9, 1.1)
    sneer_lip = f.bump(1.5, -5.2, 0.9, 0.9) * (1 - f.low)
    squint = f.bump(3.6, -2.3, 2.0, 1.3)
    both = inner + f.bump(-1.3, 2.0, 1.3, 1.5) * above
    return {
        "browDownLeft": _stack(f, -0.22 * inner, -0.42 * whole - 0.22 * inner, 0.10 * inner + 0.05 * whole),
        "browInnerUp": _stack(f, dy=0.72 * both, dz=0.05 * both),
        "browOuterUpLeft": _stack(f, dy=0.66 * outer, dz=0.02 * outer),
        "cheekPuff": _stack(f, 0.75 * puff * np.sign(f.x), 0.0, 0.55 * puff),
        "cheekSquintLeft": _stack(f, 0.05 * squint, 0.42 * squint, 0.22 * squint),
        "noseSneerLeft": _stack(f, 0.10 * wing, 0.34 * wing + 0.25 * sneer_lip, 0.05 * wing),
    }


# ---------------------------------------------------------------- lids


def _eyes(mesh: HeadMesh) -> dict[str, np.ndarray]:
    """Lid shapes of the left eye. A lid's vertex moves over the eyeball: its distance from the centre stays."""
    shapes = {
        "eyeBlinkLeft": _lids(mesh, 1.0, 1.0, 0.0),
        "eyeLookDownLeft": _lids(mesh, 0.42, -0.5, 0.0),
        "eyeLookUpLeft": _lids(mesh, -0.22, 0.35, 0.0),
        "eyeLookInLeft": _lids(mesh, 0.08, 0.0, -0.12),
        "eyeLookOutLeft": _lids(mesh, 0.0, 0.12, 0.10),
        "eyeSquintLeft": _lids(mesh, 0.22, 1.6, 0.0),
        "eyeWideLeft": _lids(mesh, -0.36, -0.4, 0.0),
    }
    x, y, z = mesh.skin.T
    cheek = np.exp(-(((x - 3.3) / 1.8) ** 2) - ((y + 1.9) / 0.9) ** 2) * ease(z, 2.0, 4.0)
    cheek[mesh.left_eye[:5]] = 0.0
    shapes["eyeSquintLeft"][:, 1] += 0.22 * cheek
    fold = np.exp(-(((x - 3.2) / 1.7) ** 2) - ((y - 1.55) / 0.7) ** 2) * ease(z, 2.0, 4.0)
    fold[mesh.left_eye[:4]] = 0.0
    for name, lifted in (("eyeWideLeft", 0.20), ("eyeLookUpLeft", 0.10), ("eyeLookDownLeft", -0.08)):
        shapes[name][:, 1] += lifted * fold * np.where(name == "eyeLookUpLeft", ease(x, 2.2, 4.2), 1.0)
    shapes["eyeLookDownLeft"][:, 1] -= 0.10 * cheek
    return shapes


def _lids(mesh: HeadMesh, upper: float, lower: float, aside: float) -> np.ndarray:
    """Displacement (V, 3) when the upper and lower lid go these shares of their way to each other, or aside (cm)."""
    rings = mesh.left_eye
    count = rings.shape[1]
    local = mesh.skin[rings] - EYE  # (8, n, 3)
    edge = local[2, :, 1]
    opposite = edge[(-np.arange(count)) % count]
    above = np.arange(count) <= count // 2
    top, bottom = np.where(above, edge, opposite), np.where(above, opposite, edge)
    meet = bottom + LIDS_MEET * (top - bottom)
    travel = np.where(above, upper * (meet - top), lower * (meet - bottom))
    follow = np.array(LID_FOLLOW)[:, None]
    moved = local.copy()
    moved[..., 0] += aside * follow * (1 - (local[2, :, 0] / local[2, :, 0].max()) ** 2)
    moved[..., 1] += travel * follow
    near = np.arange(len(rings)) <= 4
    radius = (local**2).sum(axis=-1)
    ball = np.sqrt(np.maximum(radius - moved[..., 0] ** 2 - moved[..., 1] ** 2, 0.16))
    moved[near, :, 2] = (local[..., 2] + ball - _ball(local, radius))[near]
    delta = np.zeros_like(mesh.skin)
    delta[rings] = moved - local
    return delta


def _ball(local: np.ndarray, radius: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(radius - local[..., 0] ** 2 - local[..., 1] ** 2, 0.16))
