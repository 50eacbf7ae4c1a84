"""Recordings of curves by the programs that write them: what they hold, whether it can be used, what is odd in their time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audio2face.dataset.curve_kinds import guess_blocks
from audio2face.face.curves import filled
from audio2face.formats.arkit_csv import ARKIT_NAMES, COLUMNS, ArkitRecording, Clock, arkit_columns, read_arkit_csv
from audio2face.formats.arkit_names import arkit_name
from audio2face.formats.curve_table import CurveTable, curve_table, read_curve_table
from audio2face.formats.time_code import RATES, same_rate
from audio2face.importing import curves as curve

SHORTEST_S = 0.5
MOVES = 0.02  # a curve that exceeds this is used
HIGHEST_WEIGHT = 2.0  # of curves in 0 to 1: calibrated ones exceed 1
UNITS = ((100, "percent"), (255, "bytes"))  # what a whole shape is in other programs' files
EYE_ANGLES = tuple(f"{side}Eye{turn}" for side in ("Left", "Right") for turn in ("Yaw", "Pitch"))
MOST_EYE_TURN = 1.6  # radians
UNEVEN = 0.1  # of a frame, that three quarters of the frames are early or late
IN_PERCENT = "ifacialmocap"  # writes nothing else, and degrees


@dataclass(frozen=True)
class TakeOptions:
    """The recordings to import, and how to read them. `fps` None: the recordings' rate, at most 60.

    `csv_fps` is what their time codes count, or the rate of rows without times. `scale` is the factor that makes weights
    0 to 1 (None: 1, of programs that write percent 1/100); angles are radians unless `degrees`.
    """

    inputs: tuple[Path, ...]
    sounds: Path | None = None
    fps: float | None = None
    csv_fps: float | None = None
    offset_s: float = 0.0
    sample_rate: int | None = None
    look_degrees: float = curve.LOOK_DEGREES
    scale: float | None = None
    degrees: bool = False


@dataclass(frozen=True)
class Recording:
    """One recording: the `table` of everything in it, with times from its first row, and what it says of ARKit's curves."""

    table: CurveTable
    arkit: ArkitRecording

    @property
    def has_codes(self) -> bool:
        """Whether its rows have time codes, by which a sound with such codes is laid."""
        return self.arkit.clock.counted_per_s > 0


def read_recording(path: Path, options: TakeOptions) -> Recording:
    """Read a table of curves, rows without anything left out, in the units that `options` make of the file's.

    Raises ValueError naming the file: a layout that is not known, no rate, too little of a face, weights and angles that
    are in other units.
    """
    found = _live_link(path, options.csv_fps) if _has_codes(path) else _other(path, options.csv_fps)
    known = found.table.source == IN_PERCENT
    scale, degrees = options.scale or (0.01 if known else 1.0), options.degrees or known
    faults = too_short(path, found.arkit) + other_units(path, found.arkit, scale, degrees)
    if faults:
        raise ValueError("\n".join(faults))
    return Recording(_scaled(found.table, scale, degrees), curve.scaled(found.arkit, scale, degrees))


