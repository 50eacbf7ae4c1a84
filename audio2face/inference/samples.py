"""Samples as other libraries hold them: arrays, tensors or lists, floats or whole numbers, channels last or first."""

from __future__ import annotations

from typing import Any

import numpy as np

from audio2face.audio.waveform import SILENCE
from audio2face.problems import UserError

MOST_CHANNELS = 32
SURELY_CHANNELS = 8  # so many numbers a row are channels, however few rows there are
LOUDEST = 100.0  # times the peak: samples on another scale
FORM = "expected samples (N,), (N, channels) or (channels, N)"


def channels_last(samples: Any) -> np.ndarray:
    """Samples as (N, C) float32; whole numbers are scaled to -1 … 1, unsigned ones with silence in their middle.

    Of (a, b), the channels are b where b is up to 8, or up to 32 and not above a; else a, up to 32. Raises UserError for
    other shapes and types, for whole numbers of 64 bits, which have no usual scale, and for what is not finite.
    """
    values = _array(samples)
    if values.ndim not in (1, 2) or values.dtype.kind not in "fiu":
        raise UserError(f"sound: {FORM}, got {values.shape} of {values.dtype}")
    if values.dtype.kind in "iu":
        if values.itemsize > 4:
            raise UserError(
                f"sound: {values.dtype} has no usual scale: divide by the largest value that there can be (32768 for sound of 16 bits)"
            )
        half = 1 << (8 * values.itemsize - 1)
        middle = half if values.dtype.kind == "u" else 0
        values = (values.astype(np.float64) - middle) / half
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UserError("sound: samples are not finite")
    if values.ndim == 1 or not values.size:
        return values.reshape(-1, 1)
    rows, columns = values.shape
    if columns <= SURELY_CHANNELS or columns <= min(rows, MOST_CHANNELS):
        return values
    if rows <= MOST_CHANNELS:
        return values.T
    raise UserError(f"sound: {FORM}, got {values.shape}: neither number is one of channels")


def check_scale(samples: Any) -> None:
    """Raise UserError where a whole track of 32-bit numbers looks like one of 16 or 24 bits, which would be taken for silence."""
    values = _array(samples)
    if values.dtype.kind != "i" or values.itemsize != 4 or not values.size:
        return
    peak = max(int(values.max()), -int(values.min()))
    if 0 < peak <= SILENCE * 2**31 and (values & 255).any():
        raise UserError(
            f"sound: the largest of these 32-bit numbers is {peak}, next to silence; if they hold sound of 16 or 24 bits, "
            "divide by 32768 or 8388608, else give peak=1.0"
        )


def check_level(samples: np.ndarray, gain: np.floating) -> None:
    """Raise UserError where samples (N,) are far above the peak that a stream was promised."""
    top = float(np.abs(samples).max(initial=0.0))
    if top * gain > LOUDEST:
        raise UserError(
            f"sound: samples reach {top:.6g}, {top * gain:.3g} times what the stream expects: divide them by their full scale "
            "(32768 for sound of 16 bits), or give that as peak="
        )


def _array(samples: Any) -> np.ndarray:
    if hasattr(samples, "detach"):  # a torch tensor: perhaps with gradients, on a GPU, or of a type that NumPy lacks
        samples = samples.detach().cpu()
        samples = samples.float() if samples.is_floating_point() else samples
    try:
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"sound: {FORM}; a pair (samples, rate) is given as two arguments ({error})") from error
