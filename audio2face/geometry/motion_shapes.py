"""A moving mesh as a few morph targets and their weights."""

from __future__ import annotations

import numpy as np

MOST_FRAMES = 600  # the shapes of longer clips are found on this many of their frames, evenly spaced
MOST_SHAPES = 200
BLOCK = 256


def clip_shapes(frames: np.ndarray, rest: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Shapes (K, V, 3) and weights (T, K) so that frames (T, V, 3) = rest (V, 3) + weights . shapes, and the error.

    The error is the largest distance of a vertex from its place; components are doubled until it is at most
    `tolerance`, or they are MOST_SHAPES. Shapes are the clip's principal components, each way by itself, so that
    weights are 0 to 1.
    """
    count, rest = len(frames), np.asarray(rest, np.float32)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int))
    motion = (np.asarray(frames[chosen], np.float32) - rest).reshape(len(chosen), -1)
    variances, vectors = np.linalg.eigh((motion @ motion.T).astype(np.float64))
    order = np.argsort(variances)[::-1]
    order = order[variances[order] > 1e-10 * max(float(variances.max(initial=0)), 1e-30)]
    if not len(order) or not motion.any():
        return np.zeros((0, *rest.shape), np.float32), np.zeros((count, 0), np.float32), 0.0
    basis = (vectors[:, order] / np.sqrt(variances[order])).T.astype(np.float32) @ motion  # (K, 3V), orthonormal
    basis = basis[:MOST_SHAPES]
    weights = np.concatenate([_flat(frames, i, rest) @ basis.T for i in range(0, count, BLOCK)])
    shapes = 4
    while True:
        shapes = min(2 * shapes, len(basis))
        error = max(
            _error(_flat(frames, i, rest), basis, weights[i : i + BLOCK], shapes) for i in range(0, count, BLOCK)
        )
        if error <= tolerance or shapes == len(basis):
            break
    return *_one_sided(basis[:shapes].reshape(shapes, *rest.shape), weights[:, :shapes]), error


def _one_sided(shapes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same motion with weights of 0 to 1: some programs cut others off. A shape that goes both ways becomes two."""
    both = np.concatenate([shapes, -shapes]), np.maximum(np.concatenate([weights, -weights], axis=1), 0)
    size = both[1].max(axis=0, initial=0.0)
    used = size > 1e-6 * size.max(initial=0.0)
    return both[0][used] * size[used, None, None], both[1][:, used] / size[used]


def _flat(frames: np.ndarray, first: int, rest: np.ndarray) -> np.ndarray:
    block = np.asarray(frames[first : first + BLOCK], np.float32) - rest
    return block.reshape(len(block), -1)


def _error(motion: np.ndarray, basis: np.ndarray, weights: np.ndarray, shapes: int) -> float:
    gap = motion - weights[:, :shapes] @ basis[:shapes]
    return float(np.linalg.norm(gap.reshape(len(gap), -1, 3), axis=2).max(initial=0.0))
