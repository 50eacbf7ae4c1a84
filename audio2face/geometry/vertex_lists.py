"""Lip and lid vertex lists proposed from the face at rest and its captured motion, to be confirmed by a person.

Inner lip line: vertices that touch when the mouth is closed and part most when it opens. Rims of the lips: where the
profile protrudes most, above and below. Lids: what sinks most in a blink, and what it then meets. y is up, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from audio2face.geometry.regions import FORWARD, UP
from audio2face.types import Pairs

TOUCH_SHARE = 0.012  # of the mesh's size: lips nearer than this at rest touch
PARTED = 0.35  # of the widest parting: still the mouth and not its corner
GAP_WEIGHT = 4  # how much nearer to each other counts against further forward
PLACES = np.linspace(-0.75, 0.75, 7)  # of half the mouth's width
RIM_SHARE = 0.055  # of the mesh's size: lips are not higher
RIM_WIDTH = 0.45  # of the lips' width as it was found: nor than this, on a small part of a face
COLUMN_SHARE = 0.012  # of the mesh's size: half the width of a column of vertices
LOWEST_PARTING = 0.01  # of the mesh's size: less is no open mouth
LOWEST_BLINK = 0.008
LID_SINKS = 0.75  # of the blink: the middle of the upper lid moves at least so far
LID_MOVES = 0.5  # of the blink: so far moves the lid from corner to corner
LID_MIDDLE = 0.2  # of half the lid's width: its middle is so wide
LID_STILL = 0.4  # of the blink: a lower lid moves less
LID_DEPTH = 0.2  # of the mesh's size: lids lie no further behind the lips
UNEQUAL = 0.4  # of the other eye's blink: less is not one
APART = 0.5  # of a lid's width: nearer to each other no two eyes are
OPEN_POSES = 32  # with the most motion, among which the mouth is surely open
OPENED = 0.1  # of the widest parting in the pose of opened lips: still the mouth
BLOCK = 100_000  # pairs of vertices looked at together


@dataclass(frozen=True)
class Proposal:
    """Pairs by list name (lip_dist, lip_size, eye_dist) as far as they were found, and what could not be found."""

    pairs: dict[str, Pairs]
    missing: list[str]

    def lists(self) -> dict[str, dict]:
        """The contents of the JSON files, by list name."""
        result: dict[str, dict] = {}
        for name, (upper, lower) in self.pairs.items():
            if name == "lip_size":
                half = len(upper) // 2
                sides = {"upper_lip": slice(0, half), "lower_lip": slice(half, None)}
                result[name] = {k: {"top": upper[s].tolist(), "bottom": lower[s].tolist()} for k, s in sides.items()}
            else:
                result[name] = {"upper": upper.tolist(), "lower": lower.tolist()}
        return result


def propose_lists(
    rest: np.ndarray,
    motion: np.ndarray,
    eye_close: np.ndarray | None = None,
    lip_open: np.ndarray | None = None,
    lips: Pairs | None = None,
) -> Proposal:
    """Lists for a face at rest (V, 3), or a part of one, from motion (n, V, 3).

    What is given helps: closed eyes and opened lips minus rest (V, 3), and the pairs of the lips where none are found.
    """
    size = float(np.ptp(rest, axis=0).max())
    pairs: dict[str, Pairs] = {}
    missing = []
    found = _inner_lips(rest, motion, lip_open, size)
    lips = lips if found is None else found
    if lips is None:
        missing.append(
            "lip_dist and lip_size: no touching vertices part when the mouth opens; is the neutral's mouth closed?"
        )
    else:
        pairs["lip_dist"] = lips
        rims = _rims(rest, lips, size)
        if rims is None:
            missing.append("lip_size: no rim found above and below the lips")
        else:
            pairs["lip_size"] = rims
    lids = _lids(rest, motion, eye_close, lips, size)
    if lids is None:
        missing.append(
            "eye_dist: no blink of two eyes in the motion; set SKIN_EYE_CLOSE_POSE_DELTA_FPATH"
            if eye_close is None
            else "eye_dist: SKIN_EYE_CLOSE_POSE_DELTA_FPATH does not close two eyes"
        )
    else:
        pairs["eye_dist"] = lids
    return Proposal(pairs, missing)


def _inner_lips(rest: np.ndarray, motion: np.ndarray, lip_open: np.ndarray | None, size: float) -> Pairs | None:
    """Pairs of the inner lip line at PLACES along the mouth."""
    pairs, parting = _parting(rest, motion, lip_open, size)
    if not len(pairs):
        return None
    (first, second), (low, high) = pairs.T, parting.T
    if lip_open is not None:
        opened = lip_open[first, UP] - lip_open[second, UP]
        between = rest[first, UP] - rest[second, UP]
        low, high = np.minimum(low, between + opened), np.maximum(high, between + opened)
        mouth = np.abs(opened) >= OPENED * np.abs(opened).max()
        first, second, low, high = first[mouth], second[mouth], low[mouth], high[mouth]
    swapped = -low > high
    upper, lower = np.where(swapped, second, first), np.where(swapped, first, second)
    widest = np.maximum(high, -low) - np.abs(rest[upper, UP] - rest[lower, UP])
    if widest.max() < LOWEST_PARTING * size:
        return None
    mouth = widest > PARTED * widest.max()
    upper, lower, widest = upper[mouth], lower[mouth], widest[mouth]
    centre = 0.5 * (rest[upper, 0] + rest[lower, 0])
    middle, half = 0.5 * (centre.min() + centre.max()), 0.5 * np.ptp(centre)
    found: list[tuple[int, int]] = []
    for place in PLACES:
        away = np.abs(centre - middle - place * half)
        close = np.flatnonzero(away <= max(0.12 * half, float(away.min()) + 1e-9))
        parted = close[widest[close] >= 0.7 * widest[close].max()]
        depth = rest[upper[parted], FORWARD] + rest[lower[parted], FORWARD]
        skew = np.abs(rest[upper[parted], 0] - rest[lower[parted], 0]) + 0.5 * away[parted]
        gap = np.linalg.norm(rest[upper[parted]] - rest[lower[parted]], axis=1)
        best = int(parted[np.argmax(depth - 2 * skew - GAP_WEIGHT * gap)])
        pair = int(upper[best]), int(lower[best])
        if not any(pair[0] == u or pair[1] == v for u, v in found):
            found.append(pair)
    chosen = np.array(found)
    return chosen[:, 0], chosen[:, 1]


def _parting(
    rest: np.ndarray, motion: np.ndarray, lip_open: np.ndarray | None, size: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of vertices (P, 2) that touch at rest and come apart, and the least and greatest height (P, 2) of the first over the second."""
    front = np.flatnonzero(rest[:, FORWARD] > np.median(rest[:, FORWARD]))
    near = front[cKDTree(rest[front]).query_pairs(TOUCH_SHARE * size, output_type="ndarray")]
    heights = motion[:, :, UP]
    moved = heights - rest[:, UP]
    moved = moved[np.argsort(-np.abs(moved).mean(axis=1))[:OPEN_POSES]]
    if lip_open is not None:
        moved = np.concatenate([moved, lip_open[None, :, UP]])
    parts = [(near[:0], np.zeros((0, 2)))]
    for start in range(0, len(near), BLOCK):  # a dense mesh has millions of pairs
        pairs = near[start : start + BLOCK]
        widest = np.abs(moved[:, pairs[:, 0]] - moved[:, pairs[:, 1]]).max(axis=0)
        pairs = pairs[widest > 0.5 * LOWEST_PARTING * size]
        parting = np.quantile(heights[:, pairs[:, 0]] - heights[:, pairs[:, 1]], [0.02, 0.98], axis=0)
        parts.append((pairs, parting.T))
    pairs, parting = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pairs, parting


