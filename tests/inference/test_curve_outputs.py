"""Curves in the formats of other programs, with and without a mesh, and at other rates."""

import json

import numpy as np
import pytest
from fakes.curves import BODY, HEAD, curves_dataset, loudness, speech
from fakes.project import REGRESSION, use_project, write_configs

from audio2face.commands import deploy, infer, preproc, train
from audio2face.face import rotations
from audio2face.face.curves import Block, CurveGroup, group_from_json, skeleton_group
from audio2face.formats.animation_json import read_animation_json
from audio2face.formats.arkit_csv import ARKIT_NAMES, COLUMNS, read_arkit_csv, write_arkit_csv
from audio2face.formats.arkit_names import CURVES
from audio2face.formats.bvh import read_bvh
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.gltf import read_gltf
from audio2face.formats.npy import read_npz
from audio2face.inference import Animation, load_model
from audio2face.inference.clip import Clip, FaceFiles
from audio2face.inference.face_animation import join
from audio2face.inference.outputs import EXPORTERS, check_exports, default_formats
from audio2face.inference.rate import channels_at, frames_at, middles
from audio2face.problems import UserError
from audio2face.types import FaceAnimation

T = 24
FACE = CurveGroup("arkit", (Block("weights", ("mouthSmile_L", "JawOpen", "snarl"), low=0.0, high=1.0),))
TURN = CurveGroup("head", (Block("rotation", HEAD, "YXZ", "radians"),))
GROUPS = {"arkit": FACE, "head": TURN, "body": skeleton_group("body", BODY)}


def motion(seed=0):
    """Raw values of GROUPS, {group: (T, D) float32}."""
    rng, rows = np.random.default_rng(seed), np.arange(T)[:, None]
    waves = {
        name: np.sin(rows * rng.uniform(0.1, 0.4, len(g.names)) + rng.uniform(size=len(g.names)))
        for name, g in GROUPS.items()
    }
    scales = {"arkit": 0.5, "head": 0.3, "body": 40.0}
    return {name: (scales[name] * (x + (name == "arkit"))).astype(np.float32) for name, x in waves.items()}


def clip(*names, fps=30.0, values=None):
    """Curves alone."""
    groups = {name: GROUPS[name] for name in names or GROUPS}
    given = values or motion()
    return Clip(FaceAnimation(fps, {name: given[name] for name in groups}), FaceFiles(curves=groups, has_mesh=False))


def empty(name, shape):
    return np.full(shape, np.nan, np.float32)


# ---- Live Link


def test_trained_weights_and_the_head_are_written_as_the_phone_does(tmp_path):
    values = motion()
    values["arkit"][3] = 1.7, -0.2, 0.5
    EXPORTERS["arkit_csv"].write(tmp_path / "a", clip(values=values))
    again = read_arkit_csv(tmp_path / "a.csv", 30)
    np.testing.assert_allclose(again.weight("MouthSmileLeft"), np.clip(values["arkit"][:, 0], 0, 1), rtol=1e-6)
    np.testing.assert_allclose(again.weight("jawOpen"), np.clip(values["arkit"][:, 1], 0, 1), rtol=1e-6)
    assert again.values[:, : len(ARKIT_NAMES)].any(axis=0).sum() == 2 and not again.unknown
    first = COLUMNS.index("HeadYaw")
    np.testing.assert_allclose(again.values[:, first : first + 3], values["head"], atol=1e-6)


HEADS = [
    Block("rotation", ("head_x", "head_y", "head_z"), "XYZ", "degrees"),
    Block("rotation", ("head_x", "head_y", "head_z"), "axis_angle", "degrees"),
    Block("rotation", ("head_x", "head_y", "head_z", "head_w"), "quaternion"),
    Block("rotation", tuple(f"head_{k}" for k in range(9)), "matrix"),
]


