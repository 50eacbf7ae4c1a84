"""An animation at another rate: every frame at its own time, numbers linear between frames, rotations the shortest way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from audio2face.face import rotations
from audio2face.face.curves import FORM_SIZES, Block, CurveGroup
from audio2face.face.frames import interpolate

BLOCK = 256  # frames at once
Allocate = Callable[[str, tuple[int, ...]], np.ndarray]


def frames_at(count: int, from_fps: float, to_fps: float) -> int:
    """Frames at another rate that begin before `count` frames have passed."""
    return max(1, math.ceil(count * to_fps / from_fps - 1e-6))


def middles(count: int, from_fps: float, to_fps: float) -> np.ndarray:
    """Where the middles of `count` frames at another rate lie, in frames (count,): frame i stands at (i + 0.5) / fps."""
    return (np.arange(count) + 0.5) * (from_fps / to_fps) - 0.5


def channels_at(
    channels: Mapping[str, np.ndarray], groups: Mapping[str, CurveGroup], position: np.ndarray, empty: Allocate
) -> dict[str, np.ndarray]:
    """Channels of a face and groups of curves {name: (T, …)} at positions (n,) in frames; the first and last frame are held.

    `empty` makes the array (n, …) float32 that a channel is put into.
    """
    found = {}
    for name, values in channels.items():
        at = np.clip(position, 0, len(values) - 1)
        if name in groups:
            found[name] = _curves_at(groups[name], values, at)
        elif values.shape[1:] == (4, 4):
            found[name] = _transforms_at(values, at)
        else:
            found[name] = empty(name, (len(at), *values.shape[1:]))
            for first in range(0, len(at), BLOCK):
                found[name][first : first + BLOCK] = interpolate(values, at[first : first + BLOCK])
    return found


def _curves_at(group: CurveGroup, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Raw values (T, D) of a group as (n, D) float32."""
    parts = []
    for block, columns, _ in group.places():
        raw = values[:, columns]
        parts.append(_rotations_at(block, raw, at) if block.kind == "rotation" else interpolate(raw, at))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _rotations_at(block: Block, raw: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rotations (T, d) in the form of a block as (n, d); Euler angles begin beside those of the first frame."""
    turned = block.turned(rotations.interpolate(block.matrices(raw), at))
    if block.form in FORM_SIZES:
        return turned
    return rotations.unwrapped(turned, block.form, degrees=block.unit == "degrees", start=raw[0])


def _transforms_at(transforms: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rigid transforms (T, 4, 4) as (n, 4, 4) float32."""
    found = interpolate(np.asarray(transforms, np.float32), at)
    found[:, :3, :3] = rotations.interpolate(transforms[:, :3, :3], at)
    return found
