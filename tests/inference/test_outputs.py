"""Formats of other programs: what is written comes back, and what is lacking is told before any work."""

import json
import struct

import numpy as np
import pytest
from fakes import run as fake_run
from fakes.body import body_arrays
from fakes.glb import validator_issues

from audio2face.face.topology import Topology, read_topology, write_topology
from audio2face.formats import animation_header
from audio2face.formats.animation_json import JsonAnimation, read_animation_json, write_animation_json
from audio2face.formats.arkit_csv import ARKIT_NAMES, COLUMNS, read_arkit_csv, write_arkit_csv
from audio2face.formats.body_mesh import body_mesh
from audio2face.formats.gltf import read_gltf, write_gltf
from audio2face.formats.obj import read_obj_triangles
from audio2face.formats.scene import MorphMesh, PointMesh, smooth_normals
from audio2face.formats.sound import write_sound
from audio2face.geometry.motion_shapes import clip_shapes
from audio2face.models.regression.network import NETWORKS
from audio2face.problems import UserError

SIDE, FRAMES, FPS = 6, 20, 30.0


def grid():
    """A bent sheet: vertices (36, 3), triangles (50, 3)."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    vertices = np.stack([x, y, np.sin(x)], axis=2).reshape(-1, 3).astype(np.float32)
    corner = np.array([i for i in range(SIDE * (SIDE - 1)) if i % SIDE < SIDE - 1])
    lower = np.stack([corner, corner + 1, corner + SIDE], axis=1)
    return vertices, np.concatenate([lower, np.stack([corner + 1, corner + SIDE + 1, corner + SIDE], axis=1)])


def morph_mesh(name="skin", shapes=3, seed=0):
    rng = np.random.default_rng(seed)
    rest, triangles = grid()
    targets = rng.normal(size=(shapes, *rest.shape)).astype(np.float32)
    weights = rng.uniform(size=(FRAMES, shapes)).astype(np.float32)
    return MorphMesh(name, rest, triangles, targets, tuple(f"{name}_{k}" for k in range(shapes)), weights)


def positions(mesh):
    return mesh.rest + np.tensordot(mesh.weights, mesh.targets, 1)


# ---- glTF


def independent_glb(path):
    """Every mesh's frames, read by the letter of the glTF 2.0 specification: {node name: (T, V, 3)}."""
    data = path.read_bytes()
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert data[:4] == b"glTF" and struct.unpack_from("<II", data, 4) == (2, len(data)) and kind == b"JSON"
    root = json.loads(data[20 : 20 + length])
    binary_length, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert kind == b"BIN\0" and length % 4 == 0 and binary_length % 4 == 0
    binary = data[28 + length :]

    def accessor(number):
        a = root["accessors"][number]
        view = root["bufferViews"][a["bufferView"]]
        dtype, width = {5126: "<f4", 5125: "<u4"}[a["componentType"]], {"SCALAR": 1, "VEC3": 3}[a["type"]]
        raw = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        values = np.frombuffer(raw, dtype).reshape(a["count"], width)
        if "min" in a:
            np.testing.assert_allclose(values.min(axis=0), a["min"], rtol=1e-6)
            np.testing.assert_allclose(values.max(axis=0), a["max"], rtol=1e-6)
        return values

    found = {}
    for channel in root["animations"][0]["channels"]:
        sampler = root["animations"][0]["samplers"][channel["sampler"]]
        node = root["nodes"][channel["target"]["node"]]
        primitive = root["meshes"][node["mesh"]]["primitives"][0]
        times = accessor(sampler["input"])[:, 0]
        np.testing.assert_allclose(times, np.arange(len(times)) / FPS, rtol=1e-6)
        weights = accessor(sampler["output"]).reshape(len(times), len(primitive["targets"]))
        targets = np.stack([accessor(t["POSITION"]) for t in primitive["targets"]])
        found[node["name"]] = accessor(primitive["attributes"]["POSITION"]) + np.tensordot(weights, targets, 1)
    return found


def test_glb_is_read_by_an_independent_reader(tmp_path):
    meshes = [morph_mesh(), morph_mesh("tongue", 2, 1)]
    write_gltf(tmp_path / "a.glb", meshes, FPS, units_per_metre=100.0)
    for name, frames in independent_glb(tmp_path / "a.glb").items():
        mesh = meshes[["skin", "tongue"].index(name)]
        np.testing.assert_allclose(frames, positions(mesh), atol=1e-5)
    again, fps = read_gltf(tmp_path / "a.glb")
    assert fps == pytest.approx(FPS, rel=1e-5)
    for mesh, written in zip(again, meshes, strict=True):
        assert mesh.target_names == written.target_names
        np.testing.assert_array_equal(mesh.triangles, written.triangles)
        np.testing.assert_array_equal(mesh.weights, written.weights)


