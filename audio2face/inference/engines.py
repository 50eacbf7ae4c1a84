"""The two kinds of network over sound that grows: which frames can run, and their rows of output.

An engine says what its network is to be fed next, and takes what came out; whoever runs the network may do so for several
tracks at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np

from audio2face.inference.emotions import EmotionCurve
from audio2face.inference.package import Actor, Package
from audio2face.postprocess.timeline import DiffusionWindows

BATCH = 8  # frames of a regression network that run together
Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], Feeds]
Rows = tuple[np.ndarray, np.ndarray]  # network rows (n, C), their time stamps (n,)
LATENT_AXIS = 2  # the batch axis of tensors whose name ends so; of all others it is the first
FEED_BYTES = 1 << 29  # about as much goes into one run of the network


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


class Engine(Protocol):
    """A track's network: `next_feeds`, a run of the network, `accept`, and again until there is nothing to run."""

    run: Run
    fps: Fraction

    def next_feeds(self, heard: Heard, closed: bool) -> Feeds | None:
        """What to run next; None when more sound is needed first. Asking again gives the same."""

    def accept(self, results: Feeds, heard: Heard) -> Rows:
        """The finished rows of the run that `next_feeds` asked for."""


def run_together(run: Run, feeds: Sequence[Feeds]) -> list[Feeds]:
    """Run a network once for the feeds of several tracks: joined along the batch, and the results taken apart again."""
    if len(feeds) == 1:
        return [run(feeds[0])]
    sizes = [len(next(iter(one.values()))) for one in feeds]
    joined = {name: np.concatenate([one[name] for one in feeds], axis=_batch_axis(name)) for name in feeds[0]}
    ends = np.cumsum(sizes)[:-1]
    split = {name: np.split(x, ends, axis=_batch_axis(name)) for name, x in run(joined).items()}
    return [{name: parts[i] for name, parts in split.items()} for i in range(len(feeds))]


def size_of(feeds: Mapping[str, np.ndarray]) -> int:
    """Bytes of a run's inputs."""
    return sum(x.nbytes for x in feeds.values())


def _batch_axis(name: str) -> int:
    return LATENT_AXIS if name.endswith("latents") else 0


class RegressionEngine:
    """Frames at time stamps floor(i * rate / fps), each from its own window."""

    def __init__(self, package: Package, actor: Actor, run: Run, emotion: EmotionCurve, fps: Fraction):
        assert actor.implicit is not None
        self.run, self.emotion, self.implicit, self.fps = run, emotion, actor.implicit, fps
        self.length, self.offset = int(package.audio["buffer_len"]), int(package.audio["buffer_ofs"])
        step = Fraction(int(package.audio["samplerate"])) / fps  # samples a frame
        self._step, self._per = step.numerator, step.denominator
        self._next = 0

    def next_feeds(self, heard: Heard, closed: bool) -> Feeds | None:
        """The frames that have become final, a few at a time."""
        limit = heard.end if closed else min(heard.end - self.length + self.offset + 1, heard.end)
        count = min(-(-max(limit, 0) * self._per // self._step), self._next + BATCH)
        if self._next >= count:
            return None
        stamps = self._stamps(count)
        windows = np.stack([heard.window(int(t) - self.offset, self.length) for t in stamps])
        implicit = np.broadcast_to(self.implicit, (len(stamps), len(self.implicit)))
        emotion = np.concatenate([implicit, self.emotion(stamps)], axis=1).astype(np.float32)
        return {"input": windows[:, None], "emotion": emotion[:, None]}

    def accept(self, results: Feeds, heard: Heard) -> Rows:
        """Rows of these frames."""
        rows = results["result"][:, 0]
        stamps = self._stamps(self._next + len(rows))
        self._next += len(rows)
        heard.forget(int(self._next * self._step // self._per) - self.offset)
        return rows, stamps

    def _stamps(self, end: int) -> np.ndarray:
        return np.arange(self._next, end, dtype=np.int64) * self._step // self._per


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
        self._noise = drawn_noise(seed, 0, self._noise_shape)
        self._next = 0

    def next_feeds(self, heard: Heard, closed: bool) -> Feeds | None:
        """The next window, once it is complete."""
        w = self.windows
        if self._next >= (w.count(heard.end) if closed else w.ready(heard.end)):
            return None
        if not self.constant:
            self._noise = drawn_noise(self.seed, self._next, self._noise_shape)
        return {
            "window": heard.window(int(w.start(self._next)), w.buffer_len)[None],
            "identity": self._identity,
            "emotion": self.emotion(w.centre_timestamps(self._next))[None].astype(np.float32),
            "input_latents": self._latents,
            "noise": self._noise,
        }

    def accept(self, results: Feeds, heard: Heard) -> Rows:
        """Rows of the window's frames that are shown."""
        w, stamps = self.windows, self.windows.centre_timestamps(self._next)
        self._latents = results["output_latents"]
        self._next += 1
        heard.forget(int(w.start(self._next)))
        shown = (stamps >= 0) & (stamps < heard.end)
        return results["prediction"][0, w.left : w.left + w.centre][shown], stamps[shown]


_drawn: WeakValueDictionary[tuple[int, ...], np.ndarray] = WeakValueDictionary()


def drawn_noise(seed: int, window: int, shape: tuple[int, ...]) -> np.ndarray:
    """White noise of a window, read-only: the same array for all tracks of a seed, since it is large."""
    key = (seed, window, *shape)
    noise = _drawn.get(key)
    if noise is None:
        noise = np.random.default_rng([seed, window]).standard_normal(shape, np.float32)
        noise.flags.writeable = False
        _drawn[key] = noise
    return noise
