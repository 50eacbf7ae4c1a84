"""Pointers of git-lfs: the three lines of text that lie in the place of a file until git-lfs has fetched it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from audio2face.paths import external_path

FIRST_LINE = b"version https://git-lfs.github.com/spec/"
LARGEST = 1024  # bytes of a pointer, as git-lfs specifies it


def is_pointer(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a pointer; what cannot be read is not one."""
    try:
        if os.stat(path).st_size >= LARGEST:
            return False
        with open(path, "rb") as file:
            return file.read(len(FIRST_LINE)) == FIRST_LINE
    except OSError:
        return False


def pointer_fault(path: str | os.PathLike[str]) -> str | None:
    """What a file is when it is a pointer, and what to run; None otherwise."""
    if not is_pointer(path):
        return None
    folder = external_path(_checkout(Path(path)) or Path(path).parent)
    return f"a git-lfs pointer, not the file itself; run 'git lfs pull' in {folder}"


def refuse_pointer(path: str | os.PathLike[str]) -> None:
    """Raise ValueError that says what to run when a file is a pointer. Every reader of a format begins with it."""
    if fault := pointer_fault(path):
        raise ValueError(f"{path}: {fault}")


def pointer_problems(paths: Iterable[Path]) -> list[str]:
    """A line for each checkout that has pointers among the files `paths` and all files below the folders among them."""
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
    """The git checkout that a file lies in, as far as it can be seen from here."""
    return next((folder for folder in path.absolute().parents if (folder / ".git").exists()), None)
