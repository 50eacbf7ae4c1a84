"""A folder of new shots to measure on, in the layout of an actor's data set: `audio`, with `cache/skin`, `curves` or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from audio2face.config import Section
from audio2face.dataset.caches import find_caches, frame_rate
from audio2face.dataset.captured import ShotCurves
from audio2face.dataset.curve_files import CurveSource, shots_of
from audio2face.dataset.curves import at_frames, curve_lengths, read_tables
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.places import PLACES
from audio2face.dataset.shots import clip_rows, shot_emotions
from audio2face.paths import external_path
from audio2face.problems import STRUCTURE, Problems, UserError
from audio2face.runs.preproc_run import PreprocRun
from audio2face.types import Shot

CURVES = "curves"  # the folder of groups


@dataclass(frozen=True)
class NewShots:
    """An actor's shots in the folder as whole clips without offset. `files`: the data set with their sound, skin and curves.

    `curves` holds each group of the preprocessing run that the folder has, by shot.
    """

    files: DatasetFiles
    shots: dict[str, Shot]
    rows: list[Any]
    curves: dict[str, dict[str, ShotCurves]] = field(default_factory=dict)


def files_in(folder: Path, files: DatasetFiles) -> DatasetFiles | None:
    """An actor's data set with the sound, skin caches and curves of `folder`, or of its subfolder named after the actor."""
    for home in (folder / files.actor, folder):
        audio, skin = home / PLACES["AUDIO_ROOT"], home / PLACES["SKIN_CACHE_ROOT"]
        curves = _curves_in(home / CURVES, files)
        if audio.is_dir() and (skin.is_dir() or curves):
            return replace(files, audio_root=audio, skin_cache_root=skin if skin.is_dir() else None, curves=curves)
    return None


def _curves_in(folder: Path, files: DatasetFiles) -> dict[str, CurveSource]:
    """The actor's groups of which `folder`, or its subfolder named after the group, has files."""
    homes = {name: folder / name if (folder / name).is_dir() else folder for name in files.curves}
    found = {name: replace(source, folder=homes[name]) for name, source in files.curves.items()}
    return {name: source for name, source in found.items() if source.shots()}


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
            f"{PLACES['SKIN_CACHE_ROOT']}/<shot>/<shot>.npy (.pc2, .xml), or {CURVES}/<group>/<shot>.csv (.npz, .bvh) of its "
            "groups, as in a data set"
        )
    return found


def _build_new(files: DatasetFiles, dataset: Section, run: PreprocRun, problems: Problems) -> NewShots:
    actor, vertices = files.actor, len(run.skin.mean)
    caches = find_caches(problems, files.skin_cache_root, "--data", None, "") if files.skin_cache_root else {}
    fps = frame_rate(problems, caches, dataset.CACHE_FPS.get(actor), actor)
    known = {name: source for name, source in files.curves.items() if name in run.curves.groups}
    tables, skeletons = read_tables(problems, known, [*caches] or shots_of(known.values()))
    lengths = {c.shot: c.num_frames for c in caches.values()} or curve_lengths(problems, known, fps, tables)
    mapping = [row for row in dataset.SHOT_EMOTION_MAP if row[1] in lengths]
    emotions = shot_emotions(problems, actor, list(lengths), dataset.SHOT_EMOTION_NAMES, mapping)
    for c in caches.values():
        if c.num_vertices != vertices:
            what = f"{external_path(c.path)} has {c.num_vertices} vertices, but preprocessing run {run.name} has {vertices}"
            problems.error(STRUCTURE, f"--data: shot {c.shot}: {what}", shot=c.shot, file=c.path)
    shots = {shot: Shot(actor, shot, count, fps, emotions[shot]) for shot, count in lengths.items()}
    curves = {}
    for name, source in known.items():
        group = run.curves.groups[name]
        if name in skeletons and skeletons[name].blocks != group.blocks:
            what = f"--data: {external_path(source.folder)}: the skeleton is not that of preprocessing run {run.name}"
            problems.error(STRUCTURE, what, file=source.folder)
            continue
        curves[name] = {
            s: at_frames(problems, group, source, shots[s], t) for s, t in tables[name].items() if s in shots
        }
    rows: list[Any] = list(clip_rows(list(shots.values()), files, dataset.SHOT_LANGUAGE_MAP))
    if shots and not rows:
        what = f"--data {external_path(files.audio_root or '')} has no <shot>.wav for any of the shots"
        problems.error(STRUCTURE, what, file=files.audio_root)
    return NewShots(files, shots, rows, curves)
