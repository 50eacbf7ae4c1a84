"""Reads the manual of the config keys out of the comments in `config_base`."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from audio2face.config.base import PACKAGE, base_module


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
    """The documentation of a base module, for one of NETWORK_TYPES, with the keys that it imports in their place."""
    module = _read_module(base_module(kind, method))
    return replace(module, keys=tuple(key for key in module.keys if key.name.isupper()))


@functools.cache
def _read_module(name: str) -> ModuleDoc:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, name
    source = Path(spec.origin).read_text(encoding="utf-8")
    tree, lines = ast.parse(source), source.splitlines()
    headings = {number: line[3:].strip() for number, line in enumerate(lines, 1) if line.startswith("## ")}
    docs: dict[str, KeyDoc] = {}
    for node in tree.body:
        heading = next((text for number, text in reversed(headings.items()) if number < node.lineno), "")
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            shared = {doc.name: doc for doc in _read_module(str(node.module)).keys}
            docs |= {alias.name: replace(shared[alias.name], heading=heading) for alias in node.names}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            docs[node.target.id] = _read_key(node.target.id, node.value, node.lineno, heading, lines, docs)
    return ModuleDoc(ast.get_docstring(tree) or "", tuple(docs.values()))


def _read_key(
    name: str, value: ast.expr, line: int, heading: str, lines: list[str], above: Mapping[str, KeyDoc]
) -> KeyDoc:
    """One key or entry. `above` are the dicts whose entries it may take over, as `**name`."""
    entries: dict[str, KeyDoc] = {}
    if isinstance(value, ast.Dict):
        for key, item in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant):
                entry = _read_key(str(key.value), item, key.lineno, heading, lines, above)
                known = entries.get(entry.name)
                entries[entry.name] = replace(known, default=entry.default) if known and not entry.text else entry
            elif isinstance(item, ast.Name):
                entries |= {entry.name: entry for entry in above[item.id].entries}
    documented = tuple(entries.values()) if any(entry.text or entry.entries for entry in entries.values()) else ()
    default = "" if documented else _source(value, lines)
    return KeyDoc(name, heading, *_fields(_comment_above(line, lines)), default, documented)


def _source(node: ast.expr, lines: list[str]) -> str:
    rows = lines[node.lineno - 1 : node.end_lineno]
    rows[-1] = rows[-1].encode()[: node.end_col_offset].decode()
    rows[0] = rows[0].encode()[node.col_offset :].decode()
    return "\n".join(rows)


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
