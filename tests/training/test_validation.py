"""Shots that are never trained on: which they are, measuring on them during training, and run_evaluate.py afterwards."""

from __future__ import annotations

import copy
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes.actor import ACTOR, FACE_SIZE, SHOTS
from fakes.project import regression_project, use_project, write_key
from test_training import batch, noisy, quiet

from audio2face.commands import evaluate, preproc, train
from audio2face.config import section_from_values
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.split import held_out_shots, source_shots, split_rows
from audio2face.evaluation import video
from audio2face.evaluation.folder import read_new_shots
from audio2face.formats.sound import write_sound
from audio2face.problems import UserError
from audio2face.runs import run_lock
from audio2face.runs.checkpoints import load_best
from audio2face.training.loop import fit
from audio2face.training.settings import FitSettings
from audio2face.training.validation import EarlyStopping, Validation, choose_metric
from audio2face.types import Shot


def shots_of(**counts: int) -> list[Shot]:
    return [Shot("amy", f"{emotion}_{i:02}", 100, 30.0, emotion) for emotion, n in counts.items() for i in range(n)]


def rows_of(shots: list[Shot]) -> list[tuple]:
    return [(s.actor, s.name, (0, 99), "amy", "en", f"{s.name}.wav", 0) for s in shots]


def test_a_share_is_drawn_evenly_from_emotions_and_always_the_same() -> None:
    shots = shots_of(neutral=60, joy=20, anger=20, fear=3)
    held = held_out_shots(0.1, shots)
    emotions = [name.split("_")[0] for _, name in held]
    assert [emotions.count(e) for e in ("neutral", "joy", "anger")] == [6, 2, 2] and len(held) == 10
    assert held_out_shots(0.1, shots[::-1]) == held
    assert len(held_out_shots(0.01, shots)) == 1
    with pytest.raises(UserError, match="nothing is left"):
        held_out_shots(0.9, shots[:1])
    assert [len(held_out_shots(0.1, shots[:n])) for n in (1, 4, 5, 14, 16)] == [0, 0, 1, 1, 2]
    assert len(held_out_shots(0.5, shots[:4])) == 2


def test_shots_that_the_deployed_model_starts_from_are_never_held_out() -> None:
    shots = shots_of(neutral=10)
    first = {name for _, name in held_out_shots(0.1, shots)}
    needed = source_shots({"source_shot": None, "amy": {"source_shot": first.pop()}}, ["amy", "bob"])
    assert needed and needed[0][0] == "amy"
    _, measured = split_rows(0.1, [], rows_of(shots), shots, [], needed)
    assert len(measured) == 1 and (measured[0][0], measured[0][1]) not in needed


def test_patterns_names_and_rows() -> None:
    shots = shots_of(neutral=12, joy=3)
    assert {name for _, name in held_out_shots("*_02", shots)} == {"neutral_02", "joy_02"}
    row = ("amy", "joy_00", (5, 50), "", "en", "x.wav", 0)
    assert held_out_shots(["neutral_1?", row], shots) == {
        ("amy", "neutral_10"),
        ("amy", "neutral_11"),
        ("amy", "joy_00"),
    }
    with pytest.raises(UserError) as error:
        held_out_shots(["nothing*", ("amy", "joy_9", (0, 1), "", "", "", 0)], shots)
    assert len(error.value.lines) == 2 and "VALIDATION_CLIPS[0]" in error.value.lines[0]


def test_no_shot_is_on_both_sides() -> None:
    shots = shots_of(neutral=10, joy=10)
    template = rows_of(shots)
    voices = [*template[:10], (*template[0][:3], "bob", "en", "aug/bob/neutral_00.wav", 0)]
    taught, measured = split_rows("neutral_00", voices, template, shots, [])
    assert len(taught) == 9 and {row[1] for row in measured} == {"neutral_00"} and len(measured) == 2
    assert split_rows([], [], template, shots, []) == (template, [])
    own = ("amy", "joy_03", (10, 20), "", "en", "y.wav", 2)
    taught, measured = split_rows([own], [], template, shots, [])
    assert measured == [own] and len(taught) == 19
    muted = [("amy", (s.name, 0), 100, "neutral") for s in shots if s.name not in ("joy_07", "joy_08")]
    taught, measured = split_rows(0.5, [], template, shots, muted)
    assert len(measured) == 1 and measured[0][1] in ("joy_07", "joy_08") and len(taught) == 19
    through_json = json.loads(json.dumps([template, [own]]))
    assert len(split_rows(through_json[1], through_json[0], template, shots, [])[0]) == 19


