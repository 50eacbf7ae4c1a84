"""Films of curves: the built-in head, a figure, or both, of one take or of several in comparison, with sound."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audio2face.face.body_skin import BoundBody, bind
from audio2face.face.curves import CurveGroup
from audio2face.face.skeleton import bones, pose_from_values, positions, world_rotations
from audio2face.formats.arkit_names import arkit_name
from audio2face.formats.body_mesh import BodyMesh
from audio2face.render.body import body_boxes, body_frames
from audio2face.render.figure import figure_camera, figure_frames, upright
from audio2face.render.head import head_camera, head_frames
from audio2face.render.head_curves import find_head_curves
from audio2face.render.raster import Camera, render_animation
from audio2face.render.video import side_by_side, write_video
from audio2face.types import Skeleton

SIZE = (512, 512)
MOST_FPS = 30.0  # of a film: every other frame of faster motion is drawn


@dataclass(frozen=True)
class Take:
    """What is shown of one person, T frames: any of a head and a figure.

    weights (T, P) of `names`, rotation (T, 3, 3) of the head and look as in `pose_head`; joints (T, J, 3), with y or z up,
    and bones (B, 2). With a `body`, y is up, turns (T, J, 3, 3) are those of the joints in the world, and it is drawn instead of the bones.
    """

    title: str | None = None
    weights: np.ndarray | None = None
    names: Sequence[str] = ()
    rotation: np.ndarray | None = None
    look: np.ndarray | None = None
    joints: np.ndarray | None = None
    bones: np.ndarray | None = None
    body: BoundBody | None = None
    turns: np.ndarray | None = None

    def part(self, frames: slice) -> Take:
        """The same of some of the frames."""
        keys = ("weights", "rotation", "look", "joints", "turns")
        return replace(self, **{key: v[frames] for key in keys if (v := getattr(self, key)) is not None})

    def __len__(self) -> int:
        known = next((v for v in (self.weights, self.rotation, self.joints) if v is not None), None)
        return 0 if known is None else len(known)

    @property
    def has_head(self) -> bool:
        return self.weights is not None or self.rotation is not None

    @property
    def has_figure(self) -> bool:
        return self.joints is not None and self.bones is not None


def curves_take(
    groups: Mapping[str, CurveGroup],
    values: Mapping[str, np.ndarray],
    title: str | None = None,
    body: BodyMesh | None = None,
) -> Take:
    """What groups of curves with raw values (T, D) show: ARKit's weights and the head's turn, and the first skeleton, which
    moves the `body` if there is one.

    A take of groups that are none of these shows nothing.
    """
    found: dict[str, Any] = {}
    head = find_head_curves(groups)
    if any(arkit_name(name) for name in head.names):
        count = len(values[head.columns[0][0]])
        found |= {"weights": head.weights(values, count), "names": head.names}
    if (turns := head.turns(values)) is not None:
        found["rotation"] = turns
    for name, group in groups.items():
        if group.skeleton is not None:
            found |= figure_parts(group.skeleton, values[name], body)
            break
    return Take(title, **found)


def figure_parts(skeleton: Skeleton, values: np.ndarray, body: BodyMesh | None = None) -> dict[str, Any]:
    """What a Take shows of a skeleton with values (T, D) as a BVH has them, with y up, and of a mesh on it whose bones have
    the joints' names."""
    return posed_parts(skeleton, *pose_from_values(skeleton, values), body)


def posed_parts(
    skeleton: Skeleton, turns: np.ndarray, places: np.ndarray | None, body: BodyMesh | None = None
) -> dict[str, Any]:
    """The same of a pose: turns (T, J, 3, 3) and places of the joints as in `skeleton.positions`."""
    joints = positions(skeleton, turns, places)
    bound = None if body is None else bind(body, skeleton)
    if bound is None:
        return {"joints": joints, "bones": bones(skeleton)}
    rest = positions(skeleton, np.broadcast_to(np.eye(3), (1, *turns.shape[1:])))[0]
    world = (upright(np.eye(3), rest).T @ world_rotations(skeleton, turns)).astype(np.float32)
    return {"joints": upright(joints, rest), "bones": bones(skeleton), "body": bound, "turns": world}


