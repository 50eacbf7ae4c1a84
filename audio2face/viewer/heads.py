"""Curves without a mesh, as the page can show them: weights and turns on the built-in head, joints as a skeleton beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audio2face.face.body_skin import BoundBody
from audio2face.formats.body_mesh import BodyMesh
from audio2face.render.figure import upright
from audio2face.render.head import MM_PER_UNIT, builtin_head, head_weights, pose_head
from audio2face.viewer.actors import Actor
from audio2face.viewer.tracks import AnimationStream, Channel, Curves, array_channel

TALL = 44.0  # height of a figure beside the head, in the head's centimetres
GAP = 19.0  # between the middle of the head and the figure's box in the first frame: room for its arms
FOOT = -22.0  # where it stands


def head_actor(name: str, bones: np.ndarray | None = None, body: BodyMesh | None = None) -> Actor:
    """An actor who is shown as the built-in head, and with `bones` (B, 2) as a skeleton too, or the `body` on it."""
    head = builtin_head()
    triangles = {"skin": head.triangles, **_triangles(body)}
    return Actor(name, triangles, MM_PER_UNIT, None, {"skin": head.colours}, bones)


def figure_actor(name: str, bones: np.ndarray, body: BodyMesh | None = None) -> Actor:
    """An actor who is shown as a skeleton alone, or as the `body` on it."""
    return Actor(name, _triangles(body), bones=bones)


def curves_track(
    fps: float,
    weights: np.ndarray | None = None,
    names: Sequence[str] = (),
    rotation: np.ndarray | None = None,
    look: np.ndarray | None = None,
    joints: np.ndarray | None = None,
    start_s: float = 0.0,
    body: BoundBody | None = None,
    turns: np.ndarray | None = None,
) -> AnimationStream:
    """One animation of a `head_actor` or `figure_actor`, computed as the page asks for its pieces.

    weights (T, P) of `names`, rotation (T, 3, 3) of the head and look as in `render.head.pose_head`; joints (T, J, 3), which
    stand beside the head where there is one, with y up if there is a `body`, a mesh on them that turns (T, J, 3, 3) of the joints
    in the world move. Frames without a place keep that of the frame before. The page's curves are the weights. Raises ValueError when lengths differ or there is nothing to show.
    """
    given = [v for v in (weights, rotation, look, joints) if v is not None]
    if not given or len({len(v) for v in given}) != 1 or not len(given[0]):
        raise ValueError(f"curves of {[len(v) for v in given]} frames cannot be shown")
    count, channels = len(given[0]), []
    if weights is not None or rotation is not None:
        table = np.zeros((count, 0), np.float32) if weights is None else weights
        channels.append(_head_channel(head_weights(table, names), rotation, look))
    if joints is not None:
        frames = _without_gaps(joints)
        whole = np.asarray(joints)[frames] if body is not None else upright(np.asarray(joints)[frames])
        stands = figure_place(whole[0], beside=bool(channels))
        channels.append(array_channel("figure", stands(whole)))
        if body is not None and turns is not None:
            channels.append(_body_channel(body, turns[frames], whole, stands))
    known = None if weights is None else Curves(tuple(names), np.nan_to_num(np.asarray(weights, np.float32)))
    return AnimationStream(channels, count, fps, start_s, None if known is None else lambda: known)


@dataclass(frozen=True)
class Place:
    """Where a figure stands: its points are scaled and moved."""

    scale: float = 1.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Points (…, 3) there, float32."""
        return (self.scale * points + self.offset).astype(np.float32)


def figure_place(first: np.ndarray, beside: bool) -> Place:
    """Where joints stand, y up, whose first frame is `first` (J, 3): as they are, or as tall as TALL to a head's left."""
    if not beside:
        return Place()
    scale = TALL / max(float(np.ptp(first[:, 1])), 1e-6)
    x, y, z = scale * np.array([first[:, 0].min(), first[:, 1].min(), first[:, 2].mean()])
    return Place(scale, (GAP - x, FOOT - y, -z))


def place_figure(joints: np.ndarray, first: np.ndarray, beside: bool) -> np.ndarray:
    """Joints (T, J, 3) with y up, as the `first` frame (J, 3) of the animation says, and where they stand `beside` a head."""
    return figure_place(upright(first[None], first)[0], beside)(upright(joints, first))


def _triangles(body: BodyMesh | None) -> dict[str, np.ndarray]:
    return {} if body is None else {"body": body.triangles}


def _body_channel(body: BoundBody, turns: np.ndarray, joints: np.ndarray, stands: Place) -> Channel:
    def read(first: int, end: int) -> np.ndarray:
        return stands(np.stack([body.posed(turns[t], joints[t]) for t in range(first, end)]))

    return Channel("body", len(body.mesh.vertices), read)


def _head_channel(weights: np.ndarray, rotation: np.ndarray | None, look: np.ndarray | None) -> Channel:
    def read(first: int, end: int) -> np.ndarray:
        turned, gaze = (None if x is None else x[first:end] for x in (rotation, look))
        return pose_head(weights[first:end], turned, gaze)

    return Channel("skin", len(builtin_head().vertices), read)


def _without_gaps(joints: np.ndarray) -> np.ndarray:
    """The frame (T,) that each frame of joints (T, J, 3) shows: those that hold no number the last that does, else the first."""
    whole = np.isfinite(joints).all(axis=(1, 2))
    if not whole.any():
        raise ValueError("a skeleton without a finite position cannot be shown")
    last = np.maximum.accumulate(np.where(whole, np.arange(len(joints)), -1))
    return np.where(last < 0, whole.argmax(), last)
