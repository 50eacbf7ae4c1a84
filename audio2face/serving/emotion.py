"""The emotion of a stream while it runs: keys that arrive with the sound, and the transition between them."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from audio2face.serving.request import EmotionSettings

SHORTEST_S = 1e-3  # of a transition


class EmotionTrack:
    """An emotion curve that grows: called with the stamps of frames in order, as an engine does.

    At every frame the state moves to its target by w = min(dt / transition, 1): the last key, as a step, times the share
    that keys have (`EmotionSettings.share`); no key yet is zero. Before frame 0 the state is the beginning emotion times its
    strength. While neither a key nor a beginning emotion has come, it is the `default` of the model, as it is.
    `direct` takes the keys as they are.
    """

    def __init__(
        self,
        names: Sequence[str],
        default: np.ndarray,
        settings: EmotionSettings,
        sample_rate: int,
        fps: float,
        direct: bool = False,
    ):
        """`default` (E,); `sample_rate` is that of the stamps; `fps` of the model's own frames."""
        self.names, self.sample_rate, self._default = list(names), sample_rate, np.asarray(default, np.float32)
        self._weight = min(1.0 / fps / max(settings.transition_s, SHORTEST_S), 1.0)
        self._share, self._direct = (1.0 if direct else settings.share), direct
        self._times: list[float] = []
        self._values: list[np.ndarray] = []
        strength = 1.0 if direct else settings.strength
        begin = settings.beginning
        self._begun = begin is not None
        self._state = self._vector(begin) * np.float32(strength) if begin is not None else self._default
        self._first, self._last = self._state, -1
        self._seen: dict[int, np.ndarray] = {}  # stamp -> state, until `forget`
        self._lock = threading.Lock()  # keys come from another thread than the one that animates

    def add(self, time_s: float, weights: Mapping[str, float]) -> None:
        """Take a key, weights by the model's names. One of the same time takes the place of the one before."""
        with self._lock:
            place = bisect_right(self._times, time_s)
            if place and self._times[place - 1] == time_s:
                self._values[place - 1] = self._vector(weights)
                return
            self._times.insert(place, time_s)
            self._values.insert(place, self._vector(weights))

    def __call__(self, stamps: np.ndarray) -> np.ndarray:
        """Emotion (T, E) at stamps (T,) in samples. Asking again gives the same; stamps before the sound, the beginning."""
        return np.stack([self.at(int(stamp)) for stamp in stamps]) if len(stamps) else self._default[None][:0]

    def at(self, stamp: int) -> np.ndarray:
        """(E,) that the network was given, or is given now, at a stamp in samples."""
        if stamp < 0:
            return self._first
        if stamp not in self._seen:
            if stamp > self._last:
                self._step(stamp / self.sample_rate)
                self._last = stamp
            self._seen[stamp] = self._state
        return self._seen[stamp]

    def forget(self, before: int) -> None:
        """Drop what was given before a stamp."""
        for stamp in [s for s in self._seen if s < before]:
            del self._seen[stamp]

    def _step(self, time_s: float) -> None:
        with self._lock:
            place = bisect_right(self._times, time_s)
            key = self._values[place - 1] if place else np.zeros_like(self._state)
        if not place and not self._begun:
            return  # the model's own emotion holds
        self._begun = True
        self._state = self._state + np.float32(self._weight) * (key * np.float32(self._share) - self._state)

    def _vector(self, weights: Mapping[str, float]) -> np.ndarray:
        return np.array([weights.get(name, 0.0) for name in self.names], np.float32)
