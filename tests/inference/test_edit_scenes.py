"""Scenes that are edited: outside the edit every byte, key and time code is the file's own."""

import base64
import json
import struct

import numpy as np
import pytest
from fakes.curves import BODY, FPS, HEAD, WEIGHTS
from fakes.glb import Glb, validator_issues

from audio2face.face.curves import Block, CurveGroup, skeleton_group
from audio2face.face.topology import Topology
from audio2face.formats.gltf import read_gltf, write_gltf
from audio2face.formats.keys import Keys
from audio2face.formats.scene import MorphMesh
from audio2face.inference.clip import Clip, FaceFiles
from audio2face.inference.edit.files import read_edit_file
from audio2face.inference.edit.request import Edit
from audio2face.inference.edit.skin import Skin, bounded_weights
from audio2face.inference.outputs import EXPORTERS
from audio2face.postprocess.blendshapes import build as build_solver
from audio2face.postprocess.rig import BlendshapeRig
from audio2face.problems import UserError
from audio2face.types import FaceAnimation

COUNT = 40
GROUPS = {
    "arkit": CurveGroup("arkit", (Block("weights", WEIGHTS, low=0.0, high=1.0),)),
    "head": CurveGroup("head", (Block("rotation", HEAD, "YXZ", "radians"),)),
    "body": skeleton_group("body", BODY),
}
EDIT = Edit((np.arange(COUNT) >= 10) & (np.arange(COUNT) < 20), {15: 3}, None, (), 0)


def motion(seed=0):
    rng, times = np.random.default_rng(seed), np.arange(COUNT)[:, None] / 9
    wave = lambda width: np.sin(times + rng.uniform(0, 6, width)).astype(np.float32)  # noqa: E731
    body = np.concatenate([wave(3) + [0, 90, 0], 20 * wave(6)], axis=1).astype(np.float32)
    return {"arkit": 0.5 + 0.4 * wave(4), "head": 0.3 * wave(3), "body": body}


def curves_scene(path, kind):
    clip = Clip(FaceAnimation(float(FPS), motion()), FaceFiles(curves=GROUPS, has_mesh=False))
    return EXPORTERS[kind].write(path, clip)[0]


@pytest.fixture(scope="module")
def curves_glb(tmp_path_factory):
    return curves_scene(tmp_path_factory.mktemp("scene") / "a", "gltf")


def after(file, new):
    """Channels with others in the edit's frames, and the moved key."""
    channels = {name: values[EDIT.source] for name, values in file.channels.items()}
    for name, values in channels.items():
        values[EDIT.free & ~EDIT.kept] = new[name][EDIT.free & ~EDIT.kept]
    return channels


@pytest.mark.parametrize("kind", ["gltf", "usd"])
def test_curves_go_through_a_scene(tmp_path, kind):
    if kind == "usd":
        pytest.importorskip("pxr.Usd")
    path = curves_scene(tmp_path / "a", kind)
    file, told = read_edit_file(path, GROUPS, None, float(FPS)), motion()
    assert file.first_frame == 0 and file.fps == FPS and set(file.channels) == set(GROUPS)
    np.testing.assert_allclose(file.channels["arkit"], told["arkit"], atol=1e-6)
    for name in ("head", "body"):
        np.testing.assert_allclose(file.channels[name], told[name], atol=2e-4)
    new, out = motion(1), tmp_path / "out"
    out.mkdir()
    again = read_edit_file(file.write(out / "a", after(file, new), EDIT), GROUPS, None, float(FPS))
    assert again.path.suffix == path.suffix
    for name, values in again.channels.items():
        assert np.array_equal(values[~EDIT.free], file.channels[name][~EDIT.free])
        np.testing.assert_allclose(values[15], file.channels[name][3], atol=1e-6)
        np.testing.assert_allclose(values[10:15], new[name][10:15], atol=2e-4)


def test_a_glb_keeps_every_byte_but_the_keys_that_are_new(tmp_path, curves_glb):
    path = curves_glb
    file = read_edit_file(path, GROUPS, None, float(FPS))
    made = file.write(tmp_path / "b", after(file, motion(1)), EDIT)
    before, now = path.read_bytes(), made.read_bytes()
    start = 28 + struct.unpack_from("<I", before, 12)[0]
    assert len(before) == len(now) and before[:start] == now[:start]
    old, new = Glb(path), Glb(made)
    for track, (times, values) in old.tracks.items():
        assert np.array_equal(new.tracks[track][0], times)
        assert np.array_equal(
            np.delete(new.tracks[track][1], slice(10, 20), axis=0), np.delete(values, slice(10, 20), axis=0)
        )
    differ = np.frombuffer(before, np.uint8) != np.frombuffer(now, np.uint8)
    assert 0 < differ.sum() < 10 * 4 * (4 + 4 + 2 * 4 + 3) + 1
    same = file.write(tmp_path / "c", file.channels, Edit(EDIT.free, {}, None, (), 0))
    assert same.read_bytes() == before


