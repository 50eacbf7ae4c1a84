"""Run folders: names, creation, completion, `latest`, and where a run came from.

A run is written in `.<name>.partial` and renamed to its name when it is complete. Until then it carries the file
`.incomplete`, which its process keeps locked. A training gets its name at its start, so that it can be watched and resumed,
and keeps that file until it is done. `latest` and every command that reads a run ignore incomplete ones. What a run holds is
on the disk, and in its manifest, before it counts as complete.

Called by `commands`; next: `runs.preproc_run` and `runs.train_run`, which read and write what is in a folder.
"""

from __future__ import annotations

import getpass
import logging
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from audio2face import __version__
from audio2face.formats.json_file import read_json, write_json
from audio2face.paths import FRAMEWORK_ROOT, external_path, is_name, make_folder, move, path_mapping, sync, sync_tree
from audio2face.problems import UserError
from audio2face.runs import run_lock
from audio2face.runs.disk import disk_faults
from audio2face.runs.manifest import MANIFEST_FILE, forget_manifest, write_manifest

logger = logging.getLogger(__name__)

FULL_NAME = re.compile(r"^(\d{6}_\d{6}(?:_\d+)?)_(.+)$")
STAMP = re.compile(r"^\.?(\d{6}_\d{6})_.")
STAMP_FORMAT = "%y%m%d_%H%M%S"
CLOCK_SLACK = timedelta(minutes=1)  # runs that begin in one second are named ahead of it
PARTIAL = re.compile(r"^\.(\d{6}_\d{6}_.+)\.partial$")
SWEEP_AGE_S = 60.0  # a younger one may be about to be locked
LATEST = "latest"
NAMED_RUNS = 5  # at most, in a message
INCOMPLETE = ".incomplete"


def check_name(name: str, what: str) -> str:
    """`name` itself when it is safe as a folder name. Raises UserError otherwise."""
    if not is_name(name):
        raise UserError(
            f"{what} {name!r}: use letters, digits, '_', '-' and '.' only, starting and ending with a letter or digit"
        )
    return name


@contextmanager
def writing_run(root: Path, run_name: str, what: str, *, keep: bool = False, needed: float = 0) -> Iterator[Path]:
    """A new run's folder to write within the block; it gets its name and counts when the block is done.

    When the block fails the folder is removed, or with `keep` left under its name, marked incomplete. What a disk refuses
    becomes a UserError. `what` is doing that, and `needed` how many bytes it takes, if that is known.
    """
    folder = new_run(root, run_name, keep=keep)
    try:
        with disk_faults(root, what, needed=needed):
            yield folder
            finish_run(folder)
    except BaseException:
        if keep and any(path.name not in ("configs", "log.log") for path in folder.glob("[!.]*")):
            folder = publish_run(folder)
            leave_run(folder)
            logger.warning("what was finished is in %s", external_path(folder))
        else:
            discard_run(folder)
        raise


def new_run(root: Path, run_name: str, *, keep: bool = False) -> Path:
    """Create the folder of a new run `YYMMDD_HHMMSS_<run_name>`, under a temporary name, held by this process.

    Two runs in one second get different names. Folders of processes that were killed are removed, or with `keep` named.
    Raises UserError when nothing can be written there.
    """
    check_name(run_name, "RUN_NAME")
    with disk_faults(root, "the run", "check A2F_WORKSPACE_ROOT"):
        make_folder(root)
        _sweep(root, keep)
        while True:
            folder = root / f".{_next_stamp(root)}_{run_name}.partial"
            try:
                folder.mkdir()
            except FileExistsError:  # of another process, just now
                continue
            if not final_path(folder).exists():
                break
            folder.rmdir()
        try:
            run_lock.hold(folder / INCOMPLETE)
        except OSError:
            folder.rmdir()
            raise
    return folder


def _next_stamp(root: Path) -> str:
    """The local time, or a second after the newest run of a folder: names only grow, whatever the clock does."""
    now = datetime.now().replace(microsecond=0)
    stamps = (STAMP.match(path.name) for path in root.iterdir())
    newest = max((when for match in stamps if match and (when := _time(match[1]))), default=None)
    if newest is None or newest < now:
        return now.strftime(STAMP_FORMAT)
    if newest - now > CLOCK_SLACK:
        newest_name = newest.strftime(STAMP_FORMAT)
        logger.warning(
            "the clock is behind the newest run in %s (%s); names continue from there", external_path(root), newest_name
        )
    return (newest + timedelta(seconds=1)).strftime(STAMP_FORMAT)


def _time(stamp: str) -> datetime | None:
    """When a stamp was made; None for digits that are not a date."""
    try:
        return datetime.strptime(f"20{stamp}", "%Y%m%d_%H%M%S")
    except ValueError:
        return None


def final_path(folder: Path) -> Path:
    """Where a run will be, or is, under its own name."""
    match = PARTIAL.match(folder.name)
    return folder.with_name(match[1]) if match else folder


def publish_run(folder: Path) -> Path:
    """Give a run its name though it is not complete; returns its path from now on. This process still holds it."""
    path = final_path(folder)
    if path != folder:
        sync_tree(folder)
        move(folder, path)
        run_lock.moved(folder / INCOMPLETE, path / INCOMPLETE)
    return path


def finish_run(folder: Path) -> Path:
    """Mark a run complete and give it its name: from here on it can be found and read. Returns its path."""
    write_manifest(folder)
    run_lock.release(folder / INCOMPLETE)
    sync(folder)
    path = final_path(folder)
    if path != folder:
        move(folder, path)
    return path


