"""A rig in the data set's space: centimetres, y up, z forward."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from audio2face.formats.scene import MorphMesh
from audio2face.geometry.regions import HEAD_M, HEAD_RATIO
from audio2face.problems import UserError

PER_METRE = {"m": 1.0, "dm": 10.0, "cm": 100.0, "mm": 1000.0}
STAND = {"y": np.eye(3), "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])}  # y forward as -y, as Blender has it


def to_centimetres(face: np.ndarray, unit: str | None, in_metres: bool, where: str) -> float:
    """Factor that brings a face (V, 3) to centimetres; without `unit`, of what makes it as big as a head.

    Raises UserError when no unit does.
    """
    if unit is not None:
        return 100.0 / PER_METRE[unit]
    size = float(np.ptp(face, axis=0).max())
    first = ("m",) if in_metres else ()
    for name in (*first, *PER_METRE):
        if HEAD_M / HEAD_RATIO < size / PER_METRE[name] < HEAD_M * HEAD_RATIO:
            return 100.0 / PER_METRE[name]
    raise UserError(f"{where}: a height of {size:.4g} units is not head-sized in m, dm, cm or mm; pass --units")


def placed(mesh: MorphMesh, scale: float, up: str = "y") -> MorphMesh:
    """The mesh scaled and stood upright."""
    turn = scale * STAND[up].T
    return replace(mesh, rest=(mesh.rest @ turn).astype(np.float32), targets=(mesh.targets @ turn).astype(np.float32))
