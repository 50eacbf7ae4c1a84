"""Runs one command where the packages are, and turns its outcome into an exit status and plain words.

Exit status: 0 done, 1 our fault (traceback), 2 the user's mistake (one line each), 128 + signal when stopped.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from runners import arguments
from runners.settings import SettingsError, take_settings

USER_MISTAKE, OUR_FAULT = 2, 1
SAME_STOP_S = 2.0  # a second signal within this time is the same key press, delivered twice
MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def call_preproc(module: Any, args: Any) -> str | list[str]:
    """One actor in this process, several at the same time: returns the run's name or the runs' names."""
    actors = [args.actor_name] if isinstance(args.actor_name, str) else args.actor_name
    given = {"cache": False} if getattr(args, "no_cache", False) else {}
    if len(actors) == 1:
        return module.run(args.config_name, actors[0], **given)
    return importlib.import_module("audio2face.commands.preproc_actors").run(args.config_name, actors, **given)


def call_train(module: Any, args: Any) -> Any:
    """`--resume` and `--export` are passed on when they are given; returns the outcome: run and signal."""
    given = {name: getattr(args, name, None) for name in ("resume", "export")}
    return module.run(args.config_name, **{name: value for name, value in given.items() if value})


def call_deploy(module: Any, args: Any) -> str:
    """Deploys every actor of the training run."""
    return module.run(args.config_name, args.training_run_name_full)


def call_inference(module: Any, args: Any) -> str:
    """Options override the config's keys: AUDIO_PATH (list of paths), EMOTION_LABEL, ACTOR_NAME, INFERENCE_MODE, …"""
    keys = {"AUDIO_PATH": "audio", "EMOTION_LABEL": "emotion", "ACTOR_NAME": "actor", "INFERENCE_MODE": "mode"}
    keys |= {"NUM_SAMPLES": "takes", "PARTNER_AUDIO_PATH": "partner", "PARTNER_ACTOR_NAME": "partner_actor"}
    keys |= {"SWAP_ROLES": "swap", "BOTH_SIDES": "both", "KEYFRAMES_PATH": "keyframes"}
    keys["GUIDE_RUN"] = "guide"
    overrides = {key: getattr(args, dest, None) for key, dest in keys.items()}
    given = {key: value for key, value in overrides.items() if value is not None and value is not False}
    if keys_path := given.pop("KEYFRAMES_PATH", None):
        given["KEYFRAMES_PATH"] = keys_path[0]
    if edit := edit_of(args):
        given["EDIT"] = edit
    return module.run(args.config_name, args.training_run_name_full, **given)


def edit_of(args: Any) -> dict[str, Any]:
    """The entries of EDIT that the options of an edit give; `--edit` names its file."""
    words = {name: getattr(args, name, None) for name in ("regenerate", "keep", "parts")}
    found: dict[str, Any] = {
        name: [part for word in given for part in (word.split(",") if name != "regenerate" else [word])]
        for name, given in words.items()
        if given
    }
    keys = [*(getattr(args, "key", None) or ()), *(getattr(args, "move_key", None) or ())]
    if keys:
        found["keys"] = keys
    if paths := getattr(args, "edit", None):
        found["file"] = paths[0]
    return found


def call_evaluate(module: Any, args: Any) -> str:
    """Regions are the first files of `--lips` and `--upper-face`; one word of `--shots` may hold several names."""
    given = {name: getattr(args, name, None) for name in ("compare", "emotion", "videos")}
    regions = {name: getattr(args, name, None) for name in ("lips", "upper_face")}
    given["regions"] = {name: paths[0] for name, paths in regions.items() if paths} or None
    given["shots"] = [name for word in getattr(args, "shots", None) or () for name in word.split(",")] or None
    given["data"] = next(iter(getattr(args, "data", None) or ()), None)
    return module.run(
        args.config_name, args.training_run_name_full, **{k: v for k, v in given.items() if v is not None}
    )


