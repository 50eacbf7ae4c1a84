"""The scripts for Maya, run on a stand-in for its API."""

import importlib.util
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from fakes.maya import FakeMaya, install, turn

from audio2face.formats import read_animation
from audio2face.formats.animation_json import JsonAnimation, write_animation_json
from audio2face.formats.maya_cache import write_maya_cache
from audio2face.formats.rig import read_rig_file
from audio2face.formats.sound import read_sound

TOOLS = Path(__file__).resolve().parents[2] / "tools/maya"
REST = np.array([[1.0, 2, 3], [-1, 2, 3], [1, 1.9, 3], [-1, 1.9, 3]])
OPEN = np.array([[0.0, 0, 0], [0, 0, 0], [0, -1, 0], [0, -1, 0]])


def script(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def moved(points, matrix):
    m = np.array(matrix).reshape(4, 4)
    return points @ m[:3, :3] + m[3, :3]


@pytest.fixture
def scene(monkeypatch, tmp_path):
    """A face whose mouth opens by a connected weight while its head turns and travels."""
    fake = FakeMaya()
    head = lambda frame: turn("y", 3 * frame, (frame, 0, 0))  # noqa: E731
    fake.transforms = {
        "head": head,
        "jaw": lambda frame: np.dot(
            np.reshape(turn("x", 2 * (frame - 1), (0, 1, 0)), (4, 4)), np.reshape(head(frame), (4, 4))
        ).ravel(),
        "eye_r": lambda frame: np.dot(
            np.reshape(turn("x", frame - 1), (4, 4)), np.reshape(head(frame), (4, 4))
        ).ravel(),
        "eye_l": lambda frame: np.dot(
            np.reshape(turn("y", frame - 1), (4, 4)), np.reshape(head(frame), (4, 4))
        ).ravel(),
    }
    fake.meshes = {
        "face": lambda frame, weights: moved(REST + weights["jawOpen"] * OPEN, head(frame)),
        "tongue": lambda frame, weights: moved(REST[:3] - [0, 1, 0], head(frame)),
    }
    fake.nodes = {"face": ["blendShape1"]}
    fake.weights = {"blendShape1.jawOpen": 0.0}
    fake.connected = {"blendShape1.jawOpen": ("anim.output", lambda frame: frame / 10)}
    fake.groups = {"lip_dist_upper": [1, 0], "lip_dist_lower": [2, 3], "prune_mask": [2, 3], "tongue_rigid": [0, 1]}
    original = fake.connectAttr
    fake.connectAttr = lambda source, plug: (
        original(source, plug),
        fake.connected.update({plug: ("anim.output", lambda f: f / 10)}),
    )
    with wave.open(str(tmp_path / "speech.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(np.arange(16000, dtype="<i2").tobytes())
    fake.attributes = {"audio1.filename": str(tmp_path / "speech.wav"), "audio1.offset": 3.0}
    install(monkeypatch, fake)
    return fake


def export(home, **more):
    options = {"jaw": "jaw", "eyes": ("eye_r", "eye_l"), "head": "head", "sound": True, "tongue": "tongue", **more}
    return script("export_face_data").export(str(home), "face", **options)


def test_export_writes_what_the_scene_holds(scene, tmp_path):
    home = tmp_path / "anna"
    assert export(home, shot="s1_joy") == 25.0
    assert export(home, shot="第二句", frames=(4, 6), sound=False) == 25.0
    assert scene.frame == 7.0 and scene.connected["blendShape1.jawOpen"][0] == "anim.output"
    first = moved(REST, scene.transforms["head"](1.0))  # the head rests where it is in the first frame
    np.testing.assert_allclose(
        np.load(home / "geom/skin/neutral_pose.npy"), moved(REST, scene.transforms["head"](4.0)), atol=1e-5
    )
    export(home, shot="s1_joy")
    np.testing.assert_allclose(np.load(home / "geom/skin/neutral_pose.npy"), first, atol=1e-5)
    skin = read_animation(home / "cache/skin/s1_joy/s1_joy.npy").frames
    shares = np.arange(1, 11)[:, None, None] / 10
    opening = moved(REST + OPEN, scene.transforms["head"](1.0)) - first
    np.testing.assert_allclose(skin, first + shares * opening, atol=1e-4)
    assert np.load(home / "cache/tongue/第二句/第二句.npy").shape == (3, 3, 3)
    rig = read_rig_file(home / "bs_data/bs_skin.npz").meshes[0]
    assert rig.target_names == ("jawOpen",)
    np.testing.assert_allclose(rig.targets[0], opening, atol=1e-5)
    lists = json.loads((home / "geom/skin/lip_dist_vertex_list.json").read_text())
    assert lists == {"upper": [0, 1], "lower": [2, 3]}
    assert np.load(home / "geom/skin/prune_mask.npy").tolist() == [2, 3]
    assert np.load(home / "geom/skin/triangles.npy").tolist() == [[0, 1, 2], [1, 3, 2]]
    samples, rate = read_sound(home / "audio/s1_joy.wav")
    assert rate == 16000 and len(samples) == 6400  # ten frames at 25 a second; the sound begins with the third
    np.testing.assert_allclose(samples[1280:, 0] * 32768, np.arange(5120))
    assert not samples[:1280].any()


def test_teeth_and_eyes_follow_the_head(scene, tmp_path):
    export(tmp_path / "anna", shot="s1")
    with np.load(tmp_path / "anna/xform/eye_rotations_all.npz") as eyes:
        turned = eyes["s1"]
    head = turn("y", 3)
    np.testing.assert_allclose(turned[0], 0, atol=1e-4)
    assert turned[-1, 0, 0] == pytest.approx(9, abs=0.05)  # about x: down, as the head itself looks aside by 3 degrees
    np.testing.assert_allclose(turned[-1, 1], [0, 9], atol=1e-3)
    rest = np.load(tmp_path / "anna/xform/jaw_keypoints_neutral.npy")
    with np.load(tmp_path / "anna/xform/jaw_keypoints_cache_all.npz") as jaw:
        final = rest + jaw["s1"][-1]
    hinge = moved(np.array([0.0, 1, 0]), scene.transforms["head"](1.0))
    np.testing.assert_allclose(np.linalg.norm(final - hinge, axis=1), np.linalg.norm(rest - hinge, axis=1), rtol=1e-4)
    assert np.linalg.norm(final[0] - rest[0]) == pytest.approx(
        2 * np.linalg.norm((rest[0] - hinge)[[1]].tolist() + [np.dot(rest[0] - hinge, np.reshape(head, (4, 4))[2, :3])])
        * np.sin(np.deg2rad(9)), rel=1e-3,
    )  # fmt: skip


def test_z_up_scenes_are_stood_upright(scene, tmp_path):
    scene.up = "z"
    scene.transforms["head"] = lambda frame: turn("x", 0)
    scene.meshes["face"] = lambda frame, weights: REST[:, [0, 2, 1]] * [1, -1, 1]
    export(tmp_path / "anna", shot="s1", jaw=None, eyes=None, tongue=None, sound=False)
    np.testing.assert_allclose(np.load(tmp_path / "anna/geom/skin/neutral_pose.npy"), REST, atol=1e-6)


def test_mistakes_are_told(scene, tmp_path):
    with pytest.raises(ValueError, match="not in the scene: nobody"):
        export(tmp_path, shot="s1", head="nobody")
    with pytest.raises(ValueError, match="letters, digits"):
        export(tmp_path, shot="a shot")
    with pytest.raises(ValueError, match="frames 5 to 4"):
        export(tmp_path, shot="s1", frames=(5, 4))
    scene.groups["lip_dist_lower"] = [2]
    with pytest.raises(ValueError, match="equally large"):
        export(tmp_path, shot="s1")
    scene.attributes = {}
    scene.groups = {}
    with pytest.raises(ValueError, match="one sound"):
        export(tmp_path, shot="s1")


def test_output_comes_back_into_maya(scene, tmp_path):
    tool = script("import_animation")
    write_maya_cache(tmp_path / "hello.xml", np.zeros((3, 4, 3), np.float32), 30.0, "head_meshShape")
    assert tool.attach(str(tmp_path / "hello.xml"), "face") == "cache1"
    (cache,) = (call[1] for call in scene.calls if call[0] == "cacheFile")
    assert (
        cache["channelName"] == "head_meshShape"
        and cache["fileName"] == "hello"
        and cache["inAttr"] == "switch1.inp[0]"
    )
    assert ("rate", "ntsc") in scene.calls
    jaw = np.tile(np.eye(4), (2, 1, 1))
    jaw[1, :3, 3] = [1, 2, 3]
    weights = {"jawOpen": np.array([0.0, 0.5]), "smile": np.zeros(2)}
    write_animation_json(tmp_path / "hello.json", JsonAnimation(60.0, jaw, np.arange(12.0).reshape(2, 6), weights))
    lacking = tool.key(str(tmp_path / "hello.json"), "blendShape1", "teeth", ("eye_r", "eye_l"), "hello.wav", 10)
    assert lacking == ["smile"] and ("rate", "ntscf") in scene.calls and ("sound", "hello.wav", 10) in scene.calls
    assert ("key", "blendShape1.jawOpen", 11, 0.5) in scene.calls
    assert ("key", "eye_l.rotateX", 11, 9.0) in scene.calls
    last = [call for call in scene.calls if call[0] == "xform"][-1][2]
    assert last[12:15] == [1, 2, 3]
