"""USD files: meshes with animated points or UsdSkel blend shapes, skeletons, the sound beside them. Needs usd-core."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from audio2face.formats.budget import (
    FREE_PRIMS,
    MOST_LAYERS,
    PRIMS_EACH,
    check_corners,
    check_depth,
    check_finite,
    check_unpacked,
    inside,
    whole,
)
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.scene import Figure, MorphMesh, PointMesh, Turn, check_triangles, linear_colours
from audio2face.paths import atomic
from audio2face.problems import UserError

ROOT = "/Face"
_Read = TypeVar("_Read")


def require_usd() -> None:
    """Raises UserError with the install command when usd-core is missing."""
    try:
        from pxr import Usd  # noqa: F401
    except ImportError as error:
        raise UserError("USD files need the package 'usd-core': pip install -e '.[usd]'") from error


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
    stage = _new_stage(path, num_frames, fps, units_per_metre, "SkelRoot" if figures else "Xform")
    above = _add_turn(stage, turn)
    for mesh in meshes:
        prim = _add_mesh(stage, f"{above}/{_valid(mesh.name)}", mesh.name, mesh.frames[0], mesh.triangles)
        points, extent = prim.GetPointsAttr(), prim.GetExtentAttr()
        for t, frame in enumerate(mesh.frames):
            points.Set(_vectors(frame), t)
            extent.Set(_extent(frame), t)
    _add_figures(stage, figures, units_per_metre)
    _add_sound(stage, sound)
    _save(stage, path)


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
    stage = _new_stage(path, num_frames, fps, units_per_metre, "SkelRoot")
    above = _add_turn(stage, turn)
    skeleton, animation = _add_skeleton(stage, above, ["root"], np.eye(4)[None], np.eye(4)[None])
    for mesh in meshes:
        _add_morph_mesh(stage, f"{above}/{_valid(mesh.name)}", mesh, skeleton)
    _add_weights(path, animation, meshes)
    _add_figures(stage, figures, units_per_metre)
    _add_sound(stage, sound)
    _save(stage, path)


def named_errors(read: Callable[[str | os.PathLike[str]], _Read]) -> Callable[[str | os.PathLike[str]], _Read]:
    """A reader whose errors of USD, which may come with any value that is asked for, are ValueErrors that name the file."""

    @wraps(read)
    def reader(path: str | os.PathLike[str]) -> _Read:
        require_usd()
        from pxr import Tf

        try:
            return read(path)
        except Tf.ErrorException as error:
            said = re.findall(r": '(.*)'", str(error))
            raise ValueError(f"{path}: expected a USD file{': ' + said[0][:200] if said else ''}") from error

    return reader


@named_errors
def read_usd_rig(path: str | os.PathLike[str]) -> list[MorphMesh]:
    """Every mesh in metres, y up, with its blend shapes (UsdSkel) and no animation (weights (0, K)).

    In-betweens are left out. Raises UserError without usd-core, ValueError naming the file when it cannot be read.
    """
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
            meshes.append(_read_morph_mesh(path, prim, scale * stand))
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
    check_unpacked(path, f"blend shapes of {prim.GetPath()}", 4 * len(names) * rest.size, _bytes(prim.GetStage()))
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


@named_errors
def read_usd_triangles(path: str | os.PathLike[str]) -> np.ndarray:
    """Triangles (F, 3) int64 of the one mesh in a USD file; faces with more corners are cut into a fan.

    Raises UserError without usd-core, ValueError when the file cannot be read or holds no mesh, or several.
    """
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


def open_stage(path: Path) -> Any:
    """The stage of a file, after a look at what it refers to: nothing outside its folder, and no scene without end.

    Raises ValueError naming the file when it cannot be read.
    """
    refuse_pointer(path)
    from pxr import Sdf, Tf, Usd

    try:
        _check_texts(path)
        layer = Sdf.Layer.FindOrOpen(os.fspath(path))
        if layer is None:
            raise ValueError(f"{path}: expected a USD file")
        _Arcs(path, layer).check()
        stage = Usd.Stage.Open(layer)
        for used in stage.GetUsedLayers():
            if file := used.realPath:
                inside(path, _outer(file), "file")
    except (Tf.ErrorException, RecursionError) as error:
        raise ValueError(f"{path}: expected a USD file") from error
    return stage


def _check_texts(path: Path) -> None:
    """Look how deep the text of a file, or of those in a package, is nested: USD's parser does not."""
    with path.open("rb") as file:
        start = file.read(4)
        if start == b"#usd":
            check_depth(path, start + file.read())
        elif start == b"PK\3\4":
            try:
                with zipfile.ZipFile(file) as archive:
                    check_unpacked(path, "scene", sum(e.file_size for e in archive.infolist()), path.stat().st_size)
                    texts = [e for e in archive.infolist() if e.filename.lower().endswith((".usd", ".usda"))]
                    for entry in texts:
                        if (content := archive.read(entry)).startswith(b"#usd"):
                            check_depth(path, content)
            except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError, RuntimeError) as error:
                raise ValueError(f"{path}: expected a USD package: {error}") from error


