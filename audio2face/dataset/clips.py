"""CLIPS and AUG_MUTED_SHOTS of a config as checked records."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from audio2face.types import Clip, Shot

ClipRow = tuple[str, str, tuple[int, int], str, str, str, int]
# Sound that ends at most this much before its animation: the clip is trimmed, with a warning.
TOLERATED_SHORTFALL_S = 0.5


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
    for index, (actor, shot_name, span, speaker, language, file_name, offset) in enumerate(rows):
        where = f"CLIPS[{index}] ({actor}, {shot_name})"
        shot = shots.get(actor, {}).get(shot_name)
        root = audio_roots.get(actor)
        audio = root / file_name if root else None
        if actor not in shots:
            problems.append(f"{where}: actor {actor!r} has no preprocessing run; known: {', '.join(shots)}")
        elif shot is None:
            problems.append(
                f"{where}: the preprocessing run has no shot {shot_name!r}{_nearest(shot_name, shots[actor])}"
            )
        elif not 0 <= span[0] <= span[1] < shot.num_frames:
            problems.append(f"{where}: range {tuple(span)} is outside the shot's frames 0 to {shot.num_frames - 1}")
        elif audio is None or not audio.is_file():
            problems.append(f"{where}: sound file {file_name!r} not found in AUDIO_ROOT ({root})")
        else:
            try:
                first, last, warning = _sounding(span, offset, file_name, duration(audio), shot.fps)
            except ValueError as error:
                problems.append(f"{where}: {error}")
                continue
            warnings += [f"{where}: {warning}"] if warning else []
            clips.append(Clip(shot, first, last, audio, offset, speaker, language))
    return clips, problems, warnings


def _sounding(
    span: tuple[int, int], offset: int, name: str, duration_s: float, fps: float
) -> tuple[int, int, str | None]:
    """First and last frame of a clip that have sound, and a warning; ValueError when too much of it has none."""
    first, last = max(span[0], -offset), span[1]
    if first > last:
        raise ValueError(f"the offset {offset} puts the sound's beginning after the clip's last frame {last}")
    end = int(duration_s * fps + 0.5) - 1 - offset  # a last frame that sounds for half its time counts
    if end >= last:
        return first, last, None
    text = f"{name} has sound for {duration_s * fps:.1f} frames, the clip needs {last + offset + 1}"
    if last - end > TOLERATED_SHORTFALL_S * fps or end < first:
        raise ValueError(f"{text}; shorten the range, or check that the file belongs to this shot")
    return first, end, f"{text}; the clip now ends at frame {end}"


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
