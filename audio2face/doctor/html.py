"""The report as one HTML file with pictures, which needs nothing else to be read."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from audio2face.audio.sync import usual_lag
from audio2face.dataset.sync_checks import ODD_S
from audio2face.doctor.caches import HELD_S, runs
from audio2face.doctor.check import ActorReport
from audio2face.doctor.plots import Curve, dot_plot, time_plot
from audio2face.doctor.report import shot_table, summary
from audio2face.problems import LEVELS, Problem, by_level
from audio2face.render.page import FRONT_VIEW, face_plot, page

MOST_SHOTS = 60  # with curves; those with findings come first


def html_report(reports: Sequence[ActorReport], title: str) -> str:
    """The whole page. Names from the data are escaped; there is no script, and nothing is loaded from elsewhere."""
    findings = [finding for report in reports for finding in report.findings]
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(summary(findings))}</p>"]
    for report in reports:
        body += [f"<h2>Actor {escape(report.actor)}</h2>", _findings_table(report.findings)]
        body += _pictures(report)
    return page(body, title)


def _findings_table(findings: Sequence[Problem]) -> str:
    rows = []
    for level in LEVELS:
        for finding in by_level(findings, level):
            place = " · ".join(part for part in (finding.where.shot, finding.where.key) if part)
            rows.append(
                f'<tr class="{level}"><td><b>{level}</b></td><td>{escape(finding.rule)}</td>'
                f'<td><div class="where">{escape(place)}</div>{escape(finding.what)}'
                f'<div class="fix">{escape(finding.fix)}</div><div class="where">{escape(finding.where.file)}</div></td></tr>'
            )
    return "<table>" + "".join(rows) + "</table>" if rows else "<p>Nothing found.</p>"


def _pictures(report: ActorReport) -> list[str]:
    data = report.data
    if data is None:
        return []
    parts = []
    if report.lags:
        usual = usual_lag(report.lags)
        late = {shot: lag.frames - usual for shot, lag in report.lags.items()}
        parts.append("<h3>Sound against mouth</h3>")
        parts.append(
            f'<p class="soft">Upwards: the sound comes late. Measured against the median of all shots, {usual:+.1f} frames; '
            f"one frame is {1000 / data.fps:.0f} ms.</p>"
        )
        parts.append(dot_plot(late, "frames late", ODD_S * data.fps))
    rest = data.skin_neutral
    if rest is not None and data.pairs:
        upper = np.concatenate([pairs[0] for pairs in data.pairs.values()])
        lower = np.concatenate([pairs[1] for pairs in data.pairs.values()])
        parts.append(f'<h3>Listed vertices</h3><p class="soft">{FRONT_VIEW}</p>')
        parts.append(face_plot(rest, {"upper": upper, "lower": lower}))
    return [*parts, _shots_table(report), *_curves(report)]


def _shots_table(report: ActorReport) -> str:
    rows = shot_table(report)
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in rows[0])
    lines = []
    for row in rows:
        cells = (
            f'<td class="{"n" if isinstance(v, int | float) else ""}">{"" if v is None else escape(str(v))}</td>'
            for v in row.values()
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<h3>Shots</h3><div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _curves(report: ActorReport) -> list[str]:
    data = report.data
    assert data is not None
    troubled = [f.where.shot for f in report.findings if f.level != "info"]
    shots = [s.name for s in data.shots if s.name in report.opening]
    shots = sorted(shots, key=lambda name: name not in troubled)[:MOST_SHOTS]
    if not shots:
        return []
    parts = [
        '<h3>Curves</h3><p class="soft"><i class="key" style="background:var(--sound)"></i>energy of the sound'
        '<i class="key" style="background:var(--mouth)"></i>opening of the mouth, each over its own range; '
        "shaded: frozen frames. Shots with findings first.</p>"
    ]
    for shot in shots:
        curves = []
        sound, opening = report.sounds.get(shot), report.opening[shot]
        if sound is not None:
            margin = (len(sound.energy) - len(opening)) // 2
            curves.append(Curve("energy of the sound", sound.energy[margin : margin + len(opening)], "sound"))
        curves.append(Curve("opening of the mouth", opening, "mouth"))
        notes = "; ".join(dict.fromkeys(f.rule for f in report.findings if f.where.shot == shot and f.level != "info"))
        parts.append(f'<h3>{escape(shot)} <span class="soft">{escape(notes)}</span></h3>')
        parts.append(time_plot(curves, data.fps, _still_spans(report, shot)))
    return parts


def _still_spans(report: ActorReport, shot: str) -> list[tuple[float, float]]:
    assert report.data is not None
    if shot not in report.skin:
        return []
    fps, step = report.data.fps, report.skin[shot].step
    spans = runs(step[1:] == 0)
    return [(first / fps, (last + 2) / fps) for first, last in spans if last - first + 1 >= HELD_S * fps]
