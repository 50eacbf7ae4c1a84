"""An evaluation as numbers for programs (JSON) and as a page for people (one self-contained HTML file)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from audio2face.evaluation.baselines import MEAN_POSE, TRUTH
from audio2face.evaluation.cells import cell, number
from audio2face.evaluation.curve_report import CURVE_KEYS, CurveResults, curve_json, curve_section
from audio2face.evaluation.curve_score import CURVE_METRICS, CurveScore
from audio2face.evaluation.findings import curve_findings, findings
from audio2face.evaluation.plots import curves, shot_dots
from audio2face.evaluation.report_style import NUM_COLOURS, STYLE
from audio2face.evaluation.score import METRICS, ShotScore, pool
from audio2face.listing import natural_order

KEYS = (
    "mouth_opening_correlation",
    "mouth_opening_relative_error",
    "lip_vertex_error_mm",
    "lip_jerk_ratio",
    "lag_behind_truth_ms",
)
WORST_BY = "lip_vertex_error_mm"
ALL_VERTICES = "mean_vertex_error_mm"
MOST_CURVES = 8
Pooled = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Video:
    """A video and its poster image, as addresses: `data:` or a path beside the page."""

    source: str
    poster: str


@dataclass(frozen=True)
class System:
    """One thing that was measured: a training run (kind "run"), or a baseline or the truth (kind "reference")."""

    name: str
    kind: str
    scores: list[ShotScore]

    @cached_property
    def all(self) -> Pooled:
        """Every metric over all shots."""
        return pool(self.scores)

    def by(self, attribute: str) -> dict[str, Pooled]:
        """Every metric for each "emotion" or "actor"."""
        groups = natural_order({getattr(s, attribute) for s in self.scores})
        return {group: pool([s for s in self.scores if getattr(s, attribute) == group]) for group in groups}

    @cached_property
    def by_shot(self) -> dict[tuple[str, str], list[ShotScore]]:
        """The scores of each (actor, shot), one for every take."""
        found: dict[tuple[str, str], list[ShotScore]] = {}
        for score in self.scores:
            found.setdefault((score.actor, score.shot), []).append(score)
        return found


@dataclass(frozen=True)
class Evaluation:
    """Runs first, then baselines and the truth. `emotion` is what all shots were animated in; None: each in its own.

    The systems' scores are of the skin, none where no actor has one; `curves` holds those of each group. `trained` are the
    (actor, shot) that a run was trained on; `folder` holds the shots when the data set does not.
    """

    config_name: str
    systems: list[System]
    emotion: str | None
    units_per_metre: dict[str, float]
    notes: list[str] = field(default_factory=list)  # how something was measured
    trained: list[tuple[str, str]] = field(default_factory=list)
    folder: str | None = None
    curves: dict[str, CurveResults] = field(default_factory=dict)

    @cached_property
    def shots(self) -> dict[tuple[str, str], tuple[str, float]]:
        """Emotion and seconds of every (actor, shot) that was measured."""
        first = self.systems[0]
        curves = [score for results in self.curves.values() for score in results.scores.get(first.name, [])]
        scores: list[ShotScore | CurveScore] = [*first.scores, *curves]
        return {(s.actor, s.shot): (s.emotion, s.seconds) for s in scores}

    @property
    def runs(self) -> list[System]:
        """The training runs among the systems, without the baselines."""
        return [system for system in self.systems if system.kind == "run"]

    @cached_property
    def findings(self) -> dict[str, list[str]]:
        """Findings about each run, in words; none without the mean pose to compare with."""
        still = next((s.all for s in self.systems if s.name == MEAN_POSE), None)
        found = {
            run.name: findings(run.all, still, run.scores[0].fps) if still and run.scores else [] for run in self.runs
        }
        for group, results in self.curves.items():
            headline = next(iter(results.shown), "")
            for name, lines in found.items():
                if scores := results.scores.get(name):
                    lines += curve_findings(group, headline, results.all[name], results.all[MEAN_POSE], scores[0].fps)
        return found

    def summary(self) -> list[str]:
        """The main numbers of every system, a line each."""
        lines = []
        for system in self.systems:
            keys = [key for key in KEYS if key in system.all] or [ALL_VERTICES]  # the others need vertex lists
            if system.scores:
                shown = [f"{METRICS[key].label} {cell(system.all, key, METRICS[key])}" for key in keys]
                lines.append(f"{system.name}: {'; '.join(shown)}")
            for group, results in self.curves.items():
                pooled = results.all.get(system.name, {})
                told = [(results.metric(key), key) for key in CURVE_KEYS if key in pooled]
                if told:
                    listed = "; ".join(f"{metric.label} {cell(pooled, key, metric)}" for metric, key in told)
                    lines.append(f"{system.name}, {group}: {listed}")
        lines += [f"{name}: {line}" for name, found in self.findings.items() for line in found]
        lines += [_known(self)] if self.trained else []
        return lines


def worst_shots(evaluation: Evaluation, count: int) -> list[tuple[str, str]]:
    """The (actor, shot) with the largest lip error (or error of all vertices) of the first run, worst first; then those that
    have curves alone, by their error relative to the mean pose's in the first group that they have."""
    first = evaluation.runs[0]
    by_shot = first.by_shot

    def error(key: tuple[str, str]) -> float:
        values = by_shot[key][0].values
        return values.get(WORST_BY, values[ALL_VERTICES])

    found = sorted(by_shot, key=error, reverse=True)
    for results in evaluation.curves.values():
        found += [key for key in results.worst(first.name) if key not in found]
    return found[:count]


