"""A diffusion network behind the deployed tensors, window by window, and such a network over sound that grows. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from audio2face.audio.waveform import without_faint
from audio2face.audio.windows import Streaming
from audio2face.face.emotions import EmotionCurve
from audio2face.models.common.engine import AudioBuffer, Feeds, Rows, Step


class WindowNetwork:
    """The deployed tensors of one track: `identity` (A,) one-hot, and the latents (S, layers, 1, H) between windows."""

    def __init__(self, run: Step, windows: Streaming, identity: np.ndarray, steps: int, layers: int, width: int):
        self.run, self.windows, self.identity = run, windows, identity[None].astype(np.float32)
        self.latents = np.zeros((steps, layers, 1, width), np.float32)

    def feeds(self, sound: np.ndarray, emotion: np.ndarray, noise: np.ndarray) -> Feeds:
        """Inputs for a window of sound (L,), emotion (centre, E) and noise (1, S + 1, frames, C)."""
        return {
            "window": sound[None],
            "identity": self.identity,
            "emotion": emotion[None].astype(np.float32),
            "input_latents": self.latents,
            "noise": noise,
        }

    def accept(self, results: Feeds) -> np.ndarray:
        """The window's centre frames (centre, C), with curves last if there are any; keeps the state for the next window."""
        self.latents = without_faint(results["output_latents"])
        frames = [results[name][0] for name in ("prediction", "curves") if name in results]
        return np.concatenate(frames, axis=1)[self.windows.left : self.windows.left + self.windows.centre]


class DiffusionEngine:
    """Windows that overlap, in order. `params` and `audio_params` are of network_info.json, `identity` is the actor's name.

    `constant_noise`: one noise for all windows, else another for each.
    """

    def __init__(
        self,
        run: Step,
        params: Mapping[str, Any],
        audio_params: Mapping[str, int],
        identity: str,
        emotion: EmotionCurve,
        seed: int,
        constant_noise: bool,
    ):
        p = params
        self.run, self.emotion, self.seed, self.constant = run, emotion, seed, constant_noise
        self.windows = Streaming(
            left=int(p["num_frames_left_truncate"]),
            centre=int(p["num_frames_center"]),
            right=int(p["num_frames_right_truncate"]),
            window=int(audio_params["buffer_len"]),
            pad_left=int(audio_params["padding_left"]),
            sample_rate=int(audio_params["samplerate"]),
        )
        self.fps = self.windows.fps
        steps = int(p["num_diffusion_steps"])
        one_hot = np.array([name == identity for name in p["identities"]], np.float32)
        self._network = WindowNetwork(
            run, self.windows, one_hot, steps, int(p["num_gru_layers"]), int(p["gru_latent_dim"])
        )
        width = sum(int(p[f"{part}_size"]) for part in ("skin", "tongue", "jaw", "eyes"))
        self._noise_shape = (1, steps + 1, self.windows.frames, width)
        self._noise = drawn_noise(seed, 0, self._noise_shape)
        self._next = 0

    def next_feeds(self, audio: AudioBuffer, closed: bool) -> Feeds | None:
        """The next window, once it is complete."""
        w = self.windows
        if self._next >= w.ready(audio.end, closed):
            return None
        if not self.constant:
            self._noise = drawn_noise(self.seed, self._next, self._noise_shape)
        sound, emotion = audio.window(w.start(self._next), w.window), self.emotion(w.centre_samples(self._next))
        return self._network.feeds(sound, emotion, self._noise)

    def accept(self, results: Feeds, audio: AudioBuffer) -> Rows:
        """Rows of the window's frames that are shown."""
        moments = self.windows.centre_samples(self._next)
        self._next += 1
        audio.forget(self.windows.start(self._next))
        shown = (moments >= 0) & (moments < audio.end)
        return self._network.accept(results)[shown], moments[shown]


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
