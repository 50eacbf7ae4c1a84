"""Frozen features of the windows of a regression training: how they are encoded, in what parts they are kept, where they lie."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from audio2face.logs import each
from audio2face.models.common.encoders import in_precision
from audio2face.models.common.feature_store import (
    Features,
    FeatureStore,
    KeptFeatures,
    RowForm,
    choose_form,
    keep_features,
)
from audio2face.models.regression.network import ConvW2vAutocorr

if TYPE_CHECKING:
    from audio2face.models.regression.data import WindowData

logger = logging.getLogger(__name__)

BLOCK = 32  # windows that are encoded together: more would not be faster on a processor, and take gigabytes
PART_ROWS = 2 * BLOCK  # that are kept together: what an interrupt may cost

Encode = Callable[[Tensor], Features]
KeptWindows = Callable[
    [np.ndarray, np.ndarray], Features
]  # shifts (n,), rows (n,) -> float32 features (n, …) by encoder


def kept_encoding(network: ConvW2vAutocorr, bf16: bool) -> Encode:
    """What computes the features that are kept, with `bf16` in the precision of such a training."""

    def encode(audio: Tensor) -> Features:
        encoders: dict[str, Any] = dict(network.encoders.items())
        return {
            name: in_precision(encoder, bf16, audio.device, partial(encoder.features, audio))
            for name, encoder in encoders.items()
        }

    return encode


def keep_windows(
    data: WindowData, encode: Encode, budget_bytes: float, store: FeatureStore | None = None
) -> KeptWindows | None:
    """Compute the frozen features of every window once, float32 when they fit in the budget, else float16.

    With a `store` they are kept on disk, too, and those that do not fit in the budget are read from there. None when they fit
    nowhere, or the budget is 0. Several processes compute a part each.
    """
    if not budget_bytes:
        return None
    number = data.num_rows * len(data.params.shifts)
    probe = encode(data.windows(np.zeros(2, np.int64), np.arange(2)))
    form, fits = choose_form(probe, number, budget_bytes)
    on_disk = _keep_on_disk(data, encode, form, store) if store else None
    size = form.row_bytes * number / 1e9
    if not fits:
        if on_disk is None:
            told = "features of all windows need %.1f GB, more than FEATURE_CACHE_GB: computed again in every epoch"
            logger.info(told, size)
        return on_disk
    features = _read_all(data, on_disk) if on_disk else _compute_all(data, encode, form)
    logger.info(
        "audio features in memory: %d windows x %d shifts, %.2f GB", data.num_rows, len(data.params.shifts), size
    )
    return lambda shifts, rows: {name: x[shifts, rows].float() for name, x in features.items()}


@dataclass(frozen=True)
class WindowParts:
    """Runs of at most PART_ROWS rows of a clip, again for every shift: part `shift * P + p` has rows firsts[p], …"""

    firsts: np.ndarray  # (P,)
    counts: np.ndarray  # (P,)
    of_row: np.ndarray  # (R,) which of the P a row is in

    @classmethod
    def of(cls, clip_of_row: np.ndarray) -> WindowParts:
        """The parts of rows (R,) that lie clip by clip."""
        rows = np.arange(len(clip_of_row))
        begins = (rows - np.searchsorted(clip_of_row, clip_of_row)) % PART_ROWS == 0
        firsts = np.flatnonzero(begins)
        return cls(firsts, np.diff([*firsts, len(rows)]), np.cumsum(begins) - 1)

    def place(self, part: int) -> tuple[int, slice]:
        """The shift and the rows of a part."""
        shift, number = divmod(part, len(self.firsts))
        return shift, slice(self.firsts[number], self.firsts[number] + self.counts[number])

    def find(self, shifts: np.ndarray, rows: np.ndarray) -> tuple[list[int], list[int]]:
        """In which parts rows (n,) at shifts (n,) are, and which of their rows they are."""
        numbers = self.of_row[rows]
        return (shifts * len(self.firsts) + numbers).tolist(), (rows - self.firsts[numbers]).tolist()


@dataclass(frozen=True)
class WindowsOnDisk:
    """Kept features, read from the disk whenever a batch needs them."""

    kept: KeptFeatures
    parts: WindowParts
    device: torch.device

    def __call__(self, shifts: np.ndarray, rows: np.ndarray) -> Features:
        """Of rows (n,) at shifts (n,), float32."""
        parts, places = self.parts.find(shifts, rows)
        found = self.kept.rows(parts, places)
        return {name: x.to(self.device).float() for name, x in found.items()}


def _keep_on_disk(data: WindowData, encode: Encode, form: RowForm, store: FeatureStore) -> WindowsOnDisk | None:
    """The features of all windows on disk; None when they do not fit."""
    parts = WindowParts.of(data.clip_of_row)

    def path(part: int) -> Path:
        shift, place = parts.place(part)
        rows = np.arange(place.start, place.stop)
        return store.path(form, data.sound.content(data.moments(np.full_like(rows, shift), rows)))

    def compute(part: int) -> Features:
        shift, place = parts.place(part)
        blocks = [np.arange(i, min(i + BLOCK, place.stop)) for i in range(place.start, place.stop, BLOCK)]
        found = [encode(data.windows(np.full_like(rows, shift), rows)) for rows in blocks]
        return {name: torch.cat([x[name] for x in found]) for name in form.features}

    counts = np.tile(parts.counts, len(data.params.shifts)).tolist()
    kept = KeptFeatures(form, [path(part) for part in range(len(counts))], counts, compute)
    return WindowsOnDisk(kept, parts, data.device) if keep_features(store, kept, data.world, "audio features") else None


def _empty(data: WindowData, form: RowForm) -> Features:
    shape = len(data.params.shifts), data.num_rows
    return {k: torch.zeros(*shape, *s, dtype=t, device=data.device) for k, (s, t) in form.features.items()}


def _read_all(data: WindowData, on_disk: WindowsOnDisk) -> Features:
    """All features (S, R, …) from the disk."""
    found = _empty(data, on_disk.kept.form)
    for part, count in enumerate(on_disk.kept.counts):
        for name, x in on_disk.kept.span(part, 0, count).items():
            found[name][on_disk.parts.place(part)] = x.to(data.device)
    return found


def _compute_all(data: WindowData, encode: Encode, form: RowForm) -> Features:
    """All features (S, R, …), each process computing its part."""
    found = _empty(data, form)
    total = -(-data.num_rows // BLOCK) * len(data.params.shifts)
    counted = each(data.blocks(), total, "audio features", "block", data.world.first)
    for number, (shift, rows, shifts) in enumerate(counted):
        if number % data.world.size == data.world.rank:
            for name, x in encode(data.windows(shifts, rows)).items():
                found[name][shift, rows] = x.to(found[name].dtype)
    for values_of_shifts in found.values():
        for values_of_shift in values_of_shifts:
            data.world.all_reduce_(values_of_shift)
    return found
