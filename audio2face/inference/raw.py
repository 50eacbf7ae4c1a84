"""`<stem>.raw.npz`: what a network gave before post-processing, beside an animation, so that edits can go on from it. NumPy only."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from audio2face.face.codec import BLOCK, FaceCodec
from audio2face.formats.npy import read_npz, write_npz
from audio2face.geometry.pca import project

logger = logging.getLogger(__name__)

ENDING = ".raw.npz"
ENDINGS = ("_skin", "_blendshapes")  # of an animation's name that are not the stem's


def raw_path(animation: Path) -> Path:
    """The file that lies beside an animation, whose name may end as those of single meshes do."""
    stem = animation.stem
    for ending in ENDINGS:
        stem = stem.removesuffix(ending)
    return animation.with_name(stem + ENDING)


def raw_channels(codec: FaceCodec, face: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{channel: (T, size)} in data units of a face {part: as `FaceCodec.decode`}: meshes by coefficients, a block at a time."""
    found = {}
    for channel in codec.face.channels:
        values = face.get(channel.part)
        if values is None:
            continue
        if channel.basis is None:
            found[channel.name] = values.reshape(len(values), -1)
        else:
            blocks = [values[first : first + BLOCK] for first in range(0, len(values), BLOCK)]
            found[channel.name] = np.concatenate([project(channel.basis, block) for block in blocks])
    return found


def write_raw(path: Path, channels: Mapping[str, np.ndarray], fps: float) -> None:
    """Write channels {name: (T, size)}."""
    write_npz(path, {**channels, "fps": np.array(fps)})


def read_raw(path: Path, channel: str, shape: tuple[int, int], fps: float) -> np.ndarray | None:
    """The values (T, size) of a channel; None, and a line in the log, where the file is of another animation or run."""
    arrays = read_npz(path)
    values, rate = arrays.get(channel), arrays.get("fps")
    if values is None or values.shape != shape or rate is None or abs(float(rate) / fps - 1) > 1e-6:
        found = "nothing" if values is None else str(values.shape)
        logger.warning(
            "%s: expected %s %s at %g frames a second, found %s: it is not used", path, channel, shape, fps, found
        )
        return None
    return values.astype(np.float32)
