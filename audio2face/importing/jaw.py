"""Key points of the lower teeth and their motion, from a rig's teeth, or estimated from the chin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio2face.formats.scene import MorphMesh
from audio2face.geometry.regions import FORWARD, UP
from audio2face.geometry.rigid import rigid_motion
from audio2face.importing.arkit_rig import CURVES, ArkitPoses

JAW_CURVES = ("jawOpen", "jawLeft", "jawRight", "jawForward")
NUM_POINTS = 5
CHIN_SHARE = 0.7  # of the widest movement of jawOpen: such vertices are chin
MOST_CHIN = 200  # vertices of it that are followed
# Teeth behind the lower lip, in shares of the mesh's size: incisors, molars, and two points below
ESTIMATED = np.array(
    [[0, -0.02, -0.06], [0.09, -0.02, -0.20], [-0.09, -0.02, -0.20], [0.05, -0.05, -0.12], [-0.05, -0.05, -0.12]]
)


@dataclass(frozen=True)
class JawPoints:
    """Points (5, 3) at rest, and how curves (T, 52) move them: by poses of their own, or by following vertices."""

    rest: np.ndarray
    chin_rest: np.ndarray | None
    poses: ArkitPoses

    def motion(self, curves: np.ndarray) -> np.ndarray:
        """Differences from rest (T, 5, 3) float32."""
        if self.chin_rest is None:
            return (self.poses.positions(self.rest, curves) - self.rest).astype(np.float32)
        jaw_only = np.zeros_like(curves)
        columns = [CURVES.index(name) for name in JAW_CURVES]
        jaw_only[:, columns] = curves[:, columns]  # lips and cheeks move the chin's skin, not the teeth
        turns, shifts = rigid_motion(self.chin_rest, self.poses.positions(self.chin_rest, jaw_only))
        moved = np.einsum("tij,pj->tpi", turns, self.rest) + shifts[:, None]
        return (moved - self.rest).astype(np.float32)


def teeth_points(teeth: MorphMesh, poses: ArkitPoses) -> JawPoints | None:
    """Five vertices of a teeth mesh that the opening jaw moves, far from each other; None when none moves."""
    opening = poses.sum("jawOpen")
    if opening is None or not np.any(opening):
        return None
    moved = np.linalg.norm(opening, axis=1)
    lower = np.flatnonzero(moved > 0.5 * moved.max())
    points = teeth.rest[lower]
    chosen = [int(points[:, FORWARD].argmax())]
    while len(chosen) < min(NUM_POINTS, len(points)):
        chosen.append(int(np.linalg.norm(points[:, None] - points[chosen], axis=2).min(axis=1).argmax()))
    if len(chosen) < NUM_POINTS:
        return None
    vertices = lower[chosen]
    return JawPoints(teeth.rest[vertices], None, ArkitPoses(poses.names, poses.deltas[:, vertices]))


def chin_points(rest: np.ndarray, poses: ArkitPoses) -> JawPoints | None:
    """Estimated points behind the lower lip of a face (V, 3), following its chin; None when no shape opens the jaw."""
    opening = poses.sum("jawOpen")
    if opening is None or not np.any(opening):
        return None
    moved = np.linalg.norm(opening, axis=1)
    chin = np.flatnonzero(moved > CHIN_SHARE * moved.max())
    if len(chin) < 4:
        return None
    size = float(np.ptp(rest, axis=0).max())
    middle = float(np.median(rest[chin, 0]))
    front = chin[np.abs(rest[chin, 0] - middle) < 0.05 * size]
    lip = rest[front if len(front) else chin]
    anchor = np.array([middle, lip[:, UP].max(), lip[:, FORWARD].max()])
    followed = chin[np.unique(np.linspace(0, len(chin) - 1, min(len(chin), MOST_CHIN)).astype(int))]
    points = (anchor + size * ESTIMATED).astype(np.float32)
    return JawPoints(points, rest[followed], ArkitPoses(poses.names, poses.deltas[:, followed]))
