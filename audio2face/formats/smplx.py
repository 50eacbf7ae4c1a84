"""Motions of the SMPL-X body (.npz): the turns of 55 joints as axis-angle, and where the body is.

Read are the layouts of BEAT2 (`poses` of 165 columns), of AMASS (the same; of its SMPL-H files 156, without jaw and
eyes), and parts by the names of the smplx package (`global_orient`, `body_pose`, …) or of AMASS (`root_orient`,
`pose_body`, …). Names and parents are those of SMPL-X (Pavlakos et al., CVPR 2019). The body model itself is licensed
and not here: `SKELETON` has proportions of a person of about 1.7 m, chosen for drawing and for distances.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.budget import check_finite
from audio2face.formats.npy import read_npz, write_npz
from audio2face.types import Joint, Offset, Skeleton

# name -> (parent, x, y, z): metres from the parent, arms held sideways, the body's left at +x, up +y, facing +z.
# Of the right side x is mirrored. The pelvis is measured from the model's origin, which `trans` moves.
_BODY: dict[str, tuple[str, float, float, float]] = {
    "pelvis": ("", 0, -0.35, 0),
    "left_hip": ("pelvis", 0.06, -0.09, 0),
    "right_hip": ("pelvis", 0.06, -0.09, 0),
    "spine1": ("pelvis", 0, 0.11, -0.01),
    "left_knee": ("left_hip", 0.05, -0.38, 0),
    "right_knee": ("right_hip", 0.05, -0.38, 0),
    "spine2": ("spine1", 0, 0.13, 0),
    "left_ankle": ("left_knee", -0.02, -0.41, -0.03),
    "right_ankle": ("right_knee", -0.02, -0.41, -0.03),
    "spine3": ("spine2", 0, 0.06, 0.02),
    "left_foot": ("left_ankle", 0.03, -0.05, 0.12),
    "right_foot": ("right_ankle", 0.03, -0.05, 0.12),
    "neck": ("spine3", 0, 0.17, -0.03),
    "left_collar": ("spine3", 0.05, 0.09, -0.01),
    "right_collar": ("spine3", 0.05, 0.09, -0.01),
    "head": ("neck", 0, 0.15, 0.02),
    "left_shoulder": ("left_collar", 0.11, 0.03, -0.02),
    "right_shoulder": ("right_collar", 0.11, 0.03, -0.02),
    "left_elbow": ("left_shoulder", 0.26, 0, -0.01),
    "right_elbow": ("right_shoulder", 0.26, 0, -0.01),
    "left_wrist": ("left_elbow", 0.25, 0, 0),
    "right_wrist": ("right_elbow", 0.25, 0, 0),
    "jaw": ("head", 0, 0.01, 0.02),
    "left_eye_smplhf": ("head", 0.032, 0.06, 0.08),
    "right_eye_smplhf": ("head", 0.032, 0.06, 0.08),
}
_FINGERS: dict[str, tuple[tuple[float, float, float], ...]] = {  # from the wrist, then joint to joint
    "index": ((0.095, 0, 0.025), (0.033, 0, 0), (0.023, 0, 0)),
    "middle": ((0.1, 0, 0.003), (0.033, 0, 0), (0.025, 0, 0)),
    "pinky": ((0.08, 0, -0.035), (0.02, 0, 0), (0.017, 0, 0)),
    "ring": ((0.09, 0, -0.017), (0.032, 0, 0), (0.023, 0, 0)),
    "thumb": ((0.035, -0.012, 0.03), (0.027, -0.005, 0.022), (0.025, 0, 0.012)),
}
_TIPS: dict[str, tuple[float, float, float]] = {
    "jaw": (0, -0.04, 0.08),
    "eye": (0, 0, 0.012),
    "foot": (0, -0.01, 0.08),
    "thumb": (0.025, 0, 0.01),
    "": (0.022, 0, 0),
}
# The first name of each is that of the smplx package; the columns are those of the joints first to last.
_PARTS: tuple[tuple[tuple[str, ...], int, int], ...] = (
    (("global_orient", "root_orient"), 0, 1),
    (("body_pose", "pose_body"), 1, 22),
    (("jaw_pose", "pose_jaw"), 22, 23),
    (("leye_pose",), 23, 24),
    (("reye_pose",), 24, 25),
    (("pose_eye",), 23, 25),
    (("left_hand_pose",), 25, 40),
    (("right_hand_pose",), 40, 55),
    (("pose_hand",), 25, 55),
)
_RATES = ("mocap_frame_rate", "mocap_framerate", "frame_rate", "fps")


@dataclass(frozen=True)
class SmplxMotion:
    """A motion: axis_angle (T, 55, 3) radians, translation (T, 3) metres and expressions (T, E), float64.

    `translation` is that of the model's origin as in the file. `fps` is None when the file has no rate. `betas` (B,)
    are the body's shape, `given` the joints that the file has; the others are at rest.
    """

    axis_angle: np.ndarray
    translation: np.ndarray
    expressions: np.ndarray
    fps: float | None
    betas: np.ndarray
    gender: str = "neutral"
    given: tuple[str, ...] = ()


def _joints() -> tuple[Joint, ...]:
    rows = dict(_BODY)
    for hand in ("left", "right"):
        for finger, offsets in _FINGERS.items():
            for n, offset in enumerate(offsets, start=1):
                rows[f"{hand}_{finger}{n}"] = (f"{hand}_wrist" if n == 1 else f"{hand}_{finger}{n - 1}", *offset)
    names, parents = list(rows), {parent for parent, *_ in rows.values()}
    joints = []
    for name, (parent, *offset_xyz) in rows.items():
        side = -1.0 if name.startswith("right") else 1.0
        tip = next(tip for part, tip in _TIPS.items() if part in name)
        end = None if name in parents else _to_side(side, tip)
        place = names.index(parent) if parent else -1
        joints.append(Joint(name, place, _to_side(side, offset_xyz), (), end))
    return tuple(joints)


def _to_side(side: float, offset: Sequence[float]) -> Offset:
    x, y, z = map(float, offset)
    return side * x, y, z


SKELETON = Skeleton(_joints())
JOINT_NAMES = SKELETON.names


def read_smplx(path: str | os.PathLike[str]) -> SmplxMotion:
    """Read a motion. Raises ValueError naming file and array for another layout, other lengths, NaN, and hands as PCA."""
    path = Path(path)
    arrays = read_npz(path)
    axis_angle, given = _pose(path, arrays)
    count = len(axis_angle)
    motion = {
        key: _frames(path, arrays, names, count)
        for key, names in (("translation", ("trans", "transl")), ("expressions", ("expressions", "expression")))
    }
    translation = motion["translation"] if motion["translation"].size else np.zeros((count, 3))
    if translation.shape[1] != 3:
        raise ValueError(f"{path}: trans: expected (T, 3), found {translation.shape}")
    gender = str(arrays.get("gender", "neutral"))
    return SmplxMotion(
        axis_angle=axis_angle,
        translation=translation,
        expressions=motion["expressions"],
        fps=_rate(path, arrays),
        betas=_numbers(path, "betas", arrays["betas"]).reshape(-1) if "betas" in arrays else np.zeros(0),
        gender=gender.removeprefix("b'").removesuffix("'"),
        given=given,
    )


def write_smplx(path: str | os.PathLike[str], motion: SmplxMotion) -> None:
    """Write a motion in the layout of BEAT2, float32, whole or not at all. Raises ValueError for lengths that differ."""
    count = len(motion.axis_angle)
    if motion.axis_angle.shape != (count, 55, 3) or motion.translation.shape != (count, 3):
        shapes = f"{motion.axis_angle.shape} and {motion.translation.shape}"
        raise ValueError(f"{path}: expected axis_angle (T, 55, 3) and translation (T, 3), found {shapes}")
    arrays = {
        "betas": motion.betas,
        "poses": motion.axis_angle.reshape(count, 165),
        "expressions": motion.expressions,
        "trans": motion.translation,
    }
    named = {"model": np.array("smplx2020"), "gender": np.array(motion.gender)}
    rate = {} if motion.fps is None else {"mocap_frame_rate": np.array(motion.fps)}
    write_npz(path, {key: np.asarray(array, np.float32) for key, array in arrays.items()} | named | rate)


def _pose(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Axis-angle (T, 55, 3) and the names of the joints that are there."""
    if "poses" in arrays:
        poses = _flat(path, "poses", arrays["poses"])
        joints = {165: (*range(55),), 156: (*range(22), *range(25, 55)), 72: (*range(22),), 66: (*range(22),)}
        if poses.shape[1] not in joints:
            raise ValueError(
                f"{path}: poses: expected 165 columns (SMPL-X), 156 (SMPL-H), 72 or 66, found {poses.shape[1]}"
            )
        places = joints[poses.shape[1]]
        return _placed(path, len(poses), {"poses": (poses[:, : 3 * len(places)], places)})
    parts = {}
    for names, first, end in _PARTS:
        name = next((name for name in names if name in arrays), None)
        if name is not None:
            parts[name] = (_flat(path, name, arrays[name]), tuple(range(first, end)))
    if not parts:
        known = ", ".join(names[0] for names, _, _ in _PARTS)
        raise ValueError(
            f"{path}: expected the array poses (T, 165), or {known}; found {', '.join(arrays) or 'nothing'}"
        )
    return _placed(path, max(len(values) for values, _ in parts.values()), parts)


