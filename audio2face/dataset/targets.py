"""Target values of shots, and their value at any moment."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from audio2face.dataset.channels import load
from audio2face.dataset.files import DatasetFiles
from audio2face.dataset.long_arrays import Array, repeats
from audio2face.face.frames import interpolate
from audio2face.face.layout import ChannelLayout
from audio2face.runs.preproc_run import PreprocRun
from audio2face.types import Clip, Shot

NEARLY = 1 - 1e-5  # a weight that rounding keeps from 1


def sample_linear(values: Array, fps: float, times_s: np.ndarray) -> np.ndarray:
    """Values (T, C) of frames at (i + 0.5) / fps, linearly interpolated at times (n,): (n, C). Ends are held."""
    position = np.clip(np.asarray(times_s, np.float64) * fps - 0.5, 0, len(values) - 1)
    return interpolate(values, position)  # type: ignore[arg-type]


def clip_times(clip: Clip, fps: float) -> np.ndarray:
    """Times in the shot, in seconds (n,), of the clip's target frames at `fps`: as many as fit, at least one, at frame centres."""
    start, end = clip.first / clip.shot.fps, (clip.last + 1) / clip.shot.fps
    count = max(int((end - start) * fps + 1e-6), 1)
    return start + (np.arange(count) + 0.5) / fps


@dataclass(frozen=True)
class ShotTargets:
    """Every channel of a shot side by side: values (T, C) float32, and which of them are real data (T, C); `present` marks
    the channels with any. Both may lie on the disk."""

    values: Array
    fps: float
    present: dict[str, bool]
    known: Array


def known_at(known: Array, fps: float, times_s: np.ndarray) -> np.ndarray:
    """Which values (n, C) float32 at times (n,) come of known ones alone, given which of those at (i + 0.5) / fps are (T, C)."""
    if repeats(known):
        return np.repeat(known[:1], len(times_s), axis=0).astype(np.float32)
    return (sample_linear(known, fps, times_s) > NEARLY).astype(np.float32)


def load_shot_targets(
    run: PreprocRun,
    files: DatasetFiles,
    shot: Shot,
    layout: ChannelLayout,
    parts: Collection[str] | None = None,
) -> tuple[ShotTargets | None, list[str]]:
    """The targets of one shot, padded with zeros to `layout` (other actors may have more components), and the problems.

    A channel that the shot lacks, or that is not among `parts` of the face (None: all), is zero and not known; the
    losses leave it out. A shot lasts as long as the first channel that it has.
    """
    codec = run.codec.chosen(layout.sizes)
    found = {c.name: load(run, files, shot.name, c) for c in codec.channels if parts is None or c.part in parts}
    tables = {name: data for name, data in found.items() if data is not None}
    present = {channel.name: channel.name in tables for channel in codec.channels}
    values = {name: table for name, (table, _) in tables.items()}
    first, count = next(((name, len(data)) for name, data in values.items()), ("", shot.num_frames))
    problems = []
    for name, data in values.items():
        what, size = f"shot {shot.name} of {run.actor}: {name}", codec[name].size
        if data.shape[1] != size:
            problems.append(
                f"{what} has {data.shape[1]} values a frame, {size} are expected; its file does not belong to the "
                "preprocessing run or to the file of shapes"
            )
        elif len(data) != count:
            problems.append(f"{what} has {len(data)} frames, {first} {count}; they must be equal")
        elif not np.isfinite(data).all():
            frame = int(np.argwhere(~np.isfinite(data).all(axis=1))[0, 0])
            problems.append(f"{what} is not finite from frame {frame}")
    if problems:
        return None, problems
    frames = codec.padded(values, layout) if values else np.zeros((count, layout.size), np.float32)
    known = np.zeros(frames.shape, bool)
    for name, part in layout.split(known).items():
        if name in tables:  # of a face's channels also the components that other actors have alone, which are zero
            flags = tables[name][1]
            part[..., : part.shape[-1] if flags is None else flags.shape[-1]] = True if flags is None else flags
    return ShotTargets(frames, shot.fps, present, known), []
