"""All metrics of a group of curves in one shot, of all its frames and of those in which each of two people speaks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from audio2face.audio.speaking import SPEAKING
from audio2face.evaluation import curve_metrics as metrics
from audio2face.evaluation import sync
from audio2face.evaluation.curve_metrics import Sums
from audio2face.evaluation.distributions import some_frames, variance_over_takes, variance_over_time
from audio2face.evaluation.score import FRECHET_DIMENSIONS, Metric
from audio2face.face.curves import FORM_SIZES, TURN, Block, CurveGroup, filled
from audio2face.face.rotations import from_six, to_axis_angle, to_euler
from audio2face.face.skeleton import pose_from_values, positions
from audio2face.formats.arkit_names import arkit_name
from audio2face.preproc.curves import statistics

CURVE_METRICS = {
    "headline_correlation": Metric("correlation", "", 1.0, "columns"),
    "correlation": Metric("correlation, mean of the columns that move", "", 1.0, "columns"),
    "relative_error": Metric("squared error relative to the mean pose's", ""),
    "best_take_error": Metric("squared error of the best take, relative to the mean pose's", ""),
    "mean_absolute_error": Metric("error, mean", "unit"),
    "rms_error": Metric("error, RMS", "unit", pooled="root"),
    "velocity_error": Metric("velocity error", "unit/s"),
    "rotation_error_deg": Metric("angle between true and predicted rotation", "°"),
    "rotation_velocity_error_deg_s": Metric("velocity error of rotations", "°/s"),
    "joint_error": Metric("distance of joints", "unit"),
    "joint_error_centred": Metric("distance of joints, with the first in one place", "unit"),
    "jerk_ratio": Metric("jerk, ratio to the truth", "", 1.0),
    "activity_ratio": Metric("spread, ratio to the truth", "", 1.0, "spread"),
    "lag_behind_truth_ms": Metric("lag behind the truth", "ms"),
    "frechet_poses": Metric("Fréchet distance of poses (FD_g)", "", pooled="shots"),
    "frechet_differences": Metric("Fréchet distance of frame differences (FD_k)", "", pooled="shots"),
    "pose_diversity": Metric("distance of two poses (Div_g)", "", None, pooled="shots"),
    "temporal_variance": Metric("variance over time (Div_k)", "", None),
    "take_variance": Metric("variance over takes (Div_sample)", "", None),
    "diversity": Metric("difference between takes", "", None),
    "real_time_factor": Metric("real-time factor", "", None),
}
HEADLINES = ("jawOpen", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "browInnerUp")  # to be shown, of ARKit's
SHOWN = 3  # columns to be shown of any other group


@dataclass(frozen=True)
class Columns:
    """What is shown of a group, column by column: names, their units, values (T, C) and which are known (T, C).

    Weights, plain values, translations and angles are as they are; rotations are Euler angles in degrees, of other forms
    the vector of the turn from rest, in degrees.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    turns: np.ndarray  # (C,) what a whole turn is, 0 where there is none
    values: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class GroupScale:
    """What metrics need of an actor's group: of the encoded values of its training frames mean and scale (E,), 0 where it
    never shows any, directions (K, E) of their main motion after division by it, and the scale of every shown column (C,)."""

    group: CurveGroup
    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    column_scale: np.ndarray

    @cached_property
    def used(self) -> np.ndarray:
        """(E,) bool: the values that there are."""
        return self.scale > 0

    def relative(self, encoded: np.ndarray) -> np.ndarray:
        """Encoded values (T, E) from the mean, in scales (T, E) float64."""
        return (encoded - self.mean) / np.where(self.used, self.scale, 1).astype(np.float64)


