"""Skeletons and turning heads in glTF and USD, as readers of these formats place them."""

import numpy as np
import pytest
from fakes.glb import Glb, validator_issues

from audio2face.face import rotations
from audio2face.face import skeleton as skeletons
from audio2face.formats.gltf import read_gltf, write_gltf
from audio2face.formats.gltf_rig import read_gltf_rig
from audio2face.formats.scene import Figure, MorphMesh, PointMesh, Turn, linear_colours
from audio2face.types import Joint, Skeleton

FRAMES, FPS = 6, 24.0
TURN = ("Zrotation", "Xrotation", "Yrotation")
MOVE = ("Xposition", "Yposition", "Zposition")
BODY = Skeleton(
    (
        Joint("Hips", -1, (0.0, 90.0, 0.0), (*MOVE, *TURN)),
        Joint("the spine", 0, (0.0, 20.0, -3.0), TURN),
        Joint("Head", 1, (0.0, 40.0, 2.0), TURN, (0.0, 20.0, 0.0)),
        Joint("the.spine", 0, (15.0, 0.0, 0.0), (*MOVE, *TURN)),
    )
)
QUAD = np.array([[0, 0, 0], [1, 0, 0.5], [1, 1, 0], [0, 1, 0.25]], np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def turns(*shape, seed=0):
    return rotations.from_axis_angle(np.random.default_rng(seed).normal(size=(*shape, 3)))


def morphing(name="skin", shapes=2, seed=0, rest=QUAD, triangles=FACES):
    rng = np.random.default_rng(seed)
    targets, weights = rng.normal(size=(shapes, *rest.shape)), rng.uniform(size=(FRAMES, shapes))
    names = tuple(f"{name}_{k}" for k in range(shapes))
    return MorphMesh(name, rest, triangles, targets.astype("f4"), names, weights.astype("f4"), np.full(rest.shape, 0.5))


def body(shapes=2, **more):
    """(figure, local rotations, local places): every vertex of its mesh goes with two joints."""
    local = turns(FRAMES, 4)
    places = np.broadcast_to(BODY.offsets, (FRAMES, 4, 3)).copy()
    places[:, [0, 3]] += np.random.default_rng(1).normal(size=(FRAMES, 2, 3))
    rng = np.random.default_rng(2)
    rest = rng.uniform(-20, 120, (12, 3)).astype(np.float32)
    mesh = morphing("bones", shapes, rest=rest, triangles=np.arange(12).reshape(4, 3))
    share = rng.uniform(size=(12, 1))
    joints = np.stack([rng.integers(0, 2, 12), rng.integers(2, 4, 12)], axis=1)
    figure = Figure(
        "body", BODY, rotations.to_quaternion(local), places, mesh, joints, np.hstack([share, 1 - share]), **more
    )
    return figure, local, places


def skinned(figure, local, places):
    """Vertices (T, V, 3) of a figure's mesh by the definition of linear blend skinning."""
    world, at = skeletons.world_rotations(BODY, local), skeletons.positions(BODY, local, places)
    shaped = figure.mesh.rest + np.tensordot(figure.mesh.weights, figure.mesh.targets, 1)
    moved = 0
    for k in range(2):
        joint = figure.joints[:, k]
        away = shaped - figure.rest[joint]
        moved = moved + figure.shares[:, k, None] * (np.einsum("tvij,tvj->tvi", world[:, joint], away) + at[:, joint])
    return moved


def upright(points):
    return points[..., [0, 2, 1]] * [1, 1, -1]


@pytest.mark.parametrize("z_up", [False, True])
def test_a_skeleton_moves_in_glb_as_it_does_by_forward_kinematics(tmp_path, z_up):
    figure, local, places = body(units_per_metre=100.0, z_up=z_up)
    write_gltf(tmp_path / "a.glb", [], FPS, figures=[figure])
    found, stand = Glb(tmp_path / "a.glb"), upright if z_up else np.asarray
    at, mesh = skeletons.positions(BODY, local, places), skinned(figure, local, places)
    for t in (0, 3, FRAMES - 1):
        for joint, name in enumerate(BODY.names):
            np.testing.assert_allclose(100 * found.place(name, t), stand(at[t, joint]), atol=1e-4)
        np.testing.assert_allclose(100 * found.vertices("bones", t), stand(mesh[t]), atol=2e-4)
    times = next(iter(found.tracks.values()))[0]
    np.testing.assert_allclose(times, np.arange(FRAMES) / FPS, rtol=1e-6)
    moved = {found.names[node] for node, what in found.tracks if what == "translation"}
    assert moved == {"Hips", "the.spine"}  # of the others the place is that of the skeleton


def test_a_head_turns_about_its_pivot_in_glb(tmp_path):
    local, pivot = turns(FRAMES), np.array([1.0, -2.0, 0.5])
    mesh, still = morphing(), morphing("tongue", 0)
    turn = Turn(rotations.to_quaternion(local), pivot)
    write_gltf(tmp_path / "a.glb", [mesh, still], FPS, 100.0, turn, [body()[0]])
    found = Glb(tmp_path / "a.glb")
    for t in range(FRAMES):
        shaped = mesh.rest + np.tensordot(mesh.weights[t], mesh.targets, 1)
        np.testing.assert_allclose(100 * found.vertices("skin", t), (shaped - pivot) @ local[t].T + pivot, atol=1e-5)
        np.testing.assert_allclose(100 * found.vertices("tongue", t), (QUAD - pivot) @ local[t].T + pivot, atol=1e-5)
    again, fps = read_gltf(tmp_path / "a.glb")
    assert [m.name for m in again] == ["skin", "tongue", "bones"] and fps == pytest.approx(FPS, rel=1e-5)
    np.testing.assert_array_equal(again[0].weights, mesh.weights)


def test_our_reader_of_rigs_takes_the_rest_pose_of_a_figure(tmp_path):
    figure = body()[0]
    write_gltf(tmp_path / "a.glb", [], FPS, figures=[figure])
    (rig,) = read_gltf_rig(tmp_path / "a.glb")
    np.testing.assert_allclose(100 * rig.rest, figure.mesh.rest, atol=1e-4)
    np.testing.assert_allclose(100 * rig.targets, figure.mesh.targets, atol=1e-4)


def test_a_skeleton_without_a_mesh_and_colours_as_light(tmp_path):
    figure = body()[0]
    bare = Figure("body", BODY, figure.quaternions, figure.places)
    write_gltf(tmp_path / "a.glb", [], FPS, figures=[bare])
    found = Glb(tmp_path / "a.glb")
    assert "meshes" not in found.root and "skins" not in found.root and len(found.tracks) == 4 + 2
    np.testing.assert_allclose(linear_colours(np.array([[0, 0.5, 1.0]])), [[0, 0.21404, 1]], atol=1e-5)
    with pytest.raises(ValueError, match="4 joints, quaternions"):
        Figure("body", BODY, figure.quaternions[:, :3], figure.places)
    with pytest.raises(ValueError, match="without the joints"):
        Figure("body", BODY, figure.quaternions, figure.places, figure.mesh)


# ---- USD


def usd():
    pytest.importorskip("pxr.Usd")
    from pxr import Usd, UsdGeom, UsdSkel, UsdValidation

    return Usd, UsdGeom, UsdSkel, UsdValidation


def opened(path):
    """The stage of a file that its own validators find nothing wrong with."""
    Usd, _, _, UsdValidation = usd()
    stage = Usd.Stage.Open(str(path))
    context = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    assert [error.GetMessage() for error in context.Validate(stage)] == []
    return stage


def vertices(stage, place, t):
    """Points (V, 3) of a mesh in the world, in the stage's unit."""
    _, UsdGeom, _, _ = usd()
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath(place))
    matrix = np.array(UsdGeom.XformCache(t).GetLocalToWorldTransform(mesh.GetPrim()))
    return np.array(mesh.GetPointsAttr().Get(t)) @ matrix[:3, :3] + matrix[3, :3]


