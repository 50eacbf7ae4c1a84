"""Preprocessing of a small made-up actor: what it writes, and what it says about every kind of mistake."""

import ast
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes.captured import FPS, KEYS, SHOTS, VT, V, solver_settings, write_actor, write_json, write_wav
from fakes.maya_cache import write_channels

from audio2face.commands import preproc
from audio2face.config import section_from_values
from audio2face.dataset.blendshapes import clean_blendshapes, ready_blendshapes
from audio2face.dataset.caches import frame_rate
from audio2face.dataset.captured import RestData
from audio2face.dataset.checks import build_captured
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.shots import emotions_in, shot_emotions, shot_language
from audio2face.formats.npy import read_npz, write_npz
from audio2face.postprocess import blendshapes
from audio2face.preproc.bundle import Placeholders, affine_of, build_bundle, spread_points
from audio2face.preproc.stage_cache import digest
from audio2face.problems import Problems, UserError
from audio2face.runs.preproc_run import CHANNELS_FILE, FILES, clips_text, load_preproc_run
from audio2face.types import Cache, Pca
from runners import arguments, cli


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An actor's data, a project for it, and a function that preprocesses: run(dataset={…}, preproc={…}) -> PreprocRun."""
    monkeypatch.setenv("A2F_DATASETS_ROOT", str(tmp_path / "datasets"))
    monkeypatch.setenv("A2F_WORKSPACE_ROOT", str(tmp_path / "workspace"))
    monkeypatch.setenv("A2F_CONFIGS_ROOT", str(tmp_path / "configs"))
    monkeypatch.delenv("A2F_IN_CONTAINER", raising=False)
    root = tmp_path / "datasets/ann"
    write_actor(root)
    return Project(tmp_path, root)


class Project:
    def __init__(self, path, root):
        self.path, self.root, self.count = path, root, 0
        self.workspace = path / "workspace/output_preproc"

    def values(self, leave_out=(), root="/datasets/ann", **extra):
        values = {key: {"ann": f"{root}/{place}"} for key, place in KEYS.items() if key not in leave_out}
        names = {"ACTOR_NAMES": ["ann"], "CACHE_FPS": {"ann": 30}, "SHOT_EMOTION_NAMES": ["neutral", "joy"]}
        names["SKIP_DATA_CHECKS"] = ["*"]  # random vertices look like no face
        return names | values | extra

    def run(self, dataset=None, preproc_keys=None, **options):
        self.count += 1
        folder = self.path / f"configs/p{self.count}"
        folder.mkdir(parents=True)
        for kind, values in (("dataset", self.values(**options) | (dataset or {})), ("preproc", preproc_keys or {})):
            folder.joinpath(f"config_{kind}.py").write_text("".join(f"{k} = {v!r}\n" for k, v in values.items()))
        return load_preproc_run(self.workspace / preproc.run(f"p{self.count}", "ann"))

    def problems(self, *arguments, **options):
        with pytest.raises(UserError) as error:
            self.run(*arguments, **options)
        assert not self.workspace.exists() or not list(self.workspace.iterdir()), "a failed run leaves nothing behind"
        return "\n".join(error.value.lines)


# ---- a run


def test_a_run_holds_what_was_promised(project):
    run = project.run(preproc_keys={"RUN_INFO": "a remark", "SKIN_PCA_VARIANCE_THRESHOLD": 0.99999})
    assert (run.actor, run.name.split("_", 2)[2], run.has_tongue) == ("ann", "default", True)
    assert [(s.name, s.num_frames, s.fps, s.emotion) for s in run.shots] == [
        ("a1_neutral", 45, 30.0, "neutral"),
        ("a2_joy", 38, 30.0, "joy"),
        ("file", 30, 30.0, "neutral"),
    ]
    assert all((run.path / place).is_file() for place in FILES.values())
    for name in ("log.log", "configs/info.txt", "configs/state.json", "configs/config_dataset_full.json"):
        assert (run.path / name).is_file()
    assert run.skin.components.shape == (5, V, 3) and run.tongue.components.shape == (2, VT, 3)
    for shot, count in SHOTS.items():
        poses = np.load(project.root / f"cache/skin/{shot}/{shot}.npy")
        coeffs = run.skin_coeffs(shot)
        assert coeffs.shape == (count, 5) and coeffs.dtype == np.float32
        again = np.tensordot(coeffs, run.skin.components, 1) + run.skin.mean
        assert np.abs(again - poses).max() < 1e-3
        assert run.tongue_coeffs(shot).shape == (count, 2)
    for arrays in (run.network_data, read_npz(run.blendshapes["skin"]["data"])):
        for array in arrays.values():
            assert array.flags.c_contiguous and (array.dtype.str in ("<f4", "<i4") or array.dtype.kind == "S")
    assert read_npz(run.blendshapes["skin"]["data"])["poseNames"].tolist() == [b"neutral", b"jawOpen", b"mouthSmile"]
    assert set(run.blendshapes) == {"skin"}
    assert run.mean_geometry.shape == (3 * V + 3 * VT + 15 + 4,)
    chosen = json.loads((run.path / "pca/skin/intermediate/distinct.json").read_text())
    assert set(chosen) == set(SHOTS) and max(chosen["file"]) < 30


