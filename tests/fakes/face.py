"""A made-up actor's codec."""

from __future__ import annotations

import numpy as np

from audio2face.face.codec import Channel, FaceCodec, kind_of
from audio2face.types import Pca


def make_codec(sizes: dict[str, int], bases: dict[str, np.ndarray] | None = None, **scales: float) -> FaceCodec:
    """Channels of these sizes; `bases` {part: components (K, V, 3)} about zero go before the sizes of meshes."""
    found = {part: Pca(rows, np.zeros(rows.shape[1:], np.float32)) for part, rows in (bases or {}).items()}
    channels = [Channel(name, kind_of(name), size, scales.get(name, 1.0)) for name, size in sizes.items()]
    return FaceCodec(
        tuple(
            Channel(c.name, c.kind, found[c.part].num_components, c.scale, basis=found[c.part])
            if c.part in found
            else c
            for c in channels
        )
    )
