"""The full check of an actor, which reads every frame and sample.

Called by `runners.check_dataset`; next: `dataset.checks`, which reads an actor, and a module for each kind of fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from audio2face.audio.sync import Lag, by_chance, find_lag, margin_frames
from audio2face.dataset.captured import CapturedActor, Mesh, listed_vertices, readable
from audio2face.dataset.checks import build_captured
from audio2face.dataset.clip_checks import check_muted_poses
from audio2face.dataset.curve_checks import jaw_openings
from audio2face.dataset.quick_check import accept, worst_first
from audio2face.dataset.sync_checks import check_sync
from audio2face.doctor.audio import ShotSound, check_damage, check_sounds, read_shot_sound
from audio2face.doctor.caches import check_duplicates, check_motion, check_numbers
from audio2face.doctor.consistency import check_consistency
from audio2face.doctor.geometry import check_geometry
from audio2face.doctor.partners import check_voices
from audio2face.doctor.quick import check_small
from audio2face.doctor.stats import ShotStats, combine, scan_cache
from audio2face.doctor.vertex_lists import (
    KEYS,
    check_rigid_vertices,
    check_vertex_lists,
    mouth_opening,
    moving_vertices,
)
from audio2face.logs import each
from audio2face.machine import pool_size
from audio2face.problems import Problem, Problems, UserError

if TYPE_CHECKING:
    from audio2face.config import Section

UNCLEAR = "Set SKIN_LIP_DIST_VERTEX_LIST_FPATH if it is missing; else look at the report's curves."
UNCLEAR_CURVES = "Look at the report's curves: does jawOpen follow the speech?"
SPREAD_VERTICES = 256  # looked at besides the listed ones, to find the mouth without a list


@dataclass(frozen=True)
class ActorReport:
    """What was found in an actor's data, and the measurements behind it, by shot."""

    actor: str
    findings: list[Problem]
    data: CapturedActor | None = None
    sounds: dict[str, ShotSound] = field(default_factory=dict)
    opening: dict[str, np.ndarray] = field(default_factory=dict)
    lags: dict[str, Lag] = field(default_factory=dict)
    skin: dict[str, ShotStats] = field(default_factory=dict)


def full_check(sections: Mapping[str, Section], actors: Sequence[str], progress: bool = False) -> list[ActorReport]:
    """Everything, reading every frame and sample. `progress` shows a bar."""
    return [_build_full(sections, actor, progress) for actor in actors]


def _build_full(sections: Mapping[str, Section], actor: str, progress: bool) -> ActorReport:
    data, report = build_captured(sections, actor)
    if data is None:
        return ActorReport(actor, list(report))
    check_small(report, data)
    full = _build_of_mesh if data.skin else _build_without_mesh
    found = full(report, data, progress)
    return replace(found, findings=worst_first(accept(report, sections["dataset"].SKIP_DATA_CHECKS)))


def _build_without_mesh(report: Problems, data: CapturedActor, progress: bool) -> ActorReport:
    """Sounds, and how they lie against the curve jawOpen if there is one; curves were checked when they were read."""
    sounds = _read_sounds(data, progress)
    check_damage(report, data, sounds)
    check_sounds(report, sounds)
    opening = jaw_openings(data.curves.values())
    # Trackers see jaws less well than meshes are made: what may be chance, in short shots above all, is not judged.
    lags = _find_lags(data, sounds, opening)
    lags = {s: lag for s, lag in lags.items() if lag.correlation > by_chance(len(opening[s]) / data.fps)}
    check_voices(report, data, sounds, opening)
    if opening and not lags:
        what = (
            f"In none of {len(opening)} shots jawOpen follows the sound more than by chance: too short, or not in sync."
        )
        report.info("sync.unclear", what, UNCLEAR_CURVES, key="AUDIO_ROOT")
    check_sync(report, lags, data.fps, data.files.audio_file, UNCLEAR_CURVES)
    check_muted_poses(report, data, opening)
    return ActorReport(data.actor, [], data, sounds, opening, lags)


