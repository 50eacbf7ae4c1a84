"""Truth and baselines of an actor's group of curves: of the preprocessing run's shots, or of a folder of new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audio2face.dataset.captured import ShotCurves
from audio2face.dataset.targets import known_at, sample_linear
from audio2face.evaluation.baselines import MEAN_POSE, NEAREST, nearest_frames
from audio2face.evaluation.curve_score import GroupScale, columns_of, headline_columns, scale_of
from audio2face.face.codec import Channel
from audio2face.face.curves import CurveGroup
from audio2face.runs.preproc_run import PreprocRun
from audio2face.types import Clip


@dataclass(frozen=True)
class GroupSource:
    """One actor's group: its channel in the preprocessing run, the clips trained on, and new shots instead of the run's."""

    run: PreprocRun
    channel: Channel
    training: Sequence[Clip]
    recorded: Mapping[str, ShotCurves] | None = None

    @property
    def group(self) -> CurveGroup:
        """What its columns are."""
        assert self.channel.group is not None
        return self.channel.group

    def truth_at(self, clip: Clip, times: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Encoded values (n, E) of a clip at moments (n,) of its shot in seconds and which are known, as targets are
        resampled; None when the shot has none."""
        if self.recorded is None:
            found = self.trained(clip.shot.name)
        else:
            new = self.recorded.get(clip.shot.name)
            found = None if new is None else (new.values, new.known)
        if found is None:
            return None
        fps = clip.shot.fps
        return sample_linear(found[0], fps, times), known_at(found[1], fps, times) > 0

    def trained(self, shot: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Encoded values (T, E) of a shot of the preprocessing run and which are known; None when it has none.

        Of a group with components the truth is what these show.
        """
        found, basis = self.run.group_values(shot, self.channel.name), self.channel.curve_basis
        if found is None or basis is None:
            return found
        moving = np.abs(basis.components).max(axis=0) > 0
        return found[0] @ basis.components + basis.mean, found[1].all(axis=1, keepdims=True) & moving

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of all frames trained on: encoded values (n, E), which are known, and the number (n,) of their clip."""
        tables, flags, numbers = [], [], []
        for number, clip in enumerate(self.training):
            if (found := self.trained(clip.shot.name)) is not None:
                part = slice(clip.first, clip.last + 1)
                tables.append(found[0][part])
                flags.append(found[1][part])
                numbers.append(np.full(len(tables[-1]), number))
        if not tables:
            size = self.group.size
            return np.zeros((0, size), np.float32), np.zeros((0, size), bool), np.zeros(0, np.int64)
        return np.concatenate(tables), np.concatenate(flags), np.concatenate(numbers)

    @cached_property
    def scale(self) -> GroupScale:
        """Mean and spread of the training frames."""
        return scale_of(self.group, *self.rows[:2])

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The columns to show, the headline first."""
        rest = self.scale.mean[None]
        names = columns_of(self.group, rest, rest == rest, self.scale.mean).names
        return tuple(names[c] for c in headline_columns(self.group, names, self.scale.column_scale))

    def baselines(self, features: np.ndarray, energies: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Encoded values (n, E) as each baseline shows them, for loudness `features` (n, F); `energies` of the frames of every
        training clip. The nearest frame is one of those of which everything is known, where there are any."""
        values, known, numbers = self.rows
        loud = np.concatenate([energies[number] for number in np.unique(numbers)])
        whole = known[:, self.scale.used].all(axis=1)
        chosen = np.flatnonzero(whole if whole.any() else np.ones(len(values), bool))
        nearest = values[chosen][nearest_frames(features, loud[chosen])]
        still = np.broadcast_to(self.scale.mean, nearest.shape)
        return {MEAN_POSE: still, NEAREST: nearest}
