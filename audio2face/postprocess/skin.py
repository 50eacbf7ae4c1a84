"""Skin: strengths, resting offsets, two-stage smoothing and the blend of lower and upper face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.audio.waveform import without_faint
from audio2face.postprocess.limits import numbers


@dataclass(frozen=True)
class Skin:
    """The skin's constants. V vertices; all arrays float32.

    `neutral` and `offset` (V, 3): the resting face, and what the eyelid and lip offsets add to every frame's motion.
    `lower_gain` and `upper_gain` (V, 1): strength times mask. `*_rate`: share of the way that one smoothing stage goes
    towards its input in a frame, 1 for no smoothing.
    """

    neutral: np.ndarray
    offset: np.ndarray
    strength: np.float32
    lower_gain: np.ndarray
    upper_gain: np.ndarray
    lower_rate: np.float32
    upper_rate: np.float32


@dataclass(frozen=True)
class SkinState:
    """The smoothed motion after the last frame, (2, 2, V, 3) float32: lower and upper face, first and second stage."""

    smoothed: np.ndarray


def build(
    config: Mapping[str, object],
    neutral: np.ndarray,
    eye_close_pose_delta: np.ndarray,
    lip_open_pose_delta: np.ndarray,
    dt: float,
    blink_offset: float = 0.0,
) -> Skin:
    """The skin part for a CONFIG, three (V, 3) arrays and `dt` seconds a frame.

    `blink_offset` (0..1) is what a host may set to close the lids. ValueError: a CONFIG value, a shape, or a neutral
    face without height, which leaves the mask undefined.
    """
    strength, upper, lower, level, softness, eyelid, lip, blink, upper_smoothing, lower_smoothing = numbers(
        config, "skin_strength", "upper_face_strength", "lower_face_strength", "face_mask_level", "face_mask_softness",
        "eyelid_open_offset", "lip_open_offset", "blink_strength", "upper_face_smoothing", "lower_face_smoothing",
    )  # fmt: skip
    neutral = np.ascontiguousarray(neutral, np.float32).reshape(-1, 3)
    eye_close = np.asarray(eye_close_pose_delta, np.float32).reshape(-1, 3)
    lip_open = np.asarray(lip_open_pose_delta, np.float32).reshape(-1, 3)
    if not len(neutral) == len(eye_close) == len(lip_open):
        raise ValueError(
            f"neutral has {len(neutral)} vertices, eye_close_pose_delta {len(eye_close)}, "
            f"lip_open_pose_delta {len(lip_open)}: they must be the same mesh"
        )
    mask = lower_face_mask(neutral, level, softness)[:, None]
    return Skin(
        neutral=neutral,
        offset=eye_close * (np.float32(blink_offset) * blink - eyelid) + lip_open * lip,
        strength=strength,
        lower_gain=lower * mask,
        upper_gain=upper * (1 - mask),
        lower_rate=smoothing_rate(lower_smoothing, dt),
        upper_rate=smoothing_rate(upper_smoothing, dt),
    )


def lower_face_mask(neutral: np.ndarray, level: np.float32, softness: np.float32) -> np.ndarray:
    """How much each vertex of a neutral face (V, 3) belongs to the lower face: (V,) float32, 1 at the chin, 0 above."""
    y = np.asarray(neutral, np.float32)[:, 1]
    low, high = y.min(), y.max()
    if not high > low:
        raise ValueError("the neutral face has no extent along Y, so lower and upper face cannot be distinguished")
    steps = (level - (y - low) / (high - low)) / softness
    with np.errstate(over="ignore"):  # exp overflows to infinity far above the border, where the mask is 0
        return 1 / (1 + np.exp(-steps))


def smoothing_rate(half_life_s: np.float32, dt: float) -> np.float32:
    """The share of the way that one stage goes towards its input in `dt` seconds; 1 when there is no smoothing."""
    return np.float32(1) if half_life_s <= 0 else np.float32(1 - 0.5 ** (float(dt) / float(half_life_s)))


def apply(skin: Skin, delta: np.ndarray, state: SkinState | None = None) -> tuple[np.ndarray, SkinState | None]:
    """Motion (T, V, 3) or (T, 3V) from the neutral face -> positions (T, V, 3) float32, and the state of the next call.

    Without a state the first frame starts the smoothing: it passes through unsmoothed.
    """
    delta = np.asarray(delta, np.float32).reshape(-1, *skin.neutral.shape)
    smoothed = None if state is None else state.smoothed.copy()
    out = np.empty_like(delta)
    for x, position in zip(delta, out, strict=True):  # one after the other: each frame starts from the one before
        moved = skin.strength * x + skin.offset
        if smoothed is None:
            smoothed = np.broadcast_to(moved, (2, 2, *moved.shape)).copy()
        else:
            _smooth(smoothed[0], moved, skin.lower_rate)
            _smooth(smoothed[1], moved, skin.upper_rate)
        np.add(skin.neutral, smoothed[1, 1] * skin.upper_gain, out=position)
        position += smoothed[0, 1] * skin.lower_gain
    return out, None if smoothed is None else SkinState(without_faint(smoothed))


def _smooth(stages: np.ndarray, x: np.ndarray, rate: np.float32) -> None:
    """One frame of two chained exponential averages, in place: stages (2, V, 3), x (V, 3)."""
    if rate == 1:
        stages[:] = x
        return
    stages[0] += rate * (x - stages[0])
    stages[1] += rate * (stages[0] - stages[1])
