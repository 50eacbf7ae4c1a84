"""Emotions and actors as vectors. The only place that knows which emotion is all zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audio2face.problems import UserError


@dataclass(frozen=True)
class ClipConditions:
    """What goes with every frame of a clip: explicit vector (E',), actor and emotion numbers, first row of its shot
    in the implicit emotion table."""

    explicit: np.ndarray
    actor_id: int
    emotion_id: int
    table_start: int


def network_emotions(emotion_names: Sequence[str], zero_emotion: str | None) -> list[str]:
    """The emotions that own a column: SHOT_EMOTION_NAMES in order, without the one that is all zeros."""
    return [name for name in emotion_names if name != zero_emotion]


def emotion_vector(name: str, columns: Sequence[str], zero_emotion: str | None) -> np.ndarray:
    """(E,) float32: one at the emotion's column, zeros for `zero_emotion`. Raises UserError on an unknown name."""
    vector = np.zeros(len(columns), np.float32)
    if name == zero_emotion:
        return vector
    if name not in columns:
        known = [*([zero_emotion] if zero_emotion else []), *columns]
        raise UserError(f"unknown emotion {name!r}; known: {', '.join(known)}")
    vector[list(columns).index(name)] = 1.0
    return vector


def actor_vector(name: str, actors: Sequence[str]) -> np.ndarray:
    """(A,) float32 one-hot of an actor. Raises UserError on an unknown name."""
    if name not in actors:
        raise UserError(f"unknown actor {name!r}; known: {', '.join(actors)}")
    vector = np.zeros(len(actors), np.float32)
    vector[list(actors).index(name)] = 1.0
    return vector


def explicit_length(emotions: Sequence[str], actors: Sequence[str]) -> int:
    """Length of `explicit_vector`."""
    return len(emotions) + (len(actors) if len(actors) > 1 else 0)


def explicit_vector(emotion: np.ndarray, actor: str, actors: Sequence[str]) -> np.ndarray:
    """What a regression network takes as explicit emotion: the emotion, then the actor's one-hot if there are several."""
    return emotion if len(actors) == 1 else np.concatenate([emotion, actor_vector(actor, actors)])