@pytest.mark.parametrize(
    "value", [0.1, "*_07_*", ["a_neutral"], ["a*", ("amy", "s", (0, 2), "", "en", "s.wav", 0)], []]
)
def test_every_form_is_accepted(value: object) -> None:
    assert section_from_values("train", {"VALIDATION_CLIPS": value}).VALIDATION_CLIPS == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.5, "a share of the shots"),
        ({"amy": 1}, "a share of the shots"),
        ("", "a share of the shots"),
        ([("amy", "s", (0, 2), "", "en")], "VALIDATION_CLIPS/0/5: is missing"),
        ([("amy", "s", (9, 2), "", "en", "s.wav", 0)], "first frame 9 comes after last frame 2"),
    ],
)
def test_other_forms_are_refused(value: object, words: str) -> None:
    with pytest.raises(UserError) as error:
        section_from_values("train", {"VALIDATION_CLIPS": value})
    assert words in str(error.value)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_measuring_changes_nothing_and_sees_what_training_would_end_with(ema: float | None) -> None:
    seen = []

    def measure(training) -> None:
        with training.as_it_would_end():
            assert not training.model.training
            torch.rand(3)
            seen.append([p.detach().clone() for p in training.model.parameters()])
        assert training.model.training

    ends = []
    for on_epoch in (None, measure):
        torch.manual_seed(3)
        method = noisy([batch(1, 2), batch(2, 5)])
        fit(method, FitSettings(epochs=4, learning_rate=0.1, ema_decay=ema), quiet, preview=on_epoch)
        ends.append([*(p.detach() for p in method.model.parameters()), torch.rand(2)])
    assert len(seen) == 4
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(seen[-1], ends[0], strict=False))


def watched(folder, values: list[float], epochs: int, patience: int | None, resume=None, stop_after: int | None = None):
    """Train with a scripted measurement per epoch: (method, watch, checkpoint after `stop_after`, weights of each epoch)."""
    torch.manual_seed(3)
    method = noisy([batch(1, 2), batch(2, 5)])
    seen, saved = {}, []
    epoch = iter(range(resume["training"]["epoch"] if resume else 0, 99))
    watch = EarlyStopping(
        Validation(lambda: {"MSE": values[next(epoch)]}, "MSE"), folder, lambda *_: None, "MSE", 1, patience
    )
    if resume:
        watch.load_state_dict(resume["watch"])

    def remember(training) -> bool:
        seen[training.epoch] = [p.detach().clone() for p in training.model.parameters()]
        saved.append({"training": copy.deepcopy(training.state_dict()), "watch": watch.state_dict()})
        return training.epoch == stop_after

    settings = FitSettings(epochs=epochs, learning_rate=0.1)
    state = resume["training"] if resume else None
    fit(method, settings, quiet, validate=lambda training: any([watch(training), remember(training)]), resume=state)
    return method, watch, saved[-1], seen


def test_the_best_weights_are_kept_and_training_ends_when_nothing_improves(tmp_path) -> None:
    values = [3.0, 2.0, float("nan"), 2.5, 2.1, 1.0]
    method, watch, _, seen = watched(tmp_path, values, epochs=6, patience=3)
    assert max(seen) == 5 and (watch.best, watch.best_epoch, watch.bad_evals) == (2.0, 2, 3)
    assert load_best(tmp_path)["epoch"] == 2 and len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 5
    assert watch.load_best(method.model)
    assert all(torch.equal(a, b) for a, b in zip(method.model.parameters(), seen[2], strict=True))
    _, watch, _, seen = watched(tmp_path / "whole", values, epochs=6, patience=None)
    assert max(seen) == 6 and watch.best_epoch == 6


@pytest.mark.parametrize("interrupted", [1, 3, 4])
def test_patience_and_the_best_survive_a_resume(tmp_path, interrupted: int) -> None:
    values = [3.0, 2.0, 2.2, 2.5, 2.1, 1.0]
    whole, watch, _, _ = watched(tmp_path / "a", values, epochs=6, patience=3)
    _, _, checkpoint, _ = watched(tmp_path / "b", values, epochs=6, patience=3, stop_after=interrupted)
    again, resumed, _, seen = watched(tmp_path / "b", values, epochs=6, patience=3, resume=checkpoint)
    assert max(seen) == 5 and resumed.state_dict() == watch.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True))
    first, second = load_best(tmp_path / "a"), load_best(tmp_path / "b")
    assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["model"])


