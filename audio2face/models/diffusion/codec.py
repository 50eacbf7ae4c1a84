"""The faces of a network's actors in PyTorch: between coefficients, vertices and deployed frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.face.codec import MESHES, POSES, FaceCodec, common_layout, kind_of, padded_bases, part_of
from audio2face.face.layout import ChannelLayout


class TorchCodec(nn.Module):
    """`FaceCodec` of A actors, which share their meshes; `identity` (B, A) one-hot chooses among them.

    `coeffs` lays out the targets, `poses` deployed frames with vertices, `layout` what the network works on, which is one
    of both, `curves` the groups of curves among the targets. `mean` and `scale` (A, C) are of deployed frames, `owned`
    (A, c) is 1 for the network's values that an actor has: not for coefficients that its bases lack.
    """

    mean: Tensor
    scale: Tensor
    owned: Tensor
    curve_offset: Tensor
    curve_scale: Tensor

    def __init__(
        self, codecs: Sequence[FaceCodec], poses: Sequence[FaceCodec], on_vertices: bool, decodes: bool = True
    ):
        """`codecs` and `poses`: each actor's channels by coefficients and by vertices. The bases, which are large, are kept
        if it `decodes` coefficients.
        """
        super().__init__()
        self.coeffs, self.poses, self.on_vertices = common_layout(codecs), poses[0].face.layout, on_vertices
        self.curves = ChannelLayout({name: n for name, n in self.coeffs.sizes.items() if kind_of(name) == "curves"})
        self.layout: ChannelLayout = self.poses if on_vertices else self.coeffs
        self.register_buffer("mean", _rows([pose.face.offsets for pose in poses]))
        self.register_buffer("scale", _rows([pose.face.scales for pose in poses]))
        for name, key in (("curve_offset", "offset"), ("curve_scale", "scale")):
            rows_of = [codec.chosen(self.curves.sizes).padded_curves(key, self.curves) for codec in codecs]
            self.register_buffer(name, _rows(rows_of))
        rows = poses if on_vertices else codecs
        self.register_buffer("owned", _rows([codec.mask(self.layout) for codec in rows]))
        for mesh in (channel for channel in codecs[0].channels if channel.basis and decodes):
            bases = padded_bases(codecs, mesh.part, self.coeffs.sizes[mesh.name])
            self.register_buffer(f"basis_{mesh.part}", torch.from_numpy(bases))
        if self.curves.size and decodes:
            self.noise_mesh, directions = curve_noise(codecs, self.curves.size)
            self.register_buffer("curve_noise", torch.from_numpy(directions))

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

    def known(self, flags: Tensor) -> Tensor:
        """Flags (B, T, coefficients) of the targets' values -> (B, T, c) of the network's."""
        if not self.on_vertices:
            return flags
        parts = {part_of(name): part for name, part in self.coeffs.split(flags).items()}
        return torch.cat(
            [parts[part_of(name)][..., :1].expand(-1, -1, size) for name, size in self.poses.sizes.items()], dim=2
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
        if self.curves.size:
            mesh = noise[..., self._noise_slice()]
            parts.append(torch.matmul(mesh, self._of_identity("curve_noise", identity).transpose(1, 2).unsqueeze(1)))
        return torch.cat(parts, dim=3)

    def lift_noise(self, noise: Tensor, identity: Tensor) -> Tensor:
        """Noise on what the network works on (B, T, c) -> frames (B, T, C) of which `project_noise` makes it again."""
        if self.on_vertices:
            return noise
        frames = self._decode(noise, identity)
        if self.curves.size:
            of_curves = noise[..., -self.curves.size :]
            frames[..., self._noise_slice()] += torch.matmul(of_curves, self._of_identity("curve_noise", identity))
        return frames

    def rows(self, x_0: Tensor, identity: Tensor) -> Tensor:
        """x_0 (B, T, c) of the network -> `delta` and beside it the curves (B, T, C + curves), all in data units."""
        frames = self.delta(x_0, identity)
        return torch.cat([frames, self.curve_values(x_0, identity)], dim=2) if self.curves.size else frames

    def curve_values(self, x_0: Tensor, identity: Tensor) -> Tensor:
        """x_0 (B, T, c) of the network -> curves (B, T, curves) in data units."""
        offset, scale = ((identity @ x).unsqueeze(1) for x in (self.curve_offset, self.curve_scale))
        return (x_0[..., x_0.shape[-1] - self.curves.size :] - offset) * scale

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
            if kind_of(name) != "curves"
        ]
        return torch.cat(parts, dim=2)

    def _basis(self, mesh: str, identity: Tensor) -> Tensor:
        """(B or 1, K, 3V) of the identities (B, A)."""
        return self._of_identity(f"basis_{mesh}", identity)

    def _noise_slice(self) -> slice:
        """Where in deployed frames the noise lies that curves take theirs from."""
        return self.poses.slices[POSES[f"{self.noise_mesh}_coeffs"]]

    def _of_identity(self, name: str, identity: Tensor) -> Tensor:
        bases = getattr(self, name)
        if len(bases) == 1:
            return bases
        return (identity @ bases.flatten(1)).unflatten(1, bases.shape[1:])


def curve_noise(codecs: Sequence[FaceCodec], count: int) -> tuple[str, np.ndarray]:
    """A mesh, and for each actor `count` orthonormal directions of its vertices (A, count, 3V) that its basis does not span.

    White noise of vertices along them is white, and independent of that of the mesh's coefficients: so the noise that the
    runtime gives for vertices is enough for curves too. A mesh with too few vertices has directions that are not independent.
    """
    room = {
        mesh: min(codec[mesh].basis.mean.size - codec[mesh].size for codec in codecs)  # type: ignore[union-attr]
        for mesh in MESHES
    }
    mesh = "tongue" if room["tongue"] >= count else max(room, key=lambda name: room[name])
    found = []
    for codec in codecs:
        basis = codec[mesh].basis
        assert basis is not None
        known = np.linalg.qr(basis.components.reshape(basis.num_components, -1).T.astype(np.float64))[0]
        drawn = np.random.default_rng(0).standard_normal((basis.mean.size, count))
        if basis.components.any():
            drawn -= known @ (known.T @ drawn)
        free = np.linalg.qr(drawn)[0] if room[mesh] >= count else drawn / np.linalg.norm(drawn, axis=0)
        found.append(free.T.astype(np.float32))
    return mesh, np.stack(found)


def _rows(rows: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(rows)).float()
