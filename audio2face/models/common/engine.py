"""Networks behind the deployed tensors, over sound that grows: which frames can run, and their rows of output. NumPy only.

An engine says what its network is to be fed next, and takes what came out; whoever runs the network may do so for several
tracks at once. Each family has one: `models.regression.engine`, `models.diffusion.engine`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

Feeds = dict[str, np.ndarray]
Step = Callable[[Feeds], Feeds]  # {input name: (B, …)} -> {output name: (B, …)}, float32, names of the signature
Rows = tuple[np.ndarray, np.ndarray]  # network rows (n, C), the samples (n,) they stand at
LATENT_AXIS = 2  # the batch axis of tensors whose name ends so; of all others it is the first


class AudioBuffer:
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

    run: Step
    fps: Fraction

    def next_feeds(self, audio: AudioBuffer, closed: bool) -> Feeds | None:
        """What to run next; None when more sound is needed first. Asking again gives the same."""

    def accept(self, results: Feeds, audio: AudioBuffer) -> Rows:
        """The finished rows of the run that `next_feeds` asked for."""


def session_step(session: Any) -> Step:
    """A step that runs an onnxruntime session."""
    names = [tensor.name for tensor in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))


def run_together(run: Step, feeds: Sequence[Feeds]) -> list[Feeds]:
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