def test_the_metric_that_tells_the_best_is_one_that_is_measured() -> None:
    assert choose_metric(None, ["MSE", "other"]) == "MSE" and choose_metric("other", ["MSE", "other"]) == "other"
    with pytest.raises(UserError, match="BEST_METRIC = 'lip_vertex_error_mm' is not measured"):
        choose_metric("lip_vertex_error_mm", ["MSE"])
    assert section_from_values("train", {"VALIDATION_CLIPS": None}).VALIDATION_CLIPS == []
    assert section_from_values("train", {"VALIDATION_CLIPS": 0}).VALIDATION_CLIPS == []
    assert section_from_values("train", {}).VALIDATION_CLIPS == 0.1
    with pytest.raises(UserError) as error:
        none = {"VALIDATION_CLIPS": None, "EARLY_STOPPING_PATIENCE": 3, "EXPORT_WEIGHTS": "best"}
        section_from_values("train", none)
    assert "EARLY_STOPPING_PATIENCE" in str(error.value) and "EXPORT_WEIGHTS" in str(error.value)


# ---- the commands, from data set to report


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project that was preprocessed and trained for two epochs with two shots held out: (its root, training run)."""
    root = tmp_path_factory.mktemp("evaluate")
    regression_project(root, VALIDATION_CLIPS=["a3_joy", "a6_*"], VALIDATION_PERIOD=1, EXPORT_WEIGHTS="best")
    across, up = FACE_SIZE
    corner = (np.arange(up - 1)[:, None] * across + np.arange(across - 1)).reshape(-1, 1)
    triangles = np.concatenate([corner + [0, 1, across + 1], corner + [0, across + 1, across]])
    np.save(root / "triangles.npy", triangles)
    write_key(root, "dataset", "SKIN_TRIANGLES_FPATH", {ACTOR: str(root / "triangles.npy")})
    patch = pytest.MonkeyPatch()
    use_project(root, patch)
    preproc.run("tiny", ACTOR)
    yield root, train.run("tiny").run
    patch.undo()


def test_training_measures_on_what_it_does_not_see(trained) -> None:
    root, run = trained
    folder = root / "workspace/output_train" / run
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[0].keys() >= {"step", "MSE", "mouth_opening_correlation", "lip_vertex_error_mm"}
    best = min(lines, key=lambda line: line["lip_vertex_error_mm"])
    saved, exported = load_best(folder), torch.load(folder / "weights.pth", weights_only=True)
    assert saved["epoch"] == best["epoch"] and saved["value"] == best["lip_vertex_error_mm"]
    named = {name.removeprefix("network."): value for name, value in saved["model"].items()}
    assert all(torch.equal(named[name], value) for name, value in exported.items() if name in named)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    assert events.Tags()["images"] == ["preview/face", "preview/mouth_opening"]
    assert sorted(p.name for p in (folder / "previews").iterdir()) == ["epoch_002.mp4", "epoch_002.png"]
    assert [e.value for e in events.Scalars("validation/MSE")] == pytest.approx(
        [line["MSE"] for line in lines], rel=1e-5
    )


def test_evaluate_writes_numbers_and_a_page(trained) -> None:
    root, run = trained
    (root / "lips.json").write_text("[440, 443]")
    name = evaluate.run("tiny", "latest", compare=[run], regions={"lips": str(root / "lips.json")})
    folder = root / "workspace/output_evaluate" / name
    report = json.loads((folder / "report.json").read_text())
    assert {shot["shot"] for shot in report["shots"]} == {"a3_joy", "a6_neutral"}
    assert list(report["systems"]) == [run, "mean pose", "nearest training frame by loudness", "truth"]
    assert report["systems"]["mean pose"]["all"]["mouth_opening_relative_error"]["value"] == pytest.approx(1, abs=1e-3)
    assert report["systems"]["truth"]["all"]["lip_vertex_error_mm"]["value"] == 0
    assert set(report["systems"][run]["by_emotion"]) == {"joy", "neutral"}
    assert {"real_time_factor", "lip_closure_error_mm", "audio_mouth_lag_ms"} <= report["systems"][run]["all"].keys()
    page = (folder / "report.html").read_text()
    assert "<script" not in page and page.count("<svg") >= 3
    assert not re.search(r"""href=|https?://|url\(|src=(?!"data:video/mp4;base64,)""", page)
    assert page.count("<video") == 2 and len(list((folder / "videos").glob("*.mp4"))) == 2


def report_of(root, *, run: str, **options) -> tuple[dict, str]:
    """The numbers and the page of an evaluation without videos."""
    folder = root / "workspace/output_evaluate" / evaluate.run("tiny", run, videos=0, **options)
    return json.loads((folder / "report.json").read_text()), (folder / "report.html").read_text()


