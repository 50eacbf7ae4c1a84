"""The head's mesh: rings around mouth and eyes, an even net elsewhere, one closed surface with three openings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from tools.demo.surface import CENTRE, Proportions, cast_from_centre, cast_from_front

FACE_AXIS = np.array([0.0, -2.6, 8.0]) / np.hypot(2.6, 8.0)
MOUTH = np.array([0.0, -6.45])  # x, y of the middle of the lip line
MOUTH_HALF_WIDTH = 2.45
MOUTH_COUNT = 44  # vertices in a ring around the mouth; a multiple of 4
LIP_RINGS = 12  # 0 deep inside … 2 where the lips touch … 6 border of the red … 11 skin
CONTACT = 2
LIP_GAP = 0.004  # between the closed lips
EYE = np.array([3.2, 0.15, 6.2])  # centre of the left eyeball (+x is the person's left)
EYE_RADIUS = 1.5
EYE_HALF_WIDTH = 1.42
EAR = np.array([7.3, -0.7, -1.2])
EAR_STEP = 0.062  # radians between vertices of the ear
EYE_COUNT = 28
LID_RINGS = 8  # 0 tucked in, 1 and 2 the edge of the lid … 7 skin
LID_EDGE = 2


@dataclass(frozen=True)
class HeadMesh:
    """skin (V, 3) cm, triangles (F, 3); rings of vertex numbers: mouth (12, 44), left and right eye (8, 28).

    Ring positions go counter-clockwise as seen from the front from the corner at +x: 0 … n/2 is the upper half.
    The right eye's ring is the mirror image of the left one's (it starts at its outer corner too). mirror (V,) is the
    vertex at (-x, y, z).
    """

    skin: np.ndarray
    triangles: np.ndarray
    mouth: np.ndarray
    left_eye: np.ndarray
    right_eye: np.ndarray
    mirror: np.ndarray


def ring_angles(count: int) -> np.ndarray:
    return 2 * np.pi * np.arange(count) / count


def ease(x: np.ndarray | float, low: float, high: float) -> np.ndarray:
    """0 below low, 1 above high (low > high turns it around), smooth between."""
    t = np.clip((np.asarray(x, float) - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


# ---------------------------------------------------------------- mouth


def lip_line(s: np.ndarray) -> np.ndarray:
    """Height of the line between the closed lips at s = x / half width."""
    return MOUTH[1] + 0.06 * np.cos(2 * np.pi * s) * np.exp(-((s / 0.45) ** 2)) + 0.10 * s**2


def lip_heights(s: np.ndarray, who: Proportions) -> tuple[np.ndarray, np.ndarray]:
    """Height of the red of the upper and of the lower lip at s."""
    taper = np.maximum(1.0 - np.abs(s) ** 2.4, 0.0)
    bow = 0.10 * np.exp(-(((np.abs(s) - 0.2) / 0.16) ** 2)) - 0.07 * np.exp(-((s / 0.11) ** 2))
    return who.lips * taper * (0.66 + bow), who.lips * taper**0.85 * 0.86


def mouth_rings(who: Proportions) -> np.ndarray:
    """Positions (12, 44, 3) of the mouth's rings from deep inside to the skin around."""
    angle = ring_angles(MOUTH_COUNT)
    side = np.sign(np.round(np.sin(angle), 9))  # +1 upper, -1 lower, 0 at the corners
    s = np.cos(angle)
    s = np.sign(s) * np.abs(s) ** 0.92
    upper, lower = lip_heights(s, who)
    line = lip_line(s)
    height = np.where(side > 0, upper, lower)
    outer = np.sqrt(np.maximum(1 - s**2, 0.0))
    #            share of the red's height, forward of the lip line, corner beyond the half width
    profile = [(0.95, -1.25, -0.50), (0.30, -0.75, -0.26), (0.0, -0.10, -0.06), (0.26, 0.20, 0.02),
               (0.56, 0.30, 0.07), (0.84, 0.18, 0.11), (1.0, 0.02, 0.15)]  # fmt: skip
    rings = []
    border = cast_from_front(s * (MOUTH_HALF_WIDTH + 0.15), line + side * height, who)
    arch = cast_from_front(s * MOUTH_HALF_WIDTH, line, who)[:, 2]
    for share, forward, corner in profile:
        x = s * (MOUTH_HALF_WIDTH + corner)
        y = line + side * np.where(share == 0.0, LIP_GAP / 2, share * height)
        full = 0.25 + 0.75 * outer
        weight = min(share, 1.0) if forward > 0 else 0.0
        z = arch * (1 - weight) + border[:, 2] * weight
        puff = forward * np.where(forward > 0, full * np.where(side > 0, 0.85, 1.1), 0.35 + 0.65 * outer)
        rings.append(np.stack([x, y, z + puff], axis=1))
    for k in range(1, LIP_RINGS - len(profile) + 1):
        t = k / (LIP_RINGS - len(profile))
        up, down, wide = 0.95 * t**1.1, 1.15 * t**1.1, 1.5 * t**1.1
        a, b = MOUTH_HALF_WIDTH + 0.15 + wide, np.where(side > 0, up, down)
        x = s * a
        y = line * (1 - t) + MOUTH[1] * t + side * (height * (1 - 0.35 * t) + outer * (b + 0.5 * t * height))
        rings.append(cast_from_front(x, y, who))
    return np.stack(rings)


