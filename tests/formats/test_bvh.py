"""BVH files: what is written comes back, what other programs write is read, and every damage is named with its line."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio2face.formats.bvh import MOST_DEPTH, MOST_JOINTS, read_bvh, write_bvh
from audio2face.types import JOINT_CHANNELS, Joint, Skeleton

TEXT = """HIERARCHY
ROOT Hips
{
\tOFFSET 0.0 87.5 0.0
\tCHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
\tJOINT Spine
\t{
\t\tOFFSET 0.000000 8.25 -2.5
\t\tCHANNELS 3 Zrotation Xrotation Yrotation
\t\tEnd Site
\t\t{
\t\t\tOFFSET 0.0 1.0 0.0
\t\t}
\t}
\tJOINT Leg
\t{
\t\tOFFSET 1 0 0
\t\tCHANNELS 0
\t}
}
MOTION
Frames: 2
Frame Time: 0.0333333
0 1 2 3 4 5 6 7 8
9 10.5 -11 1e1 0 0 0 0 -0.125
"""
OFFSETS = st.tuples(*[st.floats(-1e6, 1e6, allow_nan=False)] * 3)


def read(tmp_path, text):
    (tmp_path / "a.bvh").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_bvh(tmp_path / "a.bvh")


def refused(tmp_path, text, words):
    with pytest.raises(ValueError, match=words) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "a.bvh"))


def test_a_file_is_read(tmp_path):
    skeleton, values, frame_time_s = read(tmp_path, TEXT)
    assert skeleton.joints == (
        Joint("Hips", -1, (0, 87.5, 0), (*JOINT_CHANNELS[:3], "Zrotation", "Yrotation", "Xrotation")),
        Joint("Spine", 0, (0, 8.25, -2.5), ("Zrotation", "Xrotation", "Yrotation"), (0, 1, 0)),
        Joint("Leg", 0, (1, 0, 0)),
    )
    assert values.dtype == np.float64 and frame_time_s == 0.0333333
    assert values.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 8], [9, 10.5, -11, 10, 0, 0, 0, 0, -0.125]]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\t", "   ").replace(" ", " \t "),
        lambda text: re.sub(r"\s*\n\s*{", " {", text),
        lambda text: re.sub(r"\n\s*}", " }", text),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", "  \n").replace("Frame Time: ", "Frame Time:\t"),
        lambda text: (
            text.replace("HIERARCHY", "Hierarchy").replace("rotation", "ROTATION").replace("End Site", "END SITE")
        ),
        lambda text: text.replace("Frames:", "Frames :").replace("MOTION\n", "MOTION "),
    ],
)
def test_other_ways_of_writing_the_same(tmp_path, change):
    skeleton, values, frame_time_s = read(tmp_path, TEXT)
    again, same, time_s = read(tmp_path, change(TEXT))
    assert again == skeleton and np.array_equal(same, values) and time_s == frame_time_s


def test_names_may_have_spaces_and_be_of_any_language(tmp_path):
    text = TEXT.replace("JOINT Spine", "JOINT Bip01 L Foot")
    assert read(tmp_path, text)[0].names == ("Hips", "Bip01 L Foot", "Leg")
    assert read(tmp_path, TEXT.replace("Spine", "背骨"))[0].names[1] == "背骨"
    assert read(tmp_path, TEXT.replace("Spine", "Rücken").encode("latin-1"))[0].names[1] == "Rücken"
    skeleton, values, _ = read(tmp_path, text.replace("Leg", "MOTION"))
    write_bvh(tmp_path / "b.bvh", skeleton, values, 30)
    assert read_bvh(tmp_path / "b.bvh")[0] == skeleton


def test_several_roots_and_a_tip_beside_children(tmp_path):
    text = TEXT.replace("MOTION", "ROOT Prop\n{\nOFFSET 0 0 0\nCHANNELS 1 Yposition\n}\nMOTION").replace(
        " 8\n", " 8 9\n"
    )
    text = text.replace("-0.125", "-0.125 4").replace("\tJOINT Leg", "\tEnd Site\n{\nOFFSET 3 2 1\n}\n\tJOINT Leg")
    skeleton, values, _ = read(tmp_path, text)
    assert skeleton.parents.tolist() == [-1, 0, 0, -1] and skeleton.joints[0].end == (3, 2, 1)
    write_bvh(tmp_path / "b.bvh", skeleton, values, 30)
    again, same, _ = read_bvh(tmp_path / "b.bvh")
    assert again == skeleton and np.array_equal(same, values)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_skeleton_comes_back(tmp_path_factory, data):
    joints = []
    for place in range(data.draw(st.integers(1, 12))):
        parent = data.draw(st.integers(-1 if place == 0 else 0, place - 1))
        channels = tuple(data.draw(st.permutations(JOINT_CHANNELS)))[: data.draw(st.integers(place == 0, 6))]
        joints.append(Joint(f"j{place}", parent, data.draw(OFFSETS), channels, data.draw(st.none() | OFFSETS)))
    skeleton = Skeleton(tuple(joints))
    frames = data.draw(st.integers(0, 3))
    values = np.random.default_rng(0).uniform(-720, 720, (frames, skeleton.num_channels))
    path = tmp_path_factory.mktemp("bvh") / "a.bvh"
    write_bvh(path, skeleton, values, 60)
    again, same, frame_time_s = read_bvh(path)
    assert frame_time_s == pytest.approx(1 / 60, rel=1e-12)
    assert by_name(again, same, 1e-6) == by_name(skeleton, values, 1e-6)
    write_bvh(path.with_name("b.bvh"), again, same, 1 / frame_time_s)
    assert path.read_bytes() == path.with_name("b.bvh").read_bytes()


def by_name(skeleton, values, digit):
    """{name: (parent's name, offset, channels, tip, values)}, whatever the order of the joints."""
    ends = np.cumsum([len(joint.channels) for joint in skeleton.joints])
    return {
        j.name: (
            skeleton.names[j.parent] if j.parent >= 0 else None, j.offset, j.channels, j.end,
            np.round(values[:, end - len(j.channels) : end], 6).tolist(),
        )
        for j, end in zip(skeleton.joints, ends, strict=True)
    }  # fmt: skip


def test_a_sorted_skeleton_comes_back_as_it_is(tmp_path):
    skeleton, values, _ = read(tmp_path, TEXT)
    values = np.random.default_rng(0).uniform(-180, 180, (50, 9))
    write_bvh(tmp_path / "b.bvh", skeleton, values, 30)
    again, same, _ = read_bvh(tmp_path / "b.bvh")
    assert again == skeleton and np.abs(same - values).max() < 1e-6
    assert b"e-" not in (tmp_path / "b.bvh").read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: "", "line 1: expected HIERARCHY, found the end"),
        (lambda t: "{\n}" + t, "line 1: expected HIERARCHY, the first word of a .bvh, found '{'"),
        (lambda t: t[: t.index("MOTION")], "line 21: expected MOTION, found the end of the file"),
        (lambda t: t[: t.index("Frames")], "line 21: expected \"Frames: <count>\""),
        (lambda t: "HIERARCHY\n" + t[t.index("MOTION") :], "line 2: expected ROOT before MOTION"),
        (lambda t: t.replace("Yrotation", "Wrotation", 1), "line 5: unknown channel 'Wrotation'; known: Xposition,"),
        (lambda t: t.replace("Yrotation", "Zrotation", 1), "line 5: a channel comes twice in Xposition"),
        (lambda t: t.replace("CHANNELS 6", "CHANNELS 7"), "line 5: expected 0 to 6 channels, found '7'"),
        (lambda t: t.replace("CHANNELS 6", "CHANNELS 4"), "line 5: expected OFFSET, CHANNELS, .*found 'YROTATION'"),
        (lambda t: t.replace("CHANNELS 6", "CHANNELS -6"), "line 5: expected 0 to 6 channels, found '-6'"),
        (lambda t: t.replace("CHANNELS 0", "CHANNELS 0\nCHANNELS 0").replace("CHANNELS 0", "CHANNELS 1 Xrotation"),
         "line 19: joint 'Leg' has channels already"),
        (lambda t: t.replace("Leg", "Spine"), "line 16: two joints are named 'Spine'; rename one"),
        (lambda t: t.replace("JOINT Leg", "JOINT"), "line 16: expected a name and {"),
        (lambda t: t.replace("JOINT Leg", "ROOT Leg"), "line 15: expected OFFSET, CHANNELS, JOINT, End Site or }, found 'ROOT'"),
        (lambda t: t.replace("OFFSET 1 0 0", "OFFSET 1 0"), "line 18: expected three numbers, found '1 0 CHANNELS'"),
        (lambda t: t.replace("OFFSET 1 0 0", "OFFSET 1 0 nan"), "line 17: expected three numbers, found '1 0 nan'"),
        (lambda t: t.replace("OFFSET 0.0 1.0 0.0", ""), "line 13: expected OFFSET of an End Site, found '}'"),
        (lambda t: t.replace("}\nMOTION", "MOTION"), "line 20: expected OFFSET, CHANNELS, .* found 'MOTION'"),
        (lambda t: t.replace("}\nMOTION", "}\n}\nMOTION"), "line 21: expected ROOT or MOTION, found '}'"),
        (lambda t: t.replace("Frames: 2", "Frames: 3"), "line 23: Frames: expected 3 of 18 bytes, the file has"),
        (lambda t: t.replace("Frames: 2", "Frames: 3").replace("8\n", "8.000000000000\n"),
         "line 25: expected 3 rows as Frames says, found 2; copy or export"),
        (lambda t: t.replace("Frames: 2", "Frames: 1"), "line 25: expected 1 rows as Frames says, found more"),
        (lambda t: t.replace("Frames: 2", "Frames: 9"), "line 23: Frames: expected 9 of 18 bytes"),
        (lambda t: t.replace("Frames: 2", "Frames: -2"), "line 22: expected a number of frames, found '-2'"),
        (lambda t: t.replace("Frames: 2", "Frames: two"), "line 22: expected a number of frames, found 'two'"),
        (lambda t: t.replace("0.0333333", "0"), "line 23: expected a frame time in seconds above 0, found '0'"),
        (lambda t: t.replace("0.0333333", "inf"), "line 23: expected a frame time"),
        (lambda t: t.replace("0.0333333", "30fps"), "line 23: expected a frame time"),
        (lambda t: t.replace(" 7 8\n", " 7\n"), "line 24: expected 9 values, one per channel, found 8"),
        (lambda t: t.replace(" 7 8\n", " 7 8 9\n"), "line 24: expected 9 values, one per channel, found 10"),
        (lambda t: t.replace("-11", "-1l"), "line 25: could not convert .*-1l"),
        (lambda t: t.replace("-11", "nan"), "line 25: expected numbers, found NaN or infinity"),
        (lambda t: t.replace("-11", "1e999"), "line 25: expected numbers, found NaN or infinity"),
        (lambda t: t[:-10], "line 25: expected 9 values, one per channel, found 7"),
        (lambda t: re.sub("CHANNELS .*", "CHANNELS 0", t), "no joint has a channel"),
    ],
)  # fmt: skip
def test_damage_is_named_with_its_line(tmp_path, change, words):
    refused(tmp_path, change(TEXT), words)