def _build_of_mesh(report: Problems, data: CapturedActor, progress: bool) -> ActorReport:
    spread = np.linspace(0, data.num_vertices - 1, SPREAD_VERTICES).astype(int)
    vertices = np.unique(np.concatenate([listed_vertices(data.pairs), spread]))
    stats = _scan_all(data, data.skin_mesh, vertices, progress)
    sounds = _read_sounds(data, progress)
    good = _finite(stats)
    opening = _check_mesh(report, data, vertices, good) if good else {}
    lags = _find_lags(data, sounds, opening)
    check_numbers(report, data.skin_mesh, stats)
    check_motion(report, data, data.skin_mesh, good, {shot: sound.speech for shot, sound in sounds.items()})
    check_damage(report, data, sounds)
    check_sounds(report, sounds)
    check_duplicates(report, good, {shot: sound.digest for shot, sound in sounds.items()})
    check_voices(report, data, sounds, opening)
    check_sync(report, lags, data.fps, data.files.audio_file, UNCLEAR)
    check_muted_poses(report, data, opening)
    _check_tongue(report, data, progress)
    return ActorReport(data.actor, [], data, sounds, opening, lags, stats)


def _find_lags(
    data: CapturedActor, sounds: Mapping[str, ShotSound], opening: Mapping[str, np.ndarray]
) -> dict[str, Lag]:
    """How sounds lie against openings of the mouth {shot: (T,)}, where both can be told."""
    return {
        shot: lag
        for shot, sound in sounds.items()
        if shot in opening and (lag := find_lag(shot, sound.energy, opening[shot], data.fps)) is not None
    }


def _check_mesh(
    report: Problems, data: CapturedActor, vertices: np.ndarray, stats: Mapping[str, ShotStats]
) -> dict[str, np.ndarray]:
    """Check the skin as a whole; returns how open the mouth is, {shot: (T,)}."""
    odd = check_consistency(report, data, stats)
    together = combine(found for shot, found in stats.items() if shot not in odd)
    check_geometry(report, data, together)
    check_vertex_lists(report, data, together, vertices, together.picked)
    faulty = any(problem.where.key == KEYS["lip_dist"] for problem in report.errors)
    guess = moving_vertices(vertices, together) if faulty or "lip_dist" not in data.pairs else None
    return {shot: mouth_opening(data, vertices, found.picked, guess) for shot, found in stats.items()}


def _check_tongue(report: Problems, data: CapturedActor, progress: bool) -> None:
    if not data.tongue:
        return
    vertices = np.zeros(0, int) if data.rigid_vertices is None else data.rigid_vertices
    stats = _scan_all(data, data.tongue_mesh, vertices, progress)
    check_numbers(report, data.tongue_mesh, stats)
    check_motion(report, data, data.tongue_mesh, _finite(stats), {})
    check_rigid_vertices(report, data, _finite(stats))


def _finite(stats: Mapping[str, ShotStats]) -> dict[str, ShotStats]:
    """Those of the shots that have a good frame."""
    return {shot: found for shot, found in stats.items() if found.num_frames > len(found.bad_frames)}


def _scan_all(data: CapturedActor, mesh: Mesh, vertices: np.ndarray, progress: bool) -> dict[str, ShotStats]:
    caches = list(mesh.caches.values())
    with ThreadPoolExecutor(pool_size()) as pool:
        stats = pool.map(lambda cache: readable(scan_cache, cache, mesh.neutral, vertices), caches)
        counted = each(stats, len(caches), f"{data.actor}: {mesh.name}", "shot", progress)
        return {found.shot: found for found in counted if found is not None}


def _read_sounds(data: CapturedActor, progress: bool) -> dict[str, ShotSound]:
    margin = margin_frames(data.fps)
    files = [file for file in data.sounds if file.voice is None]
    with ThreadPoolExecutor(pool_size()) as pool:
        sounds = pool.map(lambda file: read_shot_sound(data, file, margin), files)
        counted = each(sounds, len(files), f"{data.actor}: sound", "shot", progress)
        return {sound.shot: sound for sound in counted if sound is not None}


def build_actors(sections: Mapping[str, Section], actor: str | None) -> list[str]:
    """The actors to check: all, or the one named. Raises UserError when the project has no such actor."""
    names = list(sections["dataset"].ACTOR_NAMES)
    if actor is None:
        return names
    if actor not in names:
        raise UserError(f"actor {actor!r} is not in ACTOR_NAMES: {', '.join(names)}")
    return [actor]
