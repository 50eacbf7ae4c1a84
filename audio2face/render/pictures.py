"""Curves as pictures, and pictures to PNG files (Pillow)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audio2face.paths import atomic
from audio2face.render.video import optional_module

PAPER, INK, LINE = (255, 255, 255), (102, 112, 133), (222, 226, 233)
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 24, 22
DOT = 3  # its radius
SCALE = 2  # drawn larger, then reduced: smooth edges
SHADE = (238, 243, 251)
MARK = 8  # half a mark's width
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Curve:
    """Values (T,) under a name, in a colour (red, green, blue) 0 … 255; `marks` are frames that get a dot."""

    name: str
    values: np.ndarray
    colour: tuple[int, int, int]
    marks: Sequence[int] = ()


@dataclass(frozen=True)
class Frames:
    """The frames of curves as a scene numbers them, from `first` on; of the frames (T,) those that are `shaded`, and `marks`."""

    first: int
    shaded: np.ndarray
    marks: Sequence[int] = ()


def draw_curves(
    rows: Sequence[Curve], fps: float, unit: str, size: tuple[int, int], title: str, frames: Frames | None = None
) -> np.ndarray:
    """Curves over seconds, or over `frames`, on one axis: (height, width, 3) uint8; `size` (width, height).

    The axis begins at 0 unless frames are given. UserError without Pillow.
    """
    image, draw_on = optional_module("PIL.Image", "pillow"), optional_module("PIL.ImageDraw", "pillow")
    width, height = size[0] * SCALE, size[1] * SCALE
    picture = image.new("RGB", (width, height), PAPER)
    pen = draw_on.Draw(picture)
    lowest = [float(c.values.min()) for c in rows]
    low = min(lowest) if frames is not None else min(0.0, *lowest)
    high = max(low + 1e-6, *(float(c.values.max()) for c in rows))
    seconds = max(len(c.values) for c in rows) / fps
    left, right, top, bottom = (x * SCALE for x in (LEFT, RIGHT, TOP, BOTTOM))

    def place(moment: float, value: float) -> tuple[float, float]:
        x = left + moment / seconds * (width - left - right)
        return x, height - bottom - (value - low) / (high - low) * (height - top - bottom)

    for a, b in spans(frames.shaded) if frames is not None else ():
        pen.rectangle([place(a / fps, high), place(b / fps, low)], fill=SHADE)
    for value in _ticks(low, high, 5):
        pen.line([place(0, value), place(seconds, value)], fill=LINE, width=SCALE)
        pen.text(
            (left - 4 * SCALE, place(0, value)[1]), f"{value:g} {unit}", fill=INK, anchor="rm", font_size=11 * SCALE
        )
    for moment, text in _moments(seconds, fps, frames):
        x = place(moment, low)[0]
        pen.text((x, height - 6 * SCALE), text, fill=INK, anchor="ms", font_size=11 * SCALE)
    at = left
    for text, colour in [(title, INK), *((c.name, c.colour) for c in rows)]:
        pen.text((at, 4 * SCALE), text, fill=colour, anchor="la", font_size=12 * SCALE)
        at += pen.textlength(text, font_size=12 * SCALE) + 16 * SCALE
    for curve in rows:
        points = [place((i + 0.5) / fps, float(v)) for i, v in enumerate(curve.values)]
        pen.line(points, fill=curve.colour, width=round(1.5 * SCALE), joint="curve")
        for x, y in (points[frame] for frame in curve.marks):
            pen.ellipse((x - DOT * SCALE, y - DOT * SCALE, x + DOT * SCALE, y + DOT * SCALE), fill=curve.colour)
    for mark in frames.marks if frames is not None else ():
        x, y = place((mark + 0.5) / fps, float(rows[-1].values[mark]))
        pen.polygon([(x, y - MARK), (x + MARK, y), (x, y + MARK), (x - MARK, y)], fill=rows[-1].colour)
    return np.asarray(picture.resize(size, image.Resampling.LANCZOS))


def spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """First, and the one behind the last, of every stretch of a mask (T,) that is set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _moments(seconds: float, fps: float, frames: Frames | None) -> list[tuple[float, str]]:
    """Moments that are named below the axis, and their names."""
    if frames is None:
        return [(moment, f"{moment:g} s") for moment in _ticks(0, seconds, 8)]
    numbers = _ticks(frames.first, frames.first + seconds * fps - 1, 8)
    return [((number - frames.first + 0.5) / fps, f"{number:g}") for number in numbers]


def write_png(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Write a picture (H, W, 3) uint8. Raises UserError without Pillow."""
    image = optional_module("PIL.Image", "pillow")
    with atomic(path) as partial:
        image.fromarray(picture).save(partial, format="PNG", optimize=True)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`."""
    step = next((s for s in STEPS if (high - low) / s <= most), STEPS[-1])
    return [float(f"{i * step:.6g}") for i in range(int(np.ceil(low / step - 1e-9)), int(high / step + 1e-9) + 1)]