def columns_of(group: CurveGroup, encoded: np.ndarray, known: np.ndarray, rest: np.ndarray) -> Columns:
    """The columns of encoded values (T, E) of which `known` (T, E) are; `rest` (E,) is what turns are from."""
    names, units, turns = [], [], []
    values, flags = [], []
    for block, _, place in group.places():
        own, there, labels, unit = encoded[:, place], known[:, place], list(block.names), block.unit
        turn = TURN.get(unit, TURN["radians"]) if block.kind == "angle" else 0.0
        if block.kind == "rotation":
            (own, labels), unit, turn = _angles(block, own, rest[place]), "degrees", TURN["degrees"]
            there = np.repeat(there.all(axis=1, keepdims=True), len(labels), axis=1)
        names += labels
        units += ["°" if unit == "degrees" else unit] * len(labels)
        turns += [turn] * len(labels)
        values.append(own)
        flags.append(there)
    table = np.concatenate(values, axis=1).astype(np.float64)
    return Columns(tuple(names), tuple(units), np.array(turns), table, np.concatenate(flags, axis=1))


def scale_of(group: CurveGroup, encoded: np.ndarray, known: np.ndarray) -> GroupScale:
    """The scale of a group from encoded values (n, E) of training frames and which are known; spreads have preprocessing's floors."""
    mean, scale = statistics(encoded, known, [block.kind for block in group.blocks for _ in range(block.size)])
    mean = np.where(scale > 0, mean, group.rest)
    columns = columns_of(group, np.where(known, encoded, mean), known, mean)
    kinds = ["angle" if turn else "plain" for turn in columns.turns]
    column_scale = statistics(columns.values, columns.known, kinds)[1]
    relative = np.where(known, (encoded - mean) / np.where(scale > 0, scale, 1), 0)
    strengths, axes = np.linalg.eigh(np.cov(relative, rowvar=False).reshape(len(mean), -1))
    chosen = np.argsort(-strengths)[: min(FRECHET_DIMENSIONS, int((scale > 0).sum()))]
    return GroupScale(group, mean, scale, axes[:, chosen].T, column_scale)


def headline_columns(group: CurveGroup, names: Sequence[str], spread: np.ndarray) -> list[int]:
    """Which of the columns `names`, with a truth that spreads (C,), to show: of ARKit's those of HEADLINES that move, the
    first of which is the headline; of a head's rotation all; of other groups the SHOWN that spread most."""
    known = {arkit_name(name): column for column, name in enumerate(names)}
    if found := [known[name] for name in HEADLINES if name in known and (name == "jawOpen" or spread[known[name]] > 0)]:
        return found
    if group.kind == "rotation" and len(names) <= SHOWN:
        return list(range(len(names)))
    ordered = np.argsort(-np.nan_to_num(spread), kind="stable")[:SHOWN]
    return sorted(int(column) for column in ordered if spread[column] > 0)


@dataclass(frozen=True)
class CurveScore:
    """One animation of a group in one shot against the truth: sums by metric, and what else pooling needs.

    `columns` (C, 8) and `values` (E, 8) are `curve_metrics.moments` of the shown columns and of the encoded values in
    scales; `headline` is a column; `poses` and `moves` true and predicted rows along the axes, of frames and of their differences;
    `frames` some of the predicted ones (n, E) in scales; `shown` true and predicted columns (T,) by name, NaN where the truth is
    unknown; `speaking` the scores of the frames in which one, the other, both or nobody speaks.
    """

    shot: str
    actor: str
    emotion: str
    seconds: float
    fps: float
    names: tuple[str, ...]
    units: tuple[str, ...]
    sums: dict[str, Sums]
    columns: np.ndarray
    values: np.ndarray
    scale: np.ndarray  # (C,) of the columns
    poses: tuple[np.ndarray, np.ndarray]
    moves: tuple[np.ndarray, np.ndarray]
    frames: np.ndarray
    shown: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    headline: str | None = None
    speaking: dict[str, CurveScore] = field(default_factory=dict)