def _placed(
    path: Path, count: int, parts: Mapping[str, tuple[np.ndarray, tuple[int, ...]]]
) -> tuple[np.ndarray, tuple[str, ...]]:
    result = np.zeros((count, 55, 3))
    given = set()
    for name, (values, places) in parts.items():
        if values.shape != (count, 3 * len(places)):
            hint = ""
            if "hand" in name and values.shape[1] < 3 * len(places):
                hint = "; hands as principal components need the body model: export them as axis-angle (use_pca=False)"
            raise ValueError(f"{path}: {name}: expected {(count, 3 * len(places))}, found {values.shape}{hint}")
        result[:, places] = values.reshape(count, -1, 3)
        given |= set(places)
    return result, tuple(JOINT_NAMES[place] for place in sorted(given))


def _frames(path: Path, arrays: Mapping[str, np.ndarray], names: tuple[str, ...], count: int) -> np.ndarray:
    """The first of these arrays that is there (T, n), or (T, 0)."""
    name = next((name for name in names if name in arrays), None)
    if name is None:
        return np.zeros((count, 0))
    values = _flat(path, name, arrays[name])
    if len(values) != count:
        raise ValueError(f"{path}: {name}: expected {count} frames as the pose has, found {len(values)}")
    return values


def _flat(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """Numbers over time (T, …) as (T, n)."""
    if array.ndim < 2:
        raise ValueError(f"{path}: {name}: expected numbers per frame (T, n), found shape {array.shape}")
    return _numbers(path, name, array).reshape(len(array), int(np.prod(array.shape[1:])))


def _numbers(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name}: expected numbers, found {array.dtype}")
    values = array.astype(np.float64)
    if values.size:
        check_finite(path, name, values.reshape(len(array) if array.ndim else 1, -1))
    return values


def _rate(path: Path, arrays: Mapping[str, np.ndarray]) -> float | None:
    name = next((name for name in _RATES if name in arrays), None)
    if name is None:
        return None
    rate = _numbers(path, name, arrays[name])
    if rate.size != 1 or not rate > 0:
        raise ValueError(f"{path}: {name}: expected one rate above 0, found {arrays[name]}")
    return float(rate.reshape(-1)[0])
