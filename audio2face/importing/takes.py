"""Takes in folders, such as those of the Live Link Face app: which recording, and the sound that belongs to it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audio2face.formats.sound import SOUND_SUFFIXES
from audio2face.importing.sounds import VIDEO_SUFFIXES
from audio2face.listing import natural_order, passed_over

RECORDINGS = (".csv", ".txt", ".tsv", ".json", ".npz")
CALIBRATED = "_cal"
BESIDE = ("_neutral", "_raw")  # tables that the app writes beside a take of that name
NOT_TAKES = ("frame_log", "framelog")


@dataclass(frozen=True)
class Take:
    """One recording: the shot's name, its curves, its sound."""

    name: str
    curves: Path
    sound: Path


def find_takes(
    inputs: Sequence[Path], sounds: Path | None = None, kinds: Sequence[str] = RECORDINGS
) -> tuple[list[Take], list[str], list[str]]:
    """Takes in files and folders (searched recursively), a line for each that cannot be used, and notes.

    Of a folder the files of the first of these `kinds` that it has count, since programs write others beside them. A take's sound has its name (`<name>.wav`, .mov, …), beside it or in `sounds`, or is the only one of its folder. If
    a take has a calibrated copy (`_cal`), the copy is used.
    """
    files: list[Path] = []
    problems = []
    for entry in inputs:
        if entry.is_dir():
            files += _of_first_kind(entry, kinds)
        elif entry.is_file():
            files.append(entry)
        else:
            problems.append(f"{entry}: no such file or folder")
    files = [p for p in dict.fromkeys(files) if not p.stem.lower().endswith(NOT_TAKES) and not _beside_take(p)]
    replaced = {p.with_name(p.stem.removesuffix(CALIBRATED) + p.suffix) for p in files if p.stem.endswith(CALIBRATED)}
    files = [p for p in files if p not in replaced]
    if not files and not problems:
        problems.append(f"no {kinds[0]} recordings in {', '.join(map(str, inputs))}")
    takes: dict[str, Take] = {}
    names = shot_names(p.stem.removesuffix(CALIBRATED) for p in files)
    alone = {folder: sum(p.parent == folder for p in files) == 1 for folder in {p.parent for p in files}}
    for path in files:
        stem = path.stem.removesuffix(CALIBRATED)
        name = names[stem]
        found = _sound(path, stem, sounds, alone[path.parent])
        if name in takes:
            problems.append(f"{path}: has the same name as {takes[name].curves}; rename one, or leave it out")
        elif isinstance(found, str):
            problems.append(f"{path}: {found}")
        else:
            takes[name] = Take(name, path, found)
    return list(takes.values()), problems, [*renamed(names), *_unused(inputs, sounds, list(takes.values()), kinds)]


def _of_first_kind(folder: Path, kinds: Sequence[str]) -> list[Path]:
    files = natural_order(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    found = ([p for p in files if p.suffix.lower() == kind] for kind in kinds)
    return next(filter(None, found), [])


def _unused(inputs: Sequence[Path], sounds: Path | None, takes: Sequence[Take], recorded: Sequence[str]) -> list[str]:
    """Notes on recordings and sounds that belong to no take, and on everything else in the folder of sounds."""
    used = {path for take in takes for path in (take.curves, take.sound)}
    kinds = (recorded[0], *SOUND_SUFFIXES, *VIDEO_SUFFIXES)
    folders = [entry for entry in inputs if entry.is_dir()]
    left = {f: [p for p in f.rglob("*") if p.suffix.lower() in kinds and p.parent != sounds] for f in folders}
    if sounds is not None and sounds.is_dir():
        left[sounds] = list(sounds.iterdir())
    return [
        f"{f}: not used: {line}" for f, paths in left.items() for line in passed_over(p for p in paths if p not in used)
    ]


def shot_names(stems: Iterable[str]) -> dict[str, str]:
    """A shot's name for every take: what is not a letter or digit of any script, `_`, `-` or `.` becomes `_`.

    Names that would then be equal, ignoring case, are numbered in the order given; a take that already has such a name
    keeps it.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for stem in sorted(dict.fromkeys(stems), key=lambda stem: _plain(stem) != _composed(stem)):
        name, number = _plain(stem), 1
        while name.casefold() in taken:
            number += 1
            name = f"{_plain(stem)}_{number}"
        taken.add(name.casefold())
        names[stem] = name
    return names


def _plain(stem: str) -> str:
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" or c in "_.-" else "\0" for c in _composed(stem))
    return re.sub("\0+", "_", kept).strip("_.-") or "take"


def renamed(names: Mapping[str, str]) -> list[str]:
    """A note for each take whose shot gets another name."""
    return [f"{stem}: shot {name}" for stem, name in names.items() if name != _composed(stem)]


def _composed(stem: str) -> str:
    """A name in composed form (NFC): one character for an accented letter, where macOS writes two."""
    return unicodedata.normalize("NFC", stem)


def _beside_take(path: Path) -> bool:
    """Whether this table only accompanies a take: `<take>_neutral.csv` beside `<take>.csv`."""
    ending = next((e for e in BESIDE if path.stem.lower().endswith(e)), None)
    return ending is not None and path.with_name(path.stem[: -len(ending)] + path.suffix).is_file()


def _sound(path: Path, stem: str, sounds: Path | None, alone: bool) -> Path | str:
    """The sound of a take, or why there is none."""
    suffixes = SOUND_SUFFIXES + VIDEO_SUFFIXES  # a recorder's file goes before the video's
    folders = [path.parent] if sounds is None else [sounds, path.parent]
    for folder in folders:
        files = [p for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []
        there = {_composed(p.name).lower(): p for p in files} | {p.name: p for p in files}
        for name in dict.fromkeys((stem, path.stem)):
            for suffix in suffixes:
                if found := there.get(f"{name}{suffix}") or there.get(_composed(f"{name}{suffix}").lower()):
                    return found
    others = [p for p in path.parent.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".")]
    if alone and len(others) == 1:
        return others[0]
    where = " or ".join(map(str, folders))
    unread = natural_order({p.name for f in folders if f.is_dir() for p in f.iterdir() if p.stem == stem and p != path})
    beside = f"; not recognised as sound: {', '.join(unread)}" if unread else ""
    return f"no sound {stem}{suffixes[0]} (or {', '.join(suffixes[1:])}) in {where}{beside}"
