"""The launcher and the command line around the commands, with a `docker` on PATH that only records what it is told."""

from __future__ import annotations

import argparse
import ast
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.machine import HOST_FILES, ROOT, Machine

from runners import arguments, settings


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def values(argv: list[str], flag: str) -> list[str]:
    return [value for key, value in zip(argv, argv[1:], strict=False) if key == flag]


def test_docker_run_arguments(machine: Machine) -> None:
    result = machine.run("run_preproc.py", "my-project", "claire")
    assert result.returncode == 0, result.stderr
    argv = machine.recorded()
    assert argv[-6:] == ["audio2face-framework-env", "python", "-m", "runners.run_preproc", "my-project", "claire"]
    assert argv[0] == "run" and {"--rm", "--init"} <= set(argv)
    assert not {"--privileged", "--ipc=host", "--cpus", "--gpus", "--tty", "--interactive"} & set(argv)
    assert values(argv, "--user") == [f"{os.getuid()}:{os.getgid()}"]
    assert values(argv, "--shm-size") == ["8g"]
    assert values(argv, "--mount") == [
        f"type=bind,source={machine.checkout},target=/framework,readonly",
        f"type=bind,source={machine.root}/datasets,target=/datasets,readonly",
        f"type=bind,source={machine.root}/workspace,target=/workspace",
    ]
    environ = dict(entry.partition("=")[::2] for entry in values(argv, "--env"))
    assert environ["A2F_IN_CONTAINER"] == "1" and environ["HOME"] == "/workspace/.home"
    assert environ["EXTERNAL_DATASETS_ROOT"] == str(machine.root / "datasets")
    assert environ["EXTERNAL_WORKSPACE_ROOT"] == str(machine.root / "workspace")
    assert environ["EXTERNAL_FRAMEWORK_ROOT"] == str(machine.checkout)
    assert environ["PYTHONDONTWRITEBYTECODE"] == "1" and environ["USER"] == "tester"
    assert "A2F_DATASETS_ROOT" not in environ
    assert (machine.root / "workspace/.home").is_dir()
    assert "no NVIDIA GPU found" in result.stderr


def test_exit_status_is_the_containers(machine: Machine) -> None:
    machine.environ["FAKE_EXIT"] = "37"
    assert machine.run("run_train.py", "my-project").returncode == 37


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_container_once(machine: Machine, number: int) -> None:
    machine.environ["FAKE_WAIT"] = "1"
    process = machine.start("run_train.py", "my-project")
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 100 + number


def test_a_terminal_gets_an_interactive_container(machine: Machine) -> None:
    master, slave = pty.openpty()
    argv = [sys.executable, str(machine.checkout / "run_train.py"), "my-project"]
    subprocess.run(argv, env=machine.environ, stdin=slave, stdout=slave, stderr=subprocess.PIPE, timeout=60, check=True)
    os.close(slave)
    os.close(master)
    assert {"--tty", "--interactive"} <= set(machine.recorded())


def test_gpus_are_asked_for_only_when_docker_can_give_them(machine: Machine) -> None:
    machine.tool("nvidia-smi", "#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\n")
    assert "Container Toolkit" in machine.run("run_train.py", "my-project").stderr
    assert "--gpus" not in machine.recorded()
    machine.environ["FAKE_INFO"] = json.dumps({"ServerVersion": "28", "Runtimes": {"runc": {}, "nvidia": {}}})
    assert "notice" not in machine.run("run_train.py", "my-project").stderr
    assert values(machine.recorded(), "--gpus") == ["all"]
    machine.environ["A2F_DEVICE"] = "CPU"
    machine.run("run_train.py", "my-project")
    assert "--gpus" not in machine.recorded() and "A2F_DEVICE" in values(machine.recorded(), "--env")


def test_a_rootless_engine_maps_its_root_to_the_caller(machine: Machine) -> None:
    machine.environ["FAKE_INFO"] = json.dumps({"ServerVersion": "28", "SecurityOptions": ["name=rootless"]})
    machine.run("run_train.py", "my-project")
    assert values(machine.recorded(), "--user") == ["0:0"]


