"""Target values of shots, and their value at any moment."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from audio2face.dataset.channels import CHANNELS
from audio2face.dataset.files import DatasetFiles
from audio2face.face.layout import ChannelLayout
from audio2face.runs.preproc_run import PreprocRun
from audio2face.types import Clip


def sample_linear(values: np.ndarray, fps: float, times_s: np.ndarray) -> np.ndarray:
    """Values (T, C) of frames at (i + 0.5) / fps, linearly interpolated at times (n,): (n, C). Ends are held."""
    position = np.clip(np.asarray(times_s, np.float64) * fps - 0.5, 0, len(values) - 1)
    low = np.floor(position + 1e-9).astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    weight = np.maximum(position - low, 0.0).astype(np.float32)[:, None]
    return values[low] * (1 - weight) + values[high] * weight


def clip_times(clip: Clip, fps: float) -> np.ndarray:
    """Times in the shot, in seconds (n,), of the clip's target frames at `fps`: as many as fit, at least one, at frame centres."""
    start, end = clip.first / clip.shot.fps, (clip.last + 1) / clip.shot.fps
    count = max(int((end - start) * fps + 1e-6), 1)
    return start + (np.arange(count) + 0.5) / fps


@dataclass(frozen=True)
class ShotTargets:
    """Every channel of a shot side by side: values (T, C) float32; `present` tells which channels are real data."""

    values: np.ndarray
    fps: float
    present: dict[str, bool]


def load_shot_targets(
    run: PreprocRun,
    files: DatasetFiles,
    shot: str,
    layout: ChannelLayout,
    fps: float,
    channels: Collection[str] | None = None,
) -> tuple[ShotTargets | None, list[str]]:
    """The targets of one shot, padded with zeros to `layout` (other actors may have more components), and the problems.

    A channel that the shot lacks, or that is not among `channels` (None: all), is zero and not present; the losses leave
    it out.
    """
    skin = run.skin_coeffs(shot)
    values = np.zeros((len(skin), layout.size), np.float32)
    present: dict[str, bool] = {}
    problems: list[str] = []
    for name, part in layout.slices.items():
        data = CHANNELS[name].load(run, files, shot) if channels is None or name in channels else None
        present[name] = data is not None
        if data is None:
            continue
        if data.shape[1] != CHANNELS[name].size(run):
            problems.append(
                f"shot {shot} of {run.actor}: {name} has {data.shape[1]} values a frame, {CHANNELS[name].size(run)} are "
                "expected; its file does not belong to the preprocessing run or to the file of shapes"
            )
        elif len(data) != len(skin):
            problems.append(
                f"shot {shot} of {run.actor}: {name} has {len(data)} frames, the skin cache {len(skin)}; they must be equal"
            )
        elif not np.isfinite(data).all():
            frame = int(np.argwhere(~np.isfinite(data).all(axis=1))[0, 0])
            problems.append(f"shot {shot} of {run.actor}: {name} is not finite from frame {frame}")
        else:
            values[:, part.start : part.start + data.shape[1]] = data
    return (None if problems else ShotTargets(values, fps, present)), problems
