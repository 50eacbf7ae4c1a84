"""What a head shows of a model's groups of curves, whatever the columns are called and in whose axes."""

import numpy as np
import pytest

from audio2face.face.curves import Block, CurveGroup
from audio2face.render.head import of_camera_axes
from audio2face.render.head_curves import find_head_curves

FACE = CurveGroup("arkit", (Block("weights", ("blendShapes.JawOpen", "mouthSmile_L", "wink"), low=0.0, high=1.0),))
LIVE_LINK = CurveGroup("head", (Block("rotation", ("HeadYaw", "HeadPitch", "HeadRoll"), "YXZ", "degrees"),))


def test_weights_go_by_their_names_and_the_head_by_live_links_angles():
    found = find_head_curves({"arkit": FACE, "head": LIVE_LINK})
    assert found.names == ("jawOpen", "mouthSmileLeft", "wink")
    curves = {"arkit": np.arange(6, dtype=np.float32).reshape(2, 3), "head": np.array([[10, -20, 5], [0, 0, 0]])}
    assert found.weights(curves, 2).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.degrees(curves, 2) == pytest.approx(curves["head"], abs=1e-4)


@pytest.mark.parametrize(
    ("own", "turns"),
    [((0, 30, 0), (30, 0, 0)), ((30, 0, 0), (0, -30, 0)), ((0, 0, 30), (0, 0, -30))],
    ids=["about y", "about x", "about z"],
)
def test_a_head_that_is_told_in_its_own_axes(own, turns):
    """x to the person's left, y up, z forward: about x is a nod, and about z leans to the person's right."""
    group = CurveGroup(
        "body",
        (Block("translation", ("x", "y", "z")), Block("rotation", ("head_x", "head_y", "head_z"), "XYZ", "degrees")),
    )
    found = find_head_curves({"body": group})
    curves = {"body": np.array([[1, 2, 3, *own]], float)}
    assert found.degrees(curves, 1)[0] == pytest.approx(turns, abs=1e-4)
    assert found.names == () and found.weights(curves, 1).shape == (1, 0)
    back = Block("rotation", ("a", "b", "c"), "YXZ", "degrees").matrices(found.degrees(curves, 1))
    assert np.allclose(of_camera_axes(back), group.blocks[1].matrices(np.array([own])), atol=1e-6)


def test_without_a_head_and_without_frames():
    found = find_head_curves({"arkit": FACE})
    assert found.head is None and not found.degrees({"arkit": np.zeros((4, 3))}, 4).any()
    empty = find_head_curves({"arkit": FACE, "head": LIVE_LINK})
    assert empty.degrees({"head": np.zeros((0, 3))}, 0).shape == (0, 3)
