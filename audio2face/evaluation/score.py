"""All metrics of one shot, and their pooling over shots with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audio2face.evaluation import errors, motion, mouth, sync
from audio2face.geometry.regions import (
    mean_opening,
    mouth_opening_correlation,
    mouth_opening_error_mm,
    mouth_opening_relative_error,
    upper_face_mask,
)

BLOCK = 256  # frames of the whole face at once
RESAMPLES = 1000
COVERAGE = 0.95
UPPER_SHARE = 0.5  # of the soft mask: from here on a vertex belongs to the upper face
FRECHET_DIMENSIONS = 16


@dataclass(frozen=True)
class Metric:
    """A metric. `best` is the value of a perfect animation, None where the truth's own value is the aim."""

    label: str
    unit: str
    best: float | None = 0.0
    pooled: str = "mean"


METRICS = {
    "lip_vertex_error_mm": Metric("lip vertex error, mean of the maximum", "mm"),
    "lip_vertex_error_max_squared": Metric("lip vertex error, mean of the maximum squared", "unit²"),
    "lip_vertex_error_rms": Metric("lip vertex error, RMS of the maximum", "unit", pooled="rms"),
    "lip_vertex_error_squared_xyz": Metric("lip vertex error, squared, mean over x, y, z", "unit²"),
    "mean_vertex_error_mm": Metric("mean vertex error", "mm"),
    "upper_face_dynamics_deviation": Metric("upper-face dynamics deviation, signed", "unit²"),
    "upper_face_dynamics_error_mm": Metric("upper-face dynamics error, absolute", "mm"),
    "mouth_opening_correlation": Metric("mouth opening, correlation", "", 1.0, "correlation"),
    "mouth_opening_error_mm": Metric("mouth opening, error", "mm"),
    "mouth_opening_relative_error": Metric("mouth opening, error relative to the mean pose's", ""),
    "lip_closure_error_mm": Metric("lip closure error", "mm"),
    "lip_closure_mbp_error_mm": Metric("lip closure error on m, b, p", "mm"),
    "lip_distance_dtw_mm": Metric("lip distance, time-warped", "mm"),
    "lip_velocity_error_mm_s": Metric("lip velocity error", "mm/s"),
    "lip_jerk_ratio": Metric("lip jerk, ratio to the truth", "", 1.0),
    "lag_behind_truth_ms": Metric("lag of the mouth behind the true one", "ms"),
    "audio_mouth_lag_ms": Metric("lag of the mouth behind the sound", "ms", None),
    "beat_alignment": Metric("beat alignment", "", None),
    "frechet_poses_mm2": Metric("Fréchet distance of poses", "mm²", pooled="shots"),
    "frechet_differences_mm2": Metric("Fréchet distance of frame differences", "mm²", pooled="shots"),
    "diversity_mm": Metric("diversity over takes", "mm", None),
    "real_time_factor": Metric("real-time factor", "", None),
}


@dataclass(frozen=True)
class Face:
    """Actor data for the metrics. Lists are None where the data set has none; `mm` is millimetres per data unit."""

    neutral: np.ndarray  # (V, 3)
    mm: float
    lips: np.ndarray | None = None  # (n,)
    lip_pairs: tuple[np.ndarray, np.ndarray] | None = None  # upper and lower (k,)
    upper: np.ndarray | None = None  # (m,)
    rest_opening: float = 0.0  # of the mean pose of the training data
    axes: np.ndarray | None = None  # (K, V, 3) orthonormal directions for distances between distributions

    def opening(self, frames: np.ndarray) -> np.ndarray | None:
        """The mouth's opening (T,) of frames (T, V, 3)."""
        return None if self.lip_pairs is None else np.asarray(mean_opening(frames, *self.lip_pairs), np.float64)


