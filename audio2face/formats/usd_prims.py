"""What a face and figures are made of in a USD stage: meshes, blend shapes, skeletons, sound."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import chain, count
from typing import Any

import numpy as np

from audio2face.formats.scene import Figure, MorphMesh, Turn, check_triangles, linear_colours
from audio2face.formats.usd_stage import require_usd
from audio2face.paths import atomic

ROOT = "/Face"


def new_stage(path: str | os.PathLike[str], num_frames: int, fps: float, units_per_metre: float, kind: str) -> Any:
    """An empty stage of `num_frames` at `fps`, y up, whose ROOT is of a `kind` of prim. Raises UserError without usd-core,
    ValueError for no frames.
    """
    require_usd()
    from pxr import Usd, UsdGeom

    if num_frames == 0:
        raise ValueError(f"{path}: no frames to write")
    stage = Usd.Stage.CreateInMemory()
    stage.SetDefaultPrim(stage.DefinePrim(ROOT, kind))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0 / units_per_metre)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(num_frames - 1)
    stage.SetTimeCodesPerSecond(fps)
    stage.SetFramesPerSecond(fps)
    return stage


def add_turn(stage: Any, turn: Turn | None) -> str:
    """The path of what holds the meshes: the face, or the head that turns in it."""
    if turn is None:
        return ROOT
    from pxr import Gf, UsdGeom

    head = UsdGeom.Xform.Define(stage, f"{ROOT}/Head")
    there = head.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble, "pivot")
    there.Set(Gf.Vec3d(*map(float, turn.pivot)))
    orient = head.AddOrientOp()
    for t, (x, y, z, w) in enumerate(turn.quaternions.astype(float).tolist()):
        orient.Set(Gf.Quatf(w, x, y, z), t)
    head.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble, "pivot", isInverseOp=True)
    return str(head.GetPath())


def add_skeleton(stage: Any, above: str, joints: list[str], rest: np.ndarray, bind: np.ndarray) -> tuple[Any, Any]:
    """A skeleton and its animation below a path: rest (J, 4, 4) in the parents, bind (J, 4, 4) in the skeleton, for rows."""
    from pxr import UsdSkel, Vt

    skeleton = UsdSkel.Skeleton.Define(stage, f"{above}/Skeleton")
    skeleton.CreateJointsAttr(joints)
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray.FromNumpy(np.ascontiguousarray(bind, np.float64)))
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray.FromNumpy(np.ascontiguousarray(rest, np.float64)))
    animation = UsdSkel.Animation.Define(stage, f"{above}/Animation")
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    return skeleton, animation


def add_figures(stage: Any, figures: Sequence[Figure], units_per_metre: float) -> None:
    """Each figure with its skeleton below ROOT, by its name, brought to the stage's unit and to y up."""
    from pxr import Gf, UsdGeom

    taken = {str(prim.GetName()) for prim in stage.GetPrimAtPath(ROOT).GetChildren()}
    for figure, name in zip(figures, _distinct([f.name for f in figures], taken), strict=True):
        holder = UsdGeom.Xform.Define(stage, f"{ROOT}/{name}")
        if figure.units_per_metre != units_per_metre:
            holder.AddScaleOp().Set(Gf.Vec3f(units_per_metre / figure.units_per_metre))
        if figure.z_up:
            holder.AddRotateXOp().Set(-90.0)
        _add_figure(stage, str(holder.GetPath()), figure)


def _add_figure(stage: Any, above: str, figure: Figure) -> None:
    """A skeleton, its motion, and the mesh that follows it."""
    paths: list[str] = []
    for joint, name in zip(figure.skeleton.joints, _distinct(figure.skeleton.names), strict=True):
        paths.append(f"{paths[joint.parent]}/{name}" if joint.parent >= 0 else name)
    rest, bind = (np.tile(np.eye(4), (len(paths), 1, 1)) for _ in range(2))
    rest[:, 3, :3], bind[:, 3, :3] = figure.skeleton.offsets, figure.rest  # USD multiplies rows
    skeleton, animation = add_skeleton(stage, above, paths, rest, bind)
    _add_motion(animation, paths, figure)
    if figure.mesh is not None:
        place = f"{above}/{valid(figure.mesh.name)}_mesh"
        _bind(add_morph_mesh(stage, place, figure.mesh, skeleton), figure)
        add_weights(above, animation, [figure.mesh])


def _add_motion(animation: Any, joints: list[str], figure: Figure) -> None:
    from pxr import Gf, Vt

    animation.CreateJointsAttr(joints)
    animation.CreateScalesAttr(Vt.Vec3hArray(len(joints), Gf.Vec3h(1)))
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    quaternions = np.ascontiguousarray(figure.quaternions, np.float32)
    for t, places in enumerate(figure.places):
        translations.Set(vectors(places), t)
        rotations.Set(Vt.QuatfArray.FromNumpy(quaternions[t]), t)  # in memory they are x, y, z, w


