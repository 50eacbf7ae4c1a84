"""Jaw and eyes: names and lengths of their shots, and numbers that cannot be what they should."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from audio2face.dataset.files import shot_folders
from audio2face.doctor.actor_data import Subject, readable, shot_names
from audio2face.doctor.files import simple_name
from audio2face.doctor.findings import Finding, Reporter
from audio2face.doctor.stats import Scan
from audio2face.formats.npy import read_npz
from audio2face.geometry.rigid import fit_rigid
from audio2face.listing import natural_order

LARGEST_GAZE = 60.0  # degrees
RADIANS_BELOW = 0.9  # no gaze of a whole data set stays within this many degrees
SACCADE_LIMIT = 30.0  # degrees
RIGID_SHARE = 0.01  # of the tongue's size: how far rigid vertices may move against each other
LINE_SHARE = 0.02  # spread across, of the spread along, below which points lie on a line


def check_channels(subject: Subject) -> Iterator[Finding]:
    """The motion of jaw and eyes, shot by shot, and the run-time's blinks and saccades."""
    report = Reporter(subject.actor)
    files = subject.files
    jaw = {} if files.jaw_anim_data_fpath is None else readable(read_npz, files.jaw_anim_data_fpath) or {}
    eye = {} if files.eye_anim_data_fpath is None else readable(read_npz, files.eye_anim_data_fpath) or {}
    yield from _names(report, subject, "jaw", set(jaw))
    yield from _names(report, subject, "eye", set(eye))
    neutral = readable(files.jaw_neutral)
    yield from _jaw(report, subject, _motion(subject, set(jaw), files.jaw_animation), neutral)
    yield from _eyes(report, _motion(subject, set(eye), files.eye_animation))
    yield from _recordings(report, subject)


def _names(report: Reporter, subject: Subject, channel: str, there: set[str]) -> Iterator[Finding]:
    key = f"{channel.upper()}_ANIM_DATA_FPATH"
    if not there:
        return
    names = {shot.name for shot in subject.shots}
    unused = set(shot_folders(subject.files.skin_cache_root)) if subject.files.skin_cache_root else set()
    for shot in natural_order(there - names - unused):
        match = next((n for n in natural_order(names - there) if simple_name(n) == simple_name(shot)), None)
        if match:
            what = f"The {channel} motion of shot {match} is called {shot!r}; names must be equal to the letter."
            yield report.error(f"{channel}.name", what, f"Rename it to {match}.", shot=match, key=key)
        else:
            what = f"{channel.capitalize()} motion of {shot!r}, which is no shot of the skin cache."
            yield report.warning(f"{channel}.unknown_shot", what, "Check its name.", shot=shot, key=key)
    without = natural_order(names - there)
    if without:
        what = f"{len(without)} shot(s) have no {channel} motion: {shot_names(without)}."
        yield report.warning(f"{channel}.missing", what, "They do not train this channel.", shot=without[0], key=key)


def _motion(subject: Subject, there: set[str], load: Callable[[str], np.ndarray]) -> dict[str, np.ndarray]:
    found = {shot.name: readable(load, shot.name) for shot in subject.shots if shot.name in there}
    return {name: motion for name, motion in found.items() if motion is not None}


def _jaw(
    report: Reporter, subject: Subject, motion: Mapping[str, np.ndarray], neutral: np.ndarray | None
) -> Iterator[Finding]:
    key = "JAW_ANIM_DATA_FPATH"
    if not motion:
        return
    if neutral is None:
        what = "Jaw motion is given, and not where its key points rest."
        yield report.warning(
            "jaw.no_neutral", what, "Give JAW_KEYPOINTS_NEUTRAL_FPATH.", key="JAW_KEYPOINTS_NEUTRAL_FPATH"
        )
    else:
        if _on_a_line(neutral):
            what = "The key points of the jaw lie on one line: its rotation cannot be found from them."
            fix = "Take points to the left, to the right and in front."
            yield report.error("jaw.line", what, fix, key="JAW_KEYPOINTS_NEUTRAL_FPATH")
        size = float(np.ptp(neutral, axis=0).max())
        absolute = [s for s, m in motion.items() if m.shape[1:] == neutral.shape and _is_absolute(m, neutral, size)]
        if absolute:
            what = f"The jaw motion holds places, not differences from rest, in {len(absolute)} shot(s): {shot_names(absolute)}."
            fix = "Subtract JAW_KEYPOINTS_NEUTRAL_FPATH from every frame."
            yield report.error("jaw.absolute", what, fix, shot=absolute[0], key=key)
        if subject.skin.neutral is not None and not _inside(neutral, subject.skin.neutral):
            what = "The key points of the jaw lie outside the face at rest."
            fix = "Export them in the units and the place of the skin."
            yield report.error("jaw.place", what, fix, key="JAW_KEYPOINTS_NEUTRAL_FPATH")
    still = [shot for shot, m in motion.items() if float(np.ptp(m, axis=0).max()) == 0.0]
    if still:
        what = f"The jaw does not move in {len(still)} shot(s): {shot_names(still)}."
        yield report.warning(
            "jaw.static", what, "Export its motion, or leave these shots out of the file.", shot=still[0], key=key
        )


