"""A diffusion network behind the deployed tensors: one window of sound in, one window of face out, state in and out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.artifacts.train_run import ActorData, NetworkSpec, TrainRun
from audio2face.diffusion.sampling import SAMPLERS, Sampler, tensor_noise
from audio2face.diffusion.schedule import Schedule, build_schedule
from audio2face.export.signature import Signature, diffusion_signature
from audio2face.layout import ChannelLayout
from audio2face.networks.diffusion_rnn import DiffusionRNN

POSE_ORDER = ("skin", "tongue", "jaw", "eye")


@dataclass(frozen=True)
class Streaming:
    """Windows of a stream, from STREAMING_CFG: frames left, centre and right, and sound in samples."""

    left: int
    centre: int
    right: int
    window: int
    pad_left: int

    @property
    def frames(self) -> int:
        return self.left + self.centre + self.right

    @classmethod
    def of(cls, spec: NetworkSpec) -> Streaming:
        cfg = spec.extra["streaming"]
        left, right, centre = cfg["left_truncate"], cfg["right_truncate"], cfg["block_frame_size"]
        return cls(left, centre, right, cfg["window_size"], cfg["audio_pad_left"])


class PoseSpace(nn.Module):
    """Between deployed frames (vertices, in data units or normalised) and what the network works on, for all actors.

    `scale` (A, C) and `mean` (A, C) are of deployed frames; `bases` (A, K, 3V) are there when the network works on
    coefficients.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, layout: ChannelLayout, pose_layout: ChannelLayout, actors: list[ActorData]):
        super().__init__()
        self.layout, self.pose_layout = layout, pose_layout
        self.register_buffer("mean", torch.from_numpy(np.stack([a.mean_geometry for a in actors])).float())
        self.register_buffer("scale", torch.from_numpy(np.stack([_scales(a, pose_layout) for a in actors])))
        self.meshes = [name for name in ("skin", "tongue") if f"{name}_coeffs" in layout.sizes]
        for mesh in self.meshes:
            self.register_buffer(f"basis_{mesh}", _bases(actors, mesh, layout.sizes[f"{mesh}_coeffs"]))

    def _basis(self, mesh: str, identity: Tensor) -> Tensor:
        """(B or 1, K, 3V) of the identities (B, A)."""
        bases = getattr(self, f"basis_{mesh}")
        if len(bases) == 1:
            return bases
        return (identity @ bases.flatten(1)).unflatten(1, bases.shape[1:])

    def project_noise(self, noise: Tensor, identity: Tensor) -> Tensor:
        """White noise on deployed frames (B, S + 1, T, C) -> on what the network works on."""
        if not self.meshes:
            return noise
        parts = self.pose_layout.split(noise)
        found = {
            f"{mesh}_coeffs": torch.matmul(
                parts[f"{mesh}_pose"], self._basis(mesh, identity).transpose(1, 2).unsqueeze(1)
            )
            for mesh in self.meshes
        }
        return torch.cat([found[n] if n in found else parts[n] for n in self.layout.sizes], dim=3)

    def delta(self, x_0: Tensor, identity: Tensor) -> Tensor:
        """x_0 (B, T, c) of the network -> frames (B, T, C) in data units, skin and tongue as offsets from the mean."""
        scale = (identity @ self.scale).unsqueeze(1)
        if not self.meshes:
            return (x_0 - (identity @ self.mean).unsqueeze(1)) * scale
        parts = self.layout.split(x_0)
        found = {
            f"{mesh}_pose": torch.matmul(parts[f"{mesh}_coeffs"], self._basis(mesh, identity)) for mesh in self.meshes
        }
        return torch.cat([found[n] if n in found else parts[n] for n in self.pose_layout.sizes], dim=2) * scale


class StreamingGraph(nn.Module):
    """What is exported: sampler around the denoiser.

    window (B, 16000), identity (B, A), emotion (B, centre, E), input_latents (S, layers, B, H), noise (B, S + 1, T, C)
    -> prediction (B, T, C), output_latents (S, layers, B, H). `noise[:, -1]` is x_T; `noise[:, i]` is used when leaving
    step i. Only the centre frames are computed; the others are zeros.
    """

    def __init__(
        self, network: DiffusionRNN, space: PoseSpace, schedule: Schedule, streaming: Streaming, sampler: Sampler
    ):
        super().__init__()
        self.network, self.space = network, space
        self.schedule, self.streaming, self.sampler = schedule, streaming, sampler

    def forward(
        self, window: Tensor, identity: Tensor, emotion: Tensor, input_latents: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        s = self.streaming
        features = self.network.encode(window, s.frames)[:, s.left : s.left + s.centre]
        noise = self.space.project_noise(noise[:, :, s.left : s.left + s.centre], identity)
        batch_of = torch.zeros_like(window[:, 0], dtype=torch.long)  # (B,) keeps the exported batch axis dynamic

        def denoise(x_t: Tensor, i: int, state: Tensor) -> tuple[Tensor, Tensor]:
            t = batch_of + int(self.schedule.timesteps[i])
            return self.network(x_t, t, features, identity, emotion, state)

        states = list(input_latents.unbind(0))
        x_0, states = self.sampler(denoise, tensor_noise(noise), self.schedule, states)
        prediction = self.space.delta(x_0, identity)
        prediction = nn.functional.pad(prediction, (0, 0, s.left, s.right))
        return prediction, torch.stack(states)


def pose_layout(actor: ActorData) -> ChannelLayout:
    """Deployed frames: vertices of skin and tongue, jaw key points, eye angles."""
    info = actor.data_info
    return ChannelLayout(
        {
            "skin_pose": 3 * int(info["num_verts_skin"]),
            "tongue_pose": 3 * int(info["num_verts_tongue"]),
            "jaw": 3 * int(info["num_keypoints_jaw"]),
            "eye": 2 * int(info["num_angles_eye"]),
        }
    )


def streaming_graph(
    network: DiffusionRNN, run: TrainRun, respacing: str | None = None, sampler: str = "ddpm"
) -> StreamingGraph:
    """The graph of a training run; `respacing` (default: the run's) chooses the steps."""
    spec = run.spec
    actors = [run.actor(name) for name in spec.actors]
    schedule = build_schedule(
        spec.extra["noise_schedule"], spec.extra["diffusion_steps"], respacing or spec.extra["respacing"]
    )
    space = PoseSpace(network.layout, pose_layout(actors[0]), actors)
    return StreamingGraph(network, space, schedule, Streaming.of(spec), SAMPLERS[sampler])


def graph_signature(graph: StreamingGraph, num_emotions: int) -> Signature:
    """The tensors of an exported diffusion network."""
    s, network = graph.streaming, graph.network
    return diffusion_signature(
        window=s.window,
        identities=len(graph.space.mean),
        centre=s.centre,
        emotions=num_emotions,
        steps=graph.schedule.num_steps,
        layers=network.num_gru_layers,
        width=network.gru_feature_dim,
        frames=s.frames,
        values=graph.space.pose_layout.size,
    )


def _scales(actor: ActorData, layout: ChannelLayout) -> np.ndarray:
    return np.concatenate(
        [np.full(size, actor.channel_scales[name], np.float32) for name, size in layout.sizes.items()]
    )


def _bases(actors: list[ActorData], mesh: str, size: int) -> Tensor:
    rows = []
    for actor in actors:
        basis = actor.network_data[f"shapes_matrix_{mesh}"]
        padded = np.zeros((size, basis[0].size), np.float32)
        padded[: len(basis)] = basis.reshape(len(basis), -1)
        rows.append(padded)
    return torch.from_numpy(np.stack(rows))
