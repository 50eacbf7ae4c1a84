"""Rotations as matrices, and as the other numbers that files and networks hold them in. NumPy only, float64.

Matrices (..., 3, 3) turn column vectors: R @ v. Euler angles are intrinsic, applied left to right as the channels of a
BVH are: order "ZXY" is R = Rz Rx Ry. Quaternions are x, y, z, w. Where a result is continuous, its first axis is time.
"""

from __future__ import annotations

import numpy as np

CANCELLED = 1e-3  # of a vector, of which less is left when another's direction is taken out: its rounding shows
LOCK = 3e-7  # cosine of the middle Euler angle (sine for orders as "ZXZ") below which the outer two turn about one axis
TINY = 1e-12  # a length below which a vector has no direction
TURN = 2 * np.pi
_AXES = "XYZ"


def check_order(order: str) -> str:
    """`order` itself: one to three letters of X, Y and Z, neighbours different. Raises ValueError for any other."""
    repeats = any(a == b for a, b in zip(order, order[1:], strict=False))
    if not 1 <= len(order) <= 3 or not set(order) <= set(_AXES) or repeats:
        raise ValueError(f'Euler order {order!r}: expected one to three of X, Y and Z as "ZXY", none twice in a row')
    return order


def from_euler(angles: np.ndarray, order: str, degrees: bool = False) -> np.ndarray:
    """Matrices (..., 3, 3) of Euler angles (..., n), one for each of the one to three letters of `order`."""
    angles = np.asarray(angles, np.float64)
    if angles.shape[-1:] != (len(check_order(order)),):
        raise ValueError(f"expected angles (..., {len(order)}) for Euler order {order}, found {angles.shape}")
    angles = np.deg2rad(angles) if degrees else angles
    result = _about(order[0], angles[..., 0])
    for n in range(1, len(order)):
        result = result @ _about(order[n], angles[..., n])
    return result


def to_euler(matrices: np.ndarray, order: str, degrees: bool = False, continuous: bool = False) -> np.ndarray:
    """Euler angles (..., n) of matrices (..., 3, 3), one for each of the one to three letters of `order`.

    Outer angles lie within half a turn, a middle one within a quarter (from 0 to half a turn for orders as "ZXZ");
    `continuous` lets them go on beyond, see `unwrapped`. Of an order with fewer letters than the rotation needs, the
    angles are near it.
    """
    matrices = np.asarray(matrices, np.float64)
    count = len(check_order(order))
    angles = (_one_angle, _two_angles, _three_angles)[count - 1](matrices, *(_AXES.index(axis) for axis in order))
    if continuous:
        angles = unwrapped(angles, order)
    return np.rad2deg(angles) if degrees else angles


def unwrapped(angles: np.ndarray, order: str, degrees: bool = False, start: np.ndarray | None = None) -> np.ndarray:
    """The same rotations as angles (T, ..., n) that do not jump: of each frame those nearest to the frame before.

    A rotation has two triples of angles, each up to whole turns. Where the outer two turn about one axis (gimbal lock),
    both take half of the change. Frame 0 is nearest to `start` (..., n), if that is given, or stays as it is.
    """
    angles = np.asarray(angles, np.float64)
    if start is not None:
        return unwrapped(np.concatenate([np.asarray(start, np.float64)[None], angles]), order, degrees)[1:]
    angles = np.deg2rad(angles) if degrees else angles
    if len(check_order(order)) < 3:
        result = np.unwrap(angles, axis=0)
    else:
        proper, sign = order[0] == order[2], _parity(*map(_AXES.index, order[:2]))
        locked = _locked(angles, proper).any(axis=0)
        result = np.empty_like(angles)
        result[:, ~locked] = _without_lock(angles[:, ~locked], proper)
        slow = angles[:, locked]
        for t in range(1, len(slow) if slow.size else 0):
            slow[t] = _nearest(slow[t - 1], slow[t], proper, sign)
        result[:, locked] = slow
    return np.rad2deg(result) if degrees else result


