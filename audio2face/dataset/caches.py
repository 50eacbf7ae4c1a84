"""The animation caches of a mesh: checked against each other by their headers, read as pose sequences."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.dataset.files import shot_folders
from audio2face.formats import AnimationFile, SeveralChannels, animation_header, find_animation, read_animation
from audio2face.formats.npy import write_npy
from audio2face.formats.time_code import same_rate
from audio2face.geometry.poses import PoseSequence
from audio2face.listing import natural_order
from audio2face.logs import each
from audio2face.paths import external_path
from audio2face.problems import UserError

MAPPED = (".npy", ".pc2")  # read in place; other formats are decoded once


@dataclass(frozen=True)
class Cache:
    """One shot's animation of a mesh, by its header."""

    shot: str
    path: Path
    num_frames: int
    num_vertices: int
    fps: float | None
    channel: str | None = None

    def read(self) -> AnimationFile:
        """Open it. Raises ValueError as `read_animation`."""
        return read_animation(self.path, self.channel)


def find_caches(
    root: Path, key: str, shots: list[str] | None, shots_key: str, channel: str | None = None
) -> tuple[dict[str, Cache], list[str]]:
    """The caches of `shots` (of all folders when None) in `root`, and the problems. `channel` is that to read of several.

    Problems name the shot and the file: unknown shots, missing or ambiguous files, empty or damaged ones, and shots
    whose number of vertices is not that of most shots. `key` and `shots_key` are the config keys to blame.
    """
    there = shot_folders(root)
    where = f"{key} ({external_path(root)})"
    if not there:
        return {}, [f"{where}: holds no shots; expected {root.name}/<shot>/<shot>.npy, .pc2 or .xml"]
    problems = []
    if shots is not None:
        known = ", ".join(there[:8]) + (", …" if len(there) > 8 else "")
        problems += [
            f"{shots_key}: shot {shot!r} is not in {where}; there: {known}" for shot in shots if shot not in there
        ]
        problems += [
            f"{shots_key}: shot {shot!r} is listed twice"
            for shot in natural_order({s for s in shots if shots.count(s) > 1})
        ]
    caches = {}
    for shot in there if shots is None else [s for s in there if s in set(shots)]:
        try:
            path = find_animation(root, shot)
            header = animation_header(path, channel)
        except (UserError, ValueError, OSError) as error:
            hint = f" ({key.replace('_ROOT', '_CHANNEL')})" if isinstance(error, SeveralChannels) else ""
            lines = error.lines if isinstance(error, UserError) else [str(error)]
            problems += [f"{key}: {line}{hint}" for line in lines]
            continue
        if header.num_frames == 0 or header.num_vertices == 0:
            problems.append(
                f"{key}: shot {shot}: {path.name} holds {header.num_frames} frames of {header.num_vertices} vertices"
            )
            continue
        caches[shot] = Cache(shot, path, *header, channel)
    return caches, problems + _topology_problems(caches, key)


def _topology_problems(caches: dict[str, Cache], key: str) -> list[str]:
    counts = [cache.num_vertices for cache in caches.values()]
    if not counts:
        return []
    usual = max(set(counts), key=counts.count)
    odd = [cache for cache in caches.values() if cache.num_vertices != usual]
    return [
        f"{key}: shot {c.shot}: {c.path.name} has {c.num_vertices} vertices, {counts.count(usual)} other shot(s) have {usual};"
        " all shots of an actor must have one topology"
        for c in odd
    ]


def frame_rate(caches: dict[str, Cache], configured: float | None, actor: str) -> tuple[float, list[str]]:
    """The rate of an actor's shots: CACHE_FPS, which the caches must not contradict, or else the caches' own.

    Maya's caches count whole ticks and say 24 or 30 where 23.976 or 29.97 is meant.
    """
    own = {cache.shot: cache.fps for cache in caches.values() if cache.fps is not None}
    if configured is None:
        rates = sorted(set(own.values()))
        if rates and same_rate(rates[-1], rates[0]) and len(own) == len(caches):
            return rates[0], []
        return 30.0, [
            f"CACHE_FPS: no entry for actor {actor!r}, and the caches do not tell; write CACHE_FPS = {{{actor!r}: 30.0}}"
        ]
    wrong = {shot: fps for shot, fps in own.items() if not same_rate(fps, configured)}
    return float(configured), [
        f"CACHE_FPS says {configured:g} for actor {actor!r}, but the cache of shot {shot} is at {fps:g} frames a second"
        for shot, fps in wrong.items()
    ]


def decoded_bytes(caches: Iterable[Cache]) -> int:
    """What `open_sequences` writes into its scratch folder."""
    return sum(12 * c.num_frames * c.num_vertices for c in caches if c.path.suffix.lower() not in MAPPED)


def open_sequences(caches: dict[str, Cache], scratch: Path, what: str) -> list[PoseSequence]:
    """The caches as pose sequences. Formats that cannot be read in place are decoded once, in parallel, into `scratch`."""
    slow = [cache for cache in caches.values() if cache.path.suffix.lower() not in MAPPED]
    places = {cache.shot: cache.path for cache in caches.values()} | {
        c.shot: scratch / what / f"{c.shot}.npy" for c in slow
    }

    def decode(cache: Cache) -> None:
        write_npy(places[cache.shot], np.asarray(_frames(cache.read), np.float32))

    if slow:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            list(each(pool.map(decode, slow), len(slow), f"decode {what}", "shot"))
    return [_sequence(shot, cache.num_frames, places[shot]) for shot, cache in caches.items()]


def _frames(read: Callable[[], AnimationFile]) -> np.ndarray:
    try:
        return read().frames
    except ValueError as error:
        raise UserError(str(error)) from error


def _sequence(shot: str, num_frames: int, path: Path) -> PoseSequence:
    def read(frames: np.ndarray) -> np.ndarray:
        stored = _frames(lambda: read_animation(path))
        ends = (int(frames[0]), int(frames[-1]) + 1) if len(frames) else (0, 0)
        part = stored[slice(*ends)] if ends[1] - ends[0] == len(frames) else stored[frames]
        return np.array(part, dtype=np.float32, order="C")

    return PoseSequence(shot, num_frames, read)
