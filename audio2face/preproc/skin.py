"""The skin's basis: similar poses dropped, distinct ones chosen, their principal components, all frames expressed in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio2face.geometry.pose_selection.select import select_distinct
from audio2face.geometry.poses import PoseRows, PoseSequence
from audio2face.preproc.basis import BasisSettings, Frames, MeshBasis, fit_basis, log_stage, project_shots, prune_shots


def build_skin(
    sequences: Sequence[PoseSequence],
    choosing: Sequence[PoseSequence],
    vertices: np.ndarray | None,
    neutral: np.ndarray | None,
    settings: BasisSettings,
    max_rounds: int,
) -> MeshBasis:
    """Basis and coefficients of the skin of all `sequences`.

    Poses are chosen on `choosing`, which may be a coarser mesh or some of the shots only, comparing `vertices` (n,) of
    it; the chosen frames are then taken from `sequences`. Centred on neutral (V, 3) when given.
    """
    total = sum(s.num_frames for s in choosing)
    similar = prune_shots(choosing, vertices, settings, "skin")
    log_stage("skin", "left without similar ones", similar, total)
    distinct = _choose(choosing, similar, vertices, settings, max_rounds)
    log_stage("skin", "chosen as distinct", distinct, total)
    basis = fit_basis(sequences, distinct, neutral, settings, "skin")
    stages = {"similar_pruned": similar, "distinct": distinct}
    return project_shots(sequences, basis, stages, settings, "skin")


def _choose(
    sequences: Sequence[PoseSequence],
    frames: Frames,
    vertices: np.ndarray | None,
    settings: BasisSettings,
    max_rounds: int,
) -> Frames:
    rows = PoseRows(sequences, [np.array(frames[s.name]) for s in sequences], vertices, settings.memory)
    chosen = np.sort(select_distinct(rows, max_rounds, progress=True))
    return {s.name: rows.frame[chosen[rows.shot[chosen] == i]].tolist() for i, s in enumerate(sequences)}