def test_env_file_is_read_and_the_environment_wins(machine: Machine) -> None:
    del machine.environ["A2F_DATASETS_ROOT"]
    lines = ["A2F_DATASETS_ROOT='../datasets'", "A2F_WORKSPACE_ROOT=/nowhere", "HF_TOKEN=secret", "A2F_SHM_SIZE=1g"]
    machine.write(machine.checkout / ".env", "\n".join(lines))
    result = machine.run("run_train.py", "my-project")
    assert result.returncode == 0, result.stderr
    argv = machine.recorded()
    assert f"type=bind,source={machine.root}/datasets,target=/datasets,readonly" in values(argv, "--mount")
    assert f"type=bind,source={machine.root}/workspace,target=/workspace" in values(argv, "--mount")
    assert values(argv, "--shm-size") == ["1g"]
    assert "HF_TOKEN" in result.stderr and "secret" not in result.stderr + result.stdout
    assert "HF_TOKEN" in values(argv, "--env") and "secret" not in " ".join(argv)
    assert json.loads(machine.record.read_text())["environ"]["HF_TOKEN"] == "secret"


def test_outside_configs_hub_cache_links_and_odd_paths_are_mounted(machine: Machine) -> None:
    odd = machine.root / "a, b:c"
    machine.write(odd / "elsewhere/audio/a.wav", "")
    machine.write(machine.root / "projects/theirs/config_train.py", "")
    (machine.root / "datasets/claire").symlink_to(odd)
    machine.environ["A2F_CONFIGS_ROOT"] = "projects"
    machine.environ["HF_HOME"] = str(machine.root / "hub")
    assert machine.run("run_train.py", "theirs").returncode == 0
    argv = machine.recorded()
    assert f"type=bind,source={machine.root}/projects,target=/configs,readonly" in values(argv, "--mount")
    assert f"type=bind,source={machine.root}/hub,target=/huggingface" in values(argv, "--mount")
    assert f'type=bind,"source={odd}","target={odd}",readonly' in values(argv, "--mount")
    assert {"A2F_CONFIGS_ROOT=/configs", "HF_HOME=/huggingface"} <= set(values(argv, "--env"))


def test_links_in_the_data_sets_lead_to_data_sets_only(machine: Machine) -> None:
    """A data set may come as an archive, and an archive may hold links to anything."""
    datasets, home = machine.root / "datasets", machine.root / "home"
    machine.write(home / "data/claire/audio/a.wav", "")
    machine.write(machine.root / "workspace/output_train/x/a.npy", "")
    machine.write(machine.root / "notes/letter.txt", "")
    machine.environ["HOME"] = str(home)
    places = {
        "good": home / "data/claire", "home": home, "above": machine.root, "root": "/", "system": "/etc", "slashes": "//etc",
        "inside": "/usr/share", "homes": "/home", "someone": "/home/someone", "proc": "/proc/self", "workspace": "../workspace",
        "runs": "../workspace/output_train", "own": machine.checkout, "notes": "../notes", "again": "../datasets",
    }  # fmt: skip
    for name, place in places.items():
        (datasets / name).symlink_to(place)
    result = machine.run("run_train.py", "my-project")
    assert result.returncode == 0, result.stderr
    mounted = values(machine.recorded(), "--mount")
    assert [
        m
        for m in mounted
        if "target=/framework" not in m and "target=/workspace" not in m and "target=/datasets" not in m
    ] == [f"type=bind,source={home}/data/claire,target={home}/data/claire,readonly"]
    assert len(mounted) == 4
    assert "notes, which holds neither sound nor animation: it is not mounted" in result.stderr
    assert result.stderr.count("is not mounted") >= 9


