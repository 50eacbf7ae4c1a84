"""The power is cut anywhere in a command: what the next command finds is what was before, or what the command was to make.

It stands with the commands since it records all of them; tests/fakes/power.py says what a cut may leave.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fakes.actor import ACTOR
from fakes.power import Recorder, Tree, complete_runs, read_tree, states, write_tree
from fakes.project import regression_project, run_command, use_project, write_key

from audio2face.inference import load_model
from audio2face.models.common.weights import read_weights
from audio2face.runs.checkpoints import load_checkpoint
from audio2face.runs.manifest import faults
from audio2face.runs.preproc_run import load_preproc_run
from audio2face.runs.run_dir import INCOMPLETE, read_config_json
from audio2face.runs.train_run import load_train_run
from audio2face.training.resume import began_with

pytestmark = pytest.mark.slow
COMMANDS = {
    "preproc": ["tiny", "tiny", "--no-cache"],
    "train": ["tiny"],
    "train --export": ["tiny", "--export", "latest"],
    "deploy": ["tiny", "latest"],
    "inference": ["tiny", "latest"],
    "evaluate": ["tiny", "latest", "--videos", "0"],
}
TRIED = 3  # states from which the command itself is run again


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project for which every command has been run once."""
    root = tmp_path_factory.mktemp("power")
    regression_project(root, frames=20, NUM_EPOCHS=2, CHECKPOINT_MINUTES=1e-9, CHECKPOINT_KEEP=2)
    with pytest.MonkeyPatch.context() as patch:
        use_project(root, patch)
        for command, arguments in COMMANDS.items():
            assert run_command(command.split()[0], arguments) == 0
    return root


def open_train(folder: Path) -> None:
    run = load_train_run(folder)
    assert read_weights(run.weights) and run.actor(ACTOR) and run.emotion_db(ACTOR)


def begun(tree: Tree) -> list[str]:
    """Runs that have their name and are not done."""
    return [name.split("/")[0] for name in tree if name.endswith(f"/{INCOMPLETE}") and not name.startswith(".")]


def needed_to_resume(name: str) -> bool:
    return name.count("/") == 0 or name.split("/")[1] in ("configs", "checkpoints")


OPEN = {
    "preproc": lambda folder: load_preproc_run(folder).network_data,
    "train": open_train,
    "deploy": load_model,
    "inference": lambda folder: None,
    "evaluate": lambda folder: None,
}


def open_all(output: Path, kind: str) -> None:
    """What the next command does with the runs that are there."""
    for name in complete_runs(read_tree(output)):
        assert faults(output / name) == []
        OPEN[kind](output / name)


def step_to_go_on_from(folder: Path) -> int:
    """The newest checkpoint's step of a training that was cut, all of whose settings must be there."""
    assert began_with(folder) and read_config_json(folder, "train") and read_config_json(folder, "dataset")
    state = load_checkpoint(folder)
    return int(state["step"]) if state else 0


@pytest.mark.parametrize("command", COMMANDS)
def test_the_old_or_the_new(project, tmp_path, monkeypatch, command, capsys):
    root = tmp_path / "copy"
    shutil.copytree(project, root)
    use_project(root, monkeypatch)
    monkeypatch.setattr("audio2face.runs.run_dir.SWEEP_AGE_S", -1.0)
    kind, output = command.split()[0], root / f"workspace/output_{command.split()[0]}"
    if command == "deploy":
        write_key(root, "inference", "CONFIG", {"skin_strength": 1.25})
    if command == "train --export":
        write_key(root, "train", "ONNX_OPSET", 18)
    before = complete_runs(read_tree(output))
    with Recorder(output).recording() as recorder:
        assert run_command(kind, COMMANDS[command]) == 0
    after = complete_runs(read_tree(output))
    assert before and after != before
    capsys.readouterr()
    promised, known = 0, [before]
    steps: dict[int, int] = {}  # what is left of a training -> the step that it goes on from
    found = list(states(recorder.moments))
    for where, tree in found:
        seen = complete_runs(tree)
        assert seen in (before, after), where
        if seen not in known:
            known.append(seen)
            write_tree(tmp_path / "state", tree)
            open_all(tmp_path / "state", kind)
            shutil.rmtree(tmp_path / "state")
        for run in begun(tree) if kind == "train" else ():
            part = {name: content for name, content in tree.items() if name.startswith(run) and needed_to_resume(name)}
            key = hash(tuple(part.items()))
            if key not in steps:
                write_tree(tmp_path / "state", part)
                steps[key] = step_to_go_on_from(tmp_path / "state" / run)
                shutil.rmtree(tmp_path / "state")
            assert steps[key] >= promised, where
            promised = steps[key] if "names synced, contents lost" in where else promised
    for where, tree in found[:: max(len(found) // TRIED, 1)][:TRIED]:
        shutil.rmtree(output)
        write_tree(output, tree)
        assert run_command(kind, COMMANDS[command]) == 0, where
        open_all(output, kind)
    with capsys.disabled():
        print(f"\n{command}: {len(recorder.moments)} cuts, {len(found)} different disks, all old or new")
