"""An animation on its way to other programs: its motion, its sound, and what is known of the face. No PyTorch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from audio2face.face.curves import Block, CurveGroup
from audio2face.face.rotations import to_euler
from audio2face.face.topology import Topology
from audio2face.formats.arkit_names import arkit_name, plain_name
from audio2face.formats.scene import MorphMesh
from audio2face.postprocess.rig import BlendshapeRig, pose_names
from audio2face.render.head import of_camera_axes
from audio2face.render.head_curves import find_head_curves
from audio2face.types import FaceAnimation, Skeleton

MESHES = ("skin", "tongue")
LIVE_LINK_ORDER = "YXZ"  # yaw, pitch, roll
PERCENT = 100.0  # the upper bound of weights that are percent
Sound = tuple[np.ndarray, int]


@dataclass(frozen=True)
class FaceFiles:
    """What is known of a face beside its motion: faces of the meshes, blendshapes by mesh, what groups of curves are, and
    whether there is a face mesh at all."""

    topology: Topology = field(default_factory=Topology)
    rigs: Mapping[str, BlendshapeRig] = field(default_factory=dict)
    curves: Mapping[str, CurveGroup] = field(default_factory=dict)
    has_mesh: bool = True

    @property
    def skeletons(self) -> dict[str, Skeleton]:
        """{group: skeleton} of the groups that move one."""
        return {name: group.skeleton for name, group in self.curves.items() if group.skeleton is not None}

    def arkit_columns(self) -> list[tuple[str, str, int, float]]:
        """(ARKit's name, group, column of its raw values, how much of them is 1) of every weight that has such a name."""
        found: dict[str, tuple[str, str, int, float]] = {}
        for group, what in self.curves.items():
            for block, raw, _ in what.places():
                for column, name in enumerate(block.names, raw.start):
                    own = arkit_name(name) if block.kind == "weights" else None
                    if own is not None:
                        whole = PERCENT if block.high == PERCENT else 1.0
                        found.setdefault(own, (own, group, column, whole))
        return list(found.values())


@dataclass(frozen=True)
class Clip:
    """An animation to be exported, with its sound (samples (N,) or (N, C), rate) when there is one.

    Without a face mesh the animation's channels are the groups of curves alone (`shown_channels`).
    """

    animation: FaceAnimation
    face: FaceFiles
    sound: Sound | None = None

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """{pose: weights (T,)} of skin, then tongue; solved on the animation's positions."""
        tables = [rig.weights(self.animation.channels[mesh]) for mesh, rig in sorted(self.face.rigs.items())]
        if not tables:
            return {}
        return dict(zip(pose_names(self.face.rigs), np.concatenate(tables, axis=1).T, strict=True))

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """{group: raw values (T, D)}; what their columns are is in `face.curves`."""
        return {group: self.animation.channels[group] for group in self.face.curves}

    @property
    def arkit(self) -> dict[str, np.ndarray]:
        """{ARKit's name: weights (T,), 0 to 1} that the model itself gives; empty without such a group."""
        return {
            name: np.clip(self.curves[group][:, column] / whole, 0, 1)
            for name, group, column, whole in self.face.arkit_columns()
        }

    @property
    def head(self) -> np.ndarray | None:
        """How the head is turned (T, 3, 3), in its own axes (x to its left, y up, z forward); None when no group tells."""
        return find_head_curves(self.face.curves).turns(self.curves)

    @property
    def bodies(self) -> list[tuple[str, Skeleton, np.ndarray]]:
        """(group, skeleton, values (T, D) as a BVH has them) of every group that moves a skeleton."""
        return [(group, skeleton, self.curves[group]) for group, skeleton in self.face.skeletons.items()]

    @property
    def eyes(self) -> np.ndarray | None:
        """(T, 6) degrees: right X, Y, Z, left X, Y, Z; None without a face mesh."""
        if "eye" not in self.animation.channels:
            return None
        eyes = np.asarray(self.animation.channels["eye"])
        if eyes.shape[1] == 6:
            return eyes
        return np.insert(eyes, [2, 4], 0, axis=1)

    def live_link_turns(self) -> dict[str, np.ndarray]:
        """{"Head", "LeftEye", "RightEye": yaw, pitch, roll (T, 3) in radians} as Live Link Face has them, of what groups tell.

        A group of eyes keeps the signs of its data, as the channel of the eyes does.
        """
        head, found = self.head, {}
        if head is not None:
            found["Head"] = to_euler(of_camera_axes(head), LIVE_LINK_ORDER, continuous=True)
        for side in ("left", "right"):
            place = _find_eye(self.face.curves, side)
            if place is not None:
                group, block, columns = place
                turned = block.matrices(self.curves[group][:, columns])
                found[f"{side.title()}Eye"] = to_euler(turned, LIVE_LINK_ORDER, continuous=True)
        return found

    def meshes(self) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """(name, frames, triangles) of every mesh with known faces."""
        faces = {"skin": self.face.topology.skin, "tongue": self.face.topology.tongue}
        return [(m, self.animation.channels[m], t) for m, t in faces.items() if t is not None]

    def rig_meshes(self) -> list[MorphMesh]:
        """Every mesh with known faces and blendshapes, driven by their weights."""
        weights, first, found = list(self.weights.items()), 0, []
        faces = {"skin": self.face.topology.skin, "tongue": self.face.topology.tongue}
        for mesh in MESHES:
            rig = self.face.rigs.get(mesh)
            if rig is None:
                continue
            part = weights[first : first + len(rig.names)]
            first += len(rig.names)
            triangles = faces[mesh]
            if triangles is not None:
                table, names = np.stack([w for _, w in part], axis=1), tuple(n for n, _ in part)
                found.append(MorphMesh(mesh, rig.neutral, triangles, rig.deltas, names, table))
        return found


def shown_channels(channels: Mapping[str, np.ndarray], face: FaceFiles) -> dict[str, np.ndarray]:
    """The channels of a face that mean something: without a mesh those of curves, and not what stands in for a face."""
    return dict(channels) if face.has_mesh else {group: channels[group] for group in face.curves}


def _find_eye(groups: Mapping[str, CurveGroup], side: str) -> tuple[str, Block, slice] | None:
    """The group, the rotation and its columns of the "left" or the "right" eye: the first that is named so."""
    for name, group in groups.items():
        for block, columns, _ in () if group.skeleton else group.places():
            if block.kind == "rotation" and plain_name(block.names[0]).startswith((f"{side}eye", f"eye{side}")):
                return name, block, columns
    return None