def test_glb_refuses_what_it_cannot_hold(tmp_path):
    mesh = morph_mesh()
    with pytest.raises(ValueError, match="no meshes"):
        write_gltf(tmp_path / "a.glb", [], FPS)
    broken = MorphMesh("x", mesh.rest, mesh.triangles + 20, mesh.targets, mesh.target_names, mesh.weights)
    with pytest.raises(ValueError, match="vertices 20 to 55"):
        write_gltf(tmp_path / "a.glb", [broken], FPS)
    nan = MorphMesh("x", mesh.rest * np.nan, mesh.triangles, mesh.targets, mesh.target_names, mesh.weights)
    with pytest.raises(ValueError, match="NaN and infinity"):
        write_gltf(tmp_path / "a.glb", [nan], FPS)
    assert not list(tmp_path.iterdir())
    (tmp_path / "b.glb").write_bytes(b"no glb at all, certainly")
    with pytest.raises(ValueError, match="b.glb: byte 0"):
        read_gltf(tmp_path / "b.glb")


@pytest.mark.slow
def test_glb_passes_the_khronos_validator(tmp_path):
    """Needs node and the npm package gltf-validator in a folder named by NODE_PATH."""
    write_gltf(tmp_path / "a.glb", [morph_mesh(), morph_mesh("tongue", 2, 1)], FPS, 100.0)
    assert validator_issues(tmp_path / "a.glb") == 0


def test_normals_are_unit_and_face_outwards():
    rest, triangles = grid()
    normals = smooth_normals(np.concatenate([rest, rest[:1]]), triangles)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-6)
    assert (normals[:, 2] > 0).all() and normals[-1].tolist() == [0, 0, 1]


# ---- a clip as shapes


def test_clip_shapes_reach_the_tolerance():
    rng = np.random.default_rng(0)
    rest = grid()[0]
    fading = rng.normal(size=(40, *rest.shape)) * 0.7 ** np.arange(40)[:, None, None]
    frames = (rest + np.tensordot(rng.normal(size=(60, 40)), fading, 1)).astype(np.float32)
    counts = []
    for tolerance in (0.5, 0.05, 0.005):
        shapes, weights, error = clip_shapes(frames, rest, tolerance)
        gap = np.linalg.norm(rest + np.tensordot(weights, shapes, 1) - frames, axis=2).max()
        assert gap <= tolerance + 1e-4 and gap == pytest.approx(error, abs=1e-4)
        assert weights.min() >= 0 and weights.max() <= 1 + 1e-6
        counts.append(len(shapes))
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_a_still_clip_has_no_shapes():
    rest = grid()[0]
    shapes, weights, error = clip_shapes(np.repeat(rest[None], 5, axis=0), rest, 0.01)
    assert shapes.shape == (0, 36, 3) and weights.shape == (5, 0) and error == 0


# ---- USD


def findings(path):
    from pxr import Usd, UsdValidation

    context = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    return [error.GetMessage() for error in context.Validate(Usd.Stage.Open(str(path)))]


