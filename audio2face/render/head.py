"""The built-in head: a face with the 52 ARKit shapes, to show weights and head turns of people who have no mesh.

Centimetres, y up, z forward, x to the person's left. The shapes are linear; lids then slide over the eyeballs, lips do not
cross, and the head turns about a pivot in the neck, whose skin follows by degrees. Baked by `tools/make_head.py`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.face.curves import Block
from audio2face.formats.arkit_names import arkit_name
from audio2face.render.openings import Moving
from audio2face.render.raster import Camera, Mesh, auto_camera

logger = logging.getLogger(__name__)

FILE = Path(__file__).with_name("head.npz")
LOOK_DEG = 30.0  # how far an eye turns when an eyeLook shape is 1
MM_PER_UNIT = 10.0
SMALLEST_GAP = 0.0024  # between lips
LID_REACH = 1.66  # radius to which the inner rings of a lid are pushed out of the eye; they rest at less where they are tucked in
LIP_FOLLOW = (0.6, 0.9, 1.0, 1.0, 0.85, 0.6, 0.4, 0.2, 0.08)  # rings of the lips moved along when they would cross
FRAME = np.array([[-8.8, -14.2, 0.0], [8.8, 12.8, 2.0]])  # what the camera holds
LIVE_LINK = ("headyaw", "headpitch", "headroll")
ROTATIONS_OF_CAMERAS = np.diag([-1.0, 1.0, -1.0])


@dataclass(frozen=True)
class Part:
    """Vertices start … end of the head, drawn with this gloss and darkness from inside (see `Mesh`)."""

    name: str
    start: int
    end: int
    gloss: float
    inside: float

    @property
    def span(self) -> slice:
        return slice(self.start, self.end)


@dataclass(frozen=True)
class Head:
    """A head at rest and what moves it.

    vertices (V, 3) cm; triangles (F, 3), part by part; colours (V, 3) sRGB 0 … 1; names (P); deltas (P, V, 3);
    turns (V,): share of the head's turn that a vertex makes, 1 but for the neck; pivot (3,); eyes (2, 3): centres of the
    right and the left eyeball; lids (2, 7, n) and lips (2, 9, m), upper and lower: vertex numbers of rings from the inside out.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    names: tuple[str, ...]
    deltas: np.ndarray
    turns: np.ndarray
    pivot: np.ndarray
    eyes: np.ndarray
    lids: np.ndarray
    lips: np.ndarray
    parts: tuple[Part, ...]

    @cached_property
    def meshes(self) -> tuple[Mesh, ...]:
        """The parts as meshes for the renderer."""
        found = []
        for part in self.parts:
            inside = (self.triangles[:, 0] >= part.start) & (self.triangles[:, 0] < part.end)
            triangles = self.triangles[inside] - part.start
            found.append(Mesh(triangles, self.colours[part.span], part.gloss, part.inside))
        return tuple(found)


@cache
def builtin_head() -> Head:
    """The head that comes with the package. It is shared: do not write into its arrays."""
    with np.load(FILE) as data:
        return Head(
            vertices=data["vertices"],
            triangles=data["triangles"].astype(np.int64),
            colours=data["colours"] / np.float32(255),
            names=tuple(data["names"].tolist()),
            deltas=data["deltas"] * data["steps"][:, None, None],
            turns=data["turns"],
            pivot=data["pivot"],
            eyes=data["eyes"],
            lids=data["lids"].astype(np.int64),
            lips=data["lips"].astype(np.int64),
            parts=tuple(
                Part(name, start, end, gloss, inside)
                for name, start, end, gloss, inside in zip(
                    *(data[f"part_{what}"].tolist() for what in ("names", "starts", "ends", "gloss", "inside")),
                    strict=True,
                )
            ),
        )


def write_head(path: str | os.PathLike[str], head: Head) -> None:
    """Write a head as `builtin_head` reads it: shapes in 16-bit steps, the same bytes for the same head."""
    steps = np.maximum(np.abs(head.deltas).max(axis=(1, 2)), 1e-6) / 32767
    parts: dict[str, Any] = {
        f"part_{what}": np.array([getattr(part, key) for part in head.parts])
        for what, key in (("names", "name"), ("starts", "start"), ("ends", "end"), ("gloss",) * 2, ("inside",) * 2)
    }
    np.savez_compressed(
        path,
        vertices=head.vertices.astype(np.float32),
        triangles=head.triangles.astype(np.uint16),
        colours=np.round(255 * head.colours).astype(np.uint8),
        names=np.array(head.names),
        deltas=np.round(head.deltas / steps[:, None, None]).astype(np.int16),
        steps=steps.astype(np.float32),
        turns=head.turns.astype(np.float32),
        pivot=head.pivot,
        eyes=head.eyes,
        lids=head.lids.astype(np.uint16),
        lips=head.lips.astype(np.uint16),
        **parts,
    )


