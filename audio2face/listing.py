"""Lists of files and names in natural order (frame_2 before frame_10), files that are skipped, gaps in sequences."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any, TypeVar

T = TypeVar("T", bound=str | os.PathLike[str])

SYSTEM_FILES = {".ds_store", "thumbs.db", "desktop.ini", "__macosx"}
MOST_NAMED = 3
_DIGITS = re.compile(r"(\d+)")


def natural_order(names: Iterable[T]) -> list[T]:
    """Names or paths sorted by the numbers in them, ignoring case: a2, A3, a10."""
    return sorted(names, key=natural_key)


def natural_key(name: str | os.PathLike[str]) -> list[Any]:
    """The sort key of `natural_order`: folders of a path one by one, then names that are equal so far by their letters."""
    parts = name.parts if isinstance(name, PurePath) else (os.fspath(name),)
    return [([int(t) if i % 2 else t.casefold() for i, t in enumerate(_DIGITS.split(p))], p) for p in parts]


def is_system_file(path: Path) -> bool:
    """Whether this is a file of an operating system (.DS_Store, Thumbs.db, ._name)."""
    return path.name.lower() in SYSTEM_FILES or path.name.startswith("._")


def passed_over(paths: Iterable[Path]) -> list[str]:
    """Files that are skipped, by kind: "3 .m4a files (a.m4a, b.m4a, c.m4a)". Hidden and system files are left out."""
    kinds: dict[str, list[str]] = {}
    for path in natural_order(p for p in paths if not p.name.startswith(".") and not is_system_file(p)):
        kind = "folder" if path.is_dir() else f"{path.suffix.lower()} file" if path.suffix else "file without a suffix"
        kinds.setdefault(kind, []).append(path.name)
    lines = []
    for kind, names in kinds.items():
        several = kind.replace("file", "files") if "file" in kind else f"{kind}s"
        more = ", …" if len(names) > MOST_NAMED else ""
        lines.append(f"{len(names)} {kind if len(names) == 1 else several} ({', '.join(names[:MOST_NAMED])}{more})")
    return lines


def frame_numbers(names: Sequence[str]) -> list[int]:
    """The numbers that count the frames of a sequence, in the names' order: those in which names first differ.

    Raises ValueError when the names are not of one pattern, or give two frames one number.
    """
    parts = [_DIGITS.split(name) for name in names]
    odd = next((n for n, p in zip(names, parts, strict=True) if _pattern(p) != _pattern(parts[0])), None)
    if odd is not None:
        raise ValueError(f"expected the names of one sequence, which differ in a number: found {names[0]} and {odd}")
    columns = [[int(p[i]) for p in parts] for i in range(1, len(parts[0]) if parts else 0, 2)]
    counting = next((column for column in columns if len(set(column)) > 1), [0] * len(names))
    first: dict[int, str] = {}
    for name, number in zip(names, counting, strict=True):
        if first.setdefault(number, name) is not name:
            raise ValueError(f"two files of frame {number}: {first[number]} and {name}")
    return counting


def shortened(items: Sequence[str], most: int = 6) -> str:
    """Names for a message: the first of them, and how many more there are."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def gaps(numbers: Sequence[int]) -> tuple[int, list[tuple[int, int]]]:
    """The step of increasing frame numbers, and the (number before, number after) of every gap among them."""
    step = math.gcd(*(after - before for before, after in pairwise(numbers))) or 1
    return step, [(before, after) for before, after in pairwise(numbers) if after - before > step]


def _pattern(parts: Sequence[str]) -> list[str]:
    return [text.casefold() for text in parts[::2]]
