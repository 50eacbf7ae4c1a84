"""channels.json: what a run's or a model's channels are, and curve_bases.npz beside it for groups with components."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.face.codec import Channel, FaceCodec
from audio2face.face.curves import group_from_json
from audio2face.formats.json_file import read_json, write_json
from audio2face.formats.npy import read_npz, write_npz
from audio2face.types import Pca

CHANNELS_FILE = "channels.json"
MOST_VALUES = 100_000  # of a group


def write_channels(folder: Path, codec: FaceCodec, name: str = CHANNELS_FILE) -> None:
    """Write name, kind, size, scale, offset and names of every channel, and the bases of its groups."""
    write_json(folder / name, [_entry(channel) for channel in codec.channels if channel.size])
    arrays: dict[str, np.ndarray] = {}
    for channel in codec.channels:
        if channel.curve_basis is not None:
            basis = channel.curve_basis
            arrays |= {f"{channel.name}/components": basis.components, f"{channel.name}/mean": basis.mean}
    if arrays:
        write_npz(folder / _bases(name), {key: np.asarray(array, np.float32) for key, array in arrays.items()})


def read_curve_channels(folder: Path, name: str = CHANNELS_FILE) -> FaceCodec:
    """The groups of curves that `write_channels` wrote, those of other actors without what their columns are; none without
    the file. Raises ValueError when it is damaged."""
    path = folder / name
    if not path.is_file():
        return FaceCodec(())
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: expected a list of channels")
    bases = folder / _bases(name)
    arrays = read_npz(bases) if bases.is_file() else {}
    try:
        return FaceCodec(tuple(_channel(entry, arrays) for entry in entries if entry["kind"] == "curves"))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: not a list of channels ({error!r})") from error


def _bases(name: str) -> str:
    return name.replace("channels", "curve_bases").replace(".json", ".npz")


def _entry(channel: Channel) -> dict[str, Any]:
    found: dict[str, Any] = {"name": channel.name, "kind": channel.kind, "size": channel.size}
    if channel.group is None:
        return found | {"scale": channel.scale, "offset": channel.offset, "names": []}
    values = {key: np.broadcast_to(getattr(channel, key), channel.size) for key in ("scale", "offset")}
    found |= {key: value.astype(float).tolist() for key, value in values.items()}
    return found | {"names": list(channel.group.names), "group": channel.group.as_json()}


def _channel(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Channel:
    name, size = str(entry["name"]), int(entry["size"])
    if not 0 < size <= MOST_VALUES:
        raise ValueError(f"{name}: {size} values")
    if "group" not in entry:
        return Channel(name, "curves", size, 0.0)
    group, basis = group_from_json(entry["group"]), None
    if f"{name}/components" in arrays:
        basis = Pca(arrays[f"{name}/components"], arrays[f"{name}/mean"])
        if basis.components.shape != (size, group.size):
            raise ValueError(f"components of {name}: {basis.components.shape}, expected {(size, group.size)}")
    elif size != group.size:
        raise ValueError(f"{name} has {size} values, its columns have {group.size}")
    scale, offset = (np.asarray(entry[key], np.float32) for key in ("scale", "offset"))
    if scale.shape != (size,) or offset.shape != (size,) or not np.isfinite([scale, offset]).all():
        raise ValueError(f"{name}: scale and offset must be {size} finite numbers")
    return Channel(name, "curves", size, scale, offset, group=group, curve_basis=basis)