@pytest.mark.parametrize(("units", "z_up"), [(100.0, False), (1.0, True)])
def test_a_skeleton_moves_in_usd_as_it_does_by_forward_kinematics(tmp_path, units, z_up):
    _, UsdGeom, UsdSkel, _ = usd()
    from audio2face.formats.usd import write_usd_points

    figure, local, places = body(units_per_metre=units, z_up=z_up)
    write_usd_points(tmp_path / "a.usdc", [], FPS, 100.0, figures=[figure])
    stage, stand, scale = opened(tmp_path / "a.usdc"), upright if z_up else np.asarray, 100 / units
    assert (stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond()) == (FRAMES - 1, FPS)
    query = UsdSkel.Cache().GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath("/Face/body/Skeleton")))
    assert list(query.GetJointOrder()) == ["Hips", "Hips/the_spine", "Hips/the_spine/Head", "Hips/the_spine_2"]
    at, mesh = skeletons.positions(BODY, local, places), skinned(figure, local, places)
    for t in (0, 3, FRAMES - 1):
        world = np.array([np.array(m) for m in query.ComputeJointWorldTransforms(UsdGeom.XformCache(t))])
        np.testing.assert_allclose(world[:, 3, :3], scale * stand(at[t]), atol=1e-4 * scale)
    assert UsdSkel.BakeSkinning(stage.Traverse())
    for t in (0, 3, FRAMES - 1):
        found = vertices(stage, "/Face/body/bones_mesh", t)
        np.testing.assert_allclose(found, scale * stand(mesh[t]), atol=3e-4 * scale)


def test_a_head_turns_about_its_pivot_in_usd(tmp_path):
    _, _, UsdSkel, _ = usd()
    from audio2face.formats.usd import write_usd_blendshapes, write_usd_points

    local, pivot, mesh = turns(FRAMES), np.array([1.0, -2.0, 0.5]), morphing()
    turn, figures = Turn(rotations.to_quaternion(local), pivot), [body()[0]]
    shaped = mesh.rest + np.tensordot(mesh.weights, mesh.targets, 1)
    expected = np.einsum("tij,tvj->tvi", local, shaped - pivot) + pivot
    write_usd_points(tmp_path / "p.usdc", [PointMesh("skin", shaped, FACES)], FPS, 100.0, None, turn, figures)
    write_usd_blendshapes(tmp_path / "b.usdc", [mesh], FPS, 100.0, None, turn, figures)
    points, shapes = opened(tmp_path / "p.usdc"), opened(tmp_path / "b.usdc")
    UsdSkel.BakeSkinning(shapes.Traverse())
    for t in range(FRAMES):
        np.testing.assert_allclose(vertices(points, "/Face/Head/skin", t), expected[t], atol=1e-5)
        np.testing.assert_allclose(vertices(shapes, "/Face/Head/skin", t), expected[t], atol=1e-5)


@pytest.mark.slow
def test_figures_and_heads_pass_the_khronos_validator(tmp_path):
    """Needs node and the npm package gltf-validator in a folder named by NODE_PATH."""
    turn = Turn(rotations.to_quaternion(turns(FRAMES)), np.ones(3))
    write_gltf(tmp_path / "a.glb", [morphing()], FPS, 100.0, turn, [body(z_up=True)[0]])
    assert validator_issues(tmp_path / "a.glb") == 0