def test_sound_files_are_named_as_the_container_sees_them(machine: Machine) -> None:
    for name in ("datasets/in.wav", "other/out.wav", "other/more/x.wav"):
        machine.write(machine.root / name, "")
    audio = ["datasets/in.wav", "other/out.wav", "other/more", "/datasets/later.wav"]
    result = machine.run("run_inference.py", "my-project", "latest", "--emotion", "joy", "--audio", *audio)
    assert result.returncode == 0, result.stderr
    argv = machine.recorded()
    seen = ["/datasets/in.wav", "/input/1/out.wav", "/input/2/more", "/datasets/later.wav"]
    assert argv[-8:] == ["my-project", "latest", "--audio", *seen, "--emotion", "joy"][-8:]
    assert f"type=bind,source={machine.root}/other/more,target=/input/2/more,readonly" in values(argv, "--mount")
    result = machine.run("run_inference.py", "my-project", "latest", "--audio", "absent.wav")
    assert result.returncode == 2 and "absent.wav: no such file" in result.stderr


def test_options_of_every_kind_reach_the_evaluation(machine: Machine) -> None:
    machine.write(machine.root / "other/lips.json", "[1]")
    options = ["--videos", "2", "--compare", "one", "two", "--lips", "other/lips.json"]
    result = machine.run("run_evaluate.py", "my-project", "latest", *options)
    assert result.returncode == 0, result.stderr
    told = ["runners.run_evaluate", "my-project", "latest", "--compare", "one", "two", "--lips", "/input/0/lips.json"]
    assert machine.recorded()[-10:] == [*told, "--videos", "2"]
    options = ["--shots", "a1,b*", "c d", "--data", "other"]
    result = machine.run("run_evaluate.py", "my-project", "latest", *options)
    assert result.returncode == 0, result.stderr
    assert machine.recorded()[-5:] == ["--shots", "a1,b*", "c d", "--data", "/input/0/other"]
    result = machine.run("run_evaluate.py", "my-project", "latest", "--shots", "a,,b")
    assert result.returncode == 2 and "'a,,b' are not shot names" in result.stderr
    for count in ("many", "-1"):
        result = machine.run("run_evaluate.py", "my-project", "latest", "--videos", count)
        assert result.returncode == 2 and f"'{count}' is not a whole number, 0 or more" in result.stderr


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"A2F_DATASETS_ROOT": None}, "cp .env.example .env"),
        ({"A2F_DATASETS_ROOT": "/no/such"}, "/no/such is not a folder: fix it in .env, or mkdir -p"),
        ({"A2F_WORKSPACE_ROOT": None}, "A2F_WORKSPACE_ROOT is not set"),
        ({"A2F_WORKSPACE_ROOT": "/proc/no"}, "A2F_WORKSPACE_ROOT=/proc/no cannot be created"),
        ({"A2F_CONFIGS_ROOT": "/no/such"}, "A2F_CONFIGS_ROOT=/no/such is not a folder"),
        ({"A2F_RUNTIME": "podman"}, "A2F_RUNTIME=podman: set it to docker or local"),
        ({"PATH": "/nowhere"}, "Docker is not installed"),
        ({"FAKE_ENGINE_ERROR": "Cannot connect to the Docker daemon"}, "sudo systemctl start docker"),
        ({"FAKE_ENGINE_ERROR": "permission denied on the socket"}, "sudo usermod -aG docker"),
        ({"FAKE_INFO": '{"ServerErrors": ["nobody home"]}'}, "no Docker engine responds (nobody home)"),
        ({"FAKE_NO_IMAGE": "1"}, "image audio2face-framework-env does not exist yet: ./docker/build_docker.sh"),
    ],
)
def test_what_is_missing_is_said_in_one_line(machine: Machine, change: dict[str, str | None], expected: str) -> None:
    machine.environ.update({key: value for key, value in change.items() if value is not None})
    for key in (key for key, value in change.items() if value is None):
        del machine.environ[key]
    result = machine.run("run_preproc.py", "my-project", "claire")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("error: ") and expected in result.stderr
    assert not machine.record.exists()


def test_an_env_file_without_a_key_says_so(machine: Machine) -> None:
    del machine.environ["A2F_DATASETS_ROOT"]
    machine.write(machine.checkout / ".env", "A2F_WORKSPACE_ROOT=x")
    result = machine.run("run_preproc.py", "my-project", "claire")
    assert result.returncode == 2 and "set A2F_DATASETS_ROOT in .env" in result.stderr


