"""All checks of an actor, in order: the quick ones, and the full ones that read every frame and sample.

Called by `commands.preproc`; next: `doctor.actor_data`, which reads an actor, and a module for each kind of fault.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from audio2face.doctor.actor_data import Mesh, Subject, build_subject, readable
from audio2face.doctor.audio import Sound, check_damage, check_lengths, check_sounds, listen
from audio2face.doctor.caches import check_duplicates, check_headers, check_motion, check_numbers
from audio2face.doctor.channels import check_channels, check_tongue
from audio2face.doctor.clips import check_clips, check_muted, check_shots
from audio2face.doctor.consistency import check_alike
from audio2face.doctor.files import check_files
from audio2face.doctor.findings import ERROR, INFO, STRUCTURE, Finding, Reporter, accept, raise_errors, worst_first
from audio2face.doctor.geometry import check_geometry
from audio2face.doctor.stats import Scan, combine, frames_to_sample, sample_cache, scan_cache
from audio2face.doctor.sync import Lag, check_sync, find_lag, margin_frames
from audio2face.doctor.vertex_lists import KEYS, check_vertex_lists, listed_vertices, mouth_opening, moving_vertices
from audio2face.logs import each
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from audio2face.config import Section

SPREAD_VERTICES = 256  # looked at besides the listed ones, to find the mouth without a list
THREADS = 2
TOLD_BY_PREPROC = {"audio.rate"}  # checks whose message preprocessing gives too


@dataclass(frozen=True)
class ActorReport:
    """What was found in an actor's data, and the measurements behind it, by shot."""

    actor: str
    findings: list[Finding]
    subject: Subject | None = None
    sounds: dict[str, Sound] = field(default_factory=dict)
    opening: dict[str, np.ndarray] = field(default_factory=dict)
    lags: dict[str, Lag] = field(default_factory=dict)
    skin: dict[str, Scan] = field(default_factory=dict)


def quick_check(sections: Mapping[str, Section], actors: Sequence[str]) -> list[Finding]:
    """What can be told of each actor's data in seconds: names, headers, small arrays, a few frames, CLIPS.

    `sections` are config sections by kind: "dataset", and "preproc" and "train" if there are any. Nothing is raised for
    faults in the data: see `raise_errors`.
    """
    found: list[Finding] = []
    for actor in actors:
        subject, problems = build_subject(sections, actor)
        found += _structure(actor, problems)
        if subject is not None:
            found += _quick(subject)
    return worst_first(accept(_once(found), sections["dataset"].SKIP_DATA_CHECKS))


def full_check(sections: Mapping[str, Section], actors: Sequence[str], progress: bool = False) -> list[ActorReport]:
    """Everything, reading every frame and sample. `progress` shows a bar."""
    return [_full(sections, actor, progress) for actor in actors]


def _structure(actor: str, problems: list[str]) -> list[Finding]:
    return Reporter(actor).lines(ERROR, STRUCTURE, problems)


def _quick(subject: Subject) -> list[Finding]:
    return [*_of_headers(subject), *_of_samples(subject)]


def _of_headers(subject: Subject) -> Iterator[Finding]:
    yield from check_files(subject)
    yield from check_headers(subject)
    yield from check_lengths(subject)
    yield from check_channels(subject)
    yield from check_shots(subject)
    yield from check_clips(subject)


def _of_samples(subject: Subject) -> Iterator[Finding]:
    vertices = listed_vertices(subject)
    count = frames_to_sample(len(subject.skin.caches))
    sampled = {s: readable(sample_cache, cache, vertices, count) for s, cache in subject.skin.caches.items()}
    scans = {shot: scan for shot, scan in sampled.items() if scan is not None}
    yield from check_numbers(subject, subject.skin, scans)
    good = {shot: scan for shot, scan in scans.items() if scan.num_frames > len(scan.bad_frames)}
    if good:
        found, odd = check_alike(subject, good)
        yield from found
        stats = combine(scan for shot, scan in good.items() if shot not in odd)
        yield from check_geometry(subject, stats)
        yield from check_vertex_lists(subject, stats, vertices, stats.picked)


