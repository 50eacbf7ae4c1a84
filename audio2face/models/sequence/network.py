"""Network `diffusion_transformer`: every frame attends to every other, so that what is given later in time counts as well.

It predicts x_0 (Ho et al. 2020). Positions are times in seconds (rotary, Su et al. 2021, arXiv 2104.09864), so that rates and
lengths may differ from training; step, actor, emotion and the sound at each frame modulate every layer (adaLN-zero, Peebles &
Xie 2023, arXiv 2212.09748). Nothing in it has a length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2face.distributed import WHOLE, Rng
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import ConditionDropout, Conditions, ConditionSpec
from audio2face.models.common.starting_weights import columns_of
from audio2face.models.sequence.layers import Block, OwnLayers, Surroundings, rotary
from audio2face.models.sequence.motion_prior import MotionPrior
from audio2face.models.sequence.partner import DROP_PARTNER, HearsPartner, PartnerLayer
from audio2face.runs.train_run import NetworkSpec

DROP, DROP_ALL = 0.1, 0.05  # shares of segments that go without a condition, and without any


class SequenceTransformer(HearsPartner):
    """x_t, step, sounds, actor, emotion and known values -> x_0, one row per frame, each value over its `unit`.

    Known values come as the conditions `known` (B, T, C) and `given` (B, T, channels), 1 where a channel's values are known;
    without them nothing is. With `partner` the actor talks to somebody, whom the condition of that name is what is heard of.
    """

    OF_DATA = ("unit", "signal", "noise", "prior.")  # of the training data: starting weights leave them as they are
    unit: Tensor
    signal: Tensor
    noise: Tensor

    def __init__(
        self,
        layout: ChannelLayout,
        mean: Tensor,
        fps: float,
        num_emotions: int,
        diffusion_steps: int = 1000,
        width: int = 256,
        num_layers: int = 6,
        num_heads: int = 4,
        dropout: float = 0.1,
        reach: int = 0,
        audio_encoder: str = "melspec",
        hubert_model: str | None = None,
        w2v_model: str | None = None,
        whisper_model: str | None = None,
        whisper_layer: int | Sequence[int] = 3,
        freeze_audio_encoder: bool = False,
        encoder_arguments: Mapping[str, Any] | None = None,
        partner: bool = False,
    ):
        """`mean` (A, C) says how many actors there are. `reach` is how many frames on either side of each one are heard at once,
        0 for its own. `encoder_arguments` go to the audio encoder (weights' source, cache folder). Raises UserError when the
        audio encoder is unknown or its weights cannot be found.
        """
        super().__init__()
        self.layout, self.fps, self.width, self.diffusion_steps = layout, float(fps), width, diffusion_steps
        self.head_size = width // num_heads
        self.register_buffer("unit", torch.ones(layout.size))
        self.register_buffer("noise", torch.ones(layout.size))  # share of its motion that conditions leave open
        self.register_buffer("mean", torch.zeros(1), persistent=False)
        self.register_buffer("signal", torch.zeros(diffusion_steps))  # share of x_0 by step
        self.prior = MotionPrior(layout, fps)
        sources = {"hubert": hubert_model, "w2v": w2v_model, "whisper": whisper_model}
        self.add_encoder(width, audio_encoder, sources, freeze_audio_encoder, whisper_layer, encoder_arguments)
        self.frame = nn.Linear(layout.size, width)
        self.expected = nn.Linear(layout.size, width, bias=False)
        self.flags = nn.Linear(len(layout.sizes), width, bias=False)
        self.step = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.actor = nn.Linear(len(mean), width, bias=False)
        self.emotion = nn.Linear(num_emotions, width, bias=False) if num_emotions else None
        self.blocks = nn.ModuleList(Block(width, num_heads, dropout) for _ in range(num_layers))
        self.last = nn.Linear(width, 2 * width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in layout.sizes.items()})
        self.trust = nn.Linear(width, layout.size)
        self.own = OwnLayers(layout.size, width)
        for parameter in (*self.last.parameters(), *self.heads.parameters(), *self.trust.parameters()):
            nn.init.zeros_(parameter)
        self.partner = PartnerLayer(width) if partner else None
        self.surroundings = Surroundings(width, reach) if reach else None
        self.dropout = ConditionDropout(
            [
                ConditionSpec("speech", "track", width, DROP, learned_null=True),
                ConditionSpec("actor", "static", len(mean), DROP, learned_null=True),
                *([ConditionSpec("emotion", "track", num_emotions, DROP, learned_null=True)] if num_emotions else []),
                *([ConditionSpec("partner", "track", width, DROP_PARTNER, learned_null=True)] if partner else []),
            ],
            together=DROP_ALL,
        )

    @property
    def conditions(self) -> tuple[ConditionSpec, ...]:
        """What the network takes beside noised animation and known values."""
        return self.dropout.specs

    def forward(
        self, x_t: Tensor, t: Tensor, conditions: Conditions, state: None = None, rng: Rng = WHOLE
    ) -> tuple[Tensor, None]:
        """One denoising step.

        Args:
            x_t: (B, T, C) noised animation, each value over its unit.
            t: (B,) training step numbers, int64.
            conditions: speech (B, T, width), actor (B, A), emotion (B, E) or (B, T, E); perhaps partner (B, T, width), what
                `partner` makes of the partner's speech; perhaps known (B, T, C), given (B, T, channels), and valid (B, T),
                which is 1 for frames that there are.
            state: of no use here.
            rng: where dropout is drawn from in training.

        Returns:
            x_0 (B, T, C), and no state.
        """
        conditions = self.dropout(conditions, rng)
        given, known = (conditions.tensors.get(name) for name in ("given", "known"))
        x, valid = x_t, conditions.tensors.get("valid")
        if given is not None and known is not None:
            there = self.per_value(given)
            x = there * known + (1 - there) * x_t
        expected, deviation = self.prior(x_t, self.signal[t], known, given, valid)
        h = self.frame(x) + self.expected(expected)
        if given is not None:
            h = h + self.flags(given)
        speech, emotion = self.heard(conditions), conditions.tensors.get("emotion")
        if self.surroundings is not None:
            speech = speech + self.surroundings(speech, valid)
        step = self.step(sinusoids(t, self.width))
        condition = speech + (step + self.actor(conditions["actor"])).unsqueeze(1)
        if self.emotion is not None and emotion is not None:
            felt = self.emotion(emotion)
            condition = condition + (felt if felt.ndim == 3 else felt.unsqueeze(1))
        condition = F.silu(condition)
        h = h + speech
        turns = rotary(torch.arange(x_t.shape[1], device=x_t.device) / self.fps, self.head_size)
        for block in self.blocks:
            h = block(h, condition, turns, valid, rng)
        shift, scale = self.last(condition).chunk(2, dim=2)
        h = F.layer_norm(h, (self.width,)) * (1 + scale) + shift
        beyond = torch.cat([head(h) for head in self.heads.values()], dim=2) + self.own(
            x, expected, F.silu(step), valid
        )
        return (1 + self.trust(condition)) * expected + deviation * beyond, None

    def per_value(self, given: Tensor) -> Tensor:
        """Flags (…, channels) -> (…, C), one for each value."""
        sizes = torch.tensor([*self.layout.sizes.values()], device=given.device)
        return given.repeat_interleave(sizes, dim=-1, output_size=self.layout.size)

    @staticmethod
    def weight_axes(spec: NetworkSpec) -> dict[str, tuple[int, ChannelLayout]]:
        """{weight: (axis, what lies along it)} of the weights at the edges of the network that a spec describes."""
        layout = ChannelLayout(spec.max_sizes)
        axes: dict[str, tuple[int, ChannelLayout]] = {"frame.weight": (1, layout), "expected.weight": (1, layout)}
        axes["unit"] = (0, layout)
        for channel, size in spec.max_sizes.items():
            axes |= {f"heads.{channel}.{kind}": (0, ChannelLayout({channel: size})) for kind in ("weight", "bias")}
        emotions, actors = columns_of(spec)
        return {**axes, "actor.weight": (1, ChannelLayout(actors)), "emotion.weight": (1, ChannelLayout(emotions))}


def sinusoids(t: Tensor, size: int) -> Tensor:
    """(B,) step numbers -> (B, size) sines and cosines of them, periods from 2π to 20000π."""
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(size // 2, device=t.device) / (size // 2))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


NETWORKS = {"diffusion_transformer": SequenceTransformer}  # by NETWORK_NAME