def _outer(file: str) -> str:
    """The file on disk of an asset's path, which in a package goes on in brackets."""
    from pxr import Ar

    return Ar.SplitPackageRelativePathOuter(file)[0] if Ar.IsPackageRelativePath(file) else file


def _bytes(stage: Any) -> int:
    files = {_outer(layer.realPath) for layer in stage.GetUsedLayers() if layer.realPath}
    return sum(os.stat(file).st_size for file in files)


class _Arcs:
    """The layers behind a file, and how many prims their references could make; at most, and without making them."""

    def __init__(self, path: Path, layer: Any):
        self.path, self.root = path, layer
        self.layers: dict[str, Any] = {layer.identifier: layer}
        self.counts: dict[tuple[str, str], int] = {}

    def check(self) -> None:
        """Raise ValueError where a layer refers to a file outside the folder, or references multiply prims."""
        waiting, written, refers = [self.root], 0, False
        while waiting:
            layer = waiting.pop()
            for asset in layer.GetCompositionAssetDependencies():
                refers = True
                found = self.layer(layer, asset)
                if found is not None and found.identifier not in self.layers:
                    self.layers[found.identifier] = found
                    whole(self.path, MOST_LAYERS - len(self.layers), f"references to more than {MOST_LAYERS} files")
                    waiting.append(found)
            prims = list(_specs(layer.pseudoRoot))
            written += len(prims)
            refers = refers or any(True for prim in prims for _ in _targets(prim))
        made = self.count([self.root], "/") if refers else 0
        most = FREE_PRIMS + PRIMS_EACH * written
        if made > most:
            raise ValueError(
                f"{self.path}: the references of its {written} prims make more than {most}; export the face alone, flattened"
            )

    def layer(self, anchor: Any, asset: str) -> Any:
        """The layer of an asset's path in another; None when there is no such file."""
        from pxr import Ar, Sdf

        file = anchor.ComputeAbsolutePath(asset)
        resolved = Ar.GetResolver().Resolve(Sdf.Layer.SplitIdentifier(file)[0])
        inside(self.path, _outer(str(resolved) or file), "file")
        if not resolved:
            return None
        _check_texts(Path(_outer(str(resolved))))
        return Sdf.Layer.FindOrOpen(file)

    def stack(self, layers: list[Any]) -> list[Any]:
        """Layers with all their sublayers."""
        found, waiting = {}, list(layers)
        while waiting:
            layer = waiting.pop()
            if layer is not None and layer.identifier not in found:
                found[layer.identifier] = layer
                waiting += [self.layer(layer, asset) for asset in layer.subLayerPaths]
        return list(found.values())

    def count(self, layers: list[Any], place: str) -> int:
        """How many prims are at and below a path of a stack of layers; those of a path's ancestor if it is not written."""
        key = (" ".join(layer.identifier for layer in layers), place)
        if key not in self.counts:
            self.counts[key] = 0  # of its own ancestor: USD refuses that
            stack = self.stack(layers)
            found = [spec for layer in stack if (spec := layer.GetPrimAtPath(place))]
            if found:
                self.counts[key] = sum(self.spec(layers, spec) for spec in found)
            elif place != "/":
                self.counts[key] = self.count(layers, place.rpartition("/")[0] or "/")
        return self.counts[key]

    def spec(self, layers: list[Any], spec: Any) -> int:
        total = 1 + sum(self.spec(layers, child) for child in _children(spec))
        for asset, target in _targets(spec):
            there = [self.layer(spec.layer, asset)] if asset else layers
            if there != [None]:
                total += self.count(there, str(target or f"/{there[0].defaultPrim}").partition("{")[0])
        return total


def _specs(spec: Any) -> Iterator[Any]:
    """Every prim written below a prim, its variants' too."""
    waiting = list(_children(spec))
    while waiting:
        prim = waiting.pop()
        yield prim
        waiting += _children(prim)


def _children(spec: Any) -> list[Any]:
    variants = (
        [v.primSpec for group in spec.variantSets.values() for v in group.variants.values()] if spec.variantSets else []
    )
    return [*spec.nameChildren.values(), *variants]


def _targets(spec: Any) -> Iterator[tuple[str, Any]]:
    """(asset, path) of a prim's references, payloads, inherited and specialised prims; the asset is empty within a file."""
    external = [(spec.hasReferences, "referenceList"), (spec.hasPayloads, "payloadList")]
    internal = [(spec.hasInheritPaths, "inheritPathList"), (spec.hasSpecializes, "specializesList")]
    for arcs in (getattr(spec, name) for has, name in external if has):
        yield from ((arc.assetPath, arc.primPath) for arc in arcs.GetAddedOrExplicitItems())
    for paths in (getattr(spec, name) for has, name in internal if has):
        yield from (("", path) for path in paths.GetAddedOrExplicitItems())


