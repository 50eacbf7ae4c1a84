"""Reads the manual of the config keys out of the comments in `config_base`."""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from audio2face.config.load import base_module


@dataclass(frozen=True)
class KeyDoc:
    """One key: `text` is what it is, `type` its type, unit and range, `change` when to touch it.

    `default` is its value as written in the base module, or "" for a dict whose entries are documented one by one.
    """

    name: str
    heading: str
    text: str
    type: str
    change: str
    default: str
    entries: tuple[KeyDoc, ...] = ()

    def entry(self, path: tuple[str, ...]) -> KeyDoc | None:
        """The documentation of an entry below this key; None when it has none of its own."""
        if not path:
            return self
        found = next((entry for entry in self.entries if entry.name == path[0]), None)
        return found.entry(path[1:]) if found else None


@dataclass(frozen=True)
class ModuleDoc:
    """A base module: its docstring and its keys in order."""

    intro: str
    keys: tuple[KeyDoc, ...]


def read_module_doc(kind: str, method: str) -> ModuleDoc:
    """The documentation of a base module, for "regression" or "diffusion"."""
    spec = importlib.util.find_spec(base_module(kind, method))
    assert spec is not None and spec.origin is not None, (kind, method)
    source = Path(spec.origin).read_text(encoding="utf-8")
    tree, lines = ast.parse(source), source.splitlines()
    keys, heading = [], ""
    headings = {number: line[3:].strip() for number, line in enumerate(lines, 1) if line.startswith("## ")}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            above = [number for number in headings if number < node.lineno]
            heading = headings[max(above)] if above else heading
            keys.append(_read_key(node.targets[0].id, node.value, node.lineno, heading, lines, source))
    return ModuleDoc(ast.get_docstring(tree) or "", tuple(keys))


def _read_key(name: str, value: ast.expr, line: int, heading: str, lines: list[str], source: str) -> KeyDoc:
    comment = _comment_above(line, lines)
    entries: list[KeyDoc] = []
    if isinstance(value, ast.Dict):
        for key, item in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant):
                entries.append(_read_key(str(key.value), item, key.lineno, heading, lines, source))
    documented = tuple(entries) if any(entry.text or entry.entries for entry in entries) else ()
    default = "" if documented else ast.get_source_segment(source, value) or ""
    return KeyDoc(name, heading, *_fields(comment), default, documented)


def _comment_above(line: int, lines: list[str]) -> list[str]:
    """The comment block that ends just above a line (counted from 1), without its marks."""
    block: list[str] = []
    for text in reversed(lines[: line - 1]):
        stripped = text.strip()
        if not stripped.startswith("#") or stripped.startswith("##"):
            break
        block.append(re.sub(r"^# ?", "", stripped))
    return block[::-1]


def _fields(comment: list[str]) -> tuple[str, str, str]:
    """The free text, the `Type:` line and the `Change:` line of a comment; indented lines continue the last of these."""
    parts: dict[str, list[str]] = {"": [], "Type": [], "Change": []}
    current = ""
    for line in comment:
        start = re.match(r"(Type|Change): ", line)
        if start:
            current, line = start[1], line[start.end() :]
        parts[current].append(line.strip())
    return " ".join(parts[""]), " ".join(parts["Type"]), " ".join(parts["Change"])
