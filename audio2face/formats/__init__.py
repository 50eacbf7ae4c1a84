"""Files of meshes over time, of rigs, sounds and numbers: a module per format, reading and writing side by side."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from audio2face.formats.maya_cache import SeveralChannels as SeveralChannels
from audio2face.formats.maya_cache import maya_cache_header, read_maya_cache, write_maya_cache
from audio2face.formats.npy import npy_header, read_npy, write_npy
from audio2face.formats.point_cache import point_cache_header, read_point_cache, write_point_cache
from audio2face.listing import natural_order
from audio2face.problems import UserError

_T = TypeVar("_T")


@dataclass(frozen=True)
class AnimationFile:
    """A mesh over time. `frames` (T, V, 3) as stored: float32 or float64, any byte order, memory-mapped if possible.

    Arithmetic on slices of `frames` works; `block` gives what torch and BLAS need. `fps`: None if the format has none.
    """

    frames: np.ndarray
    fps: float | None
    start_frame: float = 0.0

    def block(self, first: int = 0, end: int | None = None) -> np.ndarray:
        """Frames first … end - 1 in memory: (n, V, 3) float32, contiguous, native byte order, writable."""
        return np.array(self.frames[first:end], dtype=np.float32, order="C")


class AnimationHeader(NamedTuple):
    """Frame count, vertex count and rate of an animation, without reading its frames."""

    num_frames: int
    num_vertices: int
    fps: float | None


def read_animation(path: str | os.PathLike[str], channel: str | None = None) -> AnimationFile:
    """Open an animation by its suffix. `channel` picks one of several in a Maya cache; the other formats have but one.

    Raises ValueError naming file, offset and what was expected for an unknown, malformed or truncated file.
    """
    return _by_suffix(ANIMATION_READERS, path)(Path(path), channel)


def animation_header(path: str | os.PathLike[str], channel: str | None = None) -> AnimationHeader:
    """Frames, vertices and rate of an animation, cheaply. Raises ValueError as `read_animation` does."""
    return _by_suffix(ANIMATION_HEADERS, path)(Path(path), channel)


def find_animation(folder: str | os.PathLike[str], shot: str) -> Path:
    """The animation `<folder>/<shot>/<shot>.<suffix>`.

    Raises UserError when there is none (naming what lies there instead) or more than one: of an .npy and an .xml
    exported again, the older could be read without anyone noticing.
    """
    shot_folder = Path(folder) / shot
    if not shot_folder.is_dir():
        raise UserError(f"shot {shot!r}: no folder {shot_folder}")
    files = natural_order(p for p in shot_folder.iterdir() if p.is_file() and not p.name.startswith("."))
    caches = [p for p in files if p.suffix.lower() in ANIMATION_READERS]
    found = [p for p in caches if p.stem == shot]
    if len(found) > 1:
        names = " and ".join(p.name for p in found)
        raise UserError(f"shot {shot!r}: {names} in {shot_folder} are all animations of this shot; keep one")
    if not found:
        kinds = ", ".join(ANIMATION_READERS)
        there = ", ".join(p.name for p in (caches or files)[:5]) or "nothing"
        raise UserError(f"shot {shot!r}: expected {shot_folder / shot} with one of {kinds}; the folder holds {there}")
    return found[0]


def _by_suffix(table: dict[str, Callable[[Path, str | None], _T]], path: str | os.PathLike[str]) -> Callable[..., _T]:
    suffix = Path(path).suffix.lower()
    if suffix not in table:
        raise ValueError(f"{path}: expected an animation ({', '.join(table)})")
    return table[suffix]


def _read_npy(path: Path, channel: str | None) -> AnimationFile:
    _npy_header(path)
    return AnimationFile(read_npy(path), None)


def _npy_header(path: Path, channel: str | None = None) -> AnimationHeader:
    shape, _, dtype, offset = npy_header(path)
    if len(shape) != 3 or shape[2] != 3 or dtype.kind != "f":
        raise ValueError(f"{path}: byte {offset}: expected frames (T, V, 3) of floats, found {shape} of {dtype}")
    return AnimationHeader(shape[0], shape[1], None)


def _read_point_cache(path: Path, channel: str | None) -> AnimationFile:
    return AnimationFile(read_point_cache(path), None, point_cache_header(path)[2])


def _point_cache_header(path: Path, channel: str | None) -> AnimationHeader:
    return AnimationHeader(*point_cache_header(path)[:2], None)


def _read_maya(path: Path, channel: str | None) -> AnimationFile:
    cache = read_maya_cache(path, channel)
    return AnimationFile(cache.frames, cache.fps, cache.start_frame)


def _maya_header(path: Path, channel: str | None) -> AnimationHeader:
    return AnimationHeader(*maya_cache_header(path, channel))


def _write_npy(stem: Path, frames: np.ndarray, fps: float, channel: str) -> list[Path]:
    path = stem.with_name(stem.name + ".npy")
    write_npy(path, np.asarray(frames, dtype=np.float32))
    return [path]


def _write_point_cache(stem: Path, frames: np.ndarray, fps: float, channel: str) -> list[Path]:
    path = stem.with_name(stem.name + ".pc2")
    write_point_cache(path, frames)
    return [path]


def _write_maya(stem: Path, frames: np.ndarray, fps: float, channel: str) -> list[Path]:
    return list(write_maya_cache(stem.with_name(stem.name + ".xml"), frames, fps, channel))


ANIMATION_READERS: dict[str, Callable[[Path, str | None], AnimationFile]] = {
    ".npy": _read_npy,
    ".xml": _read_maya,
    ".pc2": _read_point_cache,
}
ANIMATION_HEADERS: dict[str, Callable[[Path, str | None], AnimationHeader]] = {
    ".npy": _npy_header,
    ".xml": _maya_header,
    ".pc2": _point_cache_header,
}
# name -> write(path without suffix, frames (T, V, 3), fps, name of the mesh) -> files written
ANIMATION_WRITERS: dict[str, Callable[[Path, np.ndarray, float, str], list[Path]]] = {
    "npy": _write_npy,
    "maya": _write_maya,
    "pc2": _write_point_cache,
}
