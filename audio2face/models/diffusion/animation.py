"""Frames of a diffusion model as a face in data units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from audio2face.face.layout import ChannelLayout
from audio2face.inference.animation import BLOCK, chain_animation, empty_frames
from audio2face.postprocess import chain
from audio2face.runs.train_run import ActorData
from audio2face.types import FaceAnimation


def pose_layout(actor: ActorData) -> ChannelLayout:
    """Deployed frames: vertices of skin and tongue, jaw key points, eye angles."""
    info = actor.data_info
    return ChannelLayout(
        {
            "skin": 3 * int(info["num_verts_skin"]),
            "tongue": 3 * int(info["num_verts_tongue"]),
            "jaw": 3 * int(info["num_keypoints_jaw"]),
            "eye": 2 * int(info["num_angles_eye"]),
        }
    )


def rest_pose(actor: ActorData) -> np.ndarray:
    """What frames of a diffusion model are offsets from (C,): neutral skin and tongue, zeros for jaw and eye."""
    layout = pose_layout(actor)
    channels = {name: np.zeros(size, np.float32) for name, size in layout.sizes.items()}
    channels |= {mesh: actor.network_data[f"neutral_{mesh}"].ravel() for mesh in ("skin", "tongue")}
    return layout.join(channels)


def diffusion_animation(
    blocks: Iterable[np.ndarray], num_frames: int, actor: ActorData, fps: float, store: Path | None = None
) -> tuple[np.ndarray, FaceAnimation]:
    """Blocks of frames (n, C), offsets in data units, on an actor's face: all values (T, C) in data units, and the face.

    Skin (T, V, 3) and tongue (T, Vt, 3) are positions, jaw (T, 5, 3) offsets of key points from their neutral, eye (T, 4)
    degrees; they are views of the first result. `store` is a folder for the frames of long animations.
    """
    layout, rest = pose_layout(actor), rest_pose(actor)
    values = empty_frames((num_frames, layout.size), None if store is None else store / "values.npy")
    first = 0
    for block in blocks:
        values[first : first + len(block)] = block + rest
        first += len(block)
    if first != num_frames:
        raise AssertionError(f"{first} frames came, {num_frames} were asked for")
    parts = layout.split(values)
    channels = {name: parts[name].reshape(num_frames, -1, 3) for name in ("skin", "tongue", "jaw")}
    return values, FaceAnimation(fps, {**channels, "eye": parts["eye"]})


def postprocessed(
    values: np.ndarray, actor: ActorData, config: Mapping[str, object], fps: float, store: Path | None = None
) -> FaceAnimation:
    """Values (T, C) of `diffusion_animation` as the runtime shows them with CONFIG values `config`.

    Skin (T, V, 3) and tongue (T, Vt, 3) are positions, jaw (T, 4, 4) transforms of the lower teeth, eye (T, 6) degrees:
    right then left, each about x, y, z.
    """
    arrays = {name: array for name, array in actor.network_data.items() if not name.startswith("shapes_")}
    built, rest = chain.build(config, arrays, float(np.float32(1) / np.float32(fps))), rest_pose(actor)
    blocks = (values[first : first + BLOCK] - rest for first in range(0, len(values), BLOCK))
    return chain_animation(built, blocks, len(values), actor, fps, store)
