"""Container paths and host paths. Standard library only: the launcher on the host imports this.

Configs name files as the container sees them: /datasets, /workspace and /framework. Inside the image these folders are
mounted; elsewhere they mean A2F_DATASETS_ROOT, A2F_WORKSPACE_ROOT and the checkout.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

NAME_RULE = "only letters, digits, '_', '-' and '.', beginning and ending with a letter, digit or '_', without '..'"
FRAMEWORK_ROOT = Path(__file__).resolve().parent.parent
RUN_IN_THE_MAKING = re.compile(r"(?<=[/\\])\.(\d{6}_\d{6}_[^/\\]+)\.partial(?=$|[/\\])")
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

    The temporary name keeps the suffix, since some writers (np.savez) act on it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
