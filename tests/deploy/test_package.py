"""The folder of a deployed model: what is in it, what stays when it is written again, and when it is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
from fakes import run as fake_run

from audio2face.deploy import package as model_package
from audio2face.deploy.files import write_model_data
from audio2face.face.topology import Topology, write_topology
from audio2face.models import family
from audio2face.problems import UserError
from audio2face.runs.emotion_db import read_emotion_db

PACKAGE = family("regression").package
CONFIG = {"input_strength": 1.0, "skin_strength": 1.1, "source_shot": None, "source_frame": None}


@pytest.fixture(scope="module")
def train_run(tmp_path_factory):
    return fake_run.make_train_run(tmp_path_factory.mktemp("train"))


def test_deployed_model(train_run, tmp_path):
    folder = tmp_path / "deploy" / train_run.name
    model_package.write_model(folder, train_run, {"ada": CONFIG}, PACKAGE)
    files = {path.name for path in folder.iterdir()}
    assert files == {
        "network.onnx", "network_info.json", "trt_info.json", "implicit_emo_db.npz", "export_check.json", "model.json",
        "model_config.json", "model_data.npz", "README.md", "bs_skin_ada.npz", "bs_skin_config_ada.json",
        "bs_tongue_ada.npz", "bs_tongue_config_ada.json", "manifest.json",
    }  # fmt: skip
    model = json.loads((folder / "model.json").read_text())
    assert model == {
        "networkInfoPath": "network_info.json",
        "networkPath": "network.trt",
        "modelConfigPath": "model_config.json",
        "modelDataPath": "model_data.npz",
        "emotionDatabasePath": "implicit_emo_db.npz",
        "blendshapePaths": {
            "skin": {"config": "bs_skin_config_ada.json", "data": "bs_skin_ada.npz"},
            "tongue": {"config": "bs_tongue_config_ada.json", "data": "bs_tongue_ada.npz"},
        },
    }
    config = json.loads((folder / "model_config.json").read_text())["config"]
    assert config == {**CONFIG, "source_shot": "s1_neutral", "source_frame": 0}
    info = json.loads((folder / "network_info.json").read_text())
    assert info["id"] == {"type": "regression", "actor": "ada", "version": "0.1", "output": "geometry"}
    assert info["params"]["explicit_emotions"] == ["joy", "anger"] and info["params"]["default_emotion"] == [0, 0]
    trt = json.loads((folder / "trt_info.json").read_text())
    assert trt["defaults"] == {"MAX_BATCH_SIZE": 8, "OPT_BATCH_SIZE": 3}
    with np.load(folder / "bs_skin_ada.npz", allow_pickle=False) as archive:
        assert archive["poseNames"].tolist() == [b"neutral", b"jawOpen", b"smile"]
    with np.load(folder / "model_data.npz") as archive:
        assert all(
            archive[name].dtype == np.dtype("<f4") and archive[name].flags.c_contiguous for name in archive.files
        )
    text = (folder / "README.md").read_text()
    assert "--optShapes=input:3x1x640,emotion:3x1x6" in text and "joy, anger" in text and "{" not in text
    assert (
        all(f"`{name}`" in text for name in files - {"README.md"}) and "2 weights" in text and "triangles" not in text
    )


def test_the_readme_names_the_triangles(train_run, tmp_path):
    triangles = train_run.path / "actors/ada/triangles.npz"
    write_topology(triangles, Topology(np.array([[0, 1, 11]])))
    model_package.write_model(tmp_path / "deploy", train_run, {"ada": CONFIG}, PACKAGE)
    triangles.unlink()  # other tests use the run
    assert (tmp_path / "deploy/triangles_ada.npz").is_file()
    assert "`triangles_ada.npz`" in (tmp_path / "deploy/README.md").read_text()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_run_whose_triangles_are_cut_replaces_no_model(train_run, tmp_path, share):
    """An older run, which has no manifest."""
    model_package.write_model(tmp_path / "deploy", train_run, {"ada": CONFIG}, PACKAGE)
    before = {path.name: path.read_bytes() for path in (tmp_path / "deploy").iterdir()}
    triangles = train_run.path / "actors/ada/triangles.npz"
    write_topology(triangles, Topology(np.array([[0, 1, 11]])))
    content = triangles.read_bytes()
    triangles.write_bytes(content[: int(share * len(content))])
    try:
        with pytest.raises(UserError, match=r"triangles\.npz"):
            model_package.write_model(tmp_path / "deploy", train_run, {"ada": CONFIG}, PACKAGE)
    finally:
        triangles.unlink()  # other tests use the run
    assert {path.name: path.read_bytes() for path in (tmp_path / "deploy").iterdir()} == before


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"trt_build_param": {"a": ["{b}"]}, "defaults": {}}'])
def test_a_run_whose_trt_info_is_damaged_is_one_line(train_run, tmp_path, content):
    path = train_run.path / "deploy/trt_info.json"
    before = path.read_text()
    path.write_text(content)
    try:
        with pytest.raises(UserError, match=r"training run .* is damaged: .*trt_info\.json.*train again") as error:
            model_package.write_model(tmp_path / "deploy", train_run, {"ada": CONFIG}, PACKAGE)
    finally:
        path.write_text(before)  # other tests use the run
    assert len(error.value.lines) == 1 and not (tmp_path / "deploy").exists()


def test_deploying_again_replaces_and_keeps_a_matching_engine(train_run, tmp_path):
    folder = tmp_path / train_run.name
    model_package.write_model(folder, train_run, {"ada": CONFIG}, PACKAGE)
    (folder / "network.trt").write_bytes(b"engine")
    (folder / "stray.txt").write_text("x")
    model_package.write_model(
        folder, train_run, {"ada": {**CONFIG, "source_shot": "s2_joy", "source_frame": 3}}, PACKAGE
    )
    assert not (folder / "stray.txt").exists() and (folder / "network.trt").read_bytes() == b"engine"
    assert json.loads((folder / "model_config.json").read_text())["config"]["source_frame"] == 3
    (folder / "network.onnx").write_bytes(b"another")
    model_package.write_model(folder, train_run, {"ada": CONFIG}, PACKAGE)
    assert not (folder / "network.trt").exists()
    assert [path.name for path in tmp_path.iterdir()] == [train_run.name]


def test_a_model_that_a_killed_process_moved_aside_is_put_back(train_run, tmp_path):
    folder = tmp_path / "deploy" / train_run.name
    model_package.write_model(folder, train_run, {"ada": CONFIG}, PACKAGE)
    folder.rename(folder.with_name(f".{folder.name}.0123abcd.old"))
    with pytest.raises(UserError, match="refused"):
        model_package.write_model(folder, train_run, {"ada": CONFIG}, PACKAGE, check=lambda _: ["refused"])
    assert (folder / "model.json").is_file() and len(list(folder.parent.iterdir())) == 1


def test_a_refused_model_leaves_the_old_one(train_run, tmp_path):
    folder = tmp_path / train_run.name
    model_package.write_model(folder, train_run, {"ada": CONFIG}, PACKAGE)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="no good"):
        model_package.write_model(folder, train_run, {"ada": CONFIG}, PACKAGE, check=lambda path: ["no good"])
    with pytest.raises(UserError, match="source_shot"):
        model_package.write_model(folder, train_run, {"ada": {**CONFIG, "source_shot": "nowhere"}}, PACKAGE)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [train_run.name]


def test_mean_source_shot_adds_its_row(train_run, tmp_path):
    model_package.write_model(tmp_path / "m", train_run, {"ada": {**CONFIG, "source_shot": "mean"}}, PACKAGE)
    config = json.loads((tmp_path / "m/model_config.json").read_text())["config"]
    database = read_emotion_db(tmp_path / "m" / "implicit_emo_db.npz")
    assert (config["source_shot"], config["source_frame"]) == ("mean", 0)
    start, size = database.spans["mean"]
    np.testing.assert_array_equal(database.vectors[start], train_run.emotion_db("ada").mean())
    assert size == 1


def test_several_actors_are_several_models(tmp_path):
    run = fake_run.make_train_run(tmp_path, fake_run.make_spec(("ada", "bob")), blendshapes=False)
    configs = {"ada": CONFIG, "bob": {**CONFIG, "skin_strength": 0.5}}
    model_package.write_model(tmp_path / "deploy", run, configs, PACKAGE)
    for actor in ("ada", "bob"):
        folder = tmp_path / "deploy" / actor
        assert json.loads((folder / "model.json").read_text())["blendshapePaths"] == {}
        assert json.loads((folder / "network_info.json").read_text())["id"]["actor"] == actor
        assert (
            json.loads((folder / "model_config.json").read_text())["config"]["skin_strength"]
            == configs[actor]["skin_strength"]
        )
        assert "holds no complete set" in (folder / "README.md").read_text()


def test_config_of_one_actor_wins_over_the_common_one():
    config = {"a": 1, "b": 2, "bob": {"b": 3}}
    assert model_package.actor_config(config, "ada", ["ada", "bob"]) == {"a": 1, "b": 2}
    assert model_package.actor_config(config, "bob", ["ada", "bob"]) == {"a": 1, "b": 3}
    with pytest.raises(UserError, match="CONFIG/bob"):
        model_package.actor_config(config, "ada", ["ada"])


def test_arrays_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(UserError, match="neutral_jaw"):
        write_model_data(tmp_path / "a.npz", {"neutral_jaw": np.full((5, 3), np.nan)})


def test_needs_no_torch():
    code = "import sys, audio2face.deploy.package; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
