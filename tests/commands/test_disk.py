"""Every command on a disk that is full or read-only: one clear line, nothing half-written found, earlier runs intact.

It stands with the commands since it runs all of them; `runs.disk` itself is tested in tests/runs/test_run_dir.py.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.project import regression_project, run_command, use_project

from audio2face.commands import train
from audio2face.runtime import setup_logging

COMMANDS = {
    "preproc": ["tiny", "tiny"],
    "train": ["tiny"],
    "deploy": ["tiny", "latest"],
    "inference": ["tiny", "latest"],
    "evaluate": ["tiny", "latest"],
}
LEFT_KB = {  # where the disk gives out: at the first file, at a small one, at a large one
    "preproc": (0, 60, 140),
    "train": (0, 150, 8000),
    "deploy": (0, 1000),
    "inference": (0, 150, 400),
    "evaluate": (0, 60),
}
OUTPUTS = {name: f"output_{name}" for name in COMMANDS}


def mount(*options: str) -> None:
    done = subprocess.run(["mount", *options], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A project that every command has been run for once, on a disk of its own: (root of the project, workspace)."""
    root = tmp_path_factory.mktemp("disk")
    workspace = root / "workspace"
    workspace.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mount("-t", "tmpfs", "-o", "size=120m", "tmpfs", str(workspace))
    patch = pytest.MonkeyPatch()
    try:
        regression_project(root, frames=20, NUM_EPOCHS=1)
        use_project(root, patch)
        for command in COMMANDS:
            assert run_command(command, [*COMMANDS[command]]) == 0
        yield root, workspace
    finally:
        patch.undo()
        setup_logging()
        subprocess.run(["umount", "--lazy", str(workspace)], check=True)


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file of complete and incomplete runs below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "filler"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def fill(folder: Path, leave: int) -> Path:
    """Fill the disk but for `leave` bytes."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        space = os.statvfs(folder)
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - leave)
    return filler


def refusal(command: str, capsys) -> str:
    """The one line that a command ends with; it must not be our fault."""
    capsys.readouterr()
    status = run_command(command, COMMANDS[command])
    told = capsys.readouterr().err
    assert status == 2 and "Traceback" not in told and "Logging error" not in told, told
    lines = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, told
    return lines[0]


@pytest.mark.parametrize(("command", "leave_kb"), [(c, kb) for c, sizes in LEFT_KB.items() for kb in sizes])
def test_a_full_disk(disk, command, leave_kb, capsys, monkeypatch):
    _, workspace = disk
    if leave_kb:  # as if the disk filled up later
        monkeypatch.setattr(train, "require_space", lambda *_: None)
    before = contents(workspace)
    latest = sorted(path.name for path in (workspace / OUTPUTS[command]).iterdir())
    filler = fill(workspace, leave_kb * 1024)
    try:
        line = refusal(command, capsys)
        assert str(workspace / OUTPUTS[command]) in line and ("free" in line or "left" in line), line
    finally:
        filler.unlink()
    after = contents(workspace)
    assert {name: after.get(name) for name in before} == before
    for folder in (workspace / OUTPUTS[command]).iterdir():
        assert folder.name in latest or (folder / ".incomplete").exists(), "half-written, and not marked so"
        if folder.name not in latest:
            shutil.rmtree(folder)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_workspace(disk, command, capsys):
    _, workspace = disk
    before = contents(workspace)
    mount("--bind", str(workspace), str(workspace))
    try:
        mount("-o", "remount,bind,ro", str(workspace))
        line = refusal(command, capsys)
        assert str(workspace / OUTPUTS[command]) in line and "read-only" in line
    finally:
        setup_logging()
        subprocess.run(["umount", "--lazy", str(workspace)], check=True)
    assert contents(workspace) == before
