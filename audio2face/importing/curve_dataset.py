"""A data set of curves without meshes: a file for every group and shot, and the sounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from audio2face.formats.bvh import write_bvh
from audio2face.formats.curve_table import CurveTable, write_curve_table
from audio2face.formats.json_file import write_json
from audio2face.formats.sound import write_sound
from audio2face.importing.dataset import ABOUT, Written, WrittenShot, quiet_frame, write_whole
from audio2face.problems import UserError
from audio2face.types import Skeleton

OPENING = (
    "jawOpen",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "mouthFunnel",
)


@dataclass(frozen=True)
class Motion:
    """A skeleton's values (T, D), in the order of its joints' channels, at `fps`."""

    skeleton: Skeleton
    values: np.ndarray
    fps: float


@dataclass(frozen=True)
class CurveShot:
    """One shot: its groups by name, and samples (N, C) at `rate` that last as long; `about` goes into import.json."""

    name: str
    groups: Mapping[str, CurveTable | Motion]
    samples: np.ndarray
    rate: int
    about: Mapping[str, object] = field(default_factory=dict)


def write_curve_dataset(
    folder: Path, shots: Iterable[CurveShot], trained: Sequence[str], fps: float, about: Mapping[str, object],
    anew: bool,
) -> Written:  # fmt: skip
    """Write an actor's folder, as `dataset.write_dataset` (`anew` is its `replace`); shots are written one by one, times and gaps as they are."""
    return write_whole(folder, anew, lambda partial: _write(partial, shots, trained, fps, about))


def seconds_of(content: CurveTable | Motion) -> float:
    """How long a motion, or a table with times, lasts, its last frame included."""
    if isinstance(content, Motion):
        return len(content.values) / content.fps
    assert content.times_s is not None and content.fps
    return float(content.times_s[-1] - content.times_s[0] + 1 / content.fps)


def moments_of(content: CurveTable | Motion) -> np.ndarray:
    """When each frame begins (T,), in seconds."""
    times = np.arange(len(content.values)) / content.fps if isinstance(content, Motion) else content.times_s
    assert times is not None
    return np.asarray(times, np.float64)


def part_of(content: CurveTable | Motion, start_s: float, end_s: float) -> CurveTable | Motion | None:
    """The frames that begin between two moments, times from the first of them; None when there is none."""
    times = moments_of(content)
    first, end = np.searchsorted(times, (start_s - 1e-6, end_s - 1e-6)).tolist()
    if first >= end:
        return None
    if isinstance(content, Motion):
        return replace(content, values=content.values[first:end])
    values, valid, times_s = content.values[first:end], content.valid[first:end], times[first:end] - times[first]
    return replace(content, values=values, valid=valid, times_s=times_s)


def _write(
    home: Path, shots: Iterable[CurveShot], trained: Sequence[str], fps: float, about: Mapping[str, object]
) -> Written:
    kept, notes = [], []
    groups: dict[str, str] = {}
    for shot in shots:
        for group, content in shot.groups.items():
            place = groups.setdefault(group, f"curves/{group}")
            (home / place).mkdir(parents=True, exist_ok=True)
            if isinstance(content, Motion):
                write_bvh(home / place / f"{shot.name}.bvh", content.skeleton, content.values, content.fps)
            else:
                write_curve_table(home / place / f"{shot.name}.npz", content)
        (home / "audio").mkdir(parents=True, exist_ok=True)
        write_sound(home / f"audio/{shot.name}.wav", shot.samples, shot.rate)
        kept.append(_written(shot, fps))
        notes.append({"shot": shot.name, "frames": kept[-1].num_frames, **shot.about})
    if not kept:
        raise UserError("no shots to write")
    write_json(home / ABOUT, {**about, "fps": fps, "shots": notes})
    present = tuple(group for group in trained if group in groups)
    return Written(tuple(kept), {"AUDIO_ROOT": "audio"}, (), np.inf, groups=groups, trained=present)


def _written(shot: CurveShot, fps: float) -> WrittenShot:
    count = max(int(max(map(seconds_of, shot.groups.values())) * fps + 1e-4), 1)
    opening = _opening(shot, count, fps)
    silent = quiet_frame(shot.samples, shot.rate, opening, fps)
    return WrittenShot(shot.name, count, ((0, count - 1),), silent, float(opening[silent]))


def _opening(shot: CurveShot, count: int, fps: float) -> np.ndarray:
    """How far the mouth is open (T,), by ARKit's curves; infinite where they are missing, 0 without them."""
    for table in shot.groups.values():
        if isinstance(table, Motion) or "jawOpen" not in table.names:
            continue
        assert table.times_s is not None
        places = [table.names.index(name) for name in OPENING if name in table.names]
        values = np.where(table.valid[:, places], table.values[:, places], np.inf).sum(axis=1)
        rows = np.searchsorted(table.times_s, np.arange(count) / fps + 1e-6, side="right") - 1
        return values[rows.clip(0)]
    return np.zeros(count)