def test_usd_points_are_right_at_every_time(tmp_path):
    pxr = pytest.importorskip("pxr.Usd")
    from pxr import UsdGeom

    from audio2face.formats.usd import read_usd_triangles, write_usd_points

    mesh = morph_mesh()
    frames = positions(mesh).astype(np.float32)
    write_sound(tmp_path / "s.wav", np.zeros(1600, np.float32), 16000)
    write_usd_points(tmp_path / "a.usdc", [PointMesh("skin", frames, mesh.triangles)], FPS, 100.0, "s.wav")
    stage = pxr.Stage.Open(str(tmp_path / "a.usdc"))
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode(), stage.GetTimeCodesPerSecond()) == (0, FRAMES - 1, FPS)
    assert UsdGeom.GetStageMetersPerUnit(stage) == 0.01 and UsdGeom.GetStageUpAxis(stage) == "Y"
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Face/skin")).GetPointsAttr()
    for t in (0, FRAMES // 2, FRAMES - 1):
        np.testing.assert_array_equal(np.array(points.Get(t)), frames[t])
    assert stage.GetPrimAtPath("/Face/Sound").GetAttribute("filePath").Get().path == "./s.wav"
    np.testing.assert_array_equal(read_usd_triangles(tmp_path / "a.usdc"), mesh.triangles)
    assert findings(tmp_path / "a.usdc") == []


def test_usd_blendshapes_deform_as_their_weights_say(tmp_path):
    pytest.importorskip("pxr.Usd")
    from pxr import Usd, UsdGeom, UsdSkel

    from audio2face.formats.usd import write_usd_blendshapes

    mesh = morph_mesh()
    write_usd_blendshapes(tmp_path / "a.usdc", [mesh, morph_mesh("tongue", 2, 1)], FPS)
    assert findings(tmp_path / "a.usdc") == []
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    UsdSkel.BakeSkinning(stage.Traverse())
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/Face/skin")).GetPointsAttr()
    for t in (0, 7, FRAMES - 1):
        np.testing.assert_allclose(np.array(points.Get(t)), positions(mesh)[t], atol=1e-5)


# ---- CSV, JSON, OBJ


def test_live_link_layout(tmp_path):
    rng = np.random.default_rng(0)
    weights = {"jawOpen": rng.uniform(size=70).astype(np.float32), "TongueOut": np.ones(70), "snarl": np.ones(70)}
    eyes = rng.normal(size=(70, 6)) * 10
    write_arkit_csv(tmp_path / "a.csv", weights, 60.0, eyes)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    header = lines[0].split(",")
    assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"] and len(header) == 63
    assert (
        header[53:]
        == "TongueOut HeadYaw HeadPitch HeadRoll LeftEyeYaw LeftEyePitch LeftEyeRoll RightEyeYaw RightEyePitch RightEyeRoll".split()
    )
    assert lines[1].startswith("00:00:00:00.000,61,") and lines[62].startswith("00:00:01:01.000,61,")
    again = read_arkit_csv(tmp_path / "a.csv", 60.0)
    np.testing.assert_allclose(again.times_s, np.arange(70) / 60)
    np.testing.assert_array_equal(again.weight("jawOpen"), weights["jawOpen"])
    assert (again.weight("tongueOut") == 1).all() and not again.weight("HeadYaw").any()
    np.testing.assert_allclose(again.weight("RightEyePitch"), np.deg2rad(eyes[:, 0]), rtol=1e-6)
    np.testing.assert_allclose(again.weight("LeftEyeYaw"), np.deg2rad(eyes[:, 4]), rtol=1e-6)
    assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52 and len(COLUMNS) == 61


def test_live_link_mistakes(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(ValueError, match="ARKit"):
        write_arkit_csv(path, {"snarl": np.ones(3)}, 30)
    path.write_text("Time,Values\n")
    with pytest.raises(ValueError, match="line 1"):
        read_arkit_csv(path, 30)
    path.write_text("Timecode,BlendShapeCount,JawOpen\n00:00:00:00.0,0,\n00:00:00:01.0,1,0.5\n00:00:00:02.0,1,much\n")
    with pytest.raises(ValueError, match="line 4"):
        read_arkit_csv(path, 30)


def test_json_round_trip(tmp_path, monkeypatch):
    monkeypatch.setattr("audio2face.formats.animation_json.ROWS", 3)  # more than one piece
    rng = np.random.default_rng(0)
    animation = JsonAnimation(
        30.0, rng.normal(size=(5, 4, 4)), rng.normal(size=(5, 6)), {"jawOpen": rng.uniform(size=5)}
    )
    write_animation_json(tmp_path / "a.json", animation)
    again = read_animation_json(tmp_path / "a.json")
    np.testing.assert_allclose(again.jaw, animation.jaw, atol=1e-6)
    np.testing.assert_allclose(again.eyes, animation.eyes, atol=1e-6)
    np.testing.assert_allclose(again.weights["jawOpen"], animation.weights["jawOpen"], atol=1e-6)
    with pytest.raises(ValueError, match="a.json"):
        write_animation_json(tmp_path / "a.json", JsonAnimation(30.0, animation.jaw * np.nan, animation.eyes))
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ValueError, match="b.json"):
        read_animation_json(tmp_path / "b.json")


def test_triangles_from_obj(tmp_path):
    path = tmp_path / "a.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1/1/1 2/2 3 4\nf -1 -2 -3\n")
    assert read_obj_triangles(path).tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 1]]
    path.write_text("v 0 0 0\nf 1 2 3\n")
    with pytest.raises(ValueError, match="line 2"):
        read_obj_triangles(path)


