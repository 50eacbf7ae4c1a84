"""Baselines that any model must beat: the mean face, and the training frame with the most similar loudness."""

from __future__ import annotations

import numpy as np

from audio2face.evaluation.sync import speech_energy

CONTEXT_S = (-0.2, -0.1, 0.0, 0.1, 0.2)  # around a frame, at which loudness is compared
BLOCK = 64
MEAN_POSE, NEAREST = "mean pose", "nearest training frame by loudness"  # names of the baselines
TRUTH = "truth"  # the name of the capture among them


def mean_pose(coeffs: np.ndarray, num_frames: int) -> np.ndarray:
    """The mean of training coefficients (n, K), held: (num_frames, K)."""
    return np.broadcast_to(coeffs.mean(axis=0), (num_frames, coeffs.shape[1]))


def energy_features(samples: np.ndarray, rate: int, fps: float, num_frames: int) -> np.ndarray:
    """Loudness around every frame, (num_frames, 5): log energy at CONTEXT_S from it, relative to the track's mean."""
    energy = speech_energy(samples, rate, fps, num_frames)
    frames = np.arange(num_frames)
    shifted = [np.interp(frames + moment * fps, frames, energy) for moment in CONTEXT_S]
    return np.stack(shifted, axis=1) - energy.mean()


def nearest_frames(query: np.ndarray, training: np.ndarray) -> np.ndarray:
    """For every row of query (T, F) the row of training (n, F) that is nearest: (T,) int."""
    size = (training**2).sum(axis=1)
    blocks = [query[i : i + BLOCK] for i in range(0, len(query), BLOCK)]
    return np.concatenate([(size - 2 * block @ training.T).argmin(axis=1) for block in blocks])
