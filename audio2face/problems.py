"""What is wrong, where and how to repair it: one record for config, captured data and deployed models, and its collector.

Checks put their findings into a `Problems`; a command ends with `raise_errors`, which lists every error at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, TypeVar

from audio2face.paths import external_path

ERROR, WARNING, INFO = LEVELS = ("error", "warning", "info")
STRUCTURE = "structure"  # rule of captured data that preprocessing cannot use; its messages name their own place
T = TypeVar("T")


@dataclass(frozen=True)
class Where:
    """The place of a problem: any of actor, shot, file (as the user's machine names it), config key and line of the file."""

    actor: str = ""
    shot: str = ""
    file: str = ""
    key: str = ""
    line: int = 0

    def __str__(self) -> str:
        file = f"{self.file}:{self.line}" if self.line else self.file
        parts = (self.actor, self.shot, self.key, file) if self.actor else (file, self.shot, self.key)
        return (", " if self.actor else ": ").join(part for part in parts if part)


@dataclass(frozen=True)
class Problem:
    """One finding: an error, warning or info. `rule` names its kind ("audio.rate"); `what` and `fix` are for people."""

    level: str
    what: str
    where: Where = Where()
    fix: str = ""
    rule: str = ""

    def __post_init__(self) -> None:
        assert self.level in LEVELS, self.level

    def __str__(self) -> str:
        if self.rule == STRUCTURE:
            return self.what
        place, rule = str(self.where), f"[{self.rule}]" if self.rule else ""
        return " ".join(part for part in (f"{place}:" if place else "", self.what, self.fix, rule) if part)


class UserError(Exception):
    """A mistake in the user's config or data: shown as plain lines, without a traceback, exit status 2.

    Made of one problem or several, as records or as lines; each names the file, shot or key that is wrong and how to
    repair it.
    """

    def __init__(self, problems: str | Problem | Iterable[str | Problem]):
        given = [problems] if isinstance(problems, str | Problem) else list(problems)
        self.problems = tuple(p if isinstance(p, Problem) else Problem(ERROR, p) for p in given)
        super().__init__("\n".join(self.lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each problem."""
        return tuple(map(str, self.problems))


class Problems:
    """Collects the problems of several checks, each once, in order; all are of one `actor` and `rule` unless they say another."""

    def __init__(self, actor: str = "", rule: str = "") -> None:
        self.actor, self.rule = actor, rule
        self._found: dict[Problem, None] = {}

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def error(self, rule: str, what: str, fix: str = "", **where: object) -> None:
        """Add what cannot work as it is. `where` is any of actor, shot, file, key and line; rule "" is the collector's."""
        self._add(ERROR, rule, what, fix, where)

    def warning(self, rule: str, what: str, fix: str = "", **where: object) -> None:
        """Add what costs quality, or what may be meant so."""
        self._add(WARNING, rule, what, fix, where)

    def info(self, rule: str, what: str, fix: str = "", **where: object) -> None:
        """Add something to know."""
        self._add(INFO, rule, what, fix, where)

    def extend(self, problems: Iterable[Problem | str], **where: object) -> None:
        """Add records, and lines as errors; `where` and this collector's actor and rule fill in what they leave open."""
        place = _where({"actor": self.actor, **where})
        for problem in problems:
            problem = problem if isinstance(problem, Problem) else Problem(ERROR, problem)
            open_fields = {f.name: getattr(place, f.name) for f in fields(Where) if not getattr(problem.where, f.name)}
            self._found[
                replace(problem, where=replace(problem.where, **open_fields), rule=problem.rule or self.rule)
            ] = None

    def attempt(
        self, load: Callable[..., T], *arguments: object, also: tuple[type[Exception], ...] = (), **where: object
    ) -> T | None:
        """What `load` gives, or None when it raises a UserError, whose problems are added, or one of the errors `also`."""
        try:
            return load(*arguments)
        except UserError as error:
            self.extend(error.problems, **where)
        except also as error:
            self.extend([str(error)], **where)
        return None

    @property
    def errors(self) -> list[Problem]:
        """The errors among them."""
        return by_level(self, ERROR)

    @property
    def warnings(self) -> list[Problem]:
        """The warnings among them."""
        return by_level(self, WARNING)

    @property
    def infos(self) -> list[Problem]:
        """The infos among them."""
        return by_level(self, INFO)

    def raise_errors(self) -> None:
        """Raise one UserError with every error, or return when there is none."""
        raise_problems(self.errors)

    def _add(self, level: str, rule: str, what: str, fix: str, where: dict[str, object]) -> None:
        place = _where({"actor": self.actor, **where})
        self._found[Problem(level, what, place, fix, rule or self.rule)] = None


def by_level(problems: Iterable[Problem], level: str) -> list[Problem]:
    """The problems of one level."""
    return [problem for problem in problems if problem.level == level]


def raise_problems(problems: Iterable[str | Problem]) -> None:
    """Raise one UserError with every problem found, or return when there is none."""
    if problems := list(problems):
        raise UserError(problems)


def _where(parts: dict[str, object]) -> Where:
    line = parts.pop("line", 0)
    assert isinstance(line, int)
    place = {name: str(value) for name, value in parts.items() if value}
    if "file" in place:
        place["file"] = external_path(place["file"])
    return Where(**place, line=line)


def number(what: str, value: Any, least: float, most: float) -> float:
    """An argument as a number from `least` to `most`. Raises UserError naming it."""
    if isinstance(value, bool) or not issubclass(type(value), Real) or not least <= value <= most:
        raise UserError(f"{what} {value!r:.60} is not a finite number from {least:g} to {most:g}")
    return float(value)
