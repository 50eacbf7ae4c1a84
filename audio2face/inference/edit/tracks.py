"""A channel of a file that is edited: what the network is given of it, and how what the network makes becomes the file's numbers.

NumPy only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audio2face.face import rotations
from audio2face.face.codec import Channel
from audio2face.face.curves import TURN, Block
from audio2face.geometry.pca import project, reconstruct
from audio2face.inference.edit.parts import region_matrix
from audio2face.inference.edit.seams import fade


@dataclass(frozen=True)
class SkinTrack:
    """The skin: `source` (T, V, 3) is the file's, moved keys in their new places, `stays` (V,) how much of each vertex is kept
    in frames that are made anew, 0 to 1. Seams are `blend` frames long.

    `raw` (T, size) is what the network made of the file before post-processing, where that is known, and `shown` turns
    skins (n, V, 3) into what post-processing shows.
    """

    channel: Channel
    source: np.ndarray
    stays: np.ndarray
    blend: float
    raw: np.ndarray | None = None
    shown: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def coeffs(self) -> np.ndarray:
        """(T, size) what the network is given, in data units."""
        assert self.channel.basis is not None
        return project(self.channel.basis, self.source) if self.raw is None else self.raw

    @property
    def known(self) -> np.ndarray:
        """(size,) bool: values that stay in every frame."""
        return np.full(self.channel.size, bool((self.stays == 1).all()))

    @property
    def region(self) -> np.ndarray | None:
        """(size, size), see `region_matrix`; None where no part of a frame stays, or all of it."""
        assert self.channel.basis is not None
        if self.known.all() or not self.stays.any():
            return None
        return region_matrix(self.channel.basis.components.reshape(self.channel.size, -1), np.repeat(self.stays, 3))

    def renewed(self, values: np.ndarray, first: int, kept: np.ndarray) -> np.ndarray:
        """(n, V, 3) of the network's values (n, size), those of the file where frames are `kept` (n,); from frame `first` on.

        What kept frames have beyond them is faded into the others.
        """
        source = self.source[first : first + len(values)]
        if self.known.all():
            return source
        assert self.channel.basis is not None
        made = reconstruct(self.channel.basis, values)
        made = made if self.shown is None else self.shown(made)
        beside = kept & ~_within(kept)  # of other kept frames nothing is faded
        beyond = np.where(beside[:, None, None], source - made, 0)
        made = made + fade(beyond, kept, self.blend) * ~kept[:, None, None]
        stays = self.stays[None, :, None].astype(np.float32)
        return np.where((stays == 1) | kept[:, None, None], source, stays * source + (1 - stays) * made)


@dataclass(frozen=True)
class CurvesTrack:
    """A group of curves: `source` and `valid` (T, D) are the file's, moved keys in their new places, `free` (D,) bool the
    columns that may change. Turns are made `scale` times as large. Seams are `blend` frames long."""

    channel: Channel
    source: np.ndarray
    valid: np.ndarray
    free: np.ndarray
    blend: float
    scale: float = 1.0

    @cached_property
    def encoded(self) -> np.ndarray:
        """(T, E), missing values filled."""
        assert self.channel.group is not None
        return self.channel.group.encode(self.source, self.valid)[0]

    @property
    def coeffs(self) -> np.ndarray:
        """(T, size) what the network is given, in data units."""
        basis, encoded = self.channel.curve_basis, self.encoded
        if basis is None:
            return encoded
        return (encoded - basis.mean) @ np.linalg.pinv(basis.components)

    @property
    def known(self) -> np.ndarray:
        """(size,) bool: values that stay in every frame."""
        if self.channel.curve_basis is not None:
            return np.full(self.channel.size, not self.free.any())
        return self._stays

    @property
    def region(self) -> np.ndarray | None:
        """(size, size) for normalised components, see `region_matrix`; None where no column stays, or all do."""
        basis = self.channel.curve_basis
        if basis is None or not self._stays.any() or self.known.all():
            return None
        moved = basis.components * np.broadcast_to(self.channel.scale, self.channel.size)[:, None]
        spread = np.sqrt((moved**2).sum(axis=0))  # columns count alike, whatever their units are
        return region_matrix(moved / np.where(spread > 0, spread, 1), self._stays.astype(np.float64))

    @property
    def _stays(self) -> np.ndarray:
        """(E,) bool: encoded values none of whose columns may change."""
        assert self.channel.group is not None
        stays = np.zeros(self.channel.group.size, bool)
        for block, raw, encoded in self.channel.group.places():
            stays[encoded] = ~self.free[raw].any() if block.kind == "rotation" else ~self.free[raw]
        return stays

    def renewed(self, values: np.ndarray, first: int, kept: np.ndarray) -> np.ndarray:
        """(n, D) of the network's values (n, size), those of the file in columns that stay and where frames are `kept` (n,);
        from frame `first` on. What kept frames have beyond them (components, another rate) is faded into the
        others."""
        group, basis = self.channel.group, self.channel.curve_basis
        source = self.source[first : first + len(values)]
        assert group is not None
        if basis is not None:
            values = values @ basis.components + basis.mean
        beyond = self.encoded[first : first + len(values)] - values
        values = values + fade(beyond, kept, self.blend) * ~kept[:, None]
        made = group.decode(values)
        for block, columns, _ in group.places():
            if block.kind == "rotation" and self.scale != 1.0:
                made[:, columns] = _scaled(block, made[:, columns], kept, self.scale, self.blend)
            if block.kind in ("angle", "rotation") and block.unit:  # the turn that is nearest to the frame before
                joined = np.where(kept[:, None], source[:, columns], made[:, columns])
                made[:, columns] = np.unwrap(joined, axis=0, period=TURN[block.unit])
        return np.where(self.free[None] & ~kept[:, None], made, source).astype(np.float32)


Track = SkinTrack | CurvesTrack


def _within(kept: np.ndarray) -> np.ndarray:
    """(n,) bool: kept frames whose neighbours are kept too."""
    around = np.concatenate([[True], kept, [True]])
    return around[:-2] & kept & around[2:]


def _scaled(block: Block, raw: np.ndarray, kept: np.ndarray, scale: float, blend: float) -> np.ndarray:
    """Turns (n, d) made larger or smaller; beside kept frames, which are as they are, by degrees."""
    factor = scale + (1 - scale) * fade(np.ones((len(raw), 1)), kept, blend)
    return block.turned(rotations.from_axis_angle(rotations.to_axis_angle(block.matrices(raw)) * factor))
