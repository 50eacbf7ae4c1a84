"""From a whole track of sound to a row of network output per frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from audio2face.audio.windows import cut_windows, frame_times, window_starts
from audio2face.models.common.engine import Feeds, Step
from audio2face.models.common.rollout import RolloutInputs

BATCH_SIZE = 64


def regression_rollout(
    step: Step, inputs: RolloutInputs, fps: float, audio_params: Mapping[str, int], batch_size: int = BATCH_SIZE
) -> Iterator[np.ndarray]:
    """Run a regression network at the middle of every frame: rows (n, C) float32 in its output units, some at a time.

    `audio_params`: buffer_len, buffer_ofs and samplerate. Sound beyond the ends is silence.
    """
    times = frame_times(inputs.num_frames, fps)
    starts = window_starts(times, audio_params["samplerate"], audio_params["buffer_ofs"])
    length = audio_params["buffer_len"]
    for first in range(0, len(times), batch_size):
        frames = np.arange(first, min(first + batch_size, len(times)))
        low, last = max(0, int(starts[frames[0]])), int(starts[frames[-1]])
        span = inputs.samples[low : max(0, last + length)]  # only what this batch needs
        windows = cut_windows(span, starts[frames] - low, length)
        implicit = np.broadcast_to(inputs.implicit, (len(frames), len(inputs.implicit)))
        emotion = np.concatenate([implicit, inputs.emotions(frames)], axis=1)
        feeds = {"input": windows[:, None], "emotion": emotion[:, None]}
        yield joined_rows(step({name: x.astype(np.float32) for name, x in feeds.items()}))


def joined_rows(results: Feeds) -> np.ndarray:
    """What a network gave for frames as rows (n, C): the face, then curves if there are any."""
    return np.concatenate([results[name][:, 0] for name in ("result", "curves") if name in results], axis=1)
