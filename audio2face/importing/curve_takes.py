"""Recordings of curves without a rig become a data set of their groups: weights, the turn of the head, the eyes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from audio2face.dataset.curve_kinds import NEUTRAL, canonical_columns, choose_columns
from audio2face.formats.curve_table import CurveTable
from audio2face.formats.git_lfs import pointer_problems
from audio2face.importing.curve_dataset import CurveShot, part_of, seconds_of, write_curve_dataset
from audio2face.importing.cuts import cut_notes, cut_take, held_out, usual_cut
from audio2face.importing.dataset import Written, check_target
from audio2face.importing.recordings import SHORTEST_S, Recording, TakeOptions, clock_notes, usual_rate
from audio2face.importing.take_sounds import LaidSound, frames_with_sound, read_takes, sound_of
from audio2face.importing.takes import Take, find_takes
from audio2face.problems import UserError, raise_problems

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


def with_held(written: Written, shots: Mapping[str, Sequence[str]], cut_s: float | None, notes: list[str]) -> Written:
    """What was written, with the shots {take: names} to hold out; what was cut is added to `notes`."""
    held = held_out(shots)
    notes += cut_notes(shots, held, cut_s)
    return replace(written, held=held)


def cut_shots(
    takes: Sequence[Take], tables: Mapping[str, Mapping[str, CurveTable]], sounds: Iterator[LaidSound],
    cut_s: float | None, names: dict[str, list[str]], notes: list[str],
) -> Iterator[CurveShot]:  # fmt: skip
    """The shots of takes with groups {take: {group: table}} of the same times; their names are added to `names`."""
    taken: set[str] = set()
    for take, sound in zip(takes, sounds, strict=True):
        groups = tables[take.name]
        lead = next(iter(groups.values()))
        seconds = seconds_of(lead)
        assert lead.fps is not None
        seconds = min(seconds, frames_with_sound(take, sound, round(seconds * lead.fps), lead.fps, notes) / lead.fps)
        parts = cut_take(sound.lasting(seconds), sound.rate, seconds, cut_s)
        names[take.name] = []
        for number, (start, end) in enumerate(parts, start=1):
            cut = {group: part for group, table in groups.items() if (part := part_of(table, start, end)) is not None}
            length = max((seconds_of(part) for part in cut.values()), default=0.0)
            if length < SHORTEST_S:
                notes.append(f"{take.name}: nothing between {start:.1f} and {end:.1f} s")
                continue
            name = take.name if len(parts) == 1 else f"{take.name}_{number:02d}"
            if name in taken:
                raise UserError(f"{take.curves}: its shot {name} has the name of another take's; rename one of them")
            taken.add(name)
            names[take.name].append(name)
            assert lead.times_s is not None
            first = float(lead.times_s[np.searchsorted(lead.times_s, start - 1e-6)])
            samples = sound.lasting(length, first)
            yield CurveShot(name, cut, samples, sound.rate, {**sound.about(take), "start_s": round(first, 4)})


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