def _rims(rest: np.ndarray, lips: Pairs, size: float) -> Pairs | None:
    """Top and bottom of the upper lip, then of the lower lip, at every lip pair where both are found."""
    tops, bottoms = [], []
    reach, column = max(RIM_SHARE * size, RIM_WIDTH * float(np.ptp(rest[lips[0], 0]))), COLUMN_SHARE * size
    for upper, lower in zip(*lips, strict=True):
        top, bottom = (
            _most_forward(rest, int(vertex), way, reach, column) for vertex, way in ((upper, 1), (lower, -1))
        )
        if top is not None and bottom is not None:
            tops.append((top, int(upper)))
            bottoms.append((int(lower), bottom))
    if not tops:
        return None
    chosen = np.array(tops + bottoms)
    return chosen[:, 0], chosen[:, 1]


def _most_forward(rest: np.ndarray, start: int, direction: int, reach: float, aside: float) -> int | None:
    """The vertex where the profile above (1) or below (-1) `start` turns back within `reach`, `aside` at most to its side."""
    away = direction * (rest[:, UP] - rest[start, UP])
    column = np.abs(rest[:, 0] - rest[start, 0]) < aside
    column &= (away > 0.1 * reach) & (away < reach)
    column &= rest[:, FORWARD] > rest[start, FORWARD] - 0.25 * reach
    vertices = np.flatnonzero(column)
    if not len(vertices):
        return None
    vertices = vertices[np.argsort(away[vertices])]
    best, limit = int(vertices[0]), 0.1 * reach
    for vertex in vertices[1:]:
        if rest[vertex, FORWARD] > rest[best, FORWARD]:
            best = int(vertex)
        elif rest[vertex, FORWARD] < rest[best, FORWARD] - limit:
            break
    return best


