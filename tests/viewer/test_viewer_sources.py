"""What `python -m runners.view` shows for each name that may be typed, and what it says to mistakes."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from fakes import actor as fake_actor
from fakes import run as fake_run
from fakes import viewer as fake_viewer
from fakes.view_client import end, serve

from audio2face.commands.view import ViewRequest, build_library
from audio2face.config import load_config
from audio2face.dataset.files import DatasetFiles
from audio2face.formats.json_file import read_json, write_json
from audio2face.formats.maya_cache import write_maya_cache
from audio2face.problems import UserError
from audio2face.viewer.library import Library
from audio2face.viewer.project import Project
from audio2face.viewer.scenes import RUNS
from audio2face.viewer.server import ViewServer
from audio2face.viewer.sources import truth_track
from runners import view


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A sound and an animation of 3 s, and a small deployed model."""
    return fake_viewer.write(tmp_path_factory.mktemp("viewer"))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a data set, a training run that is not deployed, an inference and an evaluation."""
    home = tmp_path_factory.mktemp("project")
    data = fake_actor.actor(home / "tiny")
    workspace = home / "workspace"
    run = fake_run.make_train_run(workspace / "output_train", fake_run.make_spec((fake_actor.ACTOR,)))
    config = home / "configs" / "fake"
    config.mkdir(parents=True)
    dataset = {**data.dataset, "SHOT_EMOTION_NAMES": ["neutral", "joy"]}
    (config / "config_dataset.py").write_text("".join(f"{key} = {value!r}\n" for key, value in dataset.items()))
    clips = [(fake_actor.ACTOR, "a1_neutral", (0, 99), "x", "en", "a1_neutral.wav", 2)]
    (config / "config_train.py").write_text(f"RUN_NAME = 'fake'\nCLIPS = {clips!r}\n")
    shot, name = "a1_neutral", f"a1_neutral_{fake_actor.ACTOR}_{fake_actor.ACTOR}_neutral_offline"
    inference = workspace / "output_inference" / "251121_130000_fake"
    inference.mkdir(parents=True)
    np.save(inference / f"{name}_skin.npy", np.load(data.skin(shot)) + 1)
    np.save(inference / f"{name}_jaw.npy", np.zeros((150, 5, 3), np.float32))
    np.save(inference / f"{name}.npy", np.zeros((150, 9), np.float32))
    write_json(inference / "configs/training_run_info.json", {"training_run_name_full": run.name})
    write_json(inference / "configs/config_inference_full.json", {"AUDIO_PATH": [str(data.sound(shot))]})
    evaluation = workspace / "output_evaluate" / "251121_140000_fake"
    shots = [{"actor": fake_actor.ACTOR, "shot": s, "emotion": "joy", "seconds": 5.0} for s in ("a5_joy", "a3_joy")]
    errors = [{"actor": fake_actor.ACTOR, "shot": "a3_joy", "lip_vertex_error_mm": 2.34}]
    report = {"training_runs": [run.name], "emotion": None, "shots": shots, "systems": {run.name: {"by_shot": errors}}}
    write_json(evaluation / "report.json", report)
    (workspace / "output_inference" / "251121_150000_fake").mkdir()
    (workspace / "output_inference" / "251121_150000_fake" / ".incomplete").touch()
    (home / "configs" / "empty").mkdir()
    (home / "configs" / "empty" / "config_train.py").write_text("RUN_NAME = 'empty'\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A2F_CONFIGS_ROOT", str(home / "configs"))
        patch.setenv("A2F_WORKSPACE_ROOT", str(workspace))
        patch.setenv("A2F_DATASETS_ROOT", str(home))
        yield data


def opened(wish, shot=0):
    """A library, and the details of one of its shots."""
    library = build_library(wish)
    client = serve(library)
    about = client.json(f"api/shots/{shot}")
    pieces = {side: client.piece(about[side]) for side in ("truth", "prediction") if about[side]}
    if library.model:
        library.model.wait()
    end(client)
    assert not about["problems"]
    return library, about, pieces


def test_a_data_set(project):
    library, about, pieces = opened(ViewRequest("fake"))
    assert [shot.name for shot in library.shots] == list(fake_actor.SHOTS)
    assert {shot.emotion for shot in library.shots} == {"neutral", "joy"} and library.model is None
    assert about["truth"]["start_s"] == pytest.approx(2.5 / 30)  # the offset of its clip, and half a frame
    assert set(pieces["truth"]) == {"skin", "tongue", "jaw", "eyes"} and about["duration_s"] == pytest.approx(5)
    skin = np.load(project.skin())[: len(pieces["truth"]["skin"])]
    np.testing.assert_allclose(pieces["truth"]["skin"], skin, atol=np.ptp(skin) / 65535)
    assert "SKIN_TRIANGLES_FPATH" in library.notices[0]
    assert [shot.name for shot in build_library(ViewRequest("fake", fake_actor.ACTOR)).shots] == list(fake_actor.SHOTS)


def test_an_inference_run(project):
    library, about, pieces = opened(ViewRequest("fake", "251121_130000_fake"))
    assert [shot.name for shot in library.shots] == ["a1_neutral"] and library.shots[0].note.endswith("offline")
    assert {"skin", "jaw"} <= set(pieces["prediction"]) and about["prediction"]["start_s"] == pytest.approx(0.5 / 30)
    difference = pieces["prediction"]["skin"][:20] - pieces["truth"]["skin"][:20]
    np.testing.assert_allclose(difference, 1, atol=1e-2)
    assert library.model.state == "ready", library.model.error
    assert build_library(ViewRequest("fake", "latest", "inference")).title == library.title


def test_a_kind_without_runs_says_what_makes_them(project, tmp_path, monkeypatch):
    monkeypatch.setattr("audio2face.commands.view.EVALUATIONS", str(tmp_path / "none"))
    with pytest.raises(UserError, match="no finished evaluate run named .*python run_evaluate.py fake latest"):
        build_library(ViewRequest("fake", "latest", "evaluate"))


def test_a_training_run_that_was_never_deployed(project):
    library, about, pieces = opened(ViewRequest("fake", "251121_120000_fake"), 2)
    assert about["prediction"] is None and library.shots[2].start == {"joy": 1.0}
    assert library.model.state == "ready", library.model.error
    assert library.model.emotions == ("joy", "anger") and library.model.actors == (fake_actor.ACTOR,)


def test_an_evaluation(project):
    library, about, pieces = opened(ViewRequest("fake", "251121_140000_fake"))
    joy = {"joy": 1.0}
    expected = [("a3_joy", "held out, lip error 2.3 mm", joy), ("a5_joy", "held out", joy)]  # the worst first
    assert [(s.name, s.note, s.start) for s in library.shots] == expected
    assert library.model.state == "ready", library.model.error


def test_an_evaluation_of_new_recordings_shows_those(project, tmp_path):
    for part, file in (("audio", "a5_joy.wav"), ("cache/skin/a5_joy", "a5_joy.npy")):
        (tmp_path / part).mkdir(parents=True)
        shutil.copy(project.home / part / file, tmp_path / part / file)
    np.save(tmp_path / "cache/skin/a5_joy/a5_joy.npy", np.load(project.skin("a5_joy")) + 7)
    root = project.home.parent / "workspace/output_evaluate"
    report = json.loads((root / "251121_140000_fake/report.json").read_text())
    report |= {"data": str(tmp_path), "trained_on": [], "shots": report["shots"][:1]}
    write_json(root / "251121_160000_fake/report.json", report)
    library, about, pieces = opened(ViewRequest("fake", "251121_160000_fake"))
    assert [(shot.name, shot.note) for shot in library.shots] == [("a5_joy", "new")]
    np.testing.assert_allclose(pieces["truth"]["skin"][0], np.load(project.skin("a5_joy"))[0] + 7, atol=1e-3)


@pytest.mark.parametrize(
    "damage",
    [
        {"training_runs": []}, {"training_runs": None}, {"training_runs": [["x"]]}, {"shots": 3}, {"shots": [1]}, {"systems": []},
        {"shots": [{"actor": "a"}]}, {"trained_on": [1]}, {"systems": {"x": 1}, "training_runs": ["x"]}, {"data": 3}, None,
        {"training_runs": ["x"], "systems": {"x": {"by_shot": [{"actor": "a", "shot": "b", "lip_vertex_error_mm": []}]}}},
    ],
)  # fmt: skip
def test_a_copied_evaluation_that_is_something_else_is_one_line(project, tmp_path, damage):
    report = read_json(project.home.parent / "workspace/output_evaluate/251121_140000_fake/report.json")
    write_json(tmp_path / "report.json", None if damage is None else {**report, **damage})
    with pytest.raises(UserError) as error:
        RUNS["evaluate"](
            Project.build("fake", None, load_config("fake", (), optional=("train",))["train"], {}), tmp_path
        )
    assert len(error.value.lines) == 1 and "report.json: not what this framework writes" in error.value.lines[0]


@pytest.mark.parametrize("name", ["../output_train/251121_120000_fake", "/etc", "..", "", [], {}])
def test_a_copied_run_names_no_folder_of_its_choice(project, tmp_path, name):
    shown = Project.build("fake", None, load_config("fake", (), optional=("train",))["train"], {})
    assert shown.training_run(name) is None and "training run name" in shown.notices[-1]


@pytest.mark.parametrize("content", [[], {}, {"training_run_name_full": 3}, 7])
def test_a_copied_inference_that_is_something_else_is_one_line(project, tmp_path, content):
    write_json(tmp_path / "configs/training_run_info.json", content)
    with pytest.raises(UserError) as error:
        RUNS["inference"](
            Project.build("fake", None, load_config("fake", (), optional=("train",))["train"], {}), tmp_path
        )
    assert len(error.value.lines) == 1


def test_files_and_folders(place):
    library, about, pieces = opened(ViewRequest(str(place / "a_skin.npy"), triangles=place / "faces.npy", fps=60.0))
    assert about["prediction"]["fps"] == 60.0 and about["duration_s"] == pytest.approx(3) and not library.notices
    assert set(pieces["prediction"]) == {"skin", "eyes"}
    library, about, pieces = opened(ViewRequest(str(place)))
    assert [shot.name for shot in library.shots] == ["a"] and "--triangles" in library.notices[0]
    library = build_library(ViewRequest(str(place / "model")))
    assert not library.shots and library.model.state in ("loading", "ready")
    library.close()


def test_a_file_that_is_broken_later_is_told(place, tmp_path):
    frames = np.load(place / "a_skin.npy")
    frames[3, 1] = np.nan
    np.save(tmp_path / "b.npy", frames)
    client = serve(build_library(ViewRequest(str(tmp_path / "b.npy"))))
    track = client.json("api/shots/0")["prediction"]
    status, data = client.ask(f"data/{track['id']}/0")
    assert status == 422 and b"finite" in data
    end(client)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such.npy"], "no such file"),
        (["fake", "nobody"], "no finished run"),
        (["fake", "../251121_130000_fake"], "no finished run"),
        (["fake", "251121_150000_fake"], "incomplete"),
        (["empty"], "no data set"),
        (["unknown"], "unknown"),
        (["PLACE/a.wav"], "no animation"),
        (["PLACE/a_skin.npy", "--audio", "no.wav"], "no such file"),
        (["PLACE/a_skin.npy", "--fps", "0"], "--fps"),
        (["PLACE/a_skin.npy", "--port", "99999"], "--port"),
    ],
)
def test_mistakes_end_with_status_2(project, place, capsys, arguments, words):
    assert view.main([a.replace("PLACE", str(place)) for a in arguments] + ["--no-browser"]) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error and error.startswith("error: ")


def test_a_taken_port_is_told(place, capsys):
    other = ViewServer(Library("", [], []))
    port = other.server_address[1]
    assert view.main([str(place / "a_skin.npy"), "--port", str(port), "--no-browser"]) == 2
    assert "choose another" in capsys.readouterr().err
    other.server_close()
    other.library.close()


def test_only_a_container_with_a_published_port_listens_beyond_itself():
    inside = {"A2F_IN_CONTAINER": "1"}
    assert view.port_to_listen_on(0, {}) == (0, False)
    assert view.port_to_listen_on(0, {"A2F_VIEWER_PORT": "8123"}) == (0, False)  # not in a container
    assert view.port_to_listen_on(0, inside) == (0, False)
    assert view.port_to_listen_on(0, {**inside, "A2F_VIEWER_PORT": "8123"}) == (8123, True)
    assert view.port_to_listen_on(8123, {**inside, "A2F_VIEWER_PORT": "8123"}) == (8123, True)
    assert view.port_to_listen_on(9000, {**inside, "A2F_VIEWER_PORT": "8123"}) == (9000, False)
    assert view.port_to_listen_on(0, {**inside, "A2F_VIEWER_PORT": "x"}) == (0, False)
    for published, address in ((False, "127.0.0.1"), (True, "0.0.0.0")):
        server = ViewServer(Library("", [], []), 0, published)
        assert server.server_address[0] == address and server.url.startswith("http://127.0.0.1:")
        server.server_close()
        server.library.close()


def test_ctrl_c_is_how_the_viewer_ends(place):
    program = [sys.executable, "-m", "runners.view", str(place / "a_skin.npy"), "--no-browser"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and any(line.startswith("Open ") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and not errors


def test_a_shot_keeps_time_at_ntsc_rates(tmp_path):
    """Maya's caches say 24 where 23.976 is meant."""
    (tmp_path / "one").mkdir()
    write_maya_cache(tmp_path / "one/one", np.zeros((9, 4, 3), np.float32), 24, "headShape")
    files = DatasetFiles("ann", skin_cache_root=tmp_path)
    fps = {rate: truth_track(files, "one", rate, 0, {}).fps for rate in (23.976, 24.0, 30.0)}
    assert fps == {23.976: 23.976, 24.0: 24.0, 30.0: 24.0}
