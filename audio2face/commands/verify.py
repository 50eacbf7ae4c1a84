"""What `python -m runners.verify` compares: finds the runs and models that the user named, and reads every file of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audio2face.commands.find_run import find_training_folder, train_section
from audio2face.commands.view import EVALUATIONS
from audio2face.config import load_config, project_folder
from audio2face.logs import Bar
from audio2face.paths import external_path, local_path
from audio2face.problems import UserError
from audio2face.runs.manifest import MANIFEST_FILE, read_manifest
from audio2face.runs.run_dir import LATEST, check_name, is_complete

MB = 1_000_000


@dataclass(frozen=True)
class Verdict:
    """What was found in a folder: how many files and bytes its manifest names, and what is wrong with them."""

    folder: Path
    files: int
    num_bytes: int
    faults: list[str]


def find_folders(words: Sequence[str]) -> list[Path]:
    """The runs and models that words name: folders, or a project followed by runs. Raises UserError naming what is not there."""
    first = words[0]
    if _folder(first) is None and ("/" in first or len(words) == 1):
        raise UserError(
            f"{first}: no such folder; name a run's or a model's folder, or a project and a RUN (a full name or `latest`)"
        )
    found: list[Path] = []
    for word in words if _folder(first) else words[1:]:
        if folder := _folder(word):
            found += _with_manifests(folder)
        elif _folder(first):
            raise UserError(f"{word}: no such folder")
        else:
            found += [inside for folder in _of_project(first, word) for inside in _with_manifests(folder)]
    return list(dict.fromkeys(found))


def verify(folder: Path) -> Verdict:
    """Compare every file of a run or model with what was written, with a progress bar."""
    if not is_complete(folder):
        return Verdict(folder, 0, 0, ["its command did not finish, so there is nothing yet to compare with"])
    try:
        entries = read_manifest(folder)
    except ValueError as error:
        return Verdict(folder, 0, 0, [f"{MANIFEST_FILE} is damaged: {error}"])
    if entries is None:
        return Verdict(
            folder, 0, 0, [f"it has no {MANIFEST_FILE}: it was made by an earlier version, or not copied whole"]
        )
    total, faults = sum(entry.size for entry in entries), []
    with Bar(max(total // MB, 1), folder.name, "MB") as bar:
        done = 0
        for entry in entries:
            if fault := entry.fault():
                faults.append(fault)
            done += entry.size
            bar.update(done // MB - bar.done)
    return Verdict(folder, len(entries), total, faults)


def _folder(word: str) -> Path | None:
    return next((path for path in (Path(word).expanduser(), local_path(word)) if path.is_dir()), None)


def _with_manifests(folder: Path) -> list[Path]:
    """A folder, or where it has no manifest those in it that have: the models of several actors, a folder of runs."""
    inside = [] if (folder / MANIFEST_FILE).is_file() else folder.glob(f"[!.]*/{MANIFEST_FILE}")
    return sorted(path.parent for path in inside) or [folder]


def _of_project(config_name: str, run_name: str) -> list[Path]:
    """Where a project keeps what has a run's name; `latest` is the training run that it is for other commands."""
    project_folder(config_name)
    train = train_section(config_name, run_name)
    if run_name == LATEST:
        run_name = find_training_folder(config_name, run_name, train).name
    check_name(run_name, "run name")
    sections = load_config(config_name, (), optional=("preproc", "inference"))
    preproc, inference = sections["preproc"], sections["inference"]
    roots = (preproc.PREPROC_OUTPUT_ROOT, train.TRAIN_OUTPUT_ROOT, train.FINAL_DEPLOY_ROOT)
    places = [local_path(root) for root in (*roots, inference.INFERENCE_OUTPUT_ROOT, EVALUATIONS)]
    found = [place / run_name for place in places if (place / run_name).is_dir()]
    if not found:
        raise UserError(f"{run_name}: no run of that name in {', '.join(external_path(place) for place in places)}")
    return found
