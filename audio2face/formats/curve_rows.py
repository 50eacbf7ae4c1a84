"""Rows of named values as a file holds them, before anyone knows what they mean; shared by the readers of tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio2face.formats.arkit_names import arkit_name
from audio2face.formats.budget import check_unpacked
from audio2face.formats.time_code import DAY, NTSC, RATES, spread

TIMES = ("time", "timestamp", "timestamps", "timecode", "t")
FRAMES = ("frame", "frames", "framenumber", "frameindex", "frameid", "index", "idx", "#", "")
UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanoseconds"), 1e-9),
}
LONGEST_STEP_S = 0.25  # between rows; longer ones are milliseconds, microseconds or nanoseconds
MOST_BLANK = 1 << 16  # lines without values in a row
HIGHEST_FPS = 1000.0
USUAL_RATES = tuple(rate * factor for rate in (10, 12, 15, 20, *RATES) for factor in (1.0, NTSC))


@dataclass(frozen=True)
class CurveRows:
    """`values` (T, D) float64, NaN where the file has none; `times_s` (T,) rising; `fps` if the file states a rate.

    `names` are as written. `notes` say what was decided about them.
    """

    names: tuple[str, ...]
    values: np.ndarray
    times_s: np.ndarray | None = None
    fps: float | None = None
    notes: tuple[str, ...] = ()


def time_unit(name: str) -> tuple[bool, float | None]:
    """Whether a column of this name holds times, and its unit in seconds when the name says it ("time_ms", "Time (s)")."""
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()) if word]
    unit = UNITS.get(words[-1]) if words else None
    if unit is None:
        return "".join(words) in TIMES, None
    rest = "".join(words[:-1])
    return words != ["s"] and rest in ("", "elapsed", "frametime", *TIMES), unit


def is_frame(name: str) -> bool:
    """Whether a column of this name counts frames."""
    return re.sub(r"[\s_]", "", name.lower()) in FRAMES


def check_blank(where: object, line: int, last: int) -> None:
    """Refuse a text of `line` lines whose last with values is `last`: blank ones stand for missing frames, within reason."""
    if line - last > MOST_BLANK:
        raise ValueError(f"{where}: line {last + 1}: more than {MOST_BLANK} blank lines follow; remove them")


def empty_rows(where: object, count: int, columns: int, packed: int) -> np.ndarray:
    """Values (count, columns) of NaN, if a file of `packed` bytes may hold so many."""
    check_unpacked(where, "values", 8 * count * max(columns, 1), packed)
    return np.full((count, columns), np.nan)


def times_from(where: object, times: np.ndarray, unit: float | None, lines: Sequence[int]) -> tuple[np.ndarray, str]:
    """Times (T,) in seconds, rising, and a note on their unit. Raises ValueError naming the line that goes back.

    Without a unit, steps too long to be seconds are taken for milliseconds, microseconds or nanoseconds. Times of more than
    a day are counted from the first row.
    """
    back = np.flatnonzero(np.diff(times) < 0)
    if len(back):
        line = lines[int(back[0]) + 1]
        raise ValueError(f"{where}: line {line}: its time {times[back[0] + 1]:g} is earlier than that of the row above")
    steps = np.diff(times)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    found = unit or next((u for u in (1.0, 1e-3, 1e-6, 1e-9) if step * u <= LONGEST_STEP_S), 1.0)
    first = times[0] if len(times) and times[0] * found > DAY else 0.0
    note = "" if unit or found == 1.0 else f"times are taken for units of {found:g} s, by their steps of {step:g}"
    return spread((times - first) * found), note


def rate_from(times_s: np.ndarray) -> float | None:
    """Rows a second of times (T,): a usual rate when they fit one as closely as they are written; None below two rows."""
    steps = np.diff(times_s)
    steps = steps[steps > 0]
    if not len(steps):
        return None
    near = steps[steps < 1.6 * np.median(steps)]
    rate = 1 / float(near.mean())
    known = min(USUAL_RATES, key=lambda usual: abs(usual - rate))
    slack = 2e-4 + float(np.ptp(near)) / float(near.sum())
    rate = known if abs(rate - known) <= min(slack, 5e-3) * known else round(rate, 6)
    return rate if rate <= HIGHEST_FPS else None


def find_names(where: object, have: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The place of each wanted name among those that a file has; ARKit's names may be written in any way."""
    plain = {arkit_name(name) or name: place for place, name in enumerate(have)}
    places = {**plain, **{name: place for place, name in enumerate(have)}}
    lacking = [name for name in wanted if name not in places and arkit_name(name) not in places]
    if lacking:
        raise ValueError(f"{where}: no column {', '.join(lacking):.400}; it has {', '.join(have):.400}")
    return [places[name] if name in places else places[arkit_name(name) or name] for name in wanted]


def check_fps(where: object, fps: Any) -> float:
    """A stated rate as float. Raises ValueError unless it is a number above 0 and at most 1000."""
    number = isinstance(fps, int | float | np.number) and not isinstance(fps, bool)
    if not number or not 0 < fps <= HIGHEST_FPS:
        raise ValueError(f"{where}: fps: expected a number above 0, at most {HIGHEST_FPS:g}, found {str(fps):.40}")
    return float(fps)


def by_frames(where: object, rows: CurveRows, frames: np.ndarray, lines: Sequence[int], packed: int) -> CurveRows:
    """Rows in the places that their frame numbers (T,) give, with rows of NaN for numbers that are left out."""
    whole = np.flatnonzero(frames != np.rint(frames))
    back = np.flatnonzero(np.diff(frames) <= 0) + 1
    for wrong, what in ((whole, "is not a whole number"), (back, "does not follow that of the row above")):
        if len(wrong):
            raise ValueError(f"{where}: line {lines[int(wrong[0])]}: its frame {frames[wrong[0]]:g} {what}")
    if not len(frames):
        return rows
    first, last = int(frames[0]), int(frames[-1])
    notes = [f"its first row is frame {first}"] if first > 1 else []
    count = last - first + 1
    if count == len(frames):
        return CurveRows(rows.names, rows.values, None, rows.fps, (*rows.notes, *notes))
    values = empty_rows(where, count, len(rows.names), packed)
    values[frames.astype(np.int64) - first] = rows.values
    notes.append(f"{count - len(frames)} frames have no row")
    return CurveRows(rows.names, values, None, rows.fps, (*rows.notes, *notes))