def upper_vertices(neutral: np.ndarray, lids: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray | None:
    """Vertices (m,) of the upper face, from the lids' pairs (left eye, right eye); None without them."""
    if lids is None or len(lids[1]) < 2:
        return None
    lower = lids[1][[0, -1]]
    return np.flatnonzero(upper_face_mask(neutral, lower) > UPPER_SHARE)


@dataclass(frozen=True)
class ShotScore:
    """One animation of one shot against the truth: values by metric (absent: not measurable) and what pooling needs."""

    shot: str
    actor: str
    emotion: str
    seconds: float
    values: dict[str, float]
    weights: dict[str, float]
    openings: tuple[np.ndarray, np.ndarray] | None = None  # true, predicted (T,), data units
    error: np.ndarray | None = None  # (T,) largest lip vertex distance, millimetres
    poses: tuple[np.ndarray, np.ndarray] | None = None  # true, predicted (T, K), millimetres
    fps: float = 0.0


def score_shot(
    name: tuple[str, str, str],
    truth: np.ndarray,
    prediction: np.ndarray,
    face: Face,
    fps: float,
    energy: np.ndarray | None,
    bilabials_s: Sequence[tuple[float, float]] | None = None,
) -> ShotScore:
    """Every metric of frames (T, V, 3) against the true ones; `name`: (shot, actor, emotion); `energy` (T,): sound's.

    `bilabials_s`: when m, b and p are spoken, in seconds from the start of the first frame; None when unknown.
    """
    count = len(truth)
    if prediction.shape != truth.shape:
        raise ValueError(f"shot {name[0]}: the prediction has shape {prediction.shape}, the truth {truth.shape}")
    values: dict[str, float] = {"mean_vertex_error_mm": _blockwise_mean_error(truth, prediction, face.mm)}
    weights: dict[str, float] = {}
    lip_error = None
    if face.lips is not None:
        true, ours = truth[:, face.lips], prediction[:, face.lips]
        every = np.arange(len(face.lips))
        values["lip_vertex_error_mm"] = errors.lip_vertex_error_mm(true, ours, every, face.mm)
        values["lip_vertex_error_max_squared"] = errors.lip_vertex_error_max_squared(true, ours, every)
        values["lip_vertex_error_rms"] = errors.lip_vertex_error_rms(true, ours, every)
        values["lip_vertex_error_squared_xyz"] = errors.lip_vertex_error_squared_xyz(true, ours, every)
        values["lip_velocity_error_mm_s"] = motion.velocity_error_mm_s(true, ours, fps, face.mm)
        values["lip_jerk_ratio"] = motion.jerk_ratio(true, ours)
        weights["lip_jerk_ratio"] = motion.mean_jerk_mm_s3(true, fps, face.mm) * count
        if energy is not None:
            beats = sync.audio_beats(energy, fps), sync.motion_beats(ours, fps)
            values["beat_alignment"] = sync.beat_alignment(*beats)
        lip_error = errors.vertex_distances(true, ours).max(axis=1) * face.mm
    if face.upper is not None:
        parts = (truth[:, face.upper], prediction[:, face.upper], face.neutral[face.upper], np.arange(len(face.upper)))
        values["upper_face_dynamics_deviation"] = errors.upper_face_dynamics_deviation(*parts)
        values["upper_face_dynamics_error_mm"] = errors.upper_face_dynamics_error_mm(*parts, face.mm)
    openings, true_opening, our_opening = None, face.opening(truth), face.opening(prediction)
    if true_opening is not None and our_opening is not None:
        openings = true_opening, our_opening
        found, weighted = _mouth(*openings, face, fps, energy, bilabials_s)
        values |= found
        weights |= weighted
    return ShotScore(
        *name,
        seconds=count / fps,
        values={key: value for key, value in values.items() if np.isfinite(value)},
        weights={key: weights.get(key, float(count)) for key in METRICS},
        openings=openings,
        error=lip_error,
        poses=None if face.axes is None else (_project(truth, face), _project(prediction, face)),
        fps=fps,
    )


def _mouth(
    truth: np.ndarray,
    prediction: np.ndarray,
    face: Face,
    fps: float,
    energy: np.ndarray | None,
    bilabials_s: Sequence[tuple[float, float]] | None,
) -> tuple[dict[str, float], dict[str, float]]:
    closed = mouth.closed_frames(truth)
    values = {
        "mouth_opening_correlation": mouth_opening_correlation(truth, prediction),
        "mouth_opening_error_mm": mouth_opening_error_mm(truth, prediction, face.mm),
        "mouth_opening_relative_error": mouth_opening_relative_error(truth, prediction, face.rest_opening),
        "lip_closure_error_mm": mouth.lip_closure_error_mm(truth, prediction, closed, face.mm),
        "lip_distance_dtw_mm": mouth.lip_distance_dtw_mm(truth, prediction, fps, face.mm),
        "lag_behind_truth_ms": sync.lag_ms(truth, prediction, fps),
    }
    if energy is not None:
        values["audio_mouth_lag_ms"] = sync.lag_ms(energy, prediction, fps)
    weights = {
        "mouth_opening_relative_error": float(np.abs(truth - face.rest_opening).sum()),
        "lip_closure_error_mm": float(len(closed)),
    }
    if bilabials_s is not None:
        spoken = mouth.spoken_closures(truth, bilabials_s, fps)
        values["lip_closure_mbp_error_mm"] = mouth.lip_closure_error_mm(truth, prediction, spoken, face.mm)
        weights["lip_closure_mbp_error_mm"] = float(len(spoken))
    return values, weights


def pool(scores: Sequence[ShotScore], resamples: int = RESAMPLES) -> dict[str, dict[str, float | None]]:
    """Every metric over several shots: {metric: {"value", "low", "high"}}, with a 95 % confidence interval.

    Means are over all frames together, ratios are of sums, the correlation is that of all frames in one row. The
    interval is from resampling whole shots with replacement (Efron 1979, percentiles); None for a single shot and for
    distances between distributions, which are measured for each actor alone and averaged by frames.
    """
    found: dict[str, dict[str, float | None]] = {}
    if not scores:
        return found
    counts, alone = drawings([(s.actor, s.shot) for s in scores], resamples)
    for key, metric in METRICS.items():
        if metric.pooled == "shots":
            value = _frechet(scores, differences=key.endswith("differences_mm2"))
            if np.isfinite(value):
                found[key] = {"value": value, "low": None, "high": None}
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            values = _pooled(key, metric, scores, counts)
        if values is None or not np.isfinite(values[0]):
            continue
        found[key] = interval(values, alone)
    return found


def drawings(shots: Sequence[tuple[str, str]], resamples: int = RESAMPLES) -> tuple[np.ndarray, bool]:
    """How often each score, of the (actor, shot) given, counts: (1 + R, S); once in the first row, in the others as often as
    its shot was drawn. And whether there is but one shot."""
    names = list(dict.fromkeys(shots))
    shot_of = np.array([names.index(shot) for shot in shots])
    rng = np.random.default_rng(0)
    drawn = np.stack(
        [np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)) for _ in range(resamples)]
    )
    return np.concatenate([np.ones((1, len(names))), drawn])[:, shot_of], len(names) < 2


