"""What is exported: a trained network behind the tensors of the deployed model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from audio2face.deploy.signature import Signature, regression_signature
from audio2face.face.codec import FaceCodec, kind_of
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.runs.train_run import ActorData, NetworkSpec


class RegressionGraph(nn.Module):
    """One actor's face from a regression network: input (B, 1, L), emotion (B, 1, I + E) -> result (B, 1, C), and where
    `codec` has curves these as well, (B, 1, Cc).

    The actor's one-hot is baked in, outputs are cut to the actor's own sizes, put into the order of `codec` and
    multiplied by its scales, so that the result is in data units. A channel that the network lacks comes out as zeros.
    A scale of 0 keeps at rest what an actor has no data for.
    Emotions beyond the `num_emotions` that the network takes (None: all) have no effect.
    """

    actor: Tensor
    curve_scale: Tensor
    curve_offset: Tensor

    def __init__(
        self,
        network: Any,
        layout: ChannelLayout,
        codec: FaceCodec,
        implicit_len: int,
        identity: Sequence[float],
        num_emotions: int | None = None,
    ):
        """`identity` (A,) is the one-hot of the actor among those of the network.

        Raises ValueError where the network has other channels than a face, or fewer values than the actor.
        """
        super().__init__()
        sizes = codec.layout.sizes
        unknown = {name for name in layout.sizes.keys() - sizes.keys() if kind_of(name) != "curves"}
        if unknown:
            raise ValueError(f"channel {', '.join(sorted(unknown))} has no place in an exported network")
        short = [name for name, size in layout.sizes.items() if size < sizes.get(name, 0)]
        if short:
            raise ValueError(f"the network's {', '.join(short)} output is smaller than the actor's")
        self.network = network
        self.layout = layout
        self.codec = codec
        self.implicit_len = implicit_len
        self.emotions_end = None if num_emotions is None else implicit_len + num_emotions
        self.takes_actor = any(spec.name == "actor" for spec in network.conditions)
        self.register_buffer("actor", torch.tensor([identity], dtype=torch.float32), persistent=False)
        curves = codec.curves
        self.register_buffer("curve_scale", torch.from_numpy(curves.scales), persistent=False)
        self.register_buffer("curve_offset", torch.from_numpy(curves.offsets), persistent=False)

    def forward(self, input: Tensor, emotion: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """input (B, 1, buffer_len), emotion (B, 1, implicit + explicit) -> result (B, 1, values), float32; and curves."""
        emotion = emotion[:, 0]  # (B, I + E)
        given = {
            "implicit": emotion[:, : self.implicit_len],
            "emotion": emotion[:, self.implicit_len : self.emotions_end],
        }
        if self.takes_actor:
            ones = emotion[:, :1] * 0 + 1  # a batch-sized one: keeps the exported batch axis dynamic
            given["actor"] = ones * self.actor
        values, _ = self.network(input[:, 0], Conditions(given))  # (B, all channels at their largest)
        channels = self.layout.split(values)
        parts = []
        for channel in self.codec.face.channels:
            if channel.name in channels:
                part = channels[channel.name][:, : channel.size]
                parts.append(part * channel.scale if channel.scale != 1.0 else part)
            else:
                parts.append(values[:, :1].mul(0).repeat(1, channel.size))
        result = torch.cat(parts, dim=1)[:, None]
        groups = [
            channels[c.name][:, : c.size] if c.name in channels else values[:, :1].mul(0).repeat(1, c.size)
            for c in self.codec.curves.channels
        ]
        if not groups:
            return result
        return result, ((torch.cat(groups, dim=1) - self.curve_offset) * self.curve_scale)[:, None]


def regression_graph(
    network: Any, spec: NetworkSpec, actor: ActorData, implicit_len: int, curves: bool = True
) -> RegressionGraph:
    """The graph of one actor of a trained regression network; without `curves` that of the runtime."""
    codec = spec.output_codec(actor)
    return RegressionGraph(
        network,
        ChannelLayout(spec.max_sizes),
        codec if curves else codec.face,
        implicit_len,
        [float(name == actor.actor) for name in spec.actors],
        len(spec.emotion_names),
    )


def actor_signature(spec: NetworkSpec, actor: ActorData, implicit_len: int, curves: bool = False) -> Signature:
    """The tensors of one actor's exported regression network; with its `curves`, if it has any, of the one that gives them."""
    codec = spec.output_codec(actor)
    return regression_signature(
        spec.audio_params["buffer_len"],
        implicit_len + len(spec.emotion_inputs),
        codec.face.layout.size,
        codec.curves.layout.size if curves else 0,
    )
