"""Network `vq_guide`: keyframes as codes, and codes drawn to sound.

The codec learns first; then it stays as it is, and the transformer learns what codes follow on others and go with the sound.
A code goes into the transformer as what the codebooks make of it and of those before it in its keyframe, and comes out as a
product with its codebook: codes that mean nearly the same are treated alike, so that little data goes further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2face.distributed import WHOLE, Rng
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import ConditionDropout, Conditions, ConditionSpec
from audio2face.models.guide.codec import KeyframeCodec
from audio2face.models.guide.transformer import CodeTransformer, Heard, Past
from audio2face.models.sequence.partner import DROP_PARTNER, HearsPartner, PartnerLayer

DROP, DROP_ALL = 0.1, 0.05  # shares of segments that go without a condition, and without any
KERNEL = 7
SOUND_LAYERS = 2


class GuideNetwork(HearsPartner):
    """The codec of keyframes, `guide_fps` a second, and the transformer over their codes, for sound at `fps` frames a second.

    `code_scale` () brings codebooks to unit variance, `unigram` (depth, codes) is how often each code occurs, as logarithms;
    both are known once the codec is trained (`codec_done`).
    """

    code_scale: Tensor
    unigram: Tensor
    codec_done: Tensor

    def __init__(
        self,
        layout: ChannelLayout,
        fps: float,
        guide_fps: float,
        num_actors: int,
        num_emotions: int,
        codebook_size: int = 128,
        depth: int = 4,
        code_dim: int = 16,
        codec_width: int = 128,
        width: int = 128,
        num_layers: int = 3,
        num_heads: int = 4,
        dropout: float = 0.2,
        audio_encoder: str = "melspec",
        hubert_model: str | None = None,
        w2v_model: str | None = None,
        whisper_model: str | None = None,
        whisper_layer: int | Sequence[int] = 3,
        freeze_audio_encoder: bool = False,
        encoder_arguments: Mapping[str, Any] | None = None,
        partner: bool = False,
    ):
        """`encoder_arguments` go to the audio encoder (weights' source, cache folder). Raises UserError when it is unknown or its
        weights cannot be found."""
        super().__init__()
        self.layout, self.fps, self.guide_fps, self.depth = layout, float(fps), float(guide_fps), depth
        self.register_buffer("mean", torch.zeros(1), persistent=False)
        self.codec = KeyframeCodec(layout.size, codec_width, code_dim, codebook_size, depth)
        self.register_buffer("code_scale", torch.ones(()))
        self.register_buffer("unigram", torch.zeros(depth, codebook_size))
        self.register_buffer("codec_done", torch.zeros((), dtype=torch.bool))
        sources = {"hubert": hubert_model, "w2v": w2v_model, "whisper": whisper_model}
        self.add_encoder(width, audio_encoder, sources, freeze_audio_encoder, whisper_layer, encoder_arguments)
        self.around = nn.ModuleList(nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2) for _ in range(SOUND_LAYERS))
        self.partner = PartnerLayer(width) if partner else None
        self.actor = nn.Linear(num_actors, width, bias=False)
        self.emotion = nn.Linear(num_emotions, width, bias=False) if num_emotions else None
        self.start = nn.Parameter(torch.zeros(width))
        self.places = nn.Parameter(0.02 * torch.randn(depth, width))
        self.previous, self.present = nn.Linear(code_dim, width), nn.Linear(code_dim, width)
        self.transformer = CodeTransformer(width, num_layers, num_heads, dropout)
        self.heads = nn.Parameter(
            torch.zeros(depth, width, code_dim)
        )  # at first codes are as likely as they are frequent
        self.bias = nn.Parameter(torch.zeros(depth, codebook_size))
        self.dropout = ConditionDropout(
            [
                ConditionSpec("speech", "track", width, DROP, learned_null=True),
                *([ConditionSpec("partner", "track", width, DROP_PARTNER, learned_null=True)] if partner else []),
                ConditionSpec("actor", "static", num_actors, DROP, learned_null=True),
                *([ConditionSpec("emotion", "track", num_emotions, DROP, learned_null=True)] if num_emotions else []),
            ],
            together=DROP_ALL,
        )

    def hear(self, conditions: Conditions, rng: Rng = WHOLE) -> Heard:
        """What the layers hear: of the conditions speech (B, T, width), actor (B, A), emotion (B, E) or (B, T, E), perhaps
        partner (B, T, width), what `partner` makes of the partner's speech, and perhaps valid (B, T), which is 1 for frames that
        there are. Needed once for all codes."""
        conditions = self.dropout(conditions, rng)
        sound = self.heard(conditions)
        valid = conditions.tensors.get("valid", sound.new_ones(sound.shape[:2]))
        style = self.actor(conditions["actor"]).unsqueeze(1)
        if self.emotion is not None:
            felt = self.emotion(conditions["emotion"])
            style = style + (felt if felt.ndim == 3 else felt.unsqueeze(1))
        sound = sound + style
        for conv in self.around:
            sound = sound + F.gelu(conv((sound * valid.unsqueeze(2)).transpose(1, 2)).transpose(1, 2))
        return self.transformer.hear(sound, valid, self.fps)

    def forward(self, codes: Tensor, frames: Tensor, heard: Heard, rng: Rng = WHOLE) -> Tensor:
        """Logits (B, K, depth, codes) of codes (B, K, depth) at frames (B, K), each from the codes before it and the sound."""
        partial = self.codec.quantizer.partial(codes)
        first = self.token(0, None).expand(len(codes), 1, -1)
        whole = torch.cat([first, self.token(0, partial[:, :-1, -1])], dim=1)
        tokens = [whole, *(self.token(place, partial[:, :, place - 1]) for place in range(1, self.depth))]
        x = torch.stack(tokens, dim=2).flatten(1, 2)
        h, _ = self.transformer(x, self.times(frames).repeat_interleave(self.depth, dim=1), heard, rng=rng)
        h = h.unflatten(1, (-1, self.depth))
        return torch.stack([self.logits(place, h[:, :, place]) for place in range(self.depth)], dim=2)

    def next_logits(
        self, place: int, vector: Tensor | None, frame: Tensor, heard: Heard, past: Past | None
    ) -> tuple[Tensor, Past]:
        """Logits (B, codes) of the next code, number `place` of the keyframe at frame (B,), and what those after it need.

        `vector` (B, D) is what the codes before it in its keyframe give, of the first one those of the keyframe before, None
        at the beginning.
        """
        x = self.token(place, vector).expand(len(frame), -1).unsqueeze(1)
        h, past = self.transformer(x, self.times(frame).unsqueeze(1), heard, past)
        return self.logits(place, h[:, 0]), past

    def token(self, place: int, vector: Tensor | None) -> Tensor:
        """What goes in for code number `place` of a keyframe (…, width), as `next_logits` has it."""
        if vector is None:
            return self.start + self.places[place]
        known = self.present if place else self.previous
        return known(vector * self.code_scale) + self.places[place]

    def logits(self, place: int, h: Tensor) -> Tensor:
        """(…, width) -> logits (…, codes) of code number `place`."""
        codebook = self.codec.quantizer.codebooks[place] * self.code_scale
        return h @ self.heads[place] @ codebook.T + self.unigram[place] + self.bias[place]

    def times(self, frames: Tensor) -> Tensor:
        """Frames -> moments in seconds, as `CodeTransformer.hear` counts them."""
        return frames / self.fps


NETWORKS = {"vq_guide": GuideNetwork}  # by NETWORK_NAME
