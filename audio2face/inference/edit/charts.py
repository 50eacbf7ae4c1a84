"""What changed in an edit as curves: the opening of the lips, the jaw, the head's angles, and what moved most. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.face.curves import CurveGroup
from audio2face.formats.arkit_names import arkit_name
from audio2face.inference.edit.parts import lower_face
from audio2face.render.head_curves import find_head_curves

ANGLES = ("head, yaw to its left", "head, pitch with the chin up", "head, roll to its left")
MOST = 3  # other columns of a group
LIPS = 0.5  # of what opening the lips moves most: so much belongs to the lips
DEGREES = {"degrees": 1.0, "radians": 180 / np.pi}


@dataclass(frozen=True)
class Chart:
    """One curve (T,) of the file and of the edit, in a unit."""

    name: str
    unit: str
    before: np.ndarray
    after: np.ndarray


def skin_charts(
    before: np.ndarray, after: np.ndarray, data: Mapping[str, np.ndarray], units_per_metre: float
) -> list[Chart]:
    """Of skins (T, V, 3): the opening of the lips where the actor's data tell them, and how far lower and upper face moved."""
    mm, neutral, opening = 1000 / units_per_metre, data["neutral_skin"], data["lip_open_pose_delta"][:, 1]
    lower, charts = lower_face(neutral), []
    upper_lip, lower_lip = opening > LIPS * opening.max(), opening < LIPS * opening.min()
    if opening.max() > 0 > opening.min():
        gaps = [mm * (x[:, upper_lip, 1].mean(axis=1) - x[:, lower_lip, 1].mean(axis=1)) for x in (before, after)]
        charts.append(Chart("opening of the lips", "mm", *gaps))
    for name, mask in (("lower face, from rest", lower), ("upper face, from rest", 1 - lower)):
        moved = [mm * np.linalg.norm(x - neutral, axis=2) @ (mask / mask.sum()) for x in (before, after)]
        charts.append(Chart(name, "mm", *moved))
    return charts


def curve_charts(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], groups: Mapping[str, CurveGroup]
) -> list[Chart]:
    """Of groups (T, D): the jaw, each angle of the head, and of every group the columns that changed most."""
    charts, head = [], find_head_curves(groups).head
    if head is not None and not np.array_equal(before[head[0]], after[head[0]]):
        turned = [find_head_curves(groups).degrees(x, len(x[head[0]])) for x in (before, after)]
        charts += [Chart(name, "°", *(np.unwrap(x[:, k], period=360) for x in turned)) for k, name in enumerate(ANGLES)]
    for name, group in groups.items():
        if head is None or name != head[0]:
            charts += _most_changed(group, before[name], after[name])
    return charts


def _most_changed(group: CurveGroup, before: np.ndarray, after: np.ndarray) -> list[Chart]:
    blocks = {column: block for block, raw, _ in group.places() for column in range(raw.start, raw.stop)}
    kinds = np.array([block.kind for block in blocks.values()])
    spread = [
        np.ptp(before[:, kinds == kind], axis=0).max() for kind in kinds
    ]  # columns of one kind are compared as they are
    change = np.abs(after - before).sum(axis=0) / np.maximum(spread, 1e-6)
    jaw = [place for place, name in enumerate(group.names) if arkit_name(name) == "jawOpen"]
    order = [*jaw, *(int(place) for place in np.argsort(-change) if place not in jaw)][:MOST]
    found = []
    for column in order:
        block = blocks[column]
        whole = DEGREES[block.unit] if block.kind in ("rotation", "angle") and block.unit else 1.0
        unit = "°" if whole != 1.0 or block.unit == "degrees" else ""
        if change[column] > 0:
            found.append(Chart(group.names[column], unit, whole * before[:, column], whole * after[:, column]))
    return found
