"""What goes with a clip beside its sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClipConditions:
    """What goes with every frame of a clip: explicit emotion (E,), actor and emotion numbers, first row of its shot
    in the implicit emotion table."""

    explicit: np.ndarray
    actor_id: int
    emotion_id: int
    table_start: int