COMMANDS: dict[str, tuple[str, Callable[[Any, Any], str | list[str]]]] = {
    "preproc": ("audio2face.commands.preproc", call_preproc),
    "train": ("audio2face.commands.train", call_train),
    "deploy": ("audio2face.commands.deploy", call_deploy),
    "inference": ("audio2face.commands.infer", call_inference),
    "evaluate": ("audio2face.commands.evaluate", call_evaluate),
}


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end. One that leaves code run from a string (`exec`, as imports do) makes Python end by
    SIGINT, whatever status it is to exit with, if it is KeyboardInterrupt itself and not a kind of it."""


class Stop:
    """Turns the first SIGINT or SIGTERM into KeyboardInterrupt and remembers which it was.

    A command that catches it to save its work is not interrupted again by the same key press; a later one is.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.time_s = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal is not None and now - self.time_s < SAME_STOP_S:
            return
        self.signal, self.time_s = number, now
        raise Stopped

    def listen(self) -> Stop:
        """Act on the signals that end a command; one that `nohup` has switched off stays off."""
        for number in self.signals():
            if number != getattr(signal, "SIGHUP", None) or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, self)
        return self

    def status(self) -> int:
        """The exit status of a stopped command. From here on the process only has to end: signals are ignored."""
        for number in self.signals():
            signal.signal(number, signal.SIG_IGN)
        return 128 + (self.signal or signal.SIGINT)

    @staticmethod
    def signals() -> list[int]:
        """The signals of this system that ask a command to end."""
        return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main(command: str, argv: list[str] | None = None) -> int:
    """Run a command from its command line; returns the exit status."""
    args = arguments.parse(command, argv)
    stop = Stop().listen()
    try:
        execute(command, args, stop)
        if stop.signal is not None:
            print("stopped on request", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped on request", file=sys.stderr)
        return stop.status()
    except Exception as error:
        if not _of_signal(error):
            return report(command, error)
        print("stopped on request", file=sys.stderr)
        return stop.status()
    return 0 if stop.signal is None else stop.status()


def _of_signal(error: BaseException | None) -> bool:
    """Whether an error is what was made of a signal: by Python in the body of a class, by a library that was being imported."""
    while error is not None and not isinstance(error, Stopped):
        imported = isinstance(error, (ImportError, SystemError))
        error = error.__cause__ or (error.__context__ if imported else None)
    return error is not None


def execute(command: str, args: Any, stop: Stop | None = None) -> str:
    """Run a command with `args` (attributes as in `arguments.COMMANDS`), print what came of it, return the run's name.

    Errors are the caller's: the debug runners let them reach the debugger.
    """
    prepare()
    from audio2face import runtime

    runtime.setup_logging()
    module_name, call = COMMANDS[command]
    made = call(importlib.import_module(module_name), args)
    if stop is not None:
        stop.signal = stop.signal or getattr(made, "stopped_by", None)
    exported, made = getattr(made, "exported", True), getattr(made, "run", made)
    run_names = [made] if isinstance(made, str) else made
    finish(command, args, *run_names, exported=exported)
    return run_names[-1]


def prepare() -> None:
    """Take the settings of `.env`, and set up threads before libraries read how many and how to wait."""
    take_settings()
    from audio2face import machine

    machine.set_up()


def finish(command: str, args: Any, *run_names: str, exported: bool = True) -> None:
    """Print the path mapping, the next command and, last of all, the run's name (the runs' names). A training that was not
    `exported` cannot be deployed: what follows it is inference."""
    if command == "train" and os.environ.get("RANK", "0") != "0":
        return  # one of several processes under torchrun: the first one speaks
    from audio2face import paths

    sys.stderr.flush()
    print("Path mapping:")
    for inside, outside in paths.path_mapping().items():
        print(f"  {inside} = {outside}")
    print(f"Next: {arguments.next_command(command, args, run_names[-1], exported)}")
    for run_name in run_names:
        print(f"{arguments.COMMANDS[command].kind} Run Name Full: {run_name}", flush=True)


def report(command: str, error: Exception) -> int:
    """Print an error as its kind deserves; returns the exit status."""
    sys.stdout.flush()
    if print_user_error(error):
        return USER_MISTAKE
    traceback.print_exception(error)
    print(
        f"error: run_{command}.py failed because of a bug in the framework: please report the lines above",
        file=sys.stderr,
    )
    return OUR_FAULT


def print_user_error(error: Exception) -> bool:
    """Print what the user has to fix, a line each; returns False and prints nothing for a bug of ours."""
    lines: list[str] = []
    if isinstance(error, SettingsError):
        lines = [str(error)]
    elif isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        where = f"{error.filename}: " if error.filename else ""
        lines = [f"{where}{error.strerror}: free space there or fix its permissions"]
    else:
        from audio2face.problems import UserError

        lines = list(error.lines) if isinstance(error, UserError) else []
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return bool(lines)


def answer(program: Callable[[], int]) -> int:
    """Run a program beside the commands with the settings of `.env`; returns its exit status, or 2 after a user error.

    Ctrl-C ends it with status 130.
    """
    try:
        prepare()
        return program()
    except KeyboardInterrupt:
        print("stopped on request", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        if print_user_error(error):
            return USER_MISTAKE
        raise
