"""Lip and lid vertex lists proposed from the face at rest and its captured motion, to be confirmed by a person.

Inner lip line: vertices that touch when the mouth is closed and part most when it opens. Rims of the lips: where the
profile protrudes most, above and below. Lids: what sinks most in a blink, and what it then meets. y is up, z forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from audio2face.doctor.subject import Pairs
from audio2face.geometry.regions import FORWARD, UP
from audio2face.preproc.caches import Cache

SAMPLED = 400  # frames of motion to look at
TOUCH_SHARE = 0.012  # of the mesh's size: lips nearer than this at rest touch
PARTED = 0.35  # of the widest parting: still the mouth and not its corner
GAP_WEIGHT = 4  # how much nearer to each other counts against further forward
PLACES = np.linspace(-0.75, 0.75, 7)  # of half the mouth's width
RIM_SHARE = 0.055  # of the mesh's size: lips are not higher
COLUMN_SHARE = 0.012  # of the mesh's size: half the width of a column of vertices
LOWEST_PARTING = 0.01  # of the mesh's size: less is no open mouth
LOWEST_BLINK = 0.008
LID_SINKS = 0.75  # of the blink: the middle of the upper lid moves at least so far
LID_MOVES = 0.5  # of the blink: so far moves the lid from corner to corner
LID_MIDDLE = 0.2  # of half the lid's width: its middle is so wide
LID_STILL = 0.4  # of the blink: a lower lid moves less


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


def sample_motion(caches: Iterable[Cache], count: int = SAMPLED) -> np.ndarray:
    """About `count` finite frames evenly from all animations: (n, V, 3) float32."""
    caches = list(caches)
    each = max(1, count // max(1, len(caches)))
    poses = []
    for cache in caches:
        frames = cache.read().frames
        which = np.unique(np.linspace(0, len(frames) - 1, min(each, len(frames))).astype(int))
        poses.append(np.array(frames[which], np.float32))
    motion = np.concatenate(poses)
    return motion[np.isfinite(motion).all(axis=(1, 2))]


def propose_lists(rest: np.ndarray, motion: np.ndarray, eye_close: np.ndarray | None = None) -> Proposal:
    """Lists for a face at rest (V, 3) from motion (n, V, 3), and from closed eyes minus rest (V, 3) when given."""
    size = float(np.ptp(rest, axis=0).max())
    pairs: dict[str, Pairs] = {}
    missing = []
    lips = _inner_lips(rest, motion, size)
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
        missing.append("eye_dist: no blink in the motion; give SKIN_EYE_CLOSE_POSE_DELTA_FPATH")
    else:
        pairs["eye_dist"] = lids
    return Proposal(pairs, missing)


def _inner_lips(rest: np.ndarray, motion: np.ndarray, size: float) -> Pairs | None:
    """Pairs of the inner lip line at PLACES along the mouth."""
    front = np.flatnonzero(rest[:, FORWARD] > np.median(rest[:, FORWARD]))
    near = cKDTree(rest[front]).query_pairs(TOUCH_SHARE * size, output_type="ndarray")
    if not len(near):
        return None
    near = front[near]
    first, second = near[:, 0], near[:, 1]
    parting = np.quantile(motion[:, first, UP] - motion[:, second, UP], [0.02, 0.98], axis=0)
    swapped = -parting[0] > parting[1]
    upper, lower = np.where(swapped, second, first), np.where(swapped, first, second)
    widest = np.maximum(parting[1], -parting[0]) - np.abs(rest[upper, UP] - rest[lower, UP])
    if not len(widest) or widest.max() < LOWEST_PARTING * size:
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


def _rims(rest: np.ndarray, lips: Pairs, size: float) -> Pairs | None:
    """Top and bottom of the upper lip, then of the lower lip, at every lip pair where both are found."""
    tops, bottoms = [], []
    for upper, lower in zip(*lips, strict=True):
        top, bottom = _most_forward(rest, int(upper), 1, size), _most_forward(rest, int(lower), -1, size)
        if top is not None and bottom is not None:
            tops.append((top, int(upper)))
            bottoms.append((int(lower), bottom))
    if not tops:
        return None
    chosen = np.array(tops + bottoms)
    return chosen[:, 0], chosen[:, 1]


def _most_forward(rest: np.ndarray, start: int, direction: int, size: float) -> int | None:
    """The vertex where the profile above (1) or below (-1) `start` turns back, in a narrow column."""
    away = direction * (rest[:, UP] - rest[start, UP])
    column = np.abs(rest[:, 0] - rest[start, 0]) < COLUMN_SHARE * size
    column &= (away > 0.1 * RIM_SHARE * size) & (away < RIM_SHARE * size)
    column &= rest[:, FORWARD] > rest[start, FORWARD] - 0.25 * RIM_SHARE * size
    vertices = np.flatnonzero(column)
    if not len(vertices):
        return None
    vertices = vertices[np.argsort(away[vertices])]
    best, limit = int(vertices[0]), 0.1 * RIM_SHARE * size
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
    mouth = float(rest[lips[0], UP].mean()) if lips is not None else float(np.median(rest[:, UP])) - 0.1 * size
    eyes = (rest[:, UP] > mouth + 0.1 * size) & (rest[:, FORWARD] > np.median(rest[:, FORWARD]))
    sink = -eye_close[:, UP] if eye_close is not None else -np.quantile(motion[:, :, UP] - rest[:, UP], 0.01, axis=0)
    middle = float(np.median(rest[:, 0]))
    pairs = []
    for side in (rest[:, 0] > middle, rest[:, 0] < middle):
        vertices = np.flatnonzero(eyes & side)
        deepest = float(sink[vertices].max()) if len(vertices) else 0.0
        if deepest < LOWEST_BLINK * size:
            return None
        whole = rest[vertices[sink[vertices] > LID_MOVES * deepest], 0]
        centre, half = 0.5 * (whole.min() + whole.max()), 0.5 * float(np.ptp(whole))
        lid = vertices[sink[vertices] > LID_SINKS * deepest]
        away = np.abs(rest[lid, 0] - centre)
        lid = lid[away <= max(LID_MIDDLE * half, float(away.min()) + 1e-9)]
        upper = int(lid[np.argmin(rest[lid, UP])])  # the lid's edge is its lowest part
        closed = rest[upper] + (eye_close[upper] if eye_close is not None else [0, -sink[upper], 0])
        still = vertices[
            (sink[vertices] < LID_STILL * deepest) & (rest[vertices, UP] < rest[upper, UP] - 0.5 * deepest)
        ]
        if not len(still):
            return None
        aside = np.abs(rest[still, 0] - rest[upper, 0])
        lower = int(still[np.argmin(np.linalg.norm(rest[still] - closed, axis=1) + aside)])
        pairs.append((upper, lower))
    chosen = np.array(pairs)
    return chosen[:, 0], chosen[:, 1]
