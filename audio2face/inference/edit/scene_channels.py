"""What of a keyed scene is a channel of a model: read from the tables of its tracks, and put back into them. NumPy only.

Tables {track: (T, D)} have a row a frame.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from audio2face.face import rotations
from audio2face.face.curves import Block, CurveGroup
from audio2face.face.skeleton import Skeleton, pose_from_values, values_from_pose
from audio2face.formats.arkit_names import arkit_name, plain_name
from audio2face.formats.keys import Joint, KeyedMesh, KeyedScene
from audio2face.geometry.motion_shapes import clip_shapes
from audio2face.inference.edit.skin import bounded_weights
from audio2face.render.head import head_turns, raw_turns
from audio2face.render.head_curves import find_head_curves

logger = logging.getLogger(__name__)

PERCENT = 100.0
TOLERANCE = 5e-4  # largest error of a vertex, as a share of the mesh's size, until shapes are added
STILL = 1e-4  # of a rotation at rest that is none

Tables = dict[str, np.ndarray]


@dataclass(frozen=True)
class Change:
    """Values `new` (n, …) of a channel in the place of `old` ones at `rows` (n,); at `keys` {row: row of the file} those of
    another row stand as they are, and `before` are the tables of the file."""

    rows: np.ndarray
    new: np.ndarray
    old: np.ndarray
    keys: Mapping[int, int]
    before: Tables

    def copy_keys(self, tables: Tables, track: str, columns: slice = slice(None)) -> None:
        """Copy keys from the file's own table, so that they are exact."""
        for row, source in self.keys.items():
            tables[track][row, columns] = self.before[track][source, columns]


