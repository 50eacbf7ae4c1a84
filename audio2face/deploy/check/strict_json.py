"""JSON objects as the runtime's parser reads them: syntax, keys and types."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.deploy.check.rules import brief
from audio2face.postprocess.limits import as_float32
from audio2face.problems import Problems

_LARGEST_FILE = 64 * 2**20
_LARGEST_INT = 2**31 - 1


def read_object(path: Path, file: str, report: Problems) -> dict[str, Any] | None:
    """The JSON object in `path`, or None with its problems in the report. `file` is its name in messages."""
    if path.stat().st_size > _LARGEST_FILE:
        report.error("json-syntax", f"larger than {_LARGEST_FILE // 2**20} MB: not a model's JSON file", file=file)
        return None
    duplicates: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) < len(pairs):
            names = [name for name, _ in pairs]
            duplicates.extend(name for name in seen if names.count(name) > 1)
        return seen

    try:
        text = path.read_bytes().decode("utf-8-sig")
        value = json.loads(
            text, object_pairs_hook=unique, parse_constant=_refuse, parse_float=_finite, parse_int=_whole
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair cannot be encoded
    except (ValueError, RecursionError, MemoryError) as error:
        report.error("json-syntax", f"the runtime cannot parse it: {str(error)[:200] or 'nested too deep'}", file=file)
        return None
    for name in duplicates:
        report.error("json-duplicate", f"key {brief(name)} occurs twice", file=file)
    if not isinstance(value, dict):
        report.error("json-syntax", f"holds {type(value).__name__} instead of an object", file=file)
        return None
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(f"{text[:30]} is beyond the range of numbers")
    return value


def _whole(text: str) -> int | float:
    return int(text) if len(text) < 300 else _finite(text)


@dataclass(frozen=True)
class Fields:
    """One JSON object whose values are read by type. Each reader returns None after it has reported what is wrong.

    `where` is the path of keys to the object, for messages.
    """

    values: dict[str, Any]
    file: str
    where: str
    report: Problems

    def _name(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def _wrong(self, rule: str, key: str, message: str) -> None:
        self.report.error(rule, f"{self._name(key)} {message}", file=self.file)

    def _typed(self, key: str, types: type | tuple[type, ...], wanted: str) -> Any:
        if key not in self.values:
            self._wrong("json-key", key, "is missing")
            return None
        value = self.values[key]
        if not isinstance(value, types):
            self._wrong("json-type", key, f"is {brief(value)}, not {wanted}")
            return None
        return value

    def object(self, key: str) -> Fields | None:
        """A nested object."""
        value = self._typed(key, dict, "an object")
        return None if value is None else Fields(value, self.file, self._name(key), self.report)

    def text(self, key: str) -> str | None:
        """A string."""
        return self._typed(key, str, "a string")

    def texts(self, key: str) -> list[str] | None:
        """A list of strings."""
        value = self._typed(key, list, "a list of strings")
        if value is None:
            return None
        if wrong := [item for item in value if not isinstance(item, str)]:
            self._wrong("json-type", key, f"holds {brief(wrong[0])}, not only strings")
            return None
        return value

    def objects(self, key: str) -> list[Fields | None] | None:
        """A list of objects, None for an entry that is something else."""
        entries = self._typed(key, list, "a list of objects")
        if entries is None:
            return None
        named = {f"{self._name(key)}[{i}]": entry for i, entry in enumerate(entries)}
        holder = Fields(named, self.file, "", self.report)
        return [holder.object(name) for name in named]

    def number(self, key: str) -> float | None:
        """A finite float32; the runtime takes true and false for 1 and 0."""
        value = self._typed(key, (int, float), "a number")
        if value is None:
            return None
        if not np.isfinite(as_float32(value)):
            self._wrong("json-value", key, f"is {brief(value)}, beyond float32")
            return None
        return float(value)

    def unsigned(self, key: str) -> int | None:
        """A whole number from 0. The runtime would wrap a negative one and cut a fraction."""
        value = self._typed(key, (int, float), "a whole number")
        if isinstance(value, bool):
            self._wrong("json-type", key, f"is {value}, not a whole number")
            return None
        if value is None:
            return None
        if not 0 <= value <= _LARGEST_INT or value != int(value):
            self._wrong("json-value", key, f"is {brief(value)}, not a whole number from 0 to {_LARGEST_INT}")
            return None
        return int(value)

    def numbers(self, key: str) -> np.ndarray | None:
        """A list of finite float32 numbers."""
        values = self._number_list(key)
        if values is None:
            return None
        array = np.array([as_float32(value) for value in values], np.float32)
        if not np.isfinite(array).all():
            self._wrong("json-value", key, "holds numbers beyond float32")
            return None
        return array

    def ints(self, key: str) -> np.ndarray | None:
        """A list of whole numbers; the runtime would cut fractions."""
        values = self._number_list(key)
        if values is None:
            return None
        if wrong := [v for v in values if not abs(v) <= _LARGEST_INT or v != int(v)]:
            self._wrong("json-value", key, f"holds {brief(wrong[0])}, not a 32-bit whole number")
            return None
        return np.array(values, np.int64)

    def _number_list(self, key: str) -> list[int | float] | None:
        values = self._typed(key, list, "a list of numbers")
        if values is None:
            return None
        if wrong := [item for item in values if not isinstance(item, int | float)]:
            self._wrong("json-type", key, f"holds {brief(wrong[0])}, not only numbers")
            return None
        return values


def same_length(report: Problems, file: str, rule: str, lengths: Iterable[tuple[str, int | None]]) -> bool:
    """Report when named lists differ in length; lists that could not be read are left out."""
    known = [(name, length) for name, length in lengths if length is not None]
    if len({length for _, length in known}) <= 1:
        return True
    report.error(rule, "lengths differ: " + ", ".join(f"{name} {length}" for name, length in known), file=file)
    return False
