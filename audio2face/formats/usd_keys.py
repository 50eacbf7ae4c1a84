"""The keys of a USD scene, and a copy of its layer with other keys: all other opinions stay as they are. Needs usd-core."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.confined import confined
from audio2face.formats.keys import Joint, KeyedMesh, KeyedScene, Keys
from audio2face.formats.usd import LIBRARY, read_usd_rig
from audio2face.formats.usd_stage import named_errors, open_stage, require_usd
from audio2face.paths import atomic

PACKAGE = ".usdz"
TEXT = b"#usda"  # how a layer of text begins
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def read_usd_keys(path: str | os.PathLike[str]) -> KeyedScene:
    """The animation of a scene: points of meshes, weights and joints of UsdSkel, prims that turn by `xformOp:orient`. Tracks are
    named by the paths of their attributes.

    Raises UserError without usd-core, ValueError naming the file when it cannot be read.
    """
    require_usd()
    confined(_try, os.fspath(path), load=LIBRARY)
    return _read(path)


def _try(path: str) -> None:
    """Read a scene for nothing, in a process that it may end."""
    _read(path)


@named_errors
def _read(path: str | os.PathLike[str]) -> KeyedScene:
    from pxr import UsdGeom, UsdSkel

    path = Path(path)
    if path.suffix.lower() == PACKAGE:
        raise ValueError(f"{path}: a package cannot be written anew; export it as .usd, .usda or .usdc")
    stage = open_stage(path)
    found = _Found(path, stage)
    for prim in stage.Traverse():
        if prim.IsA(UsdGeom.Mesh):
            found.add_points(prim)
        elif prim.IsA(UsdSkel.Animation):
            found.add_animation(UsdSkel.Animation(prim))
        elif prim.IsA(UsdGeom.Xformable):
            found.add_turn(prim)
    found.add_shapes()
    return KeyedScene(path, found.tracks, found.weights, tuple(found.joints), tuple(found.meshes), found.write)


class _Found:
    """What of a stage has keys."""

    def __init__(self, path: Path, stage: Any):
        from pxr import UsdGeom

        self.path, self.stage = path, stage
        self.rate = float(stage.GetTimeCodesPerSecond())
        self.metres = float(UsdGeom.GetStageMetersPerUnit(stage))
        self.stand = np.eye(3) if UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y else Z_UP
        self.tracks: dict[str, Keys] = {}
        self.codes: dict[float, float] = {}  # {moment: time code}: one divided and multiplied again is another
        self.weights: dict[str, list[tuple[str, int]]] = {}
        self.joints: list[Joint] = []
        self.meshes: list[KeyedMesh] = []

    def track(self, attribute: Any, turns: bool = False) -> str | None:
        """The name of an attribute's track; None where it does not change over time."""
        codes = attribute.GetTimeSamples() if attribute else []
        if not codes:
            return None
        samples = [np.array(_plain(attribute.Get(code))) for code in codes]
        if len({sample.shape for sample in samples}) > 1 or samples[0].dtype.kind not in "fiu":
            raise ValueError(f"{self.path}: {attribute.GetPath()}: expected as many numbers at every time code")
        values = np.stack(samples).reshape(len(codes), -1)
        if not np.isfinite(values).all() or not np.isfinite(codes).all():
            raise ValueError(f"{self.path}: {attribute.GetPath()}: NaN or infinity")
        name = str(attribute.GetPath())
        self.tracks[name] = Keys(np.array(codes) / self.rate, values, turns)
        self.codes |= dict(zip((np.array(codes) / self.rate).tolist(), codes, strict=True))
        return name

    def add_points(self, prim: Any) -> None:
        from pxr import UsdGeom

        name = self.track(UsdGeom.Mesh(prim).GetPointsAttr())
        if name is None:
            return
        world = self.placement(prim)
        rest = self.tracks[name].values[0].reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
        self.meshes.append(KeyedMesh(str(prim.GetPath()), rest.astype(np.float32), name, matrix=world))

    def placement(self, prim: Any) -> np.ndarray:
        """From a prim's own space to metres with y up (4, 4), as it stands when nothing has moved yet.

        A turn that changes over time is taken as none: it is a channel of its own.
        """
        from pxr import UsdGeom

        world = np.eye(4)
        while prim and prim.IsA(UsdGeom.Xformable):
            local = np.eye(4)
            for op in UsdGeom.Xformable(prim).GetOrderedXformOps():
                if not op.GetAttr().GetTimeSamples():
                    local = local @ np.array(op.GetOpTransform(0.0)).T  # USD multiplies rows
            world, prim = local @ world, prim.GetParent()
        placed = np.eye(4)
        placed[:3, :3] = self.stand * self.metres
        return placed @ world

    def add_animation(self, animation: Any) -> None:
        if name := self.track(animation.GetBlendShapeWeightsAttr()):
            for column, shape in enumerate(animation.GetBlendShapesAttr().Get() or ()):
                self.weights.setdefault(str(shape), []).append((name, column))
        turned, moved = self.track(animation.GetRotationsAttr(), True), self.track(animation.GetTranslationsAttr())
        for number, joint in enumerate(animation.GetJointsAttr().Get() or ()):
            place = (moved, slice(3 * number, 3 * number + 3)) if moved else None
            if turned:
                columns = slice(4 * number, 4 * number + 4)
                name = str(joint).rpartition("/")[2]
                self.joints.append(Joint(name, turned, columns, np.eye(3), self.stand, place))

    def add_turn(self, prim: Any) -> None:
        from pxr import UsdGeom

        for op in UsdGeom.Xformable(prim).GetOrderedXformOps():
            if op.GetOpType() == UsdGeom.XformOp.TypeOrient and (name := self.track(op.GetAttr(), True)):
                self.joints.append(Joint(prim.GetName(), name, slice(0, 4), np.eye(3), self.stand))

    def add_shapes(self) -> None:
        """Meshes whose shapes are moved by weights."""
        if not self.weights:
            return
        for mesh in read_usd_rig(self.path):
            there = [self.weights.get(name, [("", 0)])[0] for name in mesh.target_names]
            tracks = {track for track, _ in there}
            if mesh.target_names and len(tracks) == 1 and tracks != {""}:
                (track,) = tracks
                targets = np.zeros((self.tracks[track].values.shape[1], *mesh.rest.shape), np.float32)
                targets[[column for _, column in there]] = mesh.targets
                self.meshes.append(KeyedMesh(mesh.name, mesh.rest, track, targets))

    def write(self, stem: Path, tracks: Mapping[str, Keys], shapes: Mapping[int, np.ndarray]) -> Path:
        """Write the root layer as `<stem>` with the file's suffix, with other keys; files that it refers to stay where they are."""
        from pxr import Sdf, UsdUtils

        path = stem.with_name(stem.name + self.path.suffix.lower())
        root = self.stage.GetRootLayer()
        layer = Sdf.Layer.CreateAnonymous(path.suffix)
        layer.TransferContent(root)
        UsdUtils.ModifyAssetPaths(layer, lambda asset: self.reference(asset, path.parent))
        for name, keys in tracks.items():
            self.write_track(layer, self.stage.GetAttributeAtPath(name), keys)
        with self.path.open("rb") as file:
            text = file.read(len(TEXT)) == TEXT
        arguments = {"format": "usda" if text else "usdc"} if path.suffix == ".usd" else {}
        with atomic(path) as temporary:
            if not layer.Export(os.fspath(temporary), args=arguments):
                raise OSError(f"{path}: could not be written")
        return path

    def write_track(self, layer: Any, attribute: Any, keys: Keys) -> None:
        """Put other keys in a layer; those that are as they were stay as they are."""
        from pxr import Sdf

        path, old = attribute.GetPath(), self.tracks[str(attribute.GetPath())]
        if not layer.ListTimeSamplesForPath(path):  # the samples are those of a weaker layer
            old = Keys(np.zeros(0), old.values[:0])
            prim = Sdf.CreatePrimInLayer(layer, attribute.GetPrim().GetPath())
            if layer.GetAttributeAtPath(path) is None:
                Sdf.AttributeSpec(prim, attribute.GetName(), attribute.GetTypeName())
        before = dict(zip(old.moments.tolist(), old.values, strict=True))
        for moment in before.keys() - set(keys.moments.tolist()):
            layer.EraseTimeSample(path, self.codes[moment])
        for moment, values in zip(keys.moments.tolist(), keys.values, strict=True):
            if moment not in before or not np.array_equal(before[moment], values):
                code = self.codes.get(moment, round(moment * self.rate, 6))
                layer.SetTimeSample(path, code, _held(attribute, values))

    def reference(self, asset: str, folder: Path) -> str:
        """The path of an asset, which the file names from where it lies, from another folder."""
        if not asset.startswith("."):
            return asset
        return os.path.relpath(self.path.parent / asset, folder).replace(os.sep, "/")


def _plain(value: Any) -> Any:
    """A value of USD as numpy takes it: quaternions as x, y, z, w."""
    if hasattr(value, "GetImaginary"):
        return [*value.GetImaginary(), value.GetReal()]
    return value


def _held(attribute: Any, values: np.ndarray) -> Any:
    """Numbers (D,) as the attribute holds them."""
    example = attribute.Get(attribute.GetTimeSamples()[0])
    if hasattr(example, "GetImaginary"):
        x, y, z, w = map(float, values)
        return type(example)(w, type(example.GetImaginary())(x, y, z))
    like = np.array(example)
    return type(example).FromNumpy(np.ascontiguousarray(values.reshape(like.shape), like.dtype))
