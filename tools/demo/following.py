"""How well a listener follows the partner: nods where the partner's stresses make them due, and a look at who speaks."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from tools.demo.listener import LAG_S, bells

SMOOTH_S = 0.15


def nod_energy(pitch: np.ndarray, fps: float) -> np.ndarray:
    """How much a head nods (T,): the smoothed speed of its pitch (T,) in degrees, of which slow drift is left out; degrees/s."""
    quick = pitch - gaussian_filter1d(pitch, 0.5 * fps, mode="nearest")
    return gaussian_filter1d(np.abs(np.gradient(quick)) * fps, SMOOTH_S * fps, mode="nearest")


def expected_nods(accents: np.ndarray, times: np.ndarray, lag_s: float = LAG_S) -> np.ndarray:
    """Where nods to accents (n,) in seconds are due (T,): a bump `lag_s` after each, as wide as `nod_energy` makes a nod."""
    return bells(times, accents + lag_s, np.sqrt(2) * SMOOTH_S)


def following(pitch: np.ndarray, accents: np.ndarray, where: np.ndarray, fps: float, lag_s: float = LAG_S) -> float:
    """Correlation of a head's nod energy with the nods that accents (seconds) make due, over the frames `where` (T,)."""
    times = (np.arange(len(pitch)) + 0.5) / fps
    return float(np.corrcoef(nod_energy(pitch, fps)[where], expected_nods(accents, times, lag_s)[where])[0, 1])
