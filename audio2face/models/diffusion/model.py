"""A diffusion network behind the deployed tensors: one window of sound in, one window of face out, state in and out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audio2face.audio.windows import Streaming
from audio2face.deploy.signature import Signature, diffusion_signature
from audio2face.models.common.conditions import Conditions
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.network import DiffusionRNN
from audio2face.models.diffusion.samplers import SAMPLERS, Noise, Sampler, tensor_noise
from audio2face.models.diffusion.schedule import Schedule, build_schedule
from audio2face.runs.train_run import TrainRun


class StreamingGraph(nn.Module):
    """What is exported: sampler around the denoiser.

    window (B, 16000), identity (B, A), emotion (B, centre, E), input_latents (S, layers, B, H), noise (B, S + 1, T, C)
    -> prediction (B, T, C), output_latents (S, layers, B, H). `noise[:, -1]` is x_T; `noise[:, i]` is used when leaving
    step i. Only the centre frames are computed; the others are zeros. `delta` False gives whole normalised frames in
    place of offsets in data units. A network that knows no emotions ignores `emotion`. With `curves`, and a network that
    gives any, they are a third output (B, T, Cc), in data units.
    """

    def __init__(
        self,
        network: DiffusionRNN,
        codec: TorchCodec,
        schedule: Schedule,
        streaming: Streaming,
        sampler: Sampler,
        delta: bool = True,
        curves: bool = True,
    ):
        super().__init__()
        self.network, self.codec, self.curves = network, codec, curves and codec.curves.size > 0
        self.schedule, self.streaming, self.sampler, self.delta = schedule, streaming, sampler, delta

    def forward(
        self, window: Tensor, identity: Tensor, emotion: Tensor, input_latents: Tensor, noise: Tensor
    ) -> tuple[Tensor, ...]:
        """Tensors as in `graph_signature` -> prediction (0 but in the middle frames), output_latents, and curves if wanted."""
        s = self.streaming
        features = self.network.encode(window, s.centre, s.lead)
        if self.network.emotion is None:  # keeps the exported input
            features = features + emotion[:, :1, :1] * 0
        noise = self.codec.project_noise(noise[:, :, s.left : s.left + s.centre], identity)
        conditions = Conditions({"speech": features, "actor": identity, "emotion": emotion})
        x_0, states = self.sample(conditions, list(input_latents.unbind(0)), tensor_noise(noise))
        prediction = self.codec.delta(x_0, identity) if self.delta else self.codec.normalised(x_0, identity)
        found = nn.functional.pad(prediction, (0, 0, s.left, s.right)), torch.stack(states)
        if not self.curves:
            return found
        return *found, nn.functional.pad(self.codec.curve_values(x_0, identity), (0, 0, s.left, s.right))

    def sample(
        self, conditions: Conditions, states: list[Tensor] | None, noise: Noise, skip: int = 0
    ) -> tuple[Tensor, list[Tensor]]:
        """x_0 (B, T, c) of frames, given the network's conditions, and the states (layers, B, H) of all steps.

        `noise(i)` (B, T, c) is on what the network works on.
        """
        batch_of = torch.zeros_like(
            conditions["actor"][:, 0], dtype=torch.long
        )  # (B,) keeps the exported batch axis dynamic

        def denoise(x_t: Tensor, i: int, state: Tensor | None) -> tuple[Tensor, Tensor]:
            t = batch_of + int(self.schedule.timesteps[i])
            return self.network(x_t, t, conditions, state)

        return self.sampler(denoise, noise, self.schedule, states, skip)


def streaming_graph(
    network: DiffusionRNN,
    run: TrainRun,
    respacing: str | None = None,
    sampler: str | None = None,
    delta: bool = True,
    curves: bool = True,
) -> StreamingGraph:
    """The graph of a training run; `respacing` and `sampler` (default: the run's) choose the steps. Without `curves` it is
    that of the runtime."""
    extra = run.spec.extra
    actors = [run.actor(name) for name in run.spec.actors]
    kept = extra["respacing"] if respacing is None else respacing
    schedule = build_schedule(extra["noise_schedule"], extra["diffusion_steps"], kept)
    codecs, on_vertices = [run.spec.output_codec(actor) for actor in actors], extra["space"] == "vertices"
    poses = [codec.on_vertices(actor.mean_geometry) for codec, actor in zip(codecs, actors, strict=True)]
    codec = TorchCodec(codecs, poses, on_vertices, decodes=not on_vertices)
    streaming = Streaming.of(extra["streaming"])
    return StreamingGraph(network, codec, schedule, streaming, SAMPLERS[sampler or extra["sampler"]], delta, curves)


def graph_signature(graph: StreamingGraph, num_emotions: int) -> Signature:
    """The tensors of an exported diffusion network."""
    s, network = graph.streaming, graph.network
    return diffusion_signature(
        window=s.window,
        identities=len(graph.codec.mean),
        centre=s.centre,
        emotions=num_emotions,
        steps=graph.schedule.num_steps,
        layers=network.num_gru_layers,
        width=network.gru_feature_dim,
        frames=s.frames,
        values=graph.codec.poses.size,
        curves=graph.codec.curves.size if graph.curves else 0,
    )
