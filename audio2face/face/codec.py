"""The channels of an actor's face: how many values each has, how they are normalised, how they become a face.

A codec is made of the files of a preprocessing run or of a training run (`PreprocRun.codec`, `ActorData.codec`); targets,
networks, exported graphs and animations all ask it. NumPy only; `models.diffusion.codec` is the same in PyTorch.

Called by `runs`, each of whose runs has one, and by `models`; next: `face.layout`, where a channel lies in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from audio2face.face.curves import CurveGroup
from audio2face.face.layout import ChannelLayout
from audio2face.geometry.pca import reconstruct
from audio2face.types import Pca

BLOCK = 256  # frames decoded at once
MESHES = ("skin", "tongue")
KINDS = {"skin": "mesh", "tongue": "mesh", "jaw": "points", "eye": "angles"}
POSES = {"skin_coeffs": "skin_pose", "tongue_coeffs": "tongue_pose"}  # a mesh's channel by coefficients -> by vertices
PARTS = {"skin_coeffs": "skin", "skin_pose": "skin", "tongue_coeffs": "tongue", "tongue_pose": "tongue"}
MIN_NORM = 0.5  # components are orthonormal, or zeros that stand in for none


def part_of(channel: str) -> str:
    """The part of the face that a channel is: skin, tongue, jaw, eye."""
    return PARTS.get(channel, channel)


def kind_of(channel: str) -> str:
    """mesh, points, angles or curves."""
    return KINDS.get(part_of(channel), "curves")


@dataclass(frozen=True)
class Channel:
    """One part of a frame of one actor: normalised = x / scale + offset, of `size` values x in data units.

    `kind` tells what they are: of a "mesh" coefficients of its `basis`, or offsets of its vertices from the mean; "points"
    are offsets of key points, "angles" degrees, "curves" the encoded values of a `group` or coefficients of them in its
    `curve_basis`. Curves have a scale and an offset for each value; a scale of 0 is of what an actor never shows.
    """

    name: str
    kind: str
    size: int
    scale: np.ndarray | float = 1.0  # a number, or (size,)
    offset: np.ndarray | float = 0.0  # a number, or (size,)
    basis: Pca | None = None
    group: CurveGroup | None = None
    curve_basis: Pca | None = None  # components (size, E), mean (E,)

    @property
    def part(self) -> str:
        """The part of the face: skin, tongue, jaw, eye."""
        return part_of(self.name)

    @property
    def mask(self) -> np.ndarray:
        """(size,) float32: 0 for coefficients of which the basis has no component and for curves that an actor never shows,
        1 for all other values."""
        if self.kind == "curves":
            return (np.broadcast_to(self.scale, self.size) != 0).astype(np.float32)
        if self.basis is None or self.size != self.basis.num_components:
            return np.ones(self.size, np.float32)
        return (np.linalg.norm(self.basis.components, axis=(1, 2)) > MIN_NORM).astype(np.float32)

    def decode(self, values: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Values (T, size) in data units as a face: vertices (T, V, 3), offsets of points (T, P, 3), raw curves (T, D), else
        as they are.

        Coefficients are decoded a block of frames at a time, into `out` (T, V, 3) if given.
        """
        if self.group is not None:
            basis = self.curve_basis
            return self.group.decode(values if basis is None else values @ basis.components + basis.mean)
        if self.kind == "points" or (self.kind == "mesh" and self.basis is None):
            return values.reshape(len(values), -1, 3)
        if self.basis is None:
            return values
        out = np.empty((len(values), *self.basis.mean.shape), np.float32) if out is None else out
        for first in range(0, len(values), BLOCK):
            out[first : first + BLOCK] = reconstruct(self.basis, values[first : first + BLOCK])
        return out