@pytest.mark.parametrize("block", HEADS, ids=[block.form for block in HEADS])
def test_a_head_of_any_form_turns_the_same_way(tmp_path, block):
    """In the head's own axes, nodding down is a turn about x: Live Link's pitch falls. To the left is about y: its yaw grows."""
    down = rotations.from_euler(np.array([[20.0]]), "X", degrees=True)
    left = rotations.from_euler(np.array([[30.0]]), "Y", degrees=True)
    raw = block.turned(np.concatenate([down, left])).astype(np.float32)
    group = CurveGroup("head", (block,))
    face = FaceFiles(curves={"arkit": FACE, "head": group}, has_mesh=False)
    shown = FaceAnimation(30.0, {"arkit": np.zeros((2, 3), np.float32), "head": raw})
    EXPORTERS["arkit_csv"].write(tmp_path / "a", Clip(shown, face))
    again = read_arkit_csv(tmp_path / "a.csv", 30)
    np.testing.assert_allclose(np.rad2deg(again.weight("HeadPitch")), [-20, 0], atol=1e-4)
    np.testing.assert_allclose(np.rad2deg(again.weight("HeadYaw")), [0, 30], atol=1e-4)


def test_a_group_goes_before_the_solve_and_before_the_channel_of_the_eyes(tmp_path):
    eyes = CurveGroup("eyes", (Block("rotation", ("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"), "YXZ", "radians"),))
    face = FaceFiles(curves={"arkit": FACE, "eyes": eyes})
    gaze = np.linspace(0, 0.3, 3 * T).reshape(T, 3).astype(np.float32)
    channels = {"skin": np.zeros((T, 3, 3)), "eye": np.tile([1.0, 2, 3, 4, 5, 6], (T, 1)), "jaw": np.zeros((T, 4, 4))}
    shown = FaceAnimation(30.0, {**channels, "arkit": motion()["arkit"], "eyes": gaze})
    EXPORTERS["arkit_csv"].write(tmp_path / "a", Clip(shown, face))
    again = read_arkit_csv(tmp_path / "a.csv", 30)
    assert again.weight("JawOpen").max() > 0.5
    left = COLUMNS.index("LeftEyeYaw")
    np.testing.assert_allclose(again.values[:, left : left + 3], gaze, atol=1e-6)
    np.testing.assert_allclose(np.rad2deg(again.values[:, left + 3 :]), np.tile([2.0, 1, 3], (T, 1)), rtol=1e-5)


# ---- JSON, NPZ, BVH, pictures


def test_json_holds_what_groups_are(tmp_path):
    shown = clip()
    EXPORTERS["json"].write(tmp_path / "a", shown)
    again = read_animation_json(tmp_path / "a.json")
    assert again.jaw is None and again.eyes is None and again.num_frames == T
    for group, (name, values) in zip(again.curves, shown.curves.items(), strict=True):
        assert group_from_json({**group.about, "name": name}) == GROUPS[name] and group.names == GROUPS[name].names
        assert group.about["kind"] == GROUPS[name].kind
        np.testing.assert_allclose(group.values, values, atol=1e-6)
    table = read_curve_table(tmp_path / "a.json")
    assert table.fps == 30 and table.names[:2] == ("mouthSmileLeft", "jawOpen") and table.values.shape == (T, 15)
    content = json.loads((tmp_path / "a.json").read_text())
    assert not {"jaw", "eyes_degrees"} & set(content)


def test_npz_is_a_table_of_curves(tmp_path):
    shown = clip("arkit", "head")
    EXPORTERS["npz"].write(tmp_path / "a", shown)
    arrays, table = read_npz(tmp_path / "a.npz"), read_curve_table(tmp_path / "a.npz")
    assert set(arrays) == {"values", "valid", "names", "groups", "about", "fps"}
    assert arrays["groups"].tolist() == ["arkit"] * 3 + ["head"] * 3 and table.fps == 30 and table.valid.all()
    np.testing.assert_array_equal(table.values, np.concatenate([*shown.curves.values()], axis=1))
    assert [group_from_json(entry) for entry in json.loads(str(arrays["about"]))] == [FACE, TURN]
    mesh = {"skin": np.zeros((T, 3, 3), np.float32), "jaw": np.zeros((T, 4, 4))}
    EXPORTERS["npz"].write(tmp_path / "b", Clip(FaceAnimation(30.0, mesh), FaceFiles()))
    assert set(read_npz(tmp_path / "b.npz")) == {"fps", "skin", "jaw"}


