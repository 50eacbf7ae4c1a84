"""USD files: meshes with animated points or UsdSkel blend shapes, skeletons, the sound beside them. Needs usd-core."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.confined import confined
from audio2face.formats.budget import (
    check_corners,
    check_finite,
    check_unpacked,
)
from audio2face.formats.scene import Figure, MorphMesh, PointMesh, Turn
from audio2face.formats.usd_prims import (
    add_figures,
    add_mesh,
    add_morph_mesh,
    add_skeleton,
    add_sound,
    add_turn,
    add_weights,
    extent,
    new_stage,
    save,
    valid,
    vectors,
)
from audio2face.formats.usd_stage import named_errors, open_stage, require_usd, stage_bytes

LIBRARY = ["pxr.Usd", "pxr.UsdGeom", "pxr.UsdSkel"]  # loaded once for all files


def write_usd_points(
    path: str | os.PathLike[str],
    meshes: Sequence[PointMesh],
    fps: float,
    units_per_metre: float = 100.0,
    sound: str | None = None,
    turn: Turn | None = None,
    figures: Sequence[Figure] = (),
) -> None:
    """Write meshes with a sample of points per frame; frame t has time code t. `sound` is a path relative to the file.

    `turn` is that of /Face/Head, which then holds the meshes; each figure is below /Face by its name. Raises UserError
    without usd-core, ValueError for bad triangles or no frames.
    """
    num_frames = max(map(len, [*(mesh.frames for mesh in meshes), *(figure.places for figure in figures)]), default=0)
    stage = new_stage(path, num_frames, fps, units_per_metre, "SkelRoot" if figures else "Xform")
    above = add_turn(stage, turn)
    for mesh in meshes:
        prim = add_mesh(stage, f"{above}/{valid(mesh.name)}", mesh.name, mesh.frames[0], mesh.triangles)
        points, box = prim.GetPointsAttr(), prim.GetExtentAttr()
        for t, frame in enumerate(mesh.frames):
            points.Set(vectors(frame), t)
            box.Set(extent(frame), t)
    add_figures(stage, figures, units_per_metre)
    add_sound(stage, sound)
    save(stage, path)


def write_usd_blendshapes(
    path: str | os.PathLike[str],
    meshes: Sequence[MorphMesh],
    fps: float,
    units_per_metre: float = 100.0,
    sound: str | None = None,
    turn: Turn | None = None,
    figures: Sequence[Figure] = (),
) -> None:
    """Write meshes with named blend shapes and one animation of their weights (UsdSkel); frame t has time code t.

    A name that two meshes share is one shape of the animation: it moves both. `turn` and `figures` as in
    `write_usd_points`. Raises as it does, and ValueError for weights of different lengths, or different ones of one name.
    """
    require_usd()
    lengths = {len(mesh.weights) for mesh in meshes}
    if len(lengths) > 1:
        raise ValueError(f"{path}: the meshes have animations of different lengths {sorted(lengths)}")
    num_frames = lengths.pop() if lengths else 0
    stage = new_stage(path, num_frames, fps, units_per_metre, "SkelRoot")
    above = add_turn(stage, turn)
    skeleton, animation = add_skeleton(stage, above, ["root"], np.eye(4)[None], np.eye(4)[None])
    for mesh in meshes:
        add_morph_mesh(stage, f"{above}/{valid(mesh.name)}", mesh, skeleton)
    add_weights(path, animation, meshes)
    add_figures(stage, figures, units_per_metre)
    add_sound(stage, sound)
    save(stage, path)


def read_usd_rig(path: str | os.PathLike[str]) -> list[MorphMesh]:
    """Every mesh in metres, y up, with its blend shapes (UsdSkel) and no animation (weights (0, K)).

    In-betweens are left out. Raises UserError without usd-core, ValueError naming the file when it cannot be read.
    """
    require_usd()
    found = confined(_rig, os.fspath(path), load=LIBRARY)
    return [MorphMesh(**{**mesh, "target_names": tuple(mesh["target_names"])}) for mesh in found]


@named_errors
def _rig(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    from pxr import UsdGeom

    stage = open_stage(Path(path))
    scale = UsdGeom.GetStageMetersPerUnit(stage)
    if not 0 < scale < float("inf"):
        raise ValueError(f"{path}: metersPerUnit {scale}: expected a positive number")
    stand = (
        np.eye(3) if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y else np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    )
    meshes = []
    for prim in stage.Traverse():
        if prim.IsA(UsdGeom.Mesh) and len(_numbers(path, UsdGeom.Mesh(prim).GetPointsAttr(), 3)):
            meshes.append(vars(_read_morph_mesh(path, prim, scale * stand)))
    return meshes


def _read_morph_mesh(path: str | os.PathLike[str], prim: Any, stand: np.ndarray) -> MorphMesh:
    from pxr import UsdGeom, UsdSkel

    mesh, binding = UsdGeom.Mesh(prim), UsdSkel.BindingAPI(prim)
    world = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(0)).T  # USD multiplies rows
    turn = stand @ world[:3, :3]
    rest = _numbers(path, mesh.GetPointsAttr(), 3) @ turn.T + stand @ world[:3, 3]
    names = _tokens(path, binding.GetBlendShapesAttr())
    paths = binding.GetBlendShapeTargetsRel().GetTargets()
    if len(names) != len(paths):
        raise ValueError(f"{path}: {prim.GetPath()} names {len(names)} blend shapes and has {len(paths)}")
    check_unpacked(path, f"blend shapes of {prim.GetPath()}", 4 * len(names) * rest.size, stage_bytes(prim.GetStage()))
    targets = np.zeros((len(names), *rest.shape), np.float32)
    for target, place in zip(targets, paths, strict=True):
        shape = UsdSkel.BlendShape(prim.GetStage().GetPrimAtPath(place))
        offsets = _numbers(path, shape.GetOffsetsAttr(), 3) if shape else np.zeros((0, 3))
        points = _numbers(path, shape.GetPointIndicesAttr()).astype(np.int64) if shape else np.zeros(0, np.int64)
        rows = points if len(points) else np.arange(len(rest))
        if len(rows) != len(offsets) or (len(rows) and (rows.min() < 0 or rows.max() >= len(rest))):
            raise ValueError(f"{path}: blend shape {place} does not belong to {prim.GetPath()}: {len(offsets)} offsets")
        target[rows] = offsets @ turn.T
    check_finite(path, f"{prim.GetPath()}: point", rest)
    triangles, weights = _fan(path, mesh), np.zeros((0, len(names)), np.float32)
    check_corners(f"{path}: {prim.GetPath()}", triangles, len(rest))
    return MorphMesh(prim.GetName(), rest.astype(np.float32), triangles, targets, tuple(names), weights)


def read_usd_triangles(path: str | os.PathLike[str]) -> np.ndarray:
    """Triangles (F, 3) int64 of the one mesh in a USD file; faces with more corners are cut into a fan.

    Raises UserError without usd-core, ValueError when the file cannot be read or holds no mesh, or several.
    """
    require_usd()
    return confined(_triangles, os.fspath(path), load=LIBRARY)


@named_errors
def _triangles(path: str | os.PathLike[str]) -> np.ndarray:
    from pxr import UsdGeom

    stage = open_stage(Path(path))
    meshes = [UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    if len(meshes) != 1:
        names = ", ".join(str(m.GetPath()) for m in meshes[:5])
        raise ValueError(f"{path}: expected one mesh, found {len(meshes)}{': ' + names if names else ''}")
    return _fan(path, meshes[0])


def _tokens(path: str | os.PathLike[str], attribute: Any) -> list[str]:
    """The words that an attribute holds, none where it says nothing."""
    from pxr import Vt

    held = attribute.Get()
    if not isinstance(held, Vt.TokenArray | None):
        raise ValueError(f"{path}: {attribute.GetPath()}: expected names")
    return [str(name) for name in held or ()]


def _numbers(path: str | os.PathLike[str], attribute: Any, width: int | None = None) -> np.ndarray:
    """What an attribute holds: (N, width) or (N,) float64, none where it says nothing. A file may give it any type."""
    held, shape = attribute.Get(), (0,) if width is None else (0, width)
    try:
        values = np.zeros(shape) if held is None else np.array(held, np.float64)
    except (TypeError, ValueError):
        values = np.zeros(())
    if values.size == 0 and values.ndim:
        return np.zeros(shape)
    if values.shape[1:] != shape[1:] or values.ndim != len(shape) or (width is None and not np.isfinite(values).all()):
        raise ValueError(f"{path}: {attribute.GetPath()}: expected numbers (N{'' if width is None else f', {width}'})")
    return values


def _fan(path: str | os.PathLike[str], mesh: Any) -> np.ndarray:
    """Triangles (F, 3) of a mesh's faces."""
    counts = _numbers(path, mesh.GetFaceVertexCountsAttr()).astype(np.int64)
    corners = _numbers(path, mesh.GetFaceVertexIndicesAttr()).astype(np.int64)
    if (counts < 0).any() or counts.sum() != len(corners):
        raise ValueError(f"{path}: {mesh.GetPath()}: its faces count {counts.sum()} corners, it has {len(corners)}")
    each = np.maximum(counts - 2, 0)  # triangles of a face
    first = np.repeat(np.cumsum(counts) - counts, each)
    step = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], axis=1)
