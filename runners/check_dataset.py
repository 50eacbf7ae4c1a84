"""The data set doctor: checks every file of a project's actors and reports what is wrong and how to fix it.

python -m runners.check_dataset demo-regression
python -m runners.check_dataset demo-regression demo --html report.html --json report.json
python -m runners.check_dataset demo-regression --fast
python -m runners.check_dataset demo-regression --fix /data/corrected
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from runners.cli import USER_MISTAKE, answer

EXAMPLES = """
examples:
  python -m runners.check_dataset demo-regression                          all actors, everything
  python -m runners.check_dataset demo-regression demo --html report.html  one actor, with pictures
  python -m runners.check_dataset demo-regression --fast                   headers and lists only: seconds
  python -m runners.check_dataset demo-regression --fix /data/corrected    and write a corrected copy

exit status: 0 no errors (there may be warnings), 2 errors in the data or the config
"""


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    return answer(lambda: check(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runners.check_dataset",
        description="Check the data of a project's actors: files, animations, sounds, vertex lists, lip sync, clips.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config_name", metavar="CONFIG_NAME", help="a folder of configs/ (or of A2F_CONFIGS_ROOT)")
    parser.add_argument("actor", metavar="ACTOR_NAME", nargs="?", help="one actor (default: all)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything found as JSON")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a report with pictures, one file")
    parser.add_argument(
        "--fix", metavar="OUT", type=Path, help="write a corrected copy of the data to the new folder OUT"
    )
    parser.add_argument(
        "--fast", action="store_true", help="only the checks that take seconds: no pictures, no lip sync"
    )
    return parser


def check(arguments: argparse.Namespace) -> int:
    """Load, check, print and write; returns the exit status."""
    from audio2face.config import load_config, project_folder
    from audio2face.doctor.check import ActorReport, build_actors, full_check
    from audio2face.doctor.quick import quick_check
    from audio2face.doctor.report import shot_lines, text_table
    from audio2face.problems import ERROR, UserError, by_level

    if arguments.fast and (arguments.html or arguments.fix):
        raise UserError("--fast measures too little for --html and --fix; drop it")
    _check_outputs(arguments)
    folder = project_folder(arguments.config_name)
    kinds = [kind for kind in ("dataset", "preproc", "train") if (folder / f"config_{kind}.py").is_file()]
    sections = load_config(arguments.config_name, kinds)
    if "dataset" not in sections:
        raise UserError(f"{folder} has no config_dataset.py, which names the data's folders")
    actors = build_actors(sections, arguments.actor)
    if arguments.fast:
        found = quick_check(sections, actors)
        reports = [ActorReport(a, [f for f in found if f.where.actor == a]) for a in actors]
    else:
        reports = full_check(sections, actors, progress=True)
    findings = [finding for report in reports for finding in report.findings]
    for report in reports:
        if report.sounds:
            print(f"{shot_lines(report)}\n")
    print(text_table(findings))
    _write(arguments, sections, reports)
    return USER_MISTAKE if by_level(findings, ERROR) else 0


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Before the data is read: whether the reports and the copy can be written. Raises UserError."""
    from audio2face.doctor.fix import check_new
    from audio2face.problems import raise_problems

    problems = []
    for option, path in (("--json", arguments.json), ("--html", arguments.html)):
        if path and path.is_dir():
            problems.append(f"{option} {path} is a folder; name a file in it")
    raise_problems(problems)
    if arguments.fix:
        check_new(arguments.fix)


def _write(arguments: argparse.Namespace, sections: dict[str, Any], reports: list[Any]) -> None:
    from audio2face.doctor.fix import write_fixed_copy
    from audio2face.doctor.html import html_report
    from audio2face.doctor.report import as_json
    from audio2face.formats.json_file import write_json
    from audio2face.paths import atomic

    if arguments.json:
        write_json(arguments.json, as_json(reports))
        print(f"JSON: {arguments.json}")
    if arguments.html:
        with atomic(arguments.html) as temporary:
            temporary.write_text(html_report(reports, f"Data set of {arguments.config_name}"), encoding="utf-8")
        print(f"HTML: {arguments.html}")
    if arguments.fix:
        changes = write_fixed_copy(sections, reports, arguments.fix)
        for actor, lines in changes.items():
            print(f"{actor}: {len(lines)} change(s) in the copy {arguments.fix / actor}")
            print("\n".join(f"  {line}" for line in lines))
        print(f"Copy {arguments.fix / 'config_dataset.py'} into the project to use it, then check again.")


if __name__ == "__main__":
    sys.exit(main())