def test_bvh_of_every_skeleton(tmp_path):
    shown = clip()
    assert EXPORTERS["bvh"].write(tmp_path / "a", shown) == [tmp_path / "a.bvh"]
    skeleton, values, step = read_bvh(tmp_path / "a.bvh")
    assert skeleton == BODY and step == pytest.approx(1 / 30)
    np.testing.assert_allclose(values, shown.curves["body"], atol=1e-5)
    two = FaceFiles(curves={"ann": GROUPS["body"], "bob": GROUPS["body"]}, has_mesh=False)
    both = FaceAnimation(30.0, dict.fromkeys(two.curves, shown.curves["body"]))
    assert [p.name for p in EXPORTERS["bvh"].write(tmp_path / "b", Clip(both, two))] == ["b_ann.bvh", "b_bob.bvh"]


def test_a_film_shows_the_head_and_the_body(tmp_path):
    av = pytest.importorskip("av")
    short = {name: values[:3] for name, values in motion().items()}
    sizes = {}
    for names in (("arkit", "head"), ("head", "body"), ("body",)):
        shown = clip(*names, values=short)
        shown = Clip(shown.animation, shown.face, (np.zeros(4410, np.float32), 44100))
        EXPORTERS["mp4"].write(tmp_path / "a", shown)
        with av.open(str(tmp_path / "a.mp4")) as film:
            pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
            assert len(film.streams.audio) == 1 and len(pictures) == 3
        sizes[names] = pictures[0].shape[:2]
    assert sizes == {("arkit", "head"): (512, 512), ("head", "body"): (512, 1024), ("body",): (512, 512)}


# ---- what a format needs


def test_what_needs_a_mesh_or_a_group_says_so():
    only_body = clip("body").face
    with pytest.raises(UserError) as error:
        check_exports(["maya", "pc2", "arkit_csv", "npz"], only_body, "actor ann")
    assert len(error.value.lines) == 3
    for line in error.value.lines:
        assert "actor ann does not have" in line and "can be written as npy, json, npz, bvh" in line
    assert "maya needs a face mesh" in error.value.lines[0] and "ARKit's names" in error.value.lines[2]
    with pytest.raises(UserError, match="bvh needs a group of curves that moves a skeleton"):
        check_exports(["bvh"], clip("arkit").face, "actor ann")
    with pytest.raises(UserError, match="mp4 needs curves that can be shown"):
        plain = CurveGroup("rig", (Block("plain", ("lever",)),))
        check_exports(["mp4"], FaceFiles(curves={"rig": plain}, has_mesh=False), "actor ann")
    assert default_formats(only_body) == ("npz", "bvh") and default_formats(clip("arkit").face) == ("npz", "arkit_csv")


# ---- other rates


def test_frames_stand_at_their_own_times():
    """A value that is the time of its frame, at any rate."""
    for to_fps in (24, 25, 29.97, 48, 120):
        count = frames_at(60, 60.0, to_fps)
        assert (count - 1) / to_fps < 1 <= count / to_fps + 1e-9
        position = middles(count, 60.0, to_fps)
        times = ((np.arange(60) + 0.5) / 60)[:, None].astype(np.float32)
        again = channels_at({"x": times}, {}, position, empty)["x"][:, 0]
        inside = (position >= 0) & (position <= 59)
        np.testing.assert_allclose(again[inside], ((np.arange(count) + 0.5) / to_fps)[inside], atol=1e-6)
        assert np.isfinite(again).all() and again.min() >= times[0, 0] and again.max() <= times[-1, 0]
    same = motion()
    for name, values in channels_at(same, GROUPS, middles(T, 30.0, 30.0), empty).items():
        np.testing.assert_allclose(values, same[name], atol=1e-4)