# ---------------------------------------------------------------- motion


def head_weights(weights: np.ndarray, names: Sequence[str], head: Head | None = None) -> np.ndarray:
    """Weights (T, P) of `names` as weights (T, 52) float32 of the head's shapes; what is missing or no number is 0.

    Names may be written in any way that `arkit_name` understands. Those that the head does not know are logged once.
    Raises ValueError when there are not as many names as columns.
    """
    head = head or builtin_head()
    weights = np.asarray(weights, np.float32)
    if weights.ndim != 2 or weights.shape[1] != len(names):
        raise ValueError(f"{len(names)} names for weights {weights.shape}")
    place: dict[str | None, int] = {name: k for k, name in enumerate(head.names)}
    found = np.zeros((len(weights), len(head.names)), np.float32)
    unknown = []
    for column, name in enumerate(names):
        k = place.get(arkit_name(name))
        if k is None:
            unknown.append(name)
        else:
            found[:, k] = weights[:, column]
    if unknown:
        _tell_unknown(tuple(unknown), len(names))
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


@cache  # once
def _tell_unknown(unknown: tuple[str, ...], count: int) -> None:
    shown = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
    logger.info("the built-in head has no shapes for %d of %d names: %s", len(unknown), count, shown)


def pose_head(
    weights: np.ndarray, rotation: np.ndarray | None = None, look: np.ndarray | None = None, head: Head | None = None
) -> np.ndarray:
    """Vertices (T, V, 3) float32 for weights (T, 52) of `head_weights`.

    rotation (T, 3, 3) turns the head, in its own axes; look (T, 2, ≥ 2) are degrees of the right and the left eye about
    x (positive looks down) and y (positive looks to the person's left), by default those of the eyeLook shapes.
    """
    head = head or builtin_head()
    return np.concatenate([_pose_part(head, k, weights, rotation, look) for k in range(len(head.parts))], axis=1)


def head_frames(
    weights: np.ndarray,
    names: Sequence[str],
    rotation: np.ndarray | None = None,
    look: np.ndarray | None = None,
    head: Head | None = None,
) -> tuple[list[Mesh], list[Moving]]:
    """(meshes, frames) for `render_animation`, of weights (T, P) of `names`; vertices are computed as they are drawn.

    See `pose_head` for rotation and look, `head_weights` for names. Raises ValueError when lengths differ.
    """
    head = head or builtin_head()
    found = head_weights(weights, names, head)
    for what, values in (("rotation", rotation), ("look", look)):
        if values is not None and len(values) != len(found):
            raise ValueError(f"{len(found)} frames of weights but {len(values)} of {what}")

    def at(part: int, t: int) -> np.ndarray:
        turned = None if rotation is None else rotation[t : t + 1]
        gaze = None if look is None else look[t : t + 1]
        return _pose_part(head, part, found[t : t + 1], turned, gaze)[0]

    return list(head.meshes), [Moving(len(found), partial(at, k)) for k in range(len(head.parts))]


def head_camera(size: tuple[int, int] = (512, 512), yaw: float = 0.0, zoom: float = 1.0) -> Camera:
    """A camera on the head, with room for its turns; yaw in degrees."""
    corners = np.stack(np.meshgrid(*FRAME.T), axis=-1).reshape(-1, 3)
    return auto_camera(corners, size, yaw=yaw, zoom=zoom)


def head_turns(block: Block, raw: np.ndarray) -> np.ndarray:
    """How a head is turned (T, 3, 3) in its own axes, of a rotation's raw columns (T, d).

    HeadYaw, HeadPitch and HeadRoll are Live Link Face's (`of_camera_axes`), anything else is taken as it is.
    """
    matrices = block.matrices(raw)
    return of_camera_axes(matrices) if tuple(n.lower() for n in block.names) == LIVE_LINK else matrices


def raw_turns(block: Block, turns: np.ndarray) -> np.ndarray:
    """The inverse of `head_turns`: raw columns (T, d) of turns (T, 3, 3) in the head's own axes, without jumps."""
    live_link = tuple(name.lower() for name in block.names) == LIVE_LINK
    return block.turned(of_camera_axes(turns) if live_link else turns)


