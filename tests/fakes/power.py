"""A disk that loses its power: records how a folder changes step by step, and rebuilds what a cut at any step may leave.

As SQLite tests itself. What a file was at its last fsync is kept; what was written since may be there, lost, torn in half or
zeros. The names in a folder are those of its last fsync or those of now, in each folder for itself. Files are looked at before
every step that Python announces (opening for writing, rename, removal, fsync, a call into libc), so that it does not matter
who writes them.
"""

from __future__ import annotations

import os
import random
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from audio2face.runs.run_dir import INCOMPLETE

STEPS = {
    "open",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "ctypes.dlsym",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
NAMES = ("now", "synced", "mixed")
CONTENTS = ("kept", "lost", "torn", "zeros", "mixed")
VARIANTS = [("now", how) for how in CONTENTS] + [
    ("synced", "lost"),
    ("synced", "torn"),
    ("mixed", "kept"),
    ("mixed", "lost"),
]
VARIANTS += [("mixed", "mixed")] * 3  # drawn anew

Tree = dict[str, bytes | None]  # name -> content, None for a folder
_recorders: list[Recorder] = []


@dataclass(frozen=True)
class Moment:
    """The disk before a step: what is there, and what of it would survive."""

    names: dict[int, dict[str, int]]  # folder -> its names now
    contents: dict[int, bytes]  # file -> its content now
    synced_names: dict[int, dict[str, int]]
    synced: dict[int, bytes]


@dataclass
class Recorder:
    """Takes a Moment of `root` at every step."""

    root: Path
    moments: list[Moment] = field(default_factory=list)
    _ids: dict[int, int] = field(default_factory=dict)  # inode -> a number that is never used again
    _next: int = 1
    _read: dict[tuple[int, ...], bytes] = field(default_factory=dict)
    _names: dict[int, dict[str, int]] = field(default_factory=dict)
    _contents: dict[int, bytes] = field(default_factory=dict)
    _synced_names: dict[int, dict[str, int]] = field(default_factory=dict)
    _synced: dict[int, bytes] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _busy: bool = False

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        """Within the block every step is recorded. What was there before is safe."""
        if not _hooked:
            sys.addaudithook(_heard)  # for the rest of the process
            _hooked.append(True)
        self._look()
        self._synced_names, self._synced = {k: dict(v) for k, v in self._names.items()}, dict(self._contents)
        fsync = os.fsync
        os.fsync = lambda descriptor: self._fsync(fsync, descriptor)  # type: ignore[assignment,misc]
        _recorders.append(self)
        try:
            self.step()
            yield self
        finally:
            _recorders.remove(self)
            os.fsync = fsync
        self.step()

    def step(self) -> None:
        """Remember what there is before the next step."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                self._look()
                moment = Moment(
                    {k: dict(v) for k, v in self._names.items()},
                    dict(self._contents),
                    {k: dict(v) for k, v in self._synced_names.items()},
                    dict(self._synced),
                )
                if not self.moments or moment != self.moments[-1]:
                    self.moments.append(moment)
            finally:
                self._busy = False

    def concerns(self, path: object) -> bool:
        """Whether a path may be inside; a relative one or a descriptor may."""
        if isinstance(path, bytes | str):
            return not os.path.isabs(path) or os.fsdecode(path).startswith(f"{self.root}{os.sep}")
        return True

    def _look(self) -> None:
        self._names, self._contents, seen = {}, {}, {}
        waiting = [(self.root, self._number(os.stat(self.root), seen))]
        while waiting:
            folder, number = waiting.pop()
            names = self._names[number] = {}
            for entry in os.scandir(folder):
                try:
                    status = entry.stat(follow_symlinks=False)
                    child = self._number(status, seen)
                    if stat.S_ISREG(status.st_mode):
                        self._contents[child] = self._content(entry.path, status)
                    elif stat.S_ISDIR(status.st_mode):
                        waiting.append((Path(entry.path), child))
                    else:
                        continue
                except FileNotFoundError:  # another thread removed it
                    continue
                names[entry.name] = child
        self._ids = seen

    def _number(self, status: os.stat_result, seen: dict[int, int]) -> int:
        number = self._ids.get(status.st_ino)
        if number is None:
            number, self._next = self._next, self._next + 1
        return seen.setdefault(status.st_ino, number)

    def _content(self, path: str, status: os.stat_result) -> bytes:
        key = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        if key not in self._read:
            self._read[key] = Path(path).read_bytes()
        return self._read[key]

    def _fsync(self, fsync, descriptor: int) -> None:
        self.step()
        fsync(descriptor)
        with self._lock:
            number = self._ids.get(os.fstat(descriptor).st_ino)
            if number in self._names:
                self._synced_names[number] = dict(self._names[number])
            elif number is not None:
                self._synced[number] = self._contents[number]


_hooked: list[bool] = []


def _heard(event: str, arguments: tuple) -> None:
    if not _recorders or event not in STEPS or (event == "open" and not _writes(*arguments[1:3])):
        return
    for recorder in _recorders:
        if event == "ctypes.dlsym" or recorder.concerns(arguments[0]):
            recorder.step()


def _writes(mode: str | None, flags: int) -> bool:
    return bool(flags & WRITING) if isinstance(flags, int) else bool(mode and set(mode) & set("wax+"))


def after_cut(moment: Moment, names: str, contents: str, rng: random.Random) -> Tree:
    """What a cut at a moment leaves, below the root: names and contents each as in NAMES and CONTENTS."""
    tree: Tree = {}

    def fill(prefix: str, number: int) -> None:
        synced = names == "synced" or (names == "mixed" and rng.random() < 0.5)
        listing = moment.synced_names.get(number, {}) if synced else moment.names.get(number)
        if listing is None:
            listing = moment.synced_names.get(number, {})
        for name, child in sorted(listing.items()):
            if child in moment.names or child in moment.synced_names:
                tree[prefix + name] = None
                fill(f"{prefix}{name}/", child)
            else:
                tree[prefix + name] = _left(moment, child, contents, rng)

    fill("", next(iter(moment.names)))
    return tree


def _left(moment: Moment, number: int, contents: str, rng: random.Random) -> bytes:
    synced, written = moment.synced.get(number), moment.contents.get(number)
    if written is None or written == synced:
        return synced or b""
    how = rng.choice(CONTENTS[:-1]) if contents == "mixed" else contents
    if how == "kept":
        return written
    if how == "lost":
        return synced or b""
    return _torn(written) if how == "torn" else _zeros(len(written))


@lru_cache(maxsize=512)
def _torn(written: bytes) -> bytes:
    return written[: len(written) // 2]


@lru_cache(maxsize=512)
def _zeros(length: int) -> bytes:
    return bytes(length)


def write_tree(folder: Path, tree: Tree) -> None:
    """Make what a cut has left."""
    folder.mkdir(parents=True)
    for name, content in tree.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


def states(moments: list[Moment]) -> Iterator[tuple[str, Tree]]:
    """Each different disk that a cut may leave, after where the cut was."""
    seen, rng = set(), random.Random(0)
    for place, moment in enumerate(moments):
        for names, contents in VARIANTS:
            tree = after_cut(moment, names, contents, rng)
            key = hash(tuple(tree.items()))
            if key not in seen:
                seen.add(key)
                yield f"step {place} of {len(moments)}, names {names}, contents {contents}", tree


def read_tree(folder: Path) -> Tree:
    """What is in a folder."""
    paths = sorted(folder.rglob("*")) if folder.is_dir() else []
    return {str(p.relative_to(folder)): None if p.is_dir() else p.read_bytes() for p in paths}


def complete_runs(tree: Tree) -> dict[str, Tree]:
    """The runs and models in a folder that a command takes for whole, by name; no logs and hidden files."""
    runs = [name for name, content in tree.items() if content is None and "/" not in name and not name.startswith(".")]
    return {run: below(tree, run) for run in runs if f"{run}/{INCOMPLETE}" not in tree}


def below(tree: Tree, folder: str) -> Tree:
    """What lasts in a folder of a tree."""
    inside = {name[len(folder) + 1 :]: content for name, content in tree.items() if name.startswith(f"{folder}/")}
    return {
        name: content
        for name, content in inside.items()
        if content is not None
        and not any(part.startswith(".") or part == "log.log" or "tfevents" in part for part in name.split("/"))
    }
