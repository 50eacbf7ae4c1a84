"""Blendshapes of a data set, ready for the runtime, which reads them unchecked out of the deployed model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from audio2face.deploy.check.arrays import holds_positions
from audio2face.deploy.check.blendshapes import check_params, usable_name
from audio2face.deploy.check.strict_json import Fields
from audio2face.geometry.regions import chosen_vertices
from audio2face.problems import Problems

logger = logging.getLogger(__name__)

PAIR_KEYS = ("bsSolveCancelPoses", "bsSolveSymmetryPoses")
NO_PAIR = -1
UNUSED = {
    "bsSolveActivePoses": 0,
    **dict.fromkeys(PAIR_KEYS, NO_PAIR),
    "bsWeightMultipliers": 1.0,
    "bsWeightOffsets": 0.0,
}


def ready_blendshapes(
    arrays: Mapping[str, np.ndarray], settings: Any, num_vertices: int, data: str, config: str
) -> tuple[dict[str, np.ndarray], Any, list[str]]:
    """Arrays and settings for the deployed model, and everything that the runtime would refuse or misread in them.

    `data` and `config` say where they are from; each problem begins with one of them.
    """
    clean, problems = clean_blendshapes(arrays, num_vertices, data)
    if not isinstance(settings, dict):
        return clean, settings, [*problems, f"{config}: expected an object with blendshape_params"]
    settings, clean = without_false_pairs(settings, clean)
    report = Problems()
    count = check_params(Fields(settings, config, "", report))
    problems += [f"{config}: {problem.what}" for problem in report.errors]
    poses = clean["poseNames"][1:].tolist() if "poseNames" in clean else None
    if poses is not None and count is not None and count != len(poses):
        problems.append(f"{config}: numPoses is {count}, poseNames has {len(poses)} names after neutral")
    return clean, settings, problems


def without_false_pairs(
    settings: dict[str, Any], arrays: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Settings and arrays in which -1, the mark of a pose without partner, makes no pair.

    The runtime pairs poses of equal marks, and so also two active poses of mark -1 when there are exactly two. One of
    them becomes the partner of an inactive pose; without any, of a new one that does nothing. Settings that are not
    sound are returned as they are.
    """
    params = settings.get("blendshape_params")
    count = len(arrays["poseNames"]) - 1 if "poseNames" in arrays else -1
    if not isinstance(params, dict) or not _is_sound(params, count):
        return settings, arrays
    params, arrays = dict(params), dict(arrays)
    for key in PAIR_KEYS:
        lone = [i for i, mark in enumerate(params[key]) if mark == NO_PAIR and params["bsSolveActivePoses"][i]]
        if len(lone) != 2:
            continue
        idle = [i for i, mark in enumerate(params[key]) if mark == NO_PAIR and not params["bsSolveActivePoses"][i]]
        if not idle:
            arrays, name = _with_unused_pose(params, arrays)
            idle = [params["numPoses"] - 1]
            logger.info("blendshapes: pose %s, which does nothing, keeps the runtime from pairing two others", name)
        marks = list(params[key])
        marks[lone[1]] = marks[idle[0]] = int(max(marks)) + 1
        params[key] = marks
    return {**settings, "blendshape_params": params}, arrays


def _is_sound(params: Mapping[str, Any], count: int) -> bool:
    if params.get("numPoses") != count or isinstance(params.get("numPoses"), float):
        return False
    lists = [params.get(key) for key in UNUSED]
    return all(isinstance(v, list) and len(v) == count and all(isinstance(x, int | float) for x in v) for v in lists)


def _with_unused_pose(params: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
    """Add an inactive pose without motion to `params`, in place, and to a copy of the arrays; returns its name too."""
    names = [bytes(name) for name in arrays["poseNames"].tolist()]
    name = "unused"
    while name.encode() in names or name in arrays:
        name += "_"
    params["numPoses"] += 1
    for key, value in UNUSED.items():
        params[key] = [*params[key], value]
    pose = {name: np.zeros_like(arrays["neutral"])}
    return {**arrays, **pose, "poseNames": np.array([*names, name.encode()], "S")}, name


def clean_blendshapes(
    arrays: Mapping[str, np.ndarray], num_vertices: int, where: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Blendshape arrays in the types that the runtime reads unchecked, and the problems (each begins with `where`).

    Names become byte strings, geometry float32, the frontal mask int32 vertex indices; all in C order.
    """
    if "poseNames" not in arrays or "neutral" not in arrays:
        return {}, [f"{where}: expected the arrays poseNames and neutral, found {', '.join(list(arrays)[:6])}"]
    names = [
        n.decode("utf-8") if isinstance(n, bytes) else str(n) for n in np.asarray(arrays["poseNames"]).ravel().tolist()
    ]
    problems = (
        [] if names[:1] == ["neutral"] else [f"{where}: the first of poseNames must be 'neutral', it is {names[:1]}"]
    )
    problems += [f"{where}: pose {name!r} of poseNames has no array" for name in names if name not in arrays]
    problems += [
        f"{where}: pose {name!r} is named twice in poseNames"
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    problems += [
        f"{where}: pose {name!r} cannot be an array's name" for name in names if not usable_name(name.encode())
    ]
    clean = {"poseNames": _byte_strings(names)}
    for name in dict.fromkeys(["neutral", *names]):
        if name in arrays:
            pose = np.asarray(arrays[name])
            if pose.shape != (num_vertices, 3) or pose.dtype.kind not in "fiu" or not np.isfinite(pose).all():
                problems.append(
                    f"{where}: {name!r}: expected finite numbers ({num_vertices}, 3), found {pose.shape} of {pose.dtype}"
                )
            else:
                clean[name] = np.array(pose, np.float32, order="C")
                if name != "neutral" and "neutral" in clean and holds_positions(pose, clean["neutral"]):
                    problems.append(f"{where}: {name!r} holds positions: subtract neutral from it")
    if "frontalMask" in arrays:
        mask = np.asarray(arrays["frontalMask"]).ravel()
        try:
            clean["frontalMask"] = (chosen_vertices(mask, num_vertices) if mask.size else mask).astype(np.int32)
        except ValueError as error:
            problems.append(f"{where}: frontalMask: {error}")
    if "rig_version" in arrays:
        clean["rig_version"] = _byte_strings(np.ravel(arrays["rig_version"]).tolist())
    return clean, problems


def _byte_strings(texts: list[Any]) -> np.ndarray:
    return np.array([t if isinstance(t, bytes) else str(t).encode("utf-8") for t in texts], dtype="S")
