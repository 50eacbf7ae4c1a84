"""Container paths and host paths, and how files get to the disk. Standard library only: the launcher on the host imports this.

Configs name files as the container sees them: /datasets, /workspace and /framework. Inside the image these folders are
mounted; elsewhere they mean A2F_DATASETS_ROOT, A2F_WORKSPACE_ROOT and the checkout.

What is written with `atomic`, or with `sync_tree` and `move` or `replace_folder`, is after a power cut the old or the new.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

NAME_RULE = "only letters, digits, '_', '-' and '.', beginning and ending with a letter, digit or '_', without '..'"
FRAMEWORK_ROOT = Path(__file__).resolve().parent.parent
RUN_IN_THE_MAKING = re.compile(r"(?<=[/\\])\.(\d{6}_\d{6}_[^/\\]+)\.partial(?=$|[/\\])")
IN_THE_MAKING = re.compile(r"\..+\.partial$")  # folders that do not count yet
AT_FDCWD, RENAME_EXCHANGE, RENAME_SWAP = -100, 2, 2  # of Linux, Linux and macOS
KILLED_AGE_S = 3600.0  # nobody takes so long to write one folder
CONTAINER_ROOTS = {"/framework": "FRAMEWORK", "/datasets": "DATASETS", "/workspace": "WORKSPACE"}


def is_name(text: str) -> bool:
    """Whether a text may name a run, an actor or a project: NAME_RULE."""
    return re.fullmatch(r"\w([\w.-]*\w)?", text, re.ASCII) is not None and ".." not in text


def in_container() -> bool:
    """Whether this process runs inside the framework's image."""
    return os.environ.get("A2F_IN_CONTAINER") == "1"


def host_root(container_root: str) -> Path | None:
    """The folder that a container root stands for outside the image, or None when nothing names it."""
    kind = CONTAINER_ROOTS[container_root]
    if kind == "FRAMEWORK":
        return FRAMEWORK_ROOT
    value = os.environ.get(f"A2F_{kind}_ROOT")
    return Path(value).expanduser() if value else None


def _split(path: str | os.PathLike[str]) -> tuple[str, PurePosixPath] | None:
    text = PurePosixPath(os.fspath(path))
    for root in CONTAINER_ROOTS:
        if text.is_relative_to(root):
            return root, text.relative_to(root)
    return None


def local_path(path: str | os.PathLike[str]) -> Path:
    """The path to open for a path written in a config: container roots are mapped when running outside the image."""
    found = _split(path)
    if found is None or in_container():
        return Path(path).expanduser()
    root, rest = found
    base = host_root(root)
    return Path(path) if base is None else base / rest


def missing_root(path: str | os.PathLike[str]) -> str | None:
    """Why nothing can be found under the container root of a path, in a line with the fix; None when it is there."""
    found = _split(path)
    if found is None or in_container() or local_path(found[0]).is_dir():
        return None
    name, base = f"A2F_{CONTAINER_ROOTS[found[0]]}_ROOT", host_root(found[0])
    if base is None:
        return f"{name} is not set, which {found[0]} in configs stands for: cp .env.example .env, then set it there"
    return f"{name}={base} is not a folder: fix it in .env, or mkdir -p '{base}'"


def external_path(path: str | os.PathLike[str]) -> str:
    """A path as the user's own machine names it, for messages: the inverse of the container's mounts.

    A run that is still written under a temporary name is told under the name that it will have.
    """
    path = RUN_IN_THE_MAKING.sub(r"\1", os.fspath(path))
    if in_container() and (found := _split(path)):
        root, rest = found
        base = os.environ.get(f"EXTERNAL_{CONTAINER_ROOTS[root]}_ROOT")
        if base:
            return str(PurePosixPath(base) / rest)
    return path


def path_mapping() -> dict[str, str]:
    """Container root -> the folder of the user's machine that it stands for."""
    mapping = {}
    for root, kind in CONTAINER_ROOTS.items():
        if in_container():
            mapping[root] = os.environ.get(f"EXTERNAL_{kind}_ROOT", root)
        else:
            base = host_root(root)
            mapping[root] = str(base) if base else "(not set)"
    return mapping


def configs_roots() -> list[Path]:
    """Folders that hold projects, in search order: A2F_CONFIGS_ROOT (when set), then the checkout's configs/."""
    extra = os.environ.get("A2F_CONFIGS_ROOT")
    roots = [local_path(extra)] if extra else []
    return [*roots, FRAMEWORK_ROOT / "configs"]


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, renamed onto it when the block succeeds and removed when it fails.

    After the block the file is on the disk, name and content; a power cut before that leaves what `path` was. Within a
    folder that is itself being written, all is brought to the disk at once, when the folder gets its name. The temporary
    name keeps the suffix, since some writers (np.savez) act on it.
    """
    path = Path(path)
    counts = not any(IN_THE_MAKING.match(folder) for folder in path.parent.parts)
    if counts:
        make_folder(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        yield temporary
        if counts:
            sync(temporary)
            move(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if need be, so that their names are on the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        sync(folder.parent)


def move(old: Path, new: Path) -> None:
    """Rename onto a file, or a folder to a new name, so that the names are on the disk. What it holds must be there."""
    os.replace(old, new)
    sync(new.parent)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders beside each other in one step; False, and nothing is changed, where the disk has no such step."""
    import ctypes

    names = os.fsencode(one), os.fsencode(other)
    try:
        libc = ctypes.CDLL(None)
        if sys.platform == "darwin":
            status = libc.renamex_np(*names, RENAME_SWAP)
        else:
            status = libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE)
    except (AttributeError, OSError, TypeError):  # an older system, Windows
        return False
    if status == 0:
        sync(other.parent)
    return bool(status == 0)


def partial_folder(target: Path) -> Path:
    """Where to write what is going to take the place of folder `target`."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")


def replace_folder(new: Path, target: Path) -> None:
    """Bring a folder to the disk and put it in place of `target`, in one step if possible; what was there goes.

    Where the disk has no such step, a process that is killed between two renames leaves `target` for `repair_folder`.
    When this fails, `target` is untouched.
    """
    sync_tree(new)
    if not target.exists():
        move(new, target)
    elif exchange(new, target):
        shutil.rmtree(new, ignore_errors=True)
    else:
        old = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
        move(target, old)
        try:
            move(new, target)
        except OSError:
            move(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def repair_folder(target: Path) -> None:
    """Recover from a process that was killed while it wrote a folder anew."""
    for old in sorted(target.parent.glob(f".{target.name}.????????.old")):
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            move(old, target)
    for partial in target.parent.glob(f".{target.name}.????????.partial"):
        if time.time() - partial.stat().st_mtime > KILLED_AGE_S:
            shutil.rmtree(partial, ignore_errors=True)


def sync(path: Path) -> None:
    """Bring to the disk what a file holds, or the names in a folder."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # cannot be opened there
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (folder and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # shares that have this for files only
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Bring to the disk every file and name in a folder, however they were written."""
    for path, _, names in os.walk(folder, topdown=False):
        for file in (Path(path, name) for name in names):
            if file.is_file() and not file.is_symlink():
                sync(file)
        sync(Path(path))
