"""Recordings and rigs of other programs become data sets: names, rates, sounds, units, and the way back."""

import base64
import csv
import dataclasses
import json
import re
import runpy
import shutil
import struct
from fractions import Fraction

import numpy as np
import pytest
from fakes.actor import actor
from fakes.maya_cache import write_channels
from fakes.rig import FakeRig, write_take

from audio2face.commands.view import ViewRequest, build_library
from audio2face.config import load_config
from audio2face.doctor.check import full_check
from audio2face.formats.arkit_csv import ARKIT_NAMES, HEADER, read_arkit_csv, write_arkit_csv
from audio2face.formats.gltf import write_gltf
from audio2face.formats.gltf_rig import read_gltf_rig
from audio2face.formats.json_file import read_json
from audio2face.formats.rig import read_rig_file
from audio2face.formats.scene import MorphMesh
from audio2face.formats.sound import read_sound, write_sound
from audio2face.formats.time_code import parse_time_code
from audio2face.geometry.rigid import rigid_motion
from audio2face.importing import curves as curve
from audio2face.importing.arkit_rig import CURVES, match_names
from audio2face.importing.dataset import Written, WrittenShot
from audio2face.importing.project import Project, write_project
from audio2face.importing.sounds import begin_at, read_take_sound, time_code_offset
from audio2face.importing.takes import find_takes, shot_names
from audio2face.problems import UserError
from runners.settings import SettingsError
from tools import import_live_link, importer, make_project, propose_vertex_lists


@pytest.fixture(scope="module")
def rig():
    return FakeRig()


@pytest.fixture
def place(tmp_path, monkeypatch):
    for key in ("DATASETS", "WORKSPACE", "CONFIGS"):
        monkeypatch.setenv(f"A2F_{key}_ROOT", str(tmp_path / key.lower()))
    return tmp_path


def write_npz(path, rig):
    names = np.array(["neutral", *rig.shapes], "S")
    np.savez(path, poseNames=names, neutral=rig.rest, **rig.shapes)


def write_objs(folder, rig):
    folder.mkdir()
    faces = "".join(f"f {a} {b} {c}\n" for a, b, c in rig.triangles + 1)
    for name, delta in {"Neutral": 0 * rig.rest, **rig.shapes}.items():
        lines = "".join(f"v {x:.7f} {y:.7f} {z:.7f}\n" for x, y, z in rig.rest + delta)
        (folder / f"{name}.obj").write_text(lines + faces)


def same_skin(mesh, rig, scale=1.0):
    np.testing.assert_allclose(mesh.rest * scale, rig.rest, atol=2e-5)
    place = {name: k for k, name in enumerate(mesh.target_names)}
    for name, delta in rig.shapes.items():
        np.testing.assert_allclose(mesh.targets[place[name]] * scale, delta, atol=2e-5)


# ---- rigs


def test_every_kind_of_rig_is_the_same_rig(tmp_path, rig):
    write_npz(tmp_path / "rig.npz", rig)
    write_objs(tmp_path / "objs", rig)
    write_gltf(tmp_path / "rig.glb", rig.meshes(), 30, units_per_metre=100)
    same_skin(read_rig_file(tmp_path / "rig.npz").meshes[0], rig)
    same_skin(read_rig_file(tmp_path / "objs").meshes[0], rig)
    head, tongue = read_rig_file(tmp_path / "rig.glb").meshes
    same_skin(head, rig, 100)
    np.testing.assert_array_equal(head.triangles, rig.triangles)
    np.testing.assert_allclose(tongue.targets[0] * 100, rig.tongue_open, atol=1e-5)


def test_usd_rig(tmp_path, rig):
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom

    from audio2face.formats.usd import write_usd_blendshapes

    meshes = [
        MorphMesh(m.name, m.rest, m.triangles, m.targets, m.target_names, np.zeros((1, len(m.targets)), np.float32))
        for m in rig.meshes()
    ]
    write_usd_blendshapes(tmp_path / "rig.usdc", meshes, 30, 100)
    same_skin(read_rig_file(tmp_path / "rig.usdc").meshes[0], rig, 100)
    stage = Usd.Stage.Open(str(tmp_path / "rig.usdc"))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    stage.Export(str(tmp_path / "z.usda"))
    turned = read_rig_file(tmp_path / "z.usda").meshes[0]
    np.testing.assert_allclose(turned.rest * 100, rig.rest[:, [0, 2, 1]] * [1, 1, -1], atol=1e-4)


