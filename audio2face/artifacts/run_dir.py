"""Run folders: names, creation, completion, `latest`, and where a run came from.

A run folder that is being written carries the file `.incomplete`; it is removed when the run is complete. `latest` and
every command that reads a run ignore incomplete ones.
"""

from __future__ import annotations

import getpass
import logging
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audio2face import __version__
from audio2face.formats.json_file import read_json, write_json
from audio2face.paths import FRAMEWORK_ROOT, external_path, path_mapping
from audio2face.types import UserError

logger = logging.getLogger(__name__)

NAME = re.compile(r"\w([\w.-]*\w)?", re.ASCII)
FULL_NAME = re.compile(r"^(\d{6}_\d{6}(?:_\d+)?)_(.+)$")
LATEST = "latest"
INCOMPLETE = ".incomplete"


def check_name(name: str, what: str) -> str:
    """`name` itself when it is safe as a folder name. Raises UserError otherwise."""
    if not NAME.fullmatch(name) or ".." in name:
        raise UserError(
            f"{what} {name!r}: use letters, digits, '_', '-' and '.' only, starting and ending with a letter or digit"
        )
    return name


def new_run(root: Path, run_name: str) -> Path:
    """Create `<root>/YYMMDD_HHMMSS_<run_name>`, marked incomplete. Two runs in one second get different names."""
    check_name(run_name, "RUN_NAME")
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            folder = root / f"{time.strftime('%y%m%d_%H%M%S')}_{run_name}"
            try:
                folder.mkdir()
                break
            except FileExistsError:
                time.sleep(0.2)
        (folder / INCOMPLETE).touch()
    except OSError as error:
        raise UserError(
            f"cannot create a run folder in {external_path(root)}: {error.strerror}; check A2F_WORKSPACE_ROOT"
        ) from error
    return folder


def finish_run(folder: Path) -> None:
    """Mark a run complete: from here on it can be found and read."""
    (folder / INCOMPLETE).unlink(missing_ok=True)


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
            raise UserError(f"{what} run {name} not found in {external_path(root)}{_listing(root)}{hint}")
        if not is_complete(folder):
            raise UserError(f"{what} run {name} is incomplete: its command did not finish ({external_path(folder)})")
        return folder
    found = []
    for folder in sorted(root.iterdir(), reverse=True) if root.is_dir() else ():
        parts = FULL_NAME.match(folder.name)
        if parts and is_complete(folder) and run_name in (None, parts[2]) and (match is None or match(folder)):
            found.append(folder)
    if not found:
        wanted = f" named {run_name}" if run_name else ""
        raise UserError(f"no finished {what} run{wanted} in {external_path(root)}{_listing(root)}{hint}")
    return found[0]


def _listing(root: Path, most: int = 5) -> str:
    names = sorted((p.name for p in root.iterdir() if FULL_NAME.match(p.name)), reverse=True) if root.is_dir() else []
    if not names:
        return " (it holds no runs)"
    return f" (newest there: {', '.join(names[:most])})"


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
