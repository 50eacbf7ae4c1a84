"""Curves of a recording at another rate, the gaze in them, and their blinks and small eye movements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audio2face.face.frames import interpolate
from audio2face.formats.arkit_csv import ARKIT_NAMES, COLUMNS, ArkitRecording

TABLE_FPS = 30.0  # of blink keys and saccades
LOOK_DEGREES = 30.0  # that a look curve of 1 turns the eye by
LONGEST_GAP_S = 0.2  # without a face that a straight line may bridge
BLINK_CLOSED, BLINK_OPEN = 0.6, 0.15
SACCADE_ROWS = 5000
_EYES = ("Right", "Left")


def num_frames(recording: ArkitRecording, fps: float) -> int:
    """Frames at `fps` within the recording."""
    return int(recording.times_s[-1] * fps + 1e-4) + 1 if len(recording.times_s) else 0


def at_rate(recording: ArkitRecording, fps: float) -> np.ndarray:
    """Values (T, 61) float32 at frames 0, 1, … of `fps`, interpolated linearly in time."""
    times = np.arange(num_frames(recording, fps)) / fps
    position = np.interp(times, recording.times_s, np.arange(len(recording.times_s)))
    whole = np.rint(position)
    position = np.where(np.abs(position - whole) < 1e-3, whole, position)  # time codes are rounded to 1/1000 frame
    return interpolate(recording.values, position)


def scaled(recording: ArkitRecording, factor: float, degrees: bool) -> ArkitRecording:
    """A recording whose weights are times `factor`, and whose angles were degrees."""
    factors = np.full(len(COLUMNS), factor, np.float32)
    factors[len(ARKIT_NAMES) :] = np.pi / 180 if degrees else 1.0
    return replace(recording, values=recording.values * factors)


def spans(recording: ArkitRecording, fps: float) -> list[tuple[int, int]]:
    """First and last frame at `fps` of every part without a long gap."""
    gaps = np.flatnonzero(np.diff(recording.times_s) > LONGEST_GAP_S)
    starts = [0.0, *recording.times_s[gaps + 1]]
    ends = [*recording.times_s[gaps], recording.times_s[-1]]
    found = [(int(np.ceil(a * fps - 1e-4)), int(b * fps + 1e-4)) for a, b in zip(starts, ends, strict=True)]
    return [(a, b) for a, b in found if b > a]


def eye_rotations(values: np.ndarray, look_degrees: float = LOOK_DEGREES) -> np.ndarray | None:
    """Turns (T, 2, 2) of right and left eye about x (down is positive) and y (the face's left is positive), degrees.

    From the recorded angles, else from the EyeLook curves of values (T, 61); None when neither moves.
    """
    turns = np.zeros((len(values), 2, 2), np.float32)
    for eye, side in enumerate(_EYES):
        pitch, yaw = (values[:, COLUMNS.index(f"{side}Eye{turn}")] for turn in ("Pitch", "Yaw"))
        turns[:, eye] = np.rad2deg(np.stack([pitch, yaw], axis=1))
    if turns.any():
        return turns
    for eye, side in enumerate(_EYES):
        down, up, inwards, outwards = (
            values[:, COLUMNS.index(f"EyeLook{way}{side}")] for way in ("Down", "Up", "In", "Out")
        )
        to_left = outwards - inwards if side == "Left" else inwards - outwards
        turns[:, eye] = look_degrees * np.stack([down - up, to_left], axis=1)
    return turns if turns.any() else None


def blink_keys(shots: Sequence[np.ndarray], fps: float) -> np.ndarray | None:
    """The clearest blink of shots [(T, 61)]: keys (n,) in 0 … 1 at 30 a second, open at both ends; None without one."""
    best: np.ndarray | None = None
    for values in shots:
        closed = values[:, [ARKIT_NAMES.index(f"EyeBlink{side}") for side in _EYES]].mean(axis=1)
        opened = np.flatnonzero(closed < BLINK_OPEN)
        for peak in np.flatnonzero((closed[1:-1] >= closed[:-2]) & (closed[1:-1] > closed[2:])) + 1:
            after = np.searchsorted(opened, peak)  # the peak itself is closed
            if closed[peak] < BLINK_CLOSED or after in (0, len(opened)):
                continue
            part = closed[opened[after - 1] : opened[after] + 1]
            if len(part) <= fps and (best is None or part.max() > best.max()):
                best = part
    if best is None:
        return None
    count = max(round((len(best) - 1) / fps * TABLE_FPS), 2) + 1
    keys = np.interp(np.linspace(0, len(best) - 1, count), np.arange(len(best)), best)
    keys = np.clip(keys / keys.max(), 0, 1)
    keys[[0, -1]] = 0
    return keys.astype(np.float32)


def saccades(turns: Sequence[np.ndarray], fps: float) -> np.ndarray | None:
    """Saccades about the gaze from eye rotations [(T, 2, 2)]: (n, 2) degrees at 30 a second; None without any."""
    rows = []
    for shot in turns:
        gaze = shot.mean(axis=1)
        at = np.arange(0, len(gaze), fps / TABLE_FPS)
        gaze = np.stack([np.interp(at, np.arange(len(gaze)), column) for column in gaze.T], axis=1)
        window = min(len(gaze), int(2 * TABLE_FPS)) | 1
        padded = np.pad(gaze, ((window // 2, window // 2), (0, 0)), mode="edge")
        slow = np.median(np.lib.stride_tricks.sliding_window_view(padded, window, axis=0), axis=-1)
        rows.append(gaze - slow)
    table = np.concatenate(rows)[:SACCADE_ROWS] if rows else np.zeros((0, 2))
    return table.astype(np.float32) if table.any() else None
