"""Eyes: gaze from the network, resting offsets, and saccades from a table recorded at 30 frames a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.postprocess.limits import numbers

SACCADE_FPS = np.float32(30)


@dataclass(frozen=True)
class Eyes:
    """`offset` (4,) degrees; `table` (n, 2) saccades in X, Y with their strength; `step` rows a frame; float32."""

    offset: np.ndarray
    strength: np.float32
    table: np.ndarray
    seed: np.float32
    step: np.float32


def build(config: Mapping[str, object], saccade_rot_matrix: np.ndarray, dt: float) -> Eyes:
    """The eye part for a CONFIG, a saccade table (n, 2) in degrees and `dt` seconds a frame.

    ValueError: a CONFIG value, or a table that is empty or has no two columns.
    """
    strength, saccade_strength, seed = numbers(config, "eyeballs_strength", "saccade_strength", "eye_saccade_seed")
    offsets = numbers(
        config, "right_eye_rot_x_offset", "right_eye_rot_y_offset", "left_eye_rot_x_offset", "left_eye_rot_y_offset"
    )
    table = np.asarray(saccade_rot_matrix, np.float32)
    if table.size == 0 or table.size % 2:
        raise ValueError(f"saccade_rot_matrix must be (n, 2) with n >= 1, got shape {table.shape}")
    return Eyes(
        offset=np.array(offsets, np.float32),
        strength=strength,
        table=saccade_strength * table.reshape(-1, 2),
        seed=seed,
        step=np.float32(dt) * SACCADE_FPS,
    )


def apply(eyes: Eyes, rotation: np.ndarray, state: np.float32 | None = None) -> tuple[np.ndarray, np.float32]:
    """Rotations (T, 4) right X, right Y, left X, left Y in degrees -> (T, 6) float32 right X, Y, 0, left X, Y, 0.

    The state is the saccade clock in rows of the table, float32 like the runtime's: rounding decides which row is read.
    """
    rotation = np.asarray(rotation, np.float32).reshape(-1, 4)
    rows, clock = saccade_rows(eyes, len(rotation), np.float32(0) if state is None else state)
    saccade = eyes.table[rows]
    angles = eyes.offset + eyes.strength * rotation + np.concatenate([saccade, saccade], axis=1)
    out = np.zeros((len(rotation), 6), np.float32)
    out[:, [0, 1, 3, 4]] = angles
    return out, clock


def saccade_rows(eyes: Eyes, num_frames: int, clock: np.float32) -> tuple[np.ndarray, np.float32]:
    """The table rows (T,) of the next frames, and the clock after them."""
    length = np.float32(len(eyes.table))
    rows = np.empty(num_frames, np.int64)
    for i in range(num_frames):
        rows[i] = int(np.fmod(eyes.seed + clock, length))
        clock = np.float32(np.fmod(clock + eyes.step, length))
    return rows % len(eyes.table), clock
