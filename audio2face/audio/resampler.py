"""Resampling of sound that arrives in pieces: the numbers of `waveform.resample`, with NumPy only."""

from __future__ import annotations

import numpy as np

from audio2face.audio.waveform import filter_taps, ratio

BLOCK = 8192  # output samples computed at once


class Resampler:
    """State of one stream. Pieces of any size come out as the whole would, a little later: the filter looks ahead.

    Raises ValueError as `waveform.ratio` does.
    """

    def __init__(self, from_rate: int, to_rate: int):
        self.up, self.down = ratio(from_rate, to_rate)
        self._num_in = self._num_out = 0  # samples so far
        self._tail, self._start = np.zeros(0, np.float32), 0  # what is still needed, and where it begins
        if self.up == self.down:
            return
        taps = filter_taps(self.up, self.down)
        self._half = len(taps) // 2
        self._width = len(taps) // self.up + 1
        padded = np.zeros(self._width * self.up)
        padded[: len(taps)] = taps
        self._bank = padded.reshape(self._width, self.up).T.copy()  # (phase, tap)

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """The output samples (M,) float32 that are final after these input samples (N,)."""
        samples = np.asarray(samples, np.float32)
        self._num_in += len(samples)
        if self.up == self.down:
            return samples.copy()
        self._tail = np.concatenate([self._tail, samples])
        return self._advance((self._num_in * self.up - self._half - 1) // self.down + 1)

    def finish(self) -> np.ndarray:
        """The last output samples: silence follows the input."""
        if self.up == self.down:
            return np.zeros(0, np.float32)
        return self._advance(-(-self._num_in * self.up // self.down))

    def _advance(self, end: int) -> np.ndarray:
        blocks = [np.zeros(0, np.float32)]
        while self._num_out < end:
            upto = min(end, self._num_out + BLOCK)
            blocks.append(self._outputs(np.arange(self._num_out, upto, dtype=np.int64)))
            self._num_out = upto
        first = (self._num_out * self.down + self._half) // self.up - self._width + 1
        if first > self._start:
            self._tail, self._start = self._tail[first - self._start :].copy(), first
        return np.concatenate(blocks)

    def _outputs(self, index: np.ndarray) -> np.ndarray:
        top = index * self.down + self._half
        inputs = (top // self.up)[:, None] - np.arange(self._width) - self._start
        known = (inputs >= 0) & (inputs < len(self._tail))
        samples = (
            np.where(known, self._tail[np.clip(inputs, 0, len(self._tail) - 1)], 0) if len(self._tail) else known * 0.0
        )
        return np.einsum("ij,ij->i", samples.astype(np.float64), self._bank[top % self.up]).astype(np.float32)