def test_foreign_gltf(tmp_path):
    """Interleaved and normalised vertices, a sparse target, two materials on one block, a turned and scaled node."""
    floats = np.zeros((4, 4), "<f4")  # position and one number that is skipped
    floats[:, :3] = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    moved = np.array([[0, 0, 2]], "<f4")
    blob = floats.tobytes() + struct.pack("<H2x", 3) + moved.tobytes() + struct.pack("<6H", 0, 1, 2, 1, 3, 2)
    root = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"children": [1], "scale": [2, 2, 2]},
            {"mesh": 0, "name": "Face", "rotation": [0.5**0.5, 0, 0, 0.5**0.5], "translation": [0, 5, 0]},
        ],
        "meshes": [
            {
                "extras": {"targetNames": ["jawOpen"]},
                "primitives": [
                    {"attributes": {"POSITION": 0}, "indices": i, "targets": [{"POSITION": 1}]} for i in (2, 3)
                ],
            }
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {
                "componentType": 5126, "count": 4, "type": "VEC3",
                "sparse": {
                    "count": 1,
                    "indices": {"bufferView": 1, "componentType": 5123},
                    "values": {"bufferView": 2},
                },
            },
            {"bufferView": 3, "componentType": 5123, "count": 3, "type": "SCALAR"},
            {"bufferView": 3, "byteOffset": 6, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 64, "byteStride": 16},
            {"buffer": 0, "byteOffset": 64, "byteLength": 2},
            {"buffer": 0, "byteOffset": 68, "byteLength": 12},
            {"buffer": 0, "byteOffset": 80, "byteLength": 12},
        ],
        "buffers": [{"uri": "face%20a.bin", "byteLength": len(blob)}],
    }  # fmt: skip
    (tmp_path / "face a.bin").write_bytes(blob)
    (tmp_path / "face.gltf").write_text(json.dumps(root))
    (mesh,) = read_gltf_rig(tmp_path / "face.gltf")
    assert mesh.name == "Face" and mesh.target_names == ("jawOpen",)
    np.testing.assert_allclose(mesh.rest, [[0, 10, 0], [2, 10, 0], [0, 10, 2], [2, 10, 2]], atol=1e-6)
    np.testing.assert_allclose(mesh.targets[0, 3], [0, -4, 0], atol=1e-6)
    assert mesh.triangles.tolist() == [[0, 1, 2], [1, 3, 2]]
    root["buffers"][0]["uri"] = "../secret.bin"
    (tmp_path / "face.gltf").write_text(json.dumps(root))
    with pytest.raises(ValueError, match="outside"):
        read_gltf_rig(tmp_path / "face.gltf")
    root["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    (tmp_path / "face.gltf").write_text(json.dumps(root))
    with pytest.raises(ValueError, match="without compression"):
        read_gltf_rig(tmp_path / "face.gltf")
    del root["extensionsRequired"], root["buffers"][0]["uri"]
    (tmp_path / "face.gltf").write_text(json.dumps(root))
    with pytest.raises(ValueError, match=r"face\.gltf.*ends within"):
        read_gltf_rig(tmp_path / "face.gltf")


def gltf_of_two_shapes(path):
    """A triangle whose first shape moves it up and the second sideways; returns the JSON root to put names into."""
    points, up, aside = np.eye(3), np.tile([0, 1, 0], (3, 1)), np.tile([1, 0, 0], (3, 1))
    blob = np.concatenate([points, up, aside]).astype("<f4").tobytes()
    root = {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0, "name": "Head"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "targets": [{"POSITION": 1}, {"POSITION": 2}]}]}],
        "accessors": [
            {"bufferView": 0, "byteOffset": 36 * i, "componentType": 5126, "count": 3, "type": "VEC3"} for i in range(3)
        ],
        "bufferViews": [{"buffer": 0, "byteLength": len(blob)}],
        "buffers": [{"uri": "data:;base64," + base64.b64encode(blob).decode(), "byteLength": len(blob)}],
    }  # fmt: skip

    def read(change):
        altered = json.loads(json.dumps(root))
        change(altered["nodes"][0], altered["meshes"][0], altered["meshes"][0]["primitives"][0], altered["accessors"])
        path.write_text(json.dumps(altered))
        (mesh,) = read_gltf_rig(path)
        np.testing.assert_array_equal(mesh.targets[:, 0], [[0, 1, 0], [1, 0, 0]])
        return mesh.target_names

    return read


def test_names_of_morph_targets_wherever_writers_put_them(tmp_path):
    read = gltf_of_two_shapes(tmp_path / "face.gltf")
    names = {"targetNames": ["jawOpen", "jawLeft"]}
    other = {"author": "someone", "targetNames": ["only one"]}

    def accessors(first, second):
        return lambda n, m, p, a: (a[1].update(name=first), a[2].update(name=second))

    wanted = ("jawOpen", "jawLeft")
    assert read(lambda n, m, p, a: m.update(extras=names)) == wanted
    assert read(lambda n, m, p, a: (m.update(extras={"author": "someone"}), p.update(extras=names))) == wanted
    assert read(lambda n, m, p, a: (m.update(extras=other), n.update(extras=names))) == wanted
    assert read(lambda n, m, p, a: (m.update(extras="text"), p.update(extras=names))) == wanted
    assert read(accessors("jawOpen", "jawLeft")) == wanted  # FBX2glTF
    assert read(accessors("Head_jawOpen_POSITION", "Head_jawLeft_POSITION")) == wanted
    assert read(accessors("POSITION", "POSITION")) == read(accessors("jawOpen", "")) == ("target_0", "target_1")
    with pytest.raises(ValueError, match=r"face\.gltf.*1 targetNames, it has 2 morph targets"):
        read(lambda n, m, p, a: m.update(extras=other))


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("jawOpen", "jawOpen"), ("JawOpen", "jawOpen"), ("jaw_open", "jawOpen"), ("face_bs.jawOpen", "jawOpen"),
        ("eyeBlink_L", "eyeBlinkLeft"), ("EyeBlinkRight", "eyeBlinkRight"), ("arkit_mouthClose", "mouthClose"),
        ("browInnerUp_L", "browInnerUp"), ("cheekPuff_R", "cheekPuff"), ("mouthLeft", "mouthLeft"),
        ("head|mouth_Smile_l", "mouthSmileLeft"), ("TongueOut", "tongueOut"),
    ],
)  # fmt: skip
def test_shape_names(shape, name):
    assert match_names([shape]).shapes == {name: {shape: 1.0}}


def test_all_names_of_arkit_are_found():
    match = match_names(CURVES)
    assert not match.missing and not match.unused and not match.problems


def test_map_of_names_goes_first_and_is_checked():
    match = match_names(["jawOpen", "Open2", "puff_a", "puff_b"], {"JawOpen": "Open2", "cheekPuff": {"puff_a": 0.5}})
    assert match.shapes["jawOpen"] == {"Open2": 1.0} and match.shapes["cheekPuff"] == {"puff_a": 0.5}
    assert match.unused == ("jawOpen", "puff_b")
    match = match_names(["Mouth_Opn"], {"jawOpn": "x", "jawOpen": "Mouth_Open"})
    assert len(match.problems) == 2 and "'jawOpen'" in match.problems[0] and "'Mouth_Opn'" in match.problems[1]
    assert "both match jawOpen" in match_names(["jawOpen", "Jaw_Open"]).problems[0]


# ---- recordings


def recording(tmp_path, rows, header=HEADER):
    path = tmp_path / "r.csv"
    path.write_text("\n".join([",".join(header), *rows]) + "\n")
    return path


def test_rates_of_time_codes(tmp_path):
    for fps in (24, 25, 30, 60):
        write_arkit_csv(tmp_path / "a.csv", {"jawOpen": np.linspace(0, 1, 3 * fps)}, fps)
        assert read_arkit_csv(tmp_path / "a.csv").fps == fps
    write_arkit_csv(tmp_path / "a.csv", {"jawOpen": np.linspace(0, 1, 20)}, 30)
    with pytest.raises(ValueError, match="--csv-fps"):
        read_arkit_csv(tmp_path / "a.csv")
    write_arkit_csv(tmp_path / "a.csv", {"jawOpen": np.linspace(0, 1, 100)}, 29.97)
    times = read_arkit_csv(tmp_path / "a.csv", 29.97).times_s
    np.testing.assert_allclose(times, np.arange(100) / 29.97, atol=1e-9)