class SceneChannel(Protocol):
    """One of them; `tracks` are those that it needs."""

    @property
    def name(self) -> str: ...

    @property
    def tracks(self) -> set[str]: ...

    def read(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        """Values (T, …) of the channel, and which columns (D,) the scene has."""

    def put(self, tables: Tables, change: Change) -> dict[int, np.ndarray]:
        """Put a change into the tables; returns further shapes {node: (K, V, 3)}."""


@dataclass(frozen=True)
class Weights:
    """A group's columns that are weights of shapes, {column: where they are keyed}; `whole` is how much of a column is 1."""

    name: str
    places: Mapping[int, list[tuple[str, int]]]
    whole: np.ndarray

    @property
    def tracks(self) -> set[str]:
        return {track for places in self.places.values() for track, _ in places}

    def read(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        count = len(next(iter(tables.values())))
        values, there = np.zeros((count, len(self.whole)), np.float32), np.zeros(len(self.whole), bool)
        for column, places in self.places.items():
            track, place = places[0]
            values[:, column], there[column] = tables[track][:, place] * self.whole[column], True
        return values, there

    def put(self, tables: Tables, change: Change) -> dict[int, np.ndarray]:
        for column, places in self.places.items():
            differ = change.new[:, column] != change.old[:, column]
            for track, place in places:
                tables[track][change.rows[differ], place] = change.new[differ, column] / self.whole[column]
        return {}


@dataclass(frozen=True)
class HeadTurn:
    """A group's rotation that turns a joint called head."""

    name: str
    block: Block
    columns: slice
    width: int
    joint: Joint

    @property
    def tracks(self) -> set[str]:
        return {self.joint.track}

    def read(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        table = tables[self.joint.track][:, self.joint.columns]
        above, rest = self.joint.above, self.joint.rest
        turns = above @ rotations.from_quaternion(table) @ rest.T @ above.T
        values, there = np.zeros((len(table), self.width), np.float32), np.zeros(self.width, bool)
        values[:, self.columns], there[self.columns] = raw_turns(self.block, turns), True
        return values, there

    def put(self, tables: Tables, change: Change) -> dict[int, np.ndarray]:
        above, rest = self.joint.above, self.joint.rest
        new, old = (values[:, self.columns] for values in (change.new, change.old))
        differ = (new != old).any(axis=1)
        turns = above.T @ head_turns(self.block, new[differ]) @ above @ rest
        put_turns(tables[self.joint.track], change.rows[differ], self.joint.columns, turns)
        change.copy_keys(tables, self.joint.track, self.joint.columns)
        return {}


@dataclass(frozen=True)
class Body:
    """A group that moves a skeleton, whose joints are the scene's."""

    name: str
    skeleton: Skeleton
    joints: tuple[Joint, ...]

    @property
    def tracks(self) -> set[str]:
        places = {joint.place[0] for joint in self.joints if joint.place is not None}
        return {joint.track for joint in self.joints} | places

    def read(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        turns = np.stack(
            [rotations.from_quaternion(tables[joint.track][:, joint.columns]) for joint in self.joints], axis=1
        )
        places = np.broadcast_to(self.skeleton.offsets, (len(turns), *self.skeleton.offsets.shape)).copy()
        for number, joint in enumerate(self.joints):
            if joint.place is not None:
                places[:, number] = tables[joint.place[0]][:, joint.place[1]]
        values = values_from_pose(self.skeleton, turns, places).astype(np.float32)
        return values, np.ones(values.shape[1], bool)

    def put(self, tables: Tables, change: Change) -> dict[int, np.ndarray]:
        turns, places = pose_from_values(self.skeleton, change.new)
        before = pose_from_values(self.skeleton, change.old)
        for number, joint in enumerate(self.joints):
            differ = (turns[:, number] != before[0][:, number]).any(axis=(1, 2))
            put_turns(tables[joint.track], change.rows[differ], joint.columns, turns[differ, number])
            change.copy_keys(tables, joint.track, joint.columns)
            if joint.place is not None:
                track, columns = joint.place
                moved = (places[:, number] != before[1][:, number]).any(axis=1)
                tables[track][change.rows[moved], columns] = places[moved, number]
                change.copy_keys(tables, track, columns)
        return {}


@dataclass(frozen=True)
class Points:
    """The skin as the vertices of a mesh."""

    mesh: KeyedMesh
    units_per_metre: float
    name: str = "skin"

    @property
    def tracks(self) -> set[str]:
        return {self.mesh.track}

    @property
    def matrix(self) -> np.ndarray:
        """From the mesh's own space to the units of the data (4, 4)."""
        placed = self.mesh.matrix.copy()
        placed[:3] *= self.units_per_metre
        return np.eye(4) if np.allclose(placed, np.eye(4), rtol=0, atol=1e-9) else placed

    def read(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        points, placed = tables[self.mesh.track].reshape(-1, len(self.mesh.rest), 3), self.matrix
        if not np.array_equal(placed, np.eye(4)):
            points = points @ placed[:3, :3].T + placed[:3, 3]
        return points.astype(np.float32), np.ones(1, bool)

    def put(self, tables: Tables, change: Change) -> dict[int, np.ndarray]:
        back = np.linalg.inv(self.matrix)
        table = tables[self.mesh.track].reshape(-1, len(self.mesh.rest), 3)
        moved = change.new.astype(np.float64) @ back[:3, :3].T + back[:3, 3]
        table[change.rows] = np.where(change.new != change.old, moved, table[change.rows])
        change.copy_keys(tables, self.mesh.track)
        return {}


@dataclass(frozen=True)
class Shapes:
    """The skin as weights of a mesh's shapes; what they cannot show becomes further shapes where the file takes them."""

    mesh: KeyedMesh
    units_per_metre: float
    name: str = "skin"

    @property
    def tracks(self) -> set[str]:
        return {self.mesh.track}

    def read(self, tables: Tables) -> tuple[np.ndarray, np.ndarray]:
        assert self.mesh.targets is not None
        moved = np.einsum("tk,kvc->tvc", tables[self.mesh.track], self.mesh.targets, optimize=True)
        return ((self.mesh.rest + moved) * self.units_per_metre).astype(np.float32), np.ones(1, bool)

    def put(self, tables: Tables, change: Change) -> dict[int, np.ndarray]:
        assert self.mesh.targets is not None
        table, shapes = tables[self.mesh.track], self.mesh.targets.reshape(len(self.mesh.targets), -1)
        differ = (change.new != change.old).any(axis=(1, 2))
        rows, new = change.rows[differ], change.new[differ]
        motion = (new / self.units_per_metre - self.mesh.rest).reshape(len(new), -1)
        table[rows] = bounded_weights(shapes, motion, min(0.0, float(table.min())), max(1.0, float(table.max())))
        lacking = (motion - table[rows].astype(np.float32) @ shapes).reshape(len(new), -1, 3)
        change.copy_keys(tables, self.mesh.track)
        size = float(np.linalg.norm(np.ptp(self.mesh.rest, axis=0)))
        error = float(np.linalg.norm(lacking, axis=2).max(initial=0.0))
        if error <= TOLERANCE * size or self.mesh.node is None:
            logger.info("%s: the file's shapes show what is new to %.2g of its size", self.mesh.name, error / size)
            return {}
        added, weights, _ = clip_shapes(lacking, np.zeros_like(self.mesh.rest), TOLERANCE * size)
        logger.info("%s: %d more shapes show what is new", self.mesh.name, len(added))
        wide = np.zeros((len(table), len(added)), table.dtype)
        wide[rows] = weights
        wide[list(change.keys)] = 0
        tables[self.mesh.track] = np.concatenate([table, wide], axis=1)
        return {self.mesh.node: added @ np.linalg.inv(self.mesh.matrix[:3, :3]).T}


def find_channels(
    scene: KeyedScene, groups: Mapping[str, CurveGroup], vertices: int | None, units_per_metre: float
) -> list[SceneChannel]:
    """The groups and the skin of so many vertices (None: no skin) that a scene moves."""
    found: list[SceneChannel] = [*_weights(scene, groups), *_bodies(scene, groups)]
    if (turn := _head(scene, groups)) is not None:
        found.append(turn)
    used = {track for channel in found for track in channel.tracks}
    for mesh in scene.meshes if vertices is not None else ():
        if len(mesh.rest) == vertices and mesh.track not in used:
            kind = Points if mesh.targets is None else Shapes
            found.append(kind(mesh, units_per_metre))
            break
    return found


def _weights(scene: KeyedScene, groups: Mapping[str, CurveGroup]) -> list[Weights]:
    places: dict[str, list[tuple[str, int]]] = {}
    for name, keyed in scene.weights.items():
        places.setdefault(arkit_name(name) or name, []).extend(keyed)
    found = []
    for name, group in groups.items():
        whole = np.ones(len(group.names), np.float32)
        columns: dict[int, list[tuple[str, int]]] = {}
        for block, raw, _ in group.places():
            whole[raw] = PERCENT if block.kind == "weights" and block.high == PERCENT else 1.0
            if block.kind in ("weights", "plain"):
                columns |= {raw.start + n: places[own] for n, own in enumerate(block.names) if own in places}
        if columns:
            found.append(Weights(name, columns, whole))
    return found


def _head(scene: KeyedScene, groups: Mapping[str, CurveGroup]) -> HeadTurn | None:
    head = find_head_curves(groups).head
    joint = next((joint for joint in scene.joints if plain_name(joint.name) == "head"), None)
    if head is None or joint is None:
        return None
    name, block, columns = head
    return HeadTurn(name, block, columns, len(groups[name].names), joint)


def _bodies(scene: KeyedScene, groups: Mapping[str, CurveGroup]) -> list[Body]:
    found, joints = [], {joint.name: joint for joint in scene.joints if np.allclose(joint.rest, np.eye(3), atol=STILL)}
    for name, group in groups.items():
        if group.skeleton is not None and set(group.skeleton.names) <= set(joints):
            found.append(Body(name, group.skeleton, tuple(joints[own] for own in group.skeleton.names)))
    return found


def put_turns(table: np.ndarray, rows: np.ndarray, columns: slice, turns: np.ndarray) -> None:
    """Put rotations (n, 3, 3) as quaternions into rows (n,), each the one of both signs that is nearer to the frame before."""
    for row, quaternion in zip(rows, rotations.to_quaternion(turns), strict=True):
        near = table[max(row - 1, 0), columns] @ quaternion
        table[row, columns] = -quaternion if near < 0 else quaternion
