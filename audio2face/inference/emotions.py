"""What a caller may give as an emotion, as values over time."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from audio2face.postprocess.timeline import emotion_curve
from audio2face.problems import UserError

EmotionCurve = Callable[[np.ndarray], np.ndarray]  # time stamps (T,) in samples -> (T, E)
NEUTRAL = "neutral"


def build_curve(names: Sequence[str], default: Sequence[float], emotion: Any, sample_rate: int) -> EmotionCurve:
    """The curve of an emotion: None (the model's default), a name, {name: weight}, E weights, or [(seconds, emotion), …].

    A timeline is linear between its keys, constant before and after. Raises UserError for anything else.
    """
    keys = [(0.0, emotion)] if not _is_timeline(emotion) else [(float(t), e) for t, e in emotion]
    values = np.stack([_vector(names, default, value) for _, value in keys])
    times = np.array([round(t * sample_rate) for t, _ in keys], np.int64)
    if (np.diff(times) <= 0).any() or not np.isfinite([t for t, _ in keys]).all():
        raise UserError(f"emotion: the times of a timeline must increase, got {[t for t, _ in keys]}")
    return lambda stamps: emotion_curve(times, values, stamps)


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
