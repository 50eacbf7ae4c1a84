"""A project's override module: running it, the lines where its keys stand, and merging it over the base."""

from __future__ import annotations

import ast
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from audio2face import paths
from audio2face.problems import ERROR, Problem, UserError, Where

KeyPath = tuple[str, ...]  # ("AUGMENT", "pitch_shift", "p"); items of lists by their number


class Delete:
    """The type of DELETE, which removes an inherited entry of a dict."""

    def __repr__(self) -> str:
        return "DELETE"

    def __reduce__(self) -> str:
        return "DELETE"  # one object, also after a copy


DELETE = Delete()


def problem_at(path: KeyPath | str, message: str) -> Problem:
    """A mistake of the user in the entry at `path`; an empty one is the whole file."""
    return Problem(ERROR, message, Where(key=path if isinstance(path, str) else "/".join(path)))


def top_key(problem: Problem) -> str:
    """The config key that a problem is about; "" for the whole file."""
    return problem.where.key.partition("/")[0]


@dataclass(frozen=True)
class Override:
    """What an override module says: plain values by key, and the line of each entry that its text shows."""

    file: Path
    values: dict[str, Any]
    lines: dict[str, int]

    def line(self, key: str) -> int | None:
        """Line of an entry ("AUGMENT/pitch_shift/p"), else of the nearest dict or list around it; None when it is not set."""
        while key and key not in self.lines:
            key = key.rpartition("/")[0]
        return self.lines.get(key)

    def sets(self, path: KeyPath) -> bool:
        """Whether the module itself gives this entry."""
        found: Any = self.values
        for name in path:
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list | tuple) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return False
        return True


def label(file: Path) -> str:
    """A config file's name in messages: relative to the checkout when it lies there."""
    if file.is_relative_to(paths.FRAMEWORK_ROOT):
        return file.relative_to(paths.FRAMEWORK_ROOT).as_posix()
    return paths.external_path(file)


def read_override(file: Path) -> Override:
    """Run a config_*.py and collect its UPPER_CASE names.

    The module may import modules of its own folder, compute, and use tuples, paths and NumPy numbers. Raises UserError
    with file and line when it cannot be read or fails.
    """
    try:
        source = file.read_bytes()
    except OSError as error:
        raise UserError(f"{label(file)}: cannot be read: {error.strerror}") from error
    namespace = _run(file, source)
    values = {name: plain(value) for name, value in namespace.items() if _is_key(name, value)}
    return Override(file, values, key_lines(ast.parse(source)))


def _is_key(name: str, value: Any) -> bool:
    if name.startswith("_") or not name.isupper() or value is DELETE and name == "DELETE":
        return False
    return not isinstance(value, ModuleType | FunctionType | type)


def _run(file: Path, source: bytes) -> dict[str, Any]:
    module = ModuleType(f"a2f_project_{file.stem}")
    module.__file__ = str(file)
    with _importable(file.parent):
        sys.modules[module.__name__] = module  # dataclasses and the like look their module up
        try:
            exec(compile(source, str(file), "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            raise UserError(_failure(file, error)) from error
        finally:
            del sys.modules[module.__name__]
    return module.__dict__


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a module import its neighbours, without leaving them (or compiled files) behind for the next project."""
    before, wrote_bytecode = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = wrote_bytecode
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(f"{folder}{os.sep}"):
                del sys.modules[name]


def _failure(file: Path, error: BaseException) -> str:
    """`file:line: what` for the innermost line that the user wrote."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).parent == file.parent:
        return f"{label(Path(error.filename))}:{error.lineno}: not valid Python: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if Path(frame.filename).parent == file.parent]
    where = f"{label(Path(theirs[-1].filename))}:{theirs[-1].lineno}" if theirs else label(file)
    return f"{where}: {type(error).__name__}: {error}" if str(error) else f"{where}: {type(error).__name__}"


def plain(value: Any) -> Any:
    """Paths as text, NumPy values as numbers and lists, sets as sorted lists, keys of dicts as text."""
    if isinstance(value, dict):
        return {_key_text(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | range):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    return value


def _key_text(key: Any) -> str:
    return f"{key:g}" if isinstance(key, float) else str(key)  # STREAMING_CFG may be keyed by 60 or 60.0


def key_lines(tree: ast.Module) -> dict[str, int]:
    """Line of every key that a module's text assigns, entries of dict and list literals included."""
    lines: dict[str, int] = {}
    for statement in _statements(tree.body):
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                _note(lines, _target_path(target), statement, statement.value)
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
            _note(lines, _target_path(statement.target), statement, statement.value)
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                _note(lines, (alias.asname or alias.name,), statement, None)
    return lines


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.For | ast.While | ast.With | ast.Try):
            for block in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, block, []))


def _target_path(target: ast.expr) -> KeyPath | None:
    """`AUGMENT["pitch_shift"]` -> ("AUGMENT", "pitch_shift"); None for anything that is not a key with fixed parts."""
    if isinstance(target, ast.Name):
        return (target.id,)
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        outer = _target_path(target.value)
        return None if outer is None else (*outer, _key_text(target.slice.value))
    return None


def _note(lines: dict[str, int], path: KeyPath | None, node: ast.AST, value: ast.expr | None) -> None:
    if path is None:
        return
    lines["/".join(path)] = node.lineno  # type: ignore[attr-defined]
    if isinstance(value, ast.Dict):
        for key, item in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant):
                _note(lines, (*path, _key_text(key.value)), key, item)
    elif isinstance(value, ast.List | ast.Tuple):
        for index, item in enumerate(value.elts):
            _note(lines, (*path, str(index)), item, item)


def merge(base: dict[str, Any], override: dict[str, Any], path: KeyPath = ()) -> tuple[dict[str, Any], list[Problem]]:
    """`override` over `base`: dicts merge entry by entry, DELETE removes an inherited entry, all else replaces."""
    result, problems = dict(base), []
    for key, value in override.items():
        here = (*path, key)
        if value is DELETE:
            if not path:
                problems.append(problem_at(here, "cannot be deleted; leave the key out to get its default"))
            elif key in base:
                del result[key]
            else:
                problems.append(problem_at(here, "nothing to delete: there is no inherited entry of this name"))
        elif isinstance(value, dict):
            inherited = base.get(key)
            result[key], more = merge(inherited if isinstance(inherited, dict) else {}, value, here)
            problems += more
        else:
            result[key] = value
    return result, problems
