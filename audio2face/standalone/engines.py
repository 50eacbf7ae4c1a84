"""The two kinds of network over sound that grows: which frames can run, and their rows of output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from audio2face.postprocess.timeline import DiffusionWindows
from audio2face.standalone.emotions import EmotionCurve
from audio2face.standalone.package import Actor, Package

BATCH = 8  # frames of a regression network that run together
Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], Feeds]
Rows = Iterator[tuple[np.ndarray, np.ndarray]]  # network rows (n, C), their time stamps (n,)


class Heard:
    """The sound so far, as far back as it is still needed; silence before and after it."""

    def __init__(self) -> None:
        self.end = 0
        self._samples, self._start = np.zeros(0, np.float32), 0

    def add(self, samples: np.ndarray) -> None:
        """Append samples (N,)."""
        self._samples = np.concatenate([self._samples, samples])
        self.end += len(samples)

    def window(self, start: int, length: int) -> np.ndarray:
        """(length,) samples from `start` on."""
        out = np.zeros(length, np.float32)
        first, last = max(start, self._start), min(start + length, self.end)
        if first < last:
            out[first - start : last - start] = self._samples[first - self._start : last - self._start]
        return out

    def forget(self, before: int) -> None:
        """Drop what lies before a sample."""
        drop = min(before, self.end) - self._start
        if drop > 0:
            self._samples, self._start = self._samples[drop:].copy(), self._start + drop


class RegressionEngine:
    """Frames at time stamps floor(i * rate / fps), each from its own window."""

    def __init__(self, package: Package, actor: Actor, run: Run, emotion: EmotionCurve, fps: Fraction):
        assert actor.implicit is not None
        self.run, self.emotion, self.implicit, self.fps = run, emotion, actor.implicit, fps
        self.length, self.offset = int(package.audio["buffer_len"]), int(package.audio["buffer_ofs"])
        step = Fraction(int(package.audio["samplerate"])) / fps  # samples a frame
        self._step, self._per = step.numerator, step.denominator
        self._next = 0

    def advance(self, heard: Heard, closed: bool) -> Rows:
        """The frames that have become final, in batches."""
        limit = heard.end if closed else min(heard.end - self.length + self.offset + 1, heard.end)
        count = -(-max(limit, 0) * self._per // self._step)
        while self._next < count:
            frames = np.arange(self._next, min(count, self._next + BATCH), dtype=np.int64)
            stamps = frames * self._step // self._per
            windows = np.stack([heard.window(int(t) - self.offset, self.length) for t in stamps])
            implicit = np.broadcast_to(self.implicit, (len(stamps), len(self.implicit)))
            emotion = np.concatenate([implicit, self.emotion(stamps)], axis=1).astype(np.float32)
            result = self.run({"input": windows[:, None], "emotion": emotion[:, None]})["result"]
            self._next += len(frames)
            heard.forget(int(self._next * self._step // self._per) - self.offset)
            yield result[:, 0], stamps


class DiffusionEngine:
    """Windows that overlap, in order, with the network's state handed from each to the next."""

    def __init__(
        self, package: Package, actor: Actor, run: Run, emotion: EmotionCurve, seed: int, constant_noise: bool
    ):
        p, audio = package.params, package.audio
        self.run, self.emotion, self.seed, self.constant = run, emotion, seed, constant_noise
        self.windows = DiffusionWindows(
            buffer_len=int(audio["buffer_len"]),
            left=int(p["num_frames_left_truncate"]),
            centre=int(p["num_frames_center"]),
            right=int(p["num_frames_right_truncate"]),
            padding_left=int(audio["padding_left"]),
            sample_rate=int(audio["samplerate"]),
        )
        self.fps = Fraction(*self.windows.fps)
        steps = int(p["num_diffusion_steps"])
        width = sum(int(p[f"{part}_size"]) for part in ("skin", "tongue", "jaw", "eyes"))
        self._noise_shape = (1, steps + 1, self.windows.frames, width)
        self._identity = np.array([[name == actor.name for name in p["identities"]]], np.float32)
        self._latents = np.zeros((steps, int(p["num_gru_layers"]), 1, int(p["gru_latent_dim"])), np.float32)
        self._noise = self._draw(0)
        self._next = 0

    def advance(self, heard: Heard, closed: bool) -> Rows:
        """The shown frames of windows that have become complete, window by window."""
        w = self.windows
        count = w.count(heard.end) if closed else w.ready(heard.end)
        while self._next < count:
            stamps = w.centre_timestamps(self._next)
            feeds = {
                "window": heard.window(int(w.start(self._next)), w.buffer_len)[None],
                "identity": self._identity,
                "emotion": self.emotion(stamps)[None].astype(np.float32),
                "input_latents": self._latents,
                "noise": self._noise if self.constant else self._draw(self._next),
            }
            results = self.run(feeds)
            self._latents = results["output_latents"]
            self._next += 1
            heard.forget(int(w.start(self._next)))
            shown = (stamps >= 0) & (stamps < heard.end)
            yield results["prediction"][0, w.left : w.left + w.centre][shown], stamps[shown]

    def _draw(self, window: int) -> np.ndarray:
        return np.random.default_rng([self.seed, window]).standard_normal(self._noise_shape, np.float32)