# ---- from the data set to the deployed model and the files of inference


def test_topology_belongs_to_its_meshes(tmp_path):
    triangles = grid()[1]
    write_topology(tmp_path / "t.npz", Topology(triangles, None, 1.0))
    again = read_topology(tmp_path / "t.npz", 36, 5)
    np.testing.assert_array_equal(again.skin, triangles)
    assert again.tongue is None and again.units_per_metre == 1.0 and not read_topology(tmp_path / "no.npz", 1, 1)
    with pytest.raises(ValueError, match="t.npz.*has 30"):
        read_topology(tmp_path / "t.npz", 30, 5)
    body = body_mesh(body_arrays())
    write_topology(tmp_path / "body.npz", Topology(body=body))
    kept = read_topology(tmp_path / "body.npz", 1, 1)
    assert kept and kept.skin is None and kept.body is not None and kept.body.names == body.names
    np.testing.assert_array_equal(kept.body.weights, body.weights)
    assert Topology(triangles).over(kept).body is kept.body


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "configs" / "tiny").mkdir(parents=True)
    (tmp_path / "configs/tiny/config_inference.py").write_text(f"AUDIO_PATH = {str(tmp_path / 'hello.wav')!r}\n")
    seconds = np.arange(6400) / 16000
    write_sound(tmp_path / "hello.wav", 0.3 * np.sin(2 * np.pi * 220 * seconds), 16000)
    monkeypatch.setenv("A2F_CONFIGS_ROOT", str(tmp_path / "configs"))
    monkeypatch.setenv("A2F_WORKSPACE_ROOT", str(tmp_path / "workspace"))
    monkeypatch.setenv("A2F_DEVICE", "cpu")
    monkeypatch.setitem(NETWORKS, "tiny", fake_run.TinyNetwork)
    return tmp_path


def test_inference_writes_every_format(project):
    from audio2face.commands import deploy, infer

    run = fake_run.make_train_run(project / "workspace" / "output_train")
    faces = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]])
    write_topology(run.path / "actors/ada/triangles.npz", Topology(faces, faces[:1], 100.0))
    formats = ["arkit_csv", "json", "gltf", "npy"] + ["usd"] * _has("pxr")
    folder = project / "workspace/output_inference" / infer.run("tiny", run.name, OUTPUT_FORMATS=formats)
    stem = folder / "hello_ada_ada_neutral_offline"
    skin = np.load(f"{stem}_skin.npy")
    frames = independent_glb(stem.with_name(stem.name + ".glb"))
    for mesh, truth in (("skin", skin), ("tongue", np.load(f"{stem}_tongue.npy"))):
        assert np.abs(frames[mesh] - truth).max() < 1e-3 * np.linalg.norm(np.ptp(truth[0], axis=0))
    rigged, _ = read_gltf(f"{stem}_blendshapes.glb")
    assert [m.target_names for m in rigged] == [("jawOpen", "smile"), ("tongue_jawOpen", "tongue_smile")]
    values = read_animation_json(f"{stem}.json")
    assert values.jaw.shape == (12, 4, 4) and values.eyes.shape == (12, 6)
    np.testing.assert_allclose(values.weights["jawOpen"], rigged[0].weights[:, 0], atol=1e-6)
    np.testing.assert_allclose(read_arkit_csv(f"{stem}.csv", 30).weight("jawOpen"), rigged[0].weights[:, 0], atol=1e-6)
    if _has("pxr"):
        from pxr import Usd, UsdGeom

        stage = Usd.Stage.Open(f"{stem}.usdc")
        points = UsdGeom.Mesh(stage.GetPrimAtPath("/Face/skin")).GetPointsAttr()
        for t in (0, 6, 11):
            np.testing.assert_array_equal(np.array(points.Get(t)), skin[t])
    deploy.run("tiny", run.name)
    deployed = read_topology(project / "workspace/output_deploy" / run.name / "triangles_ada.npz", 12, 5)
    np.testing.assert_array_equal(deployed.skin, faces)


