"""A diffusion network behind the deployed tensors: one window of sound in, one window of face out, state in and out."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from audio2face.audio.windows import Streaming
from audio2face.deploy.signature import Signature, diffusion_signature
from audio2face.face.layout import ChannelLayout
from audio2face.geometry.pca import padded_bases
from audio2face.models.diffusion.network import DiffusionRNN
from audio2face.models.diffusion.samplers import SAMPLERS, Noise, Sampler, tensor_noise
from audio2face.models.diffusion.schedule import Schedule, build_schedule
from audio2face.runs.train_run import ActorData, PreprocFiles, TrainRun


class PoseSpace(nn.Module):
    """Between deployed frames (vertices, in data units or normalised) and what the network works on, for all actors.

    `scale` (A, C) and `mean` (A, C) are of deployed frames; `bases` (A, K, 3V) are there when the network works on
    coefficients.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        layout: ChannelLayout,
        pose_layout: ChannelLayout,
        actors: list[ActorData],
        at_rest: Mapping[str, Collection[str]] | None = None,
    ):
        """`at_rest` {actor: channels} come out as zeros."""
        super().__init__()
        self.layout, self.pose_layout = layout, pose_layout
        self.register_buffer("mean", torch.from_numpy(np.stack([a.mean_geometry for a in actors])).float())
        self.register_buffer(
            "scale",
            torch.from_numpy(np.stack([_scales(a, pose_layout, (at_rest or {}).get(a.actor, ())) for a in actors])),
        )
        self.meshes = [name for name in ("skin", "tongue") if f"{name}_coeffs" in layout.sizes]
        for mesh in self.meshes:
            rows = [actor.network_data[f"shapes_matrix_{mesh}"] for actor in actors]
            self.register_buffer(f"basis_{mesh}", torch.from_numpy(padded_bases(rows, layout.sizes[f"{mesh}_coeffs"])))

    def _basis(self, mesh: str, identity: Tensor) -> Tensor:
        """(B or 1, K, 3V) of the identities (B, A)."""
        bases = getattr(self, f"basis_{mesh}")
        if len(bases) == 1:
            return bases
        return (identity @ bases.flatten(1)).unflatten(1, bases.shape[1:])

    def project_noise(self, noise: Tensor, identity: Tensor) -> Tensor:
        """White noise on deployed frames (B, S + 1, T, C) -> on what the network works on (B, S + 1, T, c)."""
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

    def lift_noise(self, noise: Tensor, identity: Tensor) -> Tensor:
        """Noise on what the network works on (B, T, c) -> frames (B, T, C) of which `project_noise` makes it again."""
        return noise if not self.meshes else self._decode(noise, identity)

    def noised(self, identity: Tensor) -> Tensor:
        """(B, c) 1 where projected noise is white, 0 on coefficients that the identity's bases do not have."""
        flags = [
            (self._basis(name.removesuffix("_coeffs"), identity).norm(dim=2) > 0.5).expand(len(identity), -1)
            if name.removesuffix("_coeffs") in self.meshes
            else identity.new_ones(len(identity), size, dtype=torch.bool)
            for name, size in self.layout.sizes.items()
        ]
        return torch.cat(flags, dim=1).to(identity)

    def delta(self, x_0: Tensor, identity: Tensor) -> Tensor:
        """x_0 (B, T, c) of the network -> frames (B, T, C) in data units, skin and tongue as offsets from the mean."""
        offset = self._decode(x_0, identity) if self.meshes else x_0 - (identity @ self.mean).unsqueeze(1)
        return offset * (identity @ self.scale).unsqueeze(1)

    def normalised(self, x_0: Tensor, identity: Tensor) -> Tensor:
        """x_0 (B, T, c) of the network -> whole frames (B, T, C), normalised."""
        return self._decode(x_0, identity) + (identity @ self.mean).unsqueeze(1) if self.meshes else x_0

    def _decode(self, coeffs: Tensor, identity: Tensor) -> Tensor:
        parts = self.layout.split(coeffs)
        found = {
            f"{mesh}_pose": torch.matmul(parts[f"{mesh}_coeffs"], self._basis(mesh, identity)) for mesh in self.meshes
        }
        return torch.cat([found[n] if n in found else parts[n] for n in self.pose_layout.sizes], dim=2)


