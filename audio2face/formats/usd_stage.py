"""USD files opened with care: nothing outside their folder, and no scene without end."""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import IO, Any, TypeVar

from audio2face.formats.budget import FREE_PRIMS, MOST_LAYERS, PRIMS_EACH, check_depth, check_unpacked, inside, whole
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.problems import UserError

_Read = TypeVar("_Read")
_CRATE = struct.Struct("<16sQ")  # how a binary file begins: magic and version, then where the list of its sections is
_SECTION = struct.Struct("<16sqq")  # name, first byte, length
_TABLES = (b"TOKENS", b"STRINGS", b"FIELDS", b"PATHS", b"SPECS")  # begin with the number of their rows
_ROW_BYTES = 8  # at least, in memory


def require_usd() -> None:
    """Raises UserError with the install command when usd-core is missing."""
    try:
        from pxr import Usd  # noqa: F401
    except ImportError as error:
        raise UserError("USD files need the package 'usd-core': pip install -e '.[usd]'") from error


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
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: expected a USD file: a name in it is no text") from error

    return reader


def open_stage(path: Path) -> Any:
    """The stage of a file, after a look at what it refers to: nothing outside its folder, and no scene without end.

    Raises ValueError naming the file when it cannot be read.
    """
    refuse_pointer(path)
    from pxr import Sdf, Tf, Usd

    try:
        _check_content(path)
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


def _check_content(path: Path) -> None:
    """Look how deep the text of a file, or of those in a package, is nested, and what a binary one claims: USD does not."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            _check_layer(path, file, path.stat().st_size)
            return
        try:
            with zipfile.ZipFile(file) as archive:
                check_unpacked(path, "scene", sum(e.file_size for e in archive.infolist()), path.stat().st_size)
                for entry in archive.infolist():
                    if entry.filename.lower().endswith((".usd", ".usda", ".usdc")):
                        with archive.open(entry) as layer:
                            _check_layer(path, layer, entry.file_size)
        except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError, RuntimeError) as error:
            raise ValueError(f"{path}: expected a USD package: {error}") from error


def _check_layer(path: Path, file: IO[bytes], size: int) -> None:
    """A text's brackets, or the tables of a binary file of `size` bytes, for which USD makes room before it reads them."""
    file.seek(0)
    start = file.read(_CRATE.size)
    if start.startswith(b"#usd"):
        check_depth(path, start + file.read())
    if not start.startswith(b"PXR-USDC") or len(start) < _CRATE.size:
        return
    file.seek(min(_CRATE.unpack(start)[1], size))
    count = min(_number(file), size // _SECTION.size)
    sections = [_SECTION.unpack(file.read(_SECTION.size).ljust(_SECTION.size, b"\0")) for _ in range(count)]
    for name, at, _ in sections:
        file.seek(min(max(at, 0), size))
        most = max(_number(file), _number(file) if name.startswith(b"TOKENS") else 0)
        if name.startswith(_TABLES):
            check_unpacked(path, name.rstrip(b"\0").decode(), _ROW_BYTES * most, size)


def _number(file: IO[bytes]) -> int:
    return int.from_bytes(file.read(8), "little")


def _outer(file: str) -> str:
    """The file on disk of an asset's path, which in a package goes on in brackets."""
    from pxr import Ar

    return Ar.SplitPackageRelativePathOuter(file)[0] if Ar.IsPackageRelativePath(file) else file


def stage_bytes(stage: Any) -> int:
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
        _check_content(Path(_outer(str(resolved))))
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