def test_rotations_go_the_shortest_way_and_weights_stay_within_bounds():
    turns = np.array([[0.0, 0, 0], [0.0, 80, 0]], np.float32)  # a constant speed about one axis
    group = CurveGroup("head", (Block("rotation", ("ry", "rx", "rz"), "YXZ", "degrees"),))
    steps = channels_at({"head": turns}, {"head": group}, np.linspace(0, 1, 9), empty)["head"]
    np.testing.assert_allclose(steps[:, 1], np.linspace(0, 80, 9), atol=1e-4)
    past = np.array(
        [[170.0, 0, 0], [190.0, 0, 0], [-150.0, 0, 0]], np.float32
    )  # past half a turn, and written otherwise
    steps = channels_at({"head": past}, {"head": group}, np.array([0, 0.5, 1, 1.5, 2]), empty)["head"]
    np.testing.assert_allclose(steps[:, 0], [170, 180, 190, 200, 210], atol=1e-4)
    weights = channels_at({"arkit": np.eye(3, dtype=np.float32)}, {"arkit": FACE}, np.linspace(-1, 5, 50), empty)[
        "arkit"
    ]
    assert weights.min() >= 0 and weights.max() <= 1


def test_lower_teeth_stay_rigid():
    angles = np.array([[0.0], [90.0]])
    transforms = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    transforms[:, :3, :3] = rotations.from_euler(angles, "X", degrees=True)
    transforms[1, :3, 3] = 0, 2, 4
    at = channels_at({"jaw": transforms}, {}, np.array([0.5]), empty)["jaw"][0]
    np.testing.assert_allclose(at[:3, :3], rotations.from_euler(np.array([45.0]), "X", degrees=True), atol=1e-6)
    np.testing.assert_allclose(at[:, 3], [0, 1, 2, 1], atol=1e-6)


def animation(face, length=T, fps=60.0, curves=None, start=0):
    zeros = np.zeros((length, 0, 3), np.float32)
    times = (start + np.arange(length)) / fps
    curves = curves or motion()
    return Animation(
        fps,
        times,
        zeros,
        zeros,
        np.zeros((length, 4, 4), np.float32),
        np.zeros((length, 6), np.float32),
        np.zeros((length, 0), np.float32),
        curves=curves,
        face=face,
    )