class StreamingGraph(nn.Module):
    """What is exported: sampler around the denoiser.

    window (B, 16000), identity (B, A), emotion (B, centre, E), input_latents (S, layers, B, H), noise (B, S + 1, T, C)
    -> prediction (B, T, C), output_latents (S, layers, B, H). `noise[:, -1]` is x_T; `noise[:, i]` is used when leaving
    step i. Only the centre frames are computed; the others are zeros. `delta` False gives whole normalised frames in
    place of offsets in data units. A network that knows no emotions ignores `emotion`.
    """

    def __init__(
        self,
        network: DiffusionRNN,
        space: PoseSpace,
        schedule: Schedule,
        streaming: Streaming,
        sampler: Sampler,
        delta: bool = True,
    ):
        super().__init__()
        self.network, self.space = network, space
        self.schedule, self.streaming, self.sampler, self.delta = schedule, streaming, sampler, delta

    def forward(
        self, window: Tensor, identity: Tensor, emotion: Tensor, input_latents: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tensors as in `graph_signature` -> prediction (0 but in the middle frames) and output_latents."""
        s = self.streaming
        features = self.network.encode(window, s.centre, s.lead)
        if self.network.emotion is None:  # keeps the exported input
            features = features + emotion[:, :1, :1] * 0
        noise = self.space.project_noise(noise[:, :, s.left : s.left + s.centre], identity)
        x_0, states = self.sample(features, identity, emotion, list(input_latents.unbind(0)), tensor_noise(noise))
        prediction = self.space.delta(x_0, identity) if self.delta else self.space.normalised(x_0, identity)
        return nn.functional.pad(prediction, (0, 0, s.left, s.right)), torch.stack(states)

    def sample(
        self,
        features: Tensor,
        identity: Tensor,
        emotion: Tensor,
        states: list[Tensor] | None,
        noise: Noise,
        skip: int = 0,
    ) -> tuple[Tensor, list[Tensor]]:
        """x_0 (B, T, c) of frames whose sound is `features` (B, T, dim), and the states (layers, B, H) of all steps.

        `noise(i)` (B, T, c) is on what the network works on.
        """
        batch_of = torch.zeros_like(identity[:, 0], dtype=torch.long)  # (B,) keeps the exported batch axis dynamic

        def denoise(x_t: Tensor, i: int, state: Tensor | None) -> tuple[Tensor, Tensor]:
            t = batch_of + int(self.schedule.timesteps[i])
            return self.network(x_t, t, features, identity, emotion, state)

        return self.sampler(denoise, noise, self.schedule, states, skip)


def pose_layout(actor: ActorData | PreprocFiles) -> ChannelLayout:
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
    network: DiffusionRNN, run: TrainRun, respacing: str | None = None, sampler: str | None = None, delta: bool = True
) -> StreamingGraph:
    """The graph of a training run; `respacing` and `sampler` (default: the run's) choose the steps."""
    extra = run.spec.extra
    actors = [run.actor(name) for name in run.spec.actors]
    kept = extra["respacing"] if respacing is None else respacing
    schedule = build_schedule(extra["noise_schedule"], extra["diffusion_steps"], kept)
    at_rest = {name: run.spec.at_rest(name) for name in run.spec.actors}
    space = PoseSpace(network.layout, pose_layout(actors[0]), actors, at_rest)
    streaming = Streaming.of(extra["streaming"])
    return StreamingGraph(network, space, schedule, streaming, SAMPLERS[sampler or extra["sampler"]], delta)


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


def _scales(actor: ActorData, layout: ChannelLayout, at_rest: Collection[str]) -> np.ndarray:
    still = {name.replace("_coeffs", "_pose") for name in at_rest}
    scales = {name: 0.0 if name in still else actor.channel_scales[name] for name in layout.sizes}
    return np.concatenate([np.full(size, scales[name], np.float32) for name, size in layout.sizes.items()])