def test_too_many_joints_or_too_deep(tmp_path):
    joint = "JOINT j{0} {{ OFFSET 0 0 0 CHANNELS 1 Xrotation\n"
    chain = "".join(joint.format(i) for i in range(1, MOST_DEPTH))
    head, tail = "HIERARCHY ROOT j0 { OFFSET 0 0 0 CHANNELS 1 Xrotation\n", " MOTION Frames: 1 Frame Time: 1\n"
    skeleton, values, _ = read(tmp_path, head + chain + "}" * MOST_DEPTH + tail + "0 " * MOST_DEPTH)
    assert len(skeleton.joints) == MOST_DEPTH
    write_bvh(tmp_path / "b.bvh", skeleton, values, 30)
    assert read_bvh(tmp_path / "b.bvh")[0] == skeleton
    refused(
        tmp_path, head + chain + joint.format("x"), f"line {MOST_DEPTH + 1}: more than .*{MOST_DEPTH} within each other"
    )
    flat = "".join(joint.format(i) + "}" for i in range(1, MOST_JOINTS + 1))
    refused(tmp_path, head + flat, f"line {MOST_JOINTS + 1}: more than {MOST_JOINTS} joints")


@pytest.mark.parametrize(
    ("values", "fps", "words"),
    [
        (np.zeros((2, 8)), 30, r"expected \(T, 9\), found values \(2, 8\)"),
        (np.full((2, 9), np.nan), 30, "expected numbers"),
        (np.zeros((2, 9)), 0, "a rate of 0"),
        (np.zeros((2, 9)), float("inf"), "a rate of inf"),
    ],
)
def test_what_cannot_be_written(tmp_path, values, fps, words):
    skeleton, _, _ = read(tmp_path, TEXT)
    with pytest.raises(ValueError, match=words):
        write_bvh(tmp_path / "b.bvh", skeleton, values, fps)
    assert not (tmp_path / "b.bvh").exists()


@pytest.mark.parametrize("name", ["a{b", "a\nb", "", "a  b"])
def test_names_that_a_file_cannot_hold(tmp_path, name):
    with pytest.raises(ValueError, match="cannot hold the joint name"):
        write_bvh(
            tmp_path / "b.bvh", Skeleton((Joint(name, -1, (0.0, 0.0, 0.0), ("Xrotation",)),)), np.zeros((1, 1)), 30
        )


def test_a_skeleton_without_channels_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="expected a skeleton with channels"):
        write_bvh(tmp_path / "b.bvh", Skeleton((Joint("a", -1, (0.0, 0.0, 0.0)),)), np.zeros((1, 0)), 30)