@pytest.mark.parametrize("beside", [False, True])
def test_a_gltf_of_text_keeps_its_other_files(tmp_path, curves_glb, beside):
    glb = Glb(curves_glb)
    data = base64.b64encode(glb.binary).decode()
    glb.root["buffers"][0]["uri"] = "parts/a.bin" if beside else f"data:;base64,{data}"
    glb.root["images"] = [{"uri": "parts/skin%20x.png"}]
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/a.bin").write_bytes(glb.binary)
    (tmp_path / "parts/skin x.png").write_bytes(b"png")
    (tmp_path / "a.gltf").write_text(json.dumps(glb.root))
    file = read_edit_file(tmp_path / "a.gltf", GROUPS, None, float(FPS))
    (tmp_path / "out").mkdir()
    made = file.write(tmp_path / "out/b", after(file, motion(1)), EDIT)
    again = read_edit_file(made, GROUPS, None, float(FPS))
    np.testing.assert_allclose(again.channels["arkit"][10:15], motion(1)["arkit"][10:15], atol=1e-6)
    assert np.array_equal(again.channels["body"][~EDIT.free], file.channels["body"][~EDIT.free])
    assert (tmp_path / "out/parts/skin x.png").read_bytes() == b"png"
    assert (tmp_path / "out/b_0.bin").is_file() == beside


def test_only_the_columns_that_change_are_written(tmp_path, curves_glb):
    path = curves_glb
    file = read_edit_file(path, GROUPS, None, float(FPS))
    channels = {name: values.copy() for name, values in file.channels.items()}
    channels["arkit"][12, 0] = 0.123
    made = file.write(tmp_path / "b", channels, Edit(EDIT.free, {}, None, (), 0))
    differ = np.frombuffer(path.read_bytes(), np.uint8) != np.frombuffer(made.read_bytes(), np.uint8)
    assert 0 < differ.sum() <= 4


