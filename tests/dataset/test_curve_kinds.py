"""What columns are, by their names and ranges."""

import numpy as np
import pytest

from audio2face.dataset.curve_kinds import canonical_columns, choose_columns, guess_blocks, percent_columns
from audio2face.formats.arkit_csv import ARKIT_NAMES, COLUMNS
from audio2face.formats.arkit_names import CURVES, arkit_name
from audio2face.formats.curve_table import curve_table

LIVE_LINK = tuple(arkit_name(name) or name for name in COLUMNS)


def kinds(*names, values=None, **more):
    return [(b.kind, b.names, b.form, b.unit) for b in guess_blocks(names, values, **more)]


def test_live_link():
    weights, head, left, right = guess_blocks(LIVE_LINK, np.zeros((4, 61)))
    assert (weights.kind, weights.names, weights.low, weights.high) == ("weights", LIVE_LINK[:52], 0, 1)
    assert (head.kind, head.names, head.form, head.unit) == (
        "rotation",
        ("HeadYaw", "HeadPitch", "HeadRoll"),
        "YXZ",
        "radians",
    )
    assert left.names == ("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll") and right.names[0] == "RightEyeYaw"


@pytest.mark.parametrize(
    "names",
    [
        ("yaw", "pitch", "roll"), ("pitch", "yaw", "roll"), ("head_roll", "head_yaw", "head_pitch"), ("headYaw", "headPitch", "headRoll"),
        ("headyaw", "headpitch", "headroll"), ("Head.Rotation.Pitch", "Head.Rotation.Yaw", "Head.Rotation.Roll"),
    ],
)  # fmt: skip
def test_turns_are_taken_in_the_order_of_their_form(names):
    (block,) = guess_blocks(names, np.full((2, 3), 0.1))
    ways = [next(way for way in ("yaw", "pitch", "roll") if way in name.lower()) for name in block.names]
    assert (block.kind, block.form, block.unit, ways) == ("rotation", "YXZ", "radians", ["yaw", "pitch", "roll"])
    assert canonical_columns(names) == block.names
    assert guess_blocks(names, np.full((2, 3), 7.0))[0].unit == "degrees"


def test_units_are_those_of_the_whole_table_unless_named():
    names = ("headYaw", "headPitch", "headRoll", "eye_yaw_L", "eye_pitch_L")
    values = np.zeros((3, 5))
    values[1, 0] = 20
    blocks = guess_blocks(names, values)
    assert [(b.kind, b.unit) for b in blocks] == [("rotation", "degrees"), ("angle", "degrees"), ("angle", "degrees")]
    valid = np.ones((3, 5), bool)
    valid[1, 0] = False
    assert guess_blocks(names, values, valid)[0].unit == "radians"
    assert guess_blocks(("yaw_deg", "pitch_deg", "roll_deg"), np.zeros((1, 3)))[0].unit == "degrees"


def test_places_quaternions_and_the_rest():
    assert kinds("head_position_x", "head_position_y", "head_position_z") == [
        ("translation", ("head_position_x", "head_position_y", "head_position_z"), "", "")
    ]
    assert kinds("tx", "ty", "tz", "rotX", "rotY", "rotZ")[0][0] == "translation"
    assert [k[0] for k in kinds("rx", "ry", "rz")] == ["angle"] * 3
    assert kinds("rot_w", "rot_x", "rot_y", "rot_z") == [
        ("rotation", ("rot_x", "rot_y", "rot_z", "rot_w"), "quaternion", "")
    ]
    assert kinds("root_x", "root_y", "energy", "x", "controller") == [
        ("plain", ("root_x", "root_y", "energy", "x", "controller"), "", "")
    ]
    assert kinds("_neutral", "jawOpen", "mouthRollLower")[0] == ("plain", ("_neutral",), "", "")


