"""The report as one HTML file with pictures, which needs nothing else to be read."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from audio2face.doctor.caches import HELD_S, runs
from audio2face.doctor.check import ActorReport
from audio2face.doctor.findings import LEVELS, Finding, by_level
from audio2face.doctor.plots import Curve, dot_plot, face_plot, time_plot, zoom_plot
from audio2face.doctor.propose import Proposal
from audio2face.doctor.report import shot_table, summary
from audio2face.doctor.sync import ODD_S, usual_lag

MOST_SHOTS = 60  # with curves; those with findings come first
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #667085; --paper: #fff; --line: #d8dee8; --bad: #c4320a; --odd: #b54708;
  --sound: #2e90fa; --mouth: #c4320a; --panel: #f6f8fb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #98a2b3; --paper: #12161c; --line: #303846; --bad: #ff8a65;
  --odd: #fdb022; --sound: #53b1fd; --mouth: #ff8a65; --panel: #1a2029; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1080px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em } h2 { margin-top: 2em; border-bottom: 1px solid var(--line) } h3 { margin-bottom: .2em; font-size: 1em }
table { border-collapse: collapse; width: 100%; font-size: .87em } .wide { overflow-x: auto }
td, th { text-align: left; padding: .25em .45em; border-bottom: 1px solid var(--line); vertical-align: top } td.n { text-align: right }
.error b { color: var(--bad) } .warning b { color: var(--odd) } .info b, .soft { color: var(--soft) }
.where { color: var(--soft); font-size: .9em; overflow-wrap: anywhere } .fix { color: var(--soft) }
svg { width: 100%; height: auto; background: var(--panel); border-radius: 4px } svg text { font: 11px system-ui; fill: var(--soft) }
polyline { fill: none; stroke-width: 1.3 } .sound { stroke: var(--sound) } .mouth { stroke: var(--mouth) } .step { stroke: var(--soft) }
.axis { stroke: var(--line) } .limit { stroke: var(--odd); stroke-dasharray: 4 4 } .marked { fill: var(--odd); opacity: .12 }
.dot { fill: var(--sound) } .odd { fill: var(--bad) } .mesh { stroke: var(--soft); stroke-width: 1.4; stroke-linecap: round; opacity: .45 }
.wire { fill: none; stroke: var(--soft); stroke-width: .35; stroke-linejoin: round }
.upper { fill: var(--sound) } .lower { fill: var(--bad) }
.key { display: inline-block; width: 1.6em; height: 3px; vertical-align: middle; margin: 0 .4em 0 1em }
"""

FRONT_VIEW = (
    'Front view of the face at rest: <i class="key" style="background:var(--sound)"></i>upper or top, '
    '<i class="key" style="background:var(--bad)"></i>lower or bottom. Hold the pointer over a dot for its number.'
)


def html_report(reports: Sequence[ActorReport], title: str) -> str:
    """The whole page. Names from the data are escaped; there is no script, and nothing is loaded from elsewhere."""
    findings = [finding for report in reports for finding in report.findings]
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(summary(findings))}</p>"]
    for report in reports:
        body += [f"<h2>Actor {escape(report.actor)}</h2>", _findings_table(report.findings)]
        body += _pictures(report)
    return _page(body, title)


def proposal_page(rest: np.ndarray, proposal: Proposal, title: str, triangles: np.ndarray | None = None) -> str:
    """Proposed vertex lists drawn on the face at rest (V, 3), whole and from near, for a person to confirm.

    With its `triangles` (F, 3) the near view shows edges instead of points.
    """
    body = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{FRONT_VIEW}</p>']
    body += [f'<p class="warning"><b>not found</b> {escape(what)}</p>' for what in proposal.missing]
    for name, (upper, lower) in proposal.pairs.items():
        pairs = ", ".join(f"{u}-{v}" for u, v in zip(upper, lower, strict=True))
        groups = {"upper": upper, "lower": lower}
        body += [f"<h2>{name}</h2><p>{pairs}</p>", face_plot(rest, groups), zoom_plot(rest, groups, triangles)]
    return _page(body, title)


def _page(body: Sequence[str], title: str) -> str:
    page = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{page}<style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _findings_table(findings: Sequence[Finding]) -> str:
    rows = []
    for level in LEVELS:
        for finding in by_level(findings, level):
            place = " · ".join(part for part in (finding.where.shot, finding.where.key) if part)
            rows.append(
                f'<tr class="{level}"><td><b>{level}</b></td><td>{escape(finding.check)}</td>'
                f'<td><div class="where">{escape(place)}</div>{escape(finding.what)}'
                f'<div class="fix">{escape(finding.fix)}</div><div class="where">{escape(finding.where.file)}</div></td></tr>'
            )
    return "<table>" + "".join(rows) + "</table>" if rows else "<p>Nothing found.</p>"


def _pictures(report: ActorReport) -> list[str]:
    subject = report.subject
    if subject is None:
        return []
    parts = []
    if report.lags:
        usual = usual_lag(report.lags)
        late = {shot: lag.frames - usual for shot, lag in report.lags.items()}
        parts.append("<h3>Sound against mouth</h3>")
        parts.append(
            f'<p class="soft">Upwards: the sound comes late. Measured against the median of all shots, {usual:+.1f} frames; '
            f"one frame is {1000 / subject.fps:.0f} ms.</p>"
        )
        parts.append(dot_plot(late, "frames late", ODD_S * subject.fps))
    rest = subject.skin.neutral
    if rest is not None and subject.pairs:
        upper = np.concatenate([pairs[0] for pairs in subject.pairs.values()])
        lower = np.concatenate([pairs[1] for pairs in subject.pairs.values()])
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
    subject = report.subject
    assert subject is not None
    troubled = [f.where.shot for f in report.findings if f.level != "info"]
    shots = [s.name for s in subject.shots if s.name in report.opening]
    shots = sorted(shots, key=lambda name: name not in troubled)[:MOST_SHOTS]
    if not shots:
        return []
    parts = [
        '<h3>Curves</h3><p class="soft"><i class="key" style="background:var(--sound)"></i>energy of the sound'
        '<i class="key" style="background:var(--mouth)"></i>opening of the mouth, each over its own range; '
        "shaded: frames that stand still. Shots with findings first.</p>"
    ]
    for shot in shots:
        curves = []
        sound, opening = report.sounds.get(shot), report.opening[shot]
        if sound is not None:
            margin = (len(sound.energy) - len(opening)) // 2
            curves.append(Curve("energy of the sound", sound.energy[margin : margin + len(opening)], "sound"))
        curves.append(Curve("opening of the mouth", opening, "mouth"))
        notes = "; ".join(dict.fromkeys(f.check for f in report.findings if f.where.shot == shot and f.level != "info"))
        parts.append(f'<h3>{escape(shot)} <span class="soft">{escape(notes)}</span></h3>')
        parts.append(time_plot(curves, subject.fps, _still_spans(report, shot)))
    return parts


def _still_spans(report: ActorReport, shot: str) -> list[tuple[float, float]]:
    assert report.subject is not None
    fps, step = report.subject.fps, report.skin[shot].step
    spans = runs(step[1:] == 0)
    return [(first / fps, (last + 2) / fps) for first, last in spans if last - first + 1 >= HELD_S * fps]
