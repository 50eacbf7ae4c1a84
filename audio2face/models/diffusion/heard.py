"""What a frozen encoder hears in whole clips, for a few takes of each that differ in time shift, pitch and noise."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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

Hear = Callable[[Tensor, int, int], Tensor]  # sound (1, CONTEXT + N + CONTEXT), frames, take -> (1, frames, values)
Heard = Callable[[int, int, int, int], Tensor]  # clip, take, first frame, number of frames -> (frames, values)
HEARD = "features"


def keep_takes(
    data: SegmentData, hear: Hear, shifts: Sequence[float], budget_bytes: float, store: FeatureStore | None = None
) -> Heard | None:
    """Compute a frozen encoder's features of every clip, one take per time shift, float32 when they fit in the budget, else float16.

    With a `store` they are kept on disk, too, and those that do not fit in the budget are read from there. None when they fit
    nowhere, or the budget is 0.
    """
    if not budget_bytes:
        return None
    frames = sum(data.num_frames(clip) for clip in range(len(data.clips)))
    probe = hear(torch.from_numpy(data.silence(1))[None].to(data.device), 1, 0)[0]
    form, fits = choose_form({HEARD: probe}, frames * len(shifts), budget_bytes)
    kept = _keep_on_disk(data, hear, shifts, form, store) if store else None
    size = form.row_bytes * frames * len(shifts) / 1e9
    if not fits:
        if kept is None:
            told = "audio features of all clips need %.1f GB, more than FEATURE_CACHE_GB: computed again in every epoch"
            logger.info(told, size)
            return None
        return lambda clip, take, first, count: kept.span(clip * len(shifts) + take, first, count)[HEARD]
    clips = each(range(len(data.clips)), len(data.clips), "audio features", "clip", data.world.first and kept is None)
    heard = [
        torch.stack([_take(data, hear, shifts, clip, t, form, kept) for t in range(len(shifts))]) for clip in clips
    ]
    logger.info("audio features in memory: %d frames x %d takes, %.2f GB", frames, len(shifts), size)
    return lambda clip, take, first, count: heard[clip][take, first : first + count]


def _take(
    data: SegmentData,
    hear: Hear,
    shifts: Sequence[float],
    clip: int,
    take: int,
    form: RowForm,
    kept: KeptFeatures | None,
) -> Tensor:
    """A take of a clip (T, values), in the type that is kept, on the data's device."""
    if kept is not None:
        return kept.span(clip * len(shifts) + take, 0, data.num_frames(clip))[HEARD].to(data.device)
    sound = torch.from_numpy(data.take_sound(clip, take, shifts[take]))[None].to(data.device)
    return hear(sound, data.num_frames(clip), take)[0].to(form.features[HEARD][1])


def _keep_on_disk(
    data: SegmentData, hear: Hear, shifts: Sequence[float], form: RowForm, store: FeatureStore
) -> KeptFeatures | None:
    """All takes of all clips on disk, take by take; None when they do not fit."""
    takes = [(clip, take) for clip in range(len(data.clips)) for take in range(len(shifts))]

    def path(clip: int, take: int) -> Path:
        heard_as = np.array([data.num_frames(clip), take, len(shifts)])
        return store.path(form, [data.take_sound(clip, take, shifts[take]), heard_as])

    def compute(part: int) -> Features:
        clip, take = takes[part]
        return {HEARD: _take(data, hear, shifts, clip, take, form, None)}

    counts = [data.num_frames(clip) for clip, _ in takes]
    kept = KeptFeatures(form, [path(*place) for place in takes], counts, compute)
    return kept if keep_features(store, kept, data.world, "audio features") else None
