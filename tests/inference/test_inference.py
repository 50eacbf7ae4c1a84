"""Inference: modes, sound files, emotions, windows in time, decoding, and the two commands on a tiny run."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import run as fake_run

from audio2face.audio.windows import frame_count
from audio2face.formats import read_animation
from audio2face.formats.sound import write_sound
from audio2face.inference.animate import BLOCK, _plain_face, _regrouped, _shown_face
from audio2face.inference.audio_inputs import audio_files, emotion_slug, normalized_samples
from audio2face.inference.package import run_actor
from audio2face.models.common.options import MODES, Mode, parse_mode
from audio2face.models.common.rollout import RolloutInputs
from audio2face.models.regression import network as networks
from audio2face.models.regression.load import BACKENDS, load_network
from audio2face.models.regression.options import MODES as REGRESSION_MODES
from audio2face.models.regression.rollout import regression_rollout
from audio2face.postprocess import chain
from audio2face.problems import UserError
from audio2face.types import Waveform
from tools import check_model

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "tiny", fake_run.TinyNetwork)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run.make_train_run(tmp_path_factory.mktemp("train"))


# Modes


def test_the_ten_modes():
    assert len(MODES) == 10
    assert MODES["offline"] == Mode("offline", False, False, False, "torch")
    assert MODES["offline_onnx"] == Mode("offline_onnx", False, False, False, "onnx")
    assert MODES["streaming"] == Mode("streaming", True, False, False, "torch")
    delta = "streaming_stateless_output_delta_trt"
    assert MODES[delta] == Mode(delta, True, True, True, "trt")


@pytest.mark.parametrize("name", MODES)
def test_regression_has_two_modes_and_refuses_the_rest_by_name(name):
    if name in ("offline", "offline_onnx"):
        assert parse_mode(name, "regression", REGRESSION_MODES).name == name
    else:
        with pytest.raises(UserError, match=f"'{name}' does not exist for a regression network, which has: offline, "):
            parse_mode(name, "regression", REGRESSION_MODES)


def test_unknown_modes_are_told():
    with pytest.raises(UserError, match="did you mean 'offline'"):
        parse_mode("ofline", "regression", REGRESSION_MODES)
    with pytest.raises(UserError, match="not set"):
        parse_mode(None, "regression", REGRESSION_MODES)


# Sound files


def test_audio_files(tmp_path):
    for name in ("b.wav", "a.flac", "notes.txt", ".hidden.wav"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.d.WAV").write_bytes(b"")
    assert [p.name for p in audio_files(tmp_path)] == ["a.flac", "b.wav"]
    assert [p.name for p in audio_files([tmp_path / "b.wav", tmp_path / "more"])] == ["b.wav", "c.d.WAV"]
    assert audio_files(str(tmp_path / "b.wav")) == [tmp_path / "b.wav"]


def test_audio_files_tells_all_problems(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.doc").write_bytes(b"")
    (tmp_path / "one.wav").write_bytes(b"")
    (tmp_path / "one.flac").write_bytes(b"")
    with pytest.raises(UserError) as error:
        audio_files(
            [tmp_path / "no.wav", tmp_path / "empty", tmp_path / "x.doc", tmp_path / "one.wav", tmp_path / "one.flac"]
        )
    reasons = ("no such", "holds no", "expected", "same output")
    for reason, line in zip(reasons, error.value.lines, strict=True):
        assert reason in line
    with pytest.raises(UserError, match="not set"):
        audio_files(None)


def test_a_folder_of_sounds_is_read_in_order_and_what_is_left_is_told(tmp_path, caplog):
    for name in ("take10.mp3", "take2.ogg", "take1.wav", "take1.mp3", "b.m4a", "a.m4a", "notes.txt", ".DS_Store"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "more.wav").mkdir()
    assert [path.name for path in audio_files(tmp_path)] == ["take1.wav", "take2.ogg", "take10.mp3"]
    (told,) = caplog.messages
    for part in (
        "2 .m4a files (a.m4a, b.m4a)",
        "1 folder (more.wav)",
        "1 .txt file (notes.txt)",
        "1 .mp3 file (take1.mp3) beside one of the same name",
    ):
        assert part in told
    assert "DS_Store" not in told and "take2" not in told
    for name in ("take10.mp3", "take2.ogg", "take1.wav", "take1.mp3"):
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match=r"holds no sound.*2 \.m4a files"):
        audio_files(tmp_path)


def test_normalized_samples():
    loud = Waveform(np.array([0.5, -0.25], np.float32), 16000, 0.5)
    np.testing.assert_array_equal(normalized_samples(loud), [1, -0.5])


# Emotions


def test_emotion_slugs():
    spec = fake_run.make_spec()
    assert emotion_slug(spec, None) == "neutral"
    assert emotion_slug(spec, "joy") == "joy"
    assert emotion_slug(spec, [0.5, 0.25]) == "joy0.5-anger0.25"
    assert emotion_slug(spec, [0, 0]) == "neutral"
    assert emotion_slug(spec, [(0.0, "joy")]) == "timeline"


# Windows in time


def test_frame_count_covers_the_sound_exactly():
    assert frame_count(16000, 16000, 30.0) == 30
    assert frame_count(16001, 16000, 30.0) == 31
    assert frame_count(533, 16000, 30.0) == 1 and frame_count(534, 16000, 30.0) == 2
    assert frame_count(1, 16000, 30.0) == 1
    assert frame_count(16000 * 3600, 16000, 60.0) == 216000


def test_rollout_hears_what_training_put_at_each_frame():
    """An impulse in the middle of frame 7 is the sample at buffer_ofs in frame 7's window, and nowhere else."""
    fps, audio = 30.0, {"buffer_len": 640, "buffer_ofs": 320, "samplerate": 16000}
    samples = np.zeros(16000, np.float32)
    samples[int(7.5 / fps * 16000)] = 1.0

    def step(feeds):
        assert feeds["input"].shape[1:] == (1, 640) and feeds["emotion"].shape[1:] == (1, 2)
        return {"result": feeds["input"][:, :, 320:321] + feeds["emotion"][:, :, :1]}

    emotions = lambda frames: np.stack([10 * frames, 0 * frames], axis=1)  # noqa: E731
    inputs = RolloutInputs(samples, frame_count(len(samples), 16000, fps), 0, emotions)
    expected = 10.0 * np.arange(30)[:, None]
    expected[7] += 1
    for batch_size in (1, 4, 64):
        found = np.concatenate(list(regression_rollout(step, inputs, fps, audio, batch_size)))
        np.testing.assert_array_equal(found, expected)


