"""What can be repaired in numbers: lengths, lost frames, channels, offsets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audio2face.audio.waveform import cancels, resample
from audio2face.doctor.audio import DEAD_CHANNEL
from audio2face.types import SAMPLE_RATE

LONGEST_GAP = 3  # lost frames in a row that are filled by a straight line


@dataclass
class ShotPlan:
    """What is done to a shot: `num_frames` to keep at CACHE_FPS, frames by which its sound is late, and its own rate."""

    name: str
    num_frames: int
    late_frames: float = 0.0
    own_fps: float | None = None  # of the caches, when it is not CACHE_FPS
    trimmed: bool = False
    changes: list[str] = field(default_factory=list)


def fill_lost_frames(frames: np.ndarray) -> tuple[np.ndarray, int]:
    """Up to LONGEST_GAP frames (T, …) in a row that are not finite, between good ones, as a straight line; and how many."""
    finite = np.isfinite(frames).reshape(len(frames), -1).all(axis=1)
    good = np.flatnonzero(finite)
    filled, count = frames.copy(), 0
    for before, after in zip(good[:-1], good[1:], strict=True):
        if 1 < after - before <= LONGEST_GAP + 1:
            for index in range(before + 1, after):
                share = (index - before) / (after - before)
                filled[index] = (1 - share) * frames[before] + share * frames[after]
                count += 1
    return filled, count


def repaired_sound(
    samples: np.ndarray, rate: int, plan: ShotPlan, fps: float, voices: bool = False
) -> tuple[np.ndarray, int, list[str]]:
    """Samples (N, C) as they should be, their rate, and what was done to them (nothing: copy the file). Channels that are
    `voices` of their own all stay."""
    done = []
    levels = np.sqrt(np.mean(samples.astype(np.float64) ** 2, axis=0))
    if samples.shape[1] > 1 and levels.max() > 0 and not voices:
        if cancels(samples) or levels.min() < DEAD_CHANNEL * levels.max():
            samples = samples[:, [int(levels.argmax())]]
            done.append("one channel kept")
    if rate < SAMPLE_RATE:
        samples = resample(samples.T, rate, SAMPLE_RATE).T
        done.append(f"resampled from {rate} to {SAMPLE_RATE} Hz")
        rate = SAMPLE_RATE
    shift = round(plan.late_frames / fps * rate)
    if shift:
        samples = samples[shift:] if shift > 0 else np.pad(samples, ((-shift, 0), (0, 0)))
        done.append(f"moved by {-plan.late_frames:+.1f} frames")
    wanted = round(plan.num_frames / fps * rate)
    if (plan.trimmed or shift) and len(samples) > wanted:
        samples = samples[:wanted]
        done.append(f"cut to {plan.num_frames} frames")
    if shift > 0 and not plan.trimmed and len(samples) < wanted:
        samples = np.pad(samples, ((0, wanted - len(samples)), (0, 0)))
    return samples, rate, done
