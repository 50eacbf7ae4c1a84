"""Key points of the jaw: chosen on the lower teeth or estimated behind the chin, and moved as a rigid jaw moves."""

import numpy as np
import pytest

from audio2face.formats.scene import MorphMesh
from audio2face.importing.arkit_rig import CURVES, ArkitPoses
from audio2face.importing.jaw import chin_points, teeth_points


def curves(**values):
    """One frame (1, 52) of ARKit curves, 0 but for those given."""
    row = np.zeros((1, len(CURVES)), np.float32)
    for name, value in values.items():
        row[0, CURVES.index(name)] = value
    return row


@pytest.fixture
def teeth():
    """Upper and lower row of ten vertices; jawOpen lowers the lower row by 1."""
    x = np.linspace(-2, 2, 10)
    rows = [np.stack([x, np.full(10, y), 8 - x**2], axis=1) for y in (0.5, -0.5)]
    rest = np.concatenate(rows).astype(np.float32)
    opening = np.zeros_like(rest)
    opening[10:, 1] = -1
    poses = ArkitPoses(("jawOpen",), opening[None])
    mesh = MorphMesh("teeth", rest, np.array([[0, 1, 2]]), opening[None], ("jawOpen",), np.zeros((0, 1), np.float32))
    return mesh, poses


def test_points_are_spread_over_the_lower_teeth_and_move_with_their_own_poses(teeth):
    mesh, poses = teeth
    points = teeth_points(mesh, poses)
    assert (points.rest[:, 1] == -0.5).all()
    assert len(np.unique(points.rest, axis=0)) == 5
    assert points.rest[0, 2] == mesh.rest[10:, 2].max()  # the first lies at the front
    assert np.ptp(points.rest[:, 0]) == 4  # from one end to the other
    np.testing.assert_allclose(points.motion(curves(jawOpen=0.5))[0], np.tile([0, -0.5, 0], (5, 1)))


@pytest.mark.parametrize(("names", "opening"), [(("jawLeft",), 1.0), (("jawOpen",), 0.0)])
def test_teeth_that_no_shape_opens_have_no_points(teeth, names, opening):
    mesh, poses = teeth
    assert teeth_points(mesh, ArkitPoses(names, poses.deltas * opening)) is None


def test_too_few_lower_teeth_have_no_points(teeth):
    mesh, poses = teeth
    few = poses.deltas.copy()
    few[:, 14:] = 0
    assert teeth_points(mesh, ArkitPoses(poses.names, few)) is None


@pytest.fixture
def chin():
    """A face of a grid whose lower fifth is the chin: it turns by `angle` about the x axis with jawOpen."""
    x, y = np.meshgrid(np.linspace(-5, 5, 11), np.linspace(-10, 10, 21))
    rest = np.stack([x, y, 9 - 0.05 * x**2 - 0.02 * y**2], axis=-1).reshape(-1, 3).astype(np.float32)
    lower = rest[:, 1] < -5
    angle = 0.1
    turn = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
    opening = np.where(lower[:, None], rest @ turn.T - rest, 0).astype(np.float32)
    smile = np.where(lower[:, None], np.sin(rest), 0).astype(np.float32)
    return rest, ArkitPoses(("jawOpen", "mouthSmileLeft"), np.stack([opening, smile])), turn


def test_estimated_points_turn_with_the_chin_but_not_with_its_skin(chin):
    rest, poses, turn = chin
    points = chin_points(rest, poses)
    assert points.rest.shape == (5, 3) and points.rest[:, 2].max() < rest[:, 2].max()  # behind the skin
    for smile in (0.0, 1.0):
        moved = points.motion(curves(jawOpen=1.0, mouthSmileLeft=smile))[0]
        np.testing.assert_allclose(moved, points.rest @ turn.T - points.rest, atol=1e-3)
    assert np.abs(points.motion(curves(mouthSmileLeft=1.0))).max() < 1e-5


def test_a_face_whose_jaw_does_not_open_has_no_points(chin):
    rest, poses, _ = chin
    assert chin_points(rest, ArkitPoses(("mouthSmileLeft",), poses.deltas[1:])) is None
    assert chin_points(rest, ArkitPoses(poses.names, poses.deltas * 0)) is None
