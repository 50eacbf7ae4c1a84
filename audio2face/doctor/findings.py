"""What a check found: how bad, where, what, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from audio2face.paths import external_path
from audio2face.problems import UserError

STRUCTURE = "structure"  # what preprocessing itself refuses
CANNOT_WORK = (STRUCTURE, "audio.rate")  # checks that SKIP_DATA_CHECKS has no say in
ERROR, WARNING, INFO = LEVELS = ("error", "warning", "info")
_KEY = re.compile(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b")
_SHOT = re.compile(r"\bshot '?([\w.-]*\w)'?")


@dataclass(frozen=True)
class Where:
    """The place of a fault: any of actor, shot, file (as the user's machine names it) and config key."""

    actor: str = ""
    shot: str = ""
    file: str = ""
    key: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in (self.actor, self.shot, self.key, self.file) if part)


@dataclass(frozen=True)
class Finding:
    """One result of the doctor. `check` names the kind of fault ("audio.rate"); `what` and `fix` are whole sentences."""

    level: str
    check: str
    where: Where
    what: str
    fix: str = ""

    def __post_init__(self) -> None:
        assert self.level in LEVELS, self.level

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text} {self.fix}" if self.fix else text


@dataclass(frozen=True)
class Reporter:
    """Makes findings of one actor."""

    actor: str

    def error(self, check: str, what: str, fix: str = "", **where: object) -> Finding:
        """A fault that makes the data useless as it is. `where` is any of shot, file, key."""
        return self._finding(ERROR, check, what, fix, where)

    def warning(self, check: str, what: str, fix: str = "", **where: object) -> Finding:
        """A fault that costs quality, or that may be meant so."""
        return self._finding(WARNING, check, what, fix, where)

    def info(self, check: str, what: str, fix: str = "", **where: object) -> Finding:
        """Something to know."""
        return self._finding(INFO, check, what, fix, where)

    def lines(self, level: str, check: str, lines: Iterable[str], fix: str = "") -> list[Finding]:
        """Messages of other modules as findings: the config key and the shot are read from the text."""
        found = []
        for line in lines:
            key, shot = _KEY.search(line), _SHOT.search(line)
            where = Where(self.actor, shot[1] if shot else "", "", key[1] if key else "")
            found.append(Finding(level, check, where, line, fix))
        return found

    def _finding(self, level: str, check: str, what: str, fix: str, where: dict[str, object]) -> Finding:
        place = {name: str(value) for name, value in where.items() if value}
        if "file" in place:
            place["file"] = external_path(place["file"])
        return Finding(level, check, Where(self.actor, **place), what, fix)


def by_level(findings: Sequence[Finding], level: str) -> list[Finding]:
    """The findings of one level."""
    return [finding for finding in findings if finding.level == level]


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, then warnings, then infos; otherwise in the order found; repetitions dropped."""
    return sorted(dict.fromkeys(findings), key=lambda finding: LEVELS.index(finding.level))


def accept(findings: Iterable[Finding], patterns: Sequence[str]) -> list[Finding]:
    """The findings, those of checks that SKIP_DATA_CHECKS names (`*` for any part) as infos; never what cannot work."""
    return [
        replace(f, level=INFO, what=f"(SKIP_DATA_CHECKS) {f.what}")
        if f.check not in CANNOT_WORK and any(fnmatchcase(f.check, pattern) for pattern in patterns)
        else f
        for f in findings
    ]


def raise_errors(findings: Sequence[Finding]) -> None:
    """Raise UserError with every error among the findings, and how to accept them, or return when there is none."""
    errors = by_level(findings, ERROR)
    if not errors:
        return
    checks = sorted({finding.check for finding in errors if finding.check not in CANNOT_WORK})
    lines = [f.what if f.check == STRUCTURE else f"{f} [{f.check}]" for f in errors]
    if checks:
        lines.append(f"where the data is right as it is, say so in config_dataset.py: SKIP_DATA_CHECKS = {checks}")
    raise UserError(lines)
