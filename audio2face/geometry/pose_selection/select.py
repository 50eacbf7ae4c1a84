"""Greedy selection of distinct poses, those farthest from the affine subspace of the poses chosen so far."""

from __future__ import annotations

import logging

import numpy as np

from audio2face.geometry.pose_selection.gram import GramReader
from audio2face.geometry.pose_selection.subspace import Subspace
from audio2face.geometry.poses import PoseRows
from audio2face.logs import Bar

logger = logging.getLogger(__name__)

START_ROWS = 4


def select_distinct(rows: PoseRows, max_rounds: int, variance: float = 0.9999, progress: bool = False) -> np.ndarray:
    """Rows chosen greedily to span the data, in order of choice: (n,) indices, no row or pose twice.

    From 4 evenly spaced rows, each round adds the row with the largest residual off the affine subspace of the chosen
    ones: their mean and their components up to `variance`. Ends after `max_rounds`, or when the largest residual is
    negligible. Needs the inner products of the chosen rows with all rows only.
    """
    if len(rows) == 0:
        raise ValueError("no poses to choose from")
    capacity = min(len(rows), START_ROWS + max_rounds)
    first, *start = np.unique(np.linspace(0, len(rows) - 1, START_ROWS).astype(np.int64)).tolist()
    reader = GramReader(rows, [first, *start], capacity)
    space = Subspace(reader.first_distance_sq(), first, capacity)
    with Bar(capacity, "distinct poses", "pose", progress) as bar:
        bar.update()  # the first row
        while len(space.chosen) < capacity:
            row = start.pop(0) if start else space.farthest_row(variance)
            if row is None:
                break
            if space.used[row]:  # one of the first rows shows the same pose as another
                continue
            if not space.contains(row) and reader.refresh(space):
                continue
            products, base = (None, 0) if space.contains(row) else reader.products(space, row, variance)
            near = space.add(row, products, base)
            space.used[near[reader.squared_distances(row, near) <= space.negligible]] = True
            bar.update()
    logger.debug("distinct poses: %d of %d rows, %d passes over the data", len(space.chosen), len(rows), reader.passes)
    return np.array(space.chosen)
