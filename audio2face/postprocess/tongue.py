"""Tongue: strength, and a constant shift in height and depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.postprocess.limits import numbers


@dataclass(frozen=True)
class Tongue:
    """`rest` (Vt, 3) float32: the neutral tongue with its shift; `strength` scales the motion."""

    rest: np.ndarray
    strength: np.float32


def build(config: Mapping[str, object], neutral: np.ndarray) -> Tongue:
    """The tongue part for a CONFIG and the neutral tongue (Vt, 3). ValueError on a CONFIG value."""
    strength, height, depth = numbers(config, "tongue_strength", "tongue_height_offset", "tongue_depth_offset")
    rest = np.asarray(neutral, np.float32).reshape(-1, 3) + np.array([0, height, depth], np.float32)
    return Tongue(rest, strength)


def apply(tongue: Tongue, delta: np.ndarray) -> np.ndarray:
    """Motion (T, Vt, 3) or (T, 3Vt) from the neutral tongue -> positions (T, Vt, 3) float32. Frames are independent."""
    delta = np.asarray(delta, np.float32).reshape(-1, *tongue.rest.shape)
    return tongue.rest + tongue.strength * delta
