"""Blendshape files of one actor: solver parameters and poses, for skin or tongue."""

from __future__ import annotations

from collections import Counter

import numpy as np

from audio2face.deploy.check.arrays import Npz, holds_positions
from audio2face.deploy.check.rules import brief
from audio2face.deploy.check.strict_json import Fields
from audio2face.problems import Problems

_FAR = 0.1  # of the mesh's size
_MOST_ACTIVE = 1024


def check_params(root: Fields) -> int | None:
    """Rules of a bs_*_config file. Returns numPoses."""
    params = root.object("blendshape_params")
    if params is None:
        return None
    report, file = params.report, params.file
    strengths = ("L1regularization", "L2regularization", "TemporalSmoothing", "Symmetry")
    limits = {f"strength{name}": 0.0 for name in strengths}
    if "templateBBSize" in params.values:  # the runtime has a default
        limits["templateBBSize"] = 1.0
    for key, low in limits.items():
        value = params.number(key)
        if value is not None and value < low:
            report.error("solver-strength", f"{key} is {value:g}, the runtime needs at least {low:g}", file=file)
    num_poses = params.unsigned("numPoses")
    active = params.ints("bsSolveActivePoses")
    cancel, symmetry = params.ints("bsSolveCancelPoses"), params.ints("bsSolveSymmetryPoses")
    arrays = {"bsSolveActivePoses": active, "bsSolveCancelPoses": cancel, "bsSolveSymmetryPoses": symmetry}
    arrays |= {key: params.numbers(key) for key in ("bsWeightMultipliers", "bsWeightOffsets")}
    for key, array in arrays.items():
        if array is not None and num_poses is not None and len(array) != num_poses:
            report.error("pose-arrays", f"{key} has {len(array)} entries, numPoses is {num_poses}", file=file)
    if active is not None and not active.any():
        report.error("pose-active", "no pose is active in bsSolveActivePoses", file=file)
    if active is not None and np.count_nonzero(active) > _MOST_ACTIVE:
        message = f"{np.count_nonzero(active)} poses are active, the runtime's solver on a GPU takes {_MOST_ACTIVE}"
        report.error("pose-active", message, file=file)
    for key, marks in (("bsSolveCancelPoses", cancel), ("bsSolveSymmetryPoses", symmetry)):
        if marks is not None:
            _check_pairs(report, file, key, marks, active)
    return num_poses


def _check_pairs(report: Problems, file: str, key: str, marks: np.ndarray, active: np.ndarray | None) -> None:
    for mark, times in Counter(marks.tolist()).items():
        if mark != -1 and times != 2:
            report.error("pose-pairs", f"{key}: {mark} occurs {times} times, a pair has exactly 2", file=file)
    if active is not None and len(active) == len(marks) and np.sum((marks == -1) & (active != 0)) == 2:
        message = f"{key}: exactly two active poses carry -1, which the runtime takes for a pair"
        report.error(
            "pose-minus-one", f"{message}; give them numbers with an inactive pose, or split another pair", file=file
        )


def check_poses(npz: Npz, num_poses: int | None, mesh: np.ndarray | None, mesh_size: int | None) -> None:
    """Rules of a bs_*.npz file: `mesh` is the model's own neutral (3V,), `mesh_size` its number of values."""
    for name, member in npz.members.items():
        if member.dtype[1:] in ("b1", "i1", "u1", "f2", "i2", "u2"):
            npz.wrong("dtype", f"{brief(name)} has dtype {member.dtype}; items of less than 4 bytes crash the runtime")
    neutral = npz.floats("neutral", mesh_size, "the model's mesh")
    if neutral is not None and mesh is not None and neutral.size == mesh.size and neutral.size % 3 == 0:
        _compare_neutral(npz, neutral.reshape(-1, 3), mesh.reshape(-1, 3))
    size = mesh_size if neutral is None else neutral.size
    _check_mask(npz, size)
    names = npz.names("poseNames")
    if names is None:
        return
    if not names or names[0] != b"neutral":
        npz.wrong("pose-names", f"poseNames must start with neutral, not {brief(names[0] if names else None)}")
    poses = names[1:]
    if num_poses is not None and len(poses) != num_poses:
        npz.wrong("pose-count", f"poseNames has {len(poses)} names after the first, numPoses is {num_poses}")
    for pose, times in Counter(names).items():
        if times > 1 or not usable_name(pose):
            npz.wrong("pose-names", f"poseNames: {brief(pose)} occurs {times} times, or cannot be an array's name")
        elif pose != b"neutral":
            offsets = npz.floats(pose.decode("utf-8"), size, "neutral")
            if offsets is not None and neutral is not None and holds_positions(offsets, neutral):
                npz.wrong("pose-deltas", f"{brief(pose.decode('utf-8'))} holds positions, not offsets from neutral")


def usable_name(name: bytes) -> bool:
    """Whether a pose of this name can be an array of an npz file."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return text.isprintable() and bool(text) and "/" not in text and "\\" not in text


def _compare_neutral(npz: Npz, neutral: np.ndarray, mesh: np.ndarray) -> None:
    """Report poses that start from another face than the model's: the weights would explain the difference."""
    extent = float(np.linalg.norm(np.ptp(neutral.astype(np.float64), axis=0)))
    if extent == 0:
        npz.wrong("neutral-height", "neutral has no extent, from which the solver takes its scale")
    elif np.abs(neutral - mesh).max() > _FAR * extent:
        npz.report.info(
            "note", "neutral is far from the model's neutral mesh: other units, or another face?", file=npz.file
        )


def _check_mask(npz: Npz, size: int | None) -> None:
    if "frontalMask" not in npz.members:
        return
    mask = npz.vector("frontalMask", "<i4")
    if mask is None or size is None or mask.size == 0:
        return
    if mask.min() < 0 or mask.max() >= size // 3:
        message = f"frontalMask names vertices {mask.min()} .. {mask.max()}, the mesh has {size // 3}"
        npz.wrong("frontal-mask", message)
    elif mask.size > 2 and mask.max() <= 1:
        npz.wrong("frontal-mask", "frontalMask is a mask of zeros and ones; the runtime takes them for vertex numbers")