def from_axis_angle(vectors: np.ndarray, degrees: bool = False) -> np.ndarray:
    """Matrices (..., 3, 3) of turns about the vectors (..., 3) by their lengths (Rodrigues)."""
    vectors = np.deg2rad(vectors) if degrees else np.asarray(vectors, np.float64)
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    cross = np.zeros((*vectors.shape[:-1], 3, 3))
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[..., a, b], cross[..., b, a] = -vectors[..., c], vectors[..., c]
    half = np.sinc(angle / TURN)  # of half the angle, sine by angle
    return np.eye(3) + np.sinc(angle / np.pi) * cross + half**2 / 2 * (cross @ cross)


def to_axis_angle(matrices: np.ndarray, degrees: bool = False, continuous: bool = False) -> np.ndarray:
    """Axes times angles (..., 3), at most half a turn long; `continuous` lets them grow beyond, so that none jumps."""
    quaternions = _quaternions(matrices)
    sine = np.linalg.norm(quaternions[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternions[..., 3:])
    if continuous:
        axes = _steady_axes(quaternions[..., :3])
        along = (axes * quaternions[..., :3]).sum(axis=-1, keepdims=True)
        vectors = axes * np.unwrap(np.where(along < 0, -angle, angle), axis=0)
    else:
        vectors = quaternions[..., :3] * np.where(sine < TINY, 2.0, angle / np.maximum(sine, TINY))
    return np.rad2deg(vectors) if degrees else vectors


def from_quaternion(quaternions: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of quaternions (..., 4) x, y, z, w of any length. Raises ValueError for a length of 0."""
    quaternions = np.asarray(quaternions, np.float64)
    length = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    if not (length > TINY).all():
        raise ValueError("a quaternion 0 0 0 0 is no rotation; that of rest is 0 0 0 1")
    x, y, z, w = np.moveaxis(quaternions / length, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def to_quaternion(matrices: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4) x, y, z, w; w is at least 0, over time (T, ..., 3, 3) in frame 0, then signs do not jump."""
    quaternions = _quaternions(matrices)
    if quaternions.ndim > 1:
        along = (quaternions[1:] * quaternions[:-1]).sum(axis=-1, keepdims=True)
        quaternions[1:] *= np.cumprod(np.where(along < 0, -1.0, 1.0), axis=0)
    return quaternions


def from_six(six: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) whose first two columns are nearest to six (..., 6), by Gram and Schmidt; of zeros: rest.

    Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019.
    """
    six = np.asarray(six, np.float64)
    first = _direction(six[..., :3], np.array([1.0, 0.0, 0.0]))
    second = _beside(first, six[..., 3:])
    left, whole = (np.linalg.norm(x, axis=-1, keepdims=True) for x in (second, six[..., 3:]))
    second = np.where(left < CANCELLED * whole, _beside(first, second), second)  # what rounding left, taken away once more
    spare = np.where(np.abs(first[..., 1:2]) < 0.9, np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    spare = _beside(first, spare)
    second = _direction(second, spare / np.linalg.norm(spare, axis=-1, keepdims=True))
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def _beside(first: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What of vectors x (..., 3) is at right angles to unit vectors."""
    return x - (first * x).sum(axis=-1, keepdims=True) * first


def to_six(matrices: np.ndarray) -> np.ndarray:
    """The first column, then the second (..., 6) of matrices (..., 3, 3); of rest 1 0 0 0 1 0."""
    matrices = np.asarray(matrices, np.float64)
    return np.concatenate([matrices[..., 0], matrices[..., 1]], axis=-1)


def orthonormal(matrices: np.ndarray) -> np.ndarray:
    """The rotations (..., 3, 3) nearest to finite matrices (..., 3, 3), by their singular vectors (Kabsch)."""
    u, _, v = np.linalg.svd(np.asarray(matrices, np.float64))
    u[..., 2] *= np.sign(np.linalg.det(u @ v))[..., None]
    return u @ v


def interpolate(matrices: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Matrices (T, ..., 3, 3) at positions (n,) in frames: (n, ..., 3, 3), each the shortest way between its neighbours.

    Spherical linear interpolation (Shoemake 1985). Before the first frame and after the last, these stay.
    """
    position = np.clip(np.asarray(position, np.float64), 0, len(matrices) - 1)
    low = np.floor(position + 1e-9).astype(np.int64)
    high = np.minimum(low + 1, len(matrices) - 1)
    share = np.maximum(position - low, 0.0).reshape(-1, *[1] * (np.ndim(matrices) - 2))
    a, b = _quaternions(matrices[low]), _quaternions(matrices[high])
    b = np.where((a * b).sum(axis=-1, keepdims=True) < 0, -b, b)
    angle = 2 * np.arctan2(np.linalg.norm(a - b, axis=-1, keepdims=True), np.linalg.norm(a + b, axis=-1, keepdims=True))
    scale = np.sinc(angle / np.pi)
    mixed = a * (1 - share) * np.sinc((1 - share) * angle / np.pi) + b * share * np.sinc(share * angle / np.pi)
    return from_quaternion(mixed / scale)


def geodesic_degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle (...) in degrees, 0 to 180, of the turn that takes rotations a (..., 3, 3) to b (..., 3, 3)."""
    turn = np.swapaxes(np.asarray(a, np.float64), -1, -2) @ np.asarray(b, np.float64)
    twice_sine = np.linalg.norm([turn[..., r, q] - turn[..., q, r] for q, r in ((0, 1), (1, 2), (2, 0))], axis=0)
    return np.rad2deg(np.arctan2(twice_sine, np.trace(turn, axis1=-2, axis2=-1) - 1))


def _about(axis: str, angle: np.ndarray) -> np.ndarray:
    """Turns (..., 3, 3) about one axis."""
    p = _AXES.index(axis)
    q, r = (p + 1) % 3, (p + 2) % 3
    result = np.zeros((*np.shape(angle), 3, 3))
    result[..., p, p] = 1.0
    result[..., q, q] = result[..., r, r] = np.cos(angle)
    result[..., r, q] = np.sin(angle)
    result[..., q, r] = -result[..., r, q]
    return result


def _parity(a: int, b: int) -> int:
    """1 when axis b follows axis a in X, Y, Z, X, and -1 when it comes before."""
    return 1 if b == (a + 1) % 3 else -1


def _one_angle(m: np.ndarray, p: int) -> np.ndarray:
    q, r = (p + 1) % 3, (p + 2) % 3
    return np.arctan2(m[..., r, q] - m[..., q, r], m[..., q, q] + m[..., r, r])[..., None]


def _two_angles(m: np.ndarray, i: int, j: int) -> np.ndarray:
    """Of Ri(a) Rj(b), whose column j and row i each know one angle alone."""
    other, sign = 3 - i - j, _parity(i, j)
    a = np.arctan2(sign * m[..., other, j], m[..., j, j])
    return np.stack([a, np.arctan2(sign * m[..., i, other], m[..., i, i])], axis=-1)


def _three_angles(m: np.ndarray, i: int, j: int, k: int) -> np.ndarray:
    """Of Ri(a) Rj(b) Rk(c). c comes from Ri(-a) R, so that the three fit R in gimbal lock too."""
    other, sign = 3 - i - j, _parity(i, j)
    if i == k:
        a = np.arctan2(m[..., j, i], -sign * m[..., other, i])
        b = np.arctan2(np.hypot(m[..., j, i], m[..., other, i]), m[..., i, i])
    else:
        a = np.arctan2(-sign * m[..., j, k], m[..., k, k])
        b = np.arctan2(sign * m[..., i, k], np.hypot(m[..., j, k], m[..., k, k]))
    row = np.cos(a)[..., None] * m[..., j, :] + sign * np.sin(a)[..., None] * m[..., other, :]  # row j of Rk(c)
    c = np.arctan2(-_parity(k, j) * row[..., 3 - j - k], row[..., j])
    return np.stack([a, b, c], axis=-1)


def _other(angles: np.ndarray, proper: bool) -> np.ndarray:
    """The other triples (..., 3) of the same rotations, in radians."""
    a, b, c = np.moveaxis(angles, -1, 0)
    return np.stack([a + np.pi, -b if proper else np.pi - b, c + np.pi], axis=-1)


def _locked(angles: np.ndarray, proper: bool) -> np.ndarray:
    return np.abs(np.sin(angles[..., 1]) if proper else np.cos(angles[..., 1])) < LOCK


def _without_lock(angles: np.ndarray, proper: bool) -> np.ndarray:
    """Triples (T, n, 3) each nearest to the one before.

    Two triples are as far apart as their others, so whether to change over does not depend on what was chosen before.
    """
    both = np.stack([angles, _other(angles, proper)])
    steps = both[:, 1:] - angles[:-1]
    steps -= TURN * np.round(steps / TURN)
    farther = np.subtract(*(steps**2).sum(axis=-1)) > 0
    first = np.zeros((1, *angles.shape[1:-1]), bool)
    second = np.concatenate([first, np.cumsum(farther, axis=0) % 2 == 1])[: len(angles)]
    return np.unwrap(np.where(second[..., None], both[1], both[0]), axis=0)


def _nearest(before: np.ndarray, now: np.ndarray, proper: bool, sign: int) -> np.ndarray:
    """Of the triples (n, 3) that turn as `now` does, those nearest to `before`, in radians."""
    b = now[..., 1]
    both = np.stack([now, _other(now, proper)])
    both += TURN * np.round((before - both) / TURN)
    first_is_nearer = np.subtract(*((both - before) ** 2).sum(axis=-1)) <= 0
    result = np.where(first_is_nearer[..., None], both[0], both[1])
    # In gimbal lock the last axis lies along the first, the same way or the other: only a + c or a - c is known.
    way = np.sign(np.cos(b)) if proper else sign * np.sign(np.sin(b))
    change = (result - before)[..., 0] + way * (result - before)[..., 2]
    change = (change - TURN * np.round(change / TURN)) / 2
    shared = np.stack([before[..., 0] + change, result[..., 1], before[..., 2] + way * change], axis=-1)
    return np.where(_locked(now, proper)[..., None], shared, result)


def _steady_axes(vectors: np.ndarray) -> np.ndarray:
    """Directions (T, ..., 3) of vectors, or their opposites, each within a quarter turn of the one before.

    A vector without a length has the direction of the last before it that has one.
    """
    long = np.linalg.norm(vectors, axis=-1, keepdims=True) > TINY
    frames = np.arange(len(vectors)).reshape(-1, *[1] * (vectors.ndim - 1))
    last = np.maximum.accumulate(np.where(long, frames, 0), axis=0)
    axes = np.take_along_axis(_direction(vectors, np.zeros(3)), np.broadcast_to(last, vectors.shape), axis=0)
    opposite = (axes[1:] * axes[:-1]).sum(axis=-1, keepdims=True) < 0
    axes[1:] *= np.cumprod(np.where(opposite, -1.0, 1.0), axis=0)
    return axes


def _direction(vectors: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) of length 1, and `otherwise` for those without a length."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > TINY, vectors / np.maximum(length, TINY), otherwise)


def _quaternions(matrices: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4) with w at least 0: the longest row of 4 q q^T, which has no root of a small number."""
    m = np.asarray(matrices, np.float64)
    outer = np.empty((*m.shape[:-2], 4, 4))
    trace = np.trace(m, axis1=-2, axis2=-1)
    for p in range(3):
        q, r = (p + 1) % 3, (p + 2) % 3
        outer[..., p, p] = 1 + 2 * m[..., p, p] - trace
        outer[..., p, q] = outer[..., q, p] = m[..., p, q] + m[..., q, p]
        outer[..., p, 3] = outer[..., 3, p] = m[..., r, q] - m[..., q, r]
    outer[..., 3, 3] = 1 + trace
    longest = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)
    result = np.take_along_axis(outer, longest[..., None, None], axis=-2)[..., 0, :]
    result /= np.linalg.norm(result, axis=-1, keepdims=True)
    return np.where(result[..., 3:] < 0, -result, result)