def coded(tmp_path, codes):
    """A recording with these time codes, whose jaw opens by 0.001 a row."""
    rows = [f"{code},{i / 1000}" for i, code in enumerate(codes)]
    return recording(tmp_path, rows, ["Timecode", "JawOpen"])


def codes(frames, base, mark=":"):
    """Time codes of frame counts (whole or not) of `base` a second."""
    for frame in frames:
        seconds, part = divmod(frame, base)
        seconds = int(seconds) % 86400
        text = f"{part:06.3f}" if part % 1 else f"{int(part):02d}"
        yield f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{text}"


@pytest.mark.parametrize("base", [24, 25, 30, 48, 50, 60])
@pytest.mark.parametrize("rate", [24, 25, 30, 48, 50, 60])
@pytest.mark.parametrize("whole", [False, True], ids=["sub-frames", "whole codes"])
def test_the_rate_is_that_of_rows_not_of_codes(tmp_path, base, rate, whole):
    exact = 86396 * base + np.arange(6 * rate) * base / rate + 0.169  # and past midnight
    read = read_arkit_csv(coded(tmp_path, codes(np.floor(exact) if whole else exact, base)))
    assert read.fps == rate and read.clock.counted_per_s == base and read.clock.missing == 0
    slack = 1 / base if whole else 1e-4
    np.testing.assert_allclose(read.times_s, np.arange(6 * rate) / rate, atol=slack)
    assert read.start_s == pytest.approx(86396, abs=1 / base)


def test_lost_and_repeated_codes(tmp_path):
    frames = np.delete(np.arange(600), [50, 51, 200, 330])
    frames[100] = frames[99]  # the next code is missing in its place
    read = read_arkit_csv(coded(tmp_path, codes(frames, 60)))
    assert (read.fps, read.clock.missing, read.clock.repeated) == (60, 4, 1)
    np.testing.assert_allclose(read.times_s, np.delete(np.arange(600), [50, 51, 200, 330]) / 60, atol=1e-9)
    read = read_arkit_csv(coded(tmp_path, codes(np.insert(np.arange(600), 100, 99), 60)))  # a row too many
    assert read.fps == 60 and read.times_s[99:102] * 60 == pytest.approx([99, 99.5, 100])


def test_lost_rows_do_not_slow_the_rate(tmp_path):
    """One in 25 lost by chance is not 24 a second."""
    kept = np.flatnonzero(np.random.default_rng(0).random(750) > 0.04)
    for base in (25, 50, 60):
        for shift in (0.0, 0.25):
            read = read_arkit_csv(coded(tmp_path, codes(kept + shift, base)))
            assert (read.fps, read.clock.missing) == (base, kept[-1] - kept[0] + 1 - len(kept))


def test_drop_frame_codes_keep_to_the_clock(tmp_path):
    count = np.arange(30 * 61 + 40)
    labels = count + 2 * (count >= 30 * 60) + 30 * 60 * 10  # minute 11 begins with frame 2
    for mark in ":;":
        read = read_arkit_csv(coded(tmp_path, codes(labels, 30, mark)))
        assert read.clock.drop_frame and read.fps == pytest.approx(30 / 1.001) and read.clock.missing == 0
        np.testing.assert_allclose(read.times_s, count * 1.001 / 30, atol=1e-9)
        assert read.start_s == pytest.approx(600, abs=0.02)
    frames = np.arange(200) + 60 * 3600
    read = read_arkit_csv(coded(tmp_path, codes(frames, 60)), 59.94)
    assert read.fps == pytest.approx(59.94) and read.start_s == pytest.approx(3600 * 60 / 59.94)


def test_codes_beyond_the_rate_given(tmp_path):
    with pytest.raises(ValueError, match=r"line 32: time code 00:00:00:30 counts beyond 30 .*--csv-fps"):
        read_arkit_csv(coded(tmp_path, codes(np.arange(90), 60)), 30)


def test_time_codes_of_other_layouts_are_refused():
    for text in ("00:00:01", "a:b:c:d", "00:00:00:nan", "-1:00:00:00", "00:00:00:1e9", ""):
        with pytest.raises(ValueError, match=r"HH:MM:SS:FF\.fff"):
            parse_time_code(text)


def test_other_columns_rows_without_a_face_and_midnight(tmp_path):
    header = ["Timecode", "JawOpen", "Unknown", "eyeBlinkLeft"]
    read = read_arkit_csv(recording(tmp_path, ["23:59:59:29.500,0.25,7,1", "00:00:00:00.500,0.5,7,0"], header), 30)
    np.testing.assert_allclose(read.times_s, [0, 1 / 30], atol=1e-6)
    assert read.weight("jawOpen").tolist() == [0.25, 0.5] and read.unknown == ("Unknown",)
    assert set(read.columns) == {"JawOpen", "EyeBlinkLeft"}
    rows = ["00:00:01:00.000,0", "00:00:01:15.000," + ",".join(["61"] + ["0.5"] * 61)]
    read = read_arkit_csv(recording(tmp_path, rows), 30)
    assert read.lead_s == pytest.approx(0.5) and read.start_s == pytest.approx(1.5) and len(read.values) == 1
    with pytest.raises(ValueError, match="line 3.*earlier"):
        read_arkit_csv(recording(tmp_path, ["00:00:02:00.000,1,1,1", "00:00:01:00.000,1,1,1"], header), 30)


def test_other_rates_are_interpolated_by_time(tmp_path):
    write_arkit_csv(tmp_path / "a.csv", {"jawOpen": np.linspace(0, 1, 121)}, 60)
    read = read_arkit_csv(tmp_path / "a.csv")
    half = curve.at_rate(read, 30)[:, 17]
    np.testing.assert_allclose(half, read.weight("jawOpen")[::2], atol=1e-6)
    np.testing.assert_allclose(curve.at_rate(read, 25)[:, 17], np.arange(51) / 25 / 2, atol=1e-6)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "b.csv").write_text("\n".join(lines[:31] + lines[61:]) + "\n")
    holes = read_arkit_csv(tmp_path / "b.csv")
    assert curve.spans(holes, 60) == [(0, 29), (60, 120)]
    np.testing.assert_allclose(curve.at_rate(holes, 60)[:, 17], np.linspace(0, 1, 121), atol=1e-6)


