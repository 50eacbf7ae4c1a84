"""What every family's loaded network takes and gives: sound and conditions in, blocks of frames out. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class RolloutInputs:
    """One animation: samples (N,) at the network's level, how many frames, of which actor of the run, in which emotion.

    `emotions(frames (n,)) -> (n, E)` gives the explicit emotion of any frame, also of negative ones; `implicit` (I,) is that
    of networks which have one. `seed` and `take` choose the noise.
    """

    samples: np.ndarray
    num_frames: int
    identity: int
    emotions: Callable[[np.ndarray], np.ndarray]
    implicit: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    seed: int = 0
    take: int = 0


# Blocks of rows (n, C) in data units, in order, `num_frames` in all: what the deployed network gives.
Rollout = Callable[[RolloutInputs], Iterator[np.ndarray]]