def test_names_are_checked_and_the_nearest_config_is_named(machine: Machine) -> None:
    result = machine.run("run_train.py", "my-projct")
    assert result.returncode == 2 and "did you mean my-project?" in result.stderr
    assert machine.run("run_train.py", "xyz").stderr.endswith(": there is my-project\n")
    for bad in ("x; rm -rf /", "$(id)", "../configs", "a..b", "-x", "a/b", "a\n", "`id`", ""):
        for argv in (["run_train.py", bad], ["run_deploy.py", "my-project", bad], ["run_preproc.py", bad, "claire"]):
            result = machine.run(*argv)
            assert result.returncode == 2 and result.stderr, argv
    assert not machine.record.exists()


def test_an_outdated_image_is_noticed(machine: Machine) -> None:
    machine.environ["FAKE_LABELS"] = '{"audio2face.packages": "old"}'
    result = machine.run("run_train.py", "my-project")
    assert result.returncode == 0 and "was built for other package versions" in result.stderr


@pytest.mark.parametrize("command", list(arguments.COMMANDS))
def test_help_has_an_example(machine: Machine, command: str) -> None:
    result = machine.run(f"run_{command}.py", "--help", python=("-E", "-S"))
    assert result.returncode == 0 and f"example: python run_{command}.py" in result.stdout
    assert "--local" in result.stdout and "--docker" in result.stdout


@pytest.mark.parametrize("key", ["A2F_VIEWER_PORT", "A2F_SERVE_PORT"])
def test_only_a_shell_publishes_a_port(machine: Machine, key: str) -> None:
    program = [sys.executable, "-m", "runners.launch", "shell", "true"]

    def shell(port: str) -> subprocess.CompletedProcess[str]:
        environ = {**machine.environ, key: port}
        return subprocess.run(program, env=environ, cwd=machine.checkout, capture_output=True, text=True, timeout=60)

    assert shell("8123").returncode == 0
    assert values(machine.recorded(), "--publish") == ["127.0.0.1:8123:8123"]
    assert key in values(machine.recorded(), "--env")
    machine.environ[key] = "8123"
    assert machine.run("run_train.py", "my-project").returncode == 0
    assert not values(machine.recorded(), "--publish")
    for port in ("x", "0", "70000", "0.0.0.0:80"):
        done = shell(port)
        assert done.returncode == 2 and f"{key}={port}: expected a number" in done.stderr


def test_the_host_needs_nothing_but_an_old_python(machine: Machine) -> None:
    for name in HOST_FILES:
        tree = ast.parse((ROOT / name).read_text(), feature_version=(3, 8))
        future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        assert future or not any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree)), name
    machine.write(machine.checkout / ".env", "A2F_SHM_SIZE=3g\n")
    assert machine.run("run_train.py", "my-project", python=("-E", "-S")).returncode == 0
    assert values(machine.recorded(), "--shm-size") == ["3g"]


def test_env_reader_agrees_with_python_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv = pytest.importorskip("dotenv")
    monkeypatch.setenv("WHO", "me")
    text = """\ufeff# comment
        A=plain
        export B = "with blanks # no comment"   # comment
        C='single ${A}'
        D=${A}/${WHO}/${MISSING:-default}/${NONE}
        E=a b c  # comment
        F=
        G="${A} and \\"quotes\\""
        H=a#b
        """
    path = tmp_path / ".env"
    path.write_bytes("\r\n".join(line.strip() for line in text.splitlines()).encode())
    assert settings.read_env_file(path, os.environ) == dict(dotenv.dotenv_values(path, encoding="utf-8-sig"))
    path.write_text("A=1\nthis is no setting\n")
    with pytest.raises(settings.SettingsError, match="line 2"):
        settings.read_env_file(path, os.environ)


# ---- the runner's side, with commands that need no torch


@pytest.fixture
def local(machine: Machine) -> Machine:
    machine.fake_commands()
    machine.environ["A2F_RUNTIME"] = "local"
    return machine


def test_local_run_needs_no_docker_and_ends_with_the_run_name(local: Machine) -> None:
    local.environ["PATH"] = "/nowhere"
    result = local.run("run_preproc.py", "my-project", "claire", "--local")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"ran my-project claire {{}} {local.root}/datasets"
    assert lines[-1] == "Preproc Run Name Full: 250909_135508_example"
    assert lines[-2] == "Next: python run_train.py my-project --local"
    assert f"  /datasets = {local.root}/datasets" in lines and f"  /framework = {local.checkout}" in lines


