"""Targets of a shot of which whole channels are known or not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from audio2face.dataset.targets import ShotTargets
from audio2face.face.layout import ChannelLayout


def shot_targets(values: np.ndarray, fps: float, present: Mapping[str, bool], layout: ChannelLayout) -> ShotTargets:
    known = np.zeros(values.shape, bool)
    for name, part in layout.split(known).items():
        part[:] = present[name]
    return ShotTargets(values.astype(np.float32), fps, dict(present), known)
