"""The mesh as a whole: its unit, which way is up, whether rest is at rest and the head holds still."""

from __future__ import annotations

import numpy as np

from audio2face.dataset.captured import CapturedActor, readable
from audio2face.doctor.stats import MeshStats
from audio2face.geometry.regions import FORWARD, HEAD_M, HEAD_RATIO, UP, looks_inward
from audio2face.problems import Problems

UNITS = {"metres": 1.0, "decimetres": 10.0, "centimetres": 100.0, "millimetres": 1000.0}  # per metre
EYES_M, EYES_RATIO = 0.065, 2.2  # usual distance of the lids of both eyes; times larger or smaller: still a head
AXES = "xyz"
MOVING = 0.05  # share of vertices that speech moves most
REST_SHARE, WRONG_REST_SHARE = 0.015, 0.08  # of the mesh's size: median distance of the mean pose from rest
STILL_SHARE = 0.1  # share of the vertices that move least
SWAY_SHARE = 0.006  # of the mesh's size: deviation of these when the head is not held still
SMALLEST_SCALED = 1.0  # SKIN_PRUNE_SIM_DIST above this share of the mesh's size times sqrt(V) keeps nothing


def check_geometry(report: Problems, data: CapturedActor, stats: MeshStats) -> None:
    """Unit, axes, rest and stillness of the skin."""
    rest = data.skin_neutral if data.skin_neutral is not None else stats.mean
    if not rest.size or float(np.ptp(rest, axis=0).max()) == 0.0:
        what = "All vertices lie in one place."
        report.error("geometry.empty", what, "Export the mesh again.", key="SKIN_CACHE_ROOT")
        return
    _unit(report, data, rest)
    _axes(report, data, rest, stats)
    _winding(report, data, rest)
    _rest(report, data, stats)
    _sway(report, stats)
    _thresholds(report, data, rest, stats)
    _deltas(report, data, rest)
    _tongue_place(report, data, rest)


def _unit(report: Problems, data: CapturedActor, rest: np.ndarray) -> None:
    size, usual, ratio = float(np.ptp(rest, axis=0).max()), HEAD_M, HEAD_RATIO
    measured = f"the mesh measures {size:.4g} units"
    if "eye_dist" in data.pairs:
        lids = rest[data.pairs["eye_dist"][0]]
        if len(lids) == 2 and float(np.linalg.norm(lids[0] - lids[1])) > 0:
            size, usual, ratio = float(np.linalg.norm(lids[0] - lids[1])), EYES_M, EYES_RATIO
            measured = f"the eyes are {size:.4g} units apart"
    metres = size / data.units_per_metre
    if 1 / ratio <= metres / usual <= ratio:
        return
    name, per_metre = min(UNITS.items(), key=lambda item: abs(np.log(size / item[1] / usual)))
    what = f"UNITS_PER_METRE = {data.units_per_metre:g} makes this face an impossible size: {measured}, {metres * 100:.3g} cm."
    if 1 / ratio <= size / per_metre / usual <= ratio:
        fix = (
            f"It is in {name}: scale the whole data set by {100 / per_metre:g} to centimetres, or set "
            f"UNITS_PER_METRE = {per_metre:g} and all distances of the config in {name}."
        )
        report.error("geometry.units", what, fix, key="UNITS_PER_METRE")
    else:
        report.warning("geometry.units", what, "Check the unit of the export.", key="UNITS_PER_METRE")


def _axes(report: Problems, data: CapturedActor, rest: np.ndarray, stats: MeshStats) -> None:
    up, forward = up_vector(data, rest, stats)
    axis = int(np.abs(up).argmax())
    if axis != UP:
        what = f"The face's up is the {AXES[axis]} axis of the data; losses, lists and the run time take y as up."
        fix = f"Export with y up and z forward (turn by {'-' if axis == FORWARD else ''}90 degrees about {'x' if axis == FORWARD else 'z'})."
        report.error("geometry.up_axis", what, fix, key="SKIN_CACHE_ROOT")
    elif up[UP] < 0 and "eye_dist" in data.pairs:
        what = "The eyes lie below the mouth: the face is upside down, or the vertex lists belong to another mesh."
        report.error("geometry.upside_down", what, "Check lists and export.", key="SKIN_EYE_DIST_VERTEX_LIST_FPATH")
    elif forward < 0:
        what = "The face looks along -z; the run time and the upper-face mask take +z as forward."
        report.warning("geometry.forward", what, "Turn it by 180 degrees about y.", key="SKIN_CACHE_ROOT")


