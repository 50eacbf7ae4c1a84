"""The scripts for Blender, run in a real Blender: the pip package bpy, in this Python or in A2F_BLENDER_PYTHON's."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes.curves import BODY, write_curves_json

from audio2face.face import rotations, skeleton
from audio2face.face.curves import Block, CurveGroup, skeleton_group
from audio2face.formats import read_animation
from audio2face.formats.gltf import write_gltf
from audio2face.formats.rig import read_rig_file
from audio2face.formats.scene import MorphMesh, Turn
from audio2face.formats.sound import read_sound
from audio2face.inference.scenes import body_figure, head_figure

SCRIPTS = Path(__file__).resolve().parents[2] / "tools/blender"
SCRIPT, TO_FBX, TO_KEYS = (SCRIPTS / f"{name}.py" for name in ("export_face_data", "export_fbx", "import_animation"))
FAKES = Path(__file__).parents[1] / "fakes"
PYTHON = os.environ.get("A2F_BLENDER_PYTHON") or (sys.executable if importlib.util.find_spec("bpy") else None)


needs_blender = pytest.mark.skipif(PYTHON is None, reason="needs bpy, or A2F_BLENDER_PYTHON (a Python with bpy)")


def run(*arguments):
    return subprocess.run([PYTHON, *map(str, arguments)], capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@needs_blender
def test_a_scene_of_known_motion(tmp_path):
    home = tmp_path / "anna"
    scene = FAKES / "blender_scene.py"
    done = run(scene, SCRIPT, home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'CACHE_FPS = {"anna": 30}' in done.stdout
    points = np.load(home / "points.npy")
    index = np.arange(1, 9)[:, None]

    def y_up(vectors):
        return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], axis=-1) * 100

    rest = np.load(home / "geom/skin/neutral_pose.npy")
    np.testing.assert_allclose(rest, y_up(points), atol=1e-4)
    rig = read_rig_file(home / "bs_data/bs_skin.npz").meshes[0]
    assert rig.target_names == ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")
    opening = y_up(np.array([0, 0, -0.01]) * index)
    np.testing.assert_allclose(rig.targets[0], opening, atol=1e-4)
    closing = y_up(np.array([-0.01, -0.01, 0]) * index)
    np.testing.assert_allclose(np.load(home / "geom/skin/eye_close_pose_delta.npy"), closing, atol=1e-4)
    # the head's motion is taken out: only the mouth opens, evenly
    skin = np.load(home / "cache/skin/s2_joy/s2_joy.npy")
    share = (np.arange(6, 12) / 11)[:, None, None]
    np.testing.assert_allclose(skin, rest + share * opening, atol=2e-3)
    swaying = read_animation(home / "cache/skin/swaying/swaying.pc2").frames
    assert len(swaying) == 12 and np.abs(swaying[-1] - skin[-1]).max() > 0.5
    assert np.load(home / "geom/skin/triangles.npy").shape == (3, 3)
    lists = json.loads((home / "geom/skin/lip_dist_vertex_list.json").read_text())
    assert set(lists["upper"]) == {0, 1} and rest[lists["upper"][0], 0] >= rest[lists["upper"][1], 0]
    assert np.load(home / "geom/skin/prune_mask.npy").tolist() == [4, 5]
    # the jaw's bone turns by 20 degrees, the right eye down or up, the left one to a side
    with (
        np.load(home / "xform/jaw_keypoints_cache_all.npz") as jaw,
        np.load(home / "xform/eye_rotations_all.npz") as eye,
    ):
        assert set(jaw) == set(eye) == {"s1_neutral", "s2_joy"}
        tip = np.load(home / "xform/jaw_keypoints_neutral.npy")[0]
        assert jaw["s2_joy"].shape == (6, 5, 3)
        travelled = np.linalg.norm(jaw["s2_joy"][-1, 0])
        assert travelled == pytest.approx(2 * 4 * np.sin(np.deg2rad(10)), rel=1e-3), tip  # the tip, 4 cm from the hinge
        right, left = eye["s2_joy"][-1]
        assert abs(right[0]) == pytest.approx(10, abs=0.1) and abs(right[1]) < 0.1
        assert abs(left[1]) == pytest.approx(15, abs=0.1) and abs(left[0]) < 0.1
    if not (home / "audio").exists():
        pytest.skip("this Blender has no sound; all else is right")
    samples, rate = read_sound(home / "audio/s1_neutral.wav")
    assert rate == 48000 and len(samples) / rate == pytest.approx(0.2, abs=0.02) and np.abs(samples).max() > 0.1


def morphing(name, vertices, names, frames, rng):
    """A strip of triangles whose weights leave 0 … 1, in centimetres."""
    rest = rng.uniform(-10, 10, (vertices, 3)).astype(np.float32)
    triangles = np.arange(vertices - 2)[:, None] + [0, 1, 2]
    targets = rng.uniform(-2, 2, (len(names), vertices, 3)).astype(np.float32)
    return MorphMesh(name, rest, triangles, targets, names, rng.uniform(-0.3, 1.4, (frames, len(names))).astype("f4"))


@pytest.mark.slow
@needs_blender
@pytest.mark.parametrize(
    ("fps", "unit", "in_a_metre"), [(60.0, "cm", 100.0), (30.0, "m", 1.0), (24000 / 1001, "cm", 100.0)]
)
def test_fbx_holds_what_the_gltf_file_held(tmp_path, fps, unit, in_a_metre):
    rng, frames = np.random.default_rng(5), 20
    meshes = [morphing("skin", 40, ("jawOpen", "mouthFunnel", "eyeBlink_L"), frames, rng)]
    meshes.append(morphing("tongue", 12, ("tongue_up",), frames, rng))
    turn, figures = None, []
    if unit == "m":  # of a turning head and a body only the shapes are taken
        turn = Turn(rotations.to_quaternion(rotations.from_axis_angle(rng.normal(size=(frames, 3)))), np.ones(3))
        figures = [body_figure("body", BODY, rng.uniform(-60, 60, (frames, 9)))]
    write_gltf(tmp_path / "hello.glb", meshes, fps, 100.0, turn, figures)
    done = run(TO_FBX, tmp_path / "hello.glb", "--unit", unit)
    assert done.returncode == 0 and "4 shape keys, 20 frames" in done.stdout, done.stdout + done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hello.fbx", "hello.glb"]
    done = run(FAKES / "blender_fbx.py", tmp_path / "hello.fbx", tmp_path / "found.npz", frames)
    assert done.returncode == 0, done.stdout + done.stderr
    found = np.load(tmp_path / "found.npz")
    assert found["unit"] == 100.0 / in_a_metre and found["up"] == 1 and found["takes"] == 1
    assert found["fps"] == pytest.approx(fps, rel=1e-4)
    for mesh in meshes:
        size = np.linalg.norm(np.ptp(mesh.rest, axis=0))
        assert found[f"names_{mesh.name}"].tolist() == list(mesh.target_names)
        np.testing.assert_allclose(found[f"values_{mesh.name}"], mesh.weights, atol=1e-5)
        # on disk: y up, in the unit asked for, objects neither moved, turned nor scaled
        written = found[f"written_{mesh.name}"] * 100 / in_a_metre
        np.testing.assert_allclose(written, mesh.rest, atol=1e-5 * size)
        assert np.allclose(found[f"Translation_{mesh.name}"], 0) and np.allclose(found[f"Rotation_{mesh.name}"], 0)
        assert np.allclose(found[f"Scaling_{mesh.name}"], 1)
        # as Blender shows it: z up, in metres
        x, y, z = np.moveaxis(mesh.rest + np.tensordot(mesh.weights, mesh.targets, 1), -1, 0) / 100
        expected = np.stack([x, -z, y], axis=-1)
        np.testing.assert_allclose(found[f"places_{mesh.name}"], expected, atol=1e-4 * size / 100)


@pytest.mark.slow
@needs_blender
def test_fbx_of_the_built_in_head(tmp_path):
    figure = head_figure(np.eye(3), ("jawOpen", "mouthSmileLeft", "cheekPuff"), np.tile(np.eye(3), (3, 1, 1)))
    write_gltf(tmp_path / "hello.glb", [], 30.0, figures=[figure])
    done = run(TO_FBX, tmp_path / "hello.glb")
    assert done.returncode == 0 and "1 mesh(es), 52 shape keys, 3 frames" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@needs_blender
def test_fbx_mistakes_are_told_in_a_line(tmp_path):
    (tmp_path / "a.glb").write_bytes(b"glTF and no more")
    rest = np.zeros((3, 3), np.float32) + np.eye(3, dtype="f4")
    still = MorphMesh("skin", rest, np.array([[0, 1, 2]]), np.zeros((0, 3, 3), "f4"), (), np.zeros((5, 0), "f4"))
    write_gltf(tmp_path / "still.glb", [still], 30.0)
    for given, told in (
        (["none.glb"], "no such file"),
        (["a.obj"], "expected .glb"),
        (["a.glb"], "not a glTF file"),
        (["still.glb"], "no animation in it"),
        (["still.glb", "nowhere/b.fbx"], "no such folder"),
    ):
        done = run(TO_FBX, *[tmp_path / name for name in given])
        assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not list(tmp_path.glob("*.fbx*"))


def in_blender(vectors):
    """y up and facing z, as z up and facing -y."""
    return vectors[..., [0, 2, 1]] * [1, -1, 1]


@pytest.mark.slow
@needs_blender
@pytest.mark.parametrize(
    ("form", "unit"), [("YXZ", "radians"), ("axis_angle", "degrees"), ("quaternion", ""), ("matrix", "")]
)
def test_curves_are_keyed_on_shapes_bones_and_properties(tmp_path, form, unit):
    rng, frames, start, fps = np.random.default_rng(3), 6, 11, 29.97
    own = rotations.from_axis_angle(rng.normal(size=(frames, 3)))  # of the head, in its own axes
    names = ("HeadYaw", "HeadPitch", "HeadRoll") if form == "YXZ" else tuple(f"head_{k}" for k in range(9))
    block = Block("rotation", names[: {"YXZ": 3, "axis_angle": 3, "quaternion": 4, "matrix": 9}[form]], form, unit)
    flip = np.diag([-1.0, 1, -1]) if form == "YXZ" else np.eye(3)  # Live Link's axes are a camera's
    face = CurveGroup("face", (Block("weights", ("JawOpen",), low=0, high=100), Block("plain", ("brow raise",)), block))
    body, values = skeleton_group("body", BODY), rng.uniform(-60, 60, (frames, 9))
    plain = rng.uniform(0, 100, (frames, 2))
    write_curves_json(
        tmp_path / "a.json", fps, {face: np.hstack([plain, block.turned(flip @ own @ flip)]), body: values}
    )
    done = run(FAKES / "blender_keys.py", TO_KEYS, tmp_path / "a.json", tmp_path / "found.npz", frames, start)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 shape keys, the turn of Rig/neck, 2 bones of body, 1 properties" in done.stdout
    found = np.load(tmp_path / "found.npz")
    assert found["rate"] == pytest.approx(fps) and found["range"].tolist() == [start, start + frames - 1]
    turns, places = skeleton.pose_from_values(BODY, values)
    world, at = skeleton.world_rotations(BODY, turns), skeleton.positions(BODY, turns, places)
    stand = in_blender(np.eye(3)).T
    for t in range(frames):
        np.testing.assert_allclose(found[f"shapes_{t}"], [plain[t, 0] / 100, 0], atol=1e-6)
        np.testing.assert_allclose(found[f"custom_{t}"][0], plain[t, 1], rtol=1e-6)
        turned = stand @ own[t] @ stand.T
        np.testing.assert_allclose(found[f"ball_{t}"], turned @ found["ball_rest"], atol=1e-5)
        for joint, name in enumerate(BODY.names):
            expected = stand @ world[t, joint] @ stand.T @ found[f"{name}_turn_rest"]
            np.testing.assert_allclose(found[f"{name}_turn_{t}"], expected, atol=1e-5)
            np.testing.assert_allclose(found[f"{name}_place_{t}"], in_blender(at[t, joint]) / 100, atol=1e-5)
        spine = stand @ world[t, 1] @ stand.T  # the neck hangs on it
        np.testing.assert_allclose(found[f"neck_turn_{t}"], spine @ turned @ found["neck_turn_rest"], atol=1e-5)


@pytest.mark.slow
@needs_blender
def test_mistakes_with_keys_are_told_in_a_line(tmp_path):
    write_curves_json(
        tmp_path / "a.json", 30.0, {CurveGroup("arkit", (Block("weights", ("jawOpen",)),)): np.zeros((2, 1))}
    )
    (tmp_path / "b.json").write_text("{}")
    for given, told in (
        (["none.json"], "cannot be read"),
        (["b.json"], "expected an animation"),
        (["a.json", "--head", "Cube"], "holds no rotation of a head; it has arkit"),
        (["a.json", "--rig", "Cube"], "holds no skeleton"),
        (["a.json", "--face", "Nobody"], "there is no object 'Nobody'"),
        (["a.json", "--face", "Cube"], "has no shape keys"),
    ):
        done = run(TO_KEYS, "--", tmp_path / given[0], *given[1:])
        assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_the_scripts_are_valid_python(script):
    compile(script.read_text(), str(script), "exec")
