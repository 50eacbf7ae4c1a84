"""git-lfs pointers: the three lines of text that stand in for a file until git-lfs has fetched it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from audio2face.paths import external_path

FIRST_LINE = b"version https://git-lfs.github.com/spec/"
LARGEST = 1024  # bytes of a pointer, as git-lfs specifies it


def is_pointer(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a git-lfs pointer; a file that cannot be read is not."""
    try:
        if os.stat(path).st_size >= LARGEST:
            return False
        with open(path, "rb") as file:
            return file.read(len(FIRST_LINE)) == FIRST_LINE
    except OSError:
        return False


def pointer_fault(path: str | os.PathLike[str]) -> str | None:
    """For a pointer, a message of what it is and what to run; None for any other file."""
    if not is_pointer(path):
        return None
    folder = external_path(_checkout(Path(path)) or Path(path).parent)
    return f"a git-lfs pointer, not the file itself; run 'git lfs pull' in {folder}"


def refuse_pointer(path: str | os.PathLike[str]) -> None:
    """Raise ValueError naming the command to run when a file is a pointer. Every format reader begins with it."""
    if fault := pointer_fault(path):
        raise ValueError(f"{path}: {fault}")


def pointer_problems(paths: Iterable[Path]) -> list[str]:
    """A message for each checkout with pointers among `paths` (files, and folders with all files below them)."""
    found: dict[Path | None, list[Path]] = {}
    for path in paths:
        for file in _files(path.absolute()):
            if is_pointer(file):
                found.setdefault(_checkout(file), []).append(file)
    lines = []
    for checkout, files in found.items():
        folder = checkout or Path(os.path.commonpath([file.parent for file in files]))
        count = f"{len(files)} files are git-lfs pointers" if len(files) > 1 else "a file is a git-lfs pointer"
        where, first = external_path(folder), files[0].relative_to(folder)
        lines.append(f"{where}: {count}, still without content ({first}); run 'git lfs pull' in {where}")
    return lines


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in sorted(names))


def _checkout(path: Path) -> Path | None:
    """The git checkout that contains a file, if one can be found."""
    return next((folder for folder in path.absolute().parents if (folder / ".git").exists()), None)
