"""The faces of an actor's meshes, and a body with its skin, which travel from the data set to the deployed model beside its arrays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.body_mesh import BodyMesh, body_mesh
from audio2face.formats.npy import read_npz, write_npz
from audio2face.formats.scene import check_triangles

TRIANGLES_FILE = "triangles.npz"
BODY = "body_"  # before the names of the body's arrays


@dataclass(frozen=True)
class Topology:
    """Triangles (F, 3) int32 of skin and tongue, None where unknown, how many units of the data make a metre, and the mesh that
    a skeleton moves, if there is one."""

    skin: np.ndarray | None = None
    tongue: np.ndarray | None = None
    units_per_metre: float = 100.0
    body: BodyMesh | None = None

    def __bool__(self) -> bool:
        return any(part is not None for part in (self.skin, self.tongue, self.body))

    def over(self, other: Topology) -> Topology:
        """These faces, and those of `other` for a mesh that has none here."""
        if not self:
            return other
        skin = other.skin if self.skin is None else self.skin
        tongue = other.tongue if self.tongue is None else self.tongue
        return Topology(skin, tongue, self.units_per_metre, other.body if self.body is None else self.body)


def write_topology(path: str | os.PathLike[str], topology: Topology) -> None:
    """Write what is known, whole or not at all."""
    arrays = {"units_per_metre": np.array([topology.units_per_metre], np.float32)}
    for mesh, triangles in (("skin", topology.skin), ("tongue", topology.tongue)):
        if triangles is not None:
            arrays[f"{mesh}_triangles"] = np.asarray(triangles, np.int32)
    if topology.body is not None:
        arrays |= {f"{BODY}{name}": array for name, array in topology.body.as_arrays().items()}
    write_npz(path, arrays)


def read_topology(path: Path, num_skin: int, num_tongue: int) -> Topology:
    """The faces of meshes with so many vertices; an empty Topology when there is no file.

    Raises ValueError naming the file when it is damaged or belongs to other meshes.
    """
    if not path.is_file():
        return Topology()
    arrays = read_npz(path)
    sizes = {"skin": num_skin, "tongue": num_tongue}
    try:
        faces = {
            mesh: check_triangles(mesh, arrays[f"{mesh}_triangles"], count)
            for mesh, count in sizes.items()
            if f"{mesh}_triangles" in arrays
        }
        units = float(np.asarray(arrays.get("units_per_metre", 100.0)).reshape(-1)[0])
        if not (np.isfinite(units) and units > 0):
            raise ValueError(f"units_per_metre is {units}")
        parts = {name.removeprefix(BODY): array for name, array in arrays.items() if name.startswith(BODY)}
        body = body_mesh(parts) if parts else None
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{path}: {error}") from error
    return Topology(faces.get("skin"), faces.get("tongue"), units, body)
