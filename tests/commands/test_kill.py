"""kill -9 at any moment of a training, then --resume: the weights of an uninterrupted run, bit by bit.

It stands with the commands since what is killed is the whole process: loop, checkpoints, run folder and export.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fakes.project import diffusion_project, regression_project, use_project

from audio2face.problems import UserError
from audio2face.runs.checkpoints import checkpoint_files
from audio2face.runs.run_dir import resolve_run

KILLS = 10
CONTEXT = multiprocessing.get_context("forkserver")
OFTEN = {"CHECKPOINT_MINUTES": 1e-9}  # a checkpoint after every step


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half_written(state: object, file: object, save: object = torch.save) -> None:
    """torch.save that dies in the middle of the file."""
    import io

    buffer = io.BytesIO()
    save(state, buffer)  # type: ignore[operator]
    file.write(buffer.getvalue()[: len(buffer.getvalue()) // 2])  # type: ignore[attr-defined]
    file.flush()  # type: ignore[attr-defined]
    die()


def third_time(function: object) -> object:
    """Dies when it is called for the third time."""
    calls: list[int] = []

    def counted(*arguments: object, **more: object) -> object:
        calls.append(1)
        return die() if len(calls) == 3 else function(*arguments, **more)  # type: ignore[operator]

    return counted


MOMENTS = {  # where the process kills itself: module, name, what takes its place
    "before the folder has its name": ("audio2face.training.resume", "publish_run", die),
    "before the first checkpoint": ("audio2face.commands.train_fit", "save_checkpoint", die),
    "while writing the first checkpoint": ("torch", "save", half_written),
    "after the third checkpoint": ("audio2face.runs.checkpoints", "remove_left_overs", None),
    "while exporting": ("torch.onnx", "export", die),
}


def count_calls(limit: int | None) -> Callable[[], int]:
    """Die at the call of any function with number `limit`; the result tells how many there were."""
    number = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal number
        if event in ("call", "c_call"):
            number += 1
            if number == limit:
                die()

    sys.setprofile(called)
    return lambda: number


def child(
    environment: dict[str, str], resume: bool, moment: str | None, calls: int | None, log: str, report: str
) -> None:
    """One life of a training, in a process of its own: to its end, to a named moment, or for a number of calls."""
    os.environ.update(environment)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    torch.set_num_threads(1)
    import importlib

    from audio2face.commands import train

    if moment:
        module_name, name, function = MOMENTS[moment]
        module = importlib.import_module(module_name)
        setattr(module, name, function or third_time(getattr(module, name)))
    number = count_calls(calls)
    train.run("tiny", resume="latest" if resume else None)
    sys.setprofile(None)
    Path(report).write_text(str(number()))


class Lives:
    """Trainings of one project in workspaces of their own."""

    def __init__(self, root: Path):
        self.root, self.workspace = root, root / "workspace"
        CONTEXT.set_forkserver_preload(
            ["audio2face.commands.train", "audio2face.models.regression.export", "torch.utils.tensorboard"]
        )

    def live(self, workspace: str, resume: bool = False, moment: str | None = None, calls: int | None = None) -> int:
        """One life of a training; returns the exit code."""
        paths = {"DATASETS": "datasets", "CONFIGS": "configs", "WORKSPACE": workspace}
        environment = {f"A2F_{name}_ROOT": str(self.root / place) for name, place in paths.items()}
        environment |= {"A2F_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
        files = str(self.root / "log"), str(self.root / "calls")
        process = CONTEXT.Process(target=child, args=(environment, resume, moment, calls, *files))
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), (self.root / "log").read_text()[-3000:]
        return process.exitcode

    def finish(self, workspace: str, resume: bool) -> dict[str, torch.Tensor]:
        """Train to the end; returns the weights."""
        assert self.live(workspace, resume) == 0
        return self.result(workspace)

    def result(self, workspace: str) -> dict[str, torch.Tensor]:
        """The weights of the one run that there is, which is complete."""
        runs = self.root / workspace / "output_train"
        run = resolve_run(runs, "latest", what="training")
        assert [path for path in runs.iterdir() if not path.name.startswith(".")] == [run]
        assert (run / "deploy/network.onnx").is_file() and not list(run.rglob("*.partial*"))
        return torch.load(run / "weights.pth", weights_only=True)

    def copy(self, name: str) -> str:
        """A workspace that knows the preprocessing run."""
        (self.root / name).mkdir()
        (self.root / name / "output_preproc").symlink_to(self.workspace / "output_preproc")
        return name


@pytest.fixture(scope="module", params=["regression", "diffusion"])
def lives(request, tmp_path_factory):
    """A preprocessed project, how many functions a training calls, and the weights that it ends with."""
    from audio2face.commands import preproc

    root = tmp_path_factory.mktemp(request.param)
    if request.param == "regression":
        regression_project(root, frames=30, NUM_EPOCHS=2, VALIDATION_PERIOD=1, **OFTEN)
        actor = "tiny"
    else:
        diffusion_project(root, NUM_EPOCHS=4, VALIDATION_CLIPS=None, EMA_DECAY=0.9, **OFTEN)
        actor = "ann"
    with pytest.MonkeyPatch.context() as patch:
        use_project(root, patch)
        preproc.run("tiny", actor)
    found = Lives(root)
    weights = found.finish(found.copy("whole"), resume=False)
    return found, int((root / "calls").read_text()), weights


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_ten_kills_at_random_moments(lives):
    found, calls, weights = lives
    rng, kills, runs = random.Random(8), 0, 0
    while kills < KILLS:
        workspace, runs, resume = found.copy(f"killed_{runs}"), runs + 1, False
        while kills < KILLS and found.live(workspace, resume, calls=rng.randrange(1, int(0.6 * calls))):
            kills += 1
            output = found.root / workspace / "output_train"
            with pytest.raises(UserError):
                resolve_run(output, "latest", what="training")
            resume = any(not path.name.startswith(".") for path in output.glob("*"))
        if kills == KILLS:
            found.live(workspace, resume)
        assert equal(found.result(workspace), weights)


@pytest.mark.slow
@pytest.mark.parametrize("lives", ["regression"], indirect=True)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_a_chosen_moment(lives, moment):
    found, _, weights = lives
    workspace = found.copy(moment.replace(" ", "_"))
    assert found.live(workspace, moment=moment) == -signal.SIGKILL
    runs = found.root / workspace / "output_train"
    with pytest.raises(UserError, match="no finished"):
        resolve_run(runs, "latest", what="training")
    named = [path for path in runs.iterdir() if not path.name.startswith(".")]
    assert len(named) == (moment != "before the folder has its name")
    if named and "first" in moment:
        assert not checkpoint_files(named[0])
    assert equal(found.finish(workspace, resume=bool(named)), weights)