def test_rollout_pads_with_silence():
    audio = {"buffer_len": 8, "buffer_ofs": 4, "samplerate": 10}
    step = lambda feeds: {"result": feeds["input"].copy()}  # noqa: E731
    inputs = RolloutInputs(np.arange(1, 4, dtype=np.float32), 2, 0, lambda frames: np.zeros((len(frames), 1)))
    result = np.concatenate(list(regression_rollout(step, inputs, 5.0, audio, 1)))  # at 0.1 and 0.3 s
    np.testing.assert_array_equal(result, [[0, 0, 0, 1, 2, 3, 0, 0], [0, 1, 2, 3, 0, 0, 0, 0]])


# Networks


def test_loaded_network_has_the_trained_weights(run):
    network = load_network(run, CPU)
    assert not network.training
    for ours, theirs in zip(network.parameters(), fake_run.make_network(run.spec).parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_backends_agree(run):
    rng = np.random.default_rng(0)
    feeds = {
        "input": rng.normal(size=(5, 1, 640)).astype(np.float32),
        "emotion": rng.normal(size=(5, 1, 6)).astype(np.float32),
    }
    results = {name: backend(run, "ada", CPU)(feeds) for name, backend in BACKENDS.items()}
    assert set(results) == {"torch", "onnx"}
    np.testing.assert_allclose(results["torch"]["result"], results["onnx"]["result"], atol=1e-5)


def test_missing_weights_and_networks_are_told(run, tmp_path):
    copy = tmp_path / run.name
    shutil.copytree(run.path, copy)
    broken = type(run)(copy, run.spec)
    for backend, path in (("torch", copy / "weights.pth"), ("onnx", copy / "deploy" / "network.onnx")):
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(UserError, match=f"{run.name} is damaged: .*{path.name}"):
            BACKENDS[backend](broken, "ada", CPU)
    (copy / "weights.pth").unlink()
    (copy / "deploy" / "network.onnx").unlink()
    for backend, words in (("torch", "weights.pth"), ("onnx", "network.onnx")):
        with pytest.raises(UserError, match=words):
            BACKENDS[backend](broken, "ada", CPU)
    with pytest.raises(UserError, match="'other' is unknown"):
        load_network(type(run)(run.path, fake_run.make_spec(network_name="other")), CPU)


def test_rescaled_output_comes_out_in_data_units(tmp_path):
    plain = fake_run.make_train_run(tmp_path / "a")
    scaled = fake_run.make_train_run(tmp_path / "b", fake_run.make_spec(rescale=True))
    feeds = {"input": np.ones((1, 1, 640), np.float32), "emotion": np.ones((1, 1, 6), np.float32)}
    factors = np.repeat([10.0, 6.0, 4.0, 5.0], [3, 2, 15, 4])
    for name, backend in BACKENDS.items():
        a, b = (backend(r, "ada", CPU)(feeds)["result"][0, 0] for r in (plain, scaled))
        np.testing.assert_allclose(b, a * factors, rtol=1e-4, err_msg=name)


# Decoding


def test_rows_come_in_blocks_of_one_size():
    rows = np.arange(1000)[:, None]
    for sizes in ([1000], [64] * 15 + [40], [300, 1, 0, 699]):
        blocks = list(_regrouped(np.split(rows, np.cumsum(sizes)[:-1])))
        assert [len(block) for block in blocks] == [BLOCK] * 3 + [1000 - 3 * BLOCK]
        np.testing.assert_array_equal(np.concatenate(blocks), rows)


def test_a_face_in_data_units_in_memory_and_on_disk(run, tmp_path):
    actor = run_actor(run, "ada", CONFIG)
    rows = np.random.default_rng(0).normal(size=(600, 24)).astype(np.float32)
    rows[0], rows[1] = 0, np.arange(24)
    made = _plain_face(_regrouped([rows]), 600, actor, 30.0)
    face, data = made.animation, actor.data
    np.testing.assert_array_equal(made.rows, rows)
    np.testing.assert_array_equal(face.channels["skin"][0], data["shapes_mean_skin"])
    np.testing.assert_array_equal(face.channels["tongue"][0], data["shapes_mean_tongue"])
    skin = np.einsum("tk,kvc->tvc", rows[:, :3], data["shapes_matrix_skin"]) + data["shapes_mean_skin"]
    np.testing.assert_allclose(face.channels["skin"], skin, atol=1e-4)
    np.testing.assert_array_equal(face.channels["jaw"][1], np.arange(5, 20).reshape(5, 3))
    np.testing.assert_array_equal(face.channels["eye"][1], np.arange(20, 24))
    assert face.fps == 30.0 and face.num_frames == 600
    stored = _plain_face(_regrouped([rows]), 600, actor, 30.0, tmp_path).animation
    assert isinstance(stored.channels["skin"], np.memmap)
    np.testing.assert_array_equal(stored.channels["skin"], face.channels["skin"])


def test_offsets_become_whole_rows(run):
    """Of a network that gives offsets, the rows hold positions, and the meshes are views of them."""
    arrays = {name: x for name, x in run.actor("ada").network_data.items() if not name.startswith("shapes_")}
    actor = replace(run_actor(run, "ada", CONFIG), data=arrays, implicit=None, codec=run.actor("ada").poses)
    offsets = np.random.default_rng(0).normal(size=(5, 36 + 15 + 15 + 4)).astype(np.float32)
    made = _plain_face([offsets], 5, actor, 30.0)
    np.testing.assert_array_equal(made.rows[:, :36], offsets[:, :36] + arrays["neutral_skin"].ravel())
    np.testing.assert_array_equal(made.rows[:, 51:], offsets[:, 51:])
    assert np.shares_memory(made.rows, made.animation.channels["skin"])
    shown = _shown_face([offsets], 5, actor, 30.0)
    expected, _ = chain.apply(chain.build(CONFIG, arrays, float(np.float32(1 / 30))), offsets)
    np.testing.assert_allclose(shown.animation.channels["skin"], expected.skin, atol=1e-5)
    np.testing.assert_array_equal(shown.rows, made.rows)


CONFIG = {
    "input_strength": 1.0, "upper_face_smoothing": 0.001, "lower_face_smoothing": 0.0023, "upper_face_strength": 1.0,
    "lower_face_strength": 1.7, "face_mask_level": 0.6, "face_mask_softness": 0.0085, "skin_strength": 1.1,
    "blink_strength": 1.0, "lower_teeth_strength": 1.3, "lower_teeth_height_offset": -0.1,
    "lower_teeth_depth_offset": 0.25, "lip_open_offset": -0.05, "tongue_strength": 1.5, "tongue_height_offset": 0.2,
    "tongue_depth_offset": -0.3, "eyeballs_strength": 1.0, "saccade_strength": 0.9, "right_eye_rot_x_offset": 0.0,
    "right_eye_rot_y_offset": -2.0, "left_eye_rot_x_offset": 0.0, "left_eye_rot_y_offset": 2.0,
    "eyelid_open_offset": 0.06, "eye_saccade_seed": 0,
}  # fmt: skip


def test_postprocessing_in_blocks_is_one_stream(run):
    actor = run_actor(run, "ada", CONFIG)
    result = np.random.default_rng(0).normal(size=(600, 24)).astype(np.float32)
    face = _shown_face(_regrouped([result]), 600, actor, 30.0).animation
    whole, _ = chain.apply(chain.build(CONFIG, actor.data, float(np.float32(1 / 30))), result)
    np.testing.assert_allclose(face.channels["skin"], whole.skin, atol=1e-4)
    np.testing.assert_allclose(face.channels["eye"], whole.eyes, atol=1e-4)
    assert face.channels["jaw"].shape == (600, 4, 4)


# Commands


@pytest.fixture
def project(run, tmp_path, monkeypatch):
    """A workspace with one training run, and a project `tiny` that has only config_inference.py."""
    workspace, configs = tmp_path / "workspace", tmp_path / "configs"
    shutil.copytree(run.path, workspace / "output_train" / run.name)
    (configs / "tiny").mkdir(parents=True)
    seconds = np.arange(16000 * 2) / 22050
    sound = 0.3 * np.sin(2 * np.pi * 220 * seconds) * (seconds % 0.5)
    write_sound(tmp_path / "hello.world.wav", np.stack([sound, sound], axis=1), 22050)
    (configs / "tiny" / "config_inference.py").write_text(
        f"AUDIO_PATH = {str(tmp_path / 'hello.world.wav')!r}\nOUTPUT_NPY_FILE = True\n"
    )
    monkeypatch.setenv("A2F_CONFIGS_ROOT", str(configs))
    monkeypatch.setenv("A2F_WORKSPACE_ROOT", str(workspace))
    monkeypatch.setenv("A2F_DEVICE", "cpu")
    return tmp_path


def output_of(project, name):
    return project / "workspace" / "output_inference" / name


def test_infer_writes_every_array_in_data_units(run, project):
    from audio2face.commands import infer

    name = infer.run("tiny", run.name, APPLY_POSTPROCESSING=False)
    assert name.endswith("_fake") and name != run.name
    folder = output_of(project, name)
    stem = "hello.world_ada_ada_neutral_offline"
    endings = [".xml", ".mc", "_tongue.xml", "_tongue.mc", ".npy", "_skin.npy", "_tongue.npy", "_jaw.npy", "_eye.npy"]
    assert {p.name for p in folder.iterdir() if p.is_file()} == {
        "log.log",
        "manifest.json",
        *(stem + ending for ending in endings),
    }
    arrays = {part: np.load(folder / f"{stem}{part}.npy") for part in ("", "_skin", "_tongue", "_jaw", "_eye")}
    frames = int(np.ceil(32000 / 22050 * 30))
    assert {part: a.shape for part, a in arrays.items()} == {
        "": (frames, 24), "_skin": (frames, 12, 3), "_tongue": (frames, 5, 3), "_jaw": (frames, 5, 3), "_eye": (frames, 4),
    }  # fmt: skip
    data = run.actor("ada").network_data
    skin = np.einsum("tk,kvc->tvc", arrays[""][:, :3], data["shapes_matrix_skin"]) + data["shapes_mean_skin"]
    np.testing.assert_allclose(arrays["_skin"], skin, atol=1e-5)
    cache = read_animation(folder / f"{stem}.xml")
    assert cache.fps == 30
    np.testing.assert_array_equal(cache.block(), arrays["_skin"])
    np.testing.assert_array_equal(read_animation(folder / f"{stem}_tongue.xml").block(), arrays["_tongue"])
    info = json.loads((folder / "configs" / "training_run_info.json").read_text())
    assert info == {"training_run_name_full": run.name}
    assert not (folder / ".incomplete").exists()


def test_infer_in_both_modes_agrees(run, project):
    from audio2face.commands import infer

    results = []
    for mode in ("offline", "offline_onnx"):
        folder = output_of(project, infer.run("tiny", run.name, INFERENCE_MODE=mode, EMOTION_LABEL="joy"))
        results.append(np.load(folder / f"hello.world_ada_ada_joy_{mode}.npy"))
    np.testing.assert_allclose(*results, atol=1e-5)


def test_infer_latest_other_formats_and_postprocessing(run, project):
    from audio2face.commands import infer

    options = {"OUTPUT_FORMATS": ["pc2", "npy"], "APPLY_POSTPROCESSING": True, "EMOTION_LABEL": [0.5, 0]}
    folder = output_of(project, infer.run("tiny", "latest", AUDIO_PATH=[str(project)], **options))
    stem = "hello.world_ada_ada_joy0.5_offline"
    assert np.load(folder / f"{stem}_jaw.npy").shape[1:] == (4, 4) and np.load(folder / f"{stem}_eye.npy").shape[
        1:
    ] == (6,)
    np.testing.assert_array_equal(read_animation(folder / f"{stem}.pc2").block(), np.load(folder / f"{stem}_skin.npy"))


def test_infer_uses_the_source_shot(run, project):
    from audio2face.commands import infer

    config = project / "configs" / "tiny" / "config_inference.py"
    rows = {}
    for shot, frame in (("s1_neutral", 0), ("s2_joy", 3), ("mean", None), (None, None)):
        config.write_text(
            f"CONFIG = {{'source_shot': {shot!r}, 'source_frame': {frame!r}}}\nOUTPUT_FORMATS = ['npy']\n"
        )
        folder = output_of(project, infer.run("tiny", run.name, AUDIO_PATH=[str(project / "hello.world.wav")]))
        rows[shot] = np.load(next(folder.glob("*_offline.npy")))
    np.testing.assert_array_equal(rows[None], rows["s1_neutral"])
    assert np.abs(rows["s2_joy"] - rows["s1_neutral"]).max() > 1e-3
    assert np.abs(rows["mean"] - rows["s1_neutral"]).max() > 1e-3


def test_infer_tells_every_mistake_and_makes_no_folder(run, project):
    from audio2face.commands import infer

    with pytest.raises(UserError) as error:
        infer.run("tiny", run.name, AUDIO_PATH=[str(project / "no.wav")], EMOTION_LABEL="jay", ACTOR_NAME="eve")
    text = "\n".join(error.value.lines)
    assert (
        "no.wav" in text and "EMOTION_LABEL: emotion 'jay'" in text and "did you mean 'joy'" in text and "'eve'" in text
    )
    (project / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match="bad.wav"):
        infer.run("tiny", run.name, AUDIO_PATH=[str(project / "bad.wav")])
    with pytest.raises(UserError, match="nothing to write"):
        infer.run("tiny", run.name, OUTPUT_FORMATS=[])
    with pytest.raises(UserError, match="not found"):
        infer.run("tiny", "251121_120000_other")
    assert not (project / "workspace" / "output_inference").exists()


def test_sounds_of_pipes_and_doubtful_ones(run, project, caplog):
    from audio2face.commands import infer

    content = (project / "hello.world.wav").read_bytes()
    (project / "piped.wav").write_bytes(content[:4] + b"\0\0\0\0" + content[8:40] + b"\0\0\0\0" + content[44:])
    (project / "long.wav").write_bytes(content[:40] + len(content).to_bytes(4, "little") + content[44:])
    wave = np.sin(np.arange(8000) / 9)
    write_sound(project / "old.wav", np.stack([wave, -wave], axis=1), 8000)
    paths = [str(project / f"{name}.wav") for name in ("hello.world", "piped", "long", "old")]
    folder = output_of(project, infer.run("tiny", run.name, AUDIO_PATH=paths))
    results = [np.load(folder / f"{name}_ada_ada_neutral_offline.npy") for name in ("hello.world", "piped", "long")]
    assert len(results[0]) == 44 and all(np.array_equal(results[0], other) for other in results)
    warned = [line.removeprefix(f"AUDIO_PATH {project}/") for line in caplog.messages if line.startswith("AUDIO_PATH")]
    assert [line.split(",")[0].split(";")[0] for line in warned] == [
        "long.wav: the header declares 128044 bytes of sound",
        "old.wav: 8000 Hz hold no high frequencies",
        "old.wav: the channels are in opposite phase",
    ]
    (project / "cut.wav").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="AUDIO_PATH: .*cut.wav.*the file ends after 0.73 s of 1.45 s"):
        infer.run("tiny", run.name, AUDIO_PATH=[str(project / "cut.wav")])