def _winding(report: Problems, data: CapturedActor, rest: np.ndarray) -> None:
    if looks_inward(rest, readable(data.files.skin_triangles)):
        what = "The faces of the mesh look inward: the data is mirrored, left and right exchanged, or the faces are turned."
        fix = "Export without a negative scale; if the captured motion is right, flip the faces: triangles[:, ::-1]."
        report.warning(
            "geometry.mirrored", what, fix, file=_path(data, "SKIN_TRIANGLES_FPATH"), key="SKIN_TRIANGLES_FPATH"
        )


def up_vector(data: CapturedActor, rest: np.ndarray, stats: MeshStats) -> tuple[np.ndarray, float]:
    """Votes for the up direction (3,), signed where the lists tell the sign, and for looking along +z (1, -1, 0 unknown).

    Heard are: lids above lips, upper lids above lower ones, the direction in which the lips part, and that in which the
    moving part of the face moves.
    """
    votes = np.zeros(3)
    forward = 0.0
    lips, lids = data.pairs.get("lip_dist"), data.pairs.get("eye_dist")
    if lips and lids:
        rise = rest[np.concatenate(lids)].mean(axis=0) - rest[np.concatenate(lips)].mean(axis=0)
        votes += 2 * _direction(rise)
    if lids:
        votes += _direction((rest[lids[0]] - rest[lids[1]]).mean(axis=0))
    deviation = stats.deviation
    moving = np.linalg.norm(deviation, axis=1)
    most = moving >= np.quantile(moving, 1 - MOVING)
    spread = np.sqrt((deviation[most] ** 2).sum(axis=0))
    ambiguous = not (lips or lids)
    if moving.max() > 0:
        sign = 1.0 if votes[spread.argmax()] >= 0 else -1.0
        votes[spread.argmax()] += sign * (1.0 if ambiguous or spread.max() > 1.2 * np.sort(spread)[-2] else 0.5)
    if lips and abs(votes[UP]) == np.abs(votes).max():
        ahead = rest[np.concatenate(lips), FORWARD].mean() - np.median(rest[:, FORWARD])
        forward = float(np.sign(ahead)) if abs(ahead) > 0.05 * float(np.ptp(rest, axis=0).max()) else 0.0
    return votes, forward


def _direction(vector: np.ndarray) -> np.ndarray:
    """The axis that a vector follows most, signed."""
    result = np.zeros(3)
    axis = int(np.abs(vector).argmax())
    result[axis] = np.sign(vector[axis])
    return result


def _rest(report: Problems, data: CapturedActor, stats: MeshStats) -> None:
    for key, rest in (
        ("SKIN_NEUTRAL_FPATH", data.skin_neutral),
        ("SKIN_NEUTRAL_INFERENCE_FPATH", readable(data.files.skin_neutral_inference)),
    ):
        if rest is None or rest.shape != stats.mean.shape:
            continue
        size = float(np.ptp(rest, axis=0).max())
        distance = float(np.median(np.linalg.norm(rest - stats.mean, axis=1)))
        share = distance / size
        if share <= REST_SHARE or (key.endswith("INFERENCE_FPATH") and share <= WRONG_REST_SHARE):
            continue
        what = f"The face at rest is far from the captured one: half of the vertices are more than {distance:.3g} units apart ({share:.0%} of the mesh)."
        if share > WRONG_REST_SHARE:
            fix = "It has another unit, position or vertex order, or is another person's: export it from the same mesh."
            report.error("geometry.neutral", what, fix, file=_path(data, key), key=key)
        else:
            fix = "Align it with the captured head, or choose a rest pose from the data."
            report.warning("geometry.neutral", what, fix, file=_path(data, key), key=key)


