"""Which values are given to a network under training: random patterns of what an animator keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NONE, GAP, KEYS, ENDS, CHANNELS = range(5)
SHARES = (
    0.4,
    0.2,
    0.15,
    0.1,
    0.15,
)  # of segments: nothing is known, all but a gap, single keys, an end, whole channels
SHORTEST_GAP, LONGEST_SHARE, KEY_SHARE = 2, 0.95, 0.25


def random_flags(num_frames: int, num_channels: int, rng: np.random.Generator) -> np.ndarray:
    """(T, channels) float32, 1 where a channel's values are given."""
    flags = np.zeros((num_frames, num_channels), np.float32)
    kind = int(rng.choice(len(SHARES), p=SHARES))
    if kind == GAP:
        length = log_uniform(min(SHORTEST_GAP, num_frames), max(LONGEST_SHARE * num_frames, SHORTEST_GAP), rng)
        first = int(rng.integers(0, num_frames - min(length, num_frames) + 1))
        flags[:] = 1
        flags[first : first + length] = 0
    elif kind == KEYS:
        flags[rng.choice(num_frames, log_uniform(1, max(KEY_SHARE * num_frames, 1), rng), replace=False)] = 1
    elif kind == ENDS:
        length = log_uniform(1, max(num_frames // 2, 1), rng)
        for end in (slice(0, length), slice(num_frames - length, None))[: 1 + int(rng.integers(2))][-1:]:
            flags[end] = 1
    elif kind == CHANNELS and num_channels > 1:
        chosen = rng.random(num_channels) < 0.5
        chosen[rng.integers(num_channels)] = True  # at least one is given, and one is not
        chosen[rng.choice(np.flatnonzero(chosen) if chosen.all() else np.flatnonzero(~chosen))] = False
        flags[:, chosen] = 1
    return flags


def log_uniform(least: float, most: float, rng: np.random.Generator) -> int:
    """A whole number from `least` to `most`, small ones as often as large ones."""
    return int(round(float(np.exp(rng.uniform(np.log(least), np.log(max(most, least)))))))


def batch_flags(lengths: Sequence[int], longest: int, num_channels: int, seeds: Sequence[int]) -> np.ndarray:
    """(B, longest, channels) float32 of segments of `lengths` frames, each from its own seed."""
    flags = np.zeros((len(lengths), longest, num_channels), np.float32)
    for row, (length, seed) in enumerate(zip(lengths, seeds, strict=True)):
        flags[row, :length] = random_flags(length, num_channels, np.random.default_rng([seed, 7]))
    return flags
