"""A regression network over sound that grows: each frame from its own window. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from audio2face.audio.windows import live_count, live_samples
from audio2face.face.emotions import EmotionCurve
from audio2face.models.common.engine import AudioBuffer, Feeds, Rows, Step
from audio2face.models.regression.rollout import joined_rows

BATCH = 8  # frames that run together


class RegressionEngine:
    """The frames that a live host asks for, `implicit` (I,) emotion and a curve of the explicit one beside the sound.

    `audio_params`: buffer_len, buffer_ofs and samplerate of network_info.json.
    """

    def __init__(
        self, run: Step, audio_params: Mapping[str, int], implicit: np.ndarray, emotion: EmotionCurve, fps: Fraction
    ):
        self.run, self.emotion, self.implicit, self.fps = run, emotion, implicit, fps
        self.length, self.offset = int(audio_params["buffer_len"]), int(audio_params["buffer_ofs"])
        self._samples_per_frame = Fraction(int(audio_params["samplerate"])) / fps
        self._next = 0

    def next_feeds(self, audio: AudioBuffer, closed: bool) -> Feeds | None:
        """The frames that have become final, a few at a time."""
        limit = audio.end if closed else min(audio.end - self.length + self.offset + 1, audio.end)
        count = min(live_count(limit, self._samples_per_frame), self._next + BATCH)
        if self._next >= count:
            return None
        moments = self._moments(count)
        windows = np.stack([audio.window(int(t) - self.offset, self.length) for t in moments])
        implicit = np.broadcast_to(self.implicit, (len(moments), len(self.implicit)))
        emotion = np.concatenate([implicit, self.emotion(moments)], axis=1).astype(np.float32)
        return {"input": windows[:, None], "emotion": emotion[:, None]}

    def accept(self, results: Feeds, audio: AudioBuffer) -> Rows:
        """Rows of these frames."""
        rows = joined_rows(results)
        moments = self._moments(self._next + len(rows))
        self._next += len(rows)
        audio.forget(int(live_samples(np.array(self._next), self._samples_per_frame)) - self.offset)
        return rows, moments

    def _moments(self, end: int) -> np.ndarray:
        return live_samples(np.arange(self._next, end), self._samples_per_frame)