def test_animations_write_join_and_change_their_rate(tmp_path):
    face, values = clip().face, motion()
    halves = [
        animation(face, T // 2, curves={n: x[part] for n, x in values.items()}, start=part.start or 0)
        for part in (slice(T // 2), slice(T // 2, T))
    ]
    whole = join(halves)
    for name, frames in values.items():
        np.testing.assert_array_equal(whole.curves[name], frames)
    for name in ("a.csv", "a.json", "a.npz", "a.bvh"):
        assert whole.write(tmp_path / name) == [tmp_path / name]
    assert [p.name for p in whole.write(tmp_path / "a", kind="npy")] == [
        "a_arkit.npy",
        "a_head.npy",
        "a_body.npy",
        "a_names.json",
    ]
    assert json.loads((tmp_path / "a_names.json").read_text())["head"] == list(HEAD)
    with pytest.raises(UserError, match="maya needs a face mesh, which the model does not have"):
        whole.write(tmp_path / "a", kind="maya")
    slow = whole.at_rate(30)
    assert (len(slow), slow.fps) == (T // 2, 30) and slow.skin.shape == (T // 2, 0, 3)
    np.testing.assert_allclose(slow.times_s, whole.times_s[::2])
    for name, frames in values.items():
        np.testing.assert_allclose(slow.curves[name], frames[::2], atol=1e-4)
    with pytest.raises(UserError, match="fps"):
        whole.at_rate(0)


# ---- from a phone's recording to one


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A phone's recordings, each one file of weights and head, trained on for a moment."""
    home = tmp_path / "datasets/ann"
    dataset = curves_dataset([home], [("arkit",)])
    for number, path in enumerate(sorted((home / "arkit").glob("*.npz"))):
        loud = loudness(speech(number))
        table = read_curve_table(path)
        weights = dict(zip(table.names, table.values.T, strict=True))
        turns = np.stack([0.1 * np.sin(np.arange(len(loud)) / 7), 0.2 * loud, 0 * loud], axis=1)
        write_arkit_csv(path.with_suffix(".csv"), weights, 30.0, None, {"Head": turns})
        path.unlink()
    dataset["CURVES_ROOT"] = {"ann": {"arkit": str(home / "arkit"), "head": str(home / "arkit")}}
    write_configs(
        tmp_path,
        dataset=dataset,
        preproc={"DEFAULT_TONGUE_PCA_SHAPE": (2, 40, 3), "DEFAULT_EYE_SACCADE_ROT_SHAPE": (20, 2)},
        train={**REGRESSION, "NUM_EPOCHS": 1, "VALIDATION_CLIPS": ["three_joy"], "TARGET_CHANNELS": ["arkit", "head"]},
        inference={"AUDIO_PATH": str(home / "audio/three_joy.wav")},
    )
    use_project(tmp_path, monkeypatch)
    return tmp_path


@pytest.mark.slow
def test_a_recording_becomes_a_recording(project, caplog):
    preproc.run("tiny", "ann")
    run = train.run("tiny").run
    made = project / "workspace/output_inference" / infer.run("tiny", run)
    assert "no face mesh for a Maya cache: writing npz, arkit_csv" in caplog.text
    assert {p.suffix for p in made.glob("three_joy*")} == {".npz", ".csv"}
    recording = project / "datasets/ann/arkit/three_joy.csv"
    (written,) = made.glob("*.csv")
    assert written.read_text().splitlines()[0] == recording.read_text().splitlines()[0]
    table = read_arkit_csv(written, 30)
    assert table.columns == COLUMNS and len(table.values) == 60 and table.weight("HeadPitch").any()
    assert read_npz(next(made.glob("*.npz")))["names"].tolist() == [*CURVES, *HEAD]
    slow = (
        project
        / "workspace/output_inference"
        / infer.run("tiny", run, OUTPUT_FPS=24, OUTPUT_FORMATS=["npy", "json", "gltf"])
    )
    assert {p.name.split("offline")[1] for p in slow.glob("three_joy*")} == {
        ".npy",
        ".json",
        ".glb",
        "_arkit.npy",
        "_head.npy",
        "_names.json",
    }
    assert np.load(next(slow.glob("*_head.npy"))).shape == (48, 3)
    assert read_animation_json(next(slow.glob("*offline.json"))).fps == 24
    with pytest.raises(UserError, match="pc2 needs a face mesh, which actor ann does not have"):
        infer.run("tiny", run, OUTPUT_FORMATS=["pc2"])
    deploy.run("tiny", run)
    folder = project / "workspace/output_deploy" / run
    about = (folder / "README.md").read_text()
    assert "`arkit`" in about and "52 weights" in about and "`network_curves.onnx`" in about
    live = load_model(folder).animate(project / "datasets/ann/audio/three_joy.wav")
    assert live.write(project / "live.csv") == [project / "live.csv"]
    (head,), fps = read_gltf(live.write(project / "live.glb")[0])
    columns = [CURVES.index(name) for name in head.target_names]
    assert sorted(columns) == list(range(52)) and fps == pytest.approx(30, rel=1e-5)
    np.testing.assert_allclose(head.weights, live.curves["arkit"][:, columns], atol=1e-6)
    assert (project / "live.csv").read_text().splitlines()[0] == recording.read_text().splitlines()[0]
