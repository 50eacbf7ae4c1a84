"""Jaw and eyes: names and lengths of their shots, and numbers that cannot be what they should."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio2face.dataset.captured import CapturedActor, readable
from audio2face.dataset.places import shot_folders
from audio2face.dataset.shots import simple_name
from audio2face.listing import natural_order, shortened
from audio2face.problems import Problems

LARGEST_GAZE = 60.0  # degrees
RADIANS_BELOW = 0.9  # no gaze of a whole data set stays within this many degrees
SACCADE_LIMIT = 30.0  # degrees
LINE_SHARE = 0.02  # spread across, of the spread along, below which points lie on a line


def check_motion_data(report: Problems, data: CapturedActor) -> None:
    """The motion of jaw and eyes, shot by shot, and the run-time's blinks and saccades."""
    _names(report, data, "jaw", set(readable(data.files.jaw_shots) or ()))
    _names(report, data, "eye", set(readable(data.files.eye_shots) or ()))
    _jaw(report, data, data.jaw, data.rest.jaw_neutral)
    _eyes(report, data.eye)
    _recordings(report, data)


def _names(report: Problems, data: CapturedActor, channel: str, there: set[str]) -> None:
    key = f"{channel.upper()}_ANIM_DATA_FPATH"
    if not there:
        return
    names = {shot.name for shot in data.shots}
    unused = set(shot_folders(data.files.skin_cache_root)) if data.files.skin_cache_root else set()
    for shot in natural_order(there - names - unused):
        match = next((n for n in natural_order(names - there) if simple_name(n) == simple_name(shot)), None)
        if match:
            what = f"The {channel} motion of shot {match} is called {shot!r}; names must be equal to the letter."
            report.error(f"{channel}.name", what, f"Rename it to {match}.", shot=match, key=key)
        else:
            what = f"{channel.capitalize()} motion of {shot!r}, which is not a shot of the skin cache."
            report.warning(f"{channel}.unknown_shot", what, "Check its name.", shot=shot, key=key)
    without = natural_order(names - there)
    if without:
        what = f"{len(without)} shot(s) have no {channel} motion: {shortened(without)}."
        report.warning(f"{channel}.missing", what, "They do not train this channel.", shot=without[0], key=key)


def _jaw(report: Problems, data: CapturedActor, motion: Mapping[str, np.ndarray], neutral: np.ndarray | None) -> None:
    key = "JAW_ANIM_DATA_FPATH"
    if not motion:
        return
    if neutral is None:
        what = "There is jaw motion, but no rest position of its key points."
        report.warning("jaw.no_neutral", what, "Give JAW_KEYPOINTS_NEUTRAL_FPATH.", key="JAW_KEYPOINTS_NEUTRAL_FPATH")
    else:
        if on_a_line(neutral):
            what = "The key points of the jaw lie on one line: its rotation cannot be found from them."
            fix = "Take points to the left, to the right and in front."
            report.error("jaw.line", what, fix, key="JAW_KEYPOINTS_NEUTRAL_FPATH")
        size = float(np.ptp(neutral, axis=0).max())
        absolute = [s for s, m in motion.items() if m.shape[1:] == neutral.shape and _is_absolute(m, neutral, size)]
        if absolute:
            what = f"The jaw motion holds positions, not differences from rest, in {len(absolute)} shot(s): {shortened(absolute)}."
            fix = "Subtract JAW_KEYPOINTS_NEUTRAL_FPATH from every frame."
            report.error("jaw.absolute", what, fix, shot=absolute[0], key=key)
        if data.skin_neutral is not None and not _inside(neutral, data.skin_neutral):
            what = "The key points of the jaw lie outside the face at rest."
            fix = "Export them in the units and the place of the skin."
            report.error("jaw.place", what, fix, key="JAW_KEYPOINTS_NEUTRAL_FPATH")
    still = [shot for shot, m in motion.items() if float(np.ptp(m, axis=0).max()) == 0.0]
    if still:
        what = f"The jaw does not move in {len(still)} shot(s): {shortened(still)}."
        report.warning(
            "jaw.static", what, "Export its motion, or leave these shots out of the file.", shot=still[0], key=key
        )


def _eyes(report: Problems, motion: Mapping[str, np.ndarray]) -> None:
    key = "EYE_ANIM_DATA_FPATH"
    if not motion:
        return
    largest = {shot: float(np.abs(m).max()) for shot, m in motion.items()}
    if 1e-3 < max(largest.values()) < RADIANS_BELOW:
        what = (
            f"No eye turns by more than {max(largest.values()):.2f} degrees in the whole data set: these are radians."
        )
        report.error("eye.radians", what, "Multiply by 180 / pi.", key=key)
    for shot, angle in largest.items():
        if angle > LARGEST_GAZE:
            what = f"An eye turns by {angle:.0f} degrees."
            report.warning("eye.range", what, "Check unit and wrapping of the rotations.", shot=shot, key=key)
    still = [shot for shot, m in motion.items() if float(np.ptp(m, axis=0).max()) == 0.0]
    if still:
        what = f"The eyes do not move in {len(still)} shot(s): {shortened(still)}."
        report.warning(
            "eye.static", what, "Export their motion, or leave these shots out of the file.", shot=still[0], key=key
        )


def _recordings(report: Problems, data: CapturedActor) -> None:
    blinks, saccades = data.rest.blink_keys, data.rest.saccades
    if blinks is not None and (blinks.min() < -0.01 or blinks.max() > 1.01):
        what = f"Blink keys run from {blinks.min():.2f} to {blinks.max():.2f}; they must lie between 0 (open) and 1 (closed)."
        report.error("eye.blink_keys", what, "Scale them.", key="EYE_BLINK_KEYS_FPATH")
    elif blinks is not None and blinks.max() < 0.5:
        what = f"The blink keys never close the eye (largest {blinks.max():.2f})."
        report.warning("eye.blink_keys", what, "Record a whole blink.", key="EYE_BLINK_KEYS_FPATH")
    if saccades is not None and np.abs(saccades).max() > SACCADE_LIMIT:
        what = f"A saccade of {np.abs(saccades).max():.0f} degrees."
        fix = "Saccades are small movements about the gaze, in degrees."
        report.warning("eye.saccades", what, fix, key="EYE_SACCADE_ROTATIONS_FPATH")


def _is_absolute(motion: np.ndarray, neutral: np.ndarray, size: float) -> bool:
    mean = motion.mean(axis=0)
    return bool(np.abs(mean - neutral).mean() < np.abs(mean).mean() / 2 and np.abs(mean).mean() > 0.3 * size)


def _inside(points: np.ndarray, mesh: np.ndarray) -> bool:
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    slack = 0.1 * (high - low).max()
    return bool(((points > low - slack) & (points < high + slack)).all())


def on_a_line(points: np.ndarray) -> bool:
    """Whether points (n, 3) do not span a plane, so that their rotation is open."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(spread[1] <= LINE_SHARE * spread[0])