def score_curves(
    name: tuple[str, str, str],
    truth: np.ndarray,
    known: np.ndarray,
    prediction: np.ndarray,
    scale: GroupScale,
    fps: float,
    shown: Sequence[str] = (),
    speaking: np.ndarray | None = None,
) -> CurveScore:
    """Every metric of encoded values (T, E) against the true ones, of which `known` (T, E) are real.

    `name`: (shot, actor, emotion); `shown`: columns to keep, the headline first (of rotations and joints there is none);
    `speaking` (T,): who speaks in each frame, for a score of the frames of each. What stands at unknown values has no effect.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"shot {name[0]}: the prediction has shape {prediction.shape}, the truth {truth.shape}")
    parts = {} if speaking is None else _by_speaking(name, truth, known, prediction, scale, fps, speaking)
    group, known = scale.group, known & scale.used
    truth = filled(np.where(known, truth, scale.mean).astype(np.float64), known)
    prediction = _same_turns(group, truth, np.asarray(prediction, np.float64), known)
    x, y = scale.relative(truth), scale.relative(prediction)
    true, ours = (columns_of(group, side, known, scale.mean) for side in (truth, prediction))
    wrapped = _nearest_turn(true, ours.values)
    kept = {label: _series(true, wrapped, label) for label in shown if label in true.names}
    headline = next(iter(kept), None) if group.kind not in ("rotation", "skeleton") else None
    sums = {
        "relative_error": metrics.relative_error(x, y, np.zeros(x.shape[1]), known),
        "jerk_ratio": metrics.jerk(x, y, known),
        "temporal_variance": variance_over_time(y, known),
        **_plain_errors(group, truth, prediction, known, fps),
        **_turn_errors(group, truth, prediction, known, fps),
        **_joint_errors(scale, truth, prediction, known),
        **(_lag(*kept[headline], fps) if headline is not None else {}),
    }
    whole = _whole(scale, known)
    poses = [np.where(whole[:, None], side, 0) @ scale.axes.T for side in (x, y)]
    pairs = metrics.together(whole, 2)
    return CurveScore(
        *name,
        seconds=len(truth) / fps,
        fps=fps,
        names=true.names,
        units=true.units,
        sums={key: pair for key, pair in sums.items() if pair[1] > 0},
        columns=metrics.moments(true.values, wrapped, true.known),
        values=metrics.moments(x, y, known),
        scale=scale.column_scale,
        poses=(poses[0][whole], poses[1][whole]),
        moves=(np.diff(poses[0], axis=0)[pairs], np.diff(poses[1], axis=0)[pairs]),
        frames=some_frames(y[whole][:, scale.used]),
        shown=kept,
        headline=headline,
        speaking=parts,
    )


def takes_apart(takes: Sequence[np.ndarray], scale: GroupScale) -> Sums:
    """Sum and number of the differences between the encoded values (T, E) of several takes, in scales."""
    sides = [scale.relative(take)[:, scale.used] for take in takes]
    pairs = [np.abs(a - b) for a, b in itertools.combinations(sides, 2)]
    return float(sum(pair.sum() for pair in pairs)), float(sum(pair.size for pair in pairs))


def best_take(takes: Sequence[CurveScore]) -> Sums:
    """The relative error of the take of a shot in which it is least, in two parts."""
    return min((take.sums.get("relative_error", (0.0, 1.0)) for take in takes), key=lambda sums: sums[0] / sums[1])


def takes_variance(takes: Sequence[np.ndarray], scale: GroupScale) -> Sums:
    """Sum and number of the variances over several takes of the encoded values (T, E), in scales."""
    return variance_over_takes([scale.relative(take)[:, scale.used] for take in takes])


# ---- of one shot


def _by_speaking(
    name: tuple[str, str, str],
    truth: np.ndarray,
    known: np.ndarray,
    prediction: np.ndarray,
    scale: GroupScale,
    fps: float,
    speaking: np.ndarray,
) -> dict[str, CurveScore]:
    """The scores of the frames of each who speaks; without a lag, which has no meaning across the gaps between them."""
    return {
        who: score_curves(name, truth, known & (speaking == who)[:, None], prediction, scale, fps)
        for who in SPEAKING
        if (speaking == who).any()
    }


def _whole(scale: GroupScale, known: np.ndarray) -> np.ndarray:
    """(T,) bool: the frames of which everything that there is is known."""
    whole: np.ndarray = np.logical_and.reduce(known[:, scale.used], axis=1)
    return whole & bool(scale.used.any())


def _plain_errors(
    group: CurveGroup, truth: np.ndarray, prediction: np.ndarray, known: np.ndarray, fps: float
) -> dict[str, Sums]:
    """Of all values that are no rotations; those of a skeleton count in its joints."""
    chosen = [
        p for block, _, place in group.places() if block.kind != "rotation" for p in range(place.start, place.stop)
    ]
    if not chosen or group.skeleton is not None:
        return {}
    sides = truth[:, chosen], prediction[:, chosen], known[:, chosen]
    return {
        "mean_absolute_error": metrics.absolute_error(*sides),
        "rms_error": metrics.squared_error(*sides),
        "velocity_error": metrics.velocity_error(*sides, fps),
    }


def _turn_errors(
    group: CurveGroup, truth: np.ndarray, prediction: np.ndarray, known: np.ndarray, fps: float
) -> dict[str, Sums]:
    places = [place for block, _, place in group.places() if block.kind == "rotation"]
    if not places:
        return {}
    true, ours = (from_six(np.stack([side[:, place] for place in places], axis=1)) for side in (truth, prediction))
    there = np.stack([known[:, place].all(axis=1) for place in places], axis=1)
    return {
        "rotation_error_deg": metrics.angle_error(true, ours, there),
        "rotation_velocity_error_deg_s": metrics.angular_velocity_error(true, ours, there, fps),
    }


def _joint_errors(scale: GroupScale, truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> dict[str, Sums]:
    skeleton, whole = scale.group.skeleton, _whole(scale, known)
    if skeleton is None or not whole.any():
        return {}
    raw = (scale.group.decode(side[whole]) for side in (truth, prediction))
    true, ours = (positions(skeleton, *pose_from_values(skeleton, values)) for values in raw)
    there = np.ones(len(true), bool)
    return {
        "joint_error": metrics.joint_error(true, ours, there),
        "joint_error_centred": metrics.joint_error(true, ours, there, centred=True),
    }


def _series(true: Columns, ours: np.ndarray, label: str) -> tuple[np.ndarray, np.ndarray]:
    column = true.names.index(label)
    there = true.known[:, column]
    return np.where(there, true.values[:, column], np.nan), np.where(there, ours[:, column], np.nan)


def _lag(truth: np.ndarray, prediction: np.ndarray, fps: float) -> dict[str, Sums]:
    """The lag of a column (T,) behind the true one, weighed by its known frames; gaps (NaN) are bridged by straight lines."""
    there = np.isfinite(truth)
    if there.sum() < 2:
        return {}
    rows = np.arange(len(truth))
    true, ours = (np.interp(rows, rows[there], side[there]) for side in (truth, prediction))
    lag = sync.lag_ms(true, ours, fps)
    return {"lag_behind_truth_ms": (lag * there.sum(), float(there.sum()))} if np.isfinite(lag) else {}


def _same_turns(group: CurveGroup, truth: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The prediction (T, E) with whole turns added to its angles, all over, so that they are near the true ones."""
    out = prediction.copy()
    for block, _, place in group.places():
        for column in range(place.start, place.stop) if block.kind == "angle" else ():
            if (there := known[:, column]).any():
                turn = TURN.get(block.unit, TURN["radians"])
                out[:, column] -= turn * np.round(np.median((out - truth)[there, column]) / turn)
    return out


def _nearest_turn(true: Columns, ours: np.ndarray) -> np.ndarray:
    """Predicted columns (T, C), those of turns within half a turn of the true ones."""
    turn = np.where(true.turns > 0, true.turns, 1.0)
    return np.where(true.turns > 0, ours - turn * np.round((ours - true.values) / turn), ours)


def _angles(block: Block, six: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """A rotation (T, 6) as angles in degrees (T, k), and their names."""
    matrices = from_six(six)
    if block.form in FORM_SIZES:
        turned = from_six(rest).T @ matrices
        return to_axis_angle(turned, degrees=True, continuous=True), [f"{block.names[0]} about {a}" for a in "xyz"]
    return to_euler(matrices, block.form, degrees=True, continuous=True), list(block.names)
