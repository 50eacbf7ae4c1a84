"""Curves as scenes: the built-in head and bodies move as in our own films."""

from dataclasses import replace

import numpy as np
import pytest
from fakes.body import arm, body_arrays
from fakes.curves import BODY
from fakes.glb import Glb

from audio2face.face import rotations
from audio2face.face import skeleton as skeletons
from audio2face.face.curves import Block, CurveGroup, skeleton_group
from audio2face.face.topology import Topology
from audio2face.formats.body_mesh import body_mesh
from audio2face.formats.gltf import write_gltf
from audio2face.inference.clip import Clip, FaceFiles
from audio2face.inference.outputs import EXPORTERS, check_exports
from audio2face.inference.scenes import body_figure, head_figure, head_turn
from audio2face.problems import UserError
from audio2face.render.curves_film import figure_parts
from audio2face.render.head import builtin_head, head_turns, head_weights, pose_head
from audio2face.types import FaceAnimation, Joint, Skeleton

FPS = 30.0
GROUPS = {
    "arkit": CurveGroup("arkit", (Block("weights", ("JawOpen", "snarl"), low=0.0, high=1.0),)),
    "head": CurveGroup("head", (Block("rotation", ("HeadYaw", "HeadPitch", "HeadRoll"), "YXZ", "degrees"),)),
    "body": skeleton_group("body", BODY),
}
VALUES = {
    "arkit": np.array([[0.0, 1], [0.5, 1]], np.float32),
    "head": np.array([[0.0, 0, 0], [30, 0, 0]], np.float32),
    "body": np.array([[0, 90, 0, 0, 0, 0, 0, 0, 0], [5, 90, 0, 10, 20, 30, 0, 90, 0]], np.float32),
}


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


def test_a_body_with_a_skin_moves_in_glb_as_in_films(tmp_path):
    values = np.random.default_rng(0).normal(0, [1] * 3 + [40] * 9, (4, 12))
    write_gltf(tmp_path / "a.glb", [], FPS, figures=[body_figure("body", arm(), values, body_mesh(body_arrays()))])
    parts, found = figure_parts(arm(), values, body_mesh(body_arrays())), Glb(tmp_path / "a.glb")
    for t in range(4):
        posed = parts["body"].posed(parts["turns"][t], parts["joints"][t])
        np.testing.assert_allclose(found.vertices("body_skin", t), posed, atol=1e-4)
    other = body_figure("body", arm(), values, body_mesh(body_arrays(prefix="other_")))
    assert other.mesh.name == "body_bones"


def test_a_mesh_turns_about_its_neck():
    points = np.array([[-8.0, -10, -9], [8, 14, 11], [0, 0, 12]])
    turn = head_turn(np.tile(np.eye(3), (2, 1, 1)), points)
    assert turn.pivot == pytest.approx([0, 2 - 6, 1.5 - 2.1]) and turn.quaternions.tolist() == [[0, 0, 0, 1]] * 2


def test_a_model_without_a_mesh_is_a_head_and_a_body(tmp_path):
    face = FaceFiles(curves=GROUPS, has_mesh=False)
    check_exports(["gltf"], face, "ann")
    (path,) = EXPORTERS["gltf"].write(tmp_path / "hello", Clip(FaceAnimation(FPS, VALUES), face))
    found = Glb(path)
    turned = head_turns(GROUPS["head"].blocks[0], VALUES["head"])
    posed = pose_head(head_weights(VALUES["arkit"], ("JawOpen", "snarl")), turned)
    np.testing.assert_allclose(100 * found.vertices("face", 1), posed[1], atol=0.05)
    at = skeletons.positions(BODY, *skeletons.pose_from_values(BODY, VALUES["body"]))
    for joint, name in enumerate(BODY.names):
        np.testing.assert_allclose(100 * found.place(name, 1), at[1, joint], atol=1e-4)


def test_a_mesh_turns_with_the_group_of_the_head(tmp_path):
    rng, triangles = np.random.default_rng(0), np.array([[0, 1, 2], [1, 2, 3]])
    skin = np.repeat(rng.uniform(-10, 10, (1, 5, 3)), 2, axis=0).astype(np.float32)
    groups = {name: GROUPS[name] for name in ("head", "body")}
    face = FaceFiles(Topology(triangles, None, 100.0), curves=groups)
    channels = {"skin": skin, "tongue": skin[:, :2], "head": VALUES["head"], "body": VALUES["body"]}
    (path,) = EXPORTERS["gltf"].write(tmp_path / "hello", Clip(FaceAnimation(FPS, channels), face))
    found, pivot = Glb(path), head_turn(np.eye(3)[None], skin[0, :4]).pivot  # vertex 4 is in no triangle
    turned = rotations.from_euler(np.array([30.0]), "Y", degrees=True)
    np.testing.assert_allclose(100 * found.vertices("skin", 0), skin[0], atol=1e-4)
    np.testing.assert_allclose(100 * found.vertices("skin", 1), (skin[0] - pivot) @ turned.T + pivot, atol=1e-4)
    assert {"Hips", "Spine", "body_bones"} <= set(found.names) and "neck" not in found.names


def test_usd_of_a_model_without_a_mesh(tmp_path):
    pytest.importorskip("pxr.Usd")
    from pxr import Usd, UsdGeom, UsdSkel

    for names in (("arkit",), ("head",), ("body",), ("arkit", "head", "body")):
        groups, values = ({name: table[name] for name in names} for table in (GROUPS, VALUES))
        clip = Clip(FaceAnimation(FPS, values), FaceFiles(curves=groups, has_mesh=False))
        (path,) = EXPORTERS["usd"].write(tmp_path / "_".join(names), clip)
        stage = Usd.Stage.Open(str(path))
        skeletons_there = [prim.GetPath().pathString for prim in stage.Traverse() if prim.IsA(UsdSkel.Skeleton)]
        expected = ["/Face/head/Skeleton"] * (set(names) != {"body"}) + ["/Face/body/Skeleton"] * ("body" in names)
        assert skeletons_there == expected and stage.GetEndTimeCode() == 1
    assert UsdSkel.BakeSkinning(stage.Traverse())
    points = np.array(UsdGeom.Mesh(stage.GetPrimAtPath("/Face/head/face_mesh")).GetPointsAttr().Get(1))
    turned = head_turns(GROUPS["head"].blocks[0], VALUES["head"])
    posed = pose_head(head_weights(VALUES["arkit"], ("JawOpen", "snarl")), turned)
    np.testing.assert_allclose(points, posed[1], atol=0.05)


def test_curves_that_nothing_can_show_are_told():
    plain = {"rig": CurveGroup("rig", (Block("plain", ("speed",)),))}
    with pytest.raises(UserError, match="gltf needs curves that can be shown"):
        check_exports(["gltf"], FaceFiles(curves=plain, has_mesh=False), "ann")
    with pytest.raises(UserError, match="gltf needs the faces of the skin mesh"):
        check_exports(["gltf"], FaceFiles(curves=GROUPS), "ann")
