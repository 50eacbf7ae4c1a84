"""Skeletons in motion: what their columns are, where their joints are (forward kinematics), their bones and feet.

A joint's local matrix places what hangs on it: world = parent's world @ local. Position channels of a BVH take the place
of a joint's offset, as in MotionBuilder and Blender.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from audio2face.face import rotations as rot
from audio2face.types import JOINT_CHANNELS
from audio2face.types import Joint as Joint
from audio2face.types import Skeleton as Skeleton

_FEET = frozenset("foot feet toe toes toebase ankle heel ball".split())
_NO_FEET = frozenset(
    "eye ik pole target ctrl control".split()
)  # an eye's ball, and handles that are no part of the body


@dataclass(frozen=True)
class ChannelRun:
    """Neighbouring columns of one joint: its "rotation" with the letters as Euler order, or its "translation".

    `joint` is its place in the skeleton, `columns` where they are in values (T, D).
    """

    joint: int
    kind: str
    letters: str
    columns: slice


def skeleton_blocks(skeleton: Skeleton) -> tuple[ChannelRun, ...]:
    """The columns of a skeleton in order: one or two runs for each joint that has channels.

    Raises ValueError naming the joint whose positions and rotations alternate.
    """
    runs = []
    column = 0
    for place, joint in enumerate(skeleton.joints):
        kinds = "".join("t" if name.endswith("position") else "r" for name in joint.channels)
        parts = [match.span() for match in re.finditer("t+|r+", kinds)]
        if len(parts) > len(set(kinds)):
            raise ValueError(f"joint {joint.name!r}: positions and rotations alternate in {' '.join(joint.channels)}")
        for first, end in parts:
            kind = "translation" if kinds[first] == "t" else "rotation"
            letters = "".join(name[0] for name in joint.channels[first:end])
            runs.append(ChannelRun(place, kind, letters, slice(column + first, column + end)))
        column += len(joint.channels)
    return tuple(runs)


def joint_channels(skeleton: Skeleton) -> list[tuple[Joint, str, str]]:
    """(joint, axes of its position, Euler order) in the order of the columns, "" for what it lacks: positions first.

    A joint whose rotation comes before its position stands twice: with its order, then with its position.
    """
    result: list[tuple[Joint, str, str]] = []
    before = None
    for run in skeleton_blocks(skeleton):
        joint = skeleton.joints[run.joint]
        if run.kind == "translation":
            result.append((joint, run.letters, ""))
        elif before is not None and before.joint == run.joint:
            result[-1] = (joint, before.letters, run.letters)
        else:
            result.append((joint, "", run.letters))
        before = run
    return result


def pose_from_values(skeleton: Skeleton, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations (T, J, 3, 3) and local positions (T, J, 3) of values (T, D) in degrees, columns as in the file.

    A joint without a rotation does not turn, one without a position (or an axis of it) keeps its offset there.
    """
    values = _checked(skeleton, values)
    turns = np.broadcast_to(np.eye(3), (len(values), len(skeleton.joints), 3, 3)).copy()
    places = np.broadcast_to(skeleton.offsets, (len(values), len(skeleton.joints), 3)).copy()
    runs = skeleton_blocks(skeleton)
    for run in (run for run in runs if run.kind == "translation"):
        places[:, run.joint, _axes(run.letters)] = values[:, run.columns]
    for order, same in _by_order(runs).items():
        angles = values[:, _columns(same)].reshape(len(values), len(same), len(order))
        turns[:, [run.joint for run in same]] = rot.from_euler(angles, order, degrees=True)
    return turns, places


def values_from_pose(
    skeleton: Skeleton, turns: np.ndarray, places: np.ndarray, start: np.ndarray | None = None
) -> np.ndarray:
    """Values (T, D) in degrees of local rotations (T, J, 3, 3) and positions (T, J, 3), without jumps over time.

    The inverse of `pose_from_values`, up to whole turns and the two triples of Euler angles; those of frame 0 are the
    nearest to `start` (D,). What a joint has no channels for is left out.
    """
    values = np.zeros((len(turns), skeleton.num_channels))
    runs = skeleton_blocks(skeleton)
    for run in (run for run in runs if run.kind == "translation"):
        values[:, run.columns] = places[:, run.joint, _axes(run.letters)]
    for order, same in _by_order(runs).items():
        columns = _columns(same)
        near = None if start is None else np.asarray(start)[columns].reshape(len(same), len(order))
        angles = rot.to_euler(turns[:, [run.joint for run in same]], order, degrees=True)
        values[:, columns] = rot.unwrapped(angles, order, degrees=True, start=near).reshape(len(turns), -1)
    return values


