"""Keyframes (.npz): what groups of curves are at some frames of an animation. A guide makes them, a person edits them.

```
fps            ()            keyframes a second
frames         (K,)          numbers of their frames, rising
frame_rate     ()            frames a second that these numbers count; may be missing
<group>        (K, columns)  values in the units of the data, NaN where nothing is known
<group>_names  (columns,)    what its columns are called
```
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from audio2face.formats.curve_rows import check_fps
from audio2face.formats.npy import read_npz, write_npz

NAMES = "_names"
OWN = ("fps", "frames", "frame_rate")  # arrays that are no groups
LAST_FRAME = 2**31 - 1
ROUNDING = 1e-6  # frames by which a moment may lie before a frame that it belongs to


@dataclass(frozen=True)
class KeyedGroup:
    """A group at K keyframes: `values` (K, columns) float32 under `names`, in the units of the data, NaN where not known."""

    names: tuple[str, ...]
    values: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(K, columns) True where there is a value."""
        return ~np.isnan(self.values)


@dataclass(frozen=True)
class Keyframes:
    """Groups at frames (K,) int64 of an animation, `fps` of them a second.

    The frames are numbered at `frame_rate`; None: at the rate of whoever reads them.
    """

    fps: float
    frames: np.ndarray
    groups: Mapping[str, KeyedGroup]
    frame_rate: float | None = None

    def at_rate(self, frame_rate: float) -> Keyframes:
        """The same moments as frames of another rate; of several in one frame the first."""
        if self.frame_rate is None or self.frame_rate == frame_rate:
            return replace(self, frame_rate=frame_rate)
        middles = (self.frames + 0.5) / self.frame_rate
        frames, chosen = np.unique(np.floor(middles * frame_rate + ROUNDING).astype(np.int64), return_index=True)
        groups = {name: KeyedGroup(group.names, group.values[chosen]) for name, group in self.groups.items()}
        return Keyframes(self.fps, frames, groups, frame_rate)


def write_keyframes(path: str | os.PathLike[str], keys: Keyframes) -> None:
    """Write keyframes, whole or not at all. Raises ValueError for what `read_keyframes` would not read."""
    arrays: dict[str, np.ndarray] = {"fps": np.array(float(keys.fps)), "frames": np.asarray(keys.frames, np.int64)}
    if keys.frame_rate is not None:
        arrays["frame_rate"] = np.array(float(keys.frame_rate))
    for name, group in keys.groups.items():
        if name in arrays or name in OWN or name + NAMES in (*OWN, *arrays):
            raise ValueError(f"{path}: a group cannot be called {name!r} in a file of keyframes; give it another name")
        arrays[name] = np.asarray(group.values, np.float32)
        arrays[name + NAMES] = np.array(group.names, np.str_)
    _keyframes(path, arrays)
    write_npz(path, arrays)


def read_keyframes(path: str | os.PathLike[str]) -> Keyframes:
    """Read keyframes. Raises ValueError naming the file, the array in it, and what was expected."""
    return _keyframes(path, read_npz(path))


def _keyframes(path: object, arrays: Mapping[str, np.ndarray]) -> Keyframes:
    if missing := [name for name in ("fps", "frames") if name not in arrays]:
        raise ValueError(f"{path}: expected keyframes, but it has no array {' and no '.join(missing)}")
    fps = _rate(path, arrays, "fps")
    frame_rate = _rate(path, arrays, "frame_rate") if "frame_rate" in arrays else None
    frames = _frames(path, arrays["frames"])
    groups = {
        name: _group(path, name, arrays[name], arrays[name + NAMES], len(frames))
        for name in arrays
        if name + NAMES in arrays
    }
    if not groups:
        raise ValueError(f"{path}: expected at least one group, an array (K, columns) beside its <group>{NAMES}")
    known = {*OWN, *groups, *(name + NAMES for name in groups)}
    if alone := [name for name in arrays if name not in known]:
        raise ValueError(
            f"{path}: array {alone[0]!r} stands alone; a group is an array (K, columns) and its <group>{NAMES}"
        )
    return Keyframes(fps, frames, groups, frame_rate)


def _rate(path: object, arrays: Mapping[str, np.ndarray], name: str) -> float:
    value = arrays[name]
    if value.size != 1 or value.dtype.kind not in "iuf":
        raise ValueError(f"{path}: {name}: expected one number, found {value.shape} of {value.dtype}")
    return check_fps(path if name == "fps" else f"{path}: {name}", float(value.reshape(())))


def _frames(path: object, frames: np.ndarray) -> np.ndarray:
    """(K,) int64. Raises ValueError unless they are whole numbers from 0 that rise."""
    if frames.ndim != 1 or not len(frames) or frames.dtype.kind not in "iuf":
        raise ValueError(f"{path}: frames: expected numbers (K,), found {frames.shape} of {frames.dtype}")
    odd = ~np.isfinite(frames) | (frames != np.floor(frames)) | (frames < 0) | (frames > LAST_FRAME)
    if odd.any():
        raise ValueError(f"{path}: frames: expected whole numbers from 0, found {frames[odd][0]}")
    whole = frames.astype(np.int64)
    if (falls := np.flatnonzero(np.diff(whole) <= 0)).size:
        raise ValueError(
            f"{path}: frames: expected rising numbers, but {whole[falls[0] + 1]} comes after {whole[falls[0]]}"
        )
    return whole


def _group(path: object, name: str, values: np.ndarray, names: np.ndarray, count: int) -> KeyedGroup:
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
        raise ValueError(
            f"{path}: {name}{NAMES}: expected different names (columns,), found {names.shape} of {names.dtype}"
        )
    if values.shape != (count, len(names)) or values.dtype.kind not in "iuf":
        wanted = f"({count}, {len(names)}), a row for each frame and a column for each name"
        raise ValueError(f"{path}: {name}: expected numbers {wanted}, found {values.shape} of {values.dtype}")
    with np.errstate(over="ignore"):
        found = np.array(values, np.float32)
    if np.isinf(found).any():
        raise ValueError(
            f"{path}: {name}: row {int(np.isinf(found).any(axis=1).argmax())}: expected numbers, found infinity"
        )
    return KeyedGroup(tuple(names.tolist()), found)