def test_long_animations_go_through_files(run, project, monkeypatch):
    from audio2face.commands import infer
    from audio2face.inference import job as infer_output

    plain = output_of(project, infer.run("tiny", run.name, OUTPUT_FORMATS=["npy"]))
    monkeypatch.setattr(infer_output, "IN_MEMORY_BYTES", 0)
    stored = output_of(project, infer.run("tiny", run.name, OUTPUT_FORMATS=["npy", "maya"]))
    name = "hello.world_ada_ada_neutral_offline_skin.npy"
    np.testing.assert_array_equal(np.load(plain / name), np.load(stored / name))
    assert [p.name for p in stored.iterdir() if p.is_dir()] == ["configs"]


def test_several_actors_need_a_name(project):
    from audio2face.commands import infer

    run = fake_run.make_train_run(
        project / "workspace" / "output_train", fake_run.make_spec(("ada", "bob")), name="251121_130000_two"
    )
    with pytest.raises(UserError, match="ada, bob"):
        infer.run("tiny", run.name)
    folder = output_of(project, infer.run("tiny", run.name, ACTOR_NAME="bob"))
    assert np.load(folder / "hello.world_bob_bob_neutral_offline.npy").shape[1] == 4 + 2 + 15 + 4


def test_deploy_packs_the_run(run, project):
    from audio2face.commands import deploy

    assert deploy.run("tiny", "latest") == run.name
    folder = project / "workspace" / "output_deploy" / run.name
    config = json.loads((folder / "model_config.json").read_text())["config"]
    assert config["source_shot"] == "s1_neutral" and config["skin_strength"] == 1.1
    (project / "configs/tiny/config_inference.py").write_text(
        "CONFIG = {'source_shot': 'nowhere', 'source_frame': 0}\n"
    )
    with pytest.raises(UserError, match="nowhere"):
        deploy.run("tiny", run.name)
    assert json.loads((folder / "model_config.json").read_text())["config"] == config


