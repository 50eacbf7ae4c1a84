"""Blendshape weights that best explain finished skin or tongue frames, solved as the runtime solves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.postprocess import box_solver
from audio2face.problems import UserError

DEFAULT_TEMPLATE_SIZE = 54.7
SOLVERS = {"runtime": box_solver.residual_problem, "optimal": box_solver.energy_problem}

_CANCELLED = 1e-10  # the upper bound left to the weaker pose of a cancel pair


@dataclass(frozen=True)
class BlendshapeParams:
    """The "blendshape_params" of a blendshape config file, P poses, checked.

    `active` (P,) bool; `cancel`, `symmetry` (P,) int with one value per pair and -1 for none; `multipliers`,
    `offsets` (P,) float64 applied to the solved weights; `l1`, `l2`, `temporal`, `symmetric` are strengths.
    """

    l1: float
    l2: float
    temporal: float
    symmetric: float
    template_size: float
    active: np.ndarray
    cancel: np.ndarray
    symmetry: np.ndarray
    multipliers: np.ndarray
    offsets: np.ndarray

    @classmethod
    def parse(cls, params: Mapping[str, object]) -> BlendshapeParams:
        """From the JSON object. ValueError: a missing key, an array of another length than numPoses, a bad strength."""
        try:
            num_poses = int(params["numPoses"])  # type: ignore[call-overload]
            per_pose = {key: np.asarray(params[key], np.float64) for key in _PER_POSE}
            strengths = [float(params[key]) for key in _STRENGTHS]  # type: ignore[arg-type]
            template_size = float(params.get("templateBBSize", DEFAULT_TEMPLATE_SIZE))  # type: ignore[arg-type]
        except KeyError as error:
            raise ValueError(f"blendshape_params has no {error.args[0]}") from error
        except TypeError as error:
            raise ValueError(f"blendshape_params: {error}") from error
        for key, values in per_pose.items():
            if values.shape != (num_poses,):
                raise ValueError(f"blendshape_params: {key} has shape {values.shape}, numPoses is {num_poses}")
        if not all(np.isfinite(strengths)) or min(strengths) < 0 or not template_size >= 1:
            raise ValueError("blendshape_params: strengths must be >= 0 and templateBBSize >= 1")
        active, cancel, symmetry = (np.trunc(per_pose[key]).astype(np.int64) for key in _PER_POSE[:3])
        if not active.any():
            raise ValueError("blendshape_params: no pose is active in bsSolveActivePoses")
        l1, l2, temporal, symmetric = strengths
        return cls(
            l1=l1,
            l2=l2,
            temporal=temporal,
            symmetric=symmetric,
            template_size=template_size,
            active=active != 0,
            cancel=cancel,
            symmetry=symmetry,
            multipliers=per_pose["bsWeightMultipliers"],
            offsets=per_pose["bsWeightOffsets"],
        )


_PER_POSE = (
    "bsSolveActivePoses",
    "bsSolveCancelPoses",
    "bsSolveSymmetryPoses",
    "bsWeightMultipliers",
    "bsWeightOffsets",
)
_STRENGTHS = (
    "strengthL1regularization",
    "strengthL2regularization",
    "strengthTemporalSmoothing",
    "strengthSymmetry",
)


@dataclass(frozen=True)
class Solver:
    """The solver's constants, float64; k active poses, R rows (3 per vertex used).

    `neutral` (R,), `deltas` (k, R), `rows` the coordinates used (None for all), `problem` the k x k quadratic problem,
    `memory` the weight of the previous solution, `cancel_pairs` (n, 2) columns.
    """

    params: BlendshapeParams
    num_vertices: int
    neutral: np.ndarray
    deltas: np.ndarray
    rows: np.ndarray | None
    problem: box_solver.Problem
    memory: float
    cancel_pairs: np.ndarray


def build(
    params: Mapping[str, object] | BlendshapeParams,
    neutral: np.ndarray,
    deltas: np.ndarray,
    mask: np.ndarray | None = None,
    method: str = "runtime",
) -> Solver:
    """A solver for poses `deltas` (P, V, 3) from `neutral` (V, 3), fitted on vertices `mask` (indices; None: all).

    `method`: "runtime" minimises the residual of the normal equations |A x - b|^2, which is what the runtime does;
    "optimal" the regularised least squares x^T A x - 2 b^T x that they come from. ValueError: shapes, indices, params.
    """
    if method not in SOLVERS:
        raise UserError(f"unknown blendshape solver {method!r}; known: {', '.join(SOLVERS)}")
    p = params if isinstance(params, BlendshapeParams) else BlendshapeParams.parse(params)
    neutral = np.asarray(neutral, np.float64).reshape(-1, 3)
    deltas = np.asarray(deltas, np.float64).reshape(-1, *neutral.shape)
    if len(deltas) != len(p.active):
        raise ValueError(f"{len(deltas)} blendshape poses, but numPoses is {len(p.active)}")
    rows = _coordinates(mask, len(neutral))
    basis = deltas[p.active].reshape(p.active.sum(), -1)
    if rows is not None:
        basis = basis[:, rows]
    scale = float((np.linalg.norm(np.ptp(neutral, axis=0)) / p.template_size) ** 2)
    return Solver(
        params=p,
        num_vertices=len(neutral),
        neutral=neutral.ravel() if rows is None else neutral.ravel()[rows],
        deltas=np.ascontiguousarray(basis),
        rows=rows,
        problem=SOLVERS[method](_normal_matrix(p, basis, scale)),
        memory=p.temporal * scale,
        cancel_pairs=pairs(p.cancel[p.active]),
    )


def _coordinates(mask: np.ndarray | None, num_vertices: int) -> np.ndarray | None:
    """Vertex indices -> indices into the flat coordinates, or None for all of them."""
    if mask is None or np.size(mask) == 0:
        return None
    mask = np.asarray(mask, np.int64).ravel()
    if mask.min() < 0 or mask.max() >= num_vertices:
        raise ValueError(f"the mask names vertex {mask.min()} .. {mask.max()}, the mesh has {num_vertices}")
    return (mask[:, None] * 3 + np.arange(3)).ravel()


def _normal_matrix(p: BlendshapeParams, basis: np.ndarray, scale: float) -> np.ndarray:
    """A (k, k): inner products of the poses (k, R) plus the sparsity, size, smoothness and symmetry terms."""
    k = len(basis)
    matrix = basis @ basis.T + 0.25 * p.l1**2 * scale * np.ones((k, k))
    matrix += (10 * p.l2 + 100 * p.temporal) * scale * np.eye(k)
    for left, right in pairs(p.symmetry[p.active]):
        difference = np.zeros(k)
        difference[left], difference[right] = 1, -1
        matrix += 10 * p.symmetric * scale * np.outer(difference, difference)
    return matrix


def pairs(marks: np.ndarray) -> np.ndarray:
    """Pairs (n, 2) of positions in `marks` (k,) that carry the same value, when exactly two do.

    The runtime does not exclude -1, the mark for "no pair": two active poses that carry it become a pair, here too.
    """
    found = [np.flatnonzero(marks == value) for value in np.unique(marks)]
    return np.array([pair for pair in found if len(pair) == 2], np.int64).reshape(-1, 2)


def solve(solver: Solver, positions: np.ndarray, state: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Weights (T, P) float32 of frames (T, V, 3) or (T, 3V) of absolute positions, and the state for the next call.

    The state is the last solution (k,) of the active poses, before multipliers and offsets; zeros at the start.
    """
    p = solver.params
    positions = np.asarray(positions).reshape(-1, solver.num_vertices * 3)
    weights = np.zeros((len(positions), len(p.active)))
    x = np.zeros(len(solver.deltas)) if state is None else state
    for row, frame in zip(weights, positions, strict=True):
        motion = (frame if solver.rows is None else frame[solver.rows]) - solver.neutral
        x = _solve_frame(solver, solver.deltas @ motion + solver.memory * x, guess=x)
        row[p.active] = x
    return (weights * p.multipliers + p.offsets).astype(np.float32), x


def _solve_frame(solver: Solver, b: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """One frame's weights (k,) within 0..1; of a cancel pair only the stronger pose is kept."""
    upper = np.ones(len(b))
    x = box_solver.minimise(solver.problem, b, upper, guess=np.where(guess <= _CANCELLED, 0, guess))
    if len(solver.cancel_pairs) == 0:
        return x
    left, right = solver.cancel_pairs.T
    upper[np.where(x[left] < x[right], left, right)] = _CANCELLED
    return box_solver.minimise(solver.problem, b, upper, guess=x)