def test_gaze_from_look_curves_and_from_angles(tmp_path):
    weights = {"eyeLookDownLeft": np.array([1.0]), "eyeLookOutLeft": np.array([0.5]), "eyeLookInRight": np.array([0.5])}
    write_arkit_csv(tmp_path / "a.csv", weights, 30)
    turns = curve.eye_rotations(read_arkit_csv(tmp_path / "a.csv", 30).values, 30.0)
    np.testing.assert_allclose(turns[0], [[0, 15], [30, 15]])  # both look to the face's left, the left eye down
    write_arkit_csv(tmp_path / "b.csv", weights, 30, np.array([[3.0, -4, 0, 5, -6, 0]]))
    turns = curve.eye_rotations(read_arkit_csv(tmp_path / "b.csv", 30).values)
    np.testing.assert_allclose(turns[0], [[3, -4], [5, -6]], atol=1e-4)


def test_blinks_and_saccades(tmp_path):
    write_take(tmp_path, "a", 1)
    values = read_arkit_csv(tmp_path / "a.csv").values
    keys = curve.blink_keys([values], 30)
    assert keys.max() == 1 and keys[0] == keys[-1] == 0 and 5 <= len(keys) <= 12
    assert curve.blink_keys([0 * values], 30) is None
    table = curve.saccades([curve.eye_rotations(values)], 30)
    assert table.shape == (90, 2) and abs(np.median(table)) < 1


def test_the_clearest_blink_of_many():
    closed = np.tile([0.0, 0.4, 0.7, 0.3, 0.0, 0.1], 500)
    closed[[1502, 2]] = 0.9, 0.95  # the first one begins at the first frame that is open
    values = np.zeros((len(closed), 61), np.float32)
    values[:, [ARKIT_NAMES.index("EyeBlinkLeft"), ARKIT_NAMES.index("EyeBlinkRight")]] = closed[:, None]
    np.testing.assert_allclose(curve.blink_keys([values], 30), [0, 0.4 / 0.95, 1, 0.3 / 0.95, 0], rtol=1e-5)
    np.testing.assert_allclose(curve.blink_keys([values[1:]], 30)[1], 0.4 / 0.9, rtol=1e-5)


def test_a_project_names_what_is_quoted_as_python_does(tmp_path):
    shots = (WrittenShot("it's joy", 60, ((0, 59),), 4, 0.0), WrittenShot('say "a"', 30, ((0, 9), (12, 29)), 4, 0.0))
    project = Project("anna", tmp_path / "o'neill", 30.0, ("neutral", "joy"), "de", "elsewhere")
    write_project(tmp_path / "anna", project, Written(shots, {"AUDIO_ROOT": "audio"}, (), 100.0))
    found = {path.stem: runpy.run_path(str(path)) for path in (tmp_path / "anna").glob("*.py")}
    assert set(found["config_dataset"]["SHOT_LANGUAGE_MAP"]["anna"]) == {"it's joy", 'say "a"'}
    assert found["config_dataset"]["AUDIO_ROOT"] == {"anna": (tmp_path / "o'neill/audio").as_posix()}
    assert found["config_train"]["CLIPS"][1:] == [
        ("anna", 'say "a"', span, "anna", "de", 'say "a".wav', 0) for span in shots[1].spans
    ]
    assert found["config_train"]["AUG_MUTED_SHOTS"][1] == ("anna", ("it's joy", 4), 120, "joy")


def test_takes_as_the_app_writes_them(tmp_path):
    for name in (
        "Slate_1.csv",
        "Slate_1_cal.csv",
        "Slate_1_neutral.csv",
        "Slate_1.wav",
        "b_neutral.csv",
        "frame_log.csv",
    ):
        (tmp_path / name).write_bytes(b"")
    takes, problems, notes = find_takes([tmp_path])
    assert notes == [f"{tmp_path}: not used: 4 .csv files (b_neutral.csv, frame_log.csv, Slate_1.csv, …)"]
    assert [(t.name, t.curves.name, t.sound.name) for t in takes] == [("Slate_1", "Slate_1_cal.csv", "Slate_1.wav")]
    assert len(problems) == 1 and "b_neutral.wav" in problems[0]


def test_takes_in_any_script_are_shots_of_their_own(tmp_path):
    names = ["第一句", "第二句", "joy 1", "joy_1", "Joy 1", "दो", "दे", "é", "😀", "😡", "взгляд-2"]
    assert shot_names(["第一句", "第二句", "взгляд-2"]) == {n: n for n in ("第一句", "第二句", "взгляд-2")}
    assert shot_names(["joy 1", "joy_1", "Joy 1", "😀", "😡"]) == {
        "joy 1": "joy_1_2", "joy_1": "joy_1", "Joy 1": "Joy_1_3", "😀": "take", "😡": "take_2"
    }  # fmt: skip
    assert shot_names(["e\u0301"]) == {"e\u0301": "\u00e9"}  # as macOS writes an accent
    for name in names:
        (tmp_path / f"{name}.csv").write_bytes(b"")
        (tmp_path / f"{name}.wav").write_bytes(b"")
    takes, problems, notes = find_takes([tmp_path])
    assert not problems and len({take.name.casefold() for take in takes}) == len(takes) == len(names)
    assert {take.curves.stem for take in takes} == {take.sound.stem for take in takes} == set(names)
    assert "😡: shot take_2" in notes and not any(note.startswith("第") for note in notes)


def test_takes_come_in_natural_order_and_what_is_passed_over_is_told(tmp_path):
    (tmp_path / "wav").mkdir()
    for number in (10, 2, 1):
        (tmp_path / f"take_{number}.csv").write_bytes(b"")
        (tmp_path / f"wav/take_{number}.ogg").write_bytes(b"")
    (tmp_path / "wav/old").mkdir()
    (tmp_path / "wav/spare.mp3").write_bytes(b"")
    takes, problems, notes = find_takes([tmp_path], tmp_path / "wav")
    assert [take.name for take in takes] == ["take_1", "take_2", "take_10"] and not problems
    assert [note.split(": not used: ")[1] for note in notes] == ["1 folder (old)", "1 .mp3 file (spare.mp3)"]
    (tmp_path / "wav/take_2.ogg").rename(tmp_path / "wav/take_2.wma")
    _, problems, _ = find_takes([tmp_path], tmp_path / "wav")
    assert len(problems) == 1 and problems[0].endswith("not recognised as sound: take_2.wma")


