"""Weights of blendshapes that are edited as the skin that they make, by a model that gives a skin. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audio2face.face.curves import Block, CurveGroup
from audio2face.formats.arkit_names import arkit_name
from audio2face.inference.edit.request import Edit
from audio2face.inference.edit.seams import fade
from audio2face.postprocess.rig import BlendshapeRig

if TYPE_CHECKING:
    from audio2face.inference.edit.files import EditFile

GROUP = "blendshapes"
AROUND, BLEND = 15, 6  # frames that are solved beside those that change, and over which the solver's error is faded


def rig_group(rig: BlendshapeRig) -> CurveGroup:
    """The weights of a rig as a group of curves."""
    names = tuple(arkit_name(name) or name for name in rig.names)
    return CurveGroup(GROUP, (Block("weights", names, low=0.0, high=1.0),))


class RiggedFile:
    """A file of weights; its skin is that of the rig."""

    def __init__(self, inner: EditFile, rig: BlendshapeRig):
        self.inner, self.rig = inner, rig
        self.path, self.fps, self.first_frame = inner.path, inner.fps, inner.first_frame
        moved = np.einsum("tp,pvc->tvc", inner.channels[GROUP], rig.deltas, optimize=True)
        self.channels = {"skin": (rig.neutral + moved).astype(np.float32)}
        self.valid: dict[str, np.ndarray] = {}

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], edit: Edit) -> Path:
        """Solve the weights of what is new; what the file's own weights have beyond the solved ones is faded into them."""
        own, rows = self.inner.channels[GROUP], np.flatnonzero(edit.free)
        weights = own[edit.source]
        if len(rows):
            near = slice(max(0, rows[0] - AROUND), min(len(own), rows[-1] + 1 + AROUND))
            kept = edit.kept[near] & (channels["skin"][near] == self.channels["skin"][edit.source][near]).all(
                axis=(1, 2)
            )
            solved = self.rig.weights(channels["skin"][near])
            beyond = fade(weights[near] - solved, kept, BLEND)
            weights[near] = np.where(kept[:, None], weights[near], np.clip(solved + beyond, 0, 1))
        return self.inner.write(stem, {GROUP: weights}, edit)