def discard_run(folder: Path) -> None:
    """Remove a run that failed."""
    shutil.rmtree(folder, ignore_errors=True)
    run_lock.release(folder / INCOMPLETE)


def resume_run(folder: Path) -> None:
    """Take hold of an unfinished run again. Raises UserError when another process is writing it."""
    with disk_faults(folder, "the run"):
        if not run_lock.hold(folder / INCOMPLETE):
            raise UserError(f"run {folder.name} is being written by another process; wait for it, or stop it first")
        sync(folder)
        forget_manifest(folder)


def leave_run(folder: Path) -> None:
    """Let go of a run that is not complete, for another process to resume."""
    run_lock.release(folder / INCOMPLETE, remove=False)


def is_running(folder: Path) -> bool:
    """Whether a process is known to be writing a run."""
    return run_lock.is_held(folder / INCOMPLETE) is True


def _sweep(root: Path, keep: bool) -> None:
    """Remove, or with `keep` name, the temporary folders of processes that were killed."""
    for folder in root.glob(".*.partial"):
        marker, whole = folder / INCOMPLETE, (folder / MANIFEST_FILE).exists()
        try:
            young = time.time() - (marker if marker.exists() else folder).stat().st_mtime < SWEEP_AGE_S
        except OSError:
            continue
        if young or not PARTIAL.match(folder.name) or run_lock.is_held(marker) is not False:
            continue
        if (keep or (whole and not marker.exists())) and not final_path(folder).exists():
            logger.warning("what a killed command had finished is in %s", external_path(publish_run(folder)))
        else:
            shutil.rmtree(folder, ignore_errors=True)
            logger.info("removed what a killed command left of %s", external_path(folder))


def is_complete(folder: Path) -> bool:
    """Whether the run's command went through."""
    return folder.is_dir() and not (folder / INCOMPLETE).exists()


def resolve_run(
    root: Path,
    name: str,
    *,
    what: str,
    run_name: str | None = None,
    match: Callable[[Path], bool] | None = None,
    hint: str = "",
) -> Path:
    """The folder of a full run name, or of the newest complete run when `name` is `latest`.

    `latest` looks at runs called `run_name` (any when None) for which `match(folder)` holds. Raises UserError, with the
    runs that do exist, when there is none.
    """
    if name != LATEST:
        folder = root / check_name(name, f"{what} run name")
        if not folder.is_dir():
            raise UserError(f"{what} run {name} not found in {external_path(root)}{listing(root)}{hint}")
        if not is_complete(folder):
            state = "its command is still running" if is_running(folder) else "its command did not finish"
            raise UserError(f"{what} run {name} is incomplete: {state} ({external_path(folder)}){hint}")
        return folder
    found = []
    for folder in sorted(root.iterdir(), reverse=True) if root.is_dir() else ():
        parts = FULL_NAME.match(folder.name)
        if parts and is_complete(folder) and run_name in (None, parts[2]) and (match is None or match(folder)):
            found.append(folder)
    if not found:
        wanted = f" named {run_name}" if run_name else ""
        raise UserError(f"no finished {what} run{wanted} in {external_path(root)}{listing(root)}{hint}")
    return found[0]


def listing(root: Path) -> str:
    """The newest runs of a folder, in brackets, for the end of a message."""
    runs = sorted((p for p in root.iterdir() if FULL_NAME.match(p.name)), reverse=True) if root.is_dir() else []
    if not runs:
        return " (it holds no runs)"
    named = [run.name if is_complete(run) else f"{run.name} unfinished" for run in runs[:NAMED_RUNS]]
    return f" (newest there: {', '.join(named)})"


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", "-C", str(FRAMEWORK_ROOT), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def provenance() -> dict[str, Any]:
    """Which code ran, on which machine and with which path mapping (state.json)."""
    status = _git("status", "--porcelain")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return {
        "framework": {
            "version": __version__,
            "git_branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
            "git_commit": _git("rev-parse", "HEAD"),
            "git_clean": None if status is None else status == "",
        },
        "machine": {"hostname": socket.gethostname(), "user": user},
        "path_mapping": path_mapping(),
    }


def write_provenance(
    folder: Path, sections: dict[str, Any], run_info: str, extra: dict[str, Any] | None = None
) -> None:
    """Fill `<folder>/configs`: version, info text, state, each section in full and what the user changed.

    `sections` maps kind to config section (`.values`, `.modifier`); `extra` maps a JSON file's stem to its content.
    """
    configs = folder / "configs"
    configs.mkdir(parents=True, exist_ok=True)
    (configs / "VERSION.md").write_text(__version__ + "\n", encoding="utf-8")
    (configs / "info.txt").write_text(run_info + "\n", encoding="utf-8")
    write_json(configs / "state.json", provenance())
    for kind, section in sections.items():
        write_json(configs / f"config_{kind}_modifier.json", section.modifier)
        write_json(configs / f"config_{kind}_full.json", section.values)
    for stem, content in (extra or {}).items():
        write_json(configs / f"{stem}.json", content)


def read_config_json(folder: Path, kind: str) -> dict[str, Any] | None:
    """The resolved section that a run was made with, or None when the run has none of that kind."""
    path = folder / "configs" / f"config_{kind}_full.json"
    return read_json(path) if path.is_file() else None
