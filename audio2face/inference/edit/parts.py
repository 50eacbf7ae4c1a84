"""Parts of a face that an edit changes or keeps: regions of the skin, and columns of curves. NumPy only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from audio2face.face.curves import CurveGroup
from audio2face.inference.clip import FaceFiles
from audio2face.postprocess.skin import lower_face_mask
from audio2face.problems import UserError

REGIONS = ("mouth", "brows", "eyes")
LEVEL, SOFTNESS = (
    np.float32(0.6),
    np.float32(0.03),
)  # of the border between lower and upper face, in heights of the face
LID_SHARE = 0.15  # of what closing the eyes moves most: so much belongs to the eyes wholly
COLUMNS = {"mouth": "jaw|mouth|tongue|cheek|lip|nose", "brows": "brow|forehead", "eyes": "eye|lid|blink"}
RIDGE = 1e-3  # of the mean of a region's form


def changing(parts: Sequence[str] | None, keep: Sequence[str], known: Iterable[str]) -> set[str]:
    """The parts of `known` that may change: those of `parts` (None: all) without those to `keep`. Raises UserError."""
    known = list(dict.fromkeys(known))
    wrong = [name for name in (*(parts or ()), *keep) if name not in known]
    if wrong:
        raise UserError(f"EDIT: unknown part {', '.join(map(repr, wrong))}; there are {', '.join(known)}")
    chosen = set(known if parts is None else parts)
    if "skin" in chosen:
        chosen |= {name for name in REGIONS if name in known}
    chosen -= set(keep)
    if "skin" in keep:
        chosen -= set(REGIONS)
    if not set(REGIONS) & set(known) <= chosen:
        chosen.discard("skin")
    if not chosen:
        raise UserError("EDIT: parts and keep leave nothing that may change")
    return chosen


def region_masks(neutral: np.ndarray, eye_close: np.ndarray) -> dict[str, np.ndarray]:
    """How much each vertex (V,) belongs to mouth, brows and eyes, together 1: neutral (V, 3) and the closing of the eyes
    (V, 3). Without a closing of the eyes only mouth and brows, which then hold the eyes."""
    lower = lower_face(neutral)
    moved = np.linalg.norm(eye_close, axis=1)
    if not moved.any():
        return {"mouth": lower, "brows": 1 - lower}
    lids = np.clip(moved / (LID_SHARE * moved.max()), 0.0, 1.0) * (1 - lower)
    return {"mouth": lower, "brows": 1 - lower - lids, "eyes": lids}


def lower_face(neutral: np.ndarray) -> np.ndarray:
    """How much each vertex (V,) of a neutral face (V, 3) belongs to the lower face, 0 to 1."""
    lower = lower_face_mask(neutral, LEVEL, SOFTNESS).astype(np.float64)
    return np.where(lower > 0.999, 1.0, np.where(lower < 0.001, 0.0, lower))


def region_matrix(components: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(K, K): with x + (v - x) @ it, coefficients x of components (K, N) move so that values of weights `kept` (N,) come to
    where v has them.

    The least squares of these values, with a ridge that leaves alone what hardly shows there.
    """
    weighted = components.astype(np.float64) * kept
    form = weighted @ weighted.T
    ridge = RIDGE * max(float(np.trace(form)) / len(form), 1e-12)
    return np.linalg.solve(form + ridge * np.eye(len(form)), form).T


def group_columns(group: CurveGroup, chosen: set[str], keep: Sequence[str]) -> np.ndarray:
    """(D,) bool: the columns of a group that may change: the whole group, regions of ARKit's names, or single columns."""

    def named(name: str, among: Iterable[str]) -> bool:
        regions = [COLUMNS[part] for part in REGIONS if part in among and group.kind == "weights"]
        return (
            group.name in among or name in among or any(re.match(pattern, name, re.IGNORECASE) for pattern in regions)
        )

    return np.array([named(name, chosen) and not named(name, keep) for name in group.names])


def known_parts(has_skin: bool, groups: Mapping[str, CurveGroup]) -> list[str]:
    """What an edit may name."""
    regions = REGIONS if has_skin or any(group.kind == "weights" for group in groups.values()) else ()
    columns = (name for group in groups.values() for name in group.names)
    return [*(["skin"] if has_skin else []), *regions, *groups, *columns]


def changeable(face: FaceFiles) -> list[str]:
    """The parts of an actor, without the single columns of its groups."""
    columns = {name for group in face.curves.values() for name in group.names}
    return [name for name in known_parts(face.has_mesh, face.curves) if name not in columns]
