"""Time codes HH:MM:SS:FF.fff: how many frames a second they count, and the seconds since midnight that they mean."""

from __future__ import annotations

import numpy as np

RATES = (24, 25, 30, 48, 50, 60, 100, 120)  # frames that codes count in a second
NTSC = 1000 / 1001  # 23.976, 29.97 and 59.94 frames a second are counted as 24, 30 and 60
DAY = 86400  # seconds that codes count


def same_rate(fps: float, other: float) -> bool:
    """Whether two rates are equal, or one is the other's NTSC rate: some programs call 23.976 24."""
    return abs(fps - other) <= 1.1e-3 * other


def parse_time_code(text: str) -> tuple[int, float, bool]:
    """Whole seconds, frames and whether it is written as drop-frame (HH:MM:SS;FF). Raises ValueError."""
    parts = text.replace(";", ":").split(":")
    try:
        hours, minutes, seconds = map(int, parts[:-1])
        frames = float(parts[-1])
    except ValueError:
        hours = minutes = seconds = -1
        frames = -1.0
    if min(hours, minutes, seconds) < 0 or not 0 <= frames < 1000 or hours + minutes + seconds > 1000:
        raise ValueError(f"expected a time code HH:MM:SS:FF.fff, found {text!r}")
    return hours * 3600 + minutes * 60 + seconds, frames, ";" in text


def elapsed(seconds: np.ndarray, frames: np.ndarray, fps: float, drop: bool = False) -> np.ndarray:
    """Time (T,) in seconds of codes that count whole frames of `fps` a second: those of 29.97 run slow.

    Drop-frame codes skip the first two (at 60: four) numbers of every minute but each tenth, and keep to the clock.
    """
    base = max(round(fps), 1)
    minutes = np.asarray(seconds) // 60
    dropped = round(base / 15) * (minutes - minutes // 10) if drop else 0
    return (np.asarray(seconds) * base + frames - dropped) / fps


def counted_rate(seconds: np.ndarray, frames: np.ndarray) -> int | None:
    """Frames a second that the codes of successive rows (T,) count, by where seconds change; None if not shown."""
    in_seconds, steps = np.diff(seconds), np.diff(frames)
    within, across = steps[(in_seconds == 0) & (steps > 0)], steps[in_seconds == 1]
    if not len(within) or not len(across):
        return None
    step, highest = float(np.median(within)), int(np.max(frames))
    # Rows that are lost between two seconds make that step longer, so the shorter ones count.
    shown = step - float(np.percentile(across, 25, method="lower"))
    rate = min((r for r in RATES if r > highest), key=lambda r: abs(r - shown), default=None)
    return rate if rate is not None and abs(rate - shown) <= max(2.0, step) else None


def drops_frames(seconds: np.ndarray, frames: np.ndarray, base: int) -> bool:
    """Whether codes (T,) that count `base` leave out a minute's first numbers, as drop-frame codes do."""
    turns = np.flatnonzero((np.diff(seconds) == 1) & (seconds[1:] % 60 == 0) & (seconds[1:] % 600 != 0))
    if base not in (30, 60) or not len(turns):
        return False
    return bool(np.all((frames[turns].astype(int) == base - 1) & (frames[turns + 1].astype(int) == base // 15)))


def spread(times: np.ndarray) -> np.ndarray:
    """Times (T,) made to rise: rows of equal time share what is left until the next, by usual steps before a gap."""
    starts = np.flatnonzero(np.diff(times, prepend=-np.inf) > 0)
    if len(starts) < 2:
        return times
    counts = np.diff(np.append(starts, len(times)))
    steps = np.diff(times[starts]) / counts[:-1]
    usual = float(np.median(np.repeat(steps, counts[:-1])))
    steps = np.append(np.where(steps < 1.6 * usual, steps, usual), usual)
    return times + (np.arange(len(times)) - np.repeat(starts, counts)) * np.repeat(steps, counts)


def rate_of(times: np.ndarray, factor: float = 1.0, rounded_s: float = 0.0) -> float:
    """Rows a second of times (T,) with gaps: a usual rate (times `factor`, 1 or NTSC) if within half a percent of one.

    Of times rounded to `rounded_s`, as by codes without sub-frames, steps of twice the usual length belong to the rate
    when they come evenly: 48 rows by codes of 60 have every fourth step doubled. Lost rows come irregularly.
    """
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps):
        return 0.0
    usual = float(np.median(steps))
    near, even = (steps[steps < longest * usual] for longest in (1.6, 2.1))
    slack = 1.6 if near.min() > 0.7 * usual else 2.6  # rounded jitter repeats one code and skips another
    if np.ptp(np.cumsum(even - even.mean())) <= slack * rounded_s:
        near = even
    rate = 1 / float(near.mean())
    known = min((10, 12, 15, 20, *RATES), key=lambda r: abs(r * factor - rate)) * factor
    return known if abs(rate - known) < 5e-3 * known else rate