def json_report(evaluation: Evaluation) -> dict[str, Any]:
    """All measurements as plain numbers."""
    return {
        "config_name": evaluation.config_name,
        "training_runs": [system.name for system in evaluation.runs],
        "emotion": evaluation.emotion,
        "units_per_metre": evaluation.units_per_metre,
        "notes": evaluation.notes,
        "trained_on": [list(key) for key in evaluation.trained],
        "data": evaluation.folder,
        "metrics": {key: {"label": m.label, "unit": m.unit, "best": m.best} for key, m in METRICS.items()},
        "shots": [
            {"actor": actor, "shot": shot, "emotion": emotion, "seconds": round(seconds, 3)}
            for (actor, shot), (emotion, seconds) in evaluation.shots.items()
        ],
        "findings": evaluation.findings,
        "systems": {
            system.name: {
                "kind": system.kind,
                "all": system.all,
                "by_emotion": system.by("emotion"),
                "by_actor": system.by("actor"),
                "by_shot": [{"actor": s.actor, "shot": s.shot, **s.values} for s in system.scores],
            }
            for system in evaluation.systems
        },
        "curve_metrics": {key: {"label": m.label, "unit": m.unit, "best": m.best} for key, m in CURVE_METRICS.items()},
        "curves": {group: curve_json(results) for group, results in evaluation.curves.items()},
    }


def html_report(evaluation: Evaluation, videos: Mapping[tuple[str, str], Video] | None = None) -> str:
    """The whole page; `videos` of (actor, shot). Names are escaped; there is no script."""
    styles, shots = _styles(evaluation.systems), evaluation.shots
    seconds = sum(length for _, length in shots.values())
    runs = [run.name for run in evaluation.runs]
    skin = bool(evaluation.runs[0].scores)
    condition = f"all animated as {evaluation.emotion!r}" if evaluation.emotion else "each animated in its own emotion"
    title = f"Evaluation of {', '.join(s.name for s in evaluation.runs)}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{_count(shots)}, {seconds:.0f} s, {escape(condition)}, through the whole inference path, without "
        f"post-processing. {escape(_known(evaluation))} Below each number: the 95 % confidence interval over shots "
        f"(bootstrap), based on {_count(shots)}; with few shots, the interval itself is uncertain. "
        f"{escape('; '.join(evaluation.notes))}</p>",
        *_findings(evaluation),
        *([_summary_table(evaluation), *_group_tables(evaluation), *_per_shot(evaluation, styles)] if skin else []),
        *(line for results in evaluation.curves.values() for line in curve_section(results, runs, styles)),
        *_worst(evaluation, styles, videos or {}, skin),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _count(shots: Mapping[tuple[str, str], Any]) -> str:
    return f"{len(shots)} shot{'s' if len(shots) != 1 else ''}"


def _known(evaluation: Evaluation) -> str:
    """Which of the shots the runs were trained on, and where they lie."""
    place = f" The shots are those of {evaluation.folder}." if evaluation.folder else ""
    if not evaluation.trained:
        return f"No run was trained on any of them.{place}"
    names = ", ".join(shot for _, shot in evaluation.trained)
    return f"Trained on, so their numbers only show what was memorised: {names}.{place}"


def _findings(evaluation: Evaluation) -> list[str]:
    parts = ["<h2>Findings</h2>"]
    for name, found in evaluation.findings.items():
        title = f"<h3>{escape(name)}</h3>" if len(evaluation.runs) > 1 else ""
        lines = "".join(f"<li>{escape(line)}</li>" for line in found)
        parts.append(title + (f"<ul>{lines}</ul>" if found else "<p>None; see the numbers.</p>"))
    return parts


def _styles(systems: Sequence[System]) -> dict[str, str]:
    rest = [s.name for s in systems if s.name != TRUTH]
    return {**{name: f"c{i % NUM_COLOURS}" for i, name in enumerate(rest)}, TRUTH: "truth"}


def _summary_table(evaluation: Evaluation) -> str:
    head = "".join(f'<th class="{s.kind}">{escape(s.name)}</th>' for s in evaluation.systems)
    lines = []
    for key, metric in METRICS.items():
        if not any(key in s.all for s in evaluation.systems):
            continue
        best = "" if metric.best is None else f"<small>best: {metric.best:g}</small>"
        cells = "".join(
            f'<td class="{s.kind}">{cell(s.all, key, metric, interval=True)}</td>' for s in evaluation.systems
        )
        lines.append(f'<tr class="{"key" if key in KEYS else ""}"><td>{escape(metric.label)}{best}</td>{cells}</tr>')
    return f'<h2>All shots</h2><div class="wide"><table><tr><th></th>{head}</tr>{"".join(lines)}</table></div>'


