"""`run_preproc.py CONFIG [ACTOR...]`: several actors of a project, each in a process of its own, some at the same time."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from audio2face.commands import preproc
from audio2face.config import load_config
from audio2face.machine import child_environment, free_memory, num_cores
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

RUN_LINE = "Preproc Run Name Full: "  # the last line of a process that ended well


@dataclass
class Outcome:
    """How one actor's process ended."""

    run: str | None = None
    errors: list[str] = field(default_factory=list)


def run(config_name: str, actors: Sequence[str], cache: bool = True) -> list[str]:
    """Preprocess `actors`, or all of the project's when none is named; returns the full names of their runs, in order.

    `cache` as for one actor. Every actor is tried. Raises UserError listing what went wrong with which.
    """
    sections = load_config(config_name, ("dataset", "preproc"))
    known = list(sections["dataset"].ACTOR_NAMES)
    chosen = list(dict.fromkeys(actors)) or known
    problems = [
        f"actor {a!r} is not in ACTOR_NAMES of {config_name}: {', '.join(known)}" for a in chosen if a not in known
    ]
    if not chosen:
        problems.append(
            f"configs/{config_name}/config_dataset.py: ACTOR_NAMES is empty: name the actor(s) to preprocess"
        )
    if problems:
        raise UserError(problems)
    if len(chosen) == 1:
        return [preproc.run(config_name, chosen[0], cache)]
    width = how_many_at_once(len(chosen), num_cores(), _free_gb(), float(sections["preproc"].PREPROC_MEMORY_GB))
    logger.info("%d actors, %d at a time: %s", len(chosen), width, ", ".join(chosen))
    outcomes = _Workers([config_name, *([] if cache else ["--no-cache"])], width).run(chosen)
    for actor, outcome in outcomes.items():
        if outcome.run:
            logger.info("%s: preprocessing run %s", actor, outcome.run)
    problems = [f"{actor}: {line}" for actor, outcome in outcomes.items() for line in outcome.errors]
    if problems:
        raise UserError(problems)
    return [outcome.run for outcome in outcomes.values() if outcome.run]


def how_many_at_once(num_actors: int, num_cores: int, free_gb: float | None, actor_gb: float) -> int:
    """Processes that cores and memory allow, at least one."""
    by_memory = num_actors if free_gb is None else int(free_gb / actor_gb)
    return max(min(num_actors, num_cores, by_memory), 1)


def _free_gb() -> float | None:
    """Memory that is free or can be freed, where the system reports it."""
    free = free_memory()
    return None if free is None else free / 2**30


class _Workers:
    """The processes under way; what they print is passed on with the actor's name before it."""

    def __init__(self, arguments: list[str], width: int):
        self.arguments, self.width = arguments, width
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.lock, self.stopping = threading.Lock(), False

    def run(self, actors: Sequence[str]) -> dict[str, Outcome]:
        with ThreadPoolExecutor(self.width) as pool:
            futures = {actor: pool.submit(self._one, actor) for actor in actors}
            try:
                return {actor: future.result() for actor, future in futures.items()}
            except BaseException:
                self._stop()
                raise

    def _one(self, actor: str) -> Outcome:
        argv = [sys.executable, "-m", "runners.run_preproc", *self.arguments, actor]
        with self.lock:
            if self.stopping:
                return Outcome()
            process = self.processes[actor] = subprocess.Popen(
                argv,
                env=environment(self.width),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        outcome = Outcome()
        assert process.stdout is not None
        for line in process.stdout:
            text = line.rstrip("\n")
            if text.startswith("error: "):
                outcome.errors.append(text.removeprefix("error: "))
            elif text.startswith(RUN_LINE):
                outcome.run = text.removeprefix(RUN_LINE)
            elif not text.startswith(("Path mapping:", "  /", "Next: ")):
                print(f"{actor}: {text}", flush=True)
        if process.wait() != 0 and not outcome.errors:
            outcome.errors.append(f"preprocessing ended with status {process.returncode}")
        return outcome

    def _stop(self) -> None:
        with self.lock:
            self.stopping = True
            for process in self.processes.values():
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)


def environment(width: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of each of `width` processes at a time: its part of the cores, and no progress bars."""
    threads = str(max(num_cores() // width, 1))
    return {"OPENBLAS_NUM_THREADS": threads, **child_environment(width, environ), "TQDM_DISABLE": "1"}
