"""A network's output as a face in data units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audio2face.artifacts.train_run import ActorData
from audio2face.layout import ChannelLayout
from audio2face.types import FaceAnimation

_BLOCK = 256  # frames decoded at once


def decode_mesh(coeffs: np.ndarray, components: np.ndarray, mean: np.ndarray, store: Path | None = None) -> np.ndarray:
    """Coefficients (T, K) with components (K, V, 3) and mean (V, 3) -> vertices (T, V, 3) float32.

    With `store` the result is a memory-mapped .npy file of that name instead of memory.
    """
    shape = (len(coeffs), *mean.shape)
    if store is None:
        frames = np.empty(shape, np.float32)
    else:
        frames = np.lib.format.open_memmap(store, mode="w+", dtype=np.float32, shape=shape)
    basis = components.reshape(len(components), -1)
    for first in range(0, len(coeffs), _BLOCK):
        block = coeffs[first : first + _BLOCK] @ basis + mean.reshape(-1)
        frames[first : first + _BLOCK] = block.reshape(-1, *mean.shape)
    return frames


def regression_animation(result: np.ndarray, actor: ActorData, fps: float, store: Path | None = None) -> FaceAnimation:
    """Rows (T, C) of an exported regression network as a face: skin (T, V, 3), tongue (T, Vt, 3), jaw (T, 5, 3), eye (T, 4).

    Skin and tongue are positions, jaw key points are offsets from their neutral, eyes are degrees. `store` is a folder
    for the meshes of long animations.
    """
    channels = ChannelLayout(actor.result_sizes).split(result)
    meshes = {}
    for part in ("skin", "tongue"):
        components = actor.network_data[f"shapes_matrix_{part}"]
        mean = actor.network_data[f"shapes_mean_{part}"]
        file = store / f"{part}.npy" if store is not None else None
        meshes[part] = decode_mesh(channels[f"{part}_coeffs"], components, mean, file)
    jaw = channels["jaw"].reshape(len(result), -1, 3)
    return FaceAnimation(fps, {**meshes, "jaw": np.ascontiguousarray(jaw), "eye": np.ascontiguousarray(channels["eye"])})
