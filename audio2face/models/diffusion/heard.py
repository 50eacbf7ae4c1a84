"""What a frozen encoder hears in whole clips, for a few takes of each that differ in time shift, pitch and noise."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audio2face.logs import each
from audio2face.models.common.feature_store import (
    Features,
    FeatureStore,
    KeptFeatures,
    RowForm,
    choose_form,
    keep_features,
)

if TYPE_CHECKING:
    from audio2face.models.diffusion.data import SegmentData

logger = logging.getLogger(__name__)

OWN, PARTNER = 0, 1  # voices in a clip
HEARD = "features"


class Take(NamedTuple):
    """A voice in a clip, as it is heard in one of the takes."""

    voice: int
    clip: int
    number: int


Hear = Callable[[Tensor, int, int], Tensor]  # sound (1, CONTEXT + N + CONTEXT), frames, take -> (1, frames, values)
Takes = Callable[[Take, int, int], Tensor]  # take, first frame, number of frames -> (frames, values)


def keep_takes(
    data: SegmentData, hear: Hear, shifts: Sequence[float], budget_bytes: float, store: FeatureStore | None = None
) -> Takes | None:
    """Compute a frozen encoder's features of every clip, one take per time shift, float32 when they fit in the budget, else float16.

    With a `store` they are kept on disk, too, and those that do not fit in the budget are read from there. None when they fit
    nowhere, or the budget is 0. What a partner says who is not there is zeros.
    """
    if not budget_bytes:
        return None
    takes = [
        Take(voice, clip, number)
        for clip in range(len(data.clips))
        for voice in ((OWN, PARTNER) if data.clips[clip].partner else (OWN,))
        for number in range(len(shifts))
    ]
    frames = sum(data.num_frames(take.clip) for take in takes)
    silence = torch.zeros(1, data.params.num_samples(1), device=data.device)
    probe = hear(silence, 1, 0)[0]
    form, fits = choose_form({HEARD: probe}, frames, budget_bytes)
    kept = _keep_on_disk(data, hear, shifts, takes, form, store) if store else None
    if not fits and kept is None:
        told = "audio features of all clips need %.1f GB, more than FEATURE_CACHE_GB: computed again in every epoch"
        logger.info(told, form.row_bytes * frames / 1e9)
        return None
    place = {take: number for number, take in enumerate(takes)}
    if fits:
        heard = _in_memory(data, hear, shifts, takes, form, kept)
        told = "audio features in memory: %d frames x %d takes, %.2f GB"
        logger.info(told, frames // len(shifts), len(shifts), form.row_bytes * frames / 1e9)

    def read(take: Take, first: int, count: int) -> Tensor:
        if take not in place:
            return probe.new_zeros(count, probe.shape[1])
        if fits:
            return heard[place[take]][first : first + count]
        assert kept is not None
        return kept.span(place[take], first, count)[HEARD]

    return read


def _in_memory(
    data: SegmentData,
    hear: Hear,
    shifts: Sequence[float],
    takes: Sequence[Take],
    form: RowForm,
    kept: KeptFeatures | None,
) -> list[Tensor]:
    """Every take (T, values), in the type that is kept, on the data's device."""
    found = []
    for number, take in enumerate(each(takes, len(takes), "audio features", "take", data.world.first and kept is None)):
        if kept is not None:
            found.append(kept.span(number, 0, data.num_frames(take.clip))[HEARD].to(data.device))
        else:
            found.append(_hear(data, hear, shifts, take).to(form.features[HEARD][1]))
    return found


def _hear(data: SegmentData, hear: Hear, shifts: Sequence[float], take: Take) -> Tensor:
    sound = torch.from_numpy(data.take_sound(take, shifts[take.number]))[None].to(data.device)
    return hear(sound, data.num_frames(take.clip), take.number)[0]


def _keep_on_disk(
    data: SegmentData, hear: Hear, shifts: Sequence[float], takes: Sequence[Take], form: RowForm, store: FeatureStore
) -> KeptFeatures | None:
    """All takes on disk; None when they do not fit."""

    def path(take: Take) -> Path:
        heard_as = np.array([data.num_frames(take.clip), take.number, len(shifts)])
        return store.path(form, [data.take_sound(take, shifts[take.number]), heard_as])

    def compute(part: int) -> Features:
        return {HEARD: _hear(data, hear, shifts, takes[part])}

    counts = [data.num_frames(take.clip) for take in takes]
    kept = KeptFeatures(form, [path(take) for take in takes], counts, compute)
    return kept if keep_features(store, kept, data.world, "audio features") else None
