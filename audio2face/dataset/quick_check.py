"""The quick check of captured data, by headers and small arrays, and how a command reports what a check has found.

Training runs `check_trained`; preprocessing and the doctor build on `check_headers`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from audio2face.dataset.captured import CapturedActor, build_trained
from audio2face.dataset.clip_checks import check_clips, check_shots
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.motion_checks import check_motion_data
from audio2face.dataset.partner_checks import check_partners
from audio2face.dataset.sound_checks import check_sound_files
from audio2face.problems import ERROR, INFO, LEVELS, STRUCTURE, WARNING, Problem, Problems, UserError, by_level
from audio2face.runs.preproc_run import PreprocRun

if TYPE_CHECKING:
    from audio2face.config import Section

CANNOT_WORK = (STRUCTURE, "audio.rate")  # rules that SKIP_DATA_CHECKS has no say in

logger = logging.getLogger(__name__)


def check_headers(report: Problems, data: CapturedActor) -> None:
    """Sounds and those of partners by their headers, motion of jaw and eyes, emotions and languages of shots, CLIPS together."""
    check_sound_files(report, data)
    check_partners(report, data)
    check_motion_data(report, data)
    check_shots(report, data)
    check_clips(report, data)


def check_trained(
    dataset: Section, train: Section, runs: Mapping[str, PreprocRun], files: Mapping[str, DatasetFiles]
) -> list[Problem]:
    """What is wrong with what training reads besides preprocessing runs: sounds, motion of jaw and eyes, clips."""
    found: list[Problem] = []
    for actor, run in runs.items():
        report = Problems(actor)
        check_headers(report, build_trained(dataset, train, run, files[actor]))
        found += report
    return found


def worst_first(problems: Iterable[Problem]) -> list[Problem]:
    """Errors, then warnings, then infos; otherwise in the order found; repetitions dropped."""
    return sorted(dict.fromkeys(problems), key=lambda problem: LEVELS.index(problem.level))


def accept(problems: Iterable[Problem], patterns: Sequence[str]) -> list[Problem]:
    """The problems, those of rules that SKIP_DATA_CHECKS names (`*` for any part) as infos; never what cannot work."""
    return [
        replace(p, level=INFO, what=f"(SKIP_DATA_CHECKS) {p.what}")
        if p.rule not in CANNOT_WORK and any(fnmatchcase(p.rule, pattern) for pattern in patterns)
        else p
        for p in problems
    ]


def report_problems(problems: Iterable[Problem]) -> None:
    """Report as a command does at its start: warnings are logged; UserError lists every error and how to accept it."""
    found = worst_first(problems)
    for problem in by_level(found, WARNING):
        logger.warning("%s", problem)
    raise_errors(found)


def raise_errors(problems: Iterable[Problem]) -> None:
    """Raise UserError with every error among the problems, and how to accept them, or return when there is none."""
    errors = by_level(problems, ERROR)
    if not errors:
        return
    rules = sorted({problem.rule for problem in errors if problem.rule not in CANNOT_WORK})
    hint = f"where the data is right as it is, accept it in config_dataset.py: SKIP_DATA_CHECKS = {rules}"
    raise UserError([*errors, *([hint] if rules else ())])