def test_every_command_names_its_run_and_the_next_command(local: Machine) -> None:
    for argv, kind, following in (
        (["run_train.py", "my-project"], "Training", "run_deploy.py my-project 250909_135508_example"),
        (["run_deploy.py", "my-project", "latest"], "Deploy", "run_inference.py my-project 250909_135508_example"),
        (["run_inference.py", "my-project", "latest"], "Inference", "run_inference.py my-project latest --audio PATH"),
    ):
        lines = local.run(*argv).stdout.splitlines()
        assert lines[-2:] == [f"Next: python {following}", f"{kind} Run Name Full: 250909_135508_example"]


def test_after_a_training_without_an_export_comes_inference() -> None:
    args = argparse.Namespace(config_name="talks", local=True)
    assert arguments.next_command("train", args, "run") == "python run_deploy.py talks run --local"
    assert arguments.next_command("train", args, "run", exported=False) == "python run_inference.py talks run --local"


def test_options_override_config_keys(local: Machine) -> None:
    local.write(local.root / "a.wav", "")
    options = ["--audio", "a.wav", "--actor", "demo", "--emotion", "joy", "--mode", "offline_onnx"]
    result = local.run("run_inference.py", "my-project", "latest", *options)
    expected = {"AUDIO_PATH": [f"{local.root}/a.wav"], "EMOTION_LABEL": "joy", "ACTOR_NAME": "demo"}
    expected["INFERENCE_MODE"] = "offline_onnx"
    assert f"ran my-project latest {expected}" in result.stdout


def test_modes_are_those_that_there_are_and_the_nearest_is_named(local: Machine) -> None:
    from audio2face.models.common.options import MODES
    from audio2face.models.diffusion.options import MODES as DIFFUSION
    from audio2face.models.regression.options import MODES as REGRESSION

    assert set(arguments.INFERENCE_MODES) == set(MODES)
    result = local.run("run_inference.py", "my-project", "latest", "--mode", "ofline_onnx")
    assert result.returncode == 2 and "'ofline_onnx' is unknown: did you mean offline_onnx?" in result.stderr
    shown = " ".join(local.run("run_inference.py", "--help").stdout.split())
    assert all(mode in shown for mode in (*REGRESSION, *DIFFUSION))


def test_inside_the_image_commands_run_directly(local: Machine) -> None:
    local.environ |= {"A2F_IN_CONTAINER": "1", "A2F_RUNTIME": "docker", "EXTERNAL_DATASETS_ROOT": "/home/me/data"}
    result = local.run("run_preproc.py", "my-project", "claire")
    assert result.returncode == 0 and "  /datasets = /home/me/data" in result.stdout
    assert not local.record.exists()


def test_failures_have_their_own_exit_status(local: Machine) -> None:
    mistake = local.run("run_preproc.py", "my-project", "mistaken")
    assert mistake.returncode == 2
    assert mistake.stderr.splitlines() == ["error: config_dataset.py: CACHE_FPS is wrong", "error: shot a: no sound"]
    full = local.run("run_preproc.py", "my-project", "full")
    assert full.returncode == 2 and full.stderr.startswith("error: /workspace/x: No space left on device")
    fault = local.run("run_preproc.py", "my-project", "broken")
    assert fault.returncode == 1 and "KeyError" in fault.stderr and "bug in the framework" in fault.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["signal", "class", "library"])
def test_a_signal_while_packages_are_imported_ends_as_any_other(local: Machine, moment: str, number: int) -> None:
    """Of code that is run from a string Python wants to end by SIGINT; bodies of classes and libraries make errors of it."""
    result = local.run("run_preproc.py", "my-project", f"{moment}-{int(number)}")
    assert result.returncode == 128 + number and result.stderr == "stopped on request\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("actor", ["slow", "saving"])
