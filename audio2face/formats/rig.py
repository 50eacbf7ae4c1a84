"""Blendshape rigs as artists have them: .npz of a deployed model, a folder of .obj, glTF, USD."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.budget import check_finite
from audio2face.formats.gltf_rig import read_gltf_rig
from audio2face.formats.npy import read_npz
from audio2face.formats.obj import read_obj
from audio2face.formats.scene import MorphMesh, check_triangles
from audio2face.formats.usd import read_usd_rig
from audio2face.listing import natural_order

REST_NAMES = ("neutral", "rest", "base", "basis", "default", "head")


@dataclass(frozen=True)
class RigFile:
    """Meshes with blendshapes but no motion (weights (0, K)); in metres if `in_metres`, else in an unknown unit."""

    meshes: tuple[MorphMesh, ...]
    in_metres: bool


def read_rig_file(path: str | os.PathLike[str], rest: str | None = None) -> RigFile:
    """Read a rig by its kind; `rest` names an OBJ folder's face at rest (default: the one called neutral, base, …).

    Raises ValueError naming what is wrong, UserError for a USD file when usd-core is missing.
    """
    path = Path(path)
    if path.is_dir():
        return RigFile((read_obj_folder(path, rest),), in_metres=False)
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder")
    reader = RIG_READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: expected a rig: a folder of .obj files, or {', '.join(RIG_READERS)}")
    rig = reader(path)
    if not rig.meshes:
        raise ValueError(f"{path}: holds no mesh")
    return rig


def read_npz_rig(path: str | os.PathLike[str]) -> MorphMesh:
    """A rig as bs_skin.npz holds it: poseNames ("neutral" first), neutral, deltas; faces (F, 3) if it has `triangles`.

    Raises ValueError naming the array that is missing or has another shape.
    """
    arrays = read_npz(path)
    names, rest, poses = rig_poses(path, arrays)
    triangles = np.zeros((0, 3), np.int64)
    if "triangles" in arrays:
        try:
            triangles = check_triangles("triangles", arrays["triangles"], len(rest)).astype(np.int64)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return MorphMesh(Path(path).stem, rest, triangles, poses, names, np.zeros((0, len(names)), np.float32))


def rig_poses(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """(names (K,), neutral (V, 3), shapes as offsets (K, V, 3) float32) of what a bs_skin.npz holds.

    Raises ValueError naming the file and the array that is missing or has another shape.
    """
    if "poseNames" not in arrays:
        raise ValueError(f"{path}: array poseNames is missing; expected the layout of bs_skin.npz")
    texts = arrays["poseNames"].ravel().tolist()
    names = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in texts]
    names = [name for name in names if name != "neutral"]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{path}: poses are named twice: {', '.join(twice):.200}")
    lacking = [name for name in ("neutral", *names) if name not in arrays]
    if lacking or not names:
        raise ValueError(f"{path}: missing arrays of poses {', '.join(lacking) or '(there are none)'}")
    rest = arrays["neutral"]
    odd = [n for n in ("neutral", *names) if arrays[n].shape != rest.shape or arrays[n].dtype.kind not in "fiu"]
    if odd or rest.size % 3 or not (rest.ndim == 1 or rest.shape[1:] == (3,)):
        raise ValueError(
            f"{path}: expected numbers (V, 3) or (3 V,) like neutral {rest.shape}, others are: {', '.join(odd) or 'neutral'}"
        )
    for name in ("neutral", *names):
        check_finite(path, f"{name}: vertex", arrays[name])
    rest, *poses = (np.asarray(arrays[name], np.float32).reshape(-1, 3) for name in ("neutral", *names))
    return tuple(names), rest, np.stack(poses)


def read_obj_folder(folder: str | os.PathLike[str], rest: str | None = None) -> MorphMesh:
    """A rig of .obj files: one at rest, one for each shape, named like the shape, all with the same vertices.

    Raises ValueError naming every file that does not fit.
    """
    folder = Path(folder)
    files = {path.stem: path for path in natural_order(folder.glob("*.obj")) if not path.name.startswith(".")}
    wanted = (rest.removesuffix(".obj"),) if rest else REST_NAMES
    neutral = next((name for want in wanted for name in files if name.lower() == want.lower()), None)
    if neutral is None:
        raise ValueError(f"{folder}: no {' or '.join(f'{n}.obj' for n in wanted)} among its {len(files)} .obj files")
    points, triangles = read_obj(files.pop(neutral))
    poses, wrong = {}, []
    for name, path in files.items():
        pose, _ = read_obj(path)
        if pose.shape == points.shape:
            poses[name] = pose - points
        else:
            wrong.append(f"{path.name} has {len(pose)}")
    if wrong or not poses:
        raise ValueError(
            f"{folder}: {neutral}.obj has {len(points)} vertices, {', '.join(wrong) or 'and there are no shapes'}"
        )
    targets = np.stack(list(poses.values()))
    return MorphMesh(folder.name, points, triangles, targets, tuple(poses), np.zeros((0, len(poses)), np.float32))


RIG_READERS: dict[str, Callable[[Path], RigFile]] = {
    ".npz": lambda path: RigFile((read_npz_rig(path),), in_metres=False),
    ".glb": lambda path: RigFile(tuple(read_gltf_rig(path)), in_metres=True),
    ".gltf": lambda path: RigFile(tuple(read_gltf_rig(path)), in_metres=True),
    ".usd": lambda path: RigFile(tuple(read_usd_rig(path)), in_metres=True),
    ".usda": lambda path: RigFile(tuple(read_usd_rig(path)), in_metres=True),
    ".usdc": lambda path: RigFile(tuple(read_usd_rig(path)), in_metres=True),
    ".usdz": lambda path: RigFile(tuple(read_usd_rig(path)), in_metres=True),
}