def errors_of(report: dict) -> dict[str, float]:
    first = report["systems"][report["training_runs"][0]]
    return {row["shot"]: row["lip_vertex_error_mm"] for row in first["by_shot"]}


def test_shots_that_are_named_are_measured_and_told_where_they_were_trained_on(trained) -> None:
    root, run = trained
    held, page = report_of(root, run=run)
    assert held["trained_on"] == [] and "No run was trained on any of them" in page
    report, page = report_of(root, run=run, shots=["a1_neutral", "a3*"])
    assert {shot["shot"] for shot in report["shots"]} == {"a1_neutral", "a3_joy"}
    assert report["trained_on"] == [[ACTOR, "a1_neutral"]] and report["data"] is None
    assert "memorised: a1_neutral." in page and "No run was trained" not in page
    assert errors_of(report)["a3_joy"] == errors_of(held)["a3_joy"]
    with pytest.raises(UserError, match="^--shots: no shot is called 'a1_neutrall' .did you mean 'a1_neutral'"):
        evaluate.run("tiny", run, shots=["a1_neutrall"])


@pytest.mark.slow
def test_new_shots_in_a_folder_are_measured_like_those_of_the_data_set(trained, tmp_path, caplog) -> None:
    root, run = trained
    held, _ = report_of(root, run=run)
    home = root / "datasets/tiny"

    def record(folder, name: str, like: str, keep=slice(None)) -> None:
        (folder / f"cache/skin/{name}").mkdir(parents=True)
        (folder / "audio").mkdir(exist_ok=True)
        np.save(folder / f"cache/skin/{name}/{name}.npy", np.load(home / f"cache/skin/{like}/{like}.npy")[:, keep])
        shutil.copy(home / f"audio/{like}.wav", folder / f"audio/{name}.wav")

    record(tmp_path / "new", "a5_joy", "a3_joy")  # another take with the name of a trained one
    record(tmp_path / "new", "later", "a6_neutral")
    report, page = report_of(root, run=run, data=str(tmp_path / "new"))
    assert [(shot["shot"], shot["emotion"]) for shot in report["shots"]] == [("a5_joy", "joy"), ("later", "neutral")]
    assert report["trained_on"] == [] and report["data"] == str(tmp_path / "new") and str(tmp_path / "new") in page
    truth = report["systems"]["truth"]["all"]["lip_vertex_error_mm"]["value"]
    assert truth == 0 and errors_of(report).keys() == {"a5_joy", "later"}
    whole, _ = report_of(root, run=run, data=str(tmp_path / "new"), shots=["later"])
    assert errors_of(whole) == {"later": errors_of(report)["later"]}
    same, _ = report_of(root, run=run, data=str(home))  # the data set itself: what was trained on is left out
    assert errors_of(same).keys() == errors_of(held).keys()
    assert errors_of(same)["a3_joy"] == errors_of(report)["a5_joy"]  # all frames of both

    record(tmp_path / "odd", "b1_joy", "a3_joy", slice(0, 100))
    with pytest.raises(UserError, match=r"--data: shot b1_joy: .*b1_joy.npy has 100 vertices, but preprocessing run"):
        evaluate.run("tiny", run, data=str(tmp_path / "odd"))
    with pytest.raises(UserError, match=r"--data .*: expected audio/<shot>.wav and cache/skin/<shot>/<shot>.npy"):
        evaluate.run("tiny", run, data=str(tmp_path))


def test_new_shots_of_several_actors_lie_in_a_folder_for_each(tmp_path) -> None:
    rates = {"ann": 24.0, "bob": 30.0}
    values = {"ACTOR_NAMES": list(rates), "CACHE_FPS": rates, "SHOT_EMOTION_NAMES": ["neutral", "joy"]}
    dataset = section_from_values("dataset", values)
    home = tmp_path / "new/bob"
    (home / "cache/skin/b1_joy").mkdir(parents=True)
    (home / "audio").mkdir()
    np.save(home / "cache/skin/b1_joy/b1_joy.npy", np.zeros((9, 4, 3), np.float32))
    write_sound(home / "audio/b1_joy.wav", np.zeros((4800, 1), np.float32), 16000)
    files = {actor: DatasetFiles(actor, tmp_path, tmp_path) for actor in ("ann", "bob")}
    runs = {
        actor: SimpleNamespace(name="251121_120000_x", skin=SimpleNamespace(mean=np.zeros((4, 3)))) for actor in files
    }
    found = read_new_shots(tmp_path / "new", dataset, files, runs)
    assert found.keys() == {"bob"} and found["bob"].shots["b1_joy"] == Shot("bob", "b1_joy", 9, 30.0, "joy")
    assert found["bob"].rows == [("bob", "b1_joy", (0, 8), "bob", "en", "b1_joy.wav", 0)]
    assert found["bob"].files.audio_root == home / "audio"
    with pytest.raises(UserError, match="expected a folder ann or bob with audio/<shot>.wav"):
        read_new_shots(home, dataset, files, runs)


