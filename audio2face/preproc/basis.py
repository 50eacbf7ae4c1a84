"""What both meshes share: frames kept by shot, a basis fitted to them, and every shot expressed in it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.geometry.pca_fit import Fit, ShotError, fit, project_sequence
from audio2face.geometry.poses import PoseRows, PoseSequence, prune_similar
from audio2face.logs import each
from audio2face.problems import UserError
from audio2face.runs.disk import reserve

logger = logging.getLogger(__name__)

Frames = dict[str, list[int]]


@dataclass(frozen=True)
class BasisSettings:
    """How finely a mesh is described. Distances are in units of the mesh, over all coordinates at once; memory in bytes.

    `scratch` is the folder for what does not fit in memory; the system's own when None.
    """

    similar_distance: float
    variance_share: float
    num_components: int | None
    memory: float
    scratch: Path | None = None


@dataclass(frozen=True)
class MeshBasis:
    """A mesh's basis, the coefficients {shot: (T, K)} and errors of all shots, and the frames that each stage kept."""

    fit: Fit
    coeffs: dict[str, np.ndarray]
    errors: dict[str, ShotError]
    stages: dict[str, Frames]


def prune_shots(
    sequences: Sequence[PoseSequence],
    vertices: np.ndarray | None,
    settings: BasisSettings,
    what: str,
    max_rounds: int | None = None,
) -> Frames:
    """Frames of every shot that are left when similar ones are dropped. Raises UserError listing frames that are not finite."""
    kept: Frames = {}
    problems = []
    for sequence in each(sequences, len(sequences), f"{what}: similar poses", "shot"):
        rows = PoseRows([sequence], [np.arange(sequence.num_frames)], vertices, settings.memory)
        try:
            kept[sequence.name] = prune_similar(rows, settings.similar_distance, max_rounds).tolist()
        except FloatingPointError as error:
            problems.append(_not_finite(what, sequence, error))
    if problems:
        raise UserError(problems)
    return kept


def fit_basis(
    sequences: Sequence[PoseSequence], frames: Frames, centre: np.ndarray | None, settings: BasisSettings, what: str
) -> Fit:
    """The basis of the poses at `frames`, about `centre` (V, 3) or their mean."""
    chosen = [sequence for sequence in sequences if frames.get(sequence.name)]
    count = sum(len(frames[s.name]) for s in chosen)
    shape = (count, *chosen[0].read(np.array([0])).shape[1:])
    if settings.num_components is not None and settings.num_components > count:
        key = f"{what.upper()}_FORCE_COMPONENTS"
        raise UserError(
            f"{key}: {settings.num_components} components need as many distinct poses, the data has {count}"
        )
    with tempfile.TemporaryFile(dir=settings.scratch) as spill:
        size = 4 * int(np.prod(shape, dtype=np.int64))
        large = size > settings.memory / 4
        reserve(spill, size if large else 0)
        poses = np.memmap(spill, np.float32, "w+", shape=shape) if large else np.empty(shape, np.float32)
        place = 0
        for sequence in chosen:
            rows = np.array(frames[sequence.name])
            poses[place : place + len(rows)] = sequence.read(rows)
            place += len(rows)
        result = fit(poses, centre, settings.variance_share, settings.num_components)
    if not result.pca.components.any():
        logger.warning("%s: nothing moves in the chosen poses; its basis is one component of zeros", what)
    return result


def project_shots(
    sequences: Sequence[PoseSequence], basis: Fit, frames: dict[str, Frames], settings: BasisSettings, what: str
) -> MeshBasis:
    """Coefficients and reconstruction error of every shot. Raises UserError listing frames that are not finite."""
    coeffs: dict[str, np.ndarray] = {}
    errors: dict[str, ShotError] = {}
    problems = []
    for sequence in each(sequences, len(sequences), f"{what}: coefficients", "shot"):
        try:
            coeffs[sequence.name], errors[sequence.name] = project_sequence(basis.pca, sequence, settings.memory)
        except FloatingPointError as error:
            problems.append(_not_finite(what, sequence, error))
    if problems:
        raise UserError(problems)
    return MeshBasis(basis, coeffs, errors, frames)


def log_stage(what: str, stage: str, frames: Frames, total: int) -> None:
    """Say how many frames a stage kept."""
    logger.info("%s: %d of %d frames %s", what, sum(map(len, frames.values())), total, stage)
    for shot, kept in frames.items():
        logger.debug("%s: shot %s: %d frames %s", what, shot, len(kept), stage)


def _not_finite(what: str, sequence: PoseSequence, error: FloatingPointError) -> str:
    return (
        f"{what.upper()}_CACHE_ROOT: shot {sequence.name}: {error}. Export it again; all such frames are listed by: "
        "python -m runners.check_dataset CONFIG_NAME"
    )
