"""Emotions and actors as vectors, and emotions over time. The only place that knows which emotion is all zeros."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from audio2face.problems import UserError, number

NEUTRAL = "neutral"
MOST_WEIGHT = 100.0  # far more than in training, and a network still counts with it
MOST_S = 1e7  # of a timeline: a third of a year
EmotionLabel = str | Mapping[str, float] | Sequence[float] | None  # one emotion; None is the default
EmotionCurve = Callable[[np.ndarray], np.ndarray]  # samples (T,) -> (T, E)


def network_emotions(emotion_names: Sequence[str], zero: str | None) -> list[str]:
    """The emotions that own a column: SHOT_EMOTION_NAMES in order, without the one that is all zeros."""
    return [name for name in emotion_names if name != zero]


def emotion_vector(
    label: EmotionLabel, names: Sequence[str], default: EmotionLabel = None, zero: str | None = None
) -> np.ndarray:
    """(E,) float32 for an emotion's name, {name: weight}, E weights in the order of `names`, or None for `default`.

    The emotion `zero` is all zeros. Raises UserError naming the known emotions.
    """
    label = default if label is None else label
    if isinstance(label, str):
        label = {label: 1.0}
    if isinstance(label, Mapping):
        return _mixed(label, names, zero)
    try:
        vector = np.asarray(label, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"emotion {label!r}: expected a name, weights, or a timeline") from error
    if vector.shape != (len(names),) or not np.isfinite(vector).all():
        raise UserError(f"emotion: expected {len(names)} finite weights ({', '.join(names)}), got {label!r}")
    return check_weights(vector[None], names, 1)[0]


def check_weights(weights: np.ndarray, names: Sequence[str], count: int) -> np.ndarray:
    """The weights (count, E) themselves, if a network can count with them. Raises UserError."""
    table = np.asarray(weights)
    if table.shape != (count, len(names)) or table.dtype.kind not in "fiu":
        raise UserError(f"emotion: expected weights {(count, len(names))} ({', '.join(names)}), got {table.shape}")
    low, high = float(table.min(initial=0.0)), float(table.max(initial=0.0))
    if not -MOST_WEIGHT <= low <= high <= MOST_WEIGHT:
        raise UserError(f"emotion: weights from {low:g} to {high:g}, expected {-MOST_WEIGHT:g} to {MOST_WEIGHT:g}")
    return table


def _mixed(weights: Mapping[str, float], names: Sequence[str], zero: str | None) -> np.ndarray:
    vector = np.zeros(len(names), np.float32)
    known = [*([] if zero is None or zero in names else [zero]), *names]
    for name, weight in weights.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"emotion {name!r}: known are {', '.join(known)}{hint}")
        value = number(f"emotion {name!r}: weight", weight, -MOST_WEIGHT, MOST_WEIGHT)
        if name != zero:
            vector[list(names).index(name)] = value
    return vector


# ---- over time


def is_timeline(label: Any) -> bool:
    """Whether an emotion is a timeline [(seconds, emotion), …] rather than one for the whole sound."""
    if isinstance(label, str) or not isinstance(label, Sequence) or not label:
        return False
    return all(isinstance(key, Sequence) and not isinstance(key, str) and len(key) == 2 for key in label)


def emotion_keys(
    label: Any, names: Sequence[str], default: EmotionLabel = None, zero: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Times (n,) in seconds, increasing, and values (n, E) of a timeline; one key for one emotion. Raises UserError."""
    keys = label if is_timeline(label) else [(0.0, label)]
    times = np.array([number("emotion: the time", time, -MOST_S, MOST_S) for time, _ in keys])
    _check_order(times, times)
    return times, np.stack([emotion_vector(emotion, names, default, zero) for _, emotion in keys])


def emotion_track(
    label: Any, names: Sequence[str], default: EmotionLabel, zero: str | None, times_s: np.ndarray
) -> np.ndarray:
    """Emotion (T, E) float32 at moments (T,) in seconds: linear between keys, held before the first and after the last."""
    keys, values = emotion_keys(label, names, default, zero)
    track = np.zeros((len(times_s), values.shape[1]), np.float32)
    for column, of_keys in zip(track.T, values.T, strict=True):
        column[:] = np.interp(times_s, keys, of_keys)
    return track


def build_curve(names: Sequence[str], default: Sequence[float], emotion: Any, sample_rate: int) -> EmotionCurve:
    """The same as the runtime computes it, at samples of the sound. What a function of samples gives is checked.

    `default`: the deployed model's weights, which do not tell which emotion is all zeros: "neutral" is, unless it is listed.
    """
    if callable(emotion):
        return lambda moments: check_weights(emotion(moments), names, len(moments))
    times, values = emotion_keys(emotion, names, default, None if NEUTRAL in names else NEUTRAL)
    samples = np.rint(times * sample_rate).astype(np.int64)
    _check_order(samples, times)
    return lambda moments: emotion_curve(samples, values, moments)


def emotion_curve(key_times: np.ndarray, key_values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Emotion at `times` (T,) from keys (n,) strictly increasing in samples, values (n, E): (T, E) float32.

    Between keys it is linear, with a float32 weight; before the first and after the last key it is constant.
    """
    keys, values = np.asarray(key_times, np.int64), np.asarray(key_values, np.float32)
    times = np.asarray(times, np.int64)
    if len(keys) == 0 or len(keys) != len(values) or (np.diff(keys) <= 0).any():
        raise ValueError("emotion keys must be at least one, one value each, with strictly increasing times")
    after = np.clip(np.searchsorted(keys, times, side="right"), 1, max(len(keys) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(keys) - 1)
    span = np.maximum(keys[after] - keys[before], 1).astype(np.float32)
    weight = np.clip((times - keys[before]).astype(np.float32) / span, 0, 1)[..., None]
    blend = (1 - weight) * values[before] + weight * values[after]
    return np.where(weight == 1, values[after], np.where(weight == 0, values[before], blend))


def _check_order(times: np.ndarray, seconds: np.ndarray) -> None:
    if (np.diff(times) <= 0).any():
        raise UserError(f"emotion: the times of a timeline must increase, got {seconds.tolist()}")