def _has_codes(path: Path) -> bool:
    """Whether a table is laid out as the Live Link Face app does: time codes first."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header, first = (file.readline(1 << 16).lower() for _ in range(2))
    return header.startswith("timecode,") and ("blendshapecount" in header or ":" in first.partition(",")[0])


def too_short(path: Path, recording: ArkitRecording) -> list[str]:
    """A line when a recording has too few rows."""
    if len(recording.times_s) == 0:
        return [f"{path}: no row has a face"]
    seconds = float(recording.times_s[-1])
    return [f"{path}: only {seconds:.2f} seconds with a face"] if seconds < SHORTEST_S else []


def other_units(path: Path, recording: ArkitRecording, scale: float, degrees: bool) -> list[str]:
    """Lines for weights that are not 0 to 1 times `scale`, and for eye angles that are not radians, nor said to be `degrees`."""
    if not len(recording.values):
        return []
    lines = []
    name, raw = recording.peak(ARKIT_NAMES)
    peak, given = raw * scale, "" if scale == 1 else f" after --scale {scale:g}"
    if peak > HIGHEST_WEIGHT:
        fits = next((f"{unit}? Pass --scale 1/{whole}" for whole, unit in UNITS if raw <= 1.05 * whole), None)
        fix = fits or "pass --scale with the factor that makes them 0 to 1"
        lines.append(f"{path}: weights up to {peak:.4g}{given} ({name}), where 1 is the whole shape: {fix}")
    elif raw > MOVES >= peak:
        lines.append(f"{path}: weights only up to {peak:.2g}{given} ({name}); they were up to {raw:.2g} before")
    name, angle = recording.peak(EYE_ANGLES)
    if not degrees and angle > MOST_EYE_TURN:
        lines.append(f"{path}: {name} up to {angle:.3g} radians: degrees? Pass --degrees")
    return lines


def usual_rate(fps: float) -> float:
    """A standard frame rate for a data set: `fps` itself if it is one, else the next above, at most 60."""
    if any(same_rate(fps, rate) for rate in RATES):
        return min(60.0, fps)
    return min(60.0, next((float(rate) for rate in RATES if rate > fps), 60.0))


def clock_notes(recordings: Mapping[str, ArkitRecording], fps: float, resampled: bool = True) -> list[str]:
    """The rates of recordings, and what is odd in their time codes; `resampled` to `fps`, or kept as they are."""
    found: dict[str, list[str]] = {}
    for name, recording in recordings.items():
        clock = recording.clock
        text = f"recordings: {clock.rows_per_s:.4g} frames a second"
        if clock.counted_per_s:
            text += f" by time codes that count {clock.counted_per_s:.4g}" + (
                " (drop-frame)" if clock.drop_frame else ""
            )
        found.setdefault(text, []).append(name)
    notes = [text if len(found) == 1 else f"{text}: {', '.join(names)}" for text, names in found.items()]
    if resampled and any(not same_rate(r.fps, fps) for r in recordings.values()):
        notes[-1] += f"; resampled to {fps:.4g}"
    for name, recording in recordings.items():
        clock = recording.clock
        counts = ((clock.missing, "missing"), (clock.repeated, "with the code of the one before"))
        odd = [f"{count} frame(s) {what}" for count, what in counts if count]
        if clock.uneven_s * clock.rows_per_s > UNEVEN:
            odd.append(f"frames up to {1000 * clock.uneven_s:.0f} ms early or late")
        if odd:
            notes.append(f"{name}: {', '.join(odd)}; placed by their time codes")
    return notes


def _live_link(path: Path, csv_fps: float | None) -> Recording:
    arkit = read_arkit_csv(path, csv_fps)
    columns = [COLUMNS.index(name) for name in arkit.columns]
    rate = arkit.clock.rows_per_s or None
    values, times_s = arkit.values[:, columns], arkit.times_s
    table = curve_table(arkit.columns, values, rate, times_s=times_s, source="live_link", where=path)
    return Recording(table, arkit)


def _other(path: Path, csv_fps: float | None) -> Recording:
    """A table of another program; rows in which nothing is known are left out, as those without a face are."""
    table = read_curve_table(path)
    places = arkit_columns(table.names)
    if not places:
        raise ValueError(
            f"{path}: none of its columns is one of ARKit's curves, such as jawOpen: {', '.join(table.names):.100}"
        )
    rate = table.fps or csv_fps
    if rate is None:
        raise ValueError(f"{path}: it has no times and no rate; pass --csv-fps, for example --csv-fps 30")
    times = np.arange(len(table.values)) / rate if table.times_s is None else np.asarray(table.times_s, np.float64)
    there = table.valid.any(axis=1)
    if not there.any():
        raise ValueError(f"{path}: no row has a face")
    lead = float(times[there][0] - times[0])
    times = times[there] - times[there][0]
    table = replace(table, values=table.values[there], valid=table.valid[there], fps=rate, times_s=times)
    values = np.zeros((len(times), len(COLUMNS)), np.float32)
    whole = filled(table.values, table.valid)
    for place, column in places.items():
        values[:, column] = whole[:, place]
    unknown = tuple(name for place, name in enumerate(table.names) if place not in places)
    columns = tuple(COLUMNS[column] for column in places.values())
    arkit = ArkitRecording(values, times, 0.0, lead, columns, unknown, Clock(rows_per_s=rate))
    return Recording(table, arkit)


def _scaled(table: CurveTable, scale: float, degrees: bool) -> CurveTable:
    """Weights times `scale`, and, if they are `degrees` by word of the user, turns of heads and eyes in radians."""
    factors = np.array([scale if arkit_name(name) else 1.0 for name in table.names], np.float32)
    if degrees:
        for block in guess_blocks(table.names):  # without values: radians, unless the names say otherwise
            if block.kind in ("rotation", "angle") and block.unit == "radians":
                factors[[table.names.index(name) for name in block.names]] = np.pi / 180
    return replace(table, values=table.values * factors)
