"""What is exported: a trained network behind the tensors of the deployed model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audio2face.deploy.signature import Signature, regression_signature
from audio2face.face.layout import ChannelLayout
from audio2face.runs.train_run import ActorData, NetworkSpec


class RegressionGraph(nn.Module):
    """One actor's face from a regression network: input (B, 1, L), emotion (B, 1, I + E) -> result (B, 1, C).

    The actor's one-hot is baked in, outputs are cut to the actor's own sizes, put into the order of `result_sizes` and
    multiplied by `scales`, so that the result is in data units. A channel that the network lacks comes out as zeros.
    A scale of 0 keeps at rest what an actor has no data for.
    Emotions beyond the `num_emotions` that the network takes (None: all) have no effect.
    """

    actor_vector: Tensor

    def __init__(
        self,
        network: nn.Module,
        layout: ChannelLayout,
        result_sizes: dict[str, int],
        implicit_len: int,
        actor_vector: Tensor,
        scales: dict[str, float] | None = None,
        num_emotions: int | None = None,
    ):
        super().__init__()
        unknown = layout.sizes.keys() - result_sizes.keys()
        if unknown:
            raise ValueError(f"channel {', '.join(sorted(unknown))} has no place in an exported network")
        short = [name for name in layout.sizes if layout.sizes[name] < result_sizes[name]]
        if short:
            raise ValueError(f"the network's {', '.join(short)} output is smaller than the actor's")
        self.network = network
        self.layout = layout
        self.result_sizes = dict(result_sizes)
        self.implicit_len = implicit_len
        self.emotions_end = None if num_emotions is None else implicit_len + num_emotions
        self.scales = {name: (scales or {}).get(name, 1.0) for name in result_sizes}
        self.register_buffer("actor_vector", actor_vector.reshape(1, -1).float(), persistent=False)

    def forward(self, input: Tensor, emotion: Tensor) -> Tensor:
        """input (B, 1, buffer_len), emotion (B, 1, implicit + explicit) -> result (B, 1, values), float32."""
        emotion = emotion[:, 0]  # (B, I + E)
        implicit, explicit = emotion[:, : self.implicit_len], emotion[:, self.implicit_len : self.emotions_end]
        if self.actor_vector.shape[1]:
            ones = emotion[:, :1] * 0 + 1  # a batch-sized one: keeps the exported batch axis dynamic
            explicit = torch.cat([explicit, ones * self.actor_vector], dim=1)
        values, _ = self.network(input[:, 0], implicit, explicit)  # (B, all channels at their largest)
        channels = self.layout.split(values)
        parts = []
        for name, size in self.result_sizes.items():
            if name in channels:
                part = channels[name][:, :size]
                parts.append(part * self.scales[name] if self.scales[name] != 1.0 else part)
            else:
                parts.append(values[:, :1].mul(0).repeat(1, size))
        return torch.cat(parts, dim=1)[:, None]


def regression_graph(network: nn.Module, spec: NetworkSpec, actor: ActorData, implicit_len: int) -> RegressionGraph:
    """The graph of one actor of a trained regression network."""
    return RegressionGraph(
        network,
        ChannelLayout(spec.max_sizes),
        actor.result_sizes,
        implicit_len,
        torch.from_numpy(spec.actor_vector(actor.actor)),
        {**(actor.channel_scales if spec.rescale else {}), **dict.fromkeys(spec.at_rest(actor.actor), 0.0)},
        len(spec.emotion_names),
    )


def actor_signature(spec: NetworkSpec, actor: ActorData, implicit_len: int) -> Signature:
    """The tensors of one actor's exported regression network."""
    return regression_signature(
        spec.audio_params["buffer_len"], implicit_len + len(spec.emotion_inputs), sum(actor.result_sizes.values())
    )