@pytest.mark.parametrize("content", ["", "[]", '{"id": {"type": "regression"}, "params": {}}'])
def test_a_run_whose_export_is_damaged_is_not_shown(run, project, tmp_path, content):
    """An older one, which has no manifest."""
    from audio2face.inference.model import load_run_model
    from audio2face.runs.train_run import load_train_run

    shutil.copytree(run.path, tmp_path / run.name)
    for path in (tmp_path / run.name).rglob("manifest.json"):
        path.unlink()
    (tmp_path / run.name / "deploy/network_info.json").write_text(content)
    config = {"input_strength": 1.0, "source_shot": None, "source_frame": None}
    with pytest.raises(UserError, match=r"damaged: .*network_info\.json: .*train again") as error:
        load_run_model(load_train_run(tmp_path / run.name), {"ada": config})
    assert len(error.value.lines) == 1


def test_a_network_that_the_file_does_not_describe_is_one_line(run):
    spec = replace(run.spec, hyper_params={**run.spec.hyper_params, "nothing_like_it": 3})
    with pytest.raises(UserError, match=r"damaged: network_info_full\.json describes no network .*train again"):
        load_network(replace(run, spec=spec), torch.device("cpu"))


def test_a_run_in_memory_is_its_deployed_model(run, project):
    from audio2face import load_model
    from audio2face.commands import deploy
    from audio2face.inference.model import load_run_model

    deploy.run("tiny", run.name)
    folder = project / "workspace/output_deploy" / run.name
    config = json.loads((folder / "model_config.json").read_text())["config"]
    sound = np.random.default_rng(0).normal(size=9000) * 0.1
    one, other = (
        m.animate(sound, 16000, emotion="joy") for m in (load_model(folder), load_run_model(run, {"ada": config}))
    )
    for name in ("times_s", "skin", "tongue", "jaw", "eyes", "weights"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.names == other.names and len(one.names) == 4


def test_the_animator_gives_what_inference_writes(run, project):
    """In memory, for an emotion of its own, without any file: what evaluation measures."""
    from audio2face.commands import infer
    from audio2face.inference.animate import Speaker, load_animator
    from audio2face.models.common.options import Options

    folder = output_of(project, infer.run("tiny", run.name, EMOTION_LABEL="joy", APPLY_POSTPROCESSING=False))
    animator = load_animator(run, {"ada": run_actor(run, "ada", {})}, Options(MODES["offline"]), CPU)
    sound = animator.load_sound(project / "hello.world.wav")
    made = animator.animate(sound, Speaker("ada", "joy"))
    stem = folder / "hello.world_ada_ada_joy_offline"
    np.testing.assert_array_equal(made.rows, np.load(f"{stem}.npy"))
    for part, values in made.animation.channels.items():
        np.testing.assert_array_equal(values, np.load(f"{stem}_{part}.npy"))
    blocks = list(animator.blocks(sound, Speaker("ada", [(0.0, "joy"), (1.0, "anger")])))
    assert sum(map(len, blocks)) == animator.num_frames(sound) == len(made.rows)
    assert np.abs(np.concatenate(blocks) - made.rows).max() > 1e-3


def test_deploy_falls_back_to_the_runs_own_config(run, project):
    from audio2face.commands import deploy
    from audio2face.formats.json_file import write_json

    os.remove(project / "configs/tiny/config_inference.py")
    saved = {"CONFIG": {**CONFIG, "source_shot": "s2_joy", "source_frame": 4, "skin_strength": 0.7}}
    write_json(project / "workspace/output_train" / run.name / "configs/config_inference_full.json", saved)
    deploy.run("tiny", run.name)
    config = json.loads((project / "workspace/output_deploy" / run.name / "model_config.json").read_text())["config"]
    assert config["skin_strength"] == 0.7 and config["source_shot"] == "s2_joy" and config["source_frame"] == 4


@pytest.mark.parametrize("parts", [(), ("skin",)])
def test_deploy_without_all_blendshapes(project, parts):
    from audio2face.commands import deploy

    run = fake_run.make_train_run(
        project / "workspace" / "output_train", blendshapes=bool(parts), name="251121_130000_geo"
    )
    for path in (run.path / "actors" / "ada").glob("bs_tongue*"):
        path.unlink()
    deploy.run("tiny", run.name)
    model = json.loads((project / "workspace/output_deploy" / run.name / "model.json").read_text())
    assert tuple(model["blendshapePaths"]) == parts
    folder = str(project / "workspace/output_deploy" / run.name)
    assert check_model.main([folder]) == 0 and check_model.main([folder, "--blendshapes"]) == 1


@pytest.mark.parametrize("actors", [("ada",), ("ada", "bob")])
def test_a_network_without_emotions_is_deployed_with_one_that_does_nothing(project, actors):
    """The runtime refuses an empty list of emotions."""
    from audio2face import load_model
    from audio2face.commands import deploy, infer

    spec = fake_run.make_spec(actors, emotion_names=[])
    run = fake_run.make_train_run(project / "workspace" / "output_train", spec, name="251121_130000_calm")
    deploy.run("tiny", run.name)
    folder = project / "workspace/output_deploy" / run.name
    params = json.loads(next(folder.rglob("network_info.json")).read_text())["params"]
    assert params["explicit_emotions"] == ["neutral"] and params["default_emotion"] == [0.0]
    assert "does nothing" in next(folder.rglob("README.md")).read_text()
    sound = np.random.default_rng(0).normal(size=8000).astype(np.float32) * 0.1
    model = load_model(folder)
    faces = [model.animate(sound, 16000, emotion=e, actor="ada").skin for e in ([0.0], [1.0])]
    np.testing.assert_array_equal(*faces)
    for mode in ("offline", "offline_onnx"):
        output = output_of(project, infer.run("tiny", run.name, INFERENCE_MODE=mode, ACTOR_NAME="ada"))
        assert list(output.glob("*.npy"))


def test_deploy_refuses_what_the_runtime_would_refuse(run, project):
    from audio2face.commands import deploy

    folder = project / "workspace" / "output_train" / run.name
    with np.load(folder / "actors/ada/network_data.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(folder / "actors/ada/network_data.npz", **{**arrays, "neutral_jaw": np.zeros((5, 3), np.float32)})
    with pytest.raises(UserError, match="neutral_jaw"):
        deploy.run("tiny", run.name)
    assert not list((project / "workspace" / "output_deploy").iterdir())
