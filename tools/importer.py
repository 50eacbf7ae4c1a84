"""Shared by the importers: where the data set and the project go, and the summary at the end."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from audio2face.importing.dataset import Written
from audio2face.importing.project import Project, config_path, emotions_of, write_project
from audio2face.paths import configs_roots, host_root
from audio2face.problems import UserError
from audio2face.runs.run_dir import check_name
from runners.cli import MACHINE_ERRORS, answer


@dataclass(frozen=True)
class Target:
    """Folders of the data set and of the project, and what applies to all shots."""

    actor: str
    home: Path
    project: Path
    emotions: list[str] | None
    language: str


def add_output(parser: argparse.ArgumentParser) -> None:
    """The arguments of all importers."""
    group = parser.add_argument_group("output")
    add_names(group)
    group.add_argument("--out", type=Path, help="folder of the data set (default: A2F_DATASETS_ROOT/ACTOR)")
    group.add_argument("--replace", action="store_true", help="replace a data set that an importer wrote")


def add_names(group: argparse._ArgumentGroup) -> None:
    """What the project is called, and what is spoken in it."""
    group.add_argument("--actor", required=True, help="name of the actor")
    group.add_argument("--config", help="name of the project (default: the actor's)")
    group.add_argument("--emotions", nargs="+", help="emotions besides neutral (default: those in shots' names)")
    group.add_argument("--language", default="en", help="spoken in all shots (default: %(default)s)")


def add_sounds(group: argparse._ArgumentGroup) -> None:
    """The arguments of importers of recordings with sounds beside them, which are laid under them and cut."""
    group.add_argument("--audio", type=Path, help="folder with the sounds")
    group.add_argument("--fps", type=float, help="of the data set (default: the recordings' own, at most 60)")
    group.add_argument("--audio-offset", type=float, default=0.0, metavar="S", help="seconds of sound to leave out")
    group.add_argument("--sample-rate", type=int, help="of the sounds written (default: as recorded)")
    group.add_argument(
        "--cut",
        type=float,
        metavar="S",
        help="cut takes in pauses into shots of about so many seconds; 0: never (default: 4 to 10, of fewer than 5 takes)",
    )


def argument_problems(args: argparse.Namespace, *positive: str, paths: Iterable[Path | None]) -> list[str]:
    """Lines for arguments of `add_sounds` that cannot be, others that must be `positive`, and paths that are not there."""
    problems = [
        f"--{name.replace('_', '-')} must be above 0"
        for name in ("fps", "sample_rate", *positive)
        if (value := getattr(args, name)) is not None and not value > 0
    ]
    if args.sample_rate is not None and args.sample_rate < 16000:
        problems.append("--sample-rate must be 16000 or more")
    if args.cut is not None and args.cut != 0 and not args.cut >= 1:
        problems.append("--cut must be 1 second or more, or 0 for no cuts")
    given = (*paths, args.audio)
    return problems + [f"{path}: no such file or folder" for path in given if path is not None and not path.exists()]


def fraction(text: str) -> float:
    """A number, or a fraction such as 1/255."""
    try:
        return float(Fraction(text))
    except ZeroDivisionError as error:
        raise ValueError(text) from error


def output(args: argparse.Namespace) -> Target:
    """Where to write. Raises UserError for invalid names, and when there is no folder for data sets."""
    actor = check_name(args.actor, "--actor")
    name = check_name(args.config or actor, "--config")
    root = host_root("/datasets")
    if args.out is None and root is None:
        raise UserError("A2F_DATASETS_ROOT is not set (in .env or the environment); set it, or pass --out")
    home = args.out if args.out is not None else root / actor  # type: ignore[operator]
    return Target(actor, home.absolute(), configs_roots()[0] / name, args.emotions, args.language)


def finish(target: Target, written: Written, fps: float, source: str) -> list[str]:
    """Write the project; returns lines to print."""
    shots = [shot.name for shot in written.shots]
    emotions = emotions_of(shots, target.emotions)
    project = Project(target.actor, target.home, fps, emotions, target.language, source)
    fresh, kept = write_project(target.project, project, written)
    frames = sum(shot.num_frames for shot in written.shots)
    lines = [f"{len(shots)} shots, {frames} frames at {fps:g} a second ({frames / fps:.0f} s) -> {target.home}"]
    lines += [f"not proposed: {what}" for what in written.missing]
    lines += [f"kept unchanged: {path}" for path in kept]
    for path in kept:
        text = path.read_text(encoding="utf-8")
        absent = [shot for shot in shots if not re.search(rf"[\"']{re.escape(shot)}[\"']", text)]
        if absent and path.name == "config_train.py" and "CLIPS" in text:
            lines.append(f"not in CLIPS of {path}, so not trained on: {', '.join(absent)}")
        rate = re.search(rf"CACHE_FPS\b.*?[\"']{re.escape(target.actor)}[\"']\s*:\s*([\d.]+)", text, re.DOTALL)
        if path.name == "config_dataset.py" and rate and not math.isclose(float(rate[1]), fps, rel_tol=1e-4):
            lines.append(
                f"CACHE_FPS of {path} is {float(rate[1]):g}, this data set has {fps:g} frames a second: change it there"
            )
    if fresh:
        lines.append(f"project -> {target.project} ({', '.join(path.name for path in fresh)})")
    if not config_path(target.home).startswith("/datasets"):
        lines.append("the data set lies outside A2F_DATASETS_ROOT: it can be used with --local only")
    name, picture = target.project.name, target.home / "geom/skin/proposed_lists.html"
    lines += [f"look at {picture}: are these lips and lids?"] if picture.is_file() else []
    lines += [
        "next:",
        f"    python -m runners.check_dataset {name} {target.actor}",
        f"    python run_preproc.py {name} {target.actor}",
        f"    python run_train.py {name}",
    ]
    return lines


def run(convert: Callable[[], list[str]]) -> int:
    """Print what `convert` returns; user errors, unreadable and unwritable files too, become lines and status 2."""

    def program() -> int:
        try:
            lines = convert()
        except OSError as error:
            if error.errno in MACHINE_ERRORS:
                raise
            raise UserError(": ".join(filter(None, (error.filename, error.strerror or str(error))))) from error
        print("\n".join(lines))
        return 0

    return answer(program)
