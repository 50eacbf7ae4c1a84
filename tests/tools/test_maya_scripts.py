"""The scripts for Maya, run on a stand-in for its API."""

import importlib.util
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from fakes.curves import BODY, write_curves_json
from fakes.maya import FakeMaya, install, turn

from audio2face.face import rotations, skeleton
from audio2face.face.curves import Block, CurveGroup, skeleton_group
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


def posed(axis, degrees, place, scale=1.0):
    """16 numbers of a turned and scaled matrix."""
    m = np.reshape(turn(axis, degrees, place), (4, 4))
    m[:3, :3] *= scale
    return m.ravel().tolist()


def axes(matrix):
    """The rotation (3, 3), for column vectors, of 16 numbers with an even scale."""
    m = np.reshape(matrix, (4, 4))[:3, :3].T
    return m / np.cbrt(np.linalg.det(m))


@pytest.fixture
def rig(scene):
    """Joints that are turned and half as large as the skeleton, below a group of a scale of its own."""
    scene.joints = {
        "world": [None, posed("y", 30, (5, 0, 0), 0.5)],
        "sam:Hips": ["world", posed("z", 20, (0, 90, 0))],
        "sam:twist": ["sam:Hips", posed("x", 15, (0, 0, 0))],
        "sam:Spine": ["sam:twist", posed("y", -70, (0, 20, 0))],
        "sam:head_jnt": ["sam:Spine", posed("x", 90, (0, 40, 0))],
        "sam:head_end_jnt": ["sam:head_jnt", posed("x", 0, (0, 9, 0))],
    }
    return scene


@pytest.mark.parametrize(
    ("form", "unit"),
    [("YXZ", "radians"), ("ZXY", "degrees"), ("axis_angle", "degrees"), ("quaternion", ""), ("matrix", "")],
)
def test_the_head_turns_from_where_it_rests(rig, tmp_path, form, unit):
    frames, rest = 4, axes(rig.world("sam:head_jnt"))
    own = rotations.from_axis_angle(np.random.default_rng(1).normal(size=(frames, 3)))
    names = ("HeadYaw", "HeadPitch", "HeadRoll") if form == "YXZ" else tuple(f"head_{k}" for k in range(9))
    block = Block("rotation", names[: {"quaternion": 4, "matrix": 9}.get(form, 3)], form, unit)
    flip = np.diag([-1.0, 1, -1]) if form == "YXZ" else np.eye(3)  # Live Link's axes are a camera's
    write_curves_json(tmp_path / "a.json", 24.0, {CurveGroup("x", (block,)): block.turned(flip @ own @ flip)})
    script("import_animation").key(str(tmp_path / "a.json"), head=True, start=3)
    for t in range(frames):
        np.testing.assert_allclose(axes(rig.world("sam:head_jnt", 3 + t)), own[t] @ rest, atol=1e-5)
        assert rig.world("sam:head_jnt", 3 + t)[12:15] == pytest.approx(rig.world("sam:head_jnt")[12:15])
    assert ("filterCurve", tuple(f"sam:head_jnt_rotate{axis}" for axis in "XYZ")) in rig.calls


def test_a_body_moves_the_joints_of_its_names(rig, tmp_path):
    rng, frames = np.random.default_rng(0), 4
    values = rng.uniform(-60, 60, (frames, 9))
    turns, places = skeleton.pose_from_values(BODY, values)
    world = skeleton.world_rotations(BODY, turns)
    rest = {name: rig.world(name) for name in rig.joints}
    write_curves_json(tmp_path / "a.json", 25.0, {skeleton_group("body", BODY): values})
    script("import_animation").key(str(tmp_path / "a.json"), skeleton="sam:")
    for t in range(frames):
        for joint, name in enumerate(("sam:Hips", "sam:Spine")):
            np.testing.assert_allclose(axes(rig.world(name, t)), world[t, joint] @ axes(rest[name]), atol=1e-5)
        moved = np.subtract(rig.world("sam:Hips", t)[12:15], rest["sam:Hips"][12:15])
        np.testing.assert_allclose(moved, 0.5 * (places[t, 0] - [0, 90, 0]), atol=1e-6)
    keys = {call[1] for call in rig.calls if call[0] == "key"}
    assert keys == {"sam:Hips.rotate", "sam:Hips.translate", "sam:Spine.rotate"}


def test_weights_of_curves_and_what_is_left(rig, tmp_path):
    face = CurveGroup(
        "face", (Block("weights", ("JawOpen", "smile"), low=0, high=100), Block("plain", ("brow raise",)))
    )
    write_curves_json(tmp_path / "a.json", 30.0, {face: np.array([[0, 10, 1], [50, 20, 2.0]])})
    tool, path = script("import_animation"), str(tmp_path / "a.json")
    assert tool.key(path, blendshape="blendShape1", attributes="ctrl") == ["smile"]
    keys = [call[1:] for call in rig.calls if call[0] == "key"]
    assert keys[:2] == [("blendShape1.jawOpen", 0, 0), ("blendShape1.jawOpen", 1, 0.5)]
    assert {key[0] for key in keys[2:]} == {"ctrl.smile", "ctrl.brow_raise"} and ("ctrl.brow_raise", 1, 2) in keys
    for more, told in (
        ({"head": "sam:head_jnt"}, "no rotation of a head; it has face"),
        ({"skeleton": ""}, "no skeleton; it has face"),
        ({"jaw": "teeth"}, "curves without a face"),
    ):
        with pytest.raises(ValueError, match=told):
            tool.key(path, **more)
