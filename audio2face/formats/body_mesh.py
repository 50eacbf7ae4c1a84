"""A mesh on bones with skin weights: .npz, or a skinned mesh of glTF (.glb, .gltf)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.budget import check_finite
from audio2face.formats.gltf_rig import read_gltf_skin
from audio2face.formats.npy import read_npz
from audio2face.formats.scene import check_triangles

SUFFIXES = (".npz", ".glb", ".gltf")
ARRAYS = ("vertices", "triangles", "bone_names", "bone_parents", "bone_heads", "skin_bones", "skin_weights")


@dataclass(frozen=True)
class BodyMesh:
    """vertices (V, 3) float32 in the pose in which the mesh was bound, triangles (F, 3) int32, bones and their weights.

    Of the bones: names (B), parents (B,) int32 (-1 of roots, parents before children) and heads (B, 3), where they begin. Of each
    vertex: bones (V, K) int32 that move it and weights (V, K) float32, which sum to 1.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    names: tuple[str, ...]
    parents: np.ndarray
    heads: np.ndarray
    bones: np.ndarray
    weights: np.ndarray

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of an .npz, as `read_body_mesh` reads them."""
        parts = (
            self.vertices,
            self.triangles,
            np.array(self.names, np.str_),
            self.parents,
            self.heads,
            self.bones,
            self.weights,
        )
        return dict(zip(ARRAYS, parts, strict=True))


def read_body_mesh(path: str | os.PathLike[str]) -> BodyMesh:
    """Read a skinned mesh.

    An .npz has vertices (V, 3), triangles (F, 3), bone_names (B,), bone_parents (B,), bone_heads (B, 3), skin_bones (V, K) and
    skin_weights (V, K); of glTF the first mesh with a skin is read. Raises ValueError naming the file and what is wrong.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: expected a mesh with skin weights ({', '.join(SUFFIXES)})")
    try:
        return body_mesh(read_npz(path) if suffix == ".npz" else read_gltf_skin(path))
    except ValueError as error:
        raise error if str(error).startswith(str(path)) else ValueError(f"{path}: {error}") from error


def body_mesh(arrays: Mapping[str, np.ndarray]) -> BodyMesh:
    """The mesh of arrays by the names of an .npz; weights are made to sum to 1. Raises ValueError naming the array."""
    if missing := [name for name in ARRAYS if name not in arrays]:
        raise ValueError(f"expected the arrays {', '.join(ARRAYS)}; {', '.join(missing)} missing")
    vertices, heads = _points("vertices", arrays["vertices"]), _points("bone_heads", arrays["bone_heads"])
    names = tuple(map(str, np.asarray(arrays["bone_names"]).reshape(-1)))
    parents = _parents(arrays["bone_parents"], names)
    if len(heads) != len(names):
        raise ValueError(f"bone_heads: expected {(len(names), 3)} for {len(names)} bone_names, found {heads.shape}")
    bones, weights = arrays["skin_bones"], np.asarray(arrays["skin_weights"], np.float32)
    if bones.ndim != 2 or len(bones) != len(vertices) or weights.shape != bones.shape:
        raise ValueError(
            f"skin_bones and skin_weights: expected ({len(vertices)}, K) both, found {bones.shape}, {weights.shape}"
        )
    if bones.dtype.kind not in "iu" or bones.min(initial=0) < 0 or bones.max(initial=0) >= len(names):
        raise ValueError(f"skin_bones: expected bones 0 to {len(names) - 1}, as whole numbers")
    check_finite("arrays", "skin_weights", weights)
    total = weights.sum(axis=1, keepdims=True)
    if weights.min(initial=0) < 0 or (alone := np.flatnonzero(total[:, 0] < 1e-4)).size:
        which = f"vertex {alone[0]} has none" if weights.min(initial=0) >= 0 else "some are below 0"
        raise ValueError(f"skin_weights: expected weights of 0 or more, not all 0; {which}")
    triangles = check_triangles("triangles", arrays["triangles"], len(vertices))
    return BodyMesh(vertices, triangles, names, parents, heads, bones.astype(np.int32), weights / total)


def _points(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or values.shape[1] != 3 or values.dtype.kind not in "fiu" or not len(values):
        raise ValueError(f"{name}: expected (n, 3) numbers, found {values.shape} of {values.dtype}")
    points = np.asarray(values, np.float32)
    check_finite("arrays", name, points)
    return points


def _parents(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    if values.shape != (len(names),) or values.dtype.kind not in "iu":
        raise ValueError(
            f"bone_parents: expected {(len(names),)} whole numbers, found {values.shape} of {values.dtype}"
        )
    parents = values.astype(np.int32)
    wrong = np.flatnonzero((parents < -1) | (parents >= np.arange(len(names))))
    if wrong.size:
        raise ValueError(
            f"bone_parents: the parent of {names[wrong[0]]} is {parents[wrong[0]]}, which is not before it"
        )
    return parents
