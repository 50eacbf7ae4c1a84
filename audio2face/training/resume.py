"""Training runs that are not done: how they begin, and which of them can go on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audio2face.config import Section
from audio2face.formats.json_file import dumps_json, read_json
from audio2face.paths import external_path, sync
from audio2face.problems import UserError
from audio2face.runs.run_dir import (
    FULL_NAME,
    LATEST,
    check_name,
    discard_run,
    is_complete,
    is_running,
    listing,
    new_run,
    publish_run,
    read_config_json,
    write_provenance,
)

logger = logging.getLogger(__name__)

STOPPED = ".stopped"  # in a run that was ended by Ctrl-C or SIGTERM: exported, and yet to be gone on with
LONGEST_VALUE = 40  # characters of a value in a message
FREE_TO_CHANGE = {  # between the parts of a training; LEARNING_RATE for one that diverged
    "RUN_INFO",
    "LOG_PERIOD",
    "CHECKPOINT_PERIOD",
    "CHECKPOINT_MINUTES",
    "CHECKPOINT_KEEP",
    "CHECKPOINT_GB_PER_HOUR",
    "VALIDATION_PERIOD",
    "EARLY_STOPPING_PATIENCE",
    "EXPORT_WEIGHTS",
    "PREVIEW_PERIOD",
    "NUM_PROCESSES",
    "COMPILE",
    "LEARNING_RATE",
    "PREPROC_RUN_NAME_FULL",  # the run goes on with the preprocessing runs that it began with
    "SKIP_DATA_CHECKS",
    "FEATURE_CACHE_ROOT",
    "FEATURE_CACHE_DISK_GB",
    "DATA_MEMORY_GB",
}


def build_folder(root: Path, sections: Mapping[str, Section], extra: dict[str, Any]) -> Path:
    """The folder of a new training, with its config and `extra` in it: whatever happens from here on, it can be resumed."""
    folder = new_run(root, sections["train"].RUN_NAME)
    made_with = {kind: sections[kind] for kind in ("train", "dataset", "inference") if sections[kind].file}
    try:
        write_provenance(folder, made_with, sections["train"].RUN_INFO, extra)
        return publish_run(folder)
    except BaseException:
        discard_run(folder)
        raise


def find_unfinished(root: Path, run_name: str, sections: Mapping[str, Section], name: str, config_name: str) -> Path:
    """The folder of a run to continue: the one named, or for `latest` the newest of `run_name` that was stopped or killed.

    Raises UserError when there is none, when it is done or still running, or the config has changed since it began.
    """
    if name == LATEST:
        folder = _newest(root, run_name, config_name)
    else:
        folder = root / check_name(name, "training run name")
        if not folder.is_dir():
            raise UserError(f"training run {name} not found in {external_path(root)}{listing(root)}")
        if not _unfinished(folder):
            again = f"python run_train.py {config_name} --export {name}"
            raise UserError(f"training run {name} is done; start a new one, or export this one again with: {again}")
    if is_running(folder):
        raise UserError(
            f"training run {folder.name} is still being trained by another process; wait for it, or stop it"
        )
    problems = [line for kind in ("train", "dataset") for line in _changes(folder, kind, sections[kind])]
    if problems:
        raise UserError([f"training run {folder.name} cannot go on:", *problems])
    return folder


def began_with(folder: Path | None) -> dict[str, str] | None:
    """The preprocessing runs {actor: full name} that a run began with. Raises UserError when it does not tell."""
    if folder is None:
        return None
    try:
        return dict(read_json(folder / "configs" / "preproc_info.json")["preproc_run_name_full"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"training run {folder.name}: configs/preproc_info.json is damaged; start again") from error


def mark_stopped(folder: Path, stopped: bool) -> None:
    """Note whether a run's training was ended before its time."""
    if stopped:
        (folder / STOPPED).touch()
    else:
        (folder / STOPPED).unlink(missing_ok=True)
    sync(folder)


def _unfinished(folder: Path) -> bool:
    return not is_complete(folder) or (folder / STOPPED).exists()


def _newest(root: Path, run_name: str, config_name: str) -> Path:
    folders = sorted(root.iterdir(), reverse=True) if root.is_dir() else []
    own = [folder for folder in folders if (m := FULL_NAME.match(folder.name)) and m[2] == run_name]
    found = [folder for folder in own if _unfinished(folder)]
    if not found:
        raise UserError(
            f"no unfinished training run named {run_name} in {external_path(root)}; "
            f"start one with: python run_train.py {config_name}"
        )
    return next((folder for folder in found if not is_running(folder)), found[0])


def _changes(folder: Path, kind: str, section: Section) -> list[str]:
    """What keeps a run from going on with a section of the config, one line each."""
    try:
        before = read_config_json(folder, kind)
    except (OSError, ValueError) as error:
        return [f"  its configs/config_{kind}_full.json cannot be read: {error}; start again"]
    if before is None:
        return [f"  it has no configs/config_{kind}_full.json; start again"] if kind == "train" else []
    now = json.loads(dumps_json(section.values))
    changed = sorted(k for k in now.keys() | before.keys() if now.get(k) != before.get(k))
    for key in changed:
        if key in FREE_TO_CHANGE:
            logger.info("%s was %s when training run %s began, now %s", key, before.get(key), folder.name, now.get(key))
    fixed = [key for key in changed if key not in FREE_TO_CHANGE]
    if not fixed:
        return []
    told = ", ".join(f"{key} (was {_short(before.get(key))}, is {_short(now.get(key))})" for key in fixed)
    return [f"  config_{kind}.py has changed since it began: {told}; set it back, or train anew without --resume"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