def test_a_face_at_another_rate(project):
    from audio2face.commands import infer

    run = fake_run.make_train_run(project / "workspace" / "output_train")
    found = []
    for fps in (None, 15.0):
        name = infer.run("tiny", run.name, OUTPUT_FORMATS=["npy", "maya", "json"], OUTPUT_FPS=fps)
        stem = str(project / "workspace/output_inference" / name / "hello_ada_ada_neutral_offline")
        found.append({part: np.load(f"{stem}{part}.npy") for part in ("", "_skin", "_tongue", "_jaw", "_eye")})
    whole, half = found
    for part in ("_skin", "_tongue", "_eye"):  # frame i at (i + 0.5) / 15 is halfway from frame 2 i to the next of 30
        np.testing.assert_allclose(half[part], (whole[part][::2] + whole[part][1::2]) / 2, atol=1e-5)
    rotation = half["_jaw"][:, :3, :3]
    np.testing.assert_allclose(rotation @ rotation.swapaxes(1, 2), np.tile(np.eye(3), (6, 1, 1)), atol=1e-5)
    np.testing.assert_array_equal(half[""], whole[""])  # the network's own
    assert read_animation_json(f"{stem}.json").fps == 15 and animation_header(f"{stem}.xml").fps == 15


@pytest.mark.slow
def test_inference_films_the_face(project):
    av = pytest.importorskip("av")
    from audio2face.commands import infer

    run = fake_run.make_train_run(project / "workspace" / "output_train")
    write_topology(run.path / "actors/ada/triangles.npz", Topology(np.arange(12).reshape(4, 3), None, 100.0))
    folder = project / "workspace/output_inference" / infer.run("tiny", run.name, OUTPUT_FORMATS=["mp4"])
    with av.open(str(next(folder.glob("*.mp4")))) as film:
        assert len(film.streams.audio) == 1 and sum(1 for _ in film.decode(video=0)) == 12


def _has(module):
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def test_formats_say_what_they_need(project):
    from audio2face.commands import infer

    run = fake_run.make_train_run(project / "workspace" / "output_train", blendshapes=False)
    with pytest.raises(UserError) as error:
        infer.run("tiny", run.name, OUTPUT_FORMATS=["gltf", "arkit_csv", "json"])
    lines = error.value.lines
    assert len(lines) == 2 and "SKIN_TRIANGLES_FPATH" in lines[0] and "BLENDSHAPE_SKIN_FPATH" in lines[1]
    assert not (project / "workspace" / "output_inference").exists()


# ---- faces that are named after training


def name_faces(project, **keys):
    name_files(project, **{f"{key}_TRIANGLES_FPATH": path for key, path in keys.items()})


def name_files(project, **keys):
    lines = {key: {"ada": str(path)} for key, path in keys.items()}
    lines |= {"ACTOR_NAMES": ["ada"], "CACHE_FPS": {"ada": 30.0}}  # the data itself need not be there
    lines |= {key: {"ada": "/datasets/gone"} for key in ("AUDIO_ROOT", "SKIN_CACHE_ROOT")}
    text = "".join(f"{key} = {value!r}\n" for key, value in lines.items())
    (project / "configs/tiny/config_dataset.py").write_text(text)


def test_faces_may_be_named_after_training(project):
    from audio2face.commands import deploy, infer

    run = fake_run.make_train_run(project / "workspace" / "output_train")
    faces = np.array([[0, 1, 2], [9, 10, 11]])
    np.save(project / "skin.npy", faces)
    (project / "tongue.obj").write_text("v 0 0 0\n" * 5 + "f 1 2 3 4\n")
    name_faces(project, SKIN=project / "skin.npy", TONGUE=project / "tongue.obj")
    folder = project / "workspace/output_inference" / infer.run("tiny", run.name, OUTPUT_FORMATS=["gltf"])
    meshes, _ = read_gltf(folder / "hello_ada_ada_neutral_offline.glb")
    assert [len(mesh.triangles) for mesh in meshes] == [2, 2]
    deploy.run("tiny", run.name)
    deployed = project / "workspace/output_deploy" / run.name
    topology = read_topology(deployed / "triangles_ada.npz", 12, 5)
    np.testing.assert_array_equal(topology.skin, faces)
    assert topology.tongue.tolist() == [[0, 1, 2], [0, 2, 3]] and topology.units_per_metre == 100.0
    assert "`triangles_ada.npz`" in (deployed / "README.md").read_text()
    assert not (run.path / "actors/ada/triangles.npz").exists()  # a finished run stays as it is
    np.save(project / "skin.npy", faces[:1])  # corrected: what is named now counts
    deploy.run("tiny", run.name)
    assert read_topology(deployed / "triangles_ada.npz", 12, 5).skin.tolist() == [[0, 1, 2]]