def _group_tables(evaluation: Evaluation) -> list[str]:
    parts = []
    for attribute in ("emotion", "actor"):
        pooled = {system.name: system.by(attribute) for system in evaluation.runs}
        groups = list(next(iter(pooled.values())))
        if attribute == "actor" and len(groups) < 2:
            continue
        keys = [key for key in KEYS if any(key in entry for by in pooled.values() for entry in by.values())]
        head = "".join(f"<th>{escape(METRICS[key].label)}</th>" for key in keys)
        lines = [
            f"<tr><td>{escape(group)}<small>{escape(name) if len(pooled) > 1 else ''}</small></td>"
            + "".join(f"<td>{cell(by[group], key, METRICS[key], interval=True)}</td>" for key in keys)
            + "</tr>"
            for group in groups
            for name, by in pooled.items()
        ]
        parts.append(
            f'<h2>By {attribute}</h2><div class="wide"><table><tr><th></th>{head}</tr>{"".join(lines)}</table></div>'
        )
    return parts


def _per_shot(evaluation: Evaluation, styles: dict[str, str]) -> list[str]:
    key = WORST_BY if WORST_BY in evaluation.systems[0].all else "mean_vertex_error_mm"
    ordered = worst_shots(evaluation, len(evaluation.runs[0].by_shot))  # those with a skin come first
    shown = [s for s in evaluation.systems if s.name != TRUTH]
    several = len({actor for actor, _ in ordered}) > 1
    dots = {
        f"{actor} {shot}" if several else shot: {
            s.name: float(np.mean([r.values[key] for r in s.by_shot[actor, shot]])) for s in shown
        }
        for actor, shot in ordered
    }
    legend = "".join(f'<i class="key-line {styles[s.name]}"></i>{escape(s.name)}' for s in shown)
    keys = [k for k in KEYS if any(k in r.values for r in evaluation.runs[0].scores)]
    head = "".join(f"<th>{escape(METRICS[k].label)}</th>" for k in keys)
    lines = []
    for actor, shot in ordered:
        first = evaluation.runs[0].by_shot[actor, shot][0]
        cells = "".join(f"<td>{number(first.values.get(k))} {METRICS[k].unit}</td>" for k in keys)
        about = f"{escape(actor)}, {escape(first.emotion)}, {first.seconds:.1f} s"
        lines.append(f"<tr><td>{escape(shot)}<small>{about}</small></td>{cells}</tr>")
    head = f'<tr><th class="run">{escape(evaluation.runs[0].name)}</th>{head}</tr>'
    table = f'<div class="wide"><table>{head}{"".join(lines)}</table></div>'
    label = f"<p>{escape(METRICS[key].label)}, worst shots first: {legend}</p>"
    return ["<h2>Shot by shot</h2>", label, shot_dots(dots, styles, METRICS[key].unit), table]


def _worst(
    evaluation: Evaluation, styles: dict[str, str], videos: Mapping[tuple[str, str], Video], skin: bool
) -> list[str]:
    parts = ["<h2>Worst clips</h2>"] if skin or videos else []
    names = "".join(f'<i class="key-line {styles[s.name]}"></i>{escape(s.name)}' for s in evaluation.runs)
    if skin:
        parts.append(
            f'<p>Opening of the mouth, <i class="key-line truth"></i>truth {names}; below it the lip vertex error.</p>'
        )
    for actor, shot in worst_shots(evaluation, MOST_CURVES):
        scores = {s.name: s.by_shot[actor, shot][0] for s in evaluation.runs if (actor, shot) in s.by_shot}
        if not scores and (actor, shot) not in videos:
            continue
        emotion, _ = evaluation.shots[actor, shot]
        parts.append(f'<h3>{escape(shot)} <span class="soft">{escape(actor)}, {escape(emotion)}</span></h3>')
        parts += _mouth_plots(scores, styles, 1000 / evaluation.units_per_metre[actor])
        if (actor, shot) in videos:
            video = videos[actor, shot]
            source, poster = escape(video.source, quote=True), escape(video.poster, quote=True)
            parts.append(f'<video controls preload="metadata" poster="{poster}" src="{source}"></video>')
    return parts


def _mouth_plots(scores: Mapping[str, ShotScore], styles: dict[str, str], mm: float) -> list[str]:
    """The opening of the mouth and the lip error over time of one shot, as far as they were measured."""
    parts = []
    first = next(iter(scores.values()), None)
    if first is not None and first.openings is not None:
        rows = {"truth": first.openings[0] * mm}
        rows |= {name: s.openings[1] * mm for name, s in scores.items() if s.openings is not None}
        parts.append(curves(rows, styles, first.fps, "mm"))
    wrong = {name: s.error for name, s in scores.items() if s.error is not None}
    if first is not None and wrong:
        parts.append(curves(wrong, styles, first.fps, "mm", height=110))
    return parts
