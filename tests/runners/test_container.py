"""The container path on a real engine: who owns what, how it ends, and that the pipeline does the same as locally.

Needs a Docker engine and an image: A2F_TEST_BASE_IMAGE (a base to build on) or one that docker/build_docker.sh has built.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from fakes.machine import ROOT, Machine

from runners.docker import IMAGE

pytestmark = pytest.mark.slow
ARRAYS = ("pca/skin/skin_pca_coeffs_all.npz", "deploy/network_data.npz", "deploy/mean_geometry.npy")


def docker(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def image() -> str:
    """The image to test, built on A2F_TEST_BASE_IMAGE when that is set."""
    if shutil.which("docker") is None or docker("info").returncode != 0:
        pytest.skip("no Docker engine responds")
    base = os.environ.get("A2F_TEST_BASE_IMAGE")
    if base:
        name = f"{IMAGE}:test"
        argv = [str(ROOT / "docker/build_docker.sh"), "--network", "host", "--build-arg", f"BASE_IMAGE={base}"]
        subprocess.run(argv, env={**os.environ, "A2F_IMAGE": name}, check=True, timeout=1800)
        return name
    if docker("image", "inspect", IMAGE).returncode != 0:
        pytest.skip(f"no image {IMAGE} and no A2F_TEST_BASE_IMAGE to build one on")
    return IMAGE


@pytest.fixture
def machine(image: str, tmp_path: Path) -> Machine:
    """A checkout with commands that need no torch, and the real docker."""
    machine = Machine(tmp_path)
    machine.fake_commands()
    machine.environ["PATH"] = os.environ["PATH"]
    machine.environ["A2F_IMAGE"] = image
    return machine


def containers_of(machine: Machine) -> list[str]:
    """Names of the containers that run with this machine's workspace mounted."""
    return docker("ps", "--filter", "volume=/workspace", "--format", "{{.Names}}").stdout.split()


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    while (got := process.stdout.readline()) != line + "\n":
        assert got or process.poll() is None, process.communicate()


def test_exit_statuses_come_out_of_the_container(machine: Machine) -> None:
    done = machine.run("run_preproc.py", "my-project", "claire")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Preproc Run Name Full: 250909_135508_example"
    assert f"  /workspace = {machine.root}/workspace" in done.stdout.splitlines()
    mistake = machine.run("run_preproc.py", "my-project", "mistaken")
    assert mistake.returncode == 2 and "error: shot a: no sound" in mistake.stderr
    assert machine.run("run_preproc.py", "my-project", "broken").returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_container_saves_and_is_gone(machine: Machine, number: int) -> None:
    process = machine.start("run_preproc.py", "my-project", "saving")
    wait_for(process, "started")
    (name,) = [name for name in containers_of(machine) if name.endswith(f"-{process.pid}")]
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number and "saved" in out
    assert docker("inspect", name).returncode != 0


def test_a_killed_container_is_a_failure(machine: Machine) -> None:
    process = machine.start("run_preproc.py", "my-project", "slow")
    wait_for(process, "started")
    (name,) = [name for name in containers_of(machine) if name.endswith(f"-{process.pid}")]
    assert docker("kill", name).returncode == 0
    process.communicate(timeout=30)
    assert process.returncode == 137
    assert docker("inspect", name).returncode != 0


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can be someone else")
def test_outputs_belong_to_the_caller(image: str) -> None:
    with tempfile.TemporaryDirectory() as root:  # pytest's own folders are closed to other users
        machine = Machine(Path(root))
        machine.environ |= {"PATH": os.environ["PATH"], "A2F_IMAGE": image}
        for path in (machine.root, *machine.root.rglob("*")):
            os.chown(path, 4321, 4321)
        _write_as_somebody(machine)
        made = machine.root / "workspace/made"
        assert (made.stat().st_uid, made.stat().st_gid) == (4321, 4321)
        assert {path.stat().st_uid for path in (machine.root / "workspace").rglob("*")} == {4321}


def _write_as_somebody(machine: Machine) -> None:
    engine = Path("/var/run/docker.sock").stat()
    code = "open('/workspace/made', 'w').close(); import os; os.makedirs(os.path.expanduser('~/.cache'))"
    program = [_shared_python(), "-m", "runners.launch", "shell", "python", "-c", code]
    ids = {"user": 4321, "group": 4321, "extra_groups": [engine.st_gid]}
    subprocess.run(program, env=machine.environ, cwd=machine.checkout, timeout=60, check=True, **ids)


def _shared_python() -> str:
    """A Python that any user may start."""
    for python in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if os.path.exists(python):
            return python
    pytest.skip("no Python that other users may start")


def test_data_sets_and_checkout_cannot_be_written(machine: Machine) -> None:
    code = "import sys; open(sys.argv[1], 'w')"
    for path, status in (("/datasets/x", 1), ("/workspace/x", 0), ("/framework/x", 0)):
        program = [sys.executable, "-m", "runners.launch", "shell", "python", "-c", code, path]
        done = subprocess.run(program, env=machine.environ, cwd=machine.checkout, capture_output=True, timeout=60)
        assert done.returncode == status, path
    machine.write(machine.checkout / "audio2face/commands/preproc.py", "def run(*a): open('/framework/y', 'w')")
    readonly = machine.run("run_preproc.py", "my-project", "claire")
    assert readonly.returncode == 2 and "/framework/y: Read-only file system" in readonly.stderr


