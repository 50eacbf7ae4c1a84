"""Plots of an evaluation as inline SVG: dots for every shot, curves over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 900, 56, 12, 10, 26
ROW = 20
NAME_WIDTH = 190
MOST_POINTS = 1200


def shot_dots(values: Mapping[str, Mapping[str, float]], styles: Mapping[str, str], unit: str) -> str:
    """A line for each shot, a dot for every system: values {shot: {system: value}}, styles {system: CSS class}."""
    reach = max((v for row in values.values() for v in row.values()), default=1.0) * 1.05 or 1.0
    height = TOP + ROW * len(values) + BOTTOM
    scale = (WIDTH - NAME_WIDTH - RIGHT) / reach
    parts = []
    for tick in _ticks(reach):
        x = NAME_WIDTH + tick * scale
        parts.append(f'<line class="axis" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - BOTTOM}"/>')
        parts.append(_text(x, height - 8, f"{tick:g} {unit}"))
    for index, (shot, row) in enumerate(values.items()):
        y = TOP + (index + 0.5) * ROW
        parts.append(_text(NAME_WIDTH - 8, y + 4, shot, "end"))
        for system, value in row.items():
            title = f"<title>{escape(shot)}, {escape(system)}: {value:.3g} {escape(unit)}</title>"
            x = NAME_WIDTH + value * scale
            parts.append(f'<circle class="{styles[system]}" cx="{x:.1f}" cy="{y:.1f}" r="4.5">{title}</circle>')
    return _svg(parts, height)


def curves(rows: Mapping[str, np.ndarray], styles: Mapping[str, str], fps: float, unit: str, height: int = 170) -> str:
    """Values (T,) over time on one axis: rows {name: values}, styles {name: CSS class}. NaN leaves a gap."""
    low = min(float(np.nanmin(v)) for v in rows.values())
    high = max(float(np.nanmax(v)) for v in rows.values())
    low, high = (min(low, 0.0), high) if high > low else (low, low + 1)
    seconds = max(len(v) for v in rows.values()) / fps
    across, up = (WIDTH - LEFT - RIGHT) / seconds, (height - TOP - BOTTOM) / (high - low)
    parts = []
    for tick in _ticks(high, low):
        y = height - BOTTOM - (tick - low) * up
        parts.append(f'<line class="axis" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{tick:g} {unit}", "end"))
    parts += [_text(LEFT + tick * across, height - 8, f"{tick:g} s") for tick in _ticks(seconds)]
    for name, values in rows.items():
        step = max(1, -(-len(values) // MOST_POINTS))
        across_at = LEFT + (np.arange(len(values))[::step] + 0.5) / fps * across
        up_at = height - BOTTOM - (np.asarray(values)[::step] - low) * up
        there = np.isfinite(up_at)
        for piece in np.split(np.arange(len(there)), np.flatnonzero(np.diff(there)) + 1):
            if there[piece[0]]:
                points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across_at[piece], up_at[piece], strict=True))
                line = f'<polyline class="{styles[name]}" points="{points}"><title>{escape(name)}</title></polyline>'
                parts.append(line)
    return _svg(parts, height)


def _ticks(high: float, low: float = 0.0, most: int = 7) -> list[float]:
    """Round numbers from `low` to `high`."""
    size = 10 ** np.floor(np.log10(high - low))
    step = next((s * size for s in (0.1, 0.2, 0.5, 1, 2, 5) if (high - low) / (s * size) <= most), size)
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [float(f"{i * step:.6g}") for i in range(first, last + 1)]


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], height: int) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}">{"".join(parts)}</svg>'