def _sway(report: Problems, stats: MeshStats) -> None:
    moving = np.linalg.norm(stats.deviation, axis=1)
    least = float(np.quantile(moving, STILL_SHARE))
    size = float(np.ptp(stats.mean, axis=0).max())
    if least > SWAY_SHARE * size:
        what = f"Even the stillest tenth of the mesh moves by {least:.3g} units: the head is not held still."
        fix = "Remove the head's own motion (align the skull in every frame) before exporting."
        report.warning("geometry.not_stabilised", what, fix, key="SKIN_CACHE_ROOT")


def _thresholds(report: Problems, data: CapturedActor, rest: np.ndarray, stats: MeshStats) -> None:
    whole = float(np.sqrt((stats.deviation**2).sum()))  # usual distance of a frame from the mean, over all coordinates
    if whole > 0 and data.prune_distance > SMALLEST_SCALED * whole:
        what = (
            f"SKIN_PRUNE_SIM_DIST = {data.prune_distance:g} is more than the usual distance of a pose from the mean "
            f"({whole:.3g}): hardly a pose will be kept."
        )
        report.warning("config.prune_distance", what, f"Try {whole / 30:.2g}.", key="SKIN_PRUNE_SIM_DIST")
    threshold = data.plan.lid_threshold if data.plan else None
    if threshold and "eye_dist" in data.pairs:
        upper, lower = data.pairs["eye_dist"]
        opened = float((rest[upper, UP] - rest[lower, UP]).min())
        if threshold >= 0.9 * opened > 0:
            what = f"EYE_DIST_THRESHOLD = {threshold:g} treats open eyes as closed: at rest the lids are {opened:.3g} units apart."
            report.warning("config.lid_threshold", what, f"Try {opened / 3:.2g}.", key="EYE_DIST_THRESHOLD")


def _deltas(report: Problems, data: CapturedActor, rest: np.ndarray) -> None:
    """Whether the two pose deltas are differences, and do what their names say."""
    size = float(np.ptp(rest, axis=0).max())
    for key, load, pairs, opens in (
        ("SKIN_LIP_OPEN_POSE_DELTA_FPATH", data.files.lip_open_pose_delta, "lip_dist", True),
        ("SKIN_EYE_CLOSE_POSE_DELTA_FPATH", data.files.eye_close_pose_delta, "eye_dist", False),
    ):
        delta = readable(load)
        if delta is None or delta.shape != rest.shape:
            continue
        where = {"file": _path(data, key), "key": key}
        if float(np.median(np.linalg.norm(delta, axis=1))) > 0.1 * size:
            what = "This is a pose, not a difference from the face at rest."
            report.error("geometry.delta", what, "Subtract SKIN_NEUTRAL_FPATH from it.", **where)
            continue
        if pairs not in data.pairs:
            continue
        upper, lower = data.pairs[pairs]
        change = (delta[upper, UP] - delta[lower, UP]).mean()
        before = (rest[upper, UP] - rest[lower, UP]).mean()
        if opens and change <= 1e-3 * size:
            what = f"It does not open the lips (they part by {change:.3g} units)."
            report.warning("geometry.lip_open", what, "Export softly opened lips minus rest.", **where)
        elif not opens and change > -0.3 * before:
            what = f"It does not close the eyes (the lids, {before:.3g} units apart, come closer by {-change:.3g})."
            report.warning("geometry.eye_close", what, "Export closed eyes minus rest.", **where)


def _tongue_place(report: Problems, data: CapturedActor, rest: np.ndarray) -> None:
    tongue = data.tongue_neutral
    if tongue is None or data.skin_neutral is None:
        return
    low, high = rest.min(axis=0), rest.max(axis=0)
    size = float((high - low).max())
    centre = tongue.mean(axis=0)
    share = float(np.ptp(tongue, axis=0).max()) / size
    if ((centre < low - 0.1 * size) | (centre > high + 0.1 * size)).any() or not 0.05 < share < 0.8:
        what = f"The tongue at rest does not fit the face at rest: it measures {share:.0%} of it, its centre is {centre.round(2).tolist()}."
        fix = "Export both in the same unit and position."
        report.error("geometry.tongue", what, fix, file=_path(data, "TONGUE_NEUTRAL_FPATH"), key="TONGUE_NEUTRAL_FPATH")


def _path(data: CapturedActor, key: str) -> object:
    return getattr(data.files, key.lower()) or ""
