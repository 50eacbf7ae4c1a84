"""The error that a user's mistake raises."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the user's config or data: shown as plain lines, without a traceback, exit status 2.

    `lines` is one message or several; each names the file, shot or key that is wrong and how to mend it.
    """

    def __init__(self, lines: str | Iterable[str]):
        self.lines: tuple[str, ...] = (lines,) if isinstance(lines, str) else tuple(lines)
        super().__init__("\n".join(self.lines))


def raise_problems(problems: list[str]) -> None:
    """Raise one UserError with every problem found, or return when there is none."""
    if problems:
        raise UserError(problems)
