"""A conversation in audio2photoreal's layout becomes a data set: groups, both sounds, turns, missing codes, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes.curves import speech
from fakes.project import use_project

from audio2face.commands import evaluate, infer, preproc, train
from audio2face.config import load_config
from audio2face.dataset.checks import build_captured
from audio2face.dataset.curve_files import CurveSource
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.sound import read_sound, write_sound
from audio2face.importing.photoreal import BODY_NAMES, usual_turns
from tools import import_photoreal

RATE, FPS = 48000, 30


@pytest.fixture
def place(tmp_path, monkeypatch):
    for key in ("DATASETS", "WORKSPACE", "CONFIGS"):
        monkeypatch.setenv(f"A2F_{key}_ROOT", str(tmp_path / key.lower()))
    (tmp_path / "person").mkdir()
    return tmp_path


def scene(folder, name, frames=60, missing=(), seed=0, turn=0.0):
    """One scene of made-up files; its pose and codes."""
    rng = np.random.default_rng(seed)
    pose = 0.1 * np.cumsum(rng.normal(size=(frames, 104)), axis=0)
    pose[:, 3] = (turn + 0.02 * np.arange(frames)) % (2 * np.pi)
    codes = rng.normal(size=(frames, 256)).astype(np.float32)
    sounds = np.stack([np.repeat(speech(seed + k, frames / FPS), 3) for k in (0, 1)], axis=1)
    np.save(folder / f"{name}_body_pose.npy", pose)
    np.save(folder / f"{name}_face_expression.npy", codes)
    np.save(folder / f"{name}_missing_face_frames.npy", np.array(missing, np.int64))
    write_sound(folder / f"{name}_audio.wav", sounds, RATE)
    return pose, codes


def convert(place, *more):
    return import_photoreal.main([str(place / "person"), "--actor", "pat", *more])


def test_scenes_keep_their_values_and_both_sounds(place, capsys):
    given = {name: scene(place / "person", name, missing=gone, seed=k) for k, (name, gone) in enumerate(SCENES.items())}
    (place / "person/data_stats.pth").write_bytes(b"not to be opened")
    assert convert(place) == 0
    told = capsys.readouterr().out
    assert "scene02: all codes are missing; its body is kept" in told and "data_stats.pth is not opened" in told
    assert "3 frames of other scenes have no codes" in told and "to measure on: scene04" in told
    home = place / "datasets/pat"
    for name, (pose, codes) in given.items():
        body = read_curve_table(home / f"curves/body/{name}.npz")
        assert body.names == BODY_NAMES and body.fps == FPS and body.valid.all()
        np.testing.assert_allclose(np.delete(body.values, 3, 1), np.delete(pose, [3], 1), atol=1e-5)
        path = home / f"curves/codes/{name}.npz"
        if name == "scene02":
            assert not path.exists()
            continue
        table = read_curve_table(path)
        gone = np.isin(np.arange(60), SCENES[name])
        np.testing.assert_array_equal(table.valid, np.repeat(~gone[:, None], 256, axis=1))
        np.testing.assert_array_equal(table.values[~gone], codes[~gone])
        sounds = [read_sound(path)[0] for path in (home / f"audio/{name}.wav", place / f"person/{name}_audio.wav")]
        np.testing.assert_allclose(*sounds, atol=1e-4)
    assert sounds[0].shape == (2 * RATE, 2)
    sections = load_config("pat", ("dataset", "preproc", "train", "inference"))
    data, train = sections["dataset"], sections["train"]
    assert data.AUDIO_CHANNELS == {"pat": {"self": 0, "partner": 1}} and train.TARGET_CHANNELS == ["body", "codes"]
    assert train.NETWORK_NAME == "diffusion_transformer" and train.VALIDATION_CLIPS == ["scene04"]
    captured, problems = build_captured(sections, "pat")
    assert not problems.errors and [g.group.kind for g in captured.curves.values()] == ["plain", "plain"]
    kinds = [block.kind for block in captured.curves["body"].group.blocks]
    assert kinds == ["translation", "angle", "angle", "angle", "plain"]
    assert set(captured.curves["codes"].shots) == {"scene01", "scene03", "scene04"}


SCENES = {"scene01": (), "scene02": tuple(range(60)), "scene03": (5, 6, 59), "scene04": ()}


def test_the_root_turns_on_and_every_scene_the_same_way(place):
    turns = [np.zeros((50, 3)) for _ in range(3)]
    for number, scene_turns in enumerate(turns):
        scene_turns[:, 0] = (3.0 + 0.01 * np.arange(50)) % (2 * np.pi) - 2 * np.pi * (number == 1)
        scene_turns[:, 1] = np.mod(-0.1 + 0.005 * np.arange(50), 2 * np.pi)  # wraps in the middle
    found = usual_turns(turns)
    for scene_turns, given in zip(found, turns, strict=True):
        assert np.abs(np.diff(scene_turns, axis=0)).max() < 0.02
        np.testing.assert_allclose(np.exp(1j * scene_turns), np.exp(1j * given), atol=1e-12)
        assert np.abs(scene_turns[0, 0] - found[0][0, 0]) < 1e-9 and np.abs(scene_turns[0, 1] + 0.1) < 1e-9


def test_everything_wrong_is_told_at_once(place, capsys):
    folder = place / "person"
    for number in range(1, 7):
        scene(folder, f"scene{number:02d}")
    np.save(folder / "scene01_body_pose.npy", np.zeros((60, 100)))
    np.save(folder / "scene01_face_expression.npy", np.zeros((60, 256), np.int32))
    np.save(folder / "scene02_face_expression.npy", np.zeros((59, 256)))
    write_sound(folder / "scene03_audio.wav", np.zeros((1600 * 60, 1)), RATE)
    write_sound(folder / "scene04_audio.wav", np.zeros((1600 * 60 - 7, 2)), RATE)
    np.save(folder / "scene05_missing_face_frames.npy", np.array([3, 60]))
    (folder / "scene06_audio.wav").unlink()
    assert convert(place) == 2
    lines = capsys.readouterr().err.splitlines()
    told = {line.split("scene0")[1][0]: line for line in lines if "scene0" in line}
    assert "body_pose.npy: expected numbers (T, 104), found (60, 100)" in told["1"]
    assert "face_expression.npy: expected numbers (T, 256), found (60, 256) of int32" in told["1"]
    assert "body_pose.npy has 60 frames, face_expression.npy 59" in told["2"]
    assert "48000 Hz and 1 channels" in told["3"] and "expected 96000 samples for 60 frames, found 95993" in told["4"]
    assert "frame 60 is not one of the shot's 60" in told["5"] and "audio.wav is missing" in told["6"]
    assert len(told) == 6 and not (place / "datasets/pat").exists()


def test_folders_without_scenes_are_refused(place, capsys):
    assert convert(place) == 2 and "no scenes; expected a person's folder" in capsys.readouterr().err
    assert import_photoreal.main([str(place / "nowhere"), "--actor", "pat"]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_lists_of_missing_frames_count_under_their_own_name(tmp_path):
    """A folder that CURVES_ROOT names by hand."""
    np.save(tmp_path / "scene01.npy", np.zeros((60, 256)))
    np.save(tmp_path / "scene01_missing_face_frames.npy", np.array([2, 3]))
    source = CurveSource("face", tmp_path)
    assert source.shots() == ["scene01"] and source.missing("scene01").name == "scene01_missing_face_frames.npy"


@pytest.mark.slow
def test_the_whole_way_from_scenes_to_metrics(place, monkeypatch):
    for number in range(1, 5):
        scene(place / "person", f"scene{number:02d}", 120, (3, 4), number)
    assert convert(place, "--sample-rate", "16000") == 0
    with (place / "configs/pat/config_train.py").open("a") as file:
        file.write('NUM_EPOCHS = 2\nNETWORK_HYPER_PARAMS = {"width": 32, "num_layers": 1, "num_heads": 2}\n')
    with (place / "configs/pat/config_inference.py").open("a") as file:
        file.write("NUM_SAMPLES = 2\n")
    use_project(place, monkeypatch)
    preproc.run("pat", "pat")
    run = train.run("pat").run
    made = place / "workspace/output_inference" / infer.run("pat", run)
    takes = [np.load(path) for path in sorted(made.glob("*.npz"))]
    assert [take["values"].shape for take in takes] == [(120, 104 + 256)] * 2
    report = json.loads((place / "workspace/output_evaluate" / evaluate.run("pat", run) / "report.json").read_text())
    for group in ("body", "codes"):
        systems = report["curves"][group]["systems"]
        assert systems[run]["by_speaking"].keys() == systems["truth"]["by_speaking"].keys() != set()
        assert systems[run]["all"]["take_variance"]["value"] > 0 and "pose_diversity" in systems["truth"]["all"]
