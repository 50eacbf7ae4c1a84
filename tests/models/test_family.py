"""The registry of families, and the family that CONTRIBUTING.md adds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes.project import regression_project, use_project

from audio2face import models
from audio2face.commands import deploy, preproc
from audio2face.config import load_config
from audio2face.models.common.inputs import build_inputs
from audio2face.problems import UserError
from audio2face.runs.train_run import load_train_run, write_train_run
from audio2face.runtime import Runtime
from audio2face.training.loop import FitSettings, fit

ROOT = Path(__file__).resolve().parents[2]


def test_families_are_found_by_name():
    for name in models.FAMILIES:
        found = models.family(name)
        assert found.build and ("mesh" in found.kinds) == (name != "guide")
        assert bool(found.export) == bool(found.package) == (name in ("regression", "diffusion"))
    assert models.family("diffusion", "diffusion_transformer") is not models.family("diffusion", "diffusion_rnn")
    with pytest.raises(UserError, match="networks of type 'vq' are unknown; known: regression, diffusion"):
        models.family("vq")


@pytest.mark.parametrize(("name", "other"), [("regression", "diffusion"), ("diffusion", "regression")])
def test_building_a_family_imports_no_code_of_another(name, other):
    code = (
        f"import sys, audio2face.commands.train, audio2face.models.{name}.build\n"
        f"print([m for m in sys.modules if m.startswith('audio2face.models.{other}.')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.fixture
def loudness(tmp_path, monkeypatch):
    """The family of CONTRIBUTING.md, as a folder and a line."""
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    (tmp_path / "loudness").mkdir()
    (tmp_path / "loudness/__init__.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(models.FAMILIES, "loudness", "loudness")
    return models.family("loudness")


def test_a_new_family_is_built_trained_and_not_deployed(tmp_path, monkeypatch, loudness):
    regression_project(tmp_path, RUN_NAME="loud")
    use_project(tmp_path, monkeypatch)
    preproc.run("tiny", "tiny")
    sections = load_config("tiny", ("train", "dataset"), optional=("inference",))
    inputs = build_inputs("tiny", sections["train"], sections["dataset"], sections["inference"])
    training = loudness.build(inputs, Runtime(torch.device("cpu")))
    logged = []
    fit(training.method, FitSettings(epochs=20, learning_rate=0.05, log_period=1), lambda _, v: logged.append(v["MSE"]))
    assert sum(logged[-5:]) < 0.9 * sum(logged[:5])
    folder = tmp_path / "workspace/output_train/251121_120000_loud"
    folder.mkdir(parents=True)
    write_train_run(folder, training.spec, inputs.runs)
    spec = folder / "network_info_full.json"
    spec.write_text(spec.read_text().replace('"regression"', '"loudness"'))
    assert load_train_run(folder).spec.network_type == "loudness"
    with pytest.raises(UserError, match="cannot be deployed; the run animates with run_inference.py"):
        deploy.run("tiny", folder.name)
