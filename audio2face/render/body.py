"""A body with a skin: a mesh that follows a skeleton, on the figure's ground."""

from __future__ import annotations

import numpy as np

from audio2face.face.body_skin import BoundBody
from audio2face.render.figure import ground_mesh
from audio2face.render.openings import Moving
from audio2face.render.raster import Mesh

SKIN = (0.78, 0.66, 0.60)
SAMPLES = 24  # frames looked at to place camera and ground


def body_frames(body: BoundBody, turns: np.ndarray, joints: np.ndarray) -> tuple[list[Mesh], list[np.ndarray | Moving]]:
    """(meshes, frames) for `render_animation`: the skin over joints (T, J, 3), y up, turned in the world (T, J, 3, 3)."""
    low = float(body_boxes(body, turns, joints)[..., 1].min())
    ground, floor = ground_mesh(joints, float(np.ptp(joints[0], axis=0).max()), low)
    moving = Moving(len(joints), lambda t: body.posed(turns[t], joints[t]))
    return [Mesh(body.mesh.triangles, np.array(SKIN), gloss=0.1), ground], [moving, floor]


def body_boxes(body: BoundBody, turns: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Lowest and highest corner of the skin (n, 2, 3) in some of the frames."""
    chosen = np.unique(np.linspace(0, len(joints) - 1, SAMPLES).round().astype(int))
    posed = (body.posed(turns[t], joints[t]) for t in chosen)
    return np.stack([np.stack([points.min(axis=0), points.max(axis=0)]) for points in posed])
