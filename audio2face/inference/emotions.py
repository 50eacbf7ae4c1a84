"""What a caller may give as an emotion, as values over time."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audio2face.models.common.engine import EmotionCurve
from audio2face.problems import UserError

NEUTRAL = "neutral"


def build_curve(names: Sequence[str], default: Sequence[float], emotion: Any, sample_rate: int) -> EmotionCurve:
    """The curve of an emotion: None (the model's default), a name, {name: weight}, E weights, or [(seconds, emotion), …].

    A timeline is linear between its keys, constant before and after. A function of time stamps is taken as it is. Raises
    UserError for anything else.
    """
    if callable(emotion):
        return emotion
    keys = [(0.0, emotion)] if not _is_timeline(emotion) else [(float(t), e) for t, e in emotion]
    values = np.stack([_vector(names, default, value) for _, value in keys])
    times = np.array([round(t * sample_rate) for t, _ in keys], np.int64)
    if (np.diff(times) <= 0).any() or not np.isfinite([t for t, _ in keys]).all():
        raise UserError(f"emotion: the times of a timeline must increase, got {[t for t, _ in keys]}")
    return lambda moments: emotion_curve(times, values, moments)


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


def _is_timeline(emotion: Any) -> bool:
    if isinstance(emotion, str | Mapping | np.ndarray) or not isinstance(emotion, Sequence) or not emotion:
        return False
    return all(isinstance(key, Sequence) and not isinstance(key, str) and len(key) == 2 for key in emotion)


def _vector(names: Sequence[str], default: Sequence[float], emotion: Any) -> np.ndarray:
    if emotion is None:
        return np.array(default, np.float32)
    if isinstance(emotion, str):
        emotion = {emotion: 1.0}
    if isinstance(emotion, Mapping):
        vector = np.zeros(len(names), np.float32)
        for name, weight in emotion.items():
            if name in names:
                vector[list(names).index(name)] = weight
            elif name != NEUTRAL:  # all zeros, when the model does not list it
                near = difflib.get_close_matches(str(name), names, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise UserError(f"emotion {name!r}: the model knows {', '.join(names)}{hint}")
    else:
        try:
            vector = np.asarray(emotion, np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"emotion {emotion!r}: expected a name, weights, or a timeline") from error
    if vector.shape != (len(names),) or not np.isfinite(vector).all():
        raise UserError(f"emotion: expected {len(names)} finite weights ({', '.join(names)}), got {emotion!r}")
    return vector