# ---- sounds


def test_broadcast_waves_are_laid_by_time_code(tmp_path):
    write_sound(tmp_path / "a.wav", np.linspace(-0.5, 0.5, 32000).astype(np.float32), 16000)
    data = (tmp_path / "a.wav").read_bytes()
    body = bytes(338) + struct.pack("<Q", 16000 * 3600) + bytes(256)
    chunk = b"bext" + struct.pack("<I", len(body)) + body
    (tmp_path / "b.wav").write_bytes(
        b"RIFF" + struct.pack("<I", len(data) - 8 + len(chunk)) + b"WAVE" + chunk + data[12:]
    )
    sound = read_take_sound(tmp_path / "b.wav")
    assert sound.start_s == 3600 and read_take_sound(tmp_path / "a.wav").start_s is None
    assert time_code_offset(sound, 3600.5) == pytest.approx(0.5)
    assert time_code_offset(sound, 7200) is None  # the codes are of different clocks
    late = dataclasses.replace(sound, start_s=86399.5)
    assert time_code_offset(late, 0.25) == time_code_offset(late, 86400.25) == pytest.approx(0.75)  # past midnight
    samples, rate = begin_at(sound, 0.5, 1.0)
    np.testing.assert_array_equal(samples, sound.samples[8000:24000])
    samples, _ = begin_at(sound, -0.25, 1.0)
    assert not samples[:4000].any() and len(samples) == 16000
    assert begin_at(sound, 0, 1.0, 48000)[0].shape == (48000, 1)