def face(seed=0):
    rng = np.random.default_rng(seed)
    rest = rng.uniform(-10, 10, (30, 3)).astype(np.float32)
    triangles = np.stack([np.arange(28), np.arange(1, 29), np.arange(2, 30)], axis=1)
    return rest, triangles, rng.normal(size=(3, 30, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", ["gltf", "usd"])
def test_a_skin_goes_through_a_scene(tmp_path, kind):
    if kind == "usd":
        pytest.importorskip("pxr.Usd")
    rest, triangles, shapes = face()
    frames = rest + np.einsum("tk,kvc->tvc", np.abs(motion()["head"]), shapes).astype(np.float32)
    clip = Clip(FaceAnimation(float(FPS), {"skin": frames}), FaceFiles(Topology(triangles, None, 100.0)))
    path = EXPORTERS[kind].write(tmp_path / "a", clip)[0]
    skin = Skin(frames.mean(axis=0), 100.0)
    file = read_edit_file(path, {}, skin, float(FPS))
    np.testing.assert_allclose(file.channels["skin"], frames, atol=0.02)
    new = frames + np.random.default_rng(2).normal(size=(30, 3)).astype(np.float32)  # beyond the file's shapes
    made = file.write(tmp_path / "b", after(file, {"skin": new}), EDIT)
    again = read_edit_file(made, {}, skin, float(FPS)).channels["skin"]
    assert np.array_equal(again[~EDIT.free], file.channels["skin"][~EDIT.free])
    assert np.array_equal(again[15], file.channels["skin"][3])
    np.testing.assert_allclose(again[10:15], new[10:15], atol=0.02)
    if kind == "gltf":
        (before,), _ = read_gltf(path)
        (mesh,), fps = read_gltf(made)
        assert (
            fps == pytest.approx(FPS)
            and len(mesh.target_names) > len(before.target_names)
            and not mesh.weights[0, len(before.targets) :].any()
        )
        assert np.array_equal(mesh.weights[:10, : len(before.targets)], before.weights[:10])


def test_written_scenes_are_valid(tmp_path, curves_glb):
    path = curves_glb
    file = read_edit_file(path, GROUPS, None, float(FPS))
    assert validator_issues(file.write(tmp_path / "b", after(file, motion(1)), EDIT)) == 0


def test_keys_that_were_set_by_hand_stay_and_frames_between_them_too(tmp_path):
    keys = Keys(np.array([0, 0.2, 0.55, 1.0]), np.array([[0.0], [2.0], [1.0], [4.0]]))
    frames = np.arange(31)
    before = keys.at(frames, 30.0)
    np.testing.assert_allclose(before[:, 0], np.interp(frames / 30, keys.moments, keys.values[:, 0]))
    now = keys.renewed(np.arange(10, 14), np.full((4, 1), 9.0), 30.0)
    found = now.at(frames, 30.0)
    assert (found[10:14] == 9).all() and set(keys.moments) <= set(now.moments) and (np.diff(now.moments) > 0).all()
    np.testing.assert_allclose(np.delete(found, slice(10, 14), axis=0), np.delete(before, slice(10, 14), axis=0))
    again = now.renewed(np.arange(10, 14), np.full((4, 1), 5.0), 30.0)
    assert np.array_equal(again.moments, now.moments)


def test_weights_are_the_nearest_within_their_bounds():
    rng = np.random.default_rng(0)
    shapes, weights = rng.normal(size=(6, 40)), rng.uniform(0, 1, (5, 6))
    np.testing.assert_allclose(bounded_weights(shapes, weights @ shapes, 0.0, 1.0), weights, atol=1e-4)
    found = bounded_weights(shapes[:1], -shapes[:1], 0.0, 1.0)
    assert found.tolist() == [[0.0]]


def test_time_codes_and_other_opinions_of_a_layer_stay(tmp_path):
    pytest.importorskip("pxr.Usd")
    from pxr import Usd

    path = tmp_path / "a.usda"
    weights = "\n".join(f"                {1001 + 0.8 * t}: [{0.01 * t}, 0.5]," for t in range(COUNT))
    path.write_text(
        f"""#usda 1.0
(
    timeCodesPerSecond = 24
    subLayers = [@./rig.usda@]
)
# a remark
def SkelAnimation "Face"
{{
    uniform token[] blendShapes = ["jawOpen", "other"]
    float[] blendShapeWeights.timeSamples = {{
{weights}
    }}
    custom string by = "hand"
}}
"""
    )
    (tmp_path / "rig.usda").write_text("#usda 1.0\n")
    file = read_edit_file(path, {"arkit": GROUPS["arkit"]}, None, float(FPS))
    assert file.first_frame == round(1001 / 24 * 30) and file.channels["arkit"].shape == (COUNT, 4)
    (tmp_path / "out").mkdir()
    made = file.write(tmp_path / "out" / "b", after(file, motion(1)), EDIT)
    stages = [Usd.Stage.Open(str(p)) for p in (path, made)]
    old, new = (stage.GetPrimAtPath("/Face") for stage in stages)
    assert new.GetAttribute("by").Get() == "hand" and made.read_text().startswith("#usda")
    samples = [prim.GetAttribute("blendShapeWeights") for prim in (old, new)]
    assert samples[0].GetTimeSamples() == samples[1].GetTimeSamples()
    for t, code in enumerate(samples[0].GetTimeSamples()):
        before, now = (np.array(attribute.Get(code)) for attribute in samples)
        assert now[1] == before[1] and (EDIT.free[t] or now[0] == before[0])
    assert "../rig.usda" in made.read_text()


def test_scenes_that_cannot_be_edited_say_why(tmp_path):
    rest, triangles, shapes = face()
    mesh = MorphMesh("m", rest, triangles, shapes, ("a", "b", "c"), np.ones((COUNT, 3), np.float32))
    write_gltf(tmp_path / "a.glb", [mesh], 25.0, 100.0)
    for groups, skin, message in (
        (GROUPS, None, "it moves weights of a, b, c; mesh m of 30 vertices; the model gives arkit, head, body"),
        ({}, Skin(rest + 50), "are not where the model's are"),
        ({}, Skin(rest[:9]), "a skin of 9 vertices"),
    ):
        with pytest.raises(UserError, match=message):
            read_edit_file(tmp_path / "a.glb", groups, skin, float(FPS))
    assert read_edit_file(tmp_path / "a.glb", {}, Skin(rest), float(FPS)).fps == 25


def test_weights_of_blendshapes_are_edited_as_the_skin_that_they_make(tmp_path):
    rest, triangles, shapes = face()
    each = {"bsSolveActivePoses": 1, "bsSolveCancelPoses": -1, "bsSolveSymmetryPoses": -1, "bsWeightMultipliers": 1.0}
    plain = ("L1regularization", "L2regularization", "TemporalSmoothing", "Symmetry")
    params = {"numPoses": 3, "bsWeightOffsets": [0.0] * 3, **{f"strength{name}": 0.0 for name in plain}}
    params |= {name: [value] * 3 for name, value in each.items()}
    rig = BlendshapeRig(("jawOpen", "browInnerUp", "x"), rest, shapes, build_solver(params, rest, shapes))
    told = np.abs(motion()["head"])
    write_gltf(
        tmp_path / "a.glb", [MorphMesh("m", rest[:5], triangles[:3], shapes[:, :5], rig.names, told)], FPS, 100.0
    )
    file = read_edit_file(tmp_path / "a.glb", {}, Skin(rest, 100.0, rig), float(FPS))
    np.testing.assert_allclose(file.channels["skin"], rest + np.einsum("tk,kvc->tvc", told, shapes), atol=1e-5)
    new = np.abs(motion(1)["head"])
    made = file.write(tmp_path / "b", after(file, {"skin": rest + np.einsum("tk,kvc->tvc", new, shapes)}), EDIT)
    (mesh,), _ = read_gltf(made)
    assert np.array_equal(mesh.weights[~EDIT.free], told[~EDIT.free]) and np.array_equal(mesh.weights[15], told[3])
    np.testing.assert_allclose(mesh.weights[12:14], new[12:14], atol=0.1)