def _lids(
    rest: np.ndarray, motion: np.ndarray, eye_close: np.ndarray | None, lips: Pairs | None, size: float
) -> Pairs | None:
    """The middle of the upper and of the lower lid of both eyes: the eye at larger x (the face's left) first."""
    if eye_close is not None:
        sink = -eye_close[:, UP]
        blinking = rest[sink > LID_MOVES * sink.max(), 0]
        eyes, middle = np.ones(len(rest), bool), 0.5 * float(blinking.min() + blinking.max()) if len(blinking) else 0.0
    else:
        sink = -np.quantile(motion[:, :, UP] - rest[:, UP], 0.01, axis=0)
        eyes, middle = _above_mouth(rest, lips, size)
    lids = [
        _lid(rest, sink, eye_close, np.flatnonzero(eyes & side), LOWEST_BLINK * size)
        for side in (rest[:, 0] > middle, rest[:, 0] < middle)
    ]
    left, right = lids
    if left is None or right is None or min(left.sinks, right.sinks) < UNEQUAL * max(left.sinks, right.sinks):
        return None
    if left.first - right.last < APART * min(left.last - left.first, right.last - right.first):
        return None  # halves of one eye
    return np.array([left.upper, right.upper]), np.array([left.lower, right.lower])


@dataclass(frozen=True)
class _Lid:
    """The middle of an eye's lids; how far the upper one sinks, and from where to where it reaches in x."""

    upper: int
    lower: int
    sinks: float
    first: float
    last: float


def _above_mouth(rest: np.ndarray, lips: Pairs | None, size: float) -> tuple[np.ndarray, float]:
    """Vertices (V,) bool among which the lids are, and the x of the face's middle."""
    if lips is None:
        front = rest[:, FORWARD] > np.median(rest[:, FORWARD])
        return front & (rest[:, UP] > np.median(rest[:, UP])), float(np.median(rest[:, 0]))
    mouth = rest[np.concatenate(lips)].mean(axis=0)
    eyes = (rest[:, UP] > mouth[UP] + 0.1 * size) & (rest[:, FORWARD] > mouth[FORWARD] - LID_DEPTH * size)
    return eyes, float(mouth[0])


def _lid(
    rest: np.ndarray, sink: np.ndarray, eye_close: np.ndarray | None, vertices: np.ndarray, lowest: float
) -> _Lid | None:
    """The lids of the eye among `vertices` (n,), by how far every vertex sinks in a blink (V,)."""
    deepest = float(sink[vertices].max()) if len(vertices) else 0.0
    if deepest < lowest:
        return None
    whole = rest[vertices[sink[vertices] > LID_MOVES * deepest], 0]
    centre, half = 0.5 * (whole.min() + whole.max()), 0.5 * float(np.ptp(whole))
    lid = vertices[sink[vertices] > LID_SINKS * deepest]
    away = np.abs(rest[lid, 0] - centre)
    lid = lid[away <= max(LID_MIDDLE * half, float(away.min()) + 1e-9)]
    upper = int(lid[np.argmin(rest[lid, UP])])  # the lid's edge is its lowest part
    closed = rest[upper] + (eye_close[upper] if eye_close is not None else [0, -sink[upper], 0])
    still = vertices[(sink[vertices] < LID_STILL * deepest) & (rest[vertices, UP] < rest[upper, UP] - 0.5 * deepest)]
    if not len(still):
        return None
    aside = np.abs(rest[still, 0] - rest[upper, 0])
    lower = int(still[np.argmin(np.linalg.norm(rest[still] - closed, axis=1) + aside)])
    return _Lid(upper, lower, deepest, float(whole.min()), float(whole.max()))
