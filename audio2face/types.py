"""Records that cross rooms. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Pairs = tuple[np.ndarray, np.ndarray]  # upper and lower vertices (n,) of a list
SAMPLE_RATE = 16000  # of all sound that a network is given


@dataclass(frozen=True)
class Shot:
    """One captured performance of one actor. `fps` is the rate of its animation cache."""

    actor: str
    name: str
    num_frames: int
    fps: float
    emotion: str


@dataclass(frozen=True)
class Cache:
    """One shot's animation of a mesh, by its header. `channel` is that to read of a file with several."""

    shot: str
    path: Path
    num_frames: int
    num_vertices: int
    fps: float | None
    channel: str | None = None


@dataclass(frozen=True)
class Clip:
    """A range of frames of a shot, with its sound.

    `first` and `last` are frames of the shot, both included. `audio_offset` is in frames of the shot: frame i sounds
    at frame i + audio_offset of the file. A muted clip has no `audio` and holds one still pose, `held` = (shot, frame).
    """

    shot: Shot
    first: int
    last: int
    audio: Path | None
    audio_offset: int = 0
    speaker: str = ""
    language: str | None = None
    held: tuple[str, int] | None = None

    @property
    def num_frames(self) -> int:
        """Frames of the clip, both ends counted."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Waveform:
    """Mono sound: samples (N,) float32 and the largest absolute value of the track (1.0 for near silence)."""

    samples: np.ndarray
    sample_rate: int
    peak: float

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class Pca:
    """Principal components of a mesh: components (K, V, 3) orthonormal over 3V, mean (V, 3), variances (K,) if known."""

    components: np.ndarray
    mean: np.ndarray
    variances: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def num_components(self) -> int:
        return self.components.shape[0]


@dataclass(frozen=True)
class FaceAnimation:
    """A face over time in data units: skin (T, V, 3), tongue (T, Vt, 3), jaw (T, 5, 3) deltas, eye (T, 4) degrees."""

    fps: float
    channels: dict[str, np.ndarray]

    @property
    def num_frames(self) -> int:
        return len(next(iter(self.channels.values())))
