"""USD files: meshes with animated points, or with UsdSkel blend shapes, and the sound beside them. Needs usd-core."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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
from audio2face.formats.scene import MorphMesh, PointMesh, check_triangles
from audio2face.paths import atomic
from audio2face.problems import UserError

ROOT = "/Face"


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
) -> None:
    """Write meshes with a sample of points per frame; frame t has time code t. `sound` is a path relative to the file.

    Raises UserError without usd-core, ValueError for bad triangles or no frames.
    """
    num_frames = max((len(mesh.frames) for mesh in meshes), default=0)
    stage = _new_stage(path, num_frames, fps, units_per_metre, "Xform")
    for mesh in meshes:
        prim = _add_mesh(stage, mesh.name, mesh.frames[0], mesh.triangles)
        points, extent = prim.GetPointsAttr(), prim.GetExtentAttr()
        for t, frame in enumerate(mesh.frames):
            points.Set(_vectors(frame), t)
            extent.Set(_extent(frame), t)
    _add_sound(stage, sound)
    _save(stage, path)


def write_usd_blendshapes(
    path: str | os.PathLike[str],
    meshes: Sequence[MorphMesh],
    fps: float,
    units_per_metre: float = 100.0,
    sound: str | None = None,
) -> None:
    """Write meshes with named blend shapes and one animation of their weights (UsdSkel); frame t has time code t.

    A name that two meshes share is one shape of the animation: it moves both. Raises as `write_usd_points`, and
    ValueError for weights of different lengths, or different ones of one name.
    """
    require_usd()
    from pxr import Gf, UsdSkel, Vt

    lengths = {len(mesh.weights) for mesh in meshes}
    if len(lengths) > 1:
        raise ValueError(f"{path}: the meshes have animations of different lengths {sorted(lengths)}")
    num_frames = lengths.pop() if lengths else 0
    stage = _new_stage(path, num_frames, fps, units_per_metre, "SkelRoot")
    skeleton = UsdSkel.Skeleton.Define(stage, f"{ROOT}/Skeleton")
    still = Vt.Matrix4dArray([Gf.Matrix4d(1)])
    skeleton.CreateJointsAttr(["root"])
    skeleton.CreateBindTransformsAttr(still)
    skeleton.CreateRestTransformsAttr(still)
    animation = UsdSkel.Animation.Define(stage, f"{ROOT}/Animation")
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    shapes = {name: column for mesh in meshes for name, column in zip(mesh.target_names, mesh.weights.T, strict=True)}
    for mesh in meshes:
        _add_morph_mesh(stage, mesh, skeleton)
        for name, column in zip(mesh.target_names, mesh.weights.T, strict=True):
            if not np.array_equal(shapes[name], column):
                raise ValueError(f"{path}: blend shape {name!r} has different weights in two meshes")
    animation.CreateBlendShapesAttr(list(shapes))
    weights = animation.CreateBlendShapeWeightsAttr()
    table = np.stack(list(shapes.values()), axis=1) if shapes else np.zeros((num_frames, 0))
    for t, row in enumerate(np.asarray(table, np.float32)):
        weights.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(row)), t)
    _add_sound(stage, sound)
    _save(stage, path)


def read_usd_rig(path: str | os.PathLike[str]) -> list[MorphMesh]:
    """Every mesh in metres, y up, with its blend shapes (UsdSkel) and no animation (weights (0, K)).

    In-betweens are left out. Raises UserError without usd-core, ValueError naming the file when it cannot be read.
    """
    require_usd()
    from pxr import UsdGeom

    stage = _open(Path(path))
    scale = UsdGeom.GetStageMetersPerUnit(stage)
    if not 0 < scale < float("inf"):
        raise ValueError(f"{path}: metersPerUnit {scale}: expected a positive number")
    stand = (
        np.eye(3) if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y else np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    )
    meshes = []
    for prim in stage.Traverse():
        if prim.IsA(UsdGeom.Mesh) and UsdGeom.Mesh(prim).GetPointsAttr().Get():
            meshes.append(_read_morph_mesh(path, prim, scale * stand))
    return meshes


def _read_morph_mesh(path: str | os.PathLike[str], prim: Any, stand: np.ndarray) -> MorphMesh:
    from pxr import UsdGeom, UsdSkel

    mesh, binding = UsdGeom.Mesh(prim), UsdSkel.BindingAPI(prim)
    world = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(0)).T  # USD multiplies rows
    turn = stand @ world[:3, :3]
    rest = np.array(mesh.GetPointsAttr().Get(), np.float64) @ turn.T + stand @ world[:3, 3]
    names = [str(n) for n in binding.GetBlendShapesAttr().Get() or []]
    paths = binding.GetBlendShapeTargetsRel().GetTargets()
    if len(names) != len(paths):
        raise ValueError(f"{path}: {prim.GetPath()} names {len(names)} blend shapes and has {len(paths)}")
    check_unpacked(path, f"blend shapes of {prim.GetPath()}", 4 * len(names) * rest.size, _bytes(prim.GetStage()))
    targets = np.zeros((len(names), *rest.shape), np.float32)
    for target, place in zip(targets, paths, strict=True):
        shape = UsdSkel.BlendShape(prim.GetStage().GetPrimAtPath(place))
        offsets = np.array(shape.GetOffsetsAttr().Get() if shape else [], np.float64).reshape(-1, 3)
        points = shape.GetPointIndicesAttr().Get() if shape else None
        rows = np.array(points, np.int64) if points else np.arange(len(rest))
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
    from pxr import UsdGeom

    stage = _open(Path(path))
    meshes = [UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    if len(meshes) != 1:
        names = ", ".join(str(m.GetPath()) for m in meshes[:5])
        raise ValueError(f"{path}: expected one mesh, found {len(meshes)}{': ' + names if names else ''}")
    return _fan(path, meshes[0])


def _fan(path: str | os.PathLike[str], mesh: Any) -> np.ndarray:
    """Triangles (F, 3) of a mesh's faces."""
    counts = np.array(mesh.GetFaceVertexCountsAttr().Get() or [], np.int64)
    corners = np.array(mesh.GetFaceVertexIndicesAttr().Get() or [], np.int64)
    if (counts < 0).any() or counts.sum() != len(corners):
        raise ValueError(f"{path}: {mesh.GetPath()}: its faces count {counts.sum()} corners, it has {len(corners)}")
    each = np.maximum(counts - 2, 0)  # triangles of a face
    first = np.repeat(np.cumsum(counts) - counts, each)
    step = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], axis=1)


