"""HTML pages that need nothing else to be read, with faces drawn from the front: the doctor's, and that of proposed lists."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from audio2face.geometry.vertex_lists import Proposal

FACE_POINTS = 4000
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
    return page(body, title)


def page(body: Sequence[str], title: str) -> str:
    """A whole HTML page of parts, which needs nothing else to be read."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def face_plot(
    points: np.ndarray, groups: dict[str, np.ndarray], triangles: np.ndarray | None = None, size: int = 420
) -> str:
    """Vertices (V, 3) seen from the front, with groups {CSS class: vertices} drawn larger and numbered.

    Of `triangles` (F, 3) those that look to the front are drawn as lines.
    """
    flat = points[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = (size - 20) / float((high - low).max())
    width, height = ((high - low) * scale).astype(int) + 20

    def place(vertex: int) -> tuple[float, float]:
        x, y = (flat[vertex] - low) * scale
        return 10 + float(x), height - 10 - float(y)

    if triangles is None or not len(triangles):
        shown = np.unique(np.linspace(0, len(points) - 1, min(len(points), FACE_POINTS)).astype(int))
        parts = [f'<path class="mesh" d="{"".join(f"M{x:.1f} {y:.1f}h.01" for x, y in map(place, shown))}"/>']
    else:
        a, b, c = (flat[corner] for corner in triangles.T)
        front = triangles[(b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) > (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])]
        lines = ("L".join("{:.1f} {:.1f}".format(*place(int(v))) for v in corners) for corners in front)
        parts = [f'<path class="wire" d="{"".join(f"M{line}Z" for line in lines)}"/>']
    for style, vertices in groups.items():
        for vertex in vertices:
            x, y = place(int(vertex))
            parts.append(
                f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"><title>{style} {vertex}</title></circle>'
            )
    return f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px">{"".join(parts)}</svg>'


def zoom_plot(
    points: np.ndarray, groups: dict[str, np.ndarray], triangles: np.ndarray | None = None, size: int = 620
) -> str:
    """As `face_plot`, of what lies around the groups only."""
    listed = points[np.concatenate(list(groups.values()))]
    low, high = listed.min(axis=0), listed.max(axis=0)
    slack = 0.25 * float((high - low).max())
    inside = ((points > low - slack) & (points < high + slack)).all(axis=1)
    number = np.cumsum(inside) - 1
    if triangles is not None and len(triangles):
        triangles = number[triangles[inside[triangles].all(axis=1)]]
    return face_plot(points[inside], {style: number[vertices] for style, vertices in groups.items()}, triangles, size)
