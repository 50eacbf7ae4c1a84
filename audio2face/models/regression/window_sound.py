"""What is heard in the windows of a regression training: the clips' sounds, and near-silence under muted clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.windows import window_starts
from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise
from audio2face.dataset.long_arrays import Array
from audio2face.dataset.targets import clip_times
from audio2face.models.regression.stretches import OnDevice, OnDisk, Stretches, to_device
from audio2face.types import Clip, Track


@dataclass(frozen=True)
class WindowParams:
    """How items are cut: frames per second of the targets, window length and offset in samples, and the shifts.

    `shifts` are in target frames: audio and targets of an item are both taken at t + shift.
    """

    fps: float
    sample_rate: int
    buffer_len: int
    buffer_ofs: int
    seq_len: int
    seq_stride: int
    shifts: tuple[float, ...]


@dataclass(frozen=True)
class Moments:
    """Rows at shifts, (n,) each: numbers of shift and clip, frame in the clip, seconds in the shot before and after the shift."""

    shifts: np.ndarray
    clips: np.ndarray
    frames: np.ndarray
    times: np.ndarray
    shifted: np.ndarray


class WindowSound:
    """The tracks of all clips, each decoded once: at the beginning, or `on_disk` when it is first heard.

    Of a muted clip there is a track of noise for each of S time shifts, with a loudness that is drawn for every window.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        tracks: AudioTracks,
        noise: MutedNoise,
        params: WindowParams,
        rng: np.random.Generator,
        device: torch.device,
        on_disk: bool,
    ):
        self.params, self._tracks = params, tracks
        self._sources: list[Track | np.ndarray] = []
        self._numbers = np.zeros((len(params.shifts), len(clips)), np.int64)  # of the source of a clip at a shift
        self._gain_starts = np.full(len(clips), -1)  # where the gains of a muted clip begin
        self._offsets = np.array([clip.audio_offset / clip.shot.fps for clip in clips])
        self._gains = self._find_sources(clips, noise, rng)
        self._lengths, self._peaks = np.full(len(self._sources), -1), np.ones(len(self._sources), np.float32)
        self._arrays: Stretches = OnDisk(self._load, device)
        if not on_disk:
            sounds = [np.asarray(self._load(number)) for number in range(len(self._sources))]
            self._arrays = OnDevice(sounds, params.buffer_len, device)
            del self._tracks

    def _find_sources(self, clips: Sequence[Clip], noise: MutedNoise, rng: np.random.Generator) -> np.ndarray:
        """Fill in what is heard in which clip; returns the gains (S, n) of all windows of muted clips."""
        numbers: dict[Track, int] = {}
        shifts = len(self.params.shifts)
        gains, count = [np.zeros((shifts, 0), np.float32)], 0
        for index, clip in enumerate(clips):
            if clip.track is None:
                times = clip_times(clip, self.params.fps)
                length = int(times[-1] * self.params.sample_rate) + 2 * self.params.buffer_len
                self._numbers[:, index] = len(self._sources) + np.arange(shifts)
                self._sources += [noise.track(length, rng) for _ in range(shifts)]
                gains.append(rng.uniform(*noise.local_range, (shifts, len(times))).astype(np.float32))
                self._gain_starts[index], count = count, count + len(times)
            else:
                if clip.track not in numbers:
                    numbers[clip.track] = len(self._sources)
                    self._sources.append(clip.track)
                self._numbers[:, index] = numbers[clip.track]
        return np.concatenate(gains, axis=1)

    def _load(self, number: int) -> Array:
        source = self._sources[number]
        if isinstance(source, np.ndarray):
            samples: Array = source
        else:
            samples, self._peaks[number] = self._tracks.load(source)
        self._lengths[number] = len(samples)
        return samples

    def places(self, at: Moments) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the sounds (n,) and where in them the windows begin (n,)."""
        numbers, rate, size = self._numbers[at.shifts, at.clips], self.params.sample_rate, self.params.buffer_len
        for unknown in np.unique(numbers[self._lengths[numbers] < 0]).tolist():
            self._load(unknown)
        speech = window_starts(at.shifted + self._offsets[at.clips], rate, self.params.buffer_ofs)
        speech = np.clip(speech, -size, self._lengths[numbers])
        return numbers, np.where(self._gain_starts[at.clips] < 0, speech, window_starts(at.times, rate, 0))

    def gains(self, at: Moments) -> np.ndarray:
        """(n,) float32: 1 for speech."""
        starts, gains = self._gain_starts[at.clips], np.ones(len(at.clips), np.float32)
        muted = starts >= 0
        gains[muted] = self._gains[at.shifts[muted], (starts + at.frames)[muted]]
        return gains

    def windows(self, at: Moments) -> tuple[Tensor, Tensor]:
        """Windows (n, buffer_len), peak-normalised, and the mean absolute values (n,) that they have in the sound files."""
        numbers, starts = self.places(at)
        found = self._arrays.windows(numbers, starts, self.params.buffer_len)
        found = found * to_device(self.gains(at), found.device)[:, None]
        return found, found.abs().mean(dim=1) * to_device(self._peaks[numbers], found.device)

    def content(self, at: Moments) -> list[np.ndarray]:
        """All that windows of neighbouring rows of a clip are made of: the sound, where they start in it, how loud they are."""
        numbers, starts = self.places(at)
        first, end = int(starts.min()), int(starts.max()) + self.params.buffer_len
        sound = self._arrays.windows(numbers[:1], np.array([first]), end - first)[0].cpu().numpy()
        return [sound, starts - first, self.gains(at), np.array(self.params.buffer_len)]
