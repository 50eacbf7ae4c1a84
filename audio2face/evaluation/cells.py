"""Numbers and tables of the evaluation page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audio2face.evaluation.score import Metric

Pooled = Mapping[str, Mapping[str, float | None]]


def number(value: float | None) -> str:
    """Three digits, or a dash."""
    if value is None:
        return "–"
    return "0" if abs(value) < 1e-6 else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def cell(pooled: Pooled, key: str, metric: Metric, interval: bool = False) -> str:
    """A metric with its unit, and below it its confidence interval; a dash where it was not measured."""
    if key not in pooled:
        return "–"
    entry = pooled[key]
    text = f"{number(entry['value'])} {metric.unit}".strip()
    if interval and entry["low"] is not None:
        text += f"<small>{number(entry['low'])} … {number(entry['high'])}</small>"
    return text


def table(head: Sequence[str], rows: Sequence[str]) -> str:
    """A table of ready cells `<th>` and rows `<tr>`, which may be wider than the page."""
    return f'<div class="wide"><table><tr>{"".join(head)}</tr>{"".join(rows)}</table></div>'