def test_scales_normalise_the_mean(project):
    run = project.run(dataset={"TRANSFORM_SCALE": {"ann": {"skin": 2.0}}})
    info = run.data_info
    assert info["num_keypoints_jaw"] == 5 and info["num_angles_eye"] == 2 and info["num_shapes_tongue"] == 2
    normal = (run.network_data["shapes_mean_skin"] - info["translate_skin"]) / info["scale_skin"]
    assert np.allclose(run.mean_geometry[: 3 * V], normal.ravel(), atol=1e-6)
    assert np.abs(normal).max() == pytest.approx(2.0) and np.allclose(normal.mean(axis=0), 0, atol=1e-6)
    assert np.abs(run.mean_geometry[3 * V : 3 * (V + VT)]).max() == pytest.approx(1.0)
    assert not run.mean_geometry[-19:].any()
    assert np.array_equal(run.network_data["neutral_skin"], np.load(project.root / "geom/skin/neutral_pose.npy"))


@pytest.mark.parametrize("form", ["pc2", "maya"])
def test_every_format_gives_the_same_run(project, form):
    expected = project.run()
    write_actor(project.path / f"datasets/{form}", form)
    run = project.run(root=f"/datasets/{form}")
    for part in set(FILES) - {"shots"}:
        assert run.file(part).read_bytes() == expected.file(part).read_bytes(), part
    assert not [p for p in run.path.iterdir() if p.name.startswith(".")]


def test_a_channel_of_caches_that_hold_several(project):
    """Head and tongue of a shot in one export: without the keys a message that names them, with them the same run."""
    run = project.run()
    expected = {part: run.file(part).read_bytes() for part in set(FILES) - {"shots"}}
    shutil.copytree(project.root, project.path / "datasets/both")
    caches = project.path / "datasets/both/cache"
    for shot in SHOTS:
        paths = {mesh: caches / mesh / shot / f"{shot}.npy" for mesh in ("skin", "tongue")}
        write_channels(paths["skin"], {f"{mesh}Shape": np.load(path) for mesh, path in paths.items()})
        paths["skin"].unlink()
    shutil.rmtree(caches / "tongue")
    shutil.rmtree(project.workspace)
    both = {"TONGUE_CACHE_ROOT": {"ann": "/datasets/both/cache/skin"}}
    told = project.problems(both, root="/datasets/both")
    assert "name the one to read among: skinShape, tongueShape (SKIN_CACHE_CHANNEL)" in told
    assert "(TONGUE_CACHE_CHANNEL)" in told
    chosen = {"SKIN_CACHE_CHANNEL": {"ann": "skinShape"}, "TONGUE_CACHE_CHANNEL": {"ann": "tongueShape"}}
    run = project.run(both | chosen, root="/datasets/both")
    assert {part: run.file(part).read_bytes() for part in expected} == expected
    coarse = {"SKIN_PRUNE_CACHE_ROOT": {"ann": "/datasets/both/cache/skin"}}
    run = project.run(preproc_keys=coarse | {"SKIN_PRUNE_CACHE_CHANNEL": {"ann": "skinShape"}})
    assert {part: run.file(part).read_bytes() for part in expected} == expected
    shutil.rmtree(project.workspace)
    told = project.problems({**both, **chosen, "SKIN_CACHE_CHANNEL": {"ann": "head"}}, root="/datasets/both")
    assert "expected a channel 'head'; the channels are: skinShape, tongueShape" in told
    assert "(SKIN_PRUNE_CACHE_CHANNEL)" in project.problems(preproc_keys=coarse)


def test_only_audio_and_skin_are_required(project, caplog):
    run = project.run(leave_out=set(KEYS) - {"AUDIO_ROOT", "SKIN_CACHE_ROOT"})
    assert not run.has_tongue and run.blendshapes == {}
    assert run.tongue.components.shape == (10, 520, 3) and run.tongue_coeffs("file").shape == (30, 10)
    assert run.network_data["saccade_rot_matrix"].shape == (5000, 2) and run.data_info["scale_eye"] == 1.0
    jaw = run.network_data["neutral_jaw"]
    spread = np.linalg.svd(jaw - jaw.mean(axis=0), compute_uv=False)
    assert jaw.shape == (5, 3) and spread[1] > 0.05 * spread[0] and spread[1] > 0.1
    assert "TONGUE_CACHE_ROOT: a still tongue of zeros" in caplog.text and "EYE_BLINK_KEYS_FPATH" in caplog.text


