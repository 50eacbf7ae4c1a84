"""Jaw: the rigid motion of the lower teeth that best follows the moved key points."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.postprocess.limits import numbers

_SPREAD = 0.005  # mesh units: below about 0.003 the runtime's fit fails
_FLATNESS = 0.05  # at 1 % its rotation is off by 0.25 to 0.7

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Jaw:
    """`neutral` (J, 3) key points, `strength` of their motion, `shift` (3,) of the teeth; float64 for the fit."""

    neutral: np.ndarray
    strength: float
    shift: np.ndarray


def build(config: Mapping[str, object], neutral_jaw: np.ndarray) -> Jaw:
    """The jaw part for a CONFIG and the key points (J, 3) in their rest pose. ValueError on a CONFIG value."""
    strength, height, depth = numbers(
        config, "lower_teeth_strength", "lower_teeth_height_offset", "lower_teeth_depth_offset"
    )
    neutral = np.asarray(neutral_jaw, np.float64).reshape(-1, 3)
    if weakness := key_point_problem(neutral):
        logger.warning("neutral_jaw: %s", weakness)
    return Jaw(neutral, float(strength), np.array([0.0, height, depth]))


def key_point_problem(neutral_jaw: np.ndarray) -> str | None:
    """Why key points (J, 3) do not fix a rotation, or None. The runtime turns such teeth by an arbitrary angle."""
    points = np.asarray(neutral_jaw, np.float64).reshape(-1, 3)
    if len(points) < 3:
        return f"{len(points)} key points cannot fix a rotation; at least 3 are needed"
    widths = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if widths[1] < _SPREAD:
        return f"the key points nearly coincide or lie on a line (second spread {widths[1]:.2g}, needed {_SPREAD})"
    if widths[1] < _FLATNESS * widths[0]:
        return f"the key points lie nearly on a line (spreads {widths[0]:.3g} and {widths[1]:.2g}, 5 % is needed)"
    return None


def apply(jaw: Jaw, delta: np.ndarray) -> np.ndarray:
    """Key point motion (T, J, 3) or (T, 3J) -> rigid transforms (T, 4, 4) float32 with moved = M @ (x, y, z, 1).

    M applies to the lower teeth in their neutral pose. Least squares over rotations (Kabsch), frames independent.
    """
    delta = np.asarray(delta, np.float64).reshape(-1, *jaw.neutral.shape)
    moved = jaw.neutral + jaw.strength * delta + jaw.shift
    neutral_centre, moved_centre = jaw.neutral.mean(axis=0), moved.mean(axis=1)
    correlation = np.einsum("ji,tjk->tik", jaw.neutral - neutral_centre, moved - moved_centre[:, None])
    u, _, vt = np.linalg.svd(correlation)
    handedness = np.ones((len(delta), 3))
    handedness[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = np.einsum("tji,tj,tkj->tik", vt, handedness, u)  # V diag U^T
    out = np.zeros((len(delta), 4, 4), np.float32)
    out[:, :3, :3] = rotation
    out[:, :3, 3] = moved_centre - rotation @ neutral_centre
    out[:, 3, 3] = 1
    return out


def flat(transforms: np.ndarray) -> np.ndarray:
    """(T, 4, 4) -> (T, 16), column by column, as the runtime hands them out."""
    return transforms.swapaxes(-1, -2).reshape(-1, 16)
