"""The faces of a network's actors in PyTorch: between coefficients, vertices and deployed frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.face.codec import FaceCodec, common_layout, kind_of, padded_bases, part_of
from audio2face.face.layout import ChannelLayout


class TorchCodec(nn.Module):
    """`FaceCodec` of A actors, which share their meshes; `identity` (B, A) one-hot chooses among them.

    `coeffs` lays out the targets, `poses` deployed frames with vertices, `layout` what the network works on, which is one
    of both. `mean` and `scale` (A, C) are of deployed frames, `owned` (A, c) is 1 for the network's values that an actor
    has: not for coefficients that its bases lack.
    """

    mean: Tensor
    scale: Tensor
    owned: Tensor

    def __init__(
        self, codecs: Sequence[FaceCodec], poses: Sequence[FaceCodec], on_vertices: bool, decodes: bool = True
    ):
        """`codecs` and `poses`: each actor's channels by coefficients and by vertices. The bases, which are large, are kept
        if it `decodes` coefficients.
        """
        super().__init__()
        self.coeffs, self.poses, self.on_vertices = common_layout(codecs), poses[0].layout, on_vertices
        self.layout: ChannelLayout = self.poses if on_vertices else self.coeffs
        self.register_buffer("mean", _rows([pose.offsets for pose in poses]))
        self.register_buffer("scale", _rows([pose.scales for pose in poses]))
        rows = poses if on_vertices else codecs
        self.register_buffer("owned", _rows([codec.mask(self.layout) for codec in rows]))
        for mesh in (channel for channel in codecs[0].channels if channel.basis and decodes):
            bases = padded_bases(codecs, mesh.part, self.coeffs.sizes[mesh.name])
            self.register_buffer(f"basis_{mesh.part}", torch.from_numpy(bases))

    @property
    def network_mean(self) -> Tensor:
        """What the network's output is an offset from (A, c): the mean geometry of vertices, zeros of coefficients."""
        return self.mean if self.on_vertices else torch.zeros_like(self.owned)

    def frames(self, coeffs: Tensor, identity: Tensor) -> Tensor:
        """Targets (B, T, coefficients) -> normalised frames (B, T, c) that the network works on."""
        return self._whole(coeffs, identity) if self.on_vertices else coeffs

    def skin_coeffs(self, frames: Tensor, identity: Tensor) -> Tensor:
        """Normalised skin coefficients (B, T, K) of the network's frames (B, T, c), by projection when they are vertices."""
        skin = frames[..., self.part("skin")]
        if not self.on_vertices:
            return skin
        offset = skin - (identity @ self.mean)[:, None, self.part("skin")]
        return torch.matmul(offset, self._basis("skin", identity).transpose(-1, -2))

    def part(self, name: str) -> slice:
        """Where a part of the face ("skin") lies in the network's frames."""
        return next(place for channel, place in self.layout.slices.items() if part_of(channel) == name)

    def present(self, flags: Tensor) -> Tensor:
        """Flags (B, coefficients) of the targets' channels -> (B, c) of the network's."""
        if not self.on_vertices:
            return flags
        parts = {part_of(name): part for name, part in self.coeffs.split(flags).items()}
        return torch.cat(
            [parts[part_of(name)][:, :1].expand(-1, size) for name, size in self.poses.sizes.items()], dim=1
        )

    def noised(self, identity: Tensor) -> Tensor:
        """(B, c) 1 where projected noise is white, 0 on coefficients that the identity's bases do not have."""
        return identity @ self.owned

    def project_noise(self, noise: Tensor, identity: Tensor) -> Tensor:
        """White noise on deployed frames (B, S + 1, T, C) -> on what the network works on (B, S + 1, T, c)."""
        if self.on_vertices:
            return noise
        parts = [
            torch.matmul(part, self._basis(part_of(name), identity).transpose(1, 2).unsqueeze(1))
            if kind_of(name) == "mesh"
            else part
            for name, part in self.poses.split(noise).items()
        ]
        return torch.cat(parts, dim=3)

    def lift_noise(self, noise: Tensor, identity: Tensor) -> Tensor:
        """Noise on what the network works on (B, T, c) -> frames (B, T, C) of which `project_noise` makes it again."""
        return noise if self.on_vertices else self._decode(noise, identity)

    def delta(self, x_0: Tensor, identity: Tensor) -> Tensor:
        """x_0 (B, T, c) of the network -> frames (B, T, C) in data units, skin and tongue as offsets from the mean."""
        offset = x_0 - (identity @ self.mean).unsqueeze(1) if self.on_vertices else self._decode(x_0, identity)
        return offset * (identity @ self.scale).unsqueeze(1)

    def normalised(self, x_0: Tensor, identity: Tensor) -> Tensor:
        """x_0 (B, T, c) of the network -> whole frames (B, T, C), normalised."""
        return x_0 if self.on_vertices else self._whole(x_0, identity)

    def _whole(self, coeffs: Tensor, identity: Tensor) -> Tensor:
        return self._decode(coeffs, identity) + (identity @ self.mean).unsqueeze(1)

    def _decode(self, coeffs: Tensor, identity: Tensor) -> Tensor:
        """(B, T, coefficients) -> (B, T, C), of meshes offsets from the mean."""
        parts = [
            torch.matmul(part, self._basis(part_of(name), identity)) if kind_of(name) == "mesh" else part
            for name, part in self.coeffs.split(coeffs).items()
        ]
        return torch.cat(parts, dim=2)

    def _basis(self, mesh: str, identity: Tensor) -> Tensor:
        """(B or 1, K, 3V) of the identities (B, A)."""
        bases = getattr(self, f"basis_{mesh}")
        if len(bases) == 1:
            return bases
        return (identity @ bases.flatten(1)).unflatten(1, bases.shape[1:])


def _rows(rows: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(rows)).float()
