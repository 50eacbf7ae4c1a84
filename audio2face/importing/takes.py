"""Takes of the Live Link Face app in folders: which recording, and the sound that belongs to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audio2face.importing.sounds import FILM_SUFFIXES, SOUND_SUFFIXES

CALIBRATED = "_cal"
BESIDE = ("_neutral", "_raw")  # tables that the app writes beside a take of that name
NOT_TAKES = ("frame_log", "framelog")


@dataclass(frozen=True)
class Take:
    """One recording: the shot's name, its curves, its sound."""

    name: str
    curves: Path
    sound: Path


def find_takes(inputs: Sequence[Path], sounds: Path | None = None) -> tuple[list[Take], list[str]]:
    """Takes in files and folders (searched through), and a line for each that cannot be used.

    A take's sound has its name (`<name>.wav`, .mov, …), beside it or in `sounds`, or is the only one of its folder. Of a
    take and its calibrated copy (`_cal`) the copy is used.
    """
    files: list[Path] = []
    problems = []
    for entry in inputs:
        if entry.is_dir():
            files += sorted(p for p in entry.rglob("*.csv") if not p.name.startswith("."))
        elif entry.is_file():
            files.append(entry)
        else:
            problems.append(f"{entry}: no such file or folder")
    files = [p for p in dict.fromkeys(files) if not p.stem.lower().endswith(NOT_TAKES) and not _beside_take(p)]
    replaced = {p.with_name(p.stem.removesuffix(CALIBRATED) + p.suffix) for p in files if p.stem.endswith(CALIBRATED)}
    files = [p for p in files if p not in replaced]
    if not files and not problems:
        problems.append(f"no .csv recordings in {', '.join(map(str, inputs))}")
    takes: dict[str, Take] = {}
    alone = {folder: sum(p.parent == folder for p in files) == 1 for folder in {p.parent for p in files}}
    for path in files:
        stem = path.stem.removesuffix(CALIBRATED)
        name = shot_name(stem)
        found = _sound(path, stem, sounds, alone[path.parent])
        if name in takes:
            problems.append(f"{path}: named like {takes[name].curves}; shots need names of their own")
        elif isinstance(found, str):
            problems.append(f"{path}: {found}")
        else:
            takes[name] = Take(name, path, found)
    return list(takes.values()), problems


def shot_name(stem: str) -> str:
    """A name for a shot: what is not a letter, digit, `_`, `-` or `.` becomes `_`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).strip("_.-") or "take"


def _beside_take(path: Path) -> bool:
    """Whether this is a table of another take: `<take>_neutral.csv` beside `<take>.csv`."""
    ending = next((e for e in BESIDE if path.stem.lower().endswith(e)), None)
    return ending is not None and path.with_name(path.stem[: -len(ending)] + path.suffix).is_file()


def _sound(path: Path, stem: str, sounds: Path | None, alone: bool) -> Path | str:
    """The sound of a take, or why there is none."""
    suffixes = SOUND_SUFFIXES + FILM_SUFFIXES  # a recorder's file goes before the film's
    folders = [path.parent] if sounds is None else [sounds, path.parent]
    for folder in folders:
        there = {p.name.lower(): p for p in folder.iterdir() if p.is_file()} if folder.is_dir() else {}
        for name in dict.fromkeys((stem, path.stem)):
            for suffix in suffixes:
                if found := there.get(f"{name}{suffix}".lower()):
                    return found
    others = sorted(p for p in path.parent.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    if alone and len(others) == 1:
        return others[0]
    where = " or ".join(map(str, folders))
    return f"no sound {stem}{suffixes[0]} (or {', '.join(suffixes[1:])}) in {where}"
