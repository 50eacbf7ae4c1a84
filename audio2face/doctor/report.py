"""What was found, as a text table and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from audio2face.audio.sync import usual_lag
from audio2face.doctor.check import ActorReport
from audio2face.problems import LEVELS, Problem, by_level

WIDTH = 110


def text_table(findings: Sequence[Problem], width: int = WIDTH) -> str:
    """Findings one below the other: level, check, place, then what and how to repair it."""
    lines = []
    for finding in findings:
        place = [part for part in (finding.where.actor, finding.where.shot, finding.where.key) if part]
        lines.append(f"{finding.level.upper():8}{finding.rule:24}{'  '.join(place)}")
        lines += textwrap.wrap(finding.what, width, initial_indent=" " * 8, subsequent_indent=" " * 8)
        lines += textwrap.wrap(finding.fix, width, initial_indent=" " * 8 + "-> ", subsequent_indent=" " * 11)
        if finding.where.file and finding.where.file not in finding.what:
            lines.append(" " * 8 + finding.where.file)
    return "\n".join([*lines, summary(findings)])


def summary(findings: Sequence[Problem]) -> str:
    """One line: how many of each level."""
    counts = [f"{len(by_level(findings, level))} {level}{'' if level == 'info' else 's'}" for level in LEVELS]
    return ("No errors: " if not by_level(findings, "error") else "") + ", ".join(counts)


def shot_lines(report: ActorReport) -> str:
    """The shots of an actor, one a line: length, emotion, language, sound, and how late it is compared with the other shots."""
    rows = shot_table(report)
    if not rows:
        return ""
    width = max(len("shot"), *(len(row["shot"]) for row in rows)) + 2
    lines = [f"{'shot':{width}}{'frames':>7}{'emotion':>14}{'language':>10}{'sound':>10}{'rate':>8}{'late':>7}"]
    for row in rows:
        sound = "-" if row["sound_seconds"] is None else f"{row['sound_seconds']:.2f} s"
        late = "-" if row["late_frames"] is None else f"{row['late_frames']:+.1f}"
        rate = row["sample_rate"] or "-"
        lines.append(
            f"{row['shot']:{width}}{row['frames']:>7}{row['emotion']:>14}{row['language']:>10}{sound:>10}{rate:>8}{late:>7}"
        )
    return "\n".join(lines)


def shot_table(report: ActorReport) -> list[dict[str, Any]]:
    """Facts of every shot, for tables: frames, seconds, emotion, language, sound, and how it lies against the mouth."""
    if report.data is None:
        return []
    usual = usual_lag(report.lags)
    rows = []
    for shot in report.data.shots:
        sound, lag, opening = report.sounds.get(shot.name), report.lags.get(shot.name), report.opening.get(shot.name)
        rows.append(
            {
                "shot": shot.name,
                "frames": shot.num_frames,
                "seconds": round(shot.num_frames / shot.fps, 3),
                "emotion": shot.emotion,
                "language": report.data.languages[shot.name],
                "sound_seconds": round(sound.info.duration_s, 3) if sound else None,
                "sample_rate": sound.info.sample_rate if sound else None,
                "channels": sound.info.num_channels if sound else None,
                "peak": round(sound.peak, 4) if sound else None,
                "speech_share": round(float(sound.speech.mean()), 3) if sound else None,
                "largest_opening_mm": _opening_mm(report, opening),
                "late_frames": round(lag.frames - usual, 2) if lag else None,
                "correlation": round(lag.correlation, 3) if lag else None,
            }
        )
    return rows


def as_json(reports: Sequence[ActorReport]) -> dict[str, Any]:
    """Everything for other programs: {"findings": [{level, check, where, what, fix}], "counts", "actors": {actor: …}}."""
    findings = [finding for report in reports for finding in report.findings]
    return {
        "counts": {level: len(by_level(findings, level)) for level in LEVELS},
        "findings": [_as_json(finding) for finding in findings],
        "actors": {
            report.actor: {"usual_late_frames": round(usual_lag(report.lags), 3), "shots": shot_table(report)}
            for report in reports
        },
    }


def _as_json(problem: Problem) -> dict[str, Any]:
    where = {
        "actor": problem.where.actor,
        "shot": problem.where.shot,
        "file": problem.where.file,
        "key": problem.where.key,
    }
    return {"level": problem.level, "check": problem.rule, "where": where, "what": problem.what, "fix": problem.fix}


def _opening_mm(report: ActorReport, opening: np.ndarray | None) -> float | None:
    if opening is None or report.data is None or "lip_dist" not in report.data.pairs:
        return None
    return round(float(opening.max()) * report.data.unit_mm, 2)
