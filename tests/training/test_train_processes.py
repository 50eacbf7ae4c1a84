"""Processes that the commands start: command lines, what they leave word of, many actors at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.project import diffusion_project, use_project

from audio2face import runtime
from audio2face.commands import preproc_actors, train
from audio2face.config import section_from_values
from audio2face.machine import child_environment
from audio2face.models.diffusion.build import _build_advice
from audio2face.models.regression import build as regression_build
from audio2face.problems import UserError
from audio2face.runs.preproc_run import load_preproc_run
from audio2face.training import launch as train_processes
from audio2face.training import precision as speed
from audio2face.training.launch import Outcome
from audio2face.training.settings import build_learning_rate

STARTER = """
import json, os, signal, sys, time
folder, kind = sys.argv[1], sys.argv[2]
def say(rank, **outcome):
    json.dump(outcome, open(f"{folder}/outcome_{rank}.json", "w"))
if kind == "done":
    say(0, run="one"), say(1, run="one")
elif kind == "mistake":
    say(1, error=["a", "b"]), sys.exit(2)
elif kind == "dead":
    say(1, run="one"), sys.exit(1)
elif kind == "waits":
    signal.signal(signal.SIGINT, lambda *_: (say(0, run="one", stopped_by=2), os._exit(0)))
    open(f"{folder}/0.pid", "w").write(str(os.getpid()))
    time.sleep(30)
"""


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun is a small script; the config's name says what its processes do."""
    argv = lambda folder, module, config, resume, count: [sys.executable, "-c", STARTER, str(folder), config]  # noqa: E731
    monkeypatch.setattr(train_processes, "torchrun_arguments", argv)


def test_outcomes_of_processes_become_those_of_the_command(pretend: None) -> None:
    assert train_processes.train_together("x", "done", None, 2) == Outcome("one")
    with pytest.raises(UserError) as error:
        train_processes.train_together("x", "mistake", None, 2)
    assert list(error.value.lines) == ["a", "b"]
    with pytest.raises(RuntimeError, match="a training process failed"):
        train_processes.train_together("x", "dead", None, 2)


def test_an_interrupt_reaches_the_first_process(pretend: None, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Path] = []
    plain = train_processes._wait

    def wait(process: Any, folder: Path) -> bool:
        def interrupt() -> None:
            while not (folder / "0.pid").exists() or not (folder / "0.pid").read_text():
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        found.append(folder)
        return plain(process, folder)

    monkeypatch.setattr(train_processes, "_wait", wait)
    assert (
        train_processes.train_together("x", "waits", None, 2) == Outcome("one", signal.SIGINT) and not found[0].exists()
    )


def test_torchrun_gets_the_processes_and_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    argv = train_processes.torchrun_arguments(Path("/tmp/x"), "a.module", "my-project", "latest", 3)
    assert argv[:3] == [sys.executable, "-m", "torch.distributed.run"] and "--nproc-per-node=3" in argv
    assert argv[-4:] == ["a.module", "/tmp/x", "my-project", "latest"]
    monkeypatch.setattr("audio2face.machine.num_cores", lambda: 8)
    assert child_environment(3, {})["OMP_NUM_THREADS"] == "2"
    assert child_environment(3, {"OMP_NUM_THREADS": "5"})["OMP_NUM_THREADS"] == "5"


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None, int], int]:
    """chosen(NUM_PROCESSES, GPUs): the number of processes on a machine with 4 cores, for batches of 4."""
    monkeypatch.setattr(train_processes, "num_cores", lambda: 4)

    def number(wanted: int | None, devices: int) -> int:
        monkeypatch.setattr(runtime, "num_devices", lambda: devices)
        return train_processes.build_process_count(
            section_from_values("train", {"NUM_PROCESSES": wanted, "BATCH_SIZE": 4})
        )

    return number


@pytest.mark.parametrize(
    ("wanted", "devices", "number"), [(None, 0, 1), (None, 1, 1), (None, 8, 4), (2, 8, 2), (3, 0, 3)]
)
def test_number_of_processes(chosen, wanted: int | None, devices: int, number: int) -> None:
    assert chosen(wanted, devices) == number


@pytest.mark.parametrize(("devices", "limit"), [(0, "4 CPU core"), (2, "2 GPU")])
def test_more_processes_than_the_machine_has_are_refused(chosen, devices: int, limit: str) -> None:
    with pytest.raises(UserError, match=f"NUM_PROCESSES = 5, but PyTorch can use {limit}"):
        chosen(5, devices)


