"""Curves as the scene formats take them: how a head turns, bodies as figures, weights on the built-in head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audio2face.face import skeleton as skeletons
from audio2face.face.body_skin import bind
from audio2face.face.rotations import to_quaternion
from audio2face.formats.body_mesh import BodyMesh
from audio2face.formats.scene import Figure, MorphMesh, Turn
from audio2face.inference.clip import Clip
from audio2face.render.body import SKIN
from audio2face.render.figure import BONE, figure_mesh, up_axis
from audio2face.render.head import builtin_head, head_weights
from audio2face.types import Joint, Offset, Skeleton

Skinned = tuple[MorphMesh | None, np.ndarray | None, np.ndarray | None]  # a mesh, joints and shares (V, K)
PIVOT = np.array(
    [0.0, -0.25, -0.1]
)  # of a mesh's width, height and depth from its middle: where the neck carries the head
PERSON_M = 1.7  # what a body's height is compared with
MOST_BONES = 4  # that move a vertex, in the scene formats
UNITS = (1.0, 100.0, 1000.0)  # lengths of bodies are metres, centimetres or millimetres


def clip_scene(clip: Clip) -> tuple[Turn | None, list[Figure]]:
    """How the meshes of a clip turn, and what stands beside them: bodies, and of a face without a mesh the built-in head."""
    head, weights = clip.head, clip.arkit
    bodies = [body_figure(*body, clip.face.topology.body) for body in clip.bodies]
    if clip.face.has_mesh:
        _, frames, triangles = clip.meshes()[0]
        return None if head is None else head_turn(head, frames[0][np.unique(triangles)]), bodies
    if head is None and not weights:
        return None, bodies
    count = clip.animation.num_frames
    table = np.stack(list(weights.values()), axis=1) if weights else np.zeros((count, 0))
    return None, [head_figure(table, tuple(weights), head), *bodies]


def head_turn(rotation: np.ndarray, points: np.ndarray) -> Turn:
    """Turns (T, 3, 3) of a head about a place in the neck of its mesh, whose vertices at rest are points (V, 3)."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    return Turn(to_quaternion(rotation), (low + high) / 2 + PIVOT * (high - low))


def head_figure(weights: np.ndarray, names: Sequence[str], rotation: np.ndarray | None = None) -> Figure:
    """The built-in head with weights (T, P) of `names`, turned by rotation (T, 3, 3); its neck's skin follows by degrees.

    Its 52 shapes are left out where there are no names. Lids and lips are as the shapes have them: they neither slide
    over the eyes nor are kept from crossing (`render.head.pose_head`).
    """
    head = builtin_head()
    count, number = len(weights), len(head.names) if names else 0
    low = np.array([0.0, head.vertices[:, 1].min(), head.pivot[2]])
    neck = Joint("neck", -1, _three(low))
    bones = Skeleton((neck, Joint("head", 0, _three(head.pivot - low))))
    turns = np.tile(np.eye(3), (count, 2, 1, 1))
    if rotation is not None:
        turns[:, 1] = rotation
    mesh = MorphMesh(
        "face",
        head.vertices,
        head.triangles,
        head.deltas[:number],
        head.names[:number],
        head_weights(weights, names, head)[:, :number],
        head.colours,
    )
    shares = np.stack([head.turns, 1 - head.turns], axis=1)
    joints = np.tile([1, 0], (len(head.vertices), 1))
    places = np.broadcast_to(bones.offsets, (count, 2, 3))
    return Figure("head", bones, to_quaternion(turns), places, mesh, joints, shares)


def body_figure(name: str, skeleton: Skeleton, values: np.ndarray, body: BodyMesh | None = None) -> Figure:
    """A skeleton moved by its channels' values (T, D), with a `body` whose bones have its names, else a tube along every bone.

    Its unit is told by its height.
    """
    turns, places = skeletons.pose_from_values(skeleton, values)
    points, bones = _at_rest(skeleton)
    tall = max(float(np.ptp(points, axis=0).max()), 1e-9)
    units = min(UNITS, key=lambda unit: abs(np.log(tall / (PERSON_M * unit))))
    mesh, joints, shares = _skin(name, skeleton, body, len(values)) or _tubes(name, points, bones, len(values))
    z_up = up_axis(points) == "z"
    return Figure(name, skeleton, to_quaternion(turns), places, mesh, joints, shares, units, z_up)


def _at_rest(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Where joints rest, then the tips of bones (P, 3), and the lines (B, 2) between them."""
    unturned = np.tile(np.eye(3), (1, len(skeleton.joints), 1, 1))
    points = skeletons.positions(skeleton, unturned, skeleton.offsets[None])[0]
    ends = {place: joint.end for place, joint in enumerate(skeleton.joints) if joint.end is not None}
    tips = points[list(ends)] + np.array(list(ends.values())).reshape(-1, 3)
    lines = [(place, len(points) + number) for number, place in enumerate(ends)]
    bones = np.concatenate([skeletons.bones(skeleton), np.array(lines, np.int64).reshape(-1, 2)])
    return np.concatenate([points, tips]), bones


def _skin(name: str, skeleton: Skeleton, body: BodyMesh | None, count: int) -> Skinned | None:
    """The mesh of a body in the skeleton's rest, and the joints (V, K) that each vertex goes with, by which shares."""
    bound = None if body is None else bind(body, skeleton)
    if bound is None:
        return None
    unturned = np.tile(np.eye(3), (len(skeleton.joints), 1, 1))
    vertices = bound.posed(unturned, skeletons.positions(skeleton, unturned[None])[0])
    strongest = np.argsort(-bound.mesh.weights, axis=1)[:, :MOST_BONES]
    shares = np.take_along_axis(bound.mesh.weights, strongest, axis=1)
    joints = bound.joints[np.take_along_axis(bound.mesh.bones, strongest, axis=1)]
    mesh = _still(f"{name}_skin", vertices, bound.mesh.triangles, SKIN, count)
    return mesh, joints, shares / shares.sum(axis=1, keepdims=True)


def _tubes(name: str, points: np.ndarray, bones: np.ndarray, count: int) -> Skinned:
    """The mesh of a figure, and which joint (V, 1) each vertex goes with; None of a skeleton without a bone."""
    if not np.any(points[bones[:, 0]] != points[bones[:, 1]]):
        return None, None, None
    vertices, triangles, joints = figure_mesh(points, bones)
    mesh = _still(f"{name}_bones", vertices, triangles, BONE, count)
    return mesh, joints[:, None], np.ones((len(vertices), 1))


def _still(name: str, vertices: np.ndarray, triangles: np.ndarray, colour: Offset, count: int) -> MorphMesh:
    """A mesh of one colour without shapes, in `count` frames."""
    no_shapes = np.zeros((0, *vertices.shape), np.float32)
    colours = np.tile(colour, (len(vertices), 1))
    return MorphMesh(name, vertices, triangles, no_shapes, (), np.zeros((count, 0), np.float32), colours)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = map(float, values)
    return x, y, z
