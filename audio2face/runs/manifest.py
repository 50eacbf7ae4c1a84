"""What a finished run or model consists of: name, size and SHA-256 of each file, in a `manifest.json` of its folder.

It is written last, once all that it names is on the disk. Sizes are compared whenever a run or model is opened, digests when
a file's content is first used. Files that change in a finished folder are not in it: LIVING. A folder inside with a manifest
of its own, as the exported networks of a training run, is written and exchanged by itself. Runs of earlier versions have none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath

from audio2face.formats.git_lfs import pointer_fault
from audio2face.formats.json_file import read_json, write_json
from audio2face.paths import external_path, sync, sync_tree
from audio2face.problems import UserError

MANIFEST_FILE = "manifest.json"
VERSION = 1
# What commands and people change in a finished folder: names of files and folders.
LIVING = (
    *(".*", "log.log", "*.tfevents.*", "checkpoints", "previews", "trt_engines", "network.trt", "README.md"),
    *("model_config.json", "model_config_*.json"),  # "edit them freely", says the README of a model
)
DEEPEST = 4  # folders from a file up to its manifest
MOST_NAMED = 5
LONGEST_NAME, LONGEST_PART = 1000, 255  # of a file in a folder, of which systems allow no more
REMEMBERED = 4096


@dataclass(frozen=True)
class Entry:
    """What a file was when it was written."""

    path: Path
    name: str
    size: int
    sha256: str

    def size_fault(self) -> str | None:
        """What is wrong with the file at a glance, None if nothing."""
        try:
            size = os.stat(self.path).st_size if self.path.is_file() else None
        except OSError:
            size = None
        if size is None:
            return f"{self.name} is missing"
        if size == self.size:
            return None
        pointer = pointer_fault(self.path)
        found = f"is {pointer}" if pointer else f"was changed: it has {size} bytes, {self.size} were written"
        return f"{self.name} {found}"

    def fault(self) -> str | None:
        """What is wrong with the file, None if it is byte for byte what was written."""
        fault = self.size_fault()
        if fault is None and digest(self.path) != self.sha256:
            fault = f"{self.name} was changed: its content is not what was written"
        return fault


def write_manifest(folder: Path) -> None:
    """Bring everything in a folder to the disk, then write what it consists of."""
    sync_tree(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    files = {name: [(folder / name).stat().st_size, digest(folder / name)] for name in names}
    parts = sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST_FILE}"))
    write_json(folder / MANIFEST_FILE, {"version": VERSION, "parts": parts, "files": files})
    sync(folder / MANIFEST_FILE)
    sync(folder)


def forget_manifest(folder: Path) -> None:
    """A finished run is going to be written again: from here on nothing is known of its files."""
    for path in (*folder.glob(f"*/{MANIFEST_FILE}"), folder / MANIFEST_FILE):
        path.unlink(missing_ok=True)
        sync(path.parent)


def read_manifest(folder: Path, with_parts: bool = True) -> list[Entry] | None:
    """What a folder consisted of when it was written, parts included; None for one of an earlier version.

    Raises ValueError when the manifest is damaged.
    """
    try:
        status = os.stat(folder / MANIFEST_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = _read(folder / MANIFEST_FILE, *_stamp(status))
    if found is None:
        return None
    files, parts = found
    entries = [Entry(folder / name, name, size, sha256) for name, size, sha256 in files]
    for part in parts if with_parts else ():
        inside = read_manifest(folder / part, with_parts=False)
        if inside is None:
            name = f"{part}/{MANIFEST_FILE}"
            entries.append(Entry(folder / name, name, 0, ""))
        else:
            entries += [Entry(e.path, f"{part}/{e.name}", e.size, e.sha256) for e in inside]
    return entries


def size_faults(folder: Path) -> list[str]:
    """A line for each file of a folder that is missing or has another size; none for one of an earlier version."""
    try:
        return [fault for entry in read_manifest(folder) or () if (fault := entry.size_fault())]
    except ValueError as error:
        return [f"{MANIFEST_FILE} is damaged: {error}"]


def faults(folder: Path) -> list[str]:
    """A line for each file of a folder that is missing or not byte for byte what was written."""
    try:
        return [fault for entry in read_manifest(folder) or () if (fault := entry.fault())]
    except ValueError as error:
        return [f"{MANIFEST_FILE} is damaged: {error}"]


def require_whole(folder: Path, what: str, found: list[str], again: str) -> None:
    """Raise UserError with `found` faults of a folder, and what to do."""
    if not found:
        return
    lines = [f"{what} {external_path(folder)}: {fault}; copy it again or {again}" for fault in found[:MOST_NAMED]]
    if len(found) > MOST_NAMED:
        more = f"and {len(found) - MOST_NAMED} more: python -m runners.verify {external_path(folder)}"
        lines.append(more)
    raise UserError(lines)


def check_file(path: Path) -> None:
    """Compare a file with the manifest of its run or model, if there is one that names it. Raises ValueError."""
    path = Path(path).absolute()
    for folder in list(path.parents)[:DEEPEST]:
        entries = read_manifest(folder)
        if entries is None:
            continue
        fault = next((e.fault() for e in entries if e.path == path), None)
        if fault:
            raise ValueError(f"{external_path(folder)}: {fault}")
        return


def digest(path: Path) -> str:
    """SHA-256 of a file; computed once in a process for as long as the file stays the same."""
    return _digest(os.fspath(path), *_stamp(os.stat(path)))


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """Another one when a file has changed."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@lru_cache(maxsize=REMEMBERED)
def _digest(path: str, *_: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """The files that stay as they are in a finished folder."""
    for path in folder.iterdir():
        if path.name == MANIFEST_FILE or any(fnmatchcase(path.name, pattern) for pattern in LIVING):
            continue
        if path.is_dir() and not (path / MANIFEST_FILE).exists():
            yield from _files(path)
        elif path.is_file():
            yield path


@lru_cache(maxsize=64)
def _read(path: Path, *_: int) -> tuple[list[tuple[str, int, str]], list[str]] | None:
    """(name, size, SHA-256) of each file, and the parts; None for another program's file of that name."""
    content = read_json(path)
    if not isinstance(content, dict) or not {"version", "parts", "files"} <= content.keys():
        return None
    if content["version"] != VERSION:
        raise ValueError(f"{path}: version {content['version']!r} is unknown to this program")
    try:
        files = [(str(name), int(size), str(sha256)) for name, (size, sha256) in content["files"].items()]
        parts = [str(part) for part in content["parts"]]
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path}: not a list of files: {error}") from error
    for name in (*parts, *(name for name, _, _ in files)):
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\\" in name or "\0" in name:
            raise ValueError(f"{path}: names {name!r}, which lies outside its folder")
        if len(name) > LONGEST_NAME or any(len(part.encode("utf-8", "replace")) > LONGEST_PART for part in pure.parts):
            raise ValueError(f"{path}: names {name[:60]!r}…, which is too long for a file")
    return files, parts