# ---------------------------------------------------------------- eyes


def lid_curve(u: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Height of the lid's edge above the eye's centre at u = -1 (inner corner) … 1 (outer corner)."""
    arc = np.maximum(1 - u**2, 0.0)
    high = 0.53 * arc**0.8 * (1.0 + 0.10 * u)
    low = -0.43 * arc**0.9 * (1.0 + 0.22 * u)
    return np.where(upper, high, low) + 0.07 * u


def on_eyeball(u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    """Points (N, 3) at (u, v) in front of the left eye's centre, on the sphere of that radius."""
    z = np.sqrt(np.maximum(radius**2 - u**2 - v**2, 0.16))
    return EYE + np.stack([u, v, z], axis=-1)


def eye_rings(who: Proportions) -> np.ndarray:
    """Positions (8, 28, 3) of the left eye's rings; position 0 is the outer corner, 14 the inner."""
    angle = ring_angles(EYE_COUNT)
    u, side = np.cos(angle), np.sign(np.round(np.sin(angle), 9))
    edge = lid_curve(u, side >= 0)
    wide = u * EYE_HALF_WIDTH
    out = np.sqrt(np.maximum(1 - u**2, 0.0)) * side
    rings = [on_eyeball(wide * 0.97, edge * 0.97 + 0.10 * out, EYE_RADIUS - 0.10)]
    rings.append(on_eyeball(wide, edge, EYE_RADIUS + 0.02))
    rings.append(on_eyeball(wide * 1.03, edge + 0.07 * out, EYE_RADIUS + 0.13))
    rings.append(on_eyeball(wide * 1.08, edge + np.where(side > 0, 0.32, 0.24) * out, EYE_RADIUS + 0.17))
    skin = []
    for k, (grow, up, down) in enumerate(
        [(1.17, 0.60, 0.55), (1.32, 0.95, 0.95), (1.52, 1.25, 1.35), (1.74, 1.5, 1.8)]
    ):
        x = EYE[0] + wide * np.where(u < 0, 1 + (grow - 1) * 0.62, grow)
        y = EYE[1] + edge * (1 - 0.2 * k) + np.where(side > 0, up, down) * out
        skin.append(cast_from_front(x, y, who))
    crease = skin[0]
    lid = on_eyeball(crease[:, 0] - EYE[0], crease[:, 1] - EYE[1], EYE_RADIUS + 0.10)
    crease[:, 2] = np.maximum(0.5 * crease[:, 2] + 0.5 * lid[:, 2], lid[:, 2]) - np.where(side > 0, 0.08, 0.0)
    return np.stack([*rings, *skin])


# ---------------------------------------------------------------- the net between


def _spacing(alpha: np.ndarray) -> np.ndarray:
    """Angle between neighbours at an angle alpha from the face's axis."""
    return 0.047 + 0.105 * ease(alpha, 0.55, 1.7)


def _net_directions() -> np.ndarray:
    """Unit directions (N, 3) in rings about the face's axis, mirror-symmetric, closer in front."""
    alpha, rings, k = 0.0, [], 0
    up = np.cross(FACE_AXIS, [1.0, 0.0, 0.0])
    while alpha < np.pi - 0.06:
        count = max(1, 2 * round(np.pi * np.sin(alpha) / float(_spacing(np.array(alpha))))) if alpha > 0 else 1
        turn = 2 * np.pi * (np.arange(count) + 0.5 * (k % 2)) / count
        flat = np.sin(turn)[:, None] * [1.0, 0.0, 0.0] + np.cos(turn)[:, None] * up
        rings.append(np.cos(alpha) * FACE_AXIS + np.sin(alpha) * flat)
        alpha += 0.9 * float(_spacing(np.array(alpha)))
        k += 1
    net = np.concatenate([*rings, -FACE_AXIS[None]])
    for sign in (1.0, -1.0):  # the ears' folds need a finer net
        patch, inside = _ear_patch(net * [sign, 1.0, 1.0])
        net = np.concatenate([net[~inside], patch * [sign, 1.0, 1.0]])
    return net


def _ear_patch(net: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions (M, 3) over the left ear, and which of the net's (N, 3) they replace."""
    axis = _directions(EAR)
    right = np.cross([0.0, 1.0, 0.0], axis)
    right /= np.linalg.norm(right)
    up = np.cross(axis, right)
    a, b = np.meshgrid(np.arange(-4, 5) * 1.0, np.arange(-7, 8) * 1.0)
    grid = np.stack([(a + 0.5 * (b % 2)) * EAR_STEP, b * EAR_STEP * 0.87], axis=-1).reshape(-1, 2)
    size = np.array([0.24, 0.36])  # radians
    grid = grid[((grid / size) ** 2).sum(axis=1) < 1]
    patch = axis + np.tan(grid[:, :1]) * right + np.tan(grid[:, 1:]) * up
    depth = np.maximum(net @ axis, 1e-6)
    near = np.stack([np.arctan(net @ right / depth), np.arctan(net @ up / depth)], axis=1) / (size + EAR_STEP * 0.6)
    inside = ((near**2).sum(axis=1) < 1) & (net @ axis > 0.2)
    return patch / np.sqrt((patch**2).sum(axis=1, keepdims=True)), inside


def _directions(points: np.ndarray) -> np.ndarray:
    away = points - CENTRE
    return away / np.sqrt((away**2).sum(axis=-1, keepdims=True))


def _inside(ring: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether directions (N, 3) lie within the cone over a ring of directions (n, 3)."""
    axis = ring.mean(axis=0) / np.linalg.norm(ring.mean(axis=0))
    right = np.cross([0.0, 1.0, 0.0], axis)
    right /= np.linalg.norm(right)
    plane = np.stack([right, np.cross(axis, right)])

    def flat(d: np.ndarray) -> np.ndarray:
        return (d @ plane.T) / np.maximum(d @ axis, 1e-6)[:, None]

    polygon, p = flat(ring), flat(points)
    inside = np.zeros(len(p), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (a[1] > p[:, 1]) != (b[1] > p[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (p[:, 0] < (b[0] - a[0]) * (p[:, 1] - a[1]) / (b[1] - a[1]) + a[0])
    return inside & (points @ axis > 0.2)


def _strips(rings: np.ndarray, clockwise: bool) -> np.ndarray:
    """Triangles between neighbouring rings of vertex numbers (R, n), facing outwards."""
    inner, outer = rings[:-1], rings[1:]
    inner_next, outer_next = np.roll(inner, -1, axis=1), np.roll(outer, -1, axis=1)
    one = np.stack([inner, outer, outer_next], axis=-1).reshape(-1, 3)
    two = np.stack([inner, outer_next, inner_next], axis=-1).reshape(-1, 3)
    both = np.concatenate([one, two])
    return both[:, ::-1] if clockwise else both


def build_mesh(who: Proportions) -> HeadMesh:
    """The head of one person. Every identity has the same vertices in the same order and the same triangles."""
    rings = [mouth_rings(who), eye_rings(who)]
    rings.append(rings[1] * [-1.0, 1.0, 1.0])
    layout = _Layout.build()
    net = cast_from_centre(layout.directions, who)
    skin = np.concatenate([*(r.reshape(-1, 3) for r in rings), net])
    return HeadMesh(skin, layout.triangles, *layout.rings, layout.mirror)


@dataclass(frozen=True)
class _Layout:
    """What all identities share: directions of the net's vertices, triangles, rings, mirror."""

    directions: np.ndarray
    triangles: np.ndarray
    rings: tuple[np.ndarray, np.ndarray, np.ndarray]
    mirror: np.ndarray

    @staticmethod
    def build() -> _Layout:
        who = Proportions()
        mouth, left = mouth_rings(who), eye_rings(who)
        right = left * [-1.0, 1.0, 1.0]
        outers = [_directions(r[-1]) for r in (mouth, left, right)]
        net = _net_directions()
        keep = np.ones(len(net), bool)
        for outer in outers:
            middle = outer.mean(axis=0)
            keep &= ~_inside(middle + 1.10 * (outer - middle), net)
        net = _relax(net[keep], np.concatenate(outers))
        starts = np.cumsum([0, mouth[..., 0].size, left[..., 0].size, right[..., 0].size])
        rings = tuple(
            np.arange(a, b).reshape(-1, n)
            for a, b, n in zip(starts[:-1], starts[1:], (MOUTH_COUNT, EYE_COUNT, EYE_COUNT), strict=True)
        )
        edge = np.concatenate([r[-1] for r in rings])
        numbers = np.concatenate([edge, starts[-1] + np.arange(len(net))])
        outside = _hull(np.concatenate([*outers, net]))
        hole = np.zeros(len(outside), bool)
        first = 0
        for outer in outers:
            hole |= ((outside >= first) & (outside < first + len(outer))).all(axis=1)
            first += len(outer)
        strips = [_strips(r, clockwise=c) for r, c in zip(rings, (False, False, True), strict=True)]
        triangles = np.concatenate([*strips, numbers[outside[~hole]]])
        points = np.concatenate([mouth.reshape(-1, 3), left.reshape(-1, 3), right.reshape(-1, 3), net * 20.0])
        return _Layout(net, triangles, rings, _mirror(points))  # type: ignore[arg-type]


def _hull(directions: np.ndarray) -> np.ndarray:
    """Delaunay triangles (F, 3) on the sphere, counter-clockwise from outside."""
    faces = ConvexHull(directions).simplices
    a, b, c = (directions[faces[:, i]] for i in range(3))
    turned = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
    faces[turned] = faces[turned][:, ::-1]
    return faces[np.lexsort(faces.T[::-1])]


def _relax(net: np.ndarray, fixed: np.ndarray, rounds: int = 6) -> np.ndarray:
    """Even out the net's directions around the fixed rings; stays mirror-symmetric."""
    mirror = _mirror(net)
    for _ in range(rounds):
        everything = np.concatenate([net, fixed])
        faces = _hull(everything)
        ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        total = np.stack([np.bincount(ends[:, 0], everything[ends[:, 1], i], len(everything)) for i in range(3)], 1)
        moved = 0.5 * net + 0.5 * (total / np.bincount(ends[:, 0], minlength=len(everything))[:, None])[: len(net)]
        moved = (moved + moved[mirror] * [-1.0, 1.0, 1.0]) / 2
        net = moved / np.sqrt((moved**2).sum(axis=1, keepdims=True))
    return net


def _mirror(points: np.ndarray) -> np.ndarray:
    """For each point (N, 3) the number of the one at (-x, y, z)."""
    from scipy.spatial import cKDTree

    distance, index = cKDTree(points).query(points * [-1.0, 1.0, 1.0])
    assert distance.max() < 1e-6, distance.max()
    return index
