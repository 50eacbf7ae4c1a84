"""Curves as scenes: the built-in head and bodies move as in our own films."""

from dataclasses import replace

import numpy as np
import pytest
from fakes.curves import BODY
from fakes.glb import Glb

from audio2face.face import rotations
from audio2face.face import skeleton as skeletons
from audio2face.face.curves import Block
from audio2face.formats.gltf import write_gltf
from audio2face.inference.scenes import body_figure, head_figure, head_turn
from audio2face.render.head import builtin_head, head_turns, head_weights, pose_head
from audio2face.types import Joint, Skeleton

FPS = 30.0


def test_the_built_in_head_is_that_of_films(tmp_path):
    """To what the shapes leave out: lids that slide and lips that do not cross."""
    rng, head = np.random.default_rng(0), builtin_head()
    names = ("JawOpen", "mouthSmile_L", "wink")
    weights = rng.uniform(0, 0.5, (4, 3)).astype(np.float32)
    block = Block("rotation", ("HeadYaw", "HeadPitch", "HeadRoll"), "YXZ", "degrees")
    rotation = head_turns(block, np.array([[0, 0, 0], [30, 0, 0], [0, 20, 0], [10, -10, 15]]))
    write_gltf(tmp_path / "a.glb", [], FPS, figures=[head_figure(weights, names, rotation)])
    found, posed = Glb(tmp_path / "a.glb"), pose_head(head_weights(weights, names), rotation)
    for t in range(4):
        gap = np.linalg.norm(100 * found.vertices("face", t) - posed[t], axis=1)
        assert gap.max() < 0.05 and gap.mean() < 0.005, t
    nose = head.vertices[:, 2].argmax()
    assert 100 * found.vertices("face", 1)[nose, 0] > 4  # yaw of a phone: to the person's left
    (mesh,) = found.root["meshes"]
    assert mesh["extras"]["targetNames"] == list(head.names) and len(head.names) == 52


def test_a_head_that_only_turns_has_no_shapes():
    figure = head_figure(np.zeros((3, 0)), (), rotations.from_euler(np.array([[0.1, 0, 0]] * 3), "YXZ"))
    assert figure.mesh.targets.shape == (0, len(builtin_head().vertices), 3) and figure.mesh.weights.shape == (3, 0)
    assert figure.skeleton.names == ("neck", "head")
    np.testing.assert_allclose(figure.rest[1], builtin_head().pivot, atol=1e-6)


@pytest.mark.parametrize(("scale", "units"), [(1.0, 100.0), (0.01, 1.0), (10.0, 1000.0)])
def test_a_body_is_as_tall_as_a_person(scale, units):
    joints = tuple(
        replace(j, offset=tuple(scale * v for v in j.offset), end=j.end and tuple(scale * v for v in j.end))
        for j in BODY.joints
    )
    rng = np.random.default_rng(0)
    values = rng.uniform(-50, 50, (5, 9))
    figure = body_figure("body", Skeleton(joints), values)
    assert figure.units_per_metre == units and not figure.z_up
    turns, places = skeletons.pose_from_values(Skeleton(joints), values)
    np.testing.assert_allclose(rotations.from_quaternion(figure.quaternions), turns, atol=1e-9)
    np.testing.assert_array_equal(figure.places, places)
    assert figure.mesh.rest[:, 1].max() == pytest.approx(scale * 150, rel=0.05)


def test_bodies_with_z_up_and_of_one_joint():
    up = Skeleton((Joint("hip", -1, (0, 0, 0.9), ("Xrotation",)), Joint("neck", 0, (0, 0.1, 0.6), ("Xrotation",))))
    assert body_figure("body", up, np.zeros((2, 2))).z_up
    alone = Skeleton((Joint("head", -1, (0, 0, 0), ("Xrotation",)),))
    figure = body_figure("head", alone, np.zeros((2, 1)))
    assert figure.mesh is None and figure.quaternions.shape == (2, 1, 4)


def test_a_mesh_turns_about_its_neck():
    points = np.array([[-8.0, -10, -9], [8, 14, 11], [0, 0, 12]])
    turn = head_turn(np.tile(np.eye(3), (2, 1, 1)), points)
    assert turn.pivot == pytest.approx([0, 2 - 6, 1.5 - 2.1]) and turn.quaternions.tolist() == [[0, 0, 0, 1]] * 2
