"""What of a model's groups of curves a head shows: weights by their names, and its turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.face.curves import Block, CurveGroup
from audio2face.face.rotations import to_euler
from audio2face.formats.arkit_names import arkit_name, plain_name
from audio2face.render.head import head_turns, of_camera_axes


@dataclass(frozen=True)
class HeadCurves:
    """Where it lies: `names` of all weights, ARKit's as ARKit writes them, in `columns` (group, column); the `head`'s block."""

    names: tuple[str, ...]
    columns: tuple[tuple[str, int], ...]
    head: tuple[str, Block, slice] | None

    def weights(self, curves: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """Raw values {group: (T, D)} of `count` frames -> (T, P) of `names`."""
        found = [curves[group][:, column] for group, column in self.columns]
        return np.stack(found, axis=1) if found else np.zeros((count, 0), np.float32)

    def turns(self, curves: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """How the head is turned (T, 3, 3), in its own axes; None without such a group."""
        if self.head is None:
            return None
        group, block, columns = self.head
        return head_turns(block, curves[group][:, columns])

    def degrees(self, curves: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """(T, 3) float32: yaw to the person's left, pitch with the chin up, roll to the person's left; zeros without."""
        turns = self.turns(curves) if count else None
        if turns is None:
            return np.zeros((count, 3), np.float32)
        return to_euler(of_camera_axes(turns), "YXZ", degrees=True).astype(np.float32)  # as Live Link has them


def find_head_curves(groups: Mapping[str, CurveGroup]) -> HeadCurves:
    """What there is in `groups`. The head is the first rotation that is named so, by its columns or by its group."""
    names, columns, head = [], [], None
    for group, what in groups.items():
        for block, raw, _ in what.places():
            if block.kind == "weights":
                names += [arkit_name(name) or name for name in block.names]
                columns += [(group, column) for column in range(raw.start, raw.stop)]
            elif block.kind == "rotation" and what.skeleton is None and head is None and _of_head(group, block):
                head = group, block, raw
    return HeadCurves(tuple(names), tuple(columns), head)


def _of_head(group: str, block: Block) -> bool:
    return group == "head" or plain_name(block.names[0]).startswith("head")
