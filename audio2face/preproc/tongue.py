"""The tongue's basis: motion of the jaw removed, similar poses dropped, principal components, all frames in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio2face.geometry.pca_fit import Fit
from audio2face.geometry.poses import PoseSequence
from audio2face.geometry.rigid import stabilize
from audio2face.preproc.basis import BasisSettings, MeshBasis, fit_basis, log_stage, project_shots, prune_shots
from audio2face.types import Pca


def build_tongue(
    sequences: Sequence[PoseSequence],
    rigid_vertices: np.ndarray | None,
    neutral: np.ndarray | None,
    settings: BasisSettings,
) -> MeshBasis:
    """Basis and coefficients of the tongue, after the rigid motion of `rigid_vertices` (n,) against neutral is removed."""
    if rigid_vertices is not None and neutral is not None:
        sequences = [_stabilized(sequence, rigid_vertices, neutral) for sequence in sequences]
    similar = prune_shots(sequences, None, settings, "tongue", max_rounds=1)
    log_stage("tongue", "left without similar ones", similar, sum(s.num_frames for s in sequences))
    basis = fit_basis(sequences, similar, neutral, settings, "tongue")
    return project_shots(sequences, basis, {"similar_pruned": similar}, settings, "tongue")


def still_mesh(shape: tuple[int, int, int], num_frames: dict[str, int]) -> MeshBasis:
    """The basis of an actor without data of a mesh: zeros of `shape` (K, V, 3), zero coefficients for every shot."""
    pca = Pca(np.zeros(shape, np.float32), np.zeros(shape[1:], np.float32), np.zeros(shape[0], np.float32))
    coeffs = {shot: np.zeros((count, shape[0]), np.float32) for shot, count in num_frames.items()}
    return MeshBasis(Fit(pca, 0.0), coeffs, {}, {})


def _stabilized(sequence: PoseSequence, vertices: np.ndarray, neutral: np.ndarray) -> PoseSequence:
    return PoseSequence(
        sequence.name, sequence.num_frames, lambda frames: stabilize(sequence.read(frames), vertices, neutral)
    )
