"""Data with gaps and oddities through the commands: a right result where there is one, else one clear line for each fault.

It stands with the commands since preprocessing and training both meet the same data, and must agree about it.
"""

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from fakes.actor import ACTOR, FPS, NUM_FRAMES, RATE, SHOTS, FakeActor, train_values
from fakes.project import regression_project, run_command, use_project, write_key

from audio2face.commands import preproc, train
from audio2face.config import load_config, section_from_values
from audio2face.dataset.checks import build_captured
from audio2face.dataset.files import DatasetFiles
from audio2face.formats.json_file import read_json, write_json
from audio2face.models.common.inputs import build_inputs
from audio2face.models.regression import build as regression_setup
from audio2face.problems import UserError
from audio2face.runs.preproc_run import load_preproc_run
from audio2face.runtime import Runtime


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder of a project, and its data."""
    regression_project(tmp_path, frames=40, NUM_EPOCHS=1, VALIDATION_CLIPS=None)
    use_project(tmp_path, monkeypatch)
    return tmp_path, FakeActor(tmp_path / "datasets/tiny")


def preprocess(root):
    return load_preproc_run(root / "workspace/output_preproc" / preproc.run("tiny", ACTOR))


@pytest.mark.slow
def test_gaps_and_oddities_train_what_there_is(project, caplog):
    root, data = project
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {k: v for k, v in x.items() if k != SHOTS[0]})
    data.edit_npz("eye_rotations_all.npz", lambda x: {k: v for k, v in x.items() if k != SHOTS[1]})
    shutil.rmtree(data.tongue(SHOTS[3]).parent)
    samples, _ = soundfile.read(data.sound(SHOTS[4]))
    fine = np.interp(np.arange(len(samples) * 3) / 3, np.arange(len(samples)), samples)
    soundfile.write(data.sound(SHOTS[4]), np.stack([fine, fine], axis=1), RATE * 3)
    data.edit_sound(lambda x: x[: (NUM_FRAMES - 8) * RATE // FPS], SHOTS[5])
    data.sound(SHOTS[2]).unlink()  # no sound, no clip
    content = data.sound(SHOTS[1]).read_bytes()
    data.sound(SHOTS[1]).write_bytes(content[:40] + bytes(4) + content[44:])  # a header that nobody completed
    write_key(root, "train", "CLIPS", [])
    write_key(
        root, "train", "AUG_MUTED_SHOTS", [(ACTOR, (SHOTS[0], 3), 60, "joy"), (ACTOR, (SHOTS[3], 0), 20, "neutral")]
    )
    run = preprocess(root)
    assert run.tongue_coeffs(SHOTS[3]) is None and len(run.shots) == len(SHOTS)
    folder = root / "workspace/output_train" / train.run("tiny").run
    weights = torch.load(folder / "weights.pth", weights_only=True)
    assert all(torch.isfinite(value).all() for value in weights.values() if value.is_floating_point())
    sections = load_config("tiny", ("train", "dataset"))
    inputs = build_inputs("tiny", sections["train"], sections["dataset"])
    clips = {clip.shot.name: clip for clip in inputs.clips if clip.audio}
    assert set(clips) == {*SHOTS} - {SHOTS[2]} and clips[SHOTS[5]].last == NUM_FRAMES - 9
    said = caplog.text
    assert said.count("left out of the loss there") == 1
    for words in (
        f"1 shot(s) have no jaw motion: {SHOTS[0]}",
        f"{SHOTS[3]}, TONGUE_CACHE_ROOT: No tongue animation",
        "frame 141",
        f"{SHOTS[1]}.wav: The header declares 0.00 s of sound; all 5.00 s in the file are read",
    ):
        assert words in said, words


def test_what_no_shot_has_is_told_once(project, caplog):
    root, data = project
    write_key(root, "dataset", "EYE_ANIM_DATA_FPATH", {})
    data.edit_npz("jaw_keypoints_cache_all.npz", lambda x: {k: v for k, v in x.items() if k != SHOTS[0]})
    preprocess(root)
    caplog.clear()
    train.run("tiny")
    told = [line.split(": ", 1)[1] for line in caplog.messages if "no data of" in line]
    assert told == [
        "no data of jaw in 1 shot(s); left out of the loss there",
        "no data of eye in any clip; the model keeps them at rest",
    ]


def test_optional_files_that_are_not_given_are_one_line(project, caplog):
    root, _ = project
    for key in ("SKIN_NEUTRAL_FPATH", "EYE_BLINK_KEYS_FPATH", "TONGUE_CACHE_ROOT"):
        write_key(root, "dataset", key, {})
    caplog.set_level("INFO")
    preprocess(root)
    told = [record for record in caplog.records if "SKIN_NEUTRAL_FPATH" in record.getMessage()]
    assert [(record.levelname, record.getMessage().split(": ", 2)[2]) for record in told] == [
        (
            "INFO",
            "TONGUE_CACHE_ROOT: a still tongue of zeros; SKIN_NEUTRAL_FPATH: the mean of the chosen poses; "
            "EYE_BLINK_KEYS_FPATH: zeros",
        )
    ]


@pytest.mark.parametrize("manifest", [True, False])
def test_a_preprocessing_that_lost_a_file_is_named_and_none_before_it_is_taken(project, manifest):
    root, _ = project
    preprocess(root)
    newest = preprocess(root).path
    (newest / "configs/actor_info.json").unlink()
    if not manifest:  # of an earlier version
        (newest / "manifest.json").unlink()
    sections = load_config("tiny", ("train", "dataset"))
    with pytest.raises(UserError, match=f"{newest.name}.*actor_info.json") as error:
        build_inputs("tiny", sections["train"], sections["dataset"])
    assert len(error.value.lines) == 1


def test_a_config_that_changed_after_preprocessing_is_told(project, caplog):
    root, _ = project

    def inputs_of_now():
        caplog.clear()
        sections = load_config("tiny", ("train", "dataset", "preproc"))
        build_inputs("tiny", sections["train"], sections["dataset"], preproc=sections["preproc"])
        return [line for line in caplog.messages if "was made with other values" in line]

    run = preprocess(root)
    assert not inputs_of_now()
    write_key(root, "train", "NUM_EPOCHS", 3)
    write_key(root, "dataset", "SKIN_LIP_DIST_VERTEX_LIST_FPATH", {})  # training reads it for itself
    write_key(root, "preproc", "PREPROC_MEMORY_GB", 1.5)
    assert not inputs_of_now()
    write_key(root, "dataset", "TONGUE_CACHE_ROOT", {})
    write_key(root, "preproc", "SKIN_PRUNE_SIM_DIST", 0.123)
    (line,) = inputs_of_now()
    assert run.name in line and "of TONGUE_CACHE_ROOT, SKIN_PRUNE_SIM_DIST;" in line
    assert line.endswith("python run_preproc.py tiny tiny")


def test_folders_of_the_machine_that_are_not_there_are_told_once(project, monkeypatch):
    _, data = project
    section = load_config("tiny", ("dataset",))["dataset"]
    values = {
        key: {ACTOR: f"/datasets/{key}"}
        for key, value in section.values.items()
        if key.endswith(("ROOT", "FPATH")) and key != "CURVES_ROOT"
    }
    section = section_from_values("dataset", {"ACTOR_NAMES": [ACTOR], "CACHE_FPS": {ACTOR: 30.0}, **values})
    for value, words in (("/not/there", "A2F_DATASETS_ROOT=/not/there is not a folder"), ("", "is not set")):
        monkeypatch.setenv("A2F_DATASETS_ROOT", value)
        with pytest.raises(UserError, match=words) as error:
            DatasetFiles.from_config(section, ACTOR)
        assert len(error.value.lines) == 1
    monkeypatch.setenv("A2F_DATASETS_ROOT", str(data.home.parent))
    with pytest.raises(UserError) as error:
        DatasetFiles.from_config(section, ACTOR)
    assert len(error.value.lines) > 20


def test_files_of_another_kind_are_told_with_their_keys(project):
    section = load_config("tiny", ("dataset",))["dataset"]
    swapped = {}
    for one, other in (
        ("SKIN_NEUTRAL_FPATH", "SKIN_LIP_DIST_VERTEX_LIST_FPATH"),
        ("JAW_ANIM_DATA_FPATH", "SKIN_EYE_DIST_VERTEX_LIST_FPATH"),
        ("TONGUE_NEUTRAL_FPATH", "TONGUE_RIGID_VERTEX_LIST_FPATH"),
    ):
        swapped |= {one: getattr(section, other), other: getattr(section, one)}
    section = section_from_values("dataset", {**section.modifier, **swapped})
    with pytest.raises(UserError) as error:
        build_captured({"dataset": section}, ACTOR)[1].raise_errors()
    lines = error.value.lines
    assert {key for key in swapped if not any(line.startswith(key) for line in lines)} == set(), "\n".join(lines)


def test_what_cannot_be_held_out_is_told_with_what_can(project, caplog):
    root, _ = project
    preprocess(root)

    def inputs_with(validation):
        write_key(root, "train", "VALIDATION_CLIPS", validation)
        sections = load_config("tiny", ("train", "dataset"))
        return build_inputs("tiny", sections["train"], sections["dataset"])

    write_key(root, "train", "AUG_MUTED_SHOTS", [(ACTOR, (shot, 3), 60, "neutral") for shot in SHOTS[:4]])
    assert not inputs_with(0.1).validation and f"VALIDATION_CLIPS = [{SHOTS[5]!r}]" in caplog.text
    with pytest.raises(UserError, match="VALIDATION_CLIPS: it holds out every shot"):
        inputs_with("*")
    with pytest.raises(UserError, match=f"did you mean '{SHOTS[2]}'"):
        inputs_with([SHOTS[2][:-1]])


def jaw_targets(rate):
    """(frames, values) of the jaw in the order of clips, as a training at 30 frames a second sees it."""
    sections = load_config("tiny", ("train", "dataset"))
    inputs = build_inputs("tiny", sections["train"], sections["dataset"])
    assert {clip.shot.fps for clip in inputs.clips} == {rate}
    training = regression_setup.build(inputs, Runtime(torch.device("cpu")))
    return np.concatenate([target.numpy() for target, *_ in training.method.data.targets()])[:, -19:-4]


def test_a_rate_without_whole_ratio_stays_in_time(project):
    root, data = project
    rate, count = 23.976, round(NUM_FRAMES / FPS * 23.976)
    write_key(root, "train", "CLIPS", [(ACTOR, SHOTS[0], (0, NUM_FRAMES - 1), ACTOR, "en", f"{SHOTS[0]}.wav", 0)])
    write_key(root, "train", "RESCALE_TARGET_CHANNEL_DATA", False)
    preprocess(root)
    before = jaw_targets(FPS)
    places = np.clip((np.arange(count) + 0.5) / rate * FPS - 0.5, 0, NUM_FRAMES - 1)
    low, share = np.floor(places).astype(int), places % 1

    def resample(x):
        part = share.reshape(-1, *[1] * (x.ndim - 1))
        return ((1 - part) * x[low] + part * x[np.minimum(low + 1, len(x) - 1)]).astype(np.float32)

    for mesh in ("skin", "tongue"):
        data.edit_all(resample, f"cache/{mesh}/*/*.npy")
    for name in ("jaw_keypoints_cache_all.npz", "eye_rotations_all.npz"):
        data.edit_npz(name, lambda x: {shot: resample(motion) for shot, motion in x.items()})
    write_key(root, "dataset", "CACHE_FPS", {ACTOR: rate})
    write_key(root, "train", "CLIPS", [(ACTOR, SHOTS[0], (0, count - 1), ACTOR, "en", f"{SHOTS[0]}.wav", 0)])
    preprocess(root)
    after = jaw_targets(rate)
    assert abs(len(after) - len(before)) <= 1
    length = min(len(after), len(before))
    assert np.abs(after[:length] - before[:length]).mean() < 0.05 * before.std()
    late = np.abs(after[2:length] - before[: length - 2]).mean()
    assert np.abs(after[:length] - before[:length]).mean() < 0.2 * late


FAULTS = {
    "jaw that is not finite": lambda d: d.edit_npz(
        "jaw_keypoints_cache_all.npz", lambda x: {**x, SHOTS[2]: x[SHOTS[2]] * np.nan}
    ),
    "eyes that are not finite": lambda d: d.edit_npz(
        "eye_rotations_all.npz", lambda x: {**x, SHOTS[2]: x[SHOTS[2]] / np.float32(0)}
    ),
    "frame that is not finite": lambda d: d.edit(
        d.skin(SHOTS[2]), lambda x: np.where(np.arange(150)[:, None, None] == 7, np.nan, x)
    ),
    "low rate": lambda d: d.edit_sound(lambda x: x[::2], SHOTS[2], rate=8000),
    "channels that cancel": lambda d: d.edit_sound(lambda x: np.concatenate([x, -x], axis=1), SHOTS[2]),
    "sound far too short": lambda d: d.edit_sound(lambda x: x[: len(x) // 2], SHOTS[2]),
    "cut cache": lambda d: d.skin(SHOTS[2]).write_bytes(d.skin(SHOTS[2]).read_bytes()[:-100]),
    "pickled cache": lambda d: np.save(d.skin(SHOTS[2]), np.array([{}], dtype=object)),
    "two caches of a shot": lambda d: d.skin(SHOTS[2]).with_suffix(".pc2").write_bytes(b"POINTCACHE2\0"),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_end_preprocessing_with_a_line_that_names_the_shot(project, capsys, fault):
    root, data = project
    FAULTS[fault](data)
    assert run_command("preproc", ["tiny", ACTOR]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert lines and all(SHOTS[2] in line for line in lines if "SKIP_DATA_CHECKS" not in line), lines
    assert not list((root / "workspace/output_preproc").glob("*"))


def test_a_sound_that_is_not_finite_ends_training_with_a_line(project, capsys):
    root, data = project
    preprocess(root)
    samples = np.full((NUM_FRAMES * RATE // FPS, 1), np.nan)
    soundfile.write(data.sound(SHOTS[2]), samples, RATE, subtype="FLOAT")
    assert run_command("train", ["tiny"]) == 2
    assert f"{SHOTS[2]}.wav: sample 0: expected numbers" in capsys.readouterr().err
    assert not (root / "workspace/output_train").exists()


def test_shots_of_an_emotion_that_is_not_listed(project):
    root, _ = project
    run = preprocess(root)
    shots = [[*row[:4], "glee" if row[1] == SHOTS[2] else row[4]] for row in read_json(run.path / "deploy/shots.json")]
    write_json(run.path / "deploy/shots.json", shots)
    (run.path / "manifest.json").unlink()
    with pytest.raises(UserError, match=f"shot {SHOTS[2]} of {ACTOR}: emotion 'glee' is not in SHOT_EMOTION_NAMES"):
        train.run("tiny")
    assert not (root / "workspace/output_train").exists()


def test_values_that_blow_up_a_training_stop_it_with_the_clips(project, capsys):
    root, _ = project
    preprocess(root)
    write_key(root, "train", "CLIPS", [(*row[:2], (0, 11), *row[3:]) for row in train_values(ACTOR, SHOTS)["CLIPS"]])
    write_key(root, "train", "LEARNING_RATE", 1e30)
    write_key(root, "train", "NUM_EPOCHS", 4)
    assert run_command("train", ["tiny"]) == 2
    told = capsys.readouterr().err
    assert f"{ACTOR}/{SHOTS[0]}" in told and "lower LEARNING_RATE" in told and "weights_last_good.pth" in told
    [run] = (root / "workspace/output_train").iterdir()
    weights = torch.load(run / "weights_last_good.pth", weights_only=True)
    assert all(torch.isfinite(value).all() for value in weights.values() if value.is_floating_point())
    assert json.loads((run / "configs/config_train_full.json").read_text())["LEARNING_RATE"] == 1e30
    write_key(root, "train", "LEARNING_RATE", 1e-4)
    assert run_command("train", ["tiny", "--resume"]) == 0