def of_camera_axes(rotation: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) told in the axes of a camera that looks at the person, in the head's own axes.

    Such axes have x to the person's right and z away from the camera. Live Link Face's are: with HeadYaw, HeadPitch and
    HeadRoll as a right-handed YXZ rotation, positive yaw turns the head to the person's left, positive pitch lifts the
    chin, and positive roll leans the head to the person's left (of its own eyes, positive yaw looks right and positive
    pitch down). That is how a face that speaks to its phone moves: the eyes stay on it, so they turn against the head.
    """
    return ROTATIONS_OF_CAMERAS @ np.asarray(rotation) @ ROTATIONS_OF_CAMERAS


def _pose_part(
    head: Head, number: int, weights: np.ndarray, rotation: np.ndarray | None, look: np.ndarray | None
) -> np.ndarray:
    """Vertices (T, n, 3) of one part."""
    part = head.parts[number]
    rest = head.vertices[part.span]
    if part.name.endswith("_eye"):
        side = 0 if part.name.startswith("right") else 1
        turn = (_looks(head, weights) if look is None else np.asarray(look, np.float32))[:, side]
        posed = _turn_eye(rest - head.eyes[side], turn) + head.eyes[side]
    else:
        deltas = head.deltas[:, part.span].reshape(len(head.names), -1)
        posed = (weights @ deltas).reshape(len(weights), -1, 3) + rest
    if part.name == "skin":
        _slide_lids(posed, head)
        _part_lips(posed, head)
    if rotation is None:
        return posed.astype(np.float32)
    turns = np.where(np.isfinite(rotation).all(axis=(1, 2), keepdims=True), rotation, np.eye(3))
    around = posed - head.pivot
    share = head.turns[part.span, None]
    return (posed + share * (around @ np.swapaxes(turns, 1, 2) - around)).astype(np.float32)


def _looks(head: Head, weights: np.ndarray) -> np.ndarray:
    """Degrees (T, 2, 2) of the right and the left eye about x and y, of the eyeLook shapes."""
    at = {name: weights[:, k] for k, name in enumerate(head.names) if name.startswith("eyeLook")}
    sides = []
    for side, sign in (("Right", -1.0), ("Left", 1.0)):  # out is to the left for the left eye
        down = at[f"eyeLookDown{side}"] - at[f"eyeLookUp{side}"]
        sides.append(np.stack([down, sign * (at[f"eyeLookOut{side}"] - at[f"eyeLookIn{side}"])], axis=1))
    return LOOK_DEG * np.stack(sides, axis=1)


def _turn_eye(ball: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Vertices (T, n, 3) of a ball (n, 3) about the origin, turned about x, then about y by degrees (T, ≥ 2)."""
    a, b = np.radians(degrees[:, 0, None]), np.radians(degrees[:, 1, None])
    x, y, z = ball.T
    y, z = np.cos(a) * y - np.sin(a) * z, np.sin(a) * y + np.cos(a) * z
    return np.stack([np.cos(b) * x + np.sin(b) * z, y, np.cos(b) * z - np.sin(b) * x], axis=-1)


def _slide_lids(skin: np.ndarray, head: Head) -> None:
    """Push lid vertices of `skin` (in place; owned by _pose_part) out of the eyes."""
    start = next(part.start for part in head.parts if part.name == "skin")
    for rings, centre in zip(head.lids, head.eyes, strict=True):
        away = skin[:, rings - start] - centre
        rest = np.linalg.norm(head.vertices[rings] - centre, axis=-1, keepdims=True)
        rest[4:] = np.minimum(rest[4:], LID_REACH)
        radius = np.linalg.norm(away, axis=-1, keepdims=True)
        skin[:, rings - start] = centre + away * np.maximum(1.0, rest / np.maximum(radius, 1e-6))


def _part_lips(skin: np.ndarray, head: Head) -> None:
    """Where lips of `skin` (in place; owned by _pose_part) would cross, let them meet in the middle."""
    start = next(part.start for part in head.parts if part.name == "skin")
    upper, lower = head.lips - start
    gap = skin[:, upper[CONTACT], 1] - skin[:, lower[CONTACT], 1]
    excess = np.maximum(SMALLEST_GAP - gap, 0.0) / 2
    for up, low, share in zip(upper, lower, LIP_FOLLOW, strict=True):
        skin[:, up, 1] += share * excess
        skin[:, low, 1] -= share * excess


CONTACT = 2  # the ring where the lips touch