def _new_stage(path: str | os.PathLike[str], num_frames: int, fps: float, units_per_metre: float, kind: str) -> Any:
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


def _add_turn(stage: Any, turn: Turn | None) -> str:
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


def _add_skeleton(stage: Any, above: str, joints: list[str], rest: np.ndarray, bind: np.ndarray) -> tuple[Any, Any]:
    """A skeleton and its animation below a path: rest (J, 4, 4) in the parents, bind (J, 4, 4) in the skeleton, for rows."""
    from pxr import UsdSkel, Vt

    skeleton = UsdSkel.Skeleton.Define(stage, f"{above}/Skeleton")
    skeleton.CreateJointsAttr(joints)
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray.FromNumpy(np.ascontiguousarray(bind, np.float64)))
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray.FromNumpy(np.ascontiguousarray(rest, np.float64)))
    animation = UsdSkel.Animation.Define(stage, f"{above}/Animation")
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    return skeleton, animation


def _add_figures(stage: Any, figures: Sequence[Figure], units_per_metre: float) -> None:
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
    skeleton, animation = _add_skeleton(stage, above, paths, rest, bind)
    _add_motion(animation, paths, figure)
    if figure.mesh is not None:
        place = f"{above}/{_valid(figure.mesh.name)}_mesh"
        _bind(_add_morph_mesh(stage, place, figure.mesh, skeleton), figure)
        _add_weights(above, animation, [figure.mesh])


def _add_motion(animation: Any, joints: list[str], figure: Figure) -> None:
    from pxr import Gf, Vt

    animation.CreateJointsAttr(joints)
    animation.CreateScalesAttr(Vt.Vec3hArray(len(joints), Gf.Vec3h(1)))
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    quaternions = np.ascontiguousarray(figure.quaternions, np.float32)
    for t, places in enumerate(figure.places):
        translations.Set(_vectors(places), t)
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
        colours.Set(_vectors(linear_colours(figure.mesh.colours)))


def _add_mesh(stage: Any, place: str, name: str, rest: np.ndarray, triangles: np.ndarray) -> Any:
    from pxr import UsdGeom, Vt

    triangles = check_triangles(name, triangles, len(rest))
    mesh = UsdGeom.Mesh.Define(stage, place)
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(triangles), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(triangles.reshape(-1)))
    mesh.CreatePointsAttr(_vectors(rest))
    mesh.CreateExtentAttr(_extent(rest))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    return mesh


def _add_morph_mesh(stage: Any, place: str, mesh: MorphMesh, skeleton: Any) -> Any:
    from pxr import Gf, UsdSkel

    prim = _add_mesh(stage, place, mesh.name, mesh.rest, mesh.triangles)
    binding = UsdSkel.BindingAPI.Apply(prim.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    if not mesh.target_names:
        return prim
    paths = []
    for name, offsets in zip(mesh.target_names, mesh.targets, strict=True):
        shape = UsdSkel.BlendShape.Define(stage, prim.GetPath().AppendChild(_valid(name)))
        shape.CreateOffsetsAttr(_vectors(offsets))
        shape.CreateNormalOffsetsAttr(_vectors(np.zeros_like(offsets)))
        paths.append(shape.GetPath())
    binding.CreateBlendShapesAttr(list(mesh.target_names))
    binding.CreateBlendShapeTargetsRel().SetTargets(paths)
    return prim


def _add_weights(path: str | os.PathLike[str], animation: Any, meshes: Sequence[MorphMesh]) -> None:
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


def _valid(name: str) -> str:
    from pxr import Tf

    return str(Tf.MakeValidIdentifier(name))


def _distinct(names: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """Names as USD allows them, each once."""
    found: list[str] = []
    used = set(taken)
    for name in map(_valid, names):
        fresh = next(n for n in chain([name], (f"{name}_{k}" for k in count(2))) if n not in used)
        used.add(fresh)
        found.append(fresh)
    return found


def _add_sound(stage: Any, sound: str | None) -> None:
    if sound is None:
        return
    from pxr import Sdf, UsdMedia

    audio = UsdMedia.SpatialAudio.Define(stage, f"{ROOT}/Sound")
    audio.CreateFilePathAttr(Sdf.AssetPath(f"./{sound}"))
    audio.CreateAuralModeAttr(UsdMedia.Tokens.nonSpatial)
    audio.CreatePlaybackModeAttr(UsdMedia.Tokens.onceFromStart)


def _save(stage: Any, path: str | os.PathLike[str]) -> None:
    with atomic(path) as temporary:
        if not stage.GetRootLayer().Export(os.fspath(temporary)):
            raise OSError(f"{path}: could not be written")


def _vectors(points: np.ndarray) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(points, np.float32))


def _extent(points: np.ndarray) -> Any:
    return _vectors(np.stack([points.min(axis=0), points.max(axis=0)]))
