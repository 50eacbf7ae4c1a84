"""A network's output as a face in data units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from audio2face.face.layout import ChannelLayout
from audio2face.postprocess import chain
from audio2face.runs.disk import reserve
from audio2face.runs.train_run import ActorData
from audio2face.types import FaceAnimation

BLOCK = 256  # frames decoded at once


def decode_mesh(coeffs: np.ndarray, components: np.ndarray, mean: np.ndarray, store: Path | None = None) -> np.ndarray:
    """Coefficients (T, K) with components (K, V, 3) and mean (V, 3) -> vertices (T, V, 3) float32.

    With `store` the result is a memory-mapped .npy file of that name instead of memory.
    """
    frames = empty_frames((len(coeffs), *mean.shape), store)
    basis = components.reshape(len(components), -1)
    for first in range(0, len(coeffs), BLOCK):
        block = coeffs[first : first + BLOCK] @ basis + mean.reshape(-1)
        frames[first : first + BLOCK] = block.reshape(-1, *mean.shape)
    return frames


def regression_animation(result: np.ndarray, actor: ActorData, fps: float, store: Path | None = None) -> FaceAnimation:
    """Rows (T, C) of an exported regression network as a face.

    Skin (T, V, 3) and tongue (T, Vt, 3) are positions, jaw (T, 5, 3) offsets of key points from their neutral, eye (T, 4)
    degrees. `store` is a folder for the meshes of long animations.
    """
    channels = ChannelLayout(actor.result_sizes).split(result)
    meshes = {}
    for part in ("skin", "tongue"):
        components = actor.network_data[f"shapes_matrix_{part}"]
        mean = actor.network_data[f"shapes_mean_{part}"]
        meshes[part] = decode_mesh(channels[f"{part}_coeffs"], components, mean, _file(store, part))
    jaw = np.ascontiguousarray(channels["jaw"]).reshape(len(result), -1, 3)
    return FaceAnimation(fps, {**meshes, "jaw": jaw, "eye": np.ascontiguousarray(channels["eye"])})


def postprocessed_animation(
    result: np.ndarray, actor: ActorData, config: Mapping[str, object], fps: float, store: Path | None = None
) -> FaceAnimation:
    """Rows (T, C) of an exported regression network as the runtime shows them with CONFIG values `config`.

    Skin (T, V, 3) and tongue (T, Vt, 3) are positions, jaw (T, 4, 4) transforms of the lower teeth, eye (T, 6) degrees:
    right then left, each about x, y, z.
    """
    built = chain.build(config, actor.network_data, float(np.float32(1) / np.float32(fps)))
    blocks = (result[first : first + BLOCK] for first in range(0, len(result), BLOCK))
    return chain_animation(built, blocks, len(result), actor, fps, store)


def chain_animation(
    built: chain.Chain, blocks: Iterable[np.ndarray], count: int, actor: ActorData, fps: float, store: Path | None
) -> FaceAnimation:
    """All `count` network rows, given in blocks (n, C), through a post-processing chain."""
    channels = {
        "skin": empty_frames((count, *actor.network_data["shapes_mean_skin"].shape), _file(store, "skin")),
        "tongue": empty_frames((count, *actor.network_data["shapes_mean_tongue"].shape), _file(store, "tongue")),
        "jaw": np.empty((count, 4, 4), np.float32),
        "eye": np.empty((count, 6), np.float32),
    }
    state, first = None, 0
    for block in blocks:
        frames, state = chain.apply(built, block, state)
        parts = {"skin": frames.skin, "tongue": frames.tongue, "jaw": frames.jaw, "eye": frames.eyes}
        for name, values in parts.items():
            channels[name][first : first + len(block)] = values
        first += len(block)
    return FaceAnimation(fps, channels)


def _file(store: Path | None, part: str) -> Path | None:
    return None if store is None else store / f"{part}.npy"


def empty_frames(shape: tuple[int, ...], store: Path | None) -> np.ndarray:
    """An array to be filled: in memory, or in the file `store`."""
    if store is None:
        return np.empty(shape, np.float32)
    frames = np.lib.format.open_memmap(store, mode="w+", dtype=np.float32, shape=shape)
    with store.open("r+b") as file:
        reserve(file, store.stat().st_size)
    return frames
