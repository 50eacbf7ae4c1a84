"""A mesh follows a skeleton: against the definition of skinning, other rest poses, sizes and names."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.body import arm, body_arrays

from audio2face.face.body_skin import bind, match
from audio2face.face.skeleton import pose_from_values, positions, world_rotations
from audio2face.formats.body_mesh import body_mesh
from audio2face.formats.smplx import SKELETON


def posed(mesh, skeleton, values):
    """Vertices (T, V, 3) of a bound mesh, and world turns and places of the joints."""
    turns, places = pose_from_values(skeleton, np.asarray(values, float))
    world, joints = world_rotations(skeleton, turns), positions(skeleton, turns, places)
    bound = bind(mesh, skeleton)
    return np.stack([bound.posed(*frame) for frame in zip(world, joints, strict=True)]), world, joints


def random_values(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(0, [5] * 3 + [60] * 9, (count, 12))


def test_a_mesh_at_rest_is_as_it_was_bound() -> None:
    mesh = body_mesh(body_arrays())
    found, _, _ = posed(mesh, arm(), np.zeros((1, 12)))
    np.testing.assert_allclose(found[0], mesh.vertices, atol=1e-6)


def test_vertices_follow_their_bones_by_the_definition() -> None:
    mesh = body_mesh(body_arrays())
    found, world, joints = posed(mesh, arm(), random_values())
    for vertex, (bones, weights) in enumerate(zip(mesh.bones, mesh.weights, strict=True)):
        expected = sum(
            w * ((world[:, b] @ (mesh.vertices[vertex] - mesh.heads[b])) + joints[:, b])
            for b, w in zip(bones, weights, strict=True)
        )
        np.testing.assert_allclose(found[:, vertex], expected, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "mixamorig:", "Armature_"])
def test_size_and_pose_of_the_mesh_do_not_matter(prefix: str) -> None:
    """Metres on centimetres, and an arm that hangs on one that is held sideways."""
    plain, values = body_mesh(body_arrays()), random_values()
    expected, _, _ = posed(plain, arm(100.0), values)
    other = body_mesh(body_arrays(0.01, prefix, hanging=True))
    if prefix == "Armature_":
        assert bind(other, arm(100.0)) is None
        return
    found, _, _ = posed(other, arm(100.0), values)
    np.testing.assert_allclose(found[:, 4:], expected[:, 4:], atol=0.5)  # of 200; the last bone keeps its parent's turn


def test_bones_that_the_skeleton_lacks_go_with_their_parents() -> None:
    arrays = body_arrays()
    arrays |= {"bone_names": np.array(["root", "upper", "lower", "hand"]), "bone_parents": np.array([-1, 0, 1, 2])}
    arrays["bone_heads"] = np.concatenate([arrays["bone_heads"], [[3, 0, 0]]]).astype(np.float32)
    arrays["skin_bones"][4:, 0] = 3
    values = random_values()
    found, _, _ = posed(body_mesh(arrays), arm(), values)
    np.testing.assert_allclose(found, posed(body_mesh(body_arrays()), arm(), values)[0], atol=1e-5)


def test_names_of_smplx_are_those_of_mixamo() -> None:
    bones = (
        "mixamorig:Hips",
        "mixamorig:LeftUpLeg",
        "mixamorig:RightForeArm",
        "mixamorig:LeftHandIndex2",
        "mixamorig:Spine",
    )
    found = match(bones, SKELETON.names)
    wanted = ["pelvis", "left_hip", "right_elbow", "left_index2", "spine1"]
    assert [SKELETON.names[found[k]] for k in range(5)] == wanted
    assert match(("left_hip", "Left-Knee"), ("LEFT_HIP", "left_knee")) == {0: 0, 1: 1}