def positions(skeleton: Skeleton, turns: np.ndarray, translation: np.ndarray | None = None) -> np.ndarray:
    """Where the joints are (T, J, 3), in the unit of the offsets, with local rotations `turns` (T, J, 3, 3).

    `translation` (T, 3) moves the first joint: in place of its offset when it has position channels (BVH), beyond it
    otherwise (SMPL-X). Of (T, J, 3) each joint's place relative to its parent, as `pose_from_values` gives it.
    """
    turns = np.asarray(turns, np.float64)
    local = np.broadcast_to(skeleton.offsets, (len(turns), len(skeleton.joints), 3)).copy()
    if translation is not None and np.ndim(translation) == 3:
        local[:] = translation
    elif translation is not None:
        placed = any(name.endswith("position") for name in skeleton.joints[0].channels)
        local[:, 0] = translation if placed else local[:, 0] + translation
    world = world_rotations(skeleton, turns)
    for place, joint in enumerate(skeleton.joints):
        if joint.parent >= 0:
            turned = (world[:, joint.parent] @ local[:, place, :, None])[..., 0]
            local[:, place] = local[:, joint.parent] + turned
    return local


def world_rotations(skeleton: Skeleton, turns: np.ndarray) -> np.ndarray:
    """How the joints are turned in the world (T, J, 3, 3), of local rotations (T, J, 3, 3)."""
    world = np.array(turns, np.float64)
    if world.shape[1:] != (len(skeleton.joints), 3, 3):
        raise ValueError(f"expected rotations (T, {len(skeleton.joints)}, 3, 3), found {world.shape}")
    for place, joint in enumerate(skeleton.joints):
        if joint.parent >= 0:
            world[:, place] = world[:, joint.parent] @ world[:, place]
    return world


def bones(skeleton: Skeleton) -> np.ndarray:
    """Lines from each parent to its joint, as places among the joints: (J - number of roots, 2) int64."""
    lines = [(joint.parent, place) for place, joint in enumerate(skeleton.joints) if joint.parent >= 0]
    return np.array(lines, np.int64).reshape(-1, 2)


def foot_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """Places of the joints whose names speak of a foot: "LeftFoot", "foot_l", "Bip01 R Toe0", "right_ankle"."""
    return tuple(place for place, name in enumerate(skeleton.names) if _is_foot(name))


def with_channels(skeleton: Skeleton, order: str = "ZYX") -> Skeleton:
    """The same joints with three rotation channels each, roots with a position before them, and tips, for a BVH."""
    turn = tuple(f"{axis}rotation" for axis in rot.check_order(order))
    parents = {joint.parent for joint in skeleton.joints}
    joints = []
    for place, joint in enumerate(skeleton.joints):
        channels = (*JOINT_CHANNELS[:3], *turn) if joint.parent < 0 else turn
        end = joint.end if place in parents or joint.end is not None else (0.0, 0.0, 0.0)
        joints.append(replace(joint, channels=channels, end=end))
    return Skeleton(tuple(joints))


def _is_foot(name: str) -> bool:
    words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
    return bool(words & _FEET) and not words & _NO_FEET


def _checked(skeleton: Skeleton, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != skeleton.num_channels:
        raise ValueError(f"expected values (T, {skeleton.num_channels}) for the skeleton, found {values.shape}")
    return values


def _axes(letters: str) -> list[int]:
    return ["XYZ".index(letter) for letter in letters]


def _by_order(runs: tuple[ChannelRun, ...]) -> dict[str, list[ChannelRun]]:
    """The rotations of one Euler order together, since they are computed together."""
    result: dict[str, list[ChannelRun]] = {}
    for run in runs:
        if run.kind == "rotation":
            result.setdefault(run.letters, []).append(run)
    return result


def _columns(runs: list[ChannelRun]) -> list[int]:
    return [column for run in runs for column in range(run.columns.start, run.columns.stop)]
