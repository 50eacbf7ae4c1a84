"""Training in several processes of this machine: starts them through torchrun and reports how they ended.

The processes write their ids and what came of them into a folder.
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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audio2face import runtime
from audio2face.config import Section
from audio2face.distributed import local_count, local_rank, under_torchrun
from audio2face.formats.json_file import read_json, write_json
from audio2face.listing import natural_order
from audio2face.machine import child_environment, num_cores
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # of Linux's prctl
AGREEMENT_S = 5.0  # how long a process that meets a user's mistake waits for the others to meet it, too


@dataclass(frozen=True)
class Outcome:
    """How a training ended: the run's full name, the signal that stopped it before its last epoch, and whether there is something
    to deploy."""

    run: str
    stopped_by: int | None = None
    exported: bool = True


def build_process_count(train: Section) -> int:
    """How many processes to start: 1 when torchrun has started this one already. Raises UserError when they cannot be."""
    requested = train.NUM_PROCESSES
    if under_torchrun():
        if requested not in (None, local_count()):
            raise UserError(
                f"config_train.py: NUM_PROCESSES = {requested}, but torchrun has started {local_count()} process(es) on this "
                "machine: leave NUM_PROCESSES out (None), or start without torchrun"
            )
        return 1
    devices = runtime.num_devices()
    most, what = (devices, "GPU(s)") if devices else (num_cores(), "CPU core(s)")
    if requested is not None and requested > most:
        raise UserError(f"config_train.py: NUM_PROCESSES = {requested}, but PyTorch can use {most} {what} here")
    if train.BATCH_SIZE < (requested or devices):
        logger.warning(
            "a batch of BATCH_SIZE = %d cannot keep %d processes busy: raise it (and lower GRADIENT_ACCUMULATION_STEPS)",
            train.BATCH_SIZE,
            requested or devices,
        )
    return requested or max(min(devices, train.BATCH_SIZE), 1)


def train_together(module: str, config_name: str, resume: str | None, count: int) -> Outcome:
    """Train in `count` processes of `module`, which calls `worker` when it is run.

    Ctrl-C or SIGTERM is passed on, so that training saves and exports what there is. Raises UserError for what the
    processes call the user's mistake, KeyboardInterrupt when they were killed, RuntimeError when one failed.
    """
    with tempfile.TemporaryDirectory(prefix="a2f_train_") as folder:
        argv = torchrun_arguments(Path(folder), module, config_name, resume, count)
        process = subprocess.Popen(
            argv,
            env=child_environment(count),
            start_new_session=True,
            preexec_fn=_end_with_parent if os.name == "posix" else None,
        )
        interrupted = _wait(process, Path(folder))
        results = [read_json(path) for path in natural_order(Path(folder).glob("outcome_*.json"))]
    for result in results:
        if "error" in result:
            raise UserError(result["error"])
    first = results[0] if results else {}
    if "run" in first and (interrupted or first.get("stopped_by") or not process.returncode):
        return Outcome(**first)
    if interrupted or first.get("killed"):
        raise KeyboardInterrupt
    raise RuntimeError(
        "a training process failed: its message is above; one that was killed without a message had too little memory"
    )


def torchrun_arguments(folder: Path, module: str, config_name: str, resume: str | None, count: int) -> list[str]:
    """The command line that starts `count` processes of `worker`."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    return [*torchrun, "-m", module, str(folder), config_name, *([resume] if resume else [])]


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


def worker(argv: list[str], train: Callable[..., Outcome]) -> int:
    """One of the processes: FOLDER CONFIG_NAME [RESUME], trained by `train(config_name, resume)`. Returns its exit status."""
    folder, rank = Path(argv[0]), local_rank()
    _leave_number(folder, rank)
    runtime.setup_logging()
    result: dict[str, Any]
    try:
        result = asdict(train(argv[1], *argv[2:]))
    except UserError as error:
        result = {"error": list(error.lines)}
    except KeyboardInterrupt:
        result = {"killed": True}
    write_json(folder / f"outcome_{rank}.json", result)
    if "error" in result and not _all_failed(folder):
        return 2
    return 130 if "killed" in result else 0


def _all_failed(folder: Path) -> bool:
    """Whether all processes end: then none needs to be stopped by torchrun, which would speak of a failure at length."""
    until = time.monotonic() + AGREEMENT_S
    while time.monotonic() < until:
        if len(list(folder.glob("outcome_*.json"))) == local_count():
            return True
        time.sleep(0.05)
    return False
