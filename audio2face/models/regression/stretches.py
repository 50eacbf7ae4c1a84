"""Parts of many long arrays for a batch: gathered where the arrays lie on the device, or read from the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from audio2face.dataset.long_arrays import Array


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device, without waiting for what the device still computes."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)


class Stretches(Protocol):
    """Arrays (T, …) of one kind by number."""

    def windows(self, numbers: np.ndarray, firsts: np.ndarray, count: int) -> Tensor:
        """(n, count, …) from `firsts` (n,) on of arrays (n,), zeros up to `count` beyond their ends."""

    def rows(self, numbers: np.ndarray, index: np.ndarray) -> Tensor:
        """Rows (n, k, …) with numbers (n, k) of arrays (n,)."""


class OnDevice:
    """Arrays side by side in one tensor, `margin` zeros around each."""

    def __init__(self, arrays: Sequence[np.ndarray], margin: int, device: torch.device):
        self._starts = np.cumsum([margin, *(len(x) + margin for x in arrays[:-1])])
        pad = np.zeros((margin, *arrays[0].shape[1:]), arrays[0].dtype)
        parts = [part for array in arrays for part in (pad, array)]
        self._all = torch.from_numpy(np.concatenate([*parts, pad])).to(device)

    def windows(self, numbers: np.ndarray, firsts: np.ndarray, count: int) -> Tensor:
        device = self._all.device
        starts = to_device(self._starts[numbers] + firsts, device)
        return self._all[starts[:, None] + torch.arange(count, device=device)]

    def rows(self, numbers: np.ndarray, index: np.ndarray) -> Tensor:
        return self._all[to_device(self._starts[numbers][:, None] + index, self._all.device)]


class OnDisk:
    """Arrays of which a batch reads what it needs."""

    def __init__(self, array: Callable[[int], Array], device: torch.device):
        self._array, self._device = array, device

    def windows(self, numbers: np.ndarray, firsts: np.ndarray, count: int) -> Tensor:
        found = [self._window(n, first, count) for n, first in zip(numbers.tolist(), firsts.tolist(), strict=True)]
        return to_device(np.stack(found), self._device)

    def rows(self, numbers: np.ndarray, index: np.ndarray) -> Tensor:
        found = [self._array(number)[own] for number, own in zip(numbers.tolist(), index, strict=True)]
        none = self._array(0)[:0][:, None].repeat(index.shape[1], axis=1)  # the shape of rows, if there are none
        return to_device(np.stack(found) if found else none, self._device)

    def _window(self, number: int, first: int, count: int) -> np.ndarray:
        part = self._array(number)[max(0, first) : max(0, first + count)]
        if len(part) == count:
            return part
        whole = np.zeros((count, *part.shape[1:]), part.dtype)
        whole[max(0, -first) : max(0, -first) + len(part)] = part
        return whole


def stretches(arrays: Sequence[Array], device: torch.device, on_disk: bool, margin: int = 0) -> Stretches:
    """Arrays (T, …), which may lie on the disk and are left there, or are put on the device with zeros around them."""
    if on_disk:
        return OnDisk(arrays.__getitem__, device)
    return OnDevice([np.asarray(array) for array in arrays], margin, device)


def interpolated(arrays: Stretches, numbers: np.ndarray, position: np.ndarray, lengths: np.ndarray) -> Tensor:
    """Rows (S, n, C) float32 of arrays (n,) of `lengths` (n,) at positions (S, n) in them, as `face.frames.interpolate` has them.

    Positions beyond the ends are held.
    """
    position = np.clip(position, 0, lengths - 1)
    low = np.floor(position + 1e-9).astype(np.int64)
    high = np.minimum(low + 1, lengths - 1)
    found = arrays.rows(numbers, np.concatenate([low, high]).T).transpose(0, 1)
    weight = to_device(np.maximum(position - low, 0.0).astype(np.float32)[:, :, None], found.device)
    return found[: len(low)] * (1 - weight) + found[len(low) :] * weight
