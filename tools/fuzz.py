#!/usr/bin/env python3
"""Read changed files of every format that strangers send, and keep those that give neither a value nor a clear error.

    python tools/fuzz.py                          10,000 files of each kind
    python tools/fuzz.py ply gltf --runs 1000000
    python tools/fuzz.py --runs 100000 --guided   changes guided by coverage (pip install atheris; Linux)

A file passes that is read, or refused by an error that names it, within 2 s and 200 MB. Others are written to --out, the
smallest of each kind. Exit status: 0 all passed, 1 some did not, 2 a mistake in the arguments.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fakes.fuzz import campaign  # noqa: E402 (the tests' folder first)
from fakes.fuzz_kinds import KINDS, targets  # noqa: E402


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="kinds of files (default: all)")
    parser.add_argument("--runs", type=int, default=10_000, help="files of each kind (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the changes (default: 0)")
    parser.add_argument(
        "--guided", action="store_true", help="changes guided by coverage, which takes the package atheris"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("fuzz"), help="where files that did not pass go (default: fuzz/)"
    )
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.kinds) - set(KINDS):
        parser.error(f"unknown kinds {', '.join(sorted(unknown))}; known are: {', '.join(KINDS)}")
    known = targets()
    if arguments.guided and find_spec("atheris") is None:
        parser.error("--guided takes the package atheris: pip install atheris")
    passed = True
    for name in arguments.kinds or KINDS:
        start = time.monotonic()
        result = campaign(name, arguments.runs, arguments.seed, arguments.guided)
        told = f"{result.executions} files, {result.values} read, the others refused, {time.monotonic() - start:.0f} s"
        print(f"{name:20} {told}, {len(result.found)} kinds of faults", flush=True)
        for number, (what, data) in enumerate(sorted(result.found.items())):
            path = arguments.out / name.replace(" ", "_") / f"{number}_{Path(known[name].file).name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            print(f"    {what}: {path}", flush=True)
        passed = passed and not result.found
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
