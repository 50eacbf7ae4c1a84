"""Meshes and skeletons that move, as the scene formats (glTF, USD) take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio2face.types import Skeleton


@dataclass(frozen=True)
class PointMesh:
    """A mesh whose every frame is stored: frames (T, V, 3), triangles (F, 3) counter-clockwise from outside."""

    name: str
    frames: np.ndarray
    triangles: np.ndarray


@dataclass(frozen=True)
class MorphMesh:
    """A mesh whose frame t is rest (V, 3) + sum over k of weights[t, k] * targets[k], targets (K, V, 3).

    `colours` (V, 3) are sRGB, 0 to 1.
    """

    name: str
    rest: np.ndarray
    triangles: np.ndarray
    targets: np.ndarray
    target_names: tuple[str, ...]
    weights: np.ndarray
    colours: np.ndarray | None = None

    def __post_init__(self) -> None:
        k = len(self.target_names)
        if self.targets.shape != (k, *self.rest.shape) or self.weights.ndim != 2 or self.weights.shape[1] != k:
            raise ValueError(
                f"mesh {self.name!r}: {k} names, targets {self.targets.shape}, weights {self.weights.shape}, "
                f"rest {self.rest.shape} do not match"
            )


@dataclass(frozen=True)
class Turn:
    """A turn over time: unit quaternions (T, 4) x, y, z, w about a pivot (3,)."""

    quaternions: np.ndarray
    pivot: np.ndarray


@dataclass(frozen=True)
class Figure:
    """A skeleton in motion, and a mesh that follows it (linear blend skinning of what its shapes make).

    quaternions (T, J, 4) x, y, z, w of length 1 and places (T, J, 3) of the joints, both in their parents. Vertex v of the
    mesh goes with joint joints[v, k] by shares[v, k], which sum to 1, both (V, K), K at most 4; it fits the joints at rest:
    at their offsets, unturned. `z_up`: in its own lengths, which have `units_per_metre`, z is up.
    """

    name: str
    skeleton: Skeleton
    quaternions: np.ndarray
    places: np.ndarray
    mesh: MorphMesh | None = None
    joints: np.ndarray | None = None
    shares: np.ndarray | None = None
    units_per_metre: float = 100.0
    z_up: bool = False

    def __post_init__(self) -> None:
        count, joints = len(self.quaternions), len(self.skeleton.joints)
        if self.quaternions.shape != (count, joints, 4) or self.places.shape != (count, joints, 3):
            raise ValueError(
                f"figure {self.name!r}: {joints} joints, quaternions {self.quaternions.shape}, places {self.places.shape}"
            )
        if self.mesh is not None and (self.joints is None or self.shares is None):
            raise ValueError(f"figure {self.name!r}: a mesh without the joints that move it")

    @property
    def rest(self) -> np.ndarray:
        """Where the joints rest (J, 3)."""
        places = self.skeleton.offsets
        for number, joint in enumerate(self.skeleton.joints):
            if joint.parent >= 0:
                places[number] += places[joint.parent]
        return places


def linear_colours(colours: np.ndarray) -> np.ndarray:
    """sRGB (V, 3), 0 to 1, as light (V, 3) float32."""
    colours = np.asarray(colours, np.float64)
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4).astype(np.float32)


def check_triangles(name: str, triangles: np.ndarray, num_vertices: int) -> np.ndarray:
    """Triangles (F, 3) as int32. Raises ValueError for another shape, or corners that are not vertices of the mesh."""
    triangles = np.asarray(triangles)
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not len(triangles) or triangles.dtype.kind not in "iu":
        raise ValueError(f"mesh {name!r}: expected triangles (F, 3) of whole numbers, found {triangles.shape}")
    low, high = int(triangles.min()), int(triangles.max())
    if low < 0 or high >= num_vertices:
        raise ValueError(f"mesh {name!r}: triangles name vertices {low} to {high}, the mesh has {num_vertices}")
    return np.ascontiguousarray(triangles, np.int32)


def smooth_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float32 of vertices (V, 3), weighted by area; vertices without a face point along Z."""
    corners = np.asarray(vertices, np.float64)[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros(np.shape(vertices))
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    scale = max(float(np.ptp(np.asarray(vertices, np.float64), axis=0).max(initial=0.0)), 1e-30)
    flat = length <= 1e-12 * scale**2
    return np.where(flat, [0.0, 0.0, 1.0], normals / np.where(flat, 1, length)).astype(np.float32)
