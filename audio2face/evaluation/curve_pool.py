"""The metrics of a group of curves over several shots, with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from audio2face.evaluation import curve_metrics as metrics
from audio2face.evaluation.curve_score import CURVE_METRICS, CurveScore
from audio2face.evaluation.distributions import frechet_distances, pair_distances
from audio2face.evaluation.score import RESAMPLES, drawings, interval

MOVES = 0.05  # of a column's scale: a truth that spreads less does not move
Distribution = Callable[[Sequence[CurveScore], np.ndarray], np.ndarray]


def pool_curves(scores: Sequence[CurveScore], resamples: int = RESAMPLES) -> dict[str, dict[str, float | None]]:
    """Every metric of a group over several shots, as `score.pool` gives it: {metric: {"value", "low", "high"}}."""
    found: dict[str, dict[str, float | None]] = {}
    if not scores:
        return found
    counts, alone = drawings([(s.actor, s.shot) for s in scores], resamples)
    computed = {**_ratios(scores, counts), **_of_columns(scores, counts), **_spread(scores, counts)}
    for key, metric in CURVE_METRICS.items():
        if metric.pooled == "shots":
            if np.isfinite((values := _of_actors(DISTRIBUTIONS[key], scores, counts))[0]):
                found[key] = interval(values, alone)
        elif key in computed and np.isfinite(computed[key][0]):
            found[key] = interval(computed[key], alone)
    return found


def pool_columns(scores: Sequence[CurveScore]) -> dict[str, dict[str, float | str | None]]:
    """Of every column that the truth knows: unit, known frames, errors, correlation (None where a side is still), spreads."""
    if not scores:
        return {}
    total = np.sum([s.columns for s in scores], axis=0)
    frames, spreads, correlations = total[:, 0], metrics.spreads(total), metrics.correlation(total)
    return {
        name: {
            "unit": scores[0].units[c],
            "frames": int(frames[c]),
            "mean_absolute_error": float(total[c, 6] / frames[c]),
            "rms_error": float(np.sqrt(total[c, 7] / frames[c])),
            "correlation": float(correlations[c]) if np.isfinite(correlations[c]) else None,
            "true_spread": float(spreads[0][c]),
            "predicted_spread": float(spreads[1][c]),
        }
        for c, name in enumerate(scores[0].names)
        if frames[c]
    }


def moving(scores: Sequence[CurveScore]) -> np.ndarray:
    """(C,) bool: the columns of which the truth moves in any of the shots together."""
    true, _ = metrics.spreads(np.sum([s.columns for s in scores], axis=0))
    return np.nan_to_num(true) > MOVES * np.max([s.scale for s in scores], axis=0)


# ---- of drawings of shots


def _of_actors(distribution: Distribution, scores: Sequence[CurveScore], counts: np.ndarray) -> np.ndarray:
    """The mean (1 + R,) of the actors' values, by their frames: each has a scale of its own and is measured alone."""
    total, frames = np.zeros(len(counts)), np.zeros(len(counts))
    for actor in dict.fromkeys(s.actor for s in scores):
        own = [place for place, s in enumerate(scores) if s.actor == actor]
        values = distribution([scores[place] for place in own], counts[:, own])
        weights = np.where(
            np.isfinite(values), counts[:, own] @ [float(len(scores[place].poses[0])) for place in own], 0
        )
        total += np.where(weights > 0, values, 0) * weights
        frames += weights
    with np.errstate(invalid="ignore"):
        return total / frames


def _frechet_poses(scores: Sequence[CurveScore], counts: np.ndarray) -> np.ndarray:
    return frechet_distances([s.poses[0] for s in scores], [s.poses[1] for s in scores], counts)


def _frechet_moves(scores: Sequence[CurveScore], counts: np.ndarray) -> np.ndarray:
    return frechet_distances([s.moves[0] for s in scores], [s.moves[1] for s in scores], counts)


def _pose_diversity(scores: Sequence[CurveScore], counts: np.ndarray) -> np.ndarray:
    lengths = [len(s.poses[1]) for s in scores]
    names = [s.shot for s in scores]
    return pair_distances([s.frames for s in scores], lengths, names, counts, np.random.default_rng(0))


DISTRIBUTIONS: dict[str, Distribution] = {
    "frechet_poses": _frechet_poses,
    "frechet_differences": _frechet_moves,
    "pose_diversity": _pose_diversity,
}


def _ratios(scores: Sequence[CurveScore], counts: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics (1 + R,) that are ratios of sums."""
    found = {}
    for key in dict.fromkeys(key for s in scores for key in s.sums):
        total, weight = (counts @ np.array([s.sums.get(key, (0.0, 0.0)) for s in scores])).T
        with np.errstate(invalid="ignore", divide="ignore"):
            found[key] = np.sqrt(total / weight) if CURVE_METRICS[key].pooled == "root" else total / weight
    return found


def _of_columns(scores: Sequence[CurveScore], counts: np.ndarray) -> dict[str, np.ndarray]:
    """Correlations (1 + R,): of the headline, and the mean of the columns that move, where a still prediction counts 0."""
    found, moves = {}, moving(scores)
    sums = np.tensordot(counts, np.stack([s.columns for s in scores]), axes=1)
    every = metrics.correlation(sums)
    if (headline := scores[0].headline) is not None:
        found["headline_correlation"] = every[:, scores[0].names.index(headline)]
    if np.isfinite(every[0, moves]).any():
        true, _ = metrics.spreads(sums[:, moves])
        known = np.where(np.isnan(every[:, moves]) & (true > 0), 0.0, every[:, moves])
        there = np.isfinite(known)
        with np.errstate(invalid="ignore", divide="ignore"):
            found["correlation"] = np.where(there, known, 0).sum(axis=1) / there.sum(axis=1)
    return found


def _spread(scores: Sequence[CurveScore], counts: np.ndarray) -> dict[str, np.ndarray]:
    true, ours = metrics.spreads(np.tensordot(counts, np.stack([s.values for s in scores]), axes=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"activity_ratio": np.sqrt(np.nansum(ours**2, axis=1) / np.nansum(true**2, axis=1))}