def test_processes_that_torchrun_has_started_are_taken(chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"RANK": "0", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    there |= {"MASTER_ADDR": "here", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x"}
    for key, value in there.items():
        monkeypatch.setenv(key, value)
    assert chosen(None, 8) == 1
    assert chosen(2, 8) == 1
    with pytest.raises(UserError, match=r"torchrun has started 2 process"):
        chosen(4, 8)


def test_compiling_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    section = section_from_values("train", {"COMPILE": True, "PRECISION": "bf16"})
    monkeypatch.setattr(speed, "has_compiler", lambda: True)
    assert speed.build_precision(section) == speed.Precision(bf16=True, compile=True)
    monkeypatch.setattr(speed, "has_compiler", lambda: False)
    with pytest.raises(UserError, match="COMPILE needs a C[+][+] compiler"):
        speed.build_precision(section)
    assert speed.build_precision(section_from_values("train", {})) == speed.FLOAT32


def test_advice_names_only_what_is_not_done_yet() -> None:
    cpu = torch.device("cpu")
    example = section_from_values("train", {"NETWORK_TYPE": "diffusion"})
    advice = "; ".join(speed.build_advice(example, cpu, _build_advice(example)))
    for key in ("diffusion_rnn_pca", "freeze_audio_encoder", "PRECISION", "a GPU", "NUM_EPOCHS than 400"):
        assert key in advice
    quick = {"NETWORK_TYPE": "diffusion", "NETWORK_NAME": "diffusion_rnn_pca", "PRECISION": "bf16"}
    quick["NETWORK_HYPER_PARAMS"] = {"freeze_audio_encoder": True}
    section = section_from_values("train", quick)
    assert len(speed.build_advice(section, torch.device("cuda"), _build_advice(section))) == 1  # fewer epochs
    section = section_from_values("train", {"NETWORK_TYPE": "regression"})
    regression, too_large = (
        "; ".join(speed.build_advice(section, cpu, regression_build._build_advice(section, features_kept=kept)))
        for kept in (True, False)
    )
    assert "diffusion" not in regression and "w2v_freeze" not in regression and "PRECISION" in regression
    assert "FEATURE_CACHE_GB" not in regression and "FEATURE_CACHE_GB" in too_large


@pytest.mark.parametrize(("scaling", "factor"), [("none", 1.0), ("sqrt", 2.0), ("linear", 4.0)])
def test_learning_rate_follows_the_batch(scaling: str, factor: float) -> None:
    keys = {"LEARNING_RATE": 1e-3, "LEARNING_RATE_SCALING": scaling, "LEARNING_RATE_BATCH_SIZE": 8}
    regression = section_from_values("train", {**keys, "BATCH_SIZE": 32})
    keys |= {"NETWORK_TYPE": "diffusion", "BATCH_SIZE": 16, "GRADIENT_ACCUMULATION_STEPS": 2}
    for section in (regression, section_from_values("train", keys)):
        assert build_learning_rate(section) == pytest.approx(1e-3 * factor)


@pytest.mark.parametrize(
    ("actors", "cores", "free_gb", "number"),
    [(5, 8, 100.0, 5), (9, 4, 100.0, 4), (9, 8, 7.0, 3), (3, 2, 0.5, 1), (3, 2, None, 2)],
)
def test_as_many_actors_at_once_as_cores_and_memory_allow(
    actors: int, cores: int, free_gb: float | None, number: int
) -> None:
    assert preproc_actors.how_many_at_once(actors, cores, free_gb, 2.0) == number


def test_every_actor_is_tried_and_all_that_is_wrong_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    diffusion_project(tmp_path, ("ann", "bob"))
    use_project(tmp_path, monkeypatch)
    (tmp_path / "datasets/bob/audio").rename(tmp_path / "datasets/bob/elsewhere")
    with pytest.raises(UserError) as error:
        preproc_actors.run("tiny", [])
    assert error.value.lines and all(line.startswith("bob: AUDIO_ROOT") for line in error.value.lines)
    (run,) = (tmp_path / "workspace/output_preproc").iterdir()
    assert load_preproc_run(run).actor == "ann"
    assert "ann: " in capsys.readouterr().out
    with pytest.raises(UserError) as error:
        preproc_actors.run("tiny", ["ann", "eve", "joe"])
    assert len(error.value.lines) == 2


def test_a_project_of_one_actor_needs_no_further_process(monkeypatch: pytest.MonkeyPatch) -> None:
    section = section_from_values("dataset", {"ACTOR_NAMES": ["ann"]})
    monkeypatch.setattr(preproc_actors, "load_config", lambda *_: {"dataset": section, "preproc": None})
    monkeypatch.setattr(preproc_actors.preproc, "run", lambda *arguments: str(arguments))
    assert preproc_actors.run("tiny", [], cache=False) == ["('tiny', 'ann', False)"]


@pytest.mark.slow
def test_two_processes_train_export_and_stop_through_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole path: a run of two processes, one that is gone on with by a single process, and one that loses a process."""
    diffusion_project(tmp_path, ("ann", "bob"), NUM_PROCESSES=2, BATCH_SIZE=3)
    use_project(tmp_path, monkeypatch)
    monkeypatch.setattr(train_processes, "num_cores", lambda: 2)
    preproc_actors.run("tiny", [])
    run = train.run("tiny").run
    folder = tmp_path / "workspace/output_train" / run
    assert (folder / "weights.pth").is_file() and (folder / "deploy/network.onnx").is_file()
    assert (folder / "log.log").read_text().count("training run:") == 1
    diffusion_project(tmp_path, ("ann", "bob"), NUM_PROCESSES=2, BATCH_SIZE=3, NUM_EPOCHS=10000, LOG_PERIOD=1)
    argv = [sys.executable, "-m", "runners.run_train", "tiny"]
    (tmp_path / "temporary").mkdir()
    environ = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    while " step 3/" not in process.stdout.readline():
        assert process.poll() is None
    (second,) = (tmp_path / "temporary").glob("a2f_train_*/1.pid")
    os.kill(int(second.read_text()), signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1 and "a training process failed" in out


def test_a_process_number_is_there_in_full_or_not_at_all(tmp_path, monkeypatch):
    write = Path.write_text

    def slowly(path, text, **options):
        write(path, text[:1], **options)
        assert all(file.read_text() == str(os.getpid()) for file in tmp_path.glob("*.pid"))
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", slowly)
    assert train_processes.worker([str(tmp_path), "tiny"], lambda *_: Outcome("one")) == 0
    assert (tmp_path / "0.pid").read_text() == str(os.getpid())
