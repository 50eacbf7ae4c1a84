"""Training in several processes of this machine: starts them through torchrun and tells how they ended.

Run as a module it is one of these processes. They leave word in a folder: their process ids, and what came of it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from audio2face.distributed import local_count, local_rank
from audio2face.formats.json_file import read_json, write_json
from audio2face.listing import natural_order
from audio2face.machine import child_environment
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # of Linux's prctl
AGREEMENT_S = 5.0  # how long a process that meets a user's mistake waits for the others to meet it, too


def train_together(config_name: str, resume: str | None, count: int) -> str:
    """Train in `count` processes; returns the run's name.

    Ctrl-C or SIGTERM is passed on, so that training saves and exports what there is, then KeyboardInterrupt is raised
    with the run's name. Raises UserError for what the processes call the user's mistake, RuntimeError when one failed.
    """
    with tempfile.TemporaryDirectory(prefix="a2f_train_") as folder:
        argv = torchrun_arguments(Path(folder), config_name, resume, count)
        process = subprocess.Popen(
            argv,
            env=child_environment(count),
            start_new_session=True,
            preexec_fn=_end_with_parent if os.name == "posix" else None,
        )
        interrupted = _wait(process, Path(folder))
        outcomes = [read_json(path) for path in natural_order(Path(folder).glob("outcome_*.json"))]
    for outcome in outcomes:
        if "error" in outcome:
            raise UserError(outcome["error"])
    first = outcomes[0] if outcomes else {}
    if first.get("stopped"):
        raise KeyboardInterrupt(first["stopped"])
    if interrupted:
        raise KeyboardInterrupt
    if process.returncode or "run" not in first:
        raise RuntimeError(
            "a training process failed: its message is above; one that was killed without a message had too little memory"
        )
    return first["run"]


def torchrun_arguments(folder: Path, config_name: str, resume: str | None, count: int) -> list[str]:
    """The command line that starts `count` processes of `main`."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    worker = ["-m", "audio2face.training.launch", str(folder), config_name]
    return [*torchrun, *worker, *([resume] if resume else [])]


def _end_with_parent() -> None:
    """In the new process: end, too, when the one that started it is killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Wait for the end. The first interrupt asks training to stop, a second one kills it; tells whether there was one."""
    interrupts = 0
    while True:
        try:
            process.wait()
            return interrupts > 0
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts == 1:
                _ask_to_stop(process, folder)
            else:
                for path in folder.glob("*.pid"):
                    _signal(int(path.read_text()), signal.SIGKILL)
                process.kill()


def _ask_to_stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    """One process that is asked stops all; torchrun itself would give them 30 seconds only."""
    first = folder / "0.pid"
    if first.is_file():
        _signal(int(first.read_text()), signal.SIGINT)
    else:
        process.terminate()


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _leave_number(folder: Path, rank: int) -> None:
    """Leave this process's number where the one that started it looks; a file that is there holds all of it."""
    unfinished = folder / f"{rank}.unfinished"
    unfinished.write_text(str(os.getpid()))
    unfinished.replace(folder / f"{rank}.pid")


def main(argv: list[str]) -> int:
    """One of the processes: FOLDER CONFIG_NAME [RESUME]. Returns its exit status."""
    from audio2face.commands import train
    from audio2face.runtime import setup_logging

    folder, rank = Path(argv[0]), local_rank()
    _leave_number(folder, rank)
    setup_logging()
    outcome: dict[str, Any]
    try:
        outcome = {"run": train.run(argv[1], *argv[2:])}
    except UserError as error:
        outcome = {"error": list(error.lines)}
    except KeyboardInterrupt as interrupt:
        outcome = {"stopped": str(interrupt.args[0]) if interrupt.args else None}
    write_json(folder / f"outcome_{rank}.json", outcome)
    if "error" in outcome and not _all_failed(folder):
        return 2
    return 0 if outcome.get("stopped", True) else 130


def _all_failed(folder: Path) -> bool:
    """Whether all processes end: then none needs to be stopped by torchrun, which would speak of a failure at length."""
    until = time.monotonic() + AGREEMENT_S
    while time.monotonic() < until:
        if len(list(folder.glob("outcome_*.json"))) == local_count():
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
