"""CLIPS and AUG_MUTED_SHOTS of a config as checked records."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from audio2face.types import Clip, Shot

ClipRow = tuple[str, str, tuple[int, int], str, str, str, int]
TOLERATED_SHORTFALL_S = (
    0.5  # sound that ends at most this much before its animation: the clip is trimmed, with a warning
)


def read_clips_template(path: Path) -> list[ClipRow]:
    """The CLIPS list of a preprocessing run's template. Raises ValueError when the file holds no literal list."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "CLIPS":
            return ast.literal_eval(node.value)
    raise ValueError(f"{path}: no CLIPS list")


def build_clips(
    rows: Sequence[ClipRow],
    shots: dict[str, dict[str, Shot]],
    audio_roots: dict[str, Path | None],
    duration: Callable[[Path], float],
) -> tuple[list[Clip], list[str], list[str]]:
    """Check clip rows against the shots and sound files that exist.

    `shots` is {actor: {shot: Shot}}, `duration(path)` gives a sound file's seconds. Returns the clips, the problems
    (each names its row) and the warnings. A clip's range is cut where its offset or the end of its sound leaves none.
    """
    clips: list[Clip] = []
    problems: list[str] = []
    warnings: list[str] = []
    for index, (actor, shot_name, (first, last), speaker, language, file_name, offset) in enumerate(rows):
        where = f"CLIPS[{index}] ({actor}, {shot_name})"
        shot = shots.get(actor, {}).get(shot_name)
        if actor not in shots:
            problems.append(f"{where}: actor {actor!r} has no preprocessing run; known: {', '.join(shots)}")
            continue
        if shot is None:
            problems.append(
                f"{where}: the preprocessing run has no shot {shot_name!r}{_nearest(shot_name, shots[actor])}"
            )
            continue
        if not 0 <= first <= last < shot.num_frames:
            problems.append(f"{where}: range ({first}, {last}) is outside the shot's frames 0 to {shot.num_frames - 1}")
            continue
        root = audio_roots.get(actor)
        audio = root / file_name if root else None
        if audio is None or not audio.is_file():
            problems.append(f"{where}: sound file {file_name!r} not found in AUDIO_ROOT ({root})")
            continue
        try:
            frames_of_sound = duration(audio) * shot.fps
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        first = max(first, -offset)
        if first > last:
            problems.append(
                f"{where}: the offset {offset} puts the sound's beginning after the clip's last frame {last}"
            )
            continue
        end = int(frames_of_sound + 0.5) - 1 - offset  # a last frame that sounds for half its time counts
        if end < last:
            missing = last - end
            text = (
                f"{where}: {file_name} has sound for {frames_of_sound:.1f} frames, the clip needs {last + offset + 1}"
            )
            if missing > TOLERATED_SHORTFALL_S * shot.fps or end < first:
                problems.append(f"{text}; shorten the range, or check that the file belongs to this shot")
                continue
            warnings.append(f"{text}; the clip now ends at frame {end}")
            last = end
        clips.append(Clip(shot, first, last, audio, offset, speaker, language))
    return clips, problems, warnings


def build_muted_clips(
    rows: Sequence[tuple[str, tuple[str, int], int, str]], shots: dict[str, dict[str, Shot]]
) -> tuple[list[Clip], list[str]]:
    """Check AUG_MUTED_SHOTS rows: clips without sound that hold one pose. Returns the clips and the problems."""
    clips: list[Clip] = []
    problems: list[str] = []
    names = {(actor, name) for actor, by_name in shots.items() for name in by_name}
    for index, (actor, (source, frame), length, emotion) in enumerate(rows):
        where = f"AUG_MUTED_SHOTS[{index}] ({actor}, {source})"
        shot = shots.get(actor, {}).get(source)
        name = f"muted_{source}_{frame}_{emotion}"
        if shot is None:
            problems.append(f"{where}: no such shot{_nearest(source, shots.get(actor, {}))}")
        elif not 0 <= frame < shot.num_frames:
            problems.append(f"{where}: frame {frame} is outside the shot's frames 0 to {shot.num_frames - 1}")
        elif length < 1:
            problems.append(f"{where}: length {length} must be at least 1 frame")
        elif (actor, name) in names:
            problems.append(f"{where}: the same muted shot is listed twice")
        else:
            names.add((actor, name))
            still = Shot(actor, name, length, shot.fps, emotion)
            clips.append(Clip(still, 0, length - 1, None, language=None, held=(source, frame)))
    return clips, problems


def _nearest(name: str, known: dict[str, Any]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
