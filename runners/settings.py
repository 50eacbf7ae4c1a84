"""Settings of this machine: the checkout's `.env` file, overridden by the process's environment.

Standard library and Python 3.8 only; python-dotenv reads the file where it is installed, the reader here elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

FRAMEWORK_ROOT = Path(__file__).resolve().parent.parent
ENV_FILE = FRAMEWORK_ROOT / ".env"
FOLDERS = ("A2F_DATASETS_ROOT", "A2F_WORKSPACE_ROOT", "A2F_CONFIGS_ROOT", "HF_HOME")

_LINE = re.compile(
    r"""^\s*(?:export\s+)?(?P<key>[A-Za-z_]\w*)\s*=\s*
        (?:'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<bare>[^\s\#'"](?:[^#]|(?<!\s)\#)*)?)
        \s*(?:\#.*)?$""",
    re.VERBOSE,
)
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")


class SettingsError(Exception):
    """A mistake in `.env`, in one line."""


def read_env_file(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The values of a `.env` file: KEY=value, quotes, comments, `export`, ${OTHER} and ${OTHER:-default}.

    Variables come from the lines above, else from `environ`. Raises SettingsError naming the line.
    """
    values: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        return values.get(match[1], environ.get(match[1], match[2] or ""))

    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.match(line)
        if found is None:
            raise SettingsError(f"{path}, line {number}: expected KEY=value, in quotes when the value holds #")
        value = found["single"] or (found["bare"] or "").strip()
        if found["double"] is not None:
            value = re.sub(r"\\([\\\"])", r"\1", found["double"])
        values[found["key"]] = _VARIABLE.sub(replace, value)
    return values


def read_settings(environ: Mapping[str, str], path: Path = ENV_FILE) -> dict[str, str]:
    """What `.env` says (nothing when there is none), overridden by `environ`, with folders made absolute.

    Only keys of the file and keys that start with A2F_ or HF_ are in the result. A relative folder is taken from the
    checkout when it comes from the file and from the current folder when it comes from the environment.
    """
    from_file: dict[str, str] = {}
    if path.is_file():
        from_file = _with_dotenv(path) or read_env_file(path, environ)
    settings = {key: value for key, value in from_file.items() if value != ""}
    for key, value in environ.items():
        if value != "" and (key in from_file or key.startswith(("A2F_", "HF_"))):
            settings[key] = value
    for key in FOLDERS:
        if key in settings:
            base = Path.cwd() if environ.get(key) else path.parent
            settings[key] = os.path.abspath(base / os.path.expanduser(settings[key]))
    return settings


def take_settings(environ: MutableMapping[str, str] = os.environ) -> None:
    """Add the settings of `.env` that a process lacks. A container was given them when it was started."""
    if environ.get("A2F_IN_CONTAINER") != "1":
        for key, value in read_settings(environ).items():
            environ.setdefault(key, value)


def _with_dotenv(path: Path) -> dict[str, str] | None:
    try:
        from dotenv import dotenv_values
    except ImportError:
        return None
    return {key: value or "" for key, value in dotenv_values(path, encoding="utf-8-sig").items()}
