"""From a whole track of sound to a row of network output per frame."""

from __future__ import annotations

import numpy as np

from audio2face.audio.windows import cut_windows, window_starts
from audio2face.logs import Bar
from audio2face.models.common.engine import Step

BATCH_SIZE = 64


def regression_rollout(
    step: Step,
    samples: np.ndarray,
    times_s: np.ndarray,
    emotions: np.ndarray,
    audio_params: dict[str, int],
    batch_size: int = BATCH_SIZE,
    label: str | None = None,
) -> np.ndarray:
    """Run a regression network at moments (T,) of a track (N,): (T, C) float32 in the network's output units.

    `emotions` (T, I + E): implicit, then explicit emotion of every moment. `audio_params`: buffer_len, buffer_ofs and
    samplerate. Sound beyond the ends is silence. `label` names the progress bar; None shows none.
    """
    starts = window_starts(times_s, audio_params["samplerate"], audio_params["buffer_ofs"])
    length = audio_params["buffer_len"]
    rows = []
    with Bar(len(times_s), label or "", "frame", shown=label is not None) as progress:
        for first in range(0, len(times_s), batch_size):
            part = slice(first, first + batch_size)
            low = int(starts[part][0])
            span = samples[max(0, low) : max(0, int(starts[part][-1]) + length)]  # only what this batch hears
            windows = cut_windows(span, starts[part] - max(0, low), length)
            feeds = {"input": windows[:, None], "emotion": emotions[part][:, None]}
            rows.append(step({name: x.astype(np.float32) for name, x in feeds.items()})["result"][:, 0])
            progress.update(len(windows))
    return np.concatenate(rows)