def test_every_column_is_in_one_block():
    rng = np.random.default_rng(0)
    pool = [*LIVE_LINK, "tx", "ty", "tz", "qx", "qy", "qz", "qw", "a", "b", "yaw", "pitch", "neck_yaw", "x"]
    for _ in range(50):
        names = tuple(rng.permutation(pool)[: rng.integers(1, len(pool))].tolist())
        found = [name for block in guess_blocks(names, rng.normal(size=(3, len(names)))) for name in block.names]
        assert sorted(found) == sorted(names)
        assert set(canonical_columns(names)) >= set(names)


def test_all_52_in_their_order():
    assert canonical_columns(("jawOpen", "_neutral", "eyeBlinkLeft")) == (*CURVES, "_neutral")
    assert CURVES[0] == "eyeBlinkLeft" and len(CURVES) == len(ARKIT_NAMES)
    assert canonical_columns(("a", "jawOpen", "b")) == ("a", "jawOpen", "b")
    assert canonical_columns(("a", "pitch", "b", "yaw", "roll")) == ("a", "yaw", "b", "pitch", "roll")


def test_kinds_that_are_told():
    six = ("a", "b", "c", "d", "e", "f")
    assert kinds(*six, kind={"kind": "rotation", "form": "ZXY", "unit": "degrees"}) == [
        ("rotation", six[:3], "ZXY", "degrees"), ("rotation", six[3:], "ZXY", "degrees"),
    ]  # fmt: skip
    assert kinds("pitch", "yaw", "roll", kind={"kind": "rotation", "form": "ZXY"})[0][1] == ("roll", "pitch", "yaw")
    assert kinds(*six, kind={"kind": "weights", "high": 100})[0] == ("weights", six, "", "")
    assert guess_blocks(six, kind={"kind": "weights", "high": 100})[0].high == 100
    assert kinds(*six, kind={"kind": "angle"}, values=np.full((1, 6), 90.0)) == [("angle", six, "", "degrees")]
    assert kinds(*six, kind={"kind": "translation"}) == [("translation", six, "", "")]
    assert kinds("rot_x", "rot_y", "rot_z", kind={"kind": "rotation", "form": "axis_angle"})[0][2] == "axis_angle"
    for told, words in (
        ({"kind": "rotation"}, "the form of the rotation a, b, .* is not clear"),
        ({"kind": "rotation", "form": "quaternion"}, "have 4 columns each, there are 6"),
        ({"kind": "rotation", "form": "XQZ"}, "XQZ"),
        ({"kind": "colour"}, "colour"),
    ):
        with pytest.raises(ValueError, match=words):
            guess_blocks(six, kind=told)


def test_columns_of_a_group():
    table = curve_table(LIVE_LINK, np.zeros((3, 61)))
    assert choose_columns(table, "arkit", False).names == LIVE_LINK[:52]
    assert choose_columns(table, "head", False).names == LIVE_LINK[52:55]
    assert choose_columns(table, "eyes", True).names == LIVE_LINK[55:]
    assert choose_columns(table, "body", True).names == LIVE_LINK
    turns = curve_table(("yaw", "pitch", "roll", "tx", "ty", "tz"), np.zeros((3, 6)))
    assert choose_columns(turns, "head", True).names == turns.names
    assert (
        choose_columns(turns, "arkit", True).names == () and choose_columns(turns, "arkit", False).names == turns.names
    )
    tracked = curve_table(("_neutral", "jawOpen"), np.zeros((3, 2)))
    assert choose_columns(tracked, "arkit", False).names == ("jawOpen",)


def test_percent_is_told():
    values = np.zeros((3, 3))
    values[1] = 40, 1, 300
    assert percent_columns(curve_table(("jawOpen", "tongueOut", "x"), values)) == ("jawOpen", "tongueOut")
    assert percent_columns(curve_table(("jawOpen", "tongueOut", "x"), values / 40)) == ()
    assert percent_columns(curve_table(("jawOpen",), np.full((3, 1), 255))) == ()
