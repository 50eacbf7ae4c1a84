"""A mesh with skin weights on the skeleton of a motion: bones matched by name, brought into its rest pose, then moved.

The mesh may stand in another pose than the skeleton at rest (arms hanging, arms held sideways), be of another size, and have
more or fewer bones. Every vertex follows its bones (linear blend skinning, Magnenat-Thalmann et al. 1988).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from audio2face.face.skeleton import positions
from audio2face.formats.body_mesh import BodyMesh
from audio2face.types import Skeleton

KEPT = 1e-4  # how much a bone keeps to its parent's turn, against the directions of its children
FEWEST = 3  # matched bones

# Names of SMPL-X -> those of Mixamo, which MakeHuman and many others use too.
_SIDED = {
    "hip": "UpLeg",
    "knee": "Leg",
    "ankle": "Foot",
    "foot": "ToeBase",
    "collar": "Shoulder",
    "shoulder": "Arm",
    "elbow": "ForeArm",
    "wrist": "Hand",
}
_MIDDLE = {"pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head"}
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


@dataclass(frozen=True)
class BoundBody:
    """A mesh bound to a skeleton: for each bone the joint (B,) that turns it, and the turn (B, 3, 3) from the mesh's pose
    into the skeleton's rest; `scale` is how much larger the skeleton is."""

    mesh: BodyMesh
    joints: np.ndarray
    aligned: np.ndarray
    scale: float

    def posed(self, turns: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Vertices (V, 3) float32 for joints turned in the world (J, 3, 3) and their places (J, 3), in the skeleton's unit."""
        mesh = self.mesh
        world = turns[self.joints] @ self.aligned
        places = np.empty((len(world), 3))
        for bone, parent in enumerate(mesh.parents):
            if parent < 0:
                places[bone] = joints[self.joints[bone]]
            else:
                places[bone] = places[parent] + self.scale * world[parent] @ (mesh.heads[bone] - mesh.heads[parent])
        found = np.zeros(mesh.vertices.shape)
        for bones, weights in zip(mesh.bones.T, mesh.weights.T, strict=True):
            away = self.scale * np.einsum("vij,vj->vi", world[bones], mesh.vertices - mesh.heads[bones])
            found += weights[:, None] * (away + places[bones])
        return found.astype(np.float32)


def bind(mesh: BodyMesh, skeleton: Skeleton) -> BoundBody | None:
    """A mesh on a skeleton; None when fewer than FEWEST of their bones and joints have the same name."""
    own = match(mesh.names, skeleton.names)
    if len(own) < FEWEST:
        return None
    rest = positions(skeleton, np.broadcast_to(np.eye(3), (1, len(skeleton.joints), 3, 3)))[0]
    children = _children(mesh, own)
    joints, aligned = np.zeros(len(mesh.names), np.int64), np.broadcast_to(np.eye(3), (len(mesh.names), 3, 3)).copy()
    for bone, parent in enumerate(mesh.parents):
        if parent >= 0:
            joints[bone], aligned[bone] = joints[parent], aligned[parent]
        if bone in own:
            joints[bone] = own[bone]
            ways = [(mesh.heads[c] - mesh.heads[bone], rest[own[c]] - rest[own[bone]]) for c in children[bone]]
            aligned[bone] = _turned(ways, aligned[bone])
    return BoundBody(mesh, joints, aligned, _scale(mesh, own, children, rest))


def match(bones: tuple[str, ...], joints: tuple[str, ...]) -> dict[int, int]:
    """{bone: joint} of the same name, whatever its letters' case, its separators and what stands before a colon."""
    smplx = {"pelvis", "left_collar", "right_collar"} <= set(joints)
    names = [_mixamo(name) if smplx and name not in bones else name for name in joints]
    known = {_plain(name): place for place, name in reversed(list(enumerate(names)))}
    return {place: known[_plain(name)] for place, name in enumerate(bones) if _plain(name) in known}


def _mixamo(name: str) -> str:
    side, _, part = name.rpartition("_")
    finger = re.fullmatch(r"([a-z]+)([123])", part)
    if side and finger and finger[1] in _FINGERS:
        return f"{side.title()}Hand{finger[1].title()}{finger[2]}"
    return f"{side.title()}{_SIDED.get(part, part)}" if side else _MIDDLE.get(name, name)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.rpartition(":")[2].lower().removeprefix("mixamorig"))


def _children(mesh: BodyMesh, own: dict[int, int]) -> dict[int, list[int]]:
    """The matched bones below each matched bone, with none between them."""
    found: dict[int, list[int]] = {bone: [] for bone in own}
    for bone in own:
        parent = mesh.parents[bone]
        while parent >= 0 and parent not in own:
            parent = mesh.parents[parent]
        if parent >= 0:
            found[int(parent)].append(bone)
    return found


def _turned(ways: list[tuple[np.ndarray, np.ndarray]], before: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that turns directions (3,) of a mesh to those of a skeleton, else as near to `before` as can be."""
    sums = KEPT * before
    for own, wanted in ways:
        lengths = np.linalg.norm(own), np.linalg.norm(wanted)
        if min(lengths) > 0:
            sums = sums + np.outer(wanted / lengths[1], own / lengths[0])
    left, _, right = np.linalg.svd(sums)
    return left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right


def _scale(mesh: BodyMesh, own: dict[int, int], children: dict[int, list[int]], rest: np.ndarray) -> float:
    """How much longer the skeleton's bones are, all together."""
    pairs = [(bone, child) for bone, below in children.items() for child in below]
    theirs = sum(float(np.linalg.norm(rest[own[c]] - rest[own[b]])) for b, c in pairs)
    ours = sum(float(np.linalg.norm(mesh.heads[c] - mesh.heads[b])) for b, c in pairs)
    return theirs / ours if ours > 0 and theirs > 0 else 1.0
