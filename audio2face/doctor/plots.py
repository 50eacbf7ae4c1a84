"""Small pictures as inline SVG: curves over time, dots by shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH, HEIGHT = 900, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 24
MOST_POINTS = 900


@dataclass(frozen=True)
class Curve:
    """Values over time (T,), drawn over its own range; `style` is a CSS class."""

    name: str
    values: np.ndarray
    style: str


def time_plot(curves: Sequence[Curve], fps: float, marked: Sequence[tuple[float, float]] = ()) -> str:
    """Curves over seconds, each scaled to the full height; `marked` spans (first, last second) are shaded."""
    seconds = max((len(c.values) for c in curves), default=1) / fps
    scale = (WIDTH - LEFT - RIGHT) / max(seconds, 1e-9)
    parts = [
        f'<rect class="marked" x="{LEFT + a * scale:.1f}" y="{TOP}" width="{max((b - a) * scale, 2):.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        for a, b in marked
    ]
    for curve in curves:
        values = _thinned(curve.values)
        low, high = float(values.min()), float(values.max())
        x = LEFT + (np.arange(len(values)) + 0.5) * len(curve.values) / len(values) / fps * scale
        y = HEIGHT - BOTTOM - (values - low) / max(high - low, 1e-12) * (HEIGHT - TOP - BOTTOM)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        parts.append(
            f'<polyline class="{curve.style}" points="{points}"><title>{escape(curve.name)}</title></polyline>'
        )
    step = next(s for s in (0.5, 1, 2, 5, 10, 30, 60, 300, 1e9) if seconds / s <= 12)
    for tick in np.arange(0, seconds, step):
        parts.append(_label(LEFT + tick * scale, HEIGHT - 8, f"{tick:g} s"))
    return _svg(parts, HEIGHT)


def dot_plot(values: dict[str, float], unit: str, limit: float, height: int = 190) -> str:
    """One dot for each name, its value upwards; beyond ± `limit` (dashed) dots are marked and named."""
    reach = max([limit * 1.5, *(abs(v) for v in values.values())]) * 1.1
    middle = (TOP + height - BOTTOM) / 2
    scale = (height - TOP - BOTTOM) / 2 / reach

    def line(value: float, style: str) -> str:
        y = middle - value * scale
        return f'<line class="{style}" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'

    parts = [line(0, "axis"), line(limit, "limit"), line(-limit, "limit")]
    parts += [_label(4, middle - v * scale + 4, f"{v:+.1f}", "start") for v in (limit, -limit)]
    parts.append(_label(LEFT, height - 6, f"{unit}, one dot for each shot", "start"))
    for index, (name, value) in enumerate(values.items()):
        x = LEFT + (index + 0.5) * (WIDTH - LEFT - RIGHT) / len(values)
        y = middle - value * scale
        odd = abs(value) > limit
        parts.append(
            f'<circle class="{"odd" if odd else "dot"}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(name)}: {value:+.2f}</title></circle>'
        )
        if odd:
            anchor = "end" if x > WIDTH * 0.7 else "start"
            parts.append(_label(x + (-8 if anchor == "end" else 8), y + 4, f"{name} {value:+.1f}", anchor))
    return _svg(parts, height)


def _svg(parts: Sequence[str], height: int) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}">{"".join(parts)}</svg>'


def _label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _thinned(values: np.ndarray) -> np.ndarray:
    if len(values) <= MOST_POINTS:
        return np.asarray(values, np.float64)
    return np.array([part.mean() for part in np.array_split(np.asarray(values, np.float64), MOST_POINTS)])