def test_a_stopped_command_keeps_its_work_and_says_so(local: Machine, actor: str, number: int) -> None:
    process = local.start("run_preproc.py", "my-project", actor)
    assert process.stdout is not None
    while process.stdout.readline() != "started\n":
        assert process.poll() is None
    process.send_signal(number)
    time.sleep(0.1)
    process.send_signal(number)  # the same key press through the process group: not a second wish
    out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number and "stopped" in err and "Traceback" not in err
    assert ("saved" in out and "Preproc Run Name Full" in out) == (actor != "slow")


def test_local_run_falls_back_to_the_checkouts_environment(machine: Machine) -> None:
    result = machine.run("run_train.py", "my-project", "--local", python=("-E", "-S"))
    assert result.returncode == 2 and "make setup" in result.stderr
    environment = machine.checkout / ".venv/bin/python"
    machine.write(environment, '#!/bin/sh\necho "venv $@"\n')
    environment.chmod(0o755)
    result = machine.run("run_train.py", "my-project", "--local", python=("-E", "-S"))
    assert result.stdout == "venv -m runners.run_train my-project --local\n"


def test_preproc_takes_any_number_of_actors(local: Machine) -> None:
    for argv, words in (
        (["my-project", "claire", "--local"], "claire"),
        (["my-project", "--local", "claire"], "claire"),
        (["my-project", "--local"], "[]"),
        (["my-project", "ann", "--local", "bob"], "['ann', 'bob']"),
    ):
        result = local.run("run_preproc.py", *argv)
        assert result.returncode == 0 and f"ran my-project {words} {{}}" in result.stdout, result.stderr
    result = local.run("run_preproc.py")
    assert result.returncode == 2 and result.stderr.endswith("arguments are required: CONFIG_NAME\n")
    local.environ["A2F_RUNTIME"] = "docker"
    assert local.run("run_preproc.py", "my-project", "ann", "bob").returncode == 0
    assert local.recorded()[-5:] == ["-m", "runners.run_preproc", "my-project", "ann", "bob"]
    assert local.run("run_preproc.py", "my-project", "ann", "$(id)").returncode == 2


def test_a_container_has_what_several_training_processes_need(machine: Machine) -> None:
    machine.environ |= {"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert machine.run("run_train.py", "my-project").returncode == 0
    argv = machine.recorded()
    assert values(argv, "--shm-size") == ["8g"] and "--init" in argv and int(values(argv, "--stop-timeout")[0]) >= 600
    assert {"OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"} <= set(values(argv, "--env"))
    assert not any("network" in word or "pids" in word or "cpus" in word for word in argv)  # no limits, own localhost


def test_threads_of_a_container_sleep_while_they_wait_unless_the_user_says_otherwise(machine: Machine) -> None:
    machine.environ["A2F_THREADS"] = "3"
    assert machine.run("run_train.py", "my-project").returncode == 0
    assert {"OMP_WAIT_POLICY=PASSIVE", "A2F_THREADS"} <= set(values(machine.recorded(), "--env"))
    machine.environ["GOMP_SPINCOUNT"] = "1000"
    assert machine.run("run_train.py", "my-project").returncode == 0
    given = set(values(machine.recorded(), "--env"))
    assert "GOMP_SPINCOUNT" in given and not any(word.startswith("OMP_WAIT_POLICY") for word in given)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_build_script_tags_labels_and_passes_arguments_on(machine: Machine) -> None:
    machine.environ["PATH"] += f":{os.path.dirname(sys.executable)}:/usr/bin:/bin"
    argv = ["bash", str(machine.checkout / "docker/build_docker.sh"), "--build-arg", "BASE_IMAGE=my base"]
    subprocess.run(argv, env=machine.environ, cwd=machine.root, timeout=60, check=True)
    argv = machine.recorded()
    assert argv[0] == "build" and argv[-3:] == ["--build-arg", "BASE_IMAGE=my base", "."]
    assert values(argv, "--tag") == ["audio2face-framework-env"]
    assert values(argv, "--label")[0].startswith("audio2face.packages=")
    machine.environ["FAKE_LABELS"] = json.dumps(dict([values(argv, "--label")[0].split("=")]))
    assert "other package versions" not in machine.run("run_train.py", "my-project").stderr
