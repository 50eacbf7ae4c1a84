"""Skeletons: their columns, poses and back, where the joints are by a second implementation, bones, feet, JSON."""

import json

import numpy as np
import pytest

from audio2face.face import rotations as rot
from audio2face.face.skeleton import (
    Joint,
    Skeleton,
    bones,
    foot_joints,
    joint_channels,
    pose_from_values,
    positions,
    skeleton_blocks,
    values_from_pose,
    with_channels,
    world_rotations,
)

TURN = ("Zrotation", "Xrotation", "Yrotation")
PLACE = ("Xposition", "Yposition", "Zposition")


def body():
    """Joints with positions before, behind and without rotations, of several orders, and some with none."""
    return Skeleton((
        Joint("hips", -1, (0.0, 90.0, 0.0), PLACE + TURN),
        Joint("spine", 0, (0.0, 10.0, -2.0), ("Yrotation", "Xrotation", "Zrotation")),
        Joint("still", 1, (0.0, 5.0, 0.0)),
        Joint("head", 2, (0.0, 20.0, 1.0), (*TURN, "Zposition", "Xposition", "Yposition"), end=(0.0, 10.0, 0.0)),
        Joint("arm", 1, (15.0, 8.0, 0.0), TURN),
        Joint("elbow", 4, (25.0, 0.0, 0.0), ("Yrotation",), end=(20.0, 0.0, 0.0)),
        Joint("ball", -1, (3.0, 0.0, 0.0), ("Yposition",)),
    ))  # fmt: skip


def smooth(frames=60, width=20, seed=0):
    return np.cumsum(np.random.default_rng(seed).normal(0, 6, (frames, width)), axis=0)


def slowly(skeleton, values):
    """Where the joints are, by 4x4 matrices, a frame, a joint and a channel at a time."""
    result = np.zeros((len(values), len(skeleton.joints), 3))
    for t, row in enumerate(values):
        worlds, column = [], 0
        for place, joint in enumerate(skeleton.joints):
            shift, turn = np.eye(4), np.eye(4)
            shift[:3, 3] = joint.offset
            for channel in joint.channels:
                axis, value = "XYZ".index(channel[0]), row[column]
                column += 1
                if channel.endswith("position"):
                    shift[axis, 3] = value
                else:
                    c, s = np.cos(np.deg2rad(value)), np.sin(np.deg2rad(value))
                    b, d = (axis + 1) % 3, (axis + 2) % 3
                    one = np.eye(4)
                    one[b, b], one[b, d], one[d, b], one[d, d] = c, -s, s, c
                    turn = turn @ one
            world = (worlds[joint.parent] if joint.parent >= 0 else np.eye(4)) @ shift @ turn
            worlds.append(world)
            result[t, place] = world[:3, 3]
    return result


def test_joints_are_where_a_slow_implementation_has_them():
    skeleton, values = body(), smooth()
    turns, places = pose_from_values(skeleton, values)
    assert np.allclose(positions(skeleton, turns, places), slowly(skeleton, values))
    upper = Skeleton(skeleton.joints[:3])
    turns, places = pose_from_values(upper, values[:, :9])
    assert np.allclose(positions(upper, turns, values[:, :3]), slowly(upper, values[:, :9]))


def test_at_rest_joints_are_at_their_offsets():
    skeleton = Skeleton(
        (Joint("a", -1, (1.0, 2.0, 3.0)), Joint("b", 0, (0.0, 1.0, 0.0)), Joint("c", 1, (0.0, 0.0, 4.0)))
    )
    rest = np.broadcast_to(np.eye(3), (2, 3, 3, 3))
    expected = [[1, 2, 3], [1, 3, 3], [1, 3, 7]]
    assert positions(skeleton, rest).tolist() == [expected] * 2
    moved = positions(
        skeleton, rest, np.array([[0.0, 0, 0], [5, 0, 0]])
    )  # a root without position channels moves from there
    assert np.allclose(moved - expected, [[[0, 0, 0]], [[5, 0, 0]]])


def test_turns_add_up_along_the_chain():
    chain = Skeleton((Joint("a", -1, (0.0, 0.0, 0.0)), Joint("b", 0, (1.0, 0.0, 0.0)), Joint("c", 1, (1.0, 0.0, 0.0))))
    turns = rot.from_euler(np.array([[30.0, 60.0, 5.0]])[..., None], "Z", degrees=True)
    world = world_rotations(chain, turns)
    assert np.allclose(rot.to_euler(world, "Z", degrees=True)[0, :, 0], [30, 90, 95])
    assert np.allclose(positions(chain, turns)[0, 2], [np.cos(np.pi / 6), np.sin(np.pi / 6) + 1, 0])


def test_values_to_poses_and_back():
    skeleton, values = body(), smooth()
    turns, places = pose_from_values(skeleton, values)
    back = values_from_pose(skeleton, turns, places, start=values[0])
    again, moved = pose_from_values(skeleton, back)
    assert rot.geodesic_degrees(again, turns).max() < 1e-9 and np.allclose(moved, places)
    straight = [run.columns for run in skeleton_blocks(skeleton) if run.kind == "translation" or len(run.letters) < 3]
    for columns in straight:
        assert np.allclose(back[:, columns], values[:, columns])
    assert np.abs(np.diff(back, axis=0)).max() < 180
    assert np.allclose(turns[:, 2], np.eye(3)) and np.allclose(places[:, 6, [0, 2]], [3, 0])
    calm = 20 * np.sin(values / 30)  # far from gimbal lock the very angles come back
    assert np.allclose(values_from_pose(skeleton, *pose_from_values(skeleton, calm)), calm)


