"""The animation caches of a mesh: checked against each other by their headers, read as pose sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from audio2face.dataset.places import shot_folders
from audio2face.formats import AnimationFile, SeveralChannels, animation_header, find_animation, read_animation
from audio2face.formats.npy import write_npy
from audio2face.formats.time_code import same_rate
from audio2face.geometry.poses import PoseSequence
from audio2face.listing import natural_order
from audio2face.logs import each
from audio2face.machine import pool_size
from audio2face.paths import external_path
from audio2face.problems import STRUCTURE, Problems, UserError
from audio2face.types import Cache

MAPPED = (".npy", ".pc2")  # read in place; other formats are decoded once


def read_frames(cache: Cache) -> np.ndarray:
    """The frames (T, V, 3) of a cache as they are stored. Raises ValueError as `read_animation`."""
    return read_animation(cache.path, cache.channel).frames


def find_caches(
    problems: Problems, root: Path, key: str, shots: list[str] | None, shots_key: str, channel: str | None = None
) -> dict[str, Cache]:
    """The caches of `shots` (of all folders when None) in `root`. `channel` is that to read of several.

    Added to `problems` are unknown shots, missing or ambiguous files, empty or damaged ones, and shots whose number of
    vertices is not that of most shots. `key` and `shots_key` are the config keys to blame.
    """
    there = shot_folders(root)
    where = f"{key} ({external_path(root)})"
    if not there:
        what = f"{where}: holds no shots; expected {root.name}/<shot>/<shot>.npy, .pc2 or .xml"
        problems.error(STRUCTURE, what, file=root, key=key)
        return {}
    if shots is not None:
        known = ", ".join(there[:8]) + (", …" if len(there) > 8 else "")
        for shot in (s for s in shots if s not in there):
            what = f"{shots_key}: shot {shot!r} is not in {where}; there: {known}"
            problems.error(STRUCTURE, what, shot=shot, key=shots_key)
        for shot in natural_order({s for s in shots if shots.count(s) > 1}):
            problems.error(STRUCTURE, f"{shots_key}: shot {shot!r} is listed twice", shot=shot, key=shots_key)
    caches = {}
    for shot in there if shots is None else [s for s in there if s in set(shots)]:
        try:
            path = find_animation(root, shot)
            header = animation_header(path, channel)
        except (UserError, ValueError, OSError) as error:
            hint = f" ({key.replace('_ROOT', '_CHANNEL')})" if isinstance(error, SeveralChannels) else ""
            lines = error.lines if isinstance(error, UserError) else [str(error)]
            for line in lines:
                problems.error(STRUCTURE, f"{key}: {line}{hint}", shot=shot, key=key)
            continue
        if header.num_frames == 0 or header.num_vertices == 0:
            what = f"{path.name} holds {header.num_frames} frames of {header.num_vertices} vertices"
            problems.error(STRUCTURE, f"{key}: shot {shot}: {what}", shot=shot, file=path, key=key)
            continue
        caches[shot] = Cache(shot, path, *header, channel)
    _check_topology(problems, caches, key)
    return caches


def _check_topology(problems: Problems, caches: dict[str, Cache], key: str) -> None:
    usual = usual_vertices(caches)
    same = sum(cache.num_vertices == usual for cache in caches.values())
    for cache in caches.values():
        if cache.num_vertices != usual:
            what = (
                f"{key}: shot {cache.shot}: {cache.path.name} has {cache.num_vertices} vertices, {same} other shot(s) have "
                f"{usual}; all shots of an actor must have one topology"
            )
            problems.error(STRUCTURE, what, shot=cache.shot, file=cache.path, key=key)


def usual_vertices(caches: Mapping[str, Cache]) -> int | None:
    """The number of vertices that most shots have; None without any."""
    counts = [cache.num_vertices for cache in caches.values()]
    return max(set(counts), key=counts.count) if counts else None


def frame_rate(problems: Problems, caches: dict[str, Cache], configured: float | None, actor: str) -> float:
    """The rate of an actor's shots: CACHE_FPS, which the caches must not contradict, or else the caches' own.

    Maya's caches count whole ticks and say 24 or 30 where 23.976 or 29.97 is meant.
    """
    own = {cache.shot: cache.fps for cache in caches.values() if cache.fps is not None}
    if configured is None:
        rates = sorted(set(own.values()))
        if rates and same_rate(rates[-1], rates[0]) and len(own) == len(caches):
            return rates[0]
        what = f"CACHE_FPS: no entry for actor {actor!r}, and the caches carry no frame rate"
        problems.error(STRUCTURE, f"{what}; write CACHE_FPS = {{{actor!r}: 30.0}}", key="CACHE_FPS")
        return 30.0
    for shot, fps in own.items():
        if not same_rate(fps, configured):
            what = f"CACHE_FPS is {configured:g} for actor {actor!r}, but the cache of shot {shot} is at {fps:g} frames a second"
            problems.error(STRUCTURE, what, shot=shot, key="CACHE_FPS")
    return float(configured)


def sample_motion(caches: Iterable[Cache], count: int = 400) -> np.ndarray:
    """About `count` finite frames evenly from all animations: (n, V, 3) float32."""
    caches = list(caches)
    each = max(1, count // max(1, len(caches)))
    poses = []
    for cache in caches:
        frames = read_frames(cache)
        which = np.unique(np.linspace(0, len(frames) - 1, min(each, len(frames))).astype(int))
        poses.append(np.array(frames[which], np.float32))
    motion = np.concatenate(poses)
    return motion[np.isfinite(motion).all(axis=(1, 2))]


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
        write_npy(
            places[cache.shot], np.asarray(_frames(lambda: read_animation(cache.path, cache.channel)), np.float32)
        )

    if slow:
        with ThreadPoolExecutor(pool_size()) as pool:
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