def test_faces_of_another_mesh_are_an_error_unless_the_run_keeps_its_own(project, caplog):
    from audio2face.commands import deploy

    run = fake_run.make_train_run(project / "workspace" / "output_train")
    np.save(project / "skin.npy", np.array([[0, 1, 12]]))
    name_faces(project, SKIN=project / "skin.npy", TONGUE=project / "no.obj")
    with pytest.raises(UserError) as error:
        deploy.run("tiny", run.name)
    assert "TONGUE_TRIANGLES_FPATH of actor 'ada': no such file" in str(error.value) and run.name in str(error.value)
    name_faces(project, SKIN=project / "skin.npy")
    with pytest.raises(UserError, match=r"SKIN_TRIANGLES_FPATH .*skin.npy: vertex 12 does not exist; .* 0 to 11"):
        deploy.run("tiny", run.name)
    assert not (project / "workspace/output_deploy").exists()
    write_topology(run.path / "actors/ada/triangles.npz", Topology(np.array([[0, 1, 2]]), None, 1.0))
    deploy.run("tiny", run.name)
    kept = read_topology(project / "workspace/output_deploy" / run.name / "triangles_ada.npz", 12, 5)
    assert kept.skin.tolist() == [[0, 1, 2]] and kept.units_per_metre == 1.0
    assert f"using the faces kept by run {run.name}" in caplog.text
    np.save(project / "skin.npy", np.array([[0, 1, 2]]))
    deploy.run("tiny", run.name)
    assert "its faces use vertices 0 to 2, the skin has 12: are they of another mesh?" in caplog.text


def test_blendshapes_may_be_named_after_training(project, caplog):
    from audio2face import load_model
    from audio2face.commands import deploy, infer

    run = fake_run.make_train_run(project / "workspace" / "output_train", blendshapes=False)
    keys = {}
    for mesh, files in fake_run.make_preproc(project / "data", "ada").blendshapes.items():
        keys[f"BLENDSHAPE_{mesh.upper()}_FPATH"] = files["data"]  # wide strings: made ready as in preprocessing
        keys[f"BLENDSHAPE_{mesh.upper()}_CONFIG_FPATH"] = files["config"]
    name_files(project, **keys)
    folder = project / "workspace/output_inference" / infer.run("tiny", run.name, OUTPUT_FORMATS=["json"])
    assert "jawOpen" in read_animation_json(next(folder.glob("*.json"))).weights
    deploy.run("tiny", run.name)
    deployed = project / "workspace/output_deploy" / run.name
    assert load_model(deployed).details("ada").face.rigs.keys() == {"skin", "tongue"}
    assert "no complete set" not in (deployed / "README.md").read_text() and "no blendshape weights" not in caplog.text
    with np.load(keys["BLENDSHAPE_SKIN_FPATH"]) as stored:
        short = {name: array if name == "poseNames" else array[1:] for name, array in stored.items()}
    np.savez(keys["BLENDSHAPE_SKIN_FPATH"], **short)
    with pytest.raises(UserError, match=r"BLENDSHAPE_SKIN_FPATH .*expected finite numbers .12, 3., found .11, 3."):
        deploy.run("tiny", run.name)
    assert not list(run.path.rglob("bs_*"))


def test_a_run_is_deployed_where_its_data_set_is_not(project, caplog):
    from audio2face.commands import deploy

    run = fake_run.make_train_run(project / "workspace" / "output_train")
    write_topology(run.path / "actors/ada/triangles.npz", Topology(np.array([[0, 1, 2]])))
    keys = {f"BLENDSHAPE_{mesh}{kind}_FPATH": "/nowhere/b" for mesh in ("SKIN", "TONGUE") for kind in ("", "_CONFIG")}
    name_files(project, SKIN_TRIANGLES_FPATH="/nowhere/t.npy", **keys)
    deploy.run("tiny", run.name)
    deployed = project / "workspace/output_deploy" / run.name
    assert read_topology(deployed / "triangles_ada.npz", 12, 5).skin.tolist() == [[0, 1, 2]]
    assert (deployed / "bs_skin_ada.npz").is_file() and not [r for r in caplog.records if r.levelname == "WARNING"]
