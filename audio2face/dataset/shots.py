"""The shots of an actor: emotion and language of each, and the clips that training starts from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from audio2face.dataset.files import DatasetFiles
from audio2face.problems import STRUCTURE, Problems
from audio2face.runs.preproc_run import ClipRow
from audio2face.types import Shot

NEUTRAL = "neutral"
DEFAULT_LANGUAGE = "en"


def words(name: str) -> list[str]:
    """The words of a name in lower case: what `_`, `-`, digits and other signs separate."""
    return [word for word in re.split(r"[\W\d_]+", name.lower()) if word]


def simple_name(name: str) -> str:
    """A name without what people mistype: case, spaces, and the choice of separator."""
    return re.sub(r"[\s_.-]+", "_", name.strip().lower()).strip("_")


def emotions_in(shot: str, emotions: Iterable[str]) -> list[str]:
    """The emotions whose words follow each other in the shot's name, longest first; a word counts for one emotion only."""
    left: list[str | None] = [*words(shot)]
    found = []
    for emotion in sorted(emotions, key=lambda name: -len("".join(words(name)))):
        parts = words(emotion)
        for start in range(len(left) - len(parts) + 1 if parts else 0):
            if left[start : start + len(parts)] == parts:
                left[start : start + len(parts)] = [None] * len(parts)
                if emotion not in found:
                    found.append(emotion)
    return found


def shot_emotions(
    problems: Problems,
    actor: str,
    shots: Sequence[str],
    emotions: Sequence[str],
    mapping: Sequence[tuple[str, str, str]],
    unused: Sequence[str] = (),
) -> dict[str, str]:
    """The emotion of every shot. Added to `problems`: names that hold two emotions, map entries for unknown shots.

    `mapping` holds (actor, shot, emotion) and goes first; then the shot's name; else neutral, which the doctor reports.
    `unused` are shots that exist but are left out: the map may name them too.
    """
    key = "SHOT_EMOTION_MAP"
    mapped = {shot: emotion for name, shot, emotion in mapping if name == actor}
    for shot in mapped:
        if shot not in (*shots, *unused):
            problems.error(STRUCTURE, f"{key}: actor {actor!r} has no shot {shot!r}", shot=shot, key=key)
    result: dict[str, str] = {}
    silent = []
    for shot in shots:
        found = [mapped[shot]] if shot in mapped else emotions_in(shot, emotions)
        if len(found) > 1:
            what = f"shot {shot}: its name holds {' and '.join(found)}; choose one in {key}"
            problems.error(STRUCTURE, what, shot=shot, key=key)
        elif not found:
            silent.append(shot)
        result[shot] = found[0] if found else NEUTRAL
    if silent and NEUTRAL not in emotions:
        what = f"no emotion ({', '.join(emotions)}) in the name of shot(s) {', '.join(silent)}; list them in {key}"
        problems.error(STRUCTURE, what, shot=silent[0], key=key)
    return result


def shot_language(languages: Mapping[str, Any], actor: str, shot: str) -> str:
    """The language of a shot: from {actor: {shot: language}} or {shot: language}, else "en"."""
    of_actor = languages.get(actor)
    entry = of_actor.get(shot) if isinstance(of_actor, Mapping) else languages.get(shot)
    return entry if isinstance(entry, str) else DEFAULT_LANGUAGE


def clip_rows(shots: Sequence[Shot], files: DatasetFiles, languages: Mapping[str, Any]) -> list[ClipRow]:
    """One clip for every shot that has sound, then one for every other voice that speaks it; whole shots, no offset."""
    rows: list[ClipRow] = []
    for voice in (None, *files.voices()):
        for shot in shots:
            sound = files.audio_file(shot.name, voice)
            if sound is not None and files.audio_root is not None:
                place = sound.relative_to(files.audio_root).as_posix()
                language = shot_language(languages, shot.actor, shot.name)
                rows.append((shot.actor, shot.name, (0, shot.num_frames - 1), voice or shot.actor, language, place, 0))
    return rows
