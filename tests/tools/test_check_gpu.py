"""The checks of an accelerator: what holds is told apart from what does not, and a check that ends badly is a line."""

import json
import os

import pytest
import torch
from fakes.accelerator import DEVICE, fake_accelerator
from fakes.project import diffusion_project, regression_project

from audio2face.models.diffusion import build as diffusion_setup
from audio2face.models.regression import build as regression_setup
from audio2face.problems import UserError
from audio2face.runtime import Runtime
from tests.training.test_accelerator import inputs_of
from tools import check_gpu
from tools.bench.on_device import CHECKS, CLOSE, MODES, Row, Trial, off, try_steps, weights_row

OK = Row("features", True, "off by 1.0e-06", 1.5, 30.0)
PRINT = f"import json, sys, time\nprint('a line of the log')\nprint({json.dumps(json.dumps(vars(OK)))}, flush=True)\n"


@pytest.fixture
def script(tmp_path, monkeypatch):
    """script(text): what the process of a check runs."""

    def write(text):
        path = tmp_path / "check.py"
        path.write_text(text)
        monkeypatch.setattr(check_gpu, "__file__", str(path))

    return write


def rows(tmp_path, limit_s=60.0):
    return list(check_gpu.run_apart("features", "cpu", tmp_path, os.environ, limit_s))


def test_a_check_that_ends_badly_is_a_line(script, tmp_path):
    script(PRINT)
    assert rows(tmp_path) == [OK]
    script(PRINT + "print('first\\nCUDA error', file=sys.stderr)\nsys.exit(3)")
    assert rows(tmp_path) == [OK, Row("features", False, "exit status 3: CUDA error")]
    script(PRINT + "time.sleep(60)")
    first, second = rows(tmp_path, 3.0)
    assert first == OK and second == Row("features", False, "not done after 3 s")
    assert rows(tmp_path, 0.5) == [Row("features", None, "no time was left")]


def test_the_table_and_the_status(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_gpu, "make_projects", lambda root, device: dict(os.environ))
    script(PRINT)
    assert check_gpu.check("cpu", ["features", "features"], 1.0, True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cpu, bfloat16") and lines[1].split() == ["check", "ms", "CPU", "ms", "found"]
    assert lines[2].split() == ["features", "holds", "1.5", "30", "off", "by", "1.0e-06"]
    assert lines[4].startswith("2 hold, 0 fail, 0 not tried")
    assert json.loads(lines[5])["rows"] == [vars(OK)] * 2
    script("raise SystemExit(1)")
    assert check_gpu.check("cpu", ["features"], 1.0, False) == 1
    assert "FAILS" in capsys.readouterr().out


def test_a_device_that_is_not_there_is_the_users_mistake():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UserError, match="A2F_DEVICE=cuda"):
        check_gpu.describe("cuda")


def test_every_check_has_a_name():
    assert list(CHECKS) == check_gpu.NAMES
    assert set(MODES) == {"regression", "diffusion"} and CLOSE["fp32"] < CLOSE["bf16"]


def test_differences_are_relative():
    x = torch.tensor([3.0, 4.0])
    assert off(x, x) == 0 and off(x + torch.tensor([0.0, 0.5]), x) == pytest.approx(0.1)
    one, other = {"a": x, "b": torch.ones(1, dtype=torch.long)}, {"a": x * 1.001, "b": torch.ones(1, dtype=torch.long)}
    assert weights_row("r", one, one, 0.0).told == "the same weights, bit by bit"
    assert not weights_row("r", other, one, 1e-4).holds and weights_row("r", other, one, 1e-2).holds


def test_a_loss_must_fall_and_be_finite():
    falling, nan = [3.0, 2.5, 2.0, 1.5, 1.2, 1.0], [3.0, 2.0, 1.0, 1.0, float("nan"), 0.5]
    assert Trial(torch.zeros(1), falling, 1.0).falls is True  # which JSON knows, unlike NumPy's
    assert not Trial(torch.zeros(1), falling[::-1], 1.0).falls and not Trial(torch.zeros(1), nan, 1.0).falls


@pytest.mark.slow
@pytest.mark.parametrize(
    ("project", "setup"), [(regression_project, regression_setup), (diffusion_project, diffusion_setup)]
)
@pytest.mark.filterwarnings("ignore:.*non-meta parameter")
def test_every_tensor_of_a_trial_is_on_the_device(tmp_path, monkeypatch, project, setup):
    project(tmp_path, **({"frames": 12} if setup is regression_setup else {"actors": ("ann", "bob")}))
    inputs = inputs_of(tmp_path, monkeypatch)
    monkeypatch.setattr(regression_setup, "_report_closed_eyes", lambda *_: None)  # looks at values
    with fake_accelerator(monkeypatch):
        trial = try_steps(setup.build(inputs, Runtime(DEVICE)), 3)
    assert len(trial.losses) == 3 and trial.output.device.type == "cpu"


@pytest.mark.slow
def test_a_check_without_a_gpu(capsys):
    assert check_gpu.main(["--device", "cpu", "--only", "regression-resume", "--minutes", "3"]) == 0
    assert "the same weights, bit by bit" in capsys.readouterr().out
