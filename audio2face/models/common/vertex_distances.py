"""Distances between skin vertices, read from coefficients without making the mesh."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audio2face.models.common.inputs import Inputs

logger = logging.getLogger(__name__)

DISTANCE_KEYS = {
    "lip_dist": ("LOSS_LIP_DIST_ALPHA", "SKIN_LIP_DIST_VERTEX_LIST_FPATH"),
    "lip_size": ("LOSS_LIP_SIZE_ALPHA", "SKIN_LIP_SIZE_VERTEX_LIST_FPATH"),
    "eye_dist": ("REMOVE_CLOSING_EYE", "SKIN_EYE_DIST_VERTEX_LIST_FPATH"),
}


@dataclass(frozen=True)
class VertexDistances:
    """Vertical distances between vertex pairs as a linear function of skin coefficients, one per actor.

    d = coeffs @ matrix[actor] + mean[actor]: matrix (A, K, pairs), mean (A, pairs), in data units.
    """

    matrix: Tensor
    mean: Tensor

    def __call__(self, coeffs: Tensor, actor_ids: Tensor) -> Tensor:
        """(n, K) coefficients of actors (n,) -> (n, pairs)."""
        if len(self.matrix) == 1:
            return coeffs @ self.matrix[0] + self.mean[0]
        return torch.einsum("nk,nkp->np", coeffs, self.matrix[actor_ids]) + self.mean[actor_ids]


@dataclass(frozen=True)
class LargestDistance:
    """The largest distance of a set of vertices between two poses, of the difference of their skin coefficients.

    bases: each actor's components at the vertices, (K, n, 3), padded to one number of coefficients.
    """

    bases: list[Tensor]

    def __call__(self, difference: Tensor, actor_ids: Tensor) -> Tensor:
        """(n, K) differences for actors (n,) -> (n,) data units."""
        found = difference.new_zeros(len(difference))
        for actor, basis in enumerate(self.bases):
            rows = (actor_ids == actor).nonzero()[:, 0]
            moved = torch.einsum("nk,kvc->nvc", difference[rows], basis)
            found[rows] = moved.norm(dim=2).amax(dim=1)
        return found


def largest_distance(
    components: list[np.ndarray], vertices: list[np.ndarray], size: int, device: torch.device
) -> LargestDistance:
    """Per actor: components (K, V, 3) and vertex numbers (n,), padded to `size` coefficients."""
    bases = []
    for basis, chosen in zip(components, vertices, strict=True):
        padded = np.zeros((size, len(chosen), 3), np.float32)
        padded[: len(basis)] = basis[:, chosen]
        bases.append(torch.from_numpy(padded).to(device))
    return LargestDistance(bases)


def pair_distances(
    components: list[np.ndarray],
    means: list[np.ndarray],
    upper: list[np.ndarray],
    lower: list[np.ndarray],
    size: int,
    device: torch.device,
) -> VertexDistances:
    """Height of upper over lower vertices as functions of skin coefficients, padded to `size` coefficients.

    Per actor: components (K, V, 3), mean (V, 3), vertex numbers of both ends. Heights are along y, which points up.
    Lists of different lengths are repeated to a common one, which leaves every mean over an actor's pairs as it was.
    """
    length = math.lcm(*(len(up) for up in upper))
    matrices, offsets = [], []
    for basis, mean, own_up, own_low in zip(components, means, upper, lower, strict=True):
        up, low = (np.tile(ends, length // len(ends)) for ends in (own_up, own_low))
        matrix = np.zeros((size, len(up)), np.float32)
        matrix[: len(basis)] = basis[:, up, 1] - basis[:, low, 1]
        matrices.append(matrix)
        offsets.append(np.asarray(mean[up, 1] - mean[low, 1], np.float32))
    return VertexDistances(
        torch.from_numpy(np.stack(matrices)).to(device), torch.from_numpy(np.stack(offsets)).to(device)
    )


def build_distances(inputs: Inputs, num_components: int, device: torch.device, name: str) -> VertexDistances | None:
    """Lip or lid distances ("lip_dist", "lip_size", "eye_dist") as functions of skin coefficients.

    None, with a warning, when an actor has no vertex list for it, or nobody has skin coefficients.
    """
    key, list_key = DISTANCE_KEYS[name]
    if not num_components or not all(run.has_skin for run in inputs.runs.values()):
        logger.warning("%s is off: it needs the skin of every actor, and 'skin_coeffs' in TARGET_CHANNELS", key)
        return None
    pairs = {actor: getattr(inputs.files[actor], f"{name}_pairs")() for actor in inputs.actors}
    missing = [actor for actor, value in pairs.items() if value is None]
    if missing:
        logger.warning("%s is off: no %s for %s", key, list_key, ", ".join(missing))
        return None
    runs = [inputs.runs[a] for a in inputs.actors]
    upper, lower = ([np.asarray(pairs[a][i]) for a in inputs.actors] for i in (0, 1))
    components, means = [r.skin.components for r in runs], [r.skin.mean for r in runs]
    return pair_distances(components, means, upper, lower, num_components, device)
