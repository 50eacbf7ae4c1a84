"""Print what the image has to install: the dependencies of pyproject.toml, and those of its extras, one a line.

    python3 requirements.py pyproject.toml [EXTRA[,EXTRA...]]

Without extras named: all of them but the developers' (test, lint). torch is left out: the Dockerfile installs it first.
Needs nothing but Python 3.11, so that a change of pyproject.toml that changes no dependency rebuilds no layer.
"""

from __future__ import annotations

import re
import sys
import tomllib

DEVELOPERS = ("test", "lint")


def requirements(project: dict, extras: list[str]) -> list[str]:
    """Requirement strings of `[project]` and of `extras`, extras that name other extras of the project resolved."""
    optional = project.get("optional-dependencies", {})
    own = re.compile(rf"^{re.escape(project['name'])}\[([^]]+)\]$")
    found: dict[str, None] = {}

    def add(lines: list[str]) -> None:
        for line in lines:
            nested = own.match(line.replace(" ", ""))
            if nested:
                for name in nested[1].split(","):
                    add(optional[name])
            else:
                found[line] = None

    add(project["dependencies"])
    for extra in extras:
        if extra not in optional:
            sys.exit(f"pyproject.toml has no extra {extra!r}; it has {', '.join(optional)}")
        add(optional[extra])
    return [line for line in found if not re.match(r"torch\b(?![-_.])", line)]


def main() -> None:
    with open(sys.argv[1], "rb") as file:
        project = tomllib.load(file)["project"]
    named = [name for name in " ".join(sys.argv[2:]).replace(",", " ").split() if name]
    chosen = named or [name for name in project.get("optional-dependencies", {}) if name not in DEVELOPERS]
    print("\n".join(requirements(project, chosen)))


if __name__ == "__main__":
    main()