def test_columns_are_told_in_file_order():
    skeleton = body()
    runs = skeleton_blocks(skeleton)
    assert [(skeleton.names[r.joint], r.kind[0], r.letters, r.columns.start, r.columns.stop) for r in runs] == [
        ("hips", "t", "XYZ", 0, 3), ("hips", "r", "ZXY", 3, 6), ("spine", "r", "YXZ", 6, 9), ("head", "r", "ZXY", 9, 12),
        ("head", "t", "ZXY", 12, 15), ("arm", "r", "ZXY", 15, 18), ("elbow", "r", "Y", 18, 19), ("ball", "t", "Y", 19, 20),
    ]  # fmt: skip
    told = [(joint.name, axes, order) for joint, axes, order in joint_channels(skeleton)]
    assert told == [
        ("hips", "XYZ", "ZXY"), ("spine", "", "YXZ"), ("head", "", "ZXY"), ("head", "ZXY", ""), ("arm", "", "ZXY"),
        ("elbow", "", "Y"), ("ball", "Y", ""),
    ]  # fmt: skip
    names = [f"{n}_{a}position" for n, axes, _ in told for a in axes]
    assert len(names) + sum(len(order) for *_, order in told) == skeleton.num_channels == 20


def test_positions_and_rotations_that_alternate_are_refused():
    mixed = Skeleton((Joint("a", -1, (0.0, 0.0, 0.0), ("Xposition", "Zrotation", "Yposition")),))
    with pytest.raises(ValueError, match="'a': positions and rotations alternate in Xposition Zrotation"):
        skeleton_blocks(mixed)


@pytest.mark.parametrize(
    ("joints", "words"),
    [
        ([("a", -1), ("a", 0)], "two joints are named 'a'"),
        ([("a", 0)], "'a': parent 0 is not among the 0 joints before"),
        ([("a", -1), ("b", 2), ("c", 0)], "'b': parent 2"),
        ([("a", -2)], "parent -2"),
        ([("a", -1, (0.0, float("nan"), 0.0))], "'a': an offset is three numbers"),
        ([("a", -1, (0.0, 0.0, 0.0), (), (1.0, 2.0))], "'a': an offset is three numbers"),
        ([("a", -1, (0.0, 0.0, 0.0), ("Wrotation",))], "'a': channels .*Wrotation.*: expected some of Xposition"),
        ([("a", -1, (0.0, 0.0, 0.0), ("Xrotation", "Xrotation"))], "'a': channels"),
    ],
)
def test_a_skeleton_that_is_none_is_refused(joints, words):
    with pytest.raises(ValueError, match=words):
        Skeleton(tuple(Joint(*((*joint, (0.0, 0.0, 0.0)) if len(joint) == 2 else joint)) for joint in joints))


def test_values_and_turns_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"values \(T, 20\).*\(4, 3\)"):
        pose_from_values(body(), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"\(T, 7, 3, 3\)"):
        positions(body(), np.zeros((4, 2, 3, 3)))


def test_json_and_back():
    skeleton = body()
    assert Skeleton.from_json(json.loads(json.dumps(skeleton.as_json()))) == skeleton
    for broken, words in (
        ({}, "joint 0 of a skeleton is malformed"),
        ({"joints": [{"name": "a", "offset": [1, 2]}]}, "expected 3"),
        ({"joints": [{"name": "a", "parent": "b", "offset": [0, 0, 0]}]}, "no joint 'b' before it"),
        ({"joints": [{"name": "a", "offset": [0, 0, 0]}, 3]}, "joint 1 of a skeleton"),
    ):
        with pytest.raises(ValueError, match=words):
            Skeleton.from_json(broken)


def test_bones_are_lines_to_the_parents():
    assert bones(body()).tolist() == [[0, 1], [1, 2], [2, 3], [1, 4], [4, 5]]
    assert bones(Skeleton((Joint("a", -1, (0.0, 0.0, 0.0)),))).shape == (0, 2)


def test_feet_are_found_by_name():
    feet = (
        """LeftFoot RightToeBase LeftToe_End left_ankle foot_l ball_r foot.R toe.L mixamorig:LeftFoot leftToes LFoot
        RIGHT_FOOT lHeel""".split()
        + ["Bip01 L Foot", "Bip01 R Toe0"]
    )
    others = "Hips LeftLeg left_eyeball EyeBall ik_foot_l Football LeftHand Tootip RightUpLeg foot_ctrl head".split()
    skeleton = Skeleton(tuple(Joint(n, i - 1, (0.0, 1.0, 0.0)) for i, n in enumerate(feet + others)))
    assert foot_joints(skeleton) == tuple(range(len(feet)))


def test_channels_for_a_skeleton_that_has_none():
    bare = Skeleton(
        (
            Joint("a", -1, (0.0, 1.0, 0.0)),
            Joint("b", 0, (0.0, 1.0, 0.0)),
            Joint("c", 0, (1.0, 0.0, 0.0), (), (2.0, 0.0, 0.0)),
        )
    )
    full = with_channels(bare, "YXZ")
    assert [len(joint.channels) for joint in full.joints] == [6, 3, 3]
    assert full.joints[1].channels == ("Yrotation", "Xrotation", "Zrotation")
    assert [joint.end for joint in full.joints] == [None, (0, 0, 0), (2, 0, 0)]
    assert full.names == bare.names and np.array_equal(full.offsets, bare.offsets)
