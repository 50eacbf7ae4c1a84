"""Recordings of curves without a rig become a data set of their groups: weights, the turn of the head, the eyes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from audio2face.dataset.curve_kinds import NEUTRAL, canonical_columns, choose_columns
from audio2face.formats.curve_table import CurveTable
from audio2face.formats.git_lfs import pointer_problems
from audio2face.importing.curve_dataset import seconds_of, write_curve_dataset
from audio2face.importing.curve_shots import cut_shots, with_held
from audio2face.importing.cuts import usual_cut
from audio2face.importing.dataset import Written, check_target
from audio2face.importing.recordings import Recording, TakeOptions, clock_notes, usual_rate
from audio2face.importing.take_sounds import LaidSound, read_takes, sound_of
from audio2face.importing.takes import Take, find_takes
from audio2face.problems import raise_problems

GROUPS = ("arkit", "head", "eyes")
TRAINED = ("arkit", "head")
OTHER = "other"  # group of columns that are none of these
STILL = 1e-6  # a group whose values change less is left out


def import_curves(
    out: Path, options: TakeOptions, cut_s: float | None, replace: bool = False
) -> tuple[Written, float, list[str]]:
    """Write the data set of one actor to `out`: what was written, its rate, and lines of what was decided.

    Frames keep their times, gaps and missing values. Takes are cut into shots of about `cut_s` (0: not at all, None: few
    takes only). Raises UserError with everything that is wrong with recordings and sounds at once.
    """
    check_target(out, replace)
    found, problems, notes = find_takes(options.inputs, options.sounds)
    raise_problems(pointer_problems(path for take in found for path in (take.curves, take.sound)))
    recordings, faults = read_takes(found, options)
    raise_problems([*problems, *faults])
    arkit = {name: recording.arkit for name, recording in recordings.items()}
    fps = options.fps or usual_rate(max(r.fps for r in arkit.values()))
    notes += clock_notes(arkit, fps, resampled=False)
    groups = {name: _groups(recording.table) for name, recording in recordings.items()}
    kept = [g for g in (*GROUPS, OTHER) if any(_moves(tables[g]) for tables in groups.values() if g in tables)]
    notes += _group_notes(groups, kept)
    tables = {name: {g: tables[g] for g in kept if g in tables} for name, tables in groups.items()}
    cut_s = usual_cut([seconds_of(r.table) for r in recordings.values()]) if cut_s is None else cut_s
    names: dict[str, list[str]] = {}
    shots = cut_shots(found, tables, _sounds(found, recordings, options, notes), cut_s, names, notes)
    written = write_curve_dataset(out, shots, TRAINED, fps, {"importer": "live_link"}, replace)
    return with_held(written, names, cut_s, notes), fps, notes


def _sounds(
    takes: Sequence[Take], recordings: Mapping[str, Recording], options: TakeOptions, notes: list[str]
) -> Iterator[LaidSound]:
    for take in takes:
        recording = recordings[take.name]
        yield sound_of(take, recording, seconds_of(recording.table), options, notes)


def _groups(table: CurveTable) -> dict[str, CurveTable]:
    """The groups that a table has, by name, each with the columns that it means, in a fixed order."""
    found = {group: choose_columns(table, group, shared=True) for group in GROUPS}
    used = {name for part in found.values() for name in part.names}
    rest = [name for name in table.names if name not in used and name != NEUTRAL]
    found[OTHER] = _columns(table, rest)
    return {group: _columns(part, canonical_columns(part.names)) for group, part in found.items() if part.names}


def _columns(table: CurveTable, names: Sequence[str]) -> CurveTable:
    """The columns of these names that a table has, in their order."""
    places = [table.names.index(name) for name in names if name in table.names]
    kept = tuple(table.names[place] for place in places)
    return replace(table, names=kept, values=table.values[:, places], valid=table.valid[:, places])


def _moves(table: CurveTable) -> bool:
    """Whether any column changes where it is known."""
    values = table.with_gaps
    return any(np.ptp(column[~np.isnan(column)]) > STILL for column in values.T if not np.isnan(column).all())


def _group_notes(groups: Mapping[str, Mapping[str, CurveTable]], kept: Sequence[str]) -> list[str]:
    """What the groups hold, and which do not move."""
    notes = []
    for group in (*GROUPS, OTHER):
        names = list(
            dict.fromkeys(name for tables in groups.values() if group in tables for name in tables[group].names)
        )
        if not names:
            continue
        shown = f"{len(names)} of 52 weights" if group == "arkit" else f"{', '.join(names):.120}"
        if group not in kept:
            notes.append(f"group {group}: does not move, left out ({shown})")
        else:
            notes.append(f"group {group}: {shown}" + ("" if group in TRAINED else "; not trained unless you add it"))
    return notes
