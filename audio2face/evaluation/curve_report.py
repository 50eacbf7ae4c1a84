"""What was measured of a group of curves: as numbers for programs, and as a section of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from audio2face.audio.speaking import BOTH, NOBODY, PARTNER, SELF, SPEAKING
from audio2face.evaluation.baselines import TRUTH
from audio2face.evaluation.cells import cell, number, table
from audio2face.evaluation.curve_data import GroupSource
from audio2face.evaluation.curve_pool import moving, pool_columns, pool_curves
from audio2face.evaluation.curve_score import CURVE_METRICS, CurveScore
from audio2face.evaluation.plots import curves
from audio2face.evaluation.score import Metric
from audio2face.listing import natural_order

CURVE_KEYS = (
    "headline_correlation",
    "rotation_error_deg",
    "joint_error",
    "correlation",
    "relative_error",
    "activity_ratio",
    "jerk_ratio",
)
SPEAKING_KEYS = (
    "relative_error",
    "activity_ratio",
    "frechet_poses",
    "frechet_differences",
    "pose_diversity",
    "temporal_variance",
    "take_variance",
)
WHO = {SELF: "the actor speaks", PARTNER: "the partner speaks", BOTH: "both speak", NOBODY: "nobody speaks"}
WORST_BY = "relative_error"
WORST_COLUMNS = 10
WORST_SHOTS = 2  # whose columns are drawn
Pooled = dict[str, dict[str, float | None]]
Columns = dict[str, dict[str, float | str | None]]


@dataclass(frozen=True)
class CurveResults:
    """A group: its kind, the unit of its values, the columns to show, and the scores of every system by its name."""

    name: str
    kind: str
    unit: str
    shown: tuple[str, ...]
    scores: dict[str, list[CurveScore]]

    @classmethod
    def of(cls, source: GroupSource, scores: dict[str, list[CurveScore]]) -> CurveResults:
        """The results of a group, given what it is and the scores."""
        units = {block.unit for block in source.group.blocks if block.kind != "rotation"}
        unit = "" if source.group.kind == "weights" else (units.pop() if len(units) == 1 else "") or "unit"
        return cls(source.channel.name, source.group.kind, unit, source.shown, scores)

    @cached_property
    def all(self) -> dict[str, Pooled]:
        """Every metric of each system over all shots."""
        return {name: pool_curves(scores) for name, scores in self.scores.items()}

    def by(self, system: str, attribute: str) -> dict[str, Pooled]:
        """Every metric for each "emotion" or "actor"."""
        scores = self.scores.get(system, [])
        names = natural_order({getattr(s, attribute) for s in scores})
        return {name: pool_curves([s for s in scores if getattr(s, attribute) == name]) for name in names}

    @cached_property
    def by_speaking(self) -> dict[str, dict[str, Pooled]]:
        """Of each system every metric for the frames in which the actor, the partner, both or nobody speaks; without a
        partner there is none."""
        found: dict[str, dict[str, Pooled]] = {}
        for name, scores in self.scores.items():
            parts = {who: [s.speaking[who] for s in scores if who in s.speaking] for who in SPEAKING}
            found[name] = {who: pool_curves(part) for who, part in parts.items() if part}
        return found

    def metric(self, key: str) -> Metric:
        """A metric in the units of the group."""
        metric = CURVE_METRICS[key]
        if key in ("headline_correlation", "lag_behind_truth_ms") and self.shown:
            return replace(metric, label=f"{self.shown[0]}, {metric.label}")
        units = {"unit": self.unit, "unit/s": f"{self.unit or 1}/s"}
        return replace(metric, unit=units.get(metric.unit, metric.unit))

    def worst(self, system: str) -> list[tuple[str, str]]:
        """The (actor, shot) of a system, the largest relative error first."""
        first = {(s.actor, s.shot): s.sums.get(WORST_BY, (0.0, 1.0)) for s in reversed(self.scores.get(system, []))}
        return sorted(first, key=lambda key: first[key][0] / first[key][1], reverse=True)


def curve_json(results: CurveResults) -> dict[str, Any]:
    """All measurements of a group as plain numbers."""
    return {
        "kind": results.kind,
        "unit": results.unit,
        "shown": list(results.shown),
        "systems": {
            name: {
                "all": results.all[name],
                "by_emotion": results.by(name, "emotion"),
                "by_actor": results.by(name, "actor"),
                **({"by_speaking": found} if (found := results.by_speaking[name]) else {}),
                "by_shot": [{"actor": s.actor, "shot": s.shot, **_alone(s)} for s in scores],
                "columns": pool_columns(scores),
            }
            for name, scores in results.scores.items()
        },
    }


def _alone(score: CurveScore) -> dict[str, float | None]:
    """Every metric of a shot alone."""
    return {key: entry["value"] for key, entry in pool_curves([score], resamples=1).items()}


def column_rows(groups: Mapping[str, CurveResults]) -> Iterator[list[Any]]:
    """A table of every column of every group and system; the first row has the names."""
    first = True
    for group, results in groups.items():
        for system, scores in results.scores.items():
            for column, values in pool_columns(scores).items():
                if first:
                    yield ["group", "column", "system", *values]
                    first = False
                yield [group, column, system, *("" if v is None else v for v in values.values())]


def curve_section(results: CurveResults, runs: Sequence[str], styles: Mapping[str, str]) -> list[str]:
    """The section of the page: every metric of every system, the columns that the first run shows worst, and the shown
    columns over time in the worst shots. `styles` {system: CSS class}."""
    names = len({key for s in results.scores.values() for score in s for key in score.names})
    about = f"{results.kind}, {names} column{'s' if names != 1 else ''}"
    parts = [
        f'<h2>Curves: {escape(results.name)} <span class="soft">{escape(about)}</span></h2>',
        _metrics(results, runs),
        *_speaking(results, runs),
    ]
    measured = [run for run in runs if run in results.scores]
    if measured:
        parts += [_worst_columns(results, measured), *_plots(results, measured, styles)]
    return parts


def _metrics(results: CurveResults, runs: Sequence[str]) -> str:
    pooled = results.all
    head = ["<th></th>", *(f'<th class="{_kind(name, runs)}">{escape(name)}</th>' for name in pooled)]
    rows = []
    for key in CURVE_METRICS:
        if not any(key in entry for entry in pooled.values()):
            continue
        metric = results.metric(key)
        best = "" if metric.best is None else f"<small>best: {metric.best:g}</small>"
        cells = "".join(f'<td class="{_kind(n, runs)}">{cell(p, key, metric, True)}</td>' for n, p in pooled.items())
        bold = "key" if key in CURVE_KEYS else ""
        rows.append(f'<tr class="{bold}"><td>{escape(metric.label)}{best}</td>{cells}</tr>')
    return table(head, rows)


def _speaking(results: CurveResults, runs: Sequence[str]) -> list[str]:
    """Where clips have a partner: the runs and the truth by who speaks."""
    found = {name: results.by_speaking[name] for name in [*runs, TRUTH] if results.by_speaking.get(name)}
    if not found:
        return []
    head = ["<th></th>", *(f'<th class="{_kind(name, runs)}">{escape(name)}</th>' for name in found)]
    rows = []
    for who in SPEAKING:
        pooled = {name: entry[who] for name, entry in found.items() if who in entry}
        shown = [key for key in SPEAKING_KEYS if any(key in entry for entry in pooled.values())]
        if shown:
            parts = [s.speaking[who] for s in results.scores[next(iter(pooled))] if who in s.speaking]
            seconds = sum(len(s.poses[0]) / s.fps for s in parts)
            rows.append(
                f'<tr class="key"><td>{WHO[who]}<small>{seconds:.0f} s</small></td>{"<td></td>" * len(found)}</tr>'
            )
        for key in shown:
            metric = results.metric(key)
            cells = "".join(
                f'<td class="{_kind(n, runs)}">{cell(pooled.get(n, {}), key, metric, True)}</td>' for n in found
            )
            rows.append(f"<tr><td>{escape(metric.label)}</td>{cells}</tr>")
    return ["<p>By who speaks, as the levels of both sounds tell:</p>", table(head, rows)]


def _worst_columns(results: CurveResults, runs: Sequence[str]) -> str:
    """Of the columns that move, those with the least correlation; where a prediction is still it counts as none."""
    first = results.scores[runs[0]]
    columns = pool_columns(first)
    moves = {name for name, moved in zip(first[0].names, moving(first), strict=True) if moved}
    ordered = sorted((n for n in columns if n in moves), key=lambda n: columns[n]["correlation"] or 0.0)
    head = ["<th></th>"] + [f"<th>{t}</th>" for t in ("correlation", "error, RMS", "spread of the truth", "predicted")]
    rows = []
    for name in ordered[:WORST_COLUMNS]:
        values = columns[name]
        kept = [values[k] for k in ("correlation", "rms_error", "true_spread", "predicted_spread")]
        unit = str(values["unit"])
        shown = [number(None if v is None else float(v)) for v in kept]
        cells = "".join(f"<td>{text}{'' if i == 0 else f' {escape(unit)}'}</td>" for i, text in enumerate(shown))
        rows.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    still = len(columns) - len(ordered)
    rest = f"; {still} do not move in these shots and are left out" if still else ""
    text = f"<p>Columns that {escape(runs[0])} follows least, of the {len(ordered)} that move{rest}:</p>"
    return text + table(head, rows) if rows else ""


def _plots(results: CurveResults, runs: Sequence[str], styles: Mapping[str, str]) -> Iterator[str]:
    legend = "".join(f'<i class="key-line {styles[name]}"></i>{escape(name)}' for name in runs)
    shots = results.worst(runs[0])[:WORST_SHOTS]
    if shots and results.shown:
        yield f'<p>Over time, in the worst shots: <i class="key-line truth"></i>truth {legend}</p>'
    for actor, shot in shots:
        scores = {n: next((s for s in results.scores[n] if (s.actor, s.shot) == (actor, shot)), None) for n in runs}
        kept = {name: score for name, score in scores.items() if score is not None}
        first = next(iter(kept.values()))
        yield f'<h3>{escape(shot)} <span class="soft">{escape(actor)}, {escape(first.emotion)}</span></h3>'
        for column, (truth, _) in first.shown.items():
            if not np.isfinite(truth).any():
                continue
            rows = {"truth": truth} | {name: score.shown[column][1] for name, score in kept.items()}
            yield f'<p class="soft">{escape(column)}</p>'
            yield curves(rows, styles, first.fps, first.units[first.names.index(column)], height=130)


def _kind(system: str, runs: Sequence[str]) -> str:
    return "run" if system in runs else "reference"