def _bind(prim: Any, figure: Figure) -> None:
    """By which joints a figure's mesh is moved."""
    from pxr import UsdGeom, UsdSkel, Vt

    assert figure.joints is not None and figure.shares is not None
    binding, width = UsdSkel.BindingAPI(prim.GetPrim()), figure.joints.shape[1]
    indices = np.ascontiguousarray(figure.joints.reshape(-1), np.int32)
    shares = np.ascontiguousarray(figure.shares.reshape(-1), np.float32)
    binding.CreateJointIndicesPrimvar(False, width).Set(Vt.IntArray.FromNumpy(indices))
    binding.CreateJointWeightsPrimvar(False, width).Set(Vt.FloatArray.FromNumpy(shares))
    if figure.mesh is not None and figure.mesh.colours is not None:
        colours = prim.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
        colours.Set(vectors(linear_colours(figure.mesh.colours)))


def add_mesh(stage: Any, place: str, name: str, rest: np.ndarray, triangles: np.ndarray) -> Any:
    """A mesh of rest points (V, 3) and triangles (F, 3) at a path. Raises ValueError naming it for bad triangles."""
    from pxr import UsdGeom, Vt

    triangles = check_triangles(name, triangles, len(rest))
    mesh = UsdGeom.Mesh.Define(stage, place)
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(triangles), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(triangles.reshape(-1)))
    mesh.CreatePointsAttr(vectors(rest))
    mesh.CreateExtentAttr(extent(rest))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    return mesh


def add_morph_mesh(stage: Any, place: str, mesh: MorphMesh, skeleton: Any) -> Any:
    """A mesh with its blend shapes, bound to a skeleton."""
    from pxr import Gf, UsdSkel

    prim = add_mesh(stage, place, mesh.name, mesh.rest, mesh.triangles)
    binding = UsdSkel.BindingAPI.Apply(prim.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    if not mesh.target_names:
        return prim
    paths = []
    for name, offsets in zip(mesh.target_names, mesh.targets, strict=True):
        shape = UsdSkel.BlendShape.Define(stage, prim.GetPath().AppendChild(valid(name)))
        shape.CreateOffsetsAttr(vectors(offsets))
        shape.CreateNormalOffsetsAttr(vectors(np.zeros_like(offsets)))
        paths.append(shape.GetPath())
    binding.CreateBlendShapesAttr(list(mesh.target_names))
    binding.CreateBlendShapeTargetsRel().SetTargets(paths)
    return prim


def add_weights(path: str | os.PathLike[str], animation: Any, meshes: Sequence[MorphMesh]) -> None:
    """The weights of all meshes' shapes, over time."""
    from pxr import Vt

    shapes = {name: column for mesh in meshes for name, column in zip(mesh.target_names, mesh.weights.T, strict=True)}
    for mesh in meshes:
        for name, column in zip(mesh.target_names, mesh.weights.T, strict=True):
            if not np.array_equal(shapes[name], column):
                raise ValueError(f"{path}: blend shape {name!r} has different weights in two meshes")
    if not shapes:
        return
    animation.CreateBlendShapesAttr(list(shapes))
    weights = animation.CreateBlendShapeWeightsAttr()
    for t, row in enumerate(np.stack(list(shapes.values()), axis=1).astype(np.float32)):
        weights.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(row)), t)


def valid(name: str) -> str:
    """A name as USD allows it."""
    from pxr import Tf

    return str(Tf.MakeValidIdentifier(name))


def _distinct(names: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Names as USD allows them, each once."""
    found: list[str] = []
    used = set(taken)
    for name in map(valid, names):
        fresh = next(n for n in chain([name], (f"{name}_{k}" for k in count(2))) if n not in used)
        used.add(fresh)
        found.append(fresh)
    return found


def add_sound(stage: Any, sound: str | None) -> None:
    """A sound file beside the stage's, played from its first frame; None for none."""
    if sound is None:
        return
    from pxr import Sdf, UsdMedia

    audio = UsdMedia.SpatialAudio.Define(stage, f"{ROOT}/Sound")
    audio.CreateFilePathAttr(Sdf.AssetPath(f"./{sound}"))
    audio.CreateAuralModeAttr(UsdMedia.Tokens.nonSpatial)
    audio.CreatePlaybackModeAttr(UsdMedia.Tokens.onceFromStart)


def save(stage: Any, path: str | os.PathLike[str]) -> None:
    """Write the stage, whole or not at all. Raises OSError when it cannot be."""
    with atomic(path) as temporary:
        if not stage.GetRootLayer().Export(os.fspath(temporary)):
            raise OSError(f"{path}: could not be written")


def vectors(points: np.ndarray) -> Any:
    """Points (n, 3) as USD's array of them."""
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(points, np.float32))


def extent(points: np.ndarray) -> Any:
    """The corners of the box around points (n, 3)."""
    return vectors(np.stack([points.min(axis=0), points.max(axis=0)]))
