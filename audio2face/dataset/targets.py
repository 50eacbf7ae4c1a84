"""Target values of shots, and their value at any moment."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from audio2face.dataset.channels import LOADERS
from audio2face.dataset.files import DatasetFiles
from audio2face.face.frames import interpolate
from audio2face.face.layout import ChannelLayout
from audio2face.runs.preproc_run import PreprocRun
from audio2face.types import Clip, Shot


def sample_linear(values: np.ndarray, fps: float, times_s: np.ndarray) -> np.ndarray:
    """Values (T, C) of frames at (i + 0.5) / fps, linearly interpolated at times (n,): (n, C). Ends are held."""
    position = np.clip(np.asarray(times_s, np.float64) * fps - 0.5, 0, len(values) - 1)
    return interpolate(values, position)


def clip_times(clip: Clip, fps: float) -> np.ndarray:
    """Times in the shot, in seconds (n,), of the clip's target frames at `fps`: as many as fit, at least one, at frame centres."""
    start, end = clip.first / clip.shot.fps, (clip.last + 1) / clip.shot.fps
    count = max(int((end - start) * fps + 1e-6), 1)
    return start + (np.arange(count) + 0.5) / fps


@dataclass(frozen=True)
class ShotTargets:
    """Every channel of a shot side by side: values (T, C) float32; `present` marks the channels with real data."""

    values: np.ndarray
    fps: float
    present: dict[str, bool]


def load_shot_targets(
    run: PreprocRun,
    files: DatasetFiles,
    shot: Shot,
    layout: ChannelLayout,
    parts: Collection[str] | None = None,
) -> tuple[ShotTargets | None, list[str]]:
    """The targets of one shot, padded with zeros to `layout` (other actors may have more components), and the problems.

    A channel that the shot lacks, or that is not among `parts` of the face (None: all), is zero and not present; the
    losses leave it out. A shot lasts as long as the first channel that it has.
    """
    found = {
        channel.name: LOADERS[channel.part](run, files, shot.name) if parts is None or channel.part in parts else None
        for channel in run.codec.chosen(layout.sizes).channels
    }
    present = {name: data is not None for name, data in found.items()}
    values = {name: data for name, data in found.items() if data is not None}
    first, count = next(((name, len(data)) for name, data in values.items()), ("", shot.num_frames))
    problems = []
    for name, data in values.items():
        what, size = f"shot {shot.name} of {run.actor}: {name}", run.codec[name].size
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
    frames = run.codec.padded(values, layout) if values else np.zeros((count, layout.size), np.float32)
    return ShotTargets(frames, shot.fps, present), []
