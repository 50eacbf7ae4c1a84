"""The skin of a model that edits: where it lies, and how its motion becomes the weights of shapes. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.postprocess.rig import BlendshapeRig
from audio2face.problems import UserError

FAR = 0.25  # of the skin's size: so far from where the model has it lies another mesh, or one in other units
SWEEPS = 200  # over the weights of a fit


@dataclass(frozen=True)
class Skin:
    """The skin of a model: its mean (V, 3) in the units of its data, and the actor's blendshapes of it."""

    mean: np.ndarray
    units_per_metre: float = 100.0
    rig: BlendshapeRig | None = None

    @property
    def size(self) -> float:
        """The diagonal of the box around it."""
        return float(np.linalg.norm(np.ptp(self.mean, axis=0)))


def check_place(path: Path, frames: np.ndarray, skin: Skin) -> None:
    """Raise UserError where a skin (T, V, 3) is not of the size or in the place of the model's, or holds no numbers."""
    if not np.isfinite(frames).all():
        raise UserError(f"EDIT/file {path}: NaN or infinity among its vertices")
    apart = np.linalg.norm(np.median(frames, axis=0) - skin.mean, axis=1) if len(frames) else np.zeros(1)
    if float(np.median(apart)) > FAR * skin.size:
        own = float(np.linalg.norm(np.ptp(frames[0], axis=0)))
        raise UserError(
            f"EDIT/file {path}: its vertices are not where the model's are (sizes {own:.4g} and {skin.size:.4g}): the same number, "
            "but other units, another place or another order; export it as the data that the model was trained on"
        )


def bounded_weights(shapes: np.ndarray, motion: np.ndarray, low: float, high: float) -> np.ndarray:
    """Weights (n, K) from `low` to `high` so that weights @ shapes is nearest to the motion: shapes (K, N), motion (n, N).

    Coordinate descent on the normal equations, all frames at once.
    """
    form = shapes.astype(np.float64) @ shapes.T.astype(np.float64)
    wanted = motion.astype(np.float64) @ shapes.T.astype(np.float64)
    weights = np.zeros_like(wanted)
    moving = np.flatnonzero(np.diag(form) > 0)
    for _ in range(SWEEPS):
        before = weights.copy()
        for k in moving:
            step = (wanted[:, k] - weights @ form[:, k]) / form[k, k]
            weights[:, k] = np.clip(weights[:, k] + step, low, high)
        if np.abs(weights - before).max(initial=0.0) < 1e-6:
            break
    return weights
