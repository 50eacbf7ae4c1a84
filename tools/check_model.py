#!/usr/bin/env python3
"""Check deployed model folders against the requirements of the Audio2Face-3D runtime.

    python tools/check_model.py workspace/output_deploy/250101_120000_demo

prints every violation with the rule it breaks, then notes. What run_deploy.py deploys passes: a model without
blendshapes is meant for geometry alone, which is noted. Exit status: 0 valid, 1 problems found, 2 not a folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audio2face.deploy.check.model import RULES, inspect_deployed, model_folders
from audio2face.problems import Problems


def table(report: Problems) -> str:
    """Problems in columns rule, file, message; notes below them."""
    rows = [(p.rule, p.where.file, p.what) for p in report.errors] + [
        ("note", n.where.file, n.what) for n in report.infos
    ]
    widths = [max((len(row[i]) for row in rows), default=0) for i in (0, 1)]
    return "\n".join(f"  {rule:<{widths[0]}}  {file:<{widths[1]}}  {message}" for rule, file, message in rows)


def as_json(report: Problems) -> dict[str, list[dict[str, str]]]:
    """{"problems": [{rule, file, message}], "notes": [...]}."""
    found = (("problems", report.errors), ("notes", report.infos))
    return {name: [{"rule": p.rule, "file": p.where.file, "message": p.what} for p in some] for name, some in found}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="*", type=Path, help="model folder, or a folder of one model folder per actor")
    parser.add_argument(
        "--blendshapes", action="store_true", help="every actor must have blendshapes of skin and tongue"
    )
    parser.add_argument("--geometry-only", action="store_true", help=argparse.SUPPRESS)  # the default; scripts name it
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rules", action="store_true", help="list the rules and exit")
    arguments = parser.parse_args(argv)
    if not arguments.folder and not arguments.rules:
        parser.error("name at least one model folder")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    if arguments.rules:
        print("\n".join(f"{rule:<18}{meaning}" for rule, meaning in RULES.items()))
        return 0
    if missing := [folder for folder in arguments.folder if not folder.is_dir()]:
        print("\n".join(f"{folder} is not a folder" for folder in missing), file=sys.stderr)
        return 2
    folders = [model for folder in arguments.folder for model in model_folders(folder)]
    reports = {str(folder): inspect_deployed(folder, arguments.blendshapes) for folder in folders}
    if arguments.json:
        print(json.dumps({folder: as_json(report) for folder, report in reports.items()}, indent=2))
    else:
        for folder, report in reports.items():
            count = f"{len(report.errors)} problem{'s' * (len(report.errors) > 1)}"
            print(f"{folder}: {count if report.errors else 'OK'}")
            if report.errors or report.infos:
                print(table(report))
    return 1 if any(report.errors for report in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
