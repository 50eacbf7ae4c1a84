"""Groups of curves of an actor's shots: read, their columns recognised, encoded, at the rate of the actor's shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio2face.dataset.captured import CapturedGroup, ShotCurves
from audio2face.dataset.curve_files import CurveSource
from audio2face.face.curves import CurveGroup, filled, skeleton_group
from audio2face.face.frames import interpolate
from audio2face.lazy import lazy
from audio2face.paths import external_path
from audio2face.problems import STRUCTURE, Problems
from audio2face.types import Shot

if TYPE_CHECKING:
    from audio2face.formats.curve_table import CurveTable

read_bvh = lazy("audio2face.formats.bvh", "read_bvh")
read_curve_table = lazy("audio2face.formats.curve_table", "read_curve_table")
read_missing = lazy("audio2face.formats.curve_table", "read_missing")
build_table = lazy("audio2face.formats.curve_table", "CurveTable")
canonical_columns = lazy("audio2face.dataset.curve_kinds", "canonical_columns")
choose_columns = lazy("audio2face.dataset.curve_kinds", "choose_columns")
guess_blocks = lazy("audio2face.dataset.curve_kinds", "guess_blocks")
check_groups = lazy("audio2face.dataset.curve_checks", "check_groups")
check_table = lazy("audio2face.dataset.curve_checks", "check_table")

LONGEST_GAP_S = 0.25  # between recorded moments that a straight line may bridge
RATE_TOLERANCE = 0.01
BAD_FILE = (OSError, ValueError)


def curve_lengths(
    problems: Problems, sources: Mapping[str, CurveSource], fps: float, tables: Mapping[str, Mapping[str, CurveTable]]
) -> dict[str, int]:
    """Frames at `fps` of every shot that any group has: those of the longest group."""
    lengths: dict[str, int] = {}
    for group, shots in tables.items():
        for shot, table in shots.items():
            rate = _rate(problems, sources[group], shot, table, fps)
            seconds = _moments(table, rate)[-1] + 0.5 / rate
            lengths[shot] = max(lengths.get(shot, 0), int(seconds * fps + 1e-4), 1)
    return lengths


def read_tables(
    problems: Problems, sources: Mapping[str, CurveSource], shots: Sequence[str]
) -> tuple[dict[str, dict[str, CurveTable]], dict[str, CurveGroup]]:
    """{group: {shot: table}} as far as they can be read, and the groups of skeletons. A file of several groups is read once."""
    read: dict[Path, tuple[CurveTable, CurveGroup | None] | None] = {}
    tables: dict[str, dict[str, CurveTable]] = {}
    skeletons: dict[str, CurveGroup] = {}
    for name, source in sources.items():
        shared = sum(other.folder == source.folder for other in sources.values()) > 1
        tables[name] = {}
        for shot in shots:
            path = source.file(shot)
            if path is None:
                continue
            where: dict[str, Any] = {"shot": shot, "file": path, "key": "CURVES_ROOT"}
            if path not in read or source.columns:
                read[path] = problems.attempt(_read_table, path, source, also=BAD_FILE, **where)
            found = read[path]
            if found is None:
                continue
            table, skeleton = found
            if skeleton is not None:
                first = skeletons.setdefault(name, replace(skeleton, name=name))
                if first.names != skeleton.names or first.blocks != skeleton.blocks:
                    what = f"CURVES_ROOT: {external_path(path)}: its skeleton is not that of the first shot of group {name!r}"
                    problems.error(STRUCTURE, what, **where)
                    continue
            elif not source.columns:
                table = choose_columns(table, name, shared)
            if not table.names:
                what = f"CURVES_ROOT: {external_path(path)} has no column of group {name!r}"
                problems.error(STRUCTURE, what, **where)
                continue
            tables[name][shot] = _without_missing(problems, source, shot, table)
    return tables, skeletons


def build_groups(
    problems: Problems,
    sources: Mapping[str, CurveSource],
    shots: Sequence[Shot],
    tables: Mapping[str, Mapping[str, CurveTable]],
    skeletons: Mapping[str, CurveGroup],
) -> dict[str, CapturedGroup]:
    """The groups of an actor, encoded, at the frames of its shots. What cannot be, and what is odd, is added to `problems`."""
    check_groups(problems, {name: by_shot for name, by_shot in tables.items() if by_shot})
    found = {}
    for name, by_shot in tables.items():
        if not by_shot:
            what = (
                f"CURVES_ROOT ({external_path(sources[name].folder)}): no file of group {name!r} for any of the shots"
            )
            problems.error(
                STRUCTURE, what, fix=f"expected <shot>{', '.join(('.csv', '.npz', '.bvh'))}", key="CURVES_ROOT"
            )
            continue
        group = skeletons.get(name) or _recognised(problems, sources[name], by_shot)
        if group is None:
            continue
        values = {}
        for shot in shots:
            table = by_shot.get(shot.name)
            if table is not None:
                check_table(problems, group, shot.name, table)
                values[shot.name] = at_frames(problems, group, sources[name], shot, table)
        found[name] = CapturedGroup(group, values)
    return found


def resampled(values: np.ndarray, known: np.ndarray, moments: np.ndarray, times: np.ndarray) -> ShotCurves:
    """Encoded values (T, E) at increasing moments (T,) -> at times (n,), in seconds: known where both neighbours are, and near."""
    position = np.interp(times, moments, np.arange(len(moments)))
    whole = np.rint(position)
    position = np.where(np.abs(position - whole) < 1e-3, whole, position)
    low = np.floor(position).astype(np.int64)
    high = np.minimum(low + (position > low), len(moments) - 1)
    near = (moments[high] - moments[low] <= LONGEST_GAP_S) & _inside(times, moments)
    return ShotCurves(interpolate(values, position).astype(np.float32), known[low] & known[high] & near[:, None])


def _inside(times: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Whether times lie no further beyond the first and the last moment than half the usual step."""
    step = float(np.median(np.diff(moments))) if len(moments) > 1 else LONGEST_GAP_S
    slack = max(0.5 * step, 1 / 120) + 1e-4
    return (times >= moments[0] - slack) & (times <= moments[-1] + slack)