@pytest.mark.parametrize(
    "kept, shots, names",
    [
        ({"TONGUE_CACHE_ROOT"}, {"a1_neutral": 45, "a2_joy": 38, "file": 30}, ["tongue_coeffs"]),
        ({"JAW_ANIM_DATA_FPATH", "EYE_ANIM_DATA_FPATH"}, None, ["jaw", "eye"]),
    ],
)
def test_an_actor_needs_no_skin(project, kept, shots, names):
    run = project.run(leave_out=set(KEYS) - kept - {"AUDIO_ROOT"})
    assert not run.has_skin and run.skin.components.shape == (1, 2, 3) and run.skin_coeffs("file").shape == (30, 1)
    found = {shot.name: shot.num_frames for shot in run.shots}
    assert found == shots or (shots is None and found["file"] == 30)
    channels = json.loads((run.path / "deploy" / CHANNELS_FILE).read_text())
    assert [(c["name"], c["offset"], c["names"]) for c in channels] == [(name, 0.0, []) for name in names]
    assert all(c["size"] == run.codec[c["name"]].size and c["scale"] == run.codec[c["name"]].scale for c in channels)


def test_an_actor_without_any_motion_is_a_mistake(project):
    assert "SKIN_CACHE_ROOT: has no entry for actor 'ann'" in project.problems(leave_out=set(KEYS) - {"AUDIO_ROOT"})
    np.savez(project.root / "xform/jaw.npz")
    left_out = set(KEYS) - {"AUDIO_ROOT", "JAW_ANIM_DATA_FPATH"}
    assert "has no motion: set SKIN_CACHE_ROOT" in project.problems(leave_out=left_out)


def test_neutral_of_the_deployed_model_replaces_the_mean(project):
    other = np.load(project.root / "geom/skin/neutral_pose.npy") + 1
    np.save(project.root / "other.npy", other)
    run = project.run(dataset={"SKIN_NEUTRAL_INFERENCE_FPATH": {"ann": "/datasets/ann/other.npy"}})
    assert np.array_equal(run.network_data["shapes_mean_skin"], other)
    assert np.array_equal(run.skin.mean + 1, other)


def test_coarse_caches_mask_and_shot_lists(project):
    for shot in ("a1_neutral", "a2_joy"):
        coarse = project.root / f"coarse/{shot}"
        coarse.mkdir(parents=True)
        np.save(coarse / f"{shot}.npy", np.load(project.root / f"cache/skin/{shot}/{shot}.npy")[:, ::2])
    np.save(project.root / "mask.npy", np.arange(10))
    keys = {
        "SKIN_PRUNE_CACHE_ROOT": {"ann": "/datasets/ann/coarse"},
        "SKIN_PRUNE_MESH_MASK_FPATH": {"ann": "/datasets/ann/mask.npy"},
        "SKIN_PRUNE_CACHE_SHOTS": {"ann": ["a2_joy"]},
        "SKIN_CACHE_SHOTS": {"ann": ["a1_neutral", "a2_joy"]},
        "SKIN_FORCE_COMPONENTS": {"ann": 3},
    }
    run = project.run(preproc_keys=keys)
    assert [s.name for s in run.shots] == ["a1_neutral", "a2_joy"] and run.skin.num_components == 3
    assert set(json.loads((run.path / "pca/skin/intermediate/distinct.json").read_text())) == {"a2_joy"}


@pytest.mark.parametrize("kind", [bool, np.int64, np.uint8, np.float32])
def test_a_mask_of_zeros_and_ones_is_the_list_of_its_ones(project, kind):
    chosen, rigid = np.array([1, 3, 5, 8, 20, 39]), np.array([0, 1, 2, 5])
    keys = {
        "SKIN_PRUNE_MESH_MASK_FPATH": {"ann": "/datasets/ann/chosen.npy"},
        "SKIN_SELECT_DISTINCT_MAX_ITER": 1,
    }
    dataset = {"TONGUE_RIGID_VERTEX_LIST_FPATH": {"ann": "/datasets/ann/rigid.npy"}}
    results = []
    for as_mask in (False, True):
        for name, vertices, count in (("chosen", chosen, V), ("rigid", rigid, VT)):
            mask = np.isin(np.arange(count), vertices).astype(kind)
            np.save(project.root / f"{name}.npy", mask if as_mask else vertices)
        sections = {
            "dataset": section_from_values("dataset", project.values() | dataset),
            "preproc": section_from_values("preproc", keys),
        }
        inputs, problems = build_captured(sections, "ann")
        assert not problems.errors
        results.append((inputs.prune_vertices.tolist(), inputs.rigid_vertices.tolist()))
    assert results == [(chosen.tolist(), rigid.tolist())] * 2