def _eyes(report: Reporter, motion: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    key = "EYE_ANIM_DATA_FPATH"
    if not motion:
        return
    largest = {shot: float(np.abs(m).max()) for shot, m in motion.items()}
    if 1e-3 < max(largest.values()) < RADIANS_BELOW:
        what = (
            f"No eye turns by more than {max(largest.values()):.2f} degrees in the whole data set: these are radians."
        )
        yield report.error("eye.radians", what, "Multiply by 180 / pi.", key=key)
    for shot, angle in largest.items():
        if angle > LARGEST_GAZE:
            what = f"An eye turns by {angle:.0f} degrees."
            yield report.warning("eye.range", what, "Check unit and wrapping of the rotations.", shot=shot, key=key)
    still = [shot for shot, m in motion.items() if float(np.ptp(m, axis=0).max()) == 0.0]
    if still:
        what = f"The eyes do not move in {len(still)} shot(s): {shot_names(still)}."
        yield report.warning(
            "eye.static", what, "Export their motion, or leave these shots out of the file.", shot=still[0], key=key
        )


def _recordings(report: Reporter, subject: Subject) -> Iterator[Finding]:
    blinks, saccades = readable(subject.files.blink_keys), readable(subject.files.saccades)
    if blinks is not None and (blinks.min() < -0.01 or blinks.max() > 1.01):
        what = f"Blink keys run from {blinks.min():.2f} to {blinks.max():.2f}; they must lie between 0 (open) and 1 (closed)."
        yield report.error("eye.blink_keys", what, "Scale them.", key="EYE_BLINK_KEYS_FPATH")
    elif blinks is not None and blinks.max() < 0.5:
        what = f"The blink keys never close the eye (largest {blinks.max():.2f})."
        yield report.warning("eye.blink_keys", what, "Record a whole blink.", key="EYE_BLINK_KEYS_FPATH")
    if saccades is not None and np.abs(saccades).max() > SACCADE_LIMIT:
        what = f"A saccade of {np.abs(saccades).max():.0f} degrees."
        fix = "They are small movements about the gaze, in degrees."
        yield report.warning("eye.saccades", what, fix, key="EYE_SACCADE_ROTATIONS_FPATH")


def check_tongue(subject: Subject, scans: Mapping[str, Scan]) -> Iterator[Finding]:
    """Whether the rigid vertices of the tongue move like one piece; `scans` picked exactly these vertices."""
    report = Reporter(subject.actor)
    vertices, rest = subject.rigid_vertices, subject.tongue.neutral
    key = "TONGUE_RIGID_VERTEX_LIST_FPATH"
    if vertices is None or rest is None:
        return
    points = rest[vertices]
    if _on_a_line(points):
        what = "The rigid vertices of the tongue lie on one line: its rotation cannot be found from them."
        yield report.error("tongue.line", what, "Take vertices to the left, to the right and below.", key=key)
        return
    size = float(np.ptp(rest, axis=0).max())
    errors = []
    for scan in scans.values():
        rotation, shift = fit_rigid(scan.picked, points)
        moved = np.einsum("tij,tpj->tpi", rotation, scan.picked) + shift[:, None]
        errors.append(np.linalg.norm(moved - points, axis=2))
    if not errors:
        return
    worst = np.sqrt(np.mean(np.concatenate(errors) ** 2, axis=0))  # (n,)
    if worst.max() > RIGID_SHARE * size:
        loose = vertices[worst > RIGID_SHARE * size]
        what = (
            f"{len(loose)} of {len(vertices)} rigid vertices move against the others, by up to {worst.max():.3g} units "
            f"(the tongue measures {size:.3g}): {', '.join(map(str, loose[:8]))}."
        )
        fix = "Take vertices at the root of the tongue that only the jaw moves."
        yield report.warning(
            "tongue.not_rigid", what, fix, file=subject.files.tongue_rigid_vertex_list_fpath or "", key=key
        )


def _is_absolute(motion: np.ndarray, neutral: np.ndarray, size: float) -> bool:
    mean = motion.mean(axis=0)
    return bool(np.abs(mean - neutral).mean() < np.abs(mean).mean() / 2 and np.abs(mean).mean() > 0.3 * size)


def _inside(points: np.ndarray, mesh: np.ndarray) -> bool:
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    slack = 0.1 * (high - low).max()
    return bool(((points > low - slack) & (points < high + slack)).all())


def _on_a_line(points: np.ndarray) -> bool:
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(spread[1] <= LINE_SHARE * spread[0])
