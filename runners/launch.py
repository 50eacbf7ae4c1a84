"""Runs a command where its packages are: in the container, or with --local in this Python.

Standard library and Python 3.8 only. The launcher checks what it can before anything starts, then becomes the process
that does the work (exec), so exit statuses and signals are the work's own.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from runners import arguments, docker
from runners.settings import ENV_FILE, FRAMEWORK_ROOT, SettingsError, read_settings

USER_MISTAKE = 2


class LaunchError(Exception):
    """A user's mistake or something missing on this machine: one line that says how to fix it."""


MISTAKES = (LaunchError, docker.DockerError, SettingsError)


def main(command: str, argv: list[str] | None = None) -> NoReturn:
    """Entry point of run_<command>.py: does not return."""
    try:
        start(command, sys.argv[1:] if argv is None else argv)
    except MISTAKES as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        sys.exit(130)


def start(command: str, argv: list[str]) -> NoReturn:
    """Check the arguments, the settings and the project, then hand over to the runner."""
    args = arguments.parse(command, argv)
    inside = os.environ.get("A2F_IN_CONTAINER") == "1"
    settings = dict(os.environ) if inside else settings_of_this_machine()
    check_config(args.config_name, settings)
    _absolute_paths(command, args)
    module = f"runners.run_{command}"
    if inside:
        become([sys.executable, "-m", module, *arguments.runner_arguments(command, args)], os.environ)
    if runtime(args, settings) == "local":
        python = local_python()
        become([python, "-m", module, *arguments.runner_arguments(command, args)], {**os.environ, **settings})
    machine = docker.examine(settings)
    mounts = docker.mounts(settings, extra=_paths(command, args))
    for option in arguments.COMMANDS[command].options:
        if option.is_path and getattr(args, option.dest):
            setattr(args, option.dest, [docker.container_path(path, mounts) for path in getattr(args, option.dest)])
    inner = ["python", "-m", module, *arguments.runner_arguments(command, args)]
    become(docker.run_arguments(command, inner, settings, machine, mounts), {**os.environ, **settings})


def settings_of_this_machine() -> dict[str, str]:
    """`.env` and environment, with the data set and workspace folders checked (the workspace is made if need be)."""
    settings = read_settings(os.environ)
    if ENV_FILE.is_file():
        print(f"settings: {ENV_FILE.name} and environment: {', '.join(sorted(settings))}", file=sys.stderr)
    for key, example in (("A2F_DATASETS_ROOT", "datasets"), ("A2F_WORKSPACE_ROOT", "workspace")):
        if key not in settings:
            how = f"set {key} in .env" if ENV_FILE.is_file() else f"cp .env.example .env, then set {key} in it"
            raise LaunchError(f"{key} is not set: {how} (for example {key}={Path.home() / 'audio2face' / example})")
    datasets, workspace = Path(settings["A2F_DATASETS_ROOT"]), Path(settings["A2F_WORKSPACE_ROOT"])
    if not datasets.is_dir():
        raise LaunchError(f"A2F_DATASETS_ROOT={datasets} is not a folder: fix it in .env, or mkdir -p '{datasets}'")
    configs = settings.get("A2F_CONFIGS_ROOT")
    if configs and not Path(configs).is_dir():
        raise LaunchError(f"A2F_CONFIGS_ROOT={configs} is not a folder: fix it in .env, or mkdir -p '{configs}'")
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
        raise LaunchError(f"A2F_WORKSPACE_ROOT={workspace} cannot be created ({reason}): fix it in .env") from error
    if not os.access(workspace, os.W_OK | os.X_OK):
        raise LaunchError(f"A2F_WORKSPACE_ROOT={workspace} is not writable: sudo chown -R \"$USER\" '{workspace}'")
    return settings


def runtime(args: object, settings: Mapping[str, str]) -> str:
    """`docker` or `local`: the flag, else A2F_RUNTIME, else docker."""
    if getattr(args, "local", False) or getattr(args, "docker", False):
        return "local" if getattr(args, "local", False) else "docker"
    chosen = settings.get("A2F_RUNTIME", "docker")
    if chosen not in ("docker", "local"):
        raise LaunchError(f"A2F_RUNTIME={chosen}: set it to docker or local")
    return chosen


def check_config(name: str, settings: Mapping[str, str]) -> None:
    """The project (a folder with config_*.py) must be in A2F_CONFIGS_ROOT or configs/. Raises LaunchError if not."""
    roots = [Path(root) for root in (settings.get("A2F_CONFIGS_ROOT"), FRAMEWORK_ROOT / "configs") if root]
    known = sorted({path.parent.name for root in roots for path in root.glob("*/config_*.py")})
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known) or 'none yet'}"
    raise LaunchError(f"no config {name!r} in {' or '.join(str(root) for root in roots)}: {hint}")


def local_python() -> str:
    """This Python when it has the packages, else the checkout's .venv. Raises LaunchError when neither has them."""
    if importlib.util.find_spec("torch") is not None:
        return sys.executable
    for python in (FRAMEWORK_ROOT / ".venv/bin/python", FRAMEWORK_ROOT / ".venv/Scripts/python.exe"):
        if python.is_file():
            return str(python)
    raise LaunchError(f"{sys.executable} has no torch and there is no .venv: run make setup (or drop --local)")


def become(argv: list[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by `argv`, in the checkout's folder. Where that is impossible (Windows), run it and exit."""
    os.chdir(FRAMEWORK_ROOT)
    sys.stdout.flush()
    sys.stderr.flush()
    search = [str(FRAMEWORK_ROOT), environ.get("PYTHONPATH")]
    environ = {**environ, "PYTHONPATH": os.pathsep.join(filter(None, search))}
    if os.name == "nt":
        sys.exit(subprocess.call(argv, env=environ))
    os.execvpe(argv[0], argv, environ)


def _paths(command: str, args: object) -> list[str]:
    options = [option for option in arguments.COMMANDS[command].options if option.is_path]
    return [path for option in options for path in getattr(args, option.dest) or []]


def _absolute_paths(command: str, args: object) -> None:
    """Make the paths that the user typed absolute; container paths (/datasets/…) that are no files here stay."""
    for option in arguments.COMMANDS[command].options:
        if option.is_path and getattr(args, option.dest):
            paths = [os.path.abspath(os.path.expanduser(path)) for path in getattr(args, option.dest)]
            for path in paths:
                if not os.path.exists(path) and not docker.is_container_path(path):
                    raise LaunchError(f"{option.flag} {path}: no such file or folder")
            setattr(args, option.dest, paths)


def shell(inner: list[str]) -> NoReturn:
    """Run `inner` in the container with the checkout writable."""
    settings = settings_of_this_machine()
    machine = docker.examine(settings)
    argv = docker.run_arguments("shell", inner, settings, machine, docker.mounts(settings, edit=True))
    become(argv, {**os.environ, **settings})


if __name__ == "__main__":  # for docker/*.sh
    try:
        if sys.argv[1:] == ["packages"]:
            print(docker.packages_id())
        elif sys.argv[1:2] == ["shell"]:
            shell(sys.argv[2:] or ["bash"])
        else:
            sys.exit("usage: python3 -m runners.launch shell [COMMAND...] | packages")
    except MISTAKES as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