def test_zeros_and_ones_of_another_count_and_masks_of_nothing_are_refused(project):
    keys = {"SKIN_PRUNE_MESH_MASK_FPATH": {"ann": "/datasets/ann/mask.npy"}}
    for mask, reason in (
        ([0, 1], "2 zeros and ones: a mask of another mesh, or vertices 0 and 1?"),
        (np.ones(V + 1, np.int32), f"{V + 1} zeros and ones"),
        (np.zeros(V, bool), "selects no vertex"),
        (np.full(V, 0.5), "float64 from 0.5 to 0.5"),
        ([3, V], f"vertex {V} does not exist"),
        ([[1, 2]], "(1, 2) of int64"),
    ):
        np.save(project.root / "mask.npy", mask)
        text = project.problems(preproc_keys=keys)
        assert "SKIN_PRUNE_MESH_MASK_FPATH" in text and "mask.npy" in text and reason in text
    places = ("upper", "lower")
    write_json(project.root / "geom/skin/lip_dist_vertex_list.json", {k: [0, 1] * (V // 2) for k in places})
    assert "a mask of zeros and ones, which does not pair them" in project.problems()


def test_vertex_lists_as_npy_are_the_rows_of_the_json(project):
    files = {
        "SKIN_LIP_DIST_VERTEX_LIST_FPATH": [[1, 2], [3, 4]],
        "SKIN_LIP_SIZE_VERTEX_LIST_FPATH": [[[1], [2]], [[5], [6]]],
        "SKIN_EYE_DIST_VERTEX_LIST_FPATH": [[5, 6], [7, 8]],
    }
    for key, rows in files.items():
        np.save(project.root / f"{key}.npy", rows)
    values = project.values() | {key: {"ann": f"/datasets/ann/{key}.npy"} for key in files}
    found = DatasetFiles.from_config(section_from_values("dataset", values), "ann")
    assert [side.tolist() for side in found.lip_dist_pairs()] == [[1, 2], [3, 4]]
    assert [side.tolist() for side in found.lip_size_pairs()] == [[1, 5], [2, 6]]
    assert [side.tolist() for side in found.eye_dist_pairs()] == [[5, 6], [7, 8]]
    np.save(project.root / "SKIN_LIP_DIST_VERTEX_LIST_FPATH.npy", np.arange(10).reshape(5, 2))
    with pytest.raises(UserError, match=r"\(2, n\): upper, lower; found \(5, 2\)"):
        found.lip_dist_pairs()


def test_clips_of_shots_with_sound_and_of_other_voices(project):
    (project.root / "audio/file.wav").unlink()
    write_wav(project.root / "audio/aug/bob/a2_joy.wav", 38 / FPS)
    write_wav(project.root / "audio/aug/bob/a2_joy0.wav", 1.0)
    run = project.run(dataset={"SHOT_LANGUAGE_MAP": {"ann": {"a2_joy": "zh"}}})
    tree = ast.parse(run.file("clips_template").read_text())
    assert ast.literal_eval(tree.body[0].value) == [
        ("ann", "a1_neutral", (0, 44), "ann", "en", "a1_neutral.wav", 0),
        ("ann", "a2_joy", (0, 37), "ann", "zh", "a2_joy.wav", 0),
        ("ann", "a2_joy", (0, 37), "bob", "zh", "aug/bob/a2_joy.wav", 0),
    ]


def test_clips_text_quotes_names():
    text = clips_text([('a"b', "s\\n", (0, 1), "ä", "en", "x.wav", 0)])
    assert ast.literal_eval(ast.parse(text).body[0].value)[0][:2] == ('a"b', "s\\n")


# ---- mistakes


def test_missing_paths_name_their_keys(project):
    values = {"SKIN_NEUTRAL_FPATH": {"ann": "/datasets/ann/nope.npy"}, "AUDIO_ROOT": {"ann": "/datasets/ann/nope"}}
    text = project.problems(dataset=values)
    assert "SKIN_NEUTRAL_FPATH" in text and "AUDIO_ROOT" in text
    text = project.problems(leave_out=["AUDIO_ROOT"])
    assert "AUDIO_ROOT" in text and "ann" in text


def test_all_problems_of_the_data_are_told_at_once(project):
    root = project.root
    np.save(root / "cache/skin/a2_joy/a2_joy.npy", np.zeros((38, V + 1, 3), np.float32))
    np.save(root / "cache/tongue/file/file.npy", np.zeros((29, VT, 3), np.float32))
    np.save(root / "geom/skin/lip_open_pose_delta.npy", np.zeros((V - 1, 3)))
    np.save(root / "xform/saccades.npy", np.zeros((5, 3)))
    write_json(root / "geom/skin/lip_dist_vertex_list.json", {"upper": [V], "lower": [3]})
    write_json(root / "geom/skin/eye_dist_vertex_list.json", {"upper": [1, 2], "lower": [3]})
    write_json(root / "geom/tongue/rigid_vertex_list.json", [0, 1])
    write_wav(root / "audio/file.wav", 1.0, rate=8000)
    (root / "cache/skin/stray.txt").write_text("")
    shutil.copy(root / "cache/tongue/a2_joy/a2_joy.npy", root / "cache/tongue/a2_joy/a2_joy.pc2")
    jaw = read_npz(root / "xform/jaw.npz")
    jaw["a2_joy"] = jaw["a2_joy"][:30]
    write_npz(root / "xform/jaw.npz", jaw)
    text = project.problems(dataset={"SHOT_EMOTION_MAP": [("ann", "a9", "joy")]})
    for part in (
        "shot a2_joy: a2_joy.npy has 41 vertices",
        "shot file has 29 frames, the skin cache 30",
        "SKIN_LIP_OPEN_POSE_DELTA_FPATH: 39 vertices, but the caches have 40",
        "EYE_SACCADE_ROTATIONS_FPATH",
        "vertex 40 does not exist",
        "must be equally long",
        "needs at least 4 vertices",
        "8000 Hz",
        "a2_joy.npy and a2_joy.pc2",
        "shot a2_joy has 30 frames, the skin cache 38",
        "no shot 'a9'",
    ):
        assert part in text, part


def test_unknown_shots_and_actor(project):
    text = project.problems(preproc_keys={"SKIN_CACHE_SHOTS": {"ann": ["a1"]}, "TONGUE_CACHE_SHOTS": {"ann": ["x"]}})
    assert "SKIN_CACHE_SHOTS: shot 'a1' is not in SKIN_CACHE_ROOT" in text and "TONGUE_CACHE_SHOTS: shot 'x'" in text
    with pytest.raises(UserError, match="'eve' is not in ACTOR_NAMES"):
        project.run()
        preproc.run("p2", "eve")


def test_frames_that_are_not_finite_are_named_for_all_shots(project):
    for shot, frame in (("a2_joy", 7), ("file", 11)):
        path = project.root / f"cache/skin/{shot}/{shot}.npy"
        poses = np.load(path)
        poses[frame, 3, 1] = np.nan
        np.save(path, poses)
    text = project.problems()
    assert "a2_joy: frame 7" in text and "file: frame 11" in text


def test_a_disk_that_fails_leaves_nothing_behind(project, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audio2face.preproc.build.save_deploy", full)
    assert "preprocessing stopped: no space left in" in project.problems()


def test_frame_rate_of_a_cache_that_contradicts(project):
    write_actor(project.path / "datasets/maya", "maya")
    text = project.problems(root="/datasets/maya", dataset={"CACHE_FPS": {"ann": 25}})
    assert "CACHE_FPS is 25" in text and "30 frames a second" in text


@pytest.mark.parametrize("whole", [24, 30, 60])
def test_ntsc_rates_are_no_contradiction(whole):
    def caches(*rates):
        return {str(i): Cache(str(i), Path(f"{i}.xml"), 9, 9, rate) for i, rate in enumerate(rates)}

    def rate(found, configured):
        problems = Problems()
        return frame_rate(problems, found, configured, "ann"), [str(problem) for problem in problems]

    for ntsc in (whole * 1000 / 1001, round(whole * 1000 / 1001, 3), round(whole * 1000 / 1001, 2)):
        assert rate(caches(whole, None, ntsc), ntsc) == (ntsc, [])
        assert rate(caches(ntsc), whole) == (whole, [])
    assert rate(caches(whole, whole * 1000 / 1001), None) == (whole * 1000 / 1001, [])
    for other in (0.995 * whole, 1.002 * whole, 25):
        assert "CACHE_FPS is" in rate(caches(whole), other)[1][0]
        assert "carry no frame rate" in rate(caches(whole, other), None)[1][0]


def test_blendshapes_are_checked_and_forced_to_what_the_runtime_reads():
    pose = np.zeros((4, 3))
    good = {
        "poseNames": np.array(["neutral", "jawÖpen"]),
        "neutral": pose,
        "jawÖpen": pose,
        "rig_version": np.array("1"),
    }
    clean, problems = clean_blendshapes(good | {"frontalMask": np.array([True, False, False, True])}, 4, "here")
    assert problems == [] and clean["poseNames"].tolist() == [b"neutral", "jawÖpen".encode()]
    assert clean["frontalMask"].tolist() == [0, 3] and clean["frontalMask"].dtype == np.int32
    assert clean_blendshapes(good | {"frontalMask": np.array([1, 0, 0, 1])}, 4, "here")[0]["frontalMask"].tolist() == [
        0,
        3,
    ]
    assert clean["rig_version"].dtype.kind == "S" and clean["neutral"].dtype == np.float32
    bad = {
        "poseNames": np.array(["a", "b", "b"]),
        "neutral": pose[:3],
        "a": pose * np.nan,
        "frontalMask": np.array([4]),
    }
    text = "\n".join(clean_blendshapes(bad, 4, "here")[1])
    for part in (
        "must be 'neutral'",
        "'b' of poseNames has no array",
        "named twice",
        "'neutral': expected",
        "'a': expected",
        "frontalMask",
    ):
        assert part in text
    assert "poseNames and neutral" in clean_blendshapes({}, 4, "here")[1][0]


def rig(*names):
    """A neutral of 4 vertices and poses of them."""
    rng = np.random.default_rng(0)
    poses = {name: rng.normal(size=(4, 3)) * 0.1 for name in names}
    return {"poseNames": np.array(["neutral", *names]), "neutral": 5 + rng.normal(size=(4, 3)), **poses}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numPoses": 2}, "bsSolveActivePoses has 3 entries, numPoses is 2"),
        ({"strengthSymmetry": -1}, "strengthSymmetry is -1"),
        ({"bsSolveActivePoses": [0, 0, 0]}, "no pose is active"),
        ({"bsSolveSymmetryPoses": [4, -1, -1]}, "4 occurs 1 times"),
        ({"bsWeightOffsets": "none"}, "bsWeightOffsets is 'none'"),
        ({"templateBBSize": 0.5}, "templateBBSize is 0.5"),
    ],
)
def test_blendshape_settings_that_the_runtime_refuses_are_told_before_training(changes, message):
    settings = {"blendshape_params": solver_settings([1, 1, 1], **changes)}
    problems = ready_blendshapes(rig("a", "b", "c"), settings, 4, "data", "config")[2]
    assert any(line.startswith("config: ") and message in line for line in problems), problems


def test_more_blendshapes_that_the_runtime_would_misread():
    arrays = rig("a", "b/c", "d")
    arrays["d"] = arrays["d"] + arrays["neutral"]
    settings = {"blendshape_params": solver_settings([1, 1])}
    text = "\n".join(ready_blendshapes(arrays, settings, 4, "data", "config")[2])
    for part in ("data: pose 'b/c' cannot be", "data: 'd' holds positions", "numPoses is 2, poseNames has 3"):
        assert part in text
    for settings in ([], {}, {"blendshape_params": 3}, {"blendshape_params": {}}):
        assert ready_blendshapes(rig("a"), settings, 4, "data", "config")[2]


@pytest.mark.parametrize(
    ("active", "names"),
    [
        ([1, 1, 1], ["a", "b", "c"]),  # three are no pair
        ([1, 1, 0], ["a", "b", "c"]),  # an inactive pose to spare
        ([1, 1], ["a", "b", "unused"]),
    ],
)
def test_poses_without_a_partner_do_not_become_a_pair(active, names):
    """The runtime would take two active poses of mark -1 for a pair."""
    settings = {"blendshape_params": solver_settings(active)}
    arrays, settings, problems = ready_blendshapes(rig(*"abc"[: len(active)]), settings, 4, "data", "config")
    assert problems == [] and arrays["poseNames"].tolist() == [b"neutral", *(name.encode() for name in names)]
    solver = blendshapes.build(settings["blendshape_params"], arrays["neutral"], [arrays[name] for name in names])
    assert len(solver.cancel_pairs) == 0 and len(blendshapes.pairs(solver.params.symmetry[solver.params.active])) == 0
    assert solver.params.active.tolist() == [True, True, *[bool(a) for a in [*active, 0][2:3]]]


def test_a_relative_path_is_told_how_it_is_written(project):
    text = project.problems(dataset={"AUDIO_ROOT": {"ann": "ann/audio"}})
    assert "no such folder: ann/audio; below A2F_DATASETS_ROOT it is written /datasets/ann/audio" in text


def test_jaw_points_that_fix_no_rotation_are_told_before_training(project):
    np.save(project.root / "xform/jaw_keypoints_neutral.npy", np.outer(np.arange(5), [1.0, 0.0, 0.02]))
    assert "JAW_KEYPOINTS_NEUTRAL_FPATH" in (text := project.problems()) and "on a line" in text


# ---- emotions, languages


def test_emotions_are_whole_words():
    names = ["joy", "sad", "very_sad", "OutOfBreath"]
    assert emotions_in("cp1_joy", names) == ["joy"]
    assert emotions_in("take3-JOY02", names) == ["joy"]
    assert emotions_in("joyful_sadness", names) == []
    assert emotions_in("x_very_sad_1", names) == ["very_sad"]
    assert emotions_in("outofbreath7", names) == ["OutOfBreath"]
    assert sorted(emotions_in("joy_then_sad", names)) == ["joy", "sad"]


def test_emotion_of_a_shot():
    names = ["neutral", "joy", "sad"]

    def emotions(*arguments):
        problems = Problems()
        return shot_emotions(problems, "ann", *arguments), [str(problem) for problem in problems]

    found, problems = emotions(
        ["a_joy", "b", "c_joy_sad", "d_joy"], names, [("ann", "d_joy", "sad"), ("eve", "b", "sad")]
    )
    assert found["a_joy"] == "joy" and found["b"] == "neutral" and found["d_joy"] == "sad"
    assert len(problems) == 1 and "c_joy_sad" in problems[0] and "SHOT_EMOTION_MAP" in problems[0]
    assert "b" in emotions(["b"], ["joy", "sad"], [])[1][0]
    assert emotions(["b"], ["joy"], [("ann", "b", "joy"), ("ann", "c", "joy")], ["c"])[1] == []
    assert emotions(["b"], ["neutral"], []) == ({"b": "neutral"}, [])


def test_language_of_a_shot():
    assert shot_language({"ann": {"a": "zh"}}, "ann", "a") == "zh"
    assert shot_language({"a": "fr"}, "ann", "a") == "fr"
    assert shot_language({"ann": {"a": "zh"}}, "ann", "ann") == shot_language({}, "ann", "a") == "en"


# ---- pieces


def test_affine_of_a_reference():
    reference = np.array([[0.0, 0, 0], [4, 2, 0]])
    translate, scale = affine_of(reference, 2.0)
    assert translate.tolist() == [2, 1, 0] and scale == 1.0
    assert affine_of(np.zeros((5, 2)))[1] == 1.0


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_spread_points_span_space(count):
    values = np.linalg.svd(spread_points(count, 2.0) - spread_points(count, 2.0).mean(axis=0), compute_uv=False)
    assert values[1] > 0.3 * values[0]


def test_a_bundle_without_anything_is_finite():
    pca = Pca(np.zeros((2, 6, 3), np.float32), np.zeros((6, 3), np.float32), np.zeros(2, np.float32))
    bundle = build_bundle(pca, pca, RestData(), Placeholders((5, 3), (10,), (20, 2)), {}, 1.0)
    assert all(np.isfinite(a).all() and a.dtype == np.float32 for a in bundle.network_data.values())
    assert bundle.mean_geometry.shape == (18 + 18 + 15 + 4,) and bundle.data_info["scale_skin"] == 1.0
    assert np.abs(bundle.network_data["neutral_jaw"]).max() < 0.021  # metres


def test_dataset_loaders(project):
    files = DatasetFiles.from_config(section_from_values("dataset", project.values()), "ann")
    assert files.shots() == sorted(SHOTS) and files.voices() == []
    assert files.eye_animation("a2_joy").shape == (38, 4) and not files.has_eye("file")
    assert files.jaw_animation("file").dtype == np.float32 and files.has_jaw("file")
    assert [list(part) for part in files.lip_size_pairs()] == [[1, 1], [2, 2]]
    assert files.skin_triangles() is None and files.blink_keys() is None
    assert files.lip_open_pose_delta().flags.c_contiguous


def test_a_damaged_run_is_told(project):
    run = project.run()
    run.file("data_info").unlink()
    run.file("mean_geometry").unlink()
    with pytest.raises(UserError) as error:
        load_preproc_run(run.path)
    assert len(error.value.lines) == 2
    with pytest.raises(UserError, match="no skin coefficients"):
        run.skin_coeffs("nope")
    assert run.tongue_coeffs("nope") is None


def test_triangles_travel_with_the_run(project):
    faces = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
    (project.root / "tongue.obj").write_text("v 0 0 0\n" * VT + "f 1 2 3\n")
    names = {"SKIN_TRIANGLES_FPATH": "skin.npy", "TONGUE_TRIANGLES_FPATH": "tongue.obj"}
    keys = {key: {"ann": f"/datasets/ann/{name}"} for key, name in names.items()}
    np.save(project.root / "skin.npy", faces + V)
    place = f"SKIN_TRIANGLES_FPATH {project.root / 'skin.npy'}"
    assert f"{place}: vertex {V + 3} does not exist" in project.problems(dataset=keys)
    np.save(project.root / "skin.npy", faces)
    run = project.run(dataset=keys)
    np.testing.assert_array_equal(run.topology.skin, faces)
    assert run.topology.tongue.tolist() == [[0, 1, 2]]
    assert not project.run().topology


# ---- what earlier runs found


def files_of(run):
    """Content of everything that training reads."""
    paths = sorted(p for part in ("pca", "deploy") for p in (run.path / part).rglob("*") if p.is_file())
    return {str(p.relative_to(run.path)): p.read_bytes() for p in paths}


def taken_over(caplog):
    """The meshes that the last run took over, and what it says has changed for the others; forgets the log."""
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("stage_cache")]
    caplog.clear()
    return {line.split(":")[0]: line.split(": ", 2)[-1] if "computed" in line else "taken" for line in lines}


def test_a_second_run_takes_over_what_still_holds_bit_by_bit(project, caplog):
    caplog.set_level("INFO")
    first = project.run()
    assert taken_over(caplog) == {}
    again = project.run()
    assert taken_over(caplog) == {"skin": "taken", "tongue": "taken"}
    assert files_of(again) == files_of(first) and again.path != first.path
    shutil.rmtree(first.path)
    assert files_of(project.run()) == files_of(again)
    assert taken_over(caplog) == {"skin": "taken", "tongue": "taken"}


@pytest.mark.parametrize(
    ("change", "skin", "tongue"),
    [
        ({"SKIN_PRUNE_SIM_DIST": 0.3}, "SKIN_PRUNE_SIM_DIST", "taken"),
        ({"TONGUE_FORCE_COMPONENTS": {"ann": 1}}, "taken", "TONGUE_FORCE_COMPONENTS"),
        ({"SKIN_SELECT_DISTINCT_MAX_ITER": 9}, "SKIN_SELECT_DISTINCT_MAX_ITER", "taken"),
        ({"SKIN_PRUNE_CACHE_SHOTS": {"ann": ["file"]}}, "SKIN_PRUNE_CACHE_SHOTS", "taken"),
        ({"SKIN_CACHE_SHOTS": {"ann": ["a1_neutral", "file"]}}, "SKIN_PRUNE_CACHE_SHOTS, cache of a2_joy, shots", None),
        ({"PREPROC_MEMORY_GB": 3.0, "RUN_INFO": "x", "RUN_NAME": "other"}, "taken", "taken"),
    ],
)
def test_a_changed_key_spoils_exactly_the_stages_that_it_bears_on(project, caplog, change, skin, tongue):
    caplog.set_level("INFO")
    project.run()
    taken_over(caplog)
    run = project.run(preproc_keys=change)
    said = taken_over(caplog)
    assert said["skin"] == skin and (tongue is None or said["tongue"] == tongue)
    for path in (run.path / "configs/stages.json", *project.workspace.glob("*/configs/stages.json")):
        path.unlink(missing_ok=True)
    assert files_of(project.run(preproc_keys=change)) == files_of(run) and not taken_over(caplog)


def test_the_run_that_is_most_alike_is_compared_and_no_file_called_changed(project, caplog):
    caplog.set_level("INFO")
    project.run()
    project.run(preproc_keys={"SKIN_PRUNE_SIM_DIST": 0.3, "SKIN_SELECT_DISTINCT_MAX_ITER": 9})
    taken_over(caplog)
    project.run({"SKIN_NEUTRAL_FPATH": {}})  # as in a project of the same data that does without
    assert taken_over(caplog) == {"skin": "SKIN_NEUTRAL_FPATH", "tongue": "taken"}


def test_the_table_names_its_columns_by_what_they_hold(project, caplog):
    caplog.set_level("INFO")
    run = project.run()
    lines = "\n".join(caplog.messages).splitlines()
    head = next(line for line in lines if line.startswith("shot "))
    row = next(line for line in lines if line.startswith("a2_joy "))
    for column, stage in (("without similar", "similar_pruned"), ("chosen", "distinct")):
        kept = json.loads((run.path / f"pca/skin/intermediate/{stage}.json").read_text())["a2_joy"]
        assert row[: head.index(column) + len(column)].split()[-1] == str(len(kept))


def test_changed_files_spoil_their_stage_and_touched_ones_do_not(project, caplog, monkeypatch):
    caplog.set_level("INFO")
    project.run()
    taken_over(caplog)
    cache = project.root / "cache/skin/a2_joy/a2_joy.npy"
    cache.touch()
    project.run()
    assert taken_over(caplog) == {"skin": "taken", "tongue": "taken"}
    poses = np.load(cache)
    poses[3] *= 1.01
    np.save(cache, poses)
    np.save(project.root / "geom/tongue/neutral_pose.npy", np.load(project.root / "geom/tongue/neutral_pose.npy") + 1)
    project.run()
    assert taken_over(caplog) == {"skin": "cache of a2_joy", "tongue": "TONGUE_NEUTRAL_FPATH"}
    monkeypatch.setattr("audio2face.preproc.stage_cache.__version__", "99.0")
    project.run()
    assert taken_over(caplog) == {"skin": "framework", "tongue": "framework"}
    monkeypatch.setattr("audio2face.preproc.stage_cache.code_digest", lambda: "another")
    project.run()
    assert taken_over(caplog) == {"skin": "code", "tongue": "code"}


def test_old_files_are_known_by_size_and_time(project, caplog, monkeypatch):
    caplog.set_level("INFO")
    for path in project.root.rglob("*.npy"):
        os.utime(path, (1e9, 1e9))
    project.run()
    read = []
    monkeypatch.setattr(
        "audio2face.preproc.stage_cache.digest", lambda content: read.append(content) or digest(content)
    )
    project.run()
    assert taken_over(caplog)["skin"] == "taken"
    assert not [path for path in read if hasattr(path, "suffix") and "cache" in path.parts]


def test_damaged_results_and_no_cache_are_computed_anew(project, caplog):
    caplog.set_level("INFO")
    run = project.run()
    before = files_of(run)
    with (run.path / FILES["skin_coeffs"]).open("r+b") as file:
        file.seek(300)
        file.write(b"\0\0\0\0")
    again = project.run()
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "files of its skin basis have been changed" in said and files_of(again) == before
    (again.path / "configs/stages.json").write_text('{"stages": {"skin": 3}, "files": []}')
    (run.path / "configs/stages.json").unlink()
    caplog.clear()
    preproc.run(f"p{project.count}", "ann", cache=False)
    assert not taken_over(caplog)


def test_no_cache_reaches_the_command():
    args = arguments.parser("preproc").parse_args(["tiny", "ann", "--no-cache", "--local"])
    assert arguments.runner_arguments("preproc", args) == ["tiny", "ann", "--no-cache", "--local"]
    given = []
    module = type("module", (), {"run": staticmethod(lambda *names, **options: given.append((names, options)))})
    cli.call_preproc(module, args)
    cli.call_preproc(module, arguments.parser("preproc").parse_args(["tiny", "ann"]))
    assert given == [(("tiny", "ann"), {"cache": False}), (("tiny", "ann"), {})]