def test_a_browser_of_this_machine_reaches_the_viewer_in_a_container(machine: Machine) -> None:
    np.save(machine.root / "datasets/shot.npy", np.zeros((4, 5, 3), np.float32))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**machine.environ, "A2F_VIEWER_PORT": str(port)}
    program = [sys.executable, "-m", "runners.launch", "shell", "python", "-m", "runners.view", "/datasets/shot.npy"]
    process = subprocess.Popen(program, env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = next(line for line in process.stdout if line.startswith("Open "))
        assert told.startswith(f"Open http://127.0.0.1:{port}/")
        with urllib.request.urlopen(told.split()[1], timeout=30) as page:
            assert page.status == 200 and b"<html" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30)
        published = docker("ps", "--filter", f"publish={port}", "--format", "{{.Ports}}").stdout
        assert published.strip() == f"127.0.0.1:{port}->{port}/tcp"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


def test_pipeline_in_containers_equals_local_runs(image: str, tmp_path: Path) -> None:
    """All four commands on a short demo, both ways: same arrays from preprocessing, same weights, same animation."""
    generator = ROOT / "tools/make_demo_dataset.py"
    datasets = tmp_path / "datasets"
    made = [sys.executable, str(generator), str(datasets / "demo"), "--actor", "demo", "--shots", "4"]
    subprocess.run(made, check=True, timeout=600)
    project = tmp_path / "configs/short"
    shutil.copytree(ROOT / "configs/demo-regression", project)
    with open(project / "config_train.py", "a") as file:
        file.write("\nimport math, numpy\nNUM_EPOCHS = 1\nLOG_PERIOD = int(math.floor(numpy.float64(10.5)))\n")
    found = {}
    for runtime in ("docker", "local"):
        workspace = tmp_path / runtime
        environ = {
            **os.environ,
            "A2F_RUNTIME": runtime,
            "A2F_IMAGE": image,
            "A2F_DATASETS_ROOT": str(datasets),
            "A2F_WORKSPACE_ROOT": str(workspace),
            "A2F_CONFIGS_ROOT": str(tmp_path / "configs"),
            "A2F_DEVICE": "cpu",
        }
        for command, *names in (["preproc", "demo"], ["train"], ["deploy", "latest"], ["inference", "latest"]):
            argv = [sys.executable, f"run_{command}.py", "short", *names]
            done = subprocess.run(argv, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=1200)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert {path.stat().st_uid for path in workspace.rglob("*")} == {os.getuid()}
        found[runtime] = _results(workspace)
    assert found["docker"].keys() == found["local"].keys()
    for name, array in found["docker"].items():
        # Sums run in another order in another build of the libraries: 4e-7 in the coefficients, which an epoch of
        # training makes 2e-4 in weights and animation.
        share = 1e-5 if name.split()[0] in {Path(place).name for place in ARRAYS} else 1e-3
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(array, found["local"][name], rtol=0, atol=share * scale, err_msg=name)


def _results(workspace: Path) -> dict[str, np.ndarray]:
    """The numbers that a pipeline made, by file and array."""
    import torch

    (preproc,) = (workspace / "output_preproc").iterdir()
    (training,) = (workspace / "output_train").iterdir()
    (inference,) = (workspace / "output_inference").iterdir()
    result = {}
    for path in [*(preproc / name for name in ARRAYS), *sorted(inference.rglob("*.npy"))]:
        loaded = np.load(path)
        for name, array in loaded.items() if isinstance(loaded, np.lib.npyio.NpzFile) else [("", loaded)]:
            result[f"{path.name} {name}"] = array
    for name, tensor in torch.load(training / "weights.pth", weights_only=True, map_location="cpu").items():
        result[f"weights {name}"] = tensor.float().numpy()
    return result


def test_a_config_with_thousands_of_clips_and_imports_loads_in_the_container(machine: Machine) -> None:
    """Nothing of a config travels on the command line, so its size does not matter."""
    lines = ["import math", "CLIPS = [", *(f"    ('demo', 'shot_{i}', (0, {i + 9}), 'a', 'en', 'shot_{i}.wav', 0),"
             for i in range(5000)), "]", "BATCH_SIZE = int(math.sqrt(16))"]  # fmt: skip
    machine.write(machine.checkout / "configs/my-project/config_train.py", "\n".join(lines))
    reader = "import runpy\ndef run(config, actor):\n    values = runpy.run_path(f'configs/{config}/config_train.py')\n"
    reader += "    return f\"{len(values['CLIPS'])}_{values['BATCH_SIZE']}\"\n"
    machine.write(machine.checkout / "audio2face/commands/preproc.py", reader)
    done = machine.run("run_preproc.py", "my-project", "claire")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "Preproc Run Name Full: 5000_4"
