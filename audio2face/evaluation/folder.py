"""A folder of new shots to measure on, in the layout of an actor's data set: `audio` and `cache/skin`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audio2face.config import Section
from audio2face.dataset.caches import find_caches, frame_rate
from audio2face.dataset.files import PLACES, DatasetFiles
from audio2face.dataset.shots import clip_rows, shot_emotions
from audio2face.paths import external_path
from audio2face.problems import STRUCTURE, Problems, UserError
from audio2face.runs.preproc_run import PreprocRun
from audio2face.types import Shot


@dataclass(frozen=True)
class NewShots:
    """An actor's shots in the folder as whole clips without offset. `files`: the data set with their sound and skin."""

    files: DatasetFiles
    shots: dict[str, Shot]
    rows: list[Any]


def files_in(folder: Path, files: DatasetFiles) -> DatasetFiles | None:
    """An actor's data set with the sound and skin caches of `folder`, or of its subfolder named after the actor."""
    for home in (folder / files.actor, folder):
        audio, skin = home / PLACES["AUDIO_ROOT"], home / PLACES["SKIN_CACHE_ROOT"]
        if audio.is_dir() and skin.is_dir():
            return replace(files, audio_root=audio, skin_cache_root=skin)
    return None


def read_new_shots(
    folder: Path, dataset: Section, files: Mapping[str, DatasetFiles], runs: Mapping[str, PreprocRun]
) -> dict[str, NewShots]:
    """The new shots of each actor that has some. Several actors need a folder each, of their names, inside `folder`.

    Emotions follow the data set's rules: SHOT_EMOTION_MAP or a shot's name. Raises UserError with everything wrong.
    """
    found: dict[str, NewShots] = {}
    problems = Problems()
    for actor in files:
        if len(files) > 1 and not (folder / actor).is_dir():
            continue
        there = files_in(folder, files[actor])
        if there is not None:
            found[actor] = _build_new(there, dataset, runs[actor], problems)
    problems.raise_errors()
    if not found:
        inside = f"a folder {' or '.join(files)} with " if len(files) > 1 else ""
        raise UserError(
            f"--data {external_path(folder)}: expected {inside}{PLACES['AUDIO_ROOT']}/<shot>.wav and "
            f"{PLACES['SKIN_CACHE_ROOT']}/<shot>/<shot>.npy (.pc2, .xml), as in a data set"
        )
    return found


def _build_new(files: DatasetFiles, dataset: Section, run: PreprocRun, problems: Problems) -> NewShots:
    assert files.skin_cache_root is not None
    actor, vertices = files.actor, len(run.skin.mean)
    caches = find_caches(problems, files.skin_cache_root, "--data", None, "")
    fps = frame_rate(problems, caches, dataset.CACHE_FPS.get(actor), actor)
    mapping = [row for row in dataset.SHOT_EMOTION_MAP if row[1] in caches]
    emotions = shot_emotions(problems, actor, list(caches), dataset.SHOT_EMOTION_NAMES, mapping)
    for c in caches.values():
        if c.num_vertices != vertices:
            what = f"{external_path(c.path)} has {c.num_vertices} vertices, but preprocessing run {run.name} has {vertices}"
            problems.error(STRUCTURE, f"--data: shot {c.shot}: {what}", shot=c.shot, file=c.path)
    shots = {c.shot: Shot(actor, c.shot, c.num_frames, fps, emotions[c.shot]) for c in caches.values()}
    rows: list[Any] = list(clip_rows(list(shots.values()), files, dataset.SHOT_LANGUAGE_MAP))
    if shots and not rows:
        what = f"--data {external_path(files.audio_root or '')} has no <shot>.wav for any of the shots"
        problems.error(STRUCTURE, what, file=files.audio_root)
    return NewShots(files, shots, rows)