def _open(path: Path) -> Any:
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


def _add_mesh(stage: Any, name: str, rest: np.ndarray, triangles: np.ndarray) -> Any:
    from pxr import Tf, UsdGeom, Vt

    triangles = check_triangles(name, triangles, len(rest))
    mesh = UsdGeom.Mesh.Define(stage, f"{ROOT}/{Tf.MakeValidIdentifier(name)}")
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(triangles), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(triangles.reshape(-1)))
    mesh.CreatePointsAttr(_vectors(rest))
    mesh.CreateExtentAttr(_extent(rest))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    return mesh


def _add_morph_mesh(stage: Any, mesh: MorphMesh, skeleton: Any) -> None:
    from pxr import Gf, Tf, UsdSkel

    prim = _add_mesh(stage, mesh.name, mesh.rest, mesh.triangles)
    binding = UsdSkel.BindingAPI.Apply(prim.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    paths = []
    for name, offsets in zip(mesh.target_names, mesh.targets, strict=True):
        shape = UsdSkel.BlendShape.Define(stage, prim.GetPath().AppendChild(Tf.MakeValidIdentifier(name)))
        shape.CreateOffsetsAttr(_vectors(offsets))
        shape.CreateNormalOffsetsAttr(_vectors(np.zeros_like(offsets)))
        paths.append(shape.GetPath())
    binding.CreateBlendShapesAttr(list(mesh.target_names))
    binding.CreateBlendShapeTargetsRel().SetTargets(paths)


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