def _read_table(path: Path, source: CurveSource) -> tuple[CurveTable, CurveGroup | None]:
    if path.suffix.lower() == ".bvh":
        skeleton, values, frame_time_s = read_bvh(path)
        group = skeleton_group(source.name, skeleton)
        values = np.asarray(values, np.float32)
        known = np.ones(values.shape, bool)
        return build_table(group.names, values, known, 1 / frame_time_s, None, "bvh"), group
    return read_curve_table(path, source.columns), None


def _without_missing(problems: Problems, source: CurveSource, shot: str, table: CurveTable) -> CurveTable:
    """The table without the frames that <shot>_missing.npy lists."""
    path = source.missing(shot)
    if path is None:
        return table
    where = {"shot": shot, "file": path, "key": "CURVES_ROOT"}
    frames = problems.attempt(read_missing, path, len(table.values), also=BAD_FILE, **where)
    if frames is None:
        return table
    valid = table.valid.copy()
    valid[frames] = False
    return replace(table, valid=valid, values=np.where(valid, table.values, np.float32(0)))


def _recognised(problems: Problems, source: CurveSource, tables: Mapping[str, CurveTable]) -> CurveGroup | None:
    """What the columns of a group are: as CURVES_KIND says, else by their names and ranges."""
    names = canonical_columns(list(dict.fromkeys(name for table in tables.values() for name in table.names)))
    both = (aligned(table, names) for table in tables.values())
    values, valid = (np.concatenate(parts) for parts in zip(*both, strict=True))
    try:
        return CurveGroup(source.name, guess_blocks(names, values, valid, source.kind))
    except ValueError as error:
        problems.error(STRUCTURE, f"CURVES_KIND of group {source.name!r}: {error}", key="CURVES_KIND")
        return None


def aligned(table: CurveTable, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Values and validity (T, D) of a table in the order of `names`; columns that it lacks are not valid."""
    values = np.zeros((len(table.values), len(names)), np.float32)
    valid = np.zeros(values.shape, bool)
    for column, name in enumerate(table.names):
        if name in names:
            place = names.index(name)
            values[:, place], valid[:, place] = table.values[:, column], table.valid[:, column]
    return values, valid


def at_frames(problems: Problems, group: CurveGroup, source: CurveSource, shot: Shot, table: CurveTable) -> ShotCurves:
    """A table of a shot as values of `group` at the shot's frames."""
    raw, valid = aligned(table, group.names)
    encoded, known = group.encode(raw, valid)
    rate = _rate(problems, source, shot.name, table, shot.fps)
    times = (np.arange(shot.num_frames) + 0.5) / shot.fps
    found = resampled(encoded, known, _moments(table, rate), times)
    return ShotCurves(filled(found.values, found.known), found.known)


def _moments(table: CurveTable, rate: float) -> np.ndarray:
    """Moments (T,) of a table's frames in the shot, in seconds: at the middle of their intervals."""
    if table.times_s is not None:
        return np.asarray(table.times_s, np.float64) - table.times_s[0] + 0.5 / rate
    return (np.arange(len(table.values)) + 0.5) / rate


def _rate(problems: Problems, source: CurveSource, shot: str, table: CurveTable, fps: float) -> float:
    """The rate of a table: what CURVES_FPS says, what the file says, or else that of the actor's shots."""
    if source.fps is None:
        return table.fps or fps
    if table.fps and abs(table.fps / source.fps - 1) > RATE_TOLERANCE:
        path = source.file(shot)
        what = (
            f"CURVES_FPS of group {source.name!r} is {source.fps:g}, and {external_path(path or '')} says {table.fps:g}"
        )
        problems.error(STRUCTURE, what, shot=shot, file=path, key="CURVES_FPS")
    return source.fps