def test_before_training_evaluate_tells_that_nothing_is_held_out(trained) -> None:
    root, _ = trained
    (root / "configs/bare").mkdir()
    for path in (root / "configs/tiny").glob("*.py"):
        (root / "configs/bare" / path.name).write_text(path.read_text())
    with (root / "configs/bare/config_train.py").open("a") as file:
        file.write('RUN_NAME = "bare"\nEXPORT_WEIGHTS = "last"\nVALIDATION_CLIPS = None\n')
    with pytest.raises(UserError) as error:
        evaluate.run("bare", "latest")
    assert "no finished training run named bare" in error.value.lines[0]
    assert "VALIDATION_CLIPS holds nothing out" in error.value.lines[1]


@pytest.mark.slow
def test_a_crashed_training_goes_on_with_its_best_weights(trained, monkeypatch) -> None:
    root, _ = trained
    config = root / "configs/tiny/config_train.py"
    (root / "configs/crash").mkdir()
    for path in config.parent.glob("*.py"):
        (root / "configs/crash" / path.name).write_text(path.read_text())
    more = 'RUN_NAME = "crash"\nNUM_EPOCHS = 3\nCHECKPOINT_PERIOD = 1\nPREVIEW_PERIOD = None\n'
    (root / "configs/crash/config_train.py").write_text(config.read_text() + more)
    whole = root / "workspace/output_train" / train.run("crash").run

    def crash(self, fit, values) -> None:
        if fit.epoch == 2:
            raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(EarlyStopping, "_write", crash)
        with pytest.raises(OSError, match="disk is full"):
            train.run("crash")
    for marker in (root / "workspace/output_train").glob("*_crash/.incomplete"):
        run_lock.release(marker)
        marker.touch()  # as the end of the process leaves it
    again = root / "workspace/output_train" / train.run("crash", resume="latest").run
    assert again != whole and len((again / "metrics.jsonl").read_text().splitlines()) == 2
    for name in ("weights.pth", "checkpoints/best.pt"):
        one, two = (torch.load(folder / name, weights_only=True) for folder in (whole, again))
        one, two = (x.get("model", x) for x in (one, two))
        assert all(torch.equal(one[key], two[key]) for key in one), name


def test_films_are_made_where_they_can_be(monkeypatch) -> None:
    def source(triangles):
        return SimpleNamespace(triangles=triangles, has_skin=True, groups=())

    drawn, bare = {"a": source(np.zeros((1, 3)))}, {"a": source(None)}
    assert [video.number_of_videos(n, drawn) for n in (None, 0, 5)] == [2, 0, 5]
    assert video.number_of_videos(None, bare) == video.number_of_videos(0, bare) == 0
    with pytest.raises(UserError, match="--videos -1: expected"):
        video.number_of_videos(-1, drawn)
    with pytest.raises(UserError, match="--videos needs SKIN_TRIANGLES_FPATH"):
        video.number_of_videos(1, bare)
    monkeypatch.setattr(video, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="--videos needs the extra `video`"):
        video.number_of_videos(1, drawn)


def test_evaluate_tells_when_nothing_is_held_out(trained) -> None:
    root, run = trained
    saved = root / "workspace/output_train" / run / "configs/config_train_full.json"
    before = saved.read_text()
    (saved.parent.parent / "manifest.json").unlink(missing_ok=True)  # else a run that was changed
    saved.write_text(json.dumps({**json.loads(before), "VALIDATION_CLIPS": []}))
    runs = len(list((root / "workspace/output_evaluate").glob("*")))
    try:
        with pytest.raises(UserError, match=f"training used all {len(SHOTS)} clips.*VALIDATION_CLIPS = ..a6_neutral"):
            evaluate.run("tiny", run)
        (root / "odd.json").write_text("[1, 99999]")
        with pytest.raises(UserError, match="names vertex 99999, the mesh has"):
            saved.write_text(before)
            evaluate.run("tiny", run, regions={"upper_face": root / "odd.json"})
        with pytest.raises(UserError, match="glee"):
            evaluate.run("tiny", run, emotion="glee")
    finally:
        saved.write_text(before)
    assert len(list((root / "workspace/output_evaluate").glob("*"))) == runs
