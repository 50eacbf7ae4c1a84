"""`python -m runners.verify`: what it compares, what it says, and how it ends."""

import shutil

import pytest
from fakes import run as fake_run
from fakes.project import use_project, write_configs

from audio2face.commands.find_run import find_training_run, train_section
from audio2face.deploy.package import write_model
from audio2face.models import family
from audio2face.problems import UserError
from audio2face.runs.manifest import MANIFEST_FILE, write_manifest
from audio2face.runs.train_run import load_train_run
from runners import verify

NAME = "251121_120000_default"
OLDER = "251121_110000_default"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with two training runs and the deployment of the newer one."""
    root = tmp_path_factory.mktemp("made")
    run = fake_run.make_train_run(root / "workspace/output_train", name=NAME)
    write_manifest(run.path / "deploy")
    write_manifest(run.path)
    config = {"input_strength": 1.0, "source_shot": None, "source_frame": None}
    write_model(root / "workspace/output_deploy" / NAME, run, {"ada": config}, family("regression").package)
    shutil.copytree(run.path, run.path.with_name(OLDER))
    write_configs(root, train={"NETWORK_TYPE": "regression"})
    return root


@pytest.fixture
def root(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    use_project(tmp_path, monkeypatch)
    return tmp_path


def test_everything_is_as_written(root, capsys):
    assert verify.main(["tiny", "latest"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in told] == [
        str(root / f"workspace/output_{kind}" / NAME) for kind in ("train", "deploy")
    ]
    assert all("as written" in line for line in told)
    assert verify.main([str(root / "workspace/output_train"), str(root / "workspace/output_deploy" / NAME)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3, "both training runs"


def test_what_is_missing_or_changed_is_a_line(root, capsys):
    run, model = root / "workspace/output_train" / NAME, root / "workspace/output_deploy" / NAME
    (run / "actors/ada/mean_geometry.npy").unlink()
    data = bytearray((model / "network.onnx").read_bytes())
    data[-5] ^= 4
    (model / "network.onnx").write_bytes(data)
    (model / "network.trt").write_bytes(b"built here")
    (model / "model_config.json").write_text("{}")
    assert verify.main(["tiny", NAME]) == 2
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"{run}: actors/ada/mean_geometry.npy is missing",
        f"{model}: network.onnx was changed: its content is not what was written",
    ]


def test_nothing_to_compare_with(root, capsys):
    run = root / "workspace/output_train" / NAME
    (run / MANIFEST_FILE).unlink()
    shutil.rmtree(run / "deploy")
    assert verify.main([str(run)]) == 2 and "earlier version" in capsys.readouterr().out
    (run / ".incomplete").touch()
    assert verify.main([str(run)]) == 2 and "did not finish" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nowhere"], ["/no/folder"], ["tiny", "251121_120000_nobody"], ["nobody", "latest"]])
def test_what_is_not_there_is_told(root, capsys, words):
    assert verify.main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and words[-1 if words[0] == "tiny" else 0] in told


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        verify.main(["--help"])
    assert end.value.code == 0 and "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["network_info_full.json", "weights.pth", "actors/ada/data_info.json"])
def test_latest_names_a_damaged_run_and_takes_no_older_one(root, name):
    (root / "workspace/output_train" / NAME / name).write_bytes(b"{")
    with pytest.raises(UserError, match=f"{NAME}.*{name}.*copy it again or train again"):
        find_training_run("tiny", "latest", train_section("tiny", "latest"))
    assert load_train_run(root / "workspace/output_train" / OLDER)
