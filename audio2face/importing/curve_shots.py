"""Takes of curves and motions, cut into shots with their sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from audio2face.formats.curve_table import CurveTable
from audio2face.importing.curve_dataset import CurveShot, Motion, moments_of, part_of, seconds_of
from audio2face.importing.cuts import cut_notes, cut_take, held_out
from audio2face.importing.dataset import Written
from audio2face.importing.recordings import SHORTEST_S
from audio2face.importing.take_sounds import LaidSound, frames_with_sound
from audio2face.importing.takes import Take
from audio2face.problems import UserError


def with_held(written: Written, shots: Mapping[str, Sequence[str]], cut_s: float | None, notes: list[str]) -> Written:
    """What was written, with the shots {take: names} to hold out; what was cut is added to `notes`."""
    held = held_out(shots)
    notes += cut_notes(shots, held, cut_s)
    return replace(written, held=held)


def cut_shots(
    takes: Sequence[Take], groups: Mapping[str, Mapping[str, CurveTable | Motion]], sounds: Iterator[LaidSound],
    cut_s: float | None, names: dict[str, list[str]], notes: list[str],
) -> Iterator[CurveShot]:  # fmt: skip
    """The shots of takes with groups {take: {group: content}} of the same times; their names are added to `names`."""
    taken: set[str] = set()
    for take, sound in zip(takes, sounds, strict=True):
        lead = next(iter(groups[take.name].values()))
        seconds = seconds_of(lead)
        assert lead.fps is not None
        seconds = min(seconds, frames_with_sound(take, sound, round(seconds * lead.fps), lead.fps, notes) / lead.fps)
        parts = cut_take(sound.lasting(seconds), sound.rate, seconds, cut_s)
        names[take.name] = []
        for number, (start, end) in enumerate(parts, start=1):
            cut = {
                group: part
                for group, whole in groups[take.name].items()
                if (part := part_of(whole, start, end)) is not None
            }
            length = max((seconds_of(part) for part in cut.values()), default=0.0)
            if length < SHORTEST_S:
                notes.append(f"{take.name}: nothing between {start:.1f} and {end:.1f} s")
                continue
            name = take.name if len(parts) == 1 else f"{take.name}_{number:02d}"
            if name in taken:
                raise UserError(f"{take.curves}: its shot {name} has the name of another take's; rename one of them")
            taken.add(name)
            names[take.name].append(name)
            times = moments_of(lead)
            first = float(times[np.searchsorted(times, start - 1e-6)])
            samples = sound.lasting(length, first)
            yield CurveShot(name, cut, samples, sound.rate, {**sound.about(take), "start_s": round(first, 4)})