def test_sound_of_a_film(tmp_path):
    av = pytest.importorskip("av")
    tone = (0.3 * np.sin(np.arange(48000) / 20)).astype(np.float32)
    with av.open(str(tmp_path / "a.mov"), "w") as film:
        stream = film.add_stream("pcm_s16le", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray((tone * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            film.mux(packet)
    sound = read_take_sound(tmp_path / "a.mov")
    assert sound.rate == 48000
    np.testing.assert_allclose(sound.samples[:, 0], tone, atol=1e-4)


def film(path, codec, pieces, rate=48000, picture_s=None, fps=Fraction(30), code=None):
    """A film of pieces [(first sample, samples)] and, from `picture_s` on, pictures, the first of time code `code`."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        if code:
            container.metadata["timecode"] = code
        sound = container.add_stream(codec, rate=rate, layout="mono")
        if picture_s is not None:
            picture = container.add_stream("mpeg4", rate=fps)
            picture.width = picture.height = 32
            for i in range(15):
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
                frame.pts = round(30 * picture_s) + i
                container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        for first, samples in pieces:
            kind = sound.format.name
            block = samples[None] if kind == "fltp" else (samples * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(block.astype(np.float32) if kind == "fltp" else block, kind, "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return read_take_sound(path)


def tone(count):
    return (0.3 * np.sin(np.arange(count) / 20)).astype(np.float32)


def test_the_sound_of_a_film_stands_where_its_time_stamps_say(tmp_path):
    """Half a second late, with a hole of 0.4 seconds, and from the first picture on."""
    pieces = [(24000 + 1000 * i, tone(1000)) for i in range(24)] + [(67200, tone(9600))]
    wanted = np.zeros(76800, np.float32)
    for first, samples in pieces:
        wanted[first : first + len(samples)] = samples
    sound = film(tmp_path / "a.mkv", "pcm_s16le", pieces, picture_s=0.0)
    np.testing.assert_allclose(sound.samples[:, 0], wanted, atol=1e-4)
    sound = film(tmp_path / "b.mkv", "pcm_s16le", pieces, picture_s=1.0)  # the sound is first
    np.testing.assert_allclose(sound.samples[:, 0], wanted[48000:], atol=1e-4)
    for name in ("c.mov", "d.mkv"):
        late = film(tmp_path / name, "pcm_s16le", pieces[:24], picture_s=0.0)
        np.testing.assert_allclose(late.samples[:, 0], wanted[:48000], atol=1e-4)
    for name in ("e.mov", "f.mkv", "g.avi"):
        at_once = film(tmp_path / name, "pcm_s16le", [(0, tone(48000))], picture_s=0.0)
        np.testing.assert_allclose(at_once.samples[:, 0], tone(48000), atol=1e-4)


def test_sound_that_overlaps_is_not_put_behind(tmp_path):
    first, second = tone(9600), -0.5 * tone(9600)
    sound = film(tmp_path / "a.mkv", "pcm_s16le", [(0, first), (4800, second)], picture_s=0.0)
    np.testing.assert_allclose(sound.samples[:, 0], np.concatenate([first, second[4800:]]), atol=1e-4)


@pytest.mark.parametrize(
    ("code", "fps", "seconds"),
    [
        ("10:00:00:15", Fraction(30), 36000.5),
        ("10:00:00:00", Fraction(30000, 1001), 36036.0),  # without drop-frame such codes fall behind the clock
        ("10:00:00;00", Fraction(30000, 1001), 35999.964),
        ("00:01:00;02", Fraction(30000, 1001), 60.06),
    ],
)
def test_the_time_code_of_a_film(tmp_path, code, fps, seconds):
    sound = film(tmp_path / "a.mov", "pcm_s16le", [(0, tone(4800))], picture_s=0.0, fps=fps, code=code)
    assert sound.start_s == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("name", ["a.mp4", "a.m4a", "a.mkv"])
def test_silence_that_encoders_put_first_is_left_out(tmp_path, name):
    click = np.zeros(44100, np.float32)
    click[10000:10100] = 0.8
    pieces = [(at, click[at : at + 1024]) for at in range(0, 44100, 1024)]
    sound = film(tmp_path / name, "aac", pieces, 44100, None if name == "a.m4a" else 0.0)
    loud = np.flatnonzero(np.abs(sound.samples[:, 0]) > 0.3)
    assert abs(loud[0] - 10000) < 60 and abs(len(sound.samples) - 44100) <= 1200


def test_damaged_time_stamps_do_not_fill_the_memory(tmp_path):
    with pytest.raises(ValueError, match=r"a\.mkv: its sound jumps from 0\.\d to 90000\.0 s"):
        film(tmp_path / "a.mkv", "pcm_s16le", [(0, tone(9600)), (48000 * 90000, tone(9600))])


def test_rigid_motion():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(4, 3, 3)))
    turn *= np.sign(np.linalg.det(turn))[:, None, None]
    shift = rng.normal(size=(4, 3))
    turns, shifts = rigid_motion(points, np.einsum("tij,pj->tpi", turn, points) + shift[:, None])
    np.testing.assert_allclose(turns, turn, atol=1e-9)
    np.testing.assert_allclose(shifts, shift, atol=1e-9)


# ---- the importer


def live_link(place, *more):
    write_gltf(place / "rig.glb", FakeRig().meshes(), 30, units_per_metre=100)
    return import_live_link.main([str(place / "takes"), "--rig", str(place / "rig.glb"), "--actor", "anna", *more])


def test_from_recordings_to_a_clean_data_set(place, rig, capsys):
    written = {name: write_take(place / "takes", name, i, 150) for i, name in enumerate(["a_neutral", "b_joy", "c d"])}
    assert live_link(place) == 0
    told = capsys.readouterr().out
    assert "6 of 52 curves" in told and "shapes without a curve: wrinkle" in told and "run_preproc.py anna anna" in told
    home = place / "datasets/anna"
    weights = written["b_joy"]
    expected = rig.rest + sum(
        weights[name][:, None, None] * sum(d for n, d in rig.shapes.items() if match_names([n]).shapes.get(name))
        for name in weights
    )
    np.testing.assert_allclose(np.load(home / "cache/skin/b_joy/b_joy.npy"), expected, atol=2e-5)
    tongue = np.load(home / "cache/tongue/b_joy/b_joy.npy")
    moved = rig.tongue + weights["jawOpen"][:, None, None] * rig.tongue_open
    np.testing.assert_allclose(tongue, moved, atol=2e-5)
    np.testing.assert_allclose(read_sound(home / "audio/c_d.wav")[0], read_sound(place / "takes/c d.wav")[0])
    sections = load_config("anna", ("dataset", "preproc", "train"))
    assert sections["dataset"].SHOT_EMOTION_NAMES == ["neutral", "joy"]
    assert {clip[1] for clip in sections["train"].CLIPS} == {"a_neutral", "b_joy", "c_d"}
    findings = full_check(sections, ["anna"])[0].findings
    assert not [f for f in findings if f.level == "error"], [f.what for f in findings]
    assert read_json(home / "import.json")["shots"][0]["by"] == "common start"
    assert 'class="wire"' in (home / "geom/skin/proposed_lists.html").read_text()
    assert live_link(place) == 2 and "--replace" in capsys.readouterr().err
    config = place / "configs/anna/config_train.py"
    mine = config.read_text().replace("b_joy", "other")
    config.write_text(mine)
    assert live_link(place, "--replace") == 0 and config.read_text() == mine
    assert "so not trained on: b_joy\n" in capsys.readouterr().out


def test_blendshapes_that_move_nothing_are_left_out(place, monkeypatch):
    write_take(place / "takes", "a_neutral", 0)
    skin, tongue = FakeRig().meshes()
    still = dataclasses.replace(tongue, targets=np.zeros_like(tongue.targets))
    monkeypatch.setattr(FakeRig, "meshes", lambda self: [skin, still])
    assert live_link(place) == 0
    assert [path.name for path in sorted((place / "datasets/anna/bs_data").glob("*.npz"))] == ["bs_skin.npz"]
    assert not load_config("anna", ("dataset",))["dataset"].BLENDSHAPE_TONGUE_FPATH


def test_all_problems_are_told_at_once(place, capsys):
    write_take(place / "takes", "a", 0)
    weights = {"mouthFunnel": np.ones(90), "cheekPuff": np.ones(90), "tongueOut": np.ones(90)}
    write_arkit_csv(place / "takes/b.csv", weights, 30)
    (place / "takes/c.csv").write_text("x,y\n")
    write_sound(place / "takes/c.wav", np.zeros(8000, np.float32), 8000)
    assert live_link(place) == 2
    told = capsys.readouterr().err
    for part in ("b.csv: no sound b.wav", "c.csv: none of its columns", "8000 Hz is too low"):
        assert part in told
    write_sound(place / "takes/b.wav", np.zeros(48000, np.float32), 16000)
    assert live_link(place) == 2
    told = capsys.readouterr().err
    assert "curve mouthFunnel" in told and "curve cheekPuff" in told and "tongueOut" not in told
    assert "wrinkle" in told and not (place / "datasets").exists()
    (place / "takes/c.csv").unlink()
    assert live_link(place, "--allow-missing") == 0


def test_maps_are_checked(place, capsys):
    write_take(place / "takes", "a", 0)
    (place / "map.json").write_text('{"jawOpen": 5, "mouthFunnel": "wrinkle"}')
    assert live_link(place, "--map", str(place / "map.json")) == 2
    assert "jawOpen" in capsys.readouterr().err
    (place / "map.json").write_text('{"jawOpn": "wrinkle", "mouthFunnel": "wrinkl"}')
    assert live_link(place, "--map", str(place / "map.json")) == 2
    told = capsys.readouterr().err
    assert "like 'jawOpen'" in told and "like 'wrinkle'" in told


def rewritten(path, change):
    """Change the rows of a recording: {column: text} in, the same out."""
    with path.open(newline="") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def times(factor, names):
    return lambda row: row | {name: repr(float(row[name]) * factor) for name in names}


def skin_of(place, name="a"):
    return np.load(place / f"datasets/anna/cache/skin/{name}/{name}.npy")


def eyes_of(place, name="a"):
    with np.load(place / "datasets/anna/xform/eye_rotations_all.npz") as file:
        return file[file.files[0]]


def test_thirty_rows_a_second_by_codes_of_sixty(place, capsys):
    write_take(place / "takes", "a", 1)
    assert live_link(place) == 0
    wanted = skin_of(place)
    fresh = codes(np.arange(90) * 2 + 0.169, 60)
    rewritten(place / "takes/a.csv", lambda row: row | {"Timecode": next(fresh)})
    capsys.readouterr()
    assert live_link(place, "--replace") == 0
    assert "recordings: 30 frames a second by time codes that count 60\n" in capsys.readouterr().out
    assert "CACHE_FPS = {'anna': 30.0}" in (place / "configs/anna/config_dataset.py").read_text().replace('"', "'")
    np.testing.assert_allclose(skin_of(place), wanted, atol=1e-5)


@pytest.mark.parametrize(("whole", "unit"), [(100, "percent"), (255, "bytes")])
def test_weights_in_other_units_are_refused_or_scaled(place, capsys, whole, unit):
    for name in "ab":
        write_take(place / "takes", name, 1)
    assert live_link(place) == 0
    wanted = skin_of(place)
    for name in "ab":
        rewritten(place / f"takes/{name}.csv", times(whole, ARKIT_NAMES))
    capsys.readouterr()
    assert live_link(place, "--replace") == 2
    for name, line in zip("ab", capsys.readouterr().err.splitlines(), strict=True):
        assert (
            f"{name}.csv: weights up to {whole} (EyeBlinkLeft), " in line and f"{unit}? Pass --scale 1/{whole}" in line
        )
    assert live_link(place, "--replace", "--scale", f"1/{whole}") == 0
    np.testing.assert_allclose(skin_of(place), wanted, atol=1e-5)
    write_take(place / "takes", "b", 1)  # one of 0 to 1 among the others
    assert live_link(place, "--replace", "--scale", f"1/{whole}") == 2
    assert "b.csv: weights only up to 0.0" in capsys.readouterr().err


def test_angles_in_degrees_are_refused_or_turned(place, capsys):
    angles = [f"{side}Eye{turn}" for side in ("Left", "Right") for turn in ("Yaw", "Pitch")]
    write_take(place / "takes", "a", 1)
    assert live_link(place) == 0
    wanted = eyes_of(place)
    assert np.ptp(wanted) > 5
    rewritten(place / "takes/a.csv", times(180 / np.pi, angles))
    capsys.readouterr()
    assert live_link(place, "--replace") == 2
    assert re.search(
        r"a\.csv: \w+Eye(Yaw|Pitch) up to [\d.]+ radians: degrees\? Pass --degrees", capsys.readouterr().err
    )
    assert live_link(place, "--replace", "--degrees") == 0
    np.testing.assert_allclose(eyes_of(place), wanted, atol=1e-4)


def test_what_is_odd_in_time_and_gaze_is_reported(place, capsys):
    """As trackers of one camera write: uneven stamps, a lost row, eyes that rest below straight ahead."""
    write_take(place / "takes", "a", 1)
    write_take(place / "takes", "b", 2)
    jitter = np.random.default_rng(0).uniform(-0.2, 0.2, 90)
    fresh = codes(np.where(np.arange(90) < 40, np.arange(90), np.arange(90) + 1) + 3 + jitter, 30)
    down = 9 * np.pi / 180
    for name in "ab":
        rewritten(
            place / f"takes/{name}.csv",
            lambda row: row | {f"{s}EyePitch": repr(float(row[f"{s}EyePitch"]) + down) for s in ("Left", "Right")},
        )
    rewritten(place / "takes/a.csv", lambda row: row | {"Timecode": next(fresh)})
    assert live_link(place) == 0
    out = capsys.readouterr().out
    assert re.search(r"\na: 1 frame\(s\) missing, frames up to \d+ ms early or late; placed by their time codes\n", out)
    assert "\nb: " not in out and re.search(r"\ngaze: the eyes rest (8|9|10)° down", out)


def test_the_sound_of_a_take_from_a_film_that_starts_late(place):
    write_take(place / "takes", "a", 1)
    samples, rate = read_sound(place / "takes/a.wav")
    (place / "takes/a.wav").unlink()
    film(place / "takes/a.mov", "pcm_s16le", [(rate // 2, samples[:, 0])], rate, 0.0)
    assert live_link(place) == 0
    heard, rate = read_sound(place / "datasets/anna/audio/a.wav")
    assert not heard[: rate // 2].any()
    np.testing.assert_allclose(heard[rate // 2 :, 0], samples[: len(heard) - rate // 2, 0], atol=1e-4)


def test_round_trip_with_our_own_export(place, rig):
    """Weights written by the arkit_csv export and imported with the same rig give the vertices that were exported."""
    from audio2face.postprocess.rig import read_rig

    write_take(place / "takes", "a", 3)
    assert live_link(place) == 0
    poses = place / "datasets/anna/bs_data"
    shapes = read_rig(poses / "bs_skin_config.json", poses / "bs_skin.npz")
    rng = np.random.default_rng(1)
    weights = dict(zip(shapes.names, rng.uniform(0, 1, (len(shapes.names), 75)), strict=True))
    frames = shapes.neutral + np.tensordot(np.stack(list(weights.values()), axis=1), shapes.deltas, 1)
    write_arkit_csv(place / "again/x.csv", weights, 30, rng.normal(0, 5, (75, 6)))
    write_sound(place / "again/x.wav", np.zeros(40000, np.float32), 16000)
    rigs = ["--rig", str(poses / "bs_skin.npz"), "--tongue", str(poses / "bs_tongue.npz"), "--units", "cm"]
    assert import_live_link.main([str(place / "again"), *rigs, "--actor", "again"]) == 0
    again = np.load(place / "datasets/again/cache/skin/x/x.npy")
    np.testing.assert_allclose(again, frames, atol=2e-6 * np.abs(frames).max())
    with np.load(place / "datasets/again/xform/eye_rotations_all.npz") as eyes:
        assert eyes["x"].shape == (75, 2, 2)


def test_a_project_for_files_that_are_there(place, capsys):
    """Of the files that other programs' scripts leave in the standard layout."""
    home = actor(place / "datasets/tiny").home
    (home / "geom/skin/eye_dist_vertex_list.json").unlink()
    np.save(home / "geom/skin/prune_mask.npy", np.arange(100))
    rigid = home / "geom/tongue/rigid_vertex_list.json"
    np.save(rigid.with_suffix(".npy"), json.loads(rigid.read_text()))
    rigid.unlink()
    (home / "audio/a2_neutral.wav").rename(home / "audio/a2.wav")
    arguments = [str(home), "--actor", "tiny", "--config", "mine"]
    assert make_project.main([*arguments, "--fps", "30"]) == 2
    assert "a2_neutral.wav: no such file" in capsys.readouterr().err
    write_sound(home / "audio/a2_neutral.flac", *read_sound(home / "audio/a2.wav"))
    (home / "audio/a2.wav").rename(home / "audio/a2.wma")
    assert make_project.main(arguments) == 2
    assert "--fps" in capsys.readouterr().err
    assert make_project.main([*arguments, "--fps", "30"]) == 0
    told = capsys.readouterr().out
    assert "proposed: geom/skin/eye_dist_vertex_list.json" in told and "audio: not used: 1 .wma file (a2.wma)" in told
    sections = load_config("mine", ("dataset", "preproc", "train"))
    dataset = sections["dataset"]
    assert sections["preproc"].SKIN_PRUNE_MESH_MASK_FPATH == {"tiny": "/datasets/tiny/geom/skin/prune_mask.npy"}
    assert sections["train"].CLIPS[1][5] == "a2_neutral.flac"
    assert dataset.AUDIO_ROOT == {"tiny": "/datasets/tiny/audio"} and len(sections["train"].CLIPS) == 6
    assert "tiny" in dataset.SKIN_EYE_DIST_VERTEX_LIST_FPATH
    assert dataset.TONGUE_RIGID_VERTEX_LIST_FPATH == {"tiny": "/datasets/tiny/geom/tongue/rigid_vertex_list.npy"}
    assert not [f for f in full_check(sections, ["tiny"])[0].findings if f.level == "error"]


def test_a_project_for_caches_of_head_and_tongue_together(place, capsys):
    home = actor(place / "datasets/tiny").home
    for folder in (home / "cache/skin").iterdir():
        skin, tongue = folder / f"{folder.name}.npy", home / f"cache/tongue/{folder.name}/{folder.name}.npy"
        write_channels(skin, {"headShape": np.load(skin), "tongueShape": np.load(tongue)})
        skin.unlink()
    shutil.rmtree(home / "cache/tongue")
    arguments = [str(home), "--actor", "tiny"]
    assert make_project.main(arguments) == 2
    told = capsys.readouterr().err
    assert "among: headShape, tongueShape (--skin-channel" in told
    assert make_project.main([*arguments, "--skin-channel", "headShape", "--tongue-channel", "tongueShape"]) == 0
    sections = load_config("tiny", ("dataset", "preproc", "train"))
    assert sections["dataset"].TONGUE_CACHE_CHANNEL == {"tiny": "tongueShape"}
    report = full_check(sections, ["tiny"])[0]
    assert not [f for f in report.findings if f.level == "error"]
    tongue = len(np.load(home / "geom/tongue/neutral_pose.npy"))
    assert {cache.num_vertices for cache in report.data.tongue.values()} == {tongue}
    assert report.data.num_vertices == len(np.load(home / "geom/skin/neutral_pose.npy"))
    with pytest.raises(UserError, match=r"among: headShape, tongueShape \(--channel\)"):
        build_library(ViewRequest(str(home / "cache/skin")))
    library = build_library(ViewRequest(str(home / "cache/skin"), channel="tongueShape"))
    assert len(library.shots) == 6
    track = library.shots[0].prediction()
    assert track.channels[0].read(0, 1).shape == (1, tongue, 3)


@pytest.mark.slow
def test_three_commands_to_a_trained_model(place):
    from audio2face.commands import preproc, train

    for i in range(3):
        write_take(place / "takes", f"a{i}", i)
    assert live_link(place) == 0
    config = place / "configs/anna/config_train.py"
    config.write_text(config.read_text().replace("NUM_EPOCHS = 16", "NUM_EPOCHS = 1"))
    preproc.run("anna", "anna")
    run = train.run("anna").run
    assert (place / f"workspace/output_train/{run}/deploy/network.onnx").is_file()


def test_damaged_files_are_value_errors(tmp_path, rig):
    """Whatever the damage: a ValueError, never another error."""
    write_gltf(tmp_path / "a.glb", rig.meshes(), 30, units_per_metre=100)
    write_npz(tmp_path / "a.npz", rig)
    write_take(tmp_path, "a", 0)
    rng = np.random.default_rng(0)
    for name, reader, reach in (
        ("a.glb", read_rig_file, 3000),
        ("a.npz", read_rig_file, None),
        ("a.csv", read_arkit_csv, None),
    ):
        data = (tmp_path / name).read_bytes()
        for _ in range(40):
            place = int(rng.integers(0, reach or len(data)))
            change = (b"-1", b"null", bytes(rng.integers(0, 256, 3, np.uint8)), b"")[int(rng.integers(4))]
            path = tmp_path / f"damaged{name[1:]}"
            path.write_bytes(data[:place] + change + data[place + int(rng.integers(0, 20)) :])
            try:
                reader(path)
            except ValueError as error:
                assert str(path) in str(error)


def test_shots_that_a_project_does_not_name_are_told(place, rig, capsys):
    write_take(place / "takes", "take_10", 0)
    assert live_link(place) == 0
    write_take(place / "takes", "take_1", 1)
    capsys.readouterr()
    assert live_link(place, "--replace") == 0
    assert re.search(r"not in CLIPS of .*config_train.py, so not trained on: take_1$", capsys.readouterr().out, re.M)


def test_a_project_at_another_rate_than_its_new_data_set_is_told(place, rig, capsys):
    write_take(place / "takes", "take_1", 0)
    assert live_link(place, "--fps", "25") == 0
    capsys.readouterr()
    assert live_link(place, "--fps", "25", "--replace") == 0
    assert "CACHE_FPS" not in capsys.readouterr().out
    assert live_link(place, "--fps", "30", "--replace") == 0
    assert re.search(r"CACHE_FPS of .*config_dataset.py is 25, this data set has 30 frames", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SettingsError(".env, line 3: expected KEY=value"), ".env, line 3"),
        (UserError(["one", "two"]), "error: two"),
        (FileNotFoundError(2, "No such file or directory", "x.obj"), "error: x.obj: No such file"),
        (OSError(28, "No space left on device", "/data"), "error: /data: No space left on device: free space there"),
        (OSError("no such file"), "error: no such file"),
    ],
)
def test_what_a_tool_cannot_do_is_told_in_lines(error, words, capsys):
    def convert():
        raise error

    assert importer.run(convert) == 2
    found = capsys.readouterr().err
    assert words in found and all(line.startswith("error: ") for line in found.splitlines())


def test_a_fault_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        importer.run(lambda: [str(1 / 0)])


def test_vertex_lists_of_an_actor_that_is_not_there(place, capsys):
    actor(place / "datasets/tiny")
    assert propose_vertex_lists.main(["no-project", "tiny", str(place / "lists")]) == 2
    assert "error: " in capsys.readouterr().err
