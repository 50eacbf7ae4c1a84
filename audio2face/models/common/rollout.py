"""What every family's loaded network takes and gives: sound and conditions in, blocks of frames out. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Given:
    """What is known of an animation: values (T, c) as the network's targets are laid out, normalised.

    `flags` (T, channels) are 1 where a whole channel is known, which the network is told; `held` (T, c) where single values
    are, and `region` (c, c) is what of every frame's difference from the values is taken back: both are imposed at each
    step.
    """

    values: np.ndarray
    flags: np.ndarray
    held: np.ndarray
    region: np.ndarray | None = None

    def part(self, first: int, count: int) -> Given:
        """Of `count` frames from `first` on."""
        cut = slice(first, first + count)
        return Given(self.values[cut], self.flags[cut], self.held[cut], self.region)

    def with_head(self, values: np.ndarray) -> Given:
        """The same with the first frames known to be `values` (n, c)."""
        known, flags, held = self.values.copy(), self.flags.copy(), self.held.copy()
        known[: len(values)], flags[: len(values)], held[: len(values)] = values, 1.0, 1.0
        return Given(known, flags, held, self.region)


@dataclass(frozen=True)
class RolloutInputs:
    """One animation: samples (N,) at the network's level, how many frames, of which actor of the run, in which emotion.

    `emotions(frames (n,)) -> (n, E)` gives the explicit emotion of any frame, also of negative ones; `implicit` (I,) is that
    of networks which have one. `seed` and `take` choose the noise. `partner` (M,) is what is heard of whom
    the actor talks to, from the same moment on; None in a monologue. `given` is
    what is known of the animation, all frames of it.
    """

    samples: np.ndarray
    num_frames: int
    identity: int
    emotions: Callable[[np.ndarray], np.ndarray]
    implicit: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    seed: int = 0
    take: int = 0
    partner: np.ndarray | None = None
    given: Given | None = None


# Blocks of rows (n, C) in data units, in order, `num_frames` in all: what the deployed network gives.
Rollout = Callable[[RolloutInputs], Iterator[np.ndarray]]


class KeyframeDrawer(Protocol):
    """A network that draws keyframes to a sound, which it hears once for all takes."""

    def hear(self, inputs: RolloutInputs) -> Any:
        """What `draw` needs of a sound."""

    def draw(self, inputs: RolloutInputs, heard: Any) -> tuple[np.ndarray, np.ndarray]:
        """Frames (K,) int64, and their values (K, c) as the network's targets are laid out, normalised."""