@dataclass(frozen=True)
class FaceCodec:
    """The channels of one actor, in the order of a frame."""

    channels: tuple[Channel, ...]

    @cached_property
    def layout(self) -> ChannelLayout:
        """Where the channels lie in a frame."""
        return ChannelLayout({channel.name: channel.size for channel in self.channels})

    def __getitem__(self, name: str) -> Channel:
        """The channel that is a part of the face ("skin"), or of that name ("skin_coeffs"). Raises KeyError."""
        return {channel.part: channel for channel in self.channels}[part_of(name)]

    def chosen(self, names: Iterable[str]) -> FaceCodec:
        """The same with these channels alone, in this order; a group of curves that the actor lacks has no values."""
        own = {channel.part: channel for channel in self.channels}
        parts = {name: part_of(name) for name in names}
        return FaceCodec(tuple(own[p] if p in own or p in KINDS else Channel(p, "curves", 0) for p in parts.values()))

    @property
    def face(self) -> FaceCodec:
        """The channels that the runtime knows: meshes, key points of the jaw, eyes."""
        return FaceCodec(tuple(channel for channel in self.channels if channel.kind != "curves"))

    @property
    def curves(self) -> FaceCodec:
        """The groups of curves."""
        return FaceCodec(tuple(channel for channel in self.channels if channel.kind == "curves"))

    @property
    def groups(self) -> dict[str, CurveGroup]:
        """{name: what its columns are} of the groups of curves."""
        return {channel.name: channel.group for channel in self.channels if channel.group is not None}

    def with_scales(self, scales: Mapping[str, float]) -> FaceCodec:
        """The same with other scales of some channels; 0 keeps one at rest."""
        return FaceCodec(tuple(replace(c, scale=scales.get(c.name, c.scale)) for c in self.channels))

    def on_vertices(self, mean_geometry: np.ndarray) -> FaceCodec:
        """The same with the meshes as vertices, as in deployed frames. `mean_geometry` (C,) is the normalised rest pose of
        all but curves."""
        face = self.face.channels
        sizes = {c.name: c.size if c.basis is None else c.basis.mean.size for c in face}
        parts = ChannelLayout(sizes).split(mean_geometry)
        posed = (
            replace(c, name=POSES.get(c.name, c.name), size=sizes[c.name], offset=parts[c.name], basis=None)
            for c in face
        )
        return FaceCodec((*posed, *self.curves.channels))

    def decode(self, values: np.ndarray, out: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Frames (T, C) in data units as a face, {part: as `Channel.decode`}; `out` holds the arrays of large parts.

        Groups of curves that are another actor's alone are left out.
        """
        parts = self.layout.split(values)
        own = (channel for channel in self.channels if channel.kind != "curves" or channel.group is not None)
        return {c.part: c.decode(parts[c.name], (out or {}).get(c.part)) for c in own}

    @property
    def scales(self) -> np.ndarray:
        """(C,) float32, of every value of a frame."""
        return np.concatenate([np.zeros(0, np.float32), *(_wide(c.scale, c.size) for c in self.channels)])

    @property
    def offsets(self) -> np.ndarray:
        """(C,) float32, of every value of a frame."""
        return np.concatenate([np.zeros(0, np.float32), *(_wide(c.offset, c.size) for c in self.channels)])

    def padded_curves(self, key: str, layout: ChannelLayout) -> np.ndarray:
        """The "scale" or "offset" (C,) float32 of groups of curves in a layout of several actors, zeros for groups of others."""
        values = {c.name: _wide(getattr(c, key), c.size) for c in self.channels}
        return self.padded(values, layout) if values else np.zeros(layout.size, np.float32)

    def mask(self, layout: ChannelLayout) -> np.ndarray:
        """(C,) float32 for a layout of several actors: 1 for the values that this one has."""
        return self.padded({channel.name: channel.mask for channel in self.channels}, layout)

    def padded(self, values: Mapping[str, np.ndarray], layout: ChannelLayout) -> np.ndarray:
        """{channel: (..., c)} of this actor -> (..., C) float32 in a layout of several, zeros where it has no values."""
        lead = next(iter(values.values())).shape[:-1]
        frame = np.zeros((*lead, layout.size), np.float32)
        for name, part in layout.split(frame).items():
            if name in values:
                part[..., : values[name].shape[-1]] = values[name]
        return frame

    def normalise(self, values: np.ndarray, layout: ChannelLayout | None = None) -> np.ndarray:
        """(..., C) in data units -> as a network sees it; `layout` is of several actors, if not the codec's own."""
        return self._each(values, layout, lambda channel, x: x / _divisor(channel, x) + _along(channel.offset, x))

    def restore(self, values: np.ndarray, layout: ChannelLayout | None = None) -> np.ndarray:
        """(..., C) as a network sees it -> in data units."""
        return self._each(values, layout, lambda c, x: (x - _along(c.offset, x)) * _along(c.scale, x))

    def _each(self, values: np.ndarray, layout: ChannelLayout | None, change: Any) -> np.ndarray:
        parts = (layout or self.layout).split(values)
        own = self.chosen(parts)
        return np.concatenate([change(own[name], x) for name, x in parts.items()], axis=-1)


def _wide(values: np.ndarray | float, size: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(values, np.float32), size)


def _along(values: np.ndarray | float, x: np.ndarray) -> np.ndarray:
    """A scale or an offset as wide as x (..., C), zeros beyond its own values."""
    values = np.asarray(values, np.float32)
    return np.pad(values, (0, x.shape[-1] - len(values))) if values.ndim else values


def _divisor(channel: Channel, x: np.ndarray) -> np.ndarray:
    scale = _along(channel.scale, x)
    return np.where(scale == 0, np.float32(1), scale)


def build_codec(data_info: Mapping[str, Any], bases: Mapping[str, Pca]) -> FaceCodec:
    """The channels that an actor's data_info.json lists: skin and tongue by coefficients, jaw, eye, in the runtime's order."""
    counts = {"jaw": 3 * int(data_info["num_keypoints_jaw"]), "eye": 2 * int(data_info["num_angles_eye"])}
    return FaceCodec(
        tuple(
            Channel(
                name=f"{part}_coeffs" if kind == "mesh" else part,
                kind=kind,
                size=counts[part] if kind != "mesh" else bases[part].num_components,
                scale=float(data_info[f"scale_{part}"]),
                basis=bases.get(part),
            )
            for part, kind in KINDS.items()
        )
    )


def common_layout(codecs: Iterable[FaceCodec]) -> ChannelLayout:
    """The layout of several actors' frames: of each channel the most values that one of them has."""
    sizes: dict[str, int] = {}
    for codec in codecs:
        for name, size in codec.layout.sizes.items():
            sizes[name] = max(size, sizes.get(name, 0))
    return ChannelLayout(sizes)


def padded_bases(codecs: Sequence[FaceCodec], part: str, size: int) -> np.ndarray:
    """The components of a mesh of several actors (actors, size, 3V) float32, zeros beyond their own."""
    bases = [codec[part].basis.components for codec in codecs]  # type: ignore[union-attr]
    padded = np.zeros((len(bases), size, bases[0][0].size), np.float32)
    for row, basis in zip(padded, bases, strict=True):
        row[: len(basis)] = basis.reshape(len(basis), -1)
    return padded
