"""CLIPS and AUG_MUTED_SHOTS of a config as checked records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from audio2face.problems import Problems
from audio2face.runs.preproc_run import ClipRow
from audio2face.types import Clip, Shot

# Sound that ends at most this much before its animation: the clip is trimmed, with a warning.
TOLERATED_SHORTFALL_S = 0.5


def build_clips(
    problems: Problems,
    rows: Sequence[ClipRow],
    shots: dict[str, dict[str, Shot]],
    audio_roots: dict[str, Path | None],
    duration: Callable[[Path], float],
    key: str = "CLIPS",
) -> list[Clip]:
    """Check the clip rows of the config key `key` against the shots and sound files that exist.

    `shots` is {actor: {shot: Shot}}, `duration(path)` gives a sound file's seconds. What is wrong with a row is added to
    `problems`. A clip's range is cut, with a warning, where its offset or the end of its sound leaves none.
    """
    clips: list[Clip] = []
    for index, (actor, shot_name, span, speaker, language, file_name, offset) in enumerate(rows):
        where = {"actor": actor, "shot": shot_name, "key": f"{key}[{index}]"}
        shot = shots.get(actor, {}).get(shot_name)
        root = audio_roots.get(actor)
        audio = root / file_name if root else None
        if actor not in shots:
            problems.error("", f"actor {actor!r} has no preprocessing run; known: {', '.join(shots)}", **where)
        elif shot is None:
            what = f"the preprocessing run has no shot {shot_name!r}{nearest(shot_name, shots[actor])}"
            problems.error("", what, **where)
        elif not 0 <= span[0] <= span[1] < shot.num_frames:
            what = f"range {tuple(span)} is outside the shot's frames 0 to {shot.num_frames - 1}"
            problems.error("", what, **where)
        elif audio is None or not audio.is_file():
            problems.error("", f"sound file {file_name!r} not found in AUDIO_ROOT ({root})", **where)
        else:
            try:
                first, last, warning = _sounding(span, offset, file_name, duration(audio), shot.fps)
            except ValueError as error:
                problems.error("", str(error), **where)
                continue
            if warning:
                problems.warning("", warning, **where)
            clips.append(Clip(shot, first, last, audio, offset, speaker, language))
    return clips


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


def joined(clips: Sequence[Clip]) -> list[Clip]:
    """The clips, where one begins at the frame after the one before ends, and nothing else differs, as one."""
    found: list[Clip] = []
    for clip in clips:
        if found and replace(clip, first=found[-1].first) == replace(found[-1], last=clip.last):
            if clip.first == found[-1].last + 1:
                found[-1] = replace(found[-1], last=clip.last)
                continue
        found.append(clip)
    return found


def build_muted_clips(
    problems: Problems, rows: Sequence[tuple[str, tuple[str, int], int, str]], shots: dict[str, dict[str, Shot]]
) -> list[Clip]:
    """Check AUG_MUTED_SHOTS rows: clips without sound that hold one pose. What is wrong is added to `problems`."""
    clips: list[Clip] = []
    names = {(actor, name) for actor, by_name in shots.items() for name in by_name}
    for index, (actor, (source, frame), length, emotion) in enumerate(rows):
        where = {"actor": actor, "shot": source, "key": f"AUG_MUTED_SHOTS[{index}]"}
        shot = shots.get(actor, {}).get(source)
        name = f"muted_{source}_{frame}_{emotion}"
        if shot is None:
            problems.error("", f"no such shot{nearest(source, shots.get(actor, {}))}", **where)
        elif not 0 <= frame < shot.num_frames:
            problems.error("", f"frame {frame} is outside the shot's frames 0 to {shot.num_frames - 1}", **where)
        elif length < 1:
            problems.error("", f"length {length} must be at least 1 frame", **where)
        elif (actor, name) in names:
            problems.error("", "the same muted shot is listed twice", **where)
        else:
            names.add((actor, name))
            still = Shot(actor, name, length, shot.fps, emotion)
            clips.append(Clip(still, 0, length - 1, None, language=None, held=(source, frame)))
    return clips


def nearest(name: str, known: Collection[str]) -> str:
    """A question after the known name that is most like one, for a message; nothing when none is."""
    import difflib

    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