def curves_film(
    path: str | os.PathLike[str],
    takes: Sequence[Take],
    fps: float,
    sound: tuple[np.ndarray, int] | None = None,
    size: tuple[int, int] = SIZE,
) -> int:
    """Write takes of one length as an mp4 with sound (see `write_video`); every panel has `size`; returns its frames.

    Takes that are one panel each stand side by side, those with head and figure one above the other. Above MOST_FPS only
    every n-th frame is drawn. Raises ValueError for takes of different lengths or with nothing to show, UserError without PyAV.
    """
    every = max(1, round(fps / MOST_FPS))
    return write_video(path, draw_takes(takes, size, every), fps / every, sound)


def draw_takes(takes: Sequence[Take], size: tuple[int, int] = SIZE, every: int = 1) -> Iterator[np.ndarray]:
    """The pictures of a film (H, W, 3) uint8, of every n-th frame; see `curves_film`."""
    if not takes or len({len(take) for take in takes}) != 1 or not len(takes[0]):
        raise ValueError(f"takes of {[len(take) for take in takes]} frames cannot be shown together")
    takes = [t if t.joints is None or t.body else replace(t, joints=upright(t.joints)) for t in takes]
    cameras = _cameras(takes, size)
    wide = any(take.has_head and take.has_figure for take in takes)
    titled = any(take.title for take in takes)
    rows: list[Iterator[np.ndarray]] = []
    for take in takes:
        panels = _panels(take, cameras, size, every)
        titles = [take.title or "", *[""] * (len(panels) - 1)] if titled else None
        rows.append(side_by_side(*panels, titles=titles))
    return _stacked(rows) if wide else side_by_side(*rows)


def _cameras(takes: Sequence[Take], size: tuple[int, int]) -> tuple[Camera, Camera | None]:
    """The cameras on all heads and on all figures: the same for every take."""
    joints = [take.joints for take in takes if take.joints is not None]
    joints += [
        body_boxes(t.body, t.turns, t.joints) for t in takes if t.body and t.turns is not None and t.joints is not None
    ]
    return head_camera(size), figure_camera(joints, size) if joints else None


def _panels(
    take: Take, cameras: tuple[Camera, Camera | None], size: tuple[int, int], every: int
) -> list[Iterable[np.ndarray]]:
    panels: list[Iterable[np.ndarray]] = []
    if take.has_head:
        panels.append(_head(take, cameras[0], every))
    if take.joints is not None and take.bones is not None:
        if take.body and take.turns is not None:
            meshes, frames = body_frames(take.body, take.turns[::every], take.joints[::every])
        else:
            meshes, frames = figure_frames(take.joints[::every], take.bones)
        panels.append(render_animation(meshes, frames, camera=cameras[1]))
    if not panels:
        raise ValueError("a take shows a head (weights or a rotation) or a figure (joints and bones)")
    return panels


def _head(take: Take, camera: Camera, every: int) -> Iterator[np.ndarray]:
    weights = np.zeros((len(take), 0), np.float32) if take.weights is None else take.weights
    turn, look = (None if x is None else x[::every] for x in (take.rotation, take.look))
    return render_animation(*head_frames(weights[::every], take.names, turn, look), camera=camera)


def _stacked(rows: Sequence[Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """Rows of pictures one above the other; narrower ones are filled up with white."""
    for pictures in zip(*rows, strict=True):
        wide = max(p.shape[1] for p in pictures)
        fills = [((0, 0), (0, wide - p.shape[1]), (0, 0)) for p in pictures]
        yield np.concatenate([np.pad(p, fill, constant_values=255) for p, fill in zip(pictures, fills, strict=True)])
