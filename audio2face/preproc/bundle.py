"""What leaves preprocessing for training and the runtime: neutral geometry, scales, mean geometry."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio2face.dataset.captured import RestData
from audio2face.face.codec import MESHES, FaceCodec, build_codec
from audio2face.types import Pca

logger = logging.getLogger(__name__)

CHANNELS = ("skin", "tongue", "jaw", "eye")
NUM_EYES = 2
KEY_POINT_SPREAD_M = 0.02


@dataclass(frozen=True)
class Placeholders:
    """Shapes of what the data set lacks."""

    jaw: tuple[int, int]
    blinks: tuple[int]
    saccades: tuple[int, int]


@dataclass(frozen=True)
class Bundle:
    """Arrays of network_data.npz, data_info.json and the normalised mean geometry (C,)."""

    network_data: dict[str, np.ndarray]
    data_info: dict[str, Any]
    mean_geometry: np.ndarray

    def codec(self, parts: Collection[str]) -> FaceCodec:
        """The channels of these parts of the face."""
        arrays = self.network_data
        bases = {mesh: Pca(arrays[f"shapes_matrix_{mesh}"], arrays[f"shapes_mean_{mesh}"]) for mesh in MESHES}
        return build_codec(self.data_info, bases).chosen(part for part in CHANNELS if part in parts)


def spread_points(count: int, radius: float) -> np.ndarray:
    """`count` points evenly over a sphere (a Fibonacci lattice): (count, 3) float32, on no line for count >= 3.

    Key points that stand for a jaw without data must span space: with equal or collinear points the runtime's rigid
    fit turns the lower teeth by an arbitrary angle.
    """
    index = np.arange(count) + 0.5
    height = 1 - 2 * index / count
    angle = np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - height**2)
    return (radius * np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], axis=1)).astype(np.float32)


def affine_of(reference: np.ndarray, factor: float = 1.0) -> tuple[np.ndarray, float]:
    """Translation (c,) and scale that bring reference (n, c) about zero and to a largest length of `factor`."""
    reference = np.asarray(reference, np.float64)
    translate = reference.mean(axis=0)
    scale = float(np.abs(reference - translate).max()) / factor
    return translate.astype(np.float32), float(np.float32(scale)) if scale > 0 else 1.0


def build_bundle(
    skin: Pca,
    tongue: Pca,
    rest: RestData,
    placeholders: Placeholders,
    scale_factors: Mapping[str, float],
    units_per_metre: float,
) -> Bundle:
    """Collect what the deployed model needs. A neutral in `rest` replaces the basis' mean; zeros stand for missing arrays.

    `scale_factors` divides the measured scale of a channel (skin, tongue, jaw, eye).
    """
    skin_mean = skin.mean if rest.skin_neutral is None else rest.skin_neutral
    tongue_mean = tongue.mean if rest.tongue_neutral is None else rest.tongue_neutral
    jaw = rest.jaw_neutral
    if jaw is None:
        jaw = spread_points(placeholders.jaw[0], KEY_POINT_SPREAD_M * units_per_metre)
    network_data = {
        "shapes_matrix_skin": skin.components,
        "shapes_mean_skin": skin_mean,
        "neutral_skin": skin_mean,
        "lip_open_pose_delta": _or_zeros(rest.lip_open_delta, skin_mean.shape),
        "eye_close_pose_delta": _or_zeros(rest.eye_close_delta, skin_mean.shape),
        "shapes_matrix_tongue": tongue.components,
        "shapes_mean_tongue": tongue_mean,
        "neutral_tongue": tongue_mean,
        "neutral_jaw": jaw,
        "blink_keys": _or_zeros(rest.blink_keys, placeholders.blinks),
        "saccade_rot_matrix": _or_zeros(rest.saccades, placeholders.saccades),
    }
    references = {"skin": skin_mean, "tongue": tongue_mean, "jaw": jaw, "eye": network_data["saccade_rot_matrix"]}
    affines = {name: affine_of(references[name], scale_factors.get(name, 1.0)) for name in CHANNELS}
    data_info: dict[str, Any] = {
        "num_shapes_skin": len(skin.components),
        "num_verts_skin": len(skin_mean),
        "num_shapes_tongue": len(tongue.components),
        "num_verts_tongue": len(tongue_mean),
        "num_keypoints_jaw": len(jaw),
        "num_angles_eye": references["eye"].shape[1],
    }
    for name, (translate, scale) in affines.items():
        data_info |= {f"translate_{name}": translate.astype(float).tolist(), f"scale_{name}": scale}
    means = [(references[n] - affines[n][0]) / np.float32(affines[n][1]) for n in ("skin", "tongue")]
    still = np.zeros(jaw.size + NUM_EYES * references["eye"].shape[1])
    mean_geometry = np.concatenate([*(mean.ravel() for mean in means), still]).astype(np.float32)
    return Bundle({k: np.ascontiguousarray(v, np.float32) for k, v in network_data.items()}, data_info, mean_geometry)


def _or_zeros(array: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.float32) if array is None else array
