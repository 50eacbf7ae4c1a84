"""Poses in principal components: to coefficients and back. `geometry.pca_fit` finds the components."""

from __future__ import annotations

import numpy as np

from audio2face.types import Pca


def project(pca: Pca, poses: np.ndarray) -> np.ndarray:
    """Coefficients (n, K) float32 of poses (n, V, 3)."""
    centred = (poses - pca.mean).reshape(len(poses), -1)
    return centred @ pca.components.reshape(pca.num_components, -1).T


def reconstruct(pca: Pca, coeffs: np.ndarray) -> np.ndarray:
    """Poses (n, V, 3) float32 of coefficients (n, K)."""
    flat = coeffs.astype(np.float32, copy=False) @ pca.components.reshape(pca.num_components, -1)
    return flat.reshape(len(coeffs), *pca.mean.shape) + pca.mean
