"""What a regression network learns at the moments of windows: targets of shots, and phonemes of tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from audio2face.dataset.long_arrays import Array, repeats
from audio2face.dataset.targets import NEARLY, ShotTargets
from audio2face.models.regression.stretches import Stretches, interpolated, stretches, to_device
from audio2face.models.regression.window_sound import Moments, WindowParams

PHONEME_STEP = 320  # samples between two steps of a speech encoder at 16 kHz, 50 steps a second
PHONEME_CENTRE = 200  # its first step is centred on this sample of the window (receptive field of 400)


class Numbered:
    """Arrays of clips (clips,), of which several clips may have the same one."""

    def __init__(self, arrays: Sequence[Array], device: torch.device, on_disk: bool):
        distinct = {id(array): array for array in arrays}
        places = {key: number for number, key in enumerate(distinct)}
        self.numbers = np.array([places[id(array)] for array in arrays])
        self.lengths = np.array([len(array) for array in arrays])
        self.stretches: Stretches = stretches(list(distinct.values()), device, on_disk)


class WindowTargets:
    """The targets of every clip's shot and which of them are known."""

    def __init__(self, shots: Sequence[ShotTargets], params: WindowParams, device: torch.device, on_disk: bool):
        firsts = {id(shot.known): shot.known[:1] for shot in shots if repeats(shot.known)}
        self._values = Numbered([shot.values for shot in shots], device, on_disk)
        self._known = Numbered([firsts.get(id(shot.known), shot.known) for shot in shots], device, on_disk)
        self._fps = np.array([shot.fps for shot in shots])
        self._shifts_s = np.asarray(params.shifts)[:, None] / params.fps

    def steady(self, clip: int) -> bool:
        """Whether the same values are known in all frames of a clip's shot."""
        return bool(self._known.lengths[clip] == 1)

    def values(self, at: Moments) -> Tensor:
        """(n, C) float32."""
        return self._at(self._values, at.clips, at.shifted[None])[0]

    def mask(self, at: Moments) -> Tensor:
        """(n, C) 1 where a value comes of known ones alone, at every shift."""
        return (self._at(self._known, at.clips, at.times + self._shifts_s) > NEARLY).float().amin(dim=0)

    def _at(self, arrays: Numbered, clips: np.ndarray, times: np.ndarray) -> Tensor:
        position = times * self._fps[clips] - 0.5
        return interpolated(arrays.stretches, arrays.numbers[clips], position, arrays.lengths[clips])


class PhonemeTargets:
    """Phoneme probabilities of one language, 50 a second of whole tracks."""

    def __init__(self, posteriors: Mapping[int, Array], steps: int, device: torch.device, on_disk: bool):
        self._place = np.full(max(posteriors, default=-1) + 2, -1)  # of clips; the last stands for all that follow
        self._place[list(posteriors)] = np.arange(len(posteriors))
        self._arrays, self._steps = Numbered(list(posteriors.values()), device, on_disk), np.arange(steps)

    def __call__(self, clips: np.ndarray, starts: np.ndarray) -> tuple[Tensor, Tensor]:
        """Which windows (k,) of clips (n,) from samples `starts` (n,) of the track on have any, and theirs (k, steps, P)."""
        places = self._place[np.minimum(clips, len(self._place) - 1)]
        chosen = np.flatnonzero(places >= 0)
        places, lengths = places[chosen], self._arrays.lengths[places[chosen]]
        index = (starts[chosen, None] + PHONEME_CENTRE + PHONEME_STEP * self._steps) // PHONEME_STEP
        index = np.clip(index, 0, lengths[:, None] - 1)
        found = self._arrays.stretches.rows(self._arrays.numbers[places], index)
        return to_device(chosen, found.device), found
