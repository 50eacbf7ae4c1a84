"""What an animation holds frame by frame: numbers, jumps, stand-still, copies of another shot."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio2face.dataset.captured import CapturedActor, Mesh
from audio2face.doctor.stats import ShotStats
from audio2face.problems import Problems
from audio2face.types import Cache

SHORTEST_SHOT_S = 0.5
JUMP_SHARE = 0.05  # of the mesh's size: a vertex that leaves its neighbours in time by more than this is suspect
JUMP_FACTOR = 4.0  # and by more than this many times what is usual in the data set
REACH_SHARE = {"skin": 0.35, "tongue": 1.0}  # of the mesh's size: no part of it moves further from rest
STILL_SHARE = 1e-7  # of the mesh's size: less is no motion
HELD_S = 0.3  # a run of equal frames that long, while speech is heard, is a fault
HALVED_SHARE = 0.3  # of all frames: single repeated frames


def check_short_shots(report: Problems, data: CapturedActor) -> None:
    """Shots that are too short to be speech."""
    for shot in data.shots:
        if shot.num_frames < SHORTEST_SHOT_S * shot.fps:
            what = f"Only {shot.num_frames} frame(s), {shot.num_frames / shot.fps:.2f} s."
            report.warning("cache.short", what, "Leave it out, or check the export's range.", shot=shot.name)


def check_numbers(report: Problems, mesh: Mesh, scans: Mapping[str, ShotStats]) -> None:
    """Frames with NaN or infinity."""
    for shot, scan in scans.items():
        if scan.bad_frames:
            what = f"{len(scan.bad_frames)} {mesh.name} frame(s) hold NaN or infinity: {_frames(scan.bad_frames)}."
            fix = "Export again, or leave these frames out of CLIPS."
            report.error("cache.nan", what, fix, shot=shot, file=mesh.caches[shot].path, key=_key(mesh))


def check_motion(
    report: Problems, data: CapturedActor, mesh: Mesh, scans: Mapping[str, ShotStats], speech: Mapping[str, np.ndarray]
) -> None:
    """Jumps, vertices that fly away, frames that stand still; `speech` {shot: (T,) bool} is where speech is heard."""
    size = mesh_size(scans)
    usual = np.median([np.quantile(scan.spike, 0.99) for scan in scans.values()]) if scans else 0.0
    for shot, scan in scans.items():
        cache = mesh.caches[shot]
        _jumps(report, mesh, scan, cache, size, max(JUMP_SHARE * size, JUMP_FACTOR * float(usual)))
        _standstill(report, data, mesh, scan, cache, STILL_SHARE * size, speech.get(shot))


def check_duplicates(report: Problems, scans: Mapping[str, ShotStats], sounds: Mapping[str, str]) -> None:
    """Shots with the same animation or the same sound under two names; `sounds` {shot: digest}."""
    moving = {shot: scan.digest for shot, scan in scans.items() if scan.digest}
    for first, second in _equal_pairs(moving):
        same_sound = sounds.get(first) == sounds.get(second)
        what = f"Shots {first} and {second} hold the same animation" + (" and the same sound." if same_sound else ".")
        if same_sound:
            report.warning("cache.duplicate", what, "Remove one.", shot=second, key="SKIN_CACHE_ROOT")
        else:
            fix = "Their sounds differ, so one of them was exported wrongly: export it again."
            report.error("cache.duplicate", what, fix, shot=second, key="SKIN_CACHE_ROOT")
    for first, second in _equal_pairs(dict(sounds)):
        if moving.get(first) != moving.get(second):
            what = f"Shots {first} and {second} have the same sound, but different animations."
            report.error("audio.duplicate", what, "Find the right sound for one.", shot=second, key="AUDIO_ROOT")


def mesh_size(scans: Mapping[str, ShotStats]) -> float:
    """Largest extent of the mesh along an axis, from its mean pose."""
    return max((float(np.ptp(scan.mean, axis=0).max()) for scan in scans.values()), default=0.0)


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every run of true values in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags.astype(bool), [False]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _jumps(report: Problems, mesh: Mesh, scan: ShotStats, cache: Cache, size: float, limit: float) -> None:
    shot, where = scan.shot, {"file": cache.path, "key": _key(mesh)}
    far = np.flatnonzero(scan.reach > REACH_SHARE[mesh.name] * size)
    if len(far) and len(far) < scan.num_frames:
        worst = int(far[np.argmax(scan.reach[far])])
        what = (
            f"In {len(far)} {mesh.name} frame(s) vertices fly away, furthest at frame {worst}: "
            f"{scan.reach[worst]:.3g} units from rest, the whole mesh measures {size:.3g}."
        )
        report.error("cache.exploded", what, "Repair or leave out these frames.", shot=shot, **where)
        return
    jumps = [a for a, _ in runs(scan.spike > limit)]
    if jumps:
        worst = int(np.argmax(scan.spike))
        what = (
            f"The {mesh.name} jumps at frame(s) {_frames(jumps)}: at {worst} a vertex is {scan.spike[worst]:.3g} units "
            f"from the middle of its neighbours in time."
        )
        report.warning("cache.jump", what, "Look at these frames; smooth them or cut there.", shot=shot, **where)


def _standstill(
    report: Problems,
    data: CapturedActor,
    mesh: Mesh,
    scan: ShotStats,
    cache: Cache,
    limit: float,
    speech: np.ndarray | None,
) -> None:
    shot, where = scan.shot, {"file": cache.path, "key": _key(mesh)}
    still = scan.step[1:] <= limit
    if scan.num_frames < 3 or not len(still):
        return
    if still.all():
        what = f"The {mesh.name} does not move: all {scan.num_frames} frames are equal."
        report.error("cache.static", what, "Export the animation again, or leave the shot out.", shot=shot, **where)
        return
    single = [a for a, b in runs(still) if a == b]
    if len(single) > HALVED_SHARE * scan.num_frames:
        what = f"{len(single)} of {scan.num_frames} {mesh.name} frames repeat the one before."
        fix = f"It was captured at a lower rate than {data.fps:g}: export it at that rate and set CACHE_FPS to it."
        report.warning("cache.repeated", what, fix, shot=shot, **where)
    if speech is None or mesh.name != "skin":
        return
    for first, last in runs(still):
        spoken = int(speech[first : last + 1].sum())
        if last - first + 1 >= HELD_S * data.fps and spoken >= 0.75 * HELD_S * data.fps:
            what = f"Frames {first} to {last + 1} are equal during speech."
            fix = "Capture was lost there: leave these frames out of CLIPS, or export again."
            report.warning("cache.frozen", what, fix, shot=shot, **where)


def _equal_pairs(digests: Mapping[str, str]) -> list[tuple[str, str]]:
    seen: dict[str, str] = {}
    pairs = []
    for shot, digest in digests.items():
        if digest in seen:
            pairs.append((seen[digest], shot))
        seen.setdefault(digest, shot)
    return pairs


def _frames(frames: list[int], most: int = 6) -> str:
    return ", ".join(str(f) for f in frames[:most]) + (", …" if len(frames) > most else "")


def _key(mesh: Mesh) -> str:
    return f"{mesh.name.upper()}_CACHE_ROOT"
