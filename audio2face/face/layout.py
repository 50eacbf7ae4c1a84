"""Where each channel sits in a frame's vector. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ChannelLayout:
    """Channels of one frame side by side: `sizes` maps name to number of values, in order."""

    sizes: dict[str, int]

    @cached_property
    def size(self) -> int:
        """Values of a frame."""
        return sum(self.sizes.values())

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each channel lies in a frame."""
        ends = np.cumsum(list(self.sizes.values())).tolist()
        return {name: slice(end - size, end) for (name, size), end in zip(self.sizes.items(), ends, strict=True)}

    def split(self, x: Any) -> dict[str, Any]:
        """(..., C) array or tensor -> {channel: (..., c)} views. Raises ValueError on another width."""
        if x.shape[-1] != self.size:
            raise ValueError(f"expected {self.size} values a frame ({self.sizes}), got {x.shape[-1]}")
        return {name: x[..., part] for name, part in self.slices.items()}

    def join(self, channels: dict[str, np.ndarray]) -> np.ndarray:
        """{channel: (..., c)} -> (..., C) in the layout's order."""
        return np.concatenate([channels[name] for name in self.sizes], axis=-1)