def interval(values: np.ndarray, alone: bool) -> dict[str, float | None]:
    """The first of values (1 + R,) and the interval that holds COVERAGE of the others; without one when `alone`."""
    if alone or not np.isfinite(values[1:]).any():
        return {"value": float(values[0]), "low": None, "high": None}
    low, high = np.nanpercentile(values[1:], [50 * (1 - COVERAGE), 50 * (1 + COVERAGE)])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def _pooled(key: str, metric: Metric, scores: Sequence[ShotScore], counts: np.ndarray) -> np.ndarray | None:
    """The metric of each drawing (1 + R,)."""
    if metric.pooled == "correlation":
        openings = [s.openings for s in scores if s.openings is not None]
        if len(openings) != len(scores):
            return None
        middle = float(np.concatenate([o[0] for o in openings]).mean())
        n, x, y, xx, yy, xy = (counts @ np.array([_moments(*(side - middle for side in o)) for o in openings])).T
        spread = [np.where(b > sync.STILL**2 * n * middle**2, b, np.nan) for b in (n * xx - x * x, n * yy - y * y)]
        return (n * xy - x * y) / np.sqrt(spread[0] * spread[1])
    there = np.array([key in s.values for s in scores])
    if not there.any():
        return None
    value = np.array([s.values.get(key, 0.0) for s in scores])
    weight = np.array([s.weights.get(key, 0.0) for s in scores]) * there
    if metric.pooled == "rms":
        return np.sqrt(counts @ (value**2 * weight) / (counts @ weight))
    return counts @ (value * weight) / (counts @ weight)


def _moments(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, ...]:
    x, y = truth.astype(np.float64), prediction.astype(np.float64)
    return len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()


def _frechet(scores: Sequence[ShotScore], differences: bool) -> float:
    rows = []
    for score in scores:
        if score.poses is not None:
            sides = [np.diff(np.asarray(x, np.float64), axis=0) for x in score.poses] if differences else score.poses
            rows.append((score.actor, sides[0], sides[1]))
    return mean_frechet(rows)


def mean_frechet(rows: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> float:
    """Fréchet distance of (actor, true rows, predicted rows (n, K)) of shots; NaN when there are too few rows.

    Each actor has axes of its own, so its distance is measured alone; the mean of the actors' by their rows.
    """
    found: dict[str, tuple[float, int]] = {}
    for actor in dict.fromkeys(row[0] for row in rows):
        own = [row for row in rows if row[0] == actor]
        true, ours = (np.concatenate([row[side] for row in own]) for side in (1, 2))
        if true.shape[1] and len(true) >= 2 * true.shape[1]:
            found[actor] = motion.frechet_distance(true, ours), len(true)
    frames = sum(count for _, count in found.values())
    return sum(value * count for value, count in found.values()) / frames if frames else float("nan")


def _project(frames: np.ndarray, face: Face) -> np.ndarray:
    """Frames (T, V, 3) along the face's axes: (T, K), in millimetres of RMS over vertices."""
    assert face.axes is not None
    basis = face.axes.reshape(len(face.axes), -1)
    scale = face.mm / np.sqrt(len(face.neutral))
    blocks = range(0, len(frames), BLOCK)
    return (
        np.concatenate([(frames[i : i + BLOCK] - face.neutral).reshape(-1, basis.shape[1]) @ basis.T for i in blocks])
        * scale
    )


def _blockwise_mean_error(truth: np.ndarray, prediction: np.ndarray, mm: float) -> float:
    parts = [(truth[i : i + BLOCK], prediction[i : i + BLOCK]) for i in range(0, len(truth), BLOCK)]
    return sum(errors.mean_vertex_error_mm(t, p, mm) * len(t) for t, p in parts) / len(truth)
