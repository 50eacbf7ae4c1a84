"""Who is shown, as far as it does not move: triangles, colours, bones, and where the eyes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Eye = tuple[list[float], float]  # centre, radius


@dataclass(frozen=True)
class Actor:
    """What does not move: triangles (F, 3) of the meshes (skin, tongue, body) where known, millimetres a unit, and the eyeballs' places.

    `colours` (V, 3) sRGB 0 … 1 of meshes that have their own, `bones` (B, 2) between the points of a channel "figure".
    """

    name: str
    triangles: Mapping[str, np.ndarray] = field(default_factory=dict)
    mm: float = 10.0
    eyes: tuple[Eye, Eye] | None = None  # right, left
    colours: Mapping[str, np.ndarray] = field(default_factory=dict)
    bones: np.ndarray | None = None


def find_eyes(neutral: np.ndarray | None, close_delta: np.ndarray | None) -> tuple[Eye, Eye] | None:
    """Where eyeballs would be, right then left: behind the vertices that move when the lids close; None when unknown.

    `neutral` (V, 3) and `close_delta` (V, 3) in data units, x to the face's left.
    """
    if neutral is None or close_delta is None or neutral.shape != close_delta.shape:
        return None
    moved = np.linalg.norm(close_delta, axis=1)
    lids = moved > 0.3 * moved.max() if moved.max() > 0 else np.zeros(len(moved), bool)
    middle = neutral[:, 0].mean()
    found: list[Eye] = []
    for side in (neutral[:, 0] < middle, neutral[:, 0] >= middle):
        if (lids & side).sum() < 3:
            return None
        way = neutral[lids & side] + np.linspace(0, 1, 5)[:, None, None] * close_delta[lids & side]
        points = way.reshape(-1, 3)
        low, high = points.min(axis=0), points.max(axis=0)
        radius = 0.45 * float(high[0] - low[0])
        across = ((points[:, :2] - (low + high)[:2] / 2) ** 2).sum(axis=1)
        reach = np.sqrt(np.clip((1.03 * radius) ** 2 - across, 0, None))
        depth = float((points[:, 2] - reach)[reach > 0].min(initial=high[2] - radius))  # the lids slide over it
        found.append(([*map(float, (low + high)[:2] / 2), depth], radius))
    return found[0], found[1]
