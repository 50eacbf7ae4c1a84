"""Takes with their sound laid under them: by time codes, or from a common start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from audio2face.importing.recordings import SHORTEST_S, Recording, TakeOptions, read_recording
from audio2face.importing.sounds import begin_at, read_take_sound, sound_problems, time_code_offset
from audio2face.importing.takes import Take
from audio2face.problems import UserError

PADDED_S = 0.25  # that may lack at the end of a sound
T = TypeVar("T")


@dataclass(frozen=True)
class LaidSound:
    """A take's samples (N, C) at `rate` from its first frame on; `offset_s` of the file were skipped, determined `by` what."""

    samples: np.ndarray
    rate: int
    offset_s: float
    by: str

    def lasting(self, seconds: float, start_s: float = 0.0) -> np.ndarray:
        """Samples (n, C) of exactly so many seconds from a moment of the take on, silence where the sound has ended."""
        first, count = round(start_s * self.rate), round(seconds * self.rate)
        found = self.samples[first : first + count]
        return np.pad(found, ((0, count - len(found)), (0, 0)))

    def about(self, take: Take) -> dict[str, Any]:
        """What import.json says of it."""
        return {
            "curves": str(take.curves),
            "sound": str(take.sound),
            "sound_offset_s": round(self.offset_s, 4),
            "by": self.by,
        }


def read_takes(takes: Sequence[Take], options: TakeOptions) -> tuple[dict[str, Recording], list[str]]:
    """The recordings of takes by name, and a line for everything that is wrong with them and their sounds."""
    return read_each(takes, lambda take: read_recording(take.curves, options))


def read_each(takes: Sequence[Take], read: Callable[[Take], T]) -> tuple[dict[str, T], list[str]]:
    """What `read` finds in each take, by name, and lines for takes and sounds that it cannot use (ValueError)."""
    found, problems = {}, []
    for take in takes:
        try:
            found[take.name] = read(take)
        except ValueError as error:
            problems += str(error).split("\n")
        problems += sound_problems(take.sound)
    return found, problems


def sound_of(take: Take, recording: Recording, seconds: float, options: TakeOptions, notes: list[str]) -> LaidSound:
    """The sound of a take of so many seconds; what is odd is added to `notes`. Raises UserError when it cannot be read."""
    codes = (recording.arkit.start_s, recording.arkit.clock.day_s) if recording.has_codes else None
    return lay_sound(take, seconds, recording.arkit.lead_s, codes, options.offset_s, options.sample_rate, notes)


def lay_sound(
    take: Take, seconds: float, lead_s: float, codes: tuple[float, float] | None, offset_s: float,
    sample_rate: int | None, notes: list[str],
) -> LaidSound:  # fmt: skip
    """The sound of a take whose first frame is `lead_s` after the start of its recording.

    `codes` are the first frame's time code in seconds, and after how many they begin again; None has none. `offset_s` more
    of the sound are left out. Raises UserError when it cannot be read.
    """
    try:
        sound = read_take_sound(take.sound)
    except ValueError as error:
        raise UserError(str(error)) from error
    by_code = None if codes is None else time_code_offset(sound, *codes)
    if codes is not None and by_code is None and sound.start_s is not None:
        notes.append(f"{take.name}: the time codes of sound and recording do not overlap; both begin together")
    offset, how = (lead_s, "common start") if by_code is None else (by_code, "time code")
    offset += offset_s
    samples, rate = begin_at(sound, offset, seconds + 1.0, sample_rate)
    return LaidSound(samples, rate, offset, how)


def frames_with_sound(take: Take, sound: LaidSound, count: int, fps: float, notes: list[str]) -> int:
    """How many of a take's frames have sound; fewer are noted. Raises UserError when hardly any has."""
    sounding = int((len(sound.samples) / sound.rate + PADDED_S) * fps)
    if sounding < count:
        notes.append(f"{take.name}: the sound ends at frame {sounding} of {count}; trimmed there")
    if min(sounding, count) < SHORTEST_S * fps:
        raise UserError(f"{take.sound}: the sound does not overlap with {take.curves}; check their time codes")
    return min(sounding, count)