def _full(sections: Mapping[str, Section], actor: str, progress: bool) -> ActorReport:
    subject, problems = build_subject(sections, actor)
    found = _structure(actor, problems)
    if subject is None:
        return ActorReport(actor, found)
    found += _of_headers(subject)
    spread = np.linspace(0, subject.skin.num_vertices - 1, SPREAD_VERTICES).astype(int)
    vertices = np.unique(np.concatenate([listed_vertices(subject), spread]))
    scans = _scan_all(subject, subject.skin, vertices, progress)
    sounds = _listen_all(subject, progress)
    opening: dict[str, np.ndarray] = {}
    lags: dict[str, Lag] = {}
    good = {shot: scan for shot, scan in scans.items() if scan.num_frames > len(scan.bad_frames)}
    if good:
        different, odd = check_alike(subject, good)
        found += different
        stats = combine(scan for shot, scan in good.items() if shot not in odd)
        found += check_geometry(subject, stats)
        found += check_vertex_lists(subject, stats, vertices, stats.picked)
        faulty = any(f.level == ERROR and f.where.key == KEYS["lip_dist"] for f in found)
        guess = moving_vertices(vertices, stats) if faulty or "lip_dist" not in subject.pairs else None
        opening = {shot: mouth_opening(subject, vertices, scan.picked, guess) for shot, scan in good.items()}
    for shot, sound in sounds.items():
        lag = find_lag(shot, sound.energy, opening[shot], subject.fps) if shot in opening else None
        if lag is not None:
            lags[shot] = lag
    speech = {shot: sound.speech for shot, sound in sounds.items()}
    found += check_numbers(subject, subject.skin, scans)
    found += check_motion(subject, subject.skin, good, speech)
    found += check_damage(subject, sounds)
    found += check_sounds(subject, sounds)
    found += check_duplicates(subject, good, {shot: sound.digest for shot, sound in sounds.items()})
    found += check_sync(subject, lags)
    found += check_muted(subject, opening)
    found += _of_tongue(subject, progress)
    found = accept(_once(found), sections["dataset"].SKIP_DATA_CHECKS)
    return ActorReport(actor, worst_first(found), subject, sounds, opening, lags, scans)


def _of_tongue(subject: Subject, progress: bool) -> Iterator[Finding]:
    if not subject.tongue.caches:
        return
    vertices = np.zeros(0, int) if subject.rigid_vertices is None else subject.rigid_vertices
    scans = _scan_all(subject, subject.tongue, vertices, progress)
    good = {shot: scan for shot, scan in scans.items() if scan.num_frames > len(scan.bad_frames)}
    yield from check_numbers(subject, subject.tongue, scans)
    yield from check_motion(subject, subject.tongue, good, {})
    yield from check_tongue(subject, good)


def _scan_all(subject: Subject, mesh: Mesh, vertices: np.ndarray, progress: bool) -> dict[str, Scan]:
    caches = list(mesh.caches.values())
    with ThreadPoolExecutor(THREADS) as pool:
        scans = pool.map(lambda cache: readable(scan_cache, cache, mesh.neutral, vertices), caches)
        counted = each(scans, len(caches), f"{subject.actor}: {mesh.name}", "shot", progress)
        return {scan.shot: scan for scan in counted if scan is not None}


def _listen_all(subject: Subject, progress: bool) -> dict[str, Sound]:
    margin = margin_frames(subject.fps)
    with ThreadPoolExecutor(THREADS) as pool:
        sounds = pool.map(lambda shot: listen(subject, shot, margin), subject.shots)
        counted = each(sounds, len(subject.shots), f"{subject.actor}: sound", "shot", progress)
        return {sound.shot: sound for sound in counted if sound is not None}


def _once(findings: list[Finding]) -> list[Finding]:
    """Drop what preprocessing says in other words about a file that a check of ours names."""
    told = [f.where.file for f in findings if f.check in TOLD_BY_PREPROC and f.where.file]
    return [f for f in findings if f.check != STRUCTURE or not any(path in f.what for path in told)]


def build_actors(sections: Mapping[str, Section], actor: str | None) -> list[str]:
    """The actors to check: all, or the one named. Raises UserError when the project has no such actor."""
    names = list(sections["dataset"].ACTOR_NAMES)
    if actor is None:
        return names
    if actor not in names:
        raise UserError(f"actor {actor!r} is not in ACTOR_NAMES: {', '.join(names)}")
    return [actor]


def report_faults(sections: Mapping[str, Section], actors: Sequence[str], training: bool = False) -> None:
    """The quick check as a command runs it at its start. Warnings are logged; UserError lists every error.

    `training` has checked for itself what it reads, and does without caches: what is missing there is a warning.
    """
    findings = quick_check(sections, actors)
    stopping = [f for f in findings if f.level == ERROR and not (training and f.check == STRUCTURE)]
    for finding in findings:
        if finding.level != INFO and finding not in stopping:
            logger.warning("%s", finding)
    raise_errors(stopping)
