"""Diffusion network `diffusion_rnn`: a recurrent denoiser of face animation, conditioned on speech, actor and emotion.

One forward serves training (whole segments), offline and streaming inference (pieces with a carried state) and export.
It predicts x_0. Audio is encoded once per window by `encode`, which also leaves out the frames that only give context,
and shared by all denoising steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio2face.distributed import WHOLE, Rng
from audio2face.face.codec import kind_of, part_of
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import ConditionDropout, Conditions, ConditionSpec
from audio2face.models.common.encoders.whisper import LayerMix
from audio2face.models.common.layers import STEP, drop_out
from audio2face.models.common.starting_weights import columns_of
from audio2face.models.diffusion.encoder import build_encoder
from audio2face.problems import UserError
from audio2face.runs.train_run import NetworkSpec
from audio2face.types import SAMPLE_RATE

STEPS_PER_SECOND = SAMPLE_RATE // STEP  # of every speech encoder
STEP_DIM = 256
SMALL_KERNEL = 9


class MeshEmbedding(nn.Module):
    """Vertices or coefficients of a frame: Linear, a convolution along the features, ReLU."""

    def __init__(self, size: int, width: int):
        super().__init__()
        self.linear = nn.Linear(size, width)
        self.conv = nn.Conv1d(1, 1, SMALL_KERNEL, padding=SMALL_KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, size) -> (B, T, width)."""
        x = self.linear(x)
        return F.relu(self.conv(x.flatten(0, 1).unsqueeze(1)).squeeze(1).unflatten(0, x.shape[:2]))


def embedding(channel: str, size: int, width: int) -> nn.Module:
    """What embeds a channel's values of a frame: (B, T, size) -> (B, T, width)."""
    if kind_of(channel) == "mesh":
        return MeshEmbedding(size, width)
    return nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())


class SpeechFrames(nn.Module):
    """What networks have in common that hear sound frame by frame: an encoder, and a trained layer over its features."""

    fps: float
    pieces: int  # encoder steps side by side in one frame
    encoder: Any  # a SpeechEncoder
    audio: Any  # a linear layer
    mean: Tensor  # on the network's device

    def add_encoder(
        self,
        width: int,
        name: str,
        sources: Mapping[str, str | None],
        frozen: bool,
        whisper_layer: int | Sequence[int],
        arguments: Mapping[str, Any] | None,
    ) -> None:
        """Build the encoder `name`, and the layer that makes `width` features of its steps in a frame.

        `sources` {name: where its weights come from}; the others go to `build_encoder`. Raises UserError as it does.
        """
        self.encoder = build_encoder(name, arguments or {}, sources.get(name), frozen, whisper_layer)
        self.pieces = max(1, round(STEPS_PER_SECOND / self.fps))
        blocks = 1 if name != "whisper" or isinstance(whisper_layer, int) else len(whisper_layer)
        self.audio = frame_layer(self.encoder.dim * self.pieces, self.pieces, width, blocks)

    def encode(self, audio: Tensor, num_frames: int, lead: float = 0.0, rng: Rng = WHOLE) -> Tensor:
        """Sound (B, N) at 16 kHz -> features for the denoiser in each of its frames (B, num_frames, feature_dim).

        Frame j is the time (j + 0.5) / fps, `lead` samples after the first one: sound before and after the frames
        is context.
        """
        return self.audio(self.frame_features(audio, num_frames, lead, rng))

    def frame_features(self, audio: Tensor, num_frames: int, lead: float = 0.0, rng: Rng = WHOLE) -> Tensor:
        """Features of the speech encoder for each frame (B, num_frames, dim * pieces), before the layer that is always trained.

        The encoder's steps are read at the frames' times, linearly interpolated; features and frames are matched by
        time, never stretched to fit each other.
        """
        steps = self.encoder(self.encoder.features(audio), rng)  # (B, S, dim)
        centre, last = self.encoder.centre - lead, int(steps.shape[1]) - 1  # a plain number, also in an exported graph
        index, weight = step_positions(num_frames, self.fps, self.pieces, centre, last + 1)
        weight = weight.to(steps)[:, None]
        high = (index + 1).clamp(max=last)
        x = torch.lerp(steps[:, index.to(steps.device)], steps[:, high.to(steps.device)], weight)
        return x.unflatten(1, (num_frames, self.pieces)).flatten(2)


def frame_layer(size: int, pieces: int, width: int, blocks: int) -> nn.Module:
    """The trained layer over the features (…, size) of a frame: of several `blocks` of an encoder side by side, a mix."""
    if blocks == 1:
        return nn.Linear(size, width)
    return nn.Sequential(LayerMix(blocks, pieces), nn.Linear(size // blocks, width))


class DiffusionRNN(SpeechFrames):
    """x_t, step, sound, actor and emotion -> x_0, one row per frame, in normalised units.

    The layout's channels are embedded and decoded by kind: a mesh (skin, tongue) or a vector of plain values (jaw, eye).
    `mean` (A, C) is added to the output for each actor: the network learns offsets from the mean geometry.
    """

    def __init__(
        self,
        layout: ChannelLayout,
        mean: Tensor,
        fps: float,
        num_emotions: int,
        diffusion_steps: int = 1000,
        feature_dim: int = 256,
        jaw_latent_dim: int = 15,
        tongue_latent_dim: int = 10,
        eye_latent_dim: int = 4,
        gru_feature_dim: int = 256,
        num_gru_layers: int = 2,
        emo_embedding_dim: int = 32,
        actor_embedding_dim: int = 32,
        hubert_feature_dim: int = 768,
        audio_encoder: str = "hubert",
        hubert_model: str | None = None,
        w2v_model: str | None = None,
        whisper_model: str | None = None,
        whisper_layer: int | Sequence[int] = 3,
        freeze_audio_encoder: bool = False,
        dropout: float = 0.3,
        encoder_arguments: Mapping[str, Any] | None = None,
    ):
        """`mean` has one row per actor. `encoder_arguments` go to the audio encoder (weights' source, cache folder).

        Raises UserError when the audio encoder is unknown or its weights cannot be found.
        """
        super().__init__()
        self.layout, self.fps = layout, float(fps)
        self.num_gru_layers, self.gru_feature_dim = num_gru_layers, gru_feature_dim
        self.register_buffer("mean", mean.float(), persistent=False)
        latent = {"skin": feature_dim, "tongue": tongue_latent_dim, "jaw": jaw_latent_dim, "eye": eye_latent_dim}
        latent = {name: latent.get(part_of(name), min(size, feature_dim // 2)) for name, size in layout.sizes.items()}
        geometry_dim = sum(latent.values())

        sources = {"hubert": hubert_model, "w2v": w2v_model, "whisper": whisper_model}
        self.add_encoder(feature_dim, audio_encoder, sources, freeze_audio_encoder, whisper_layer, encoder_arguments)
        if audio_encoder in ("hubert", "w2v") and self.encoder.dim != hubert_feature_dim:
            raise UserError(
                f"NETWORK_HYPER_PARAMS: hubert_feature_dim is {hubert_feature_dim}, the audio encoder's is {self.encoder.dim}"
            )
        self.embeddings = nn.ModuleDict(
            {name: embedding(name, size, 2 * latent[name]) for name, size in layout.sizes.items()}
        )
        self.geometry = nn.Sequential(
            nn.Linear(2 * geometry_dim, geometry_dim), nn.ReLU(), nn.Linear(geometry_dim, geometry_dim)
        )
        self.step = nn.Linear(diffusion_steps, STEP_DIM)
        self.actor = nn.Linear(len(mean), actor_embedding_dim, bias=False)
        self.emotion = nn.Linear(num_emotions, emo_embedding_dim, bias=False) if num_emotions else None
        width = feature_dim + geometry_dim + actor_embedding_dim + STEP_DIM + (emo_embedding_dim if num_emotions else 0)
        self.gru = nn.GRU(
            width, gru_feature_dim, num_gru_layers, batch_first=True, dropout=dropout if num_gru_layers > 1 else 0.0
        )
        self.heads = nn.ModuleDict({name: self._head(name) for name in layout.sizes})
        self.dropout = ConditionDropout(
            [
                ConditionSpec("speech", "track", feature_dim),
                ConditionSpec("actor", "static", len(mean)),
                *([ConditionSpec("emotion", "track", num_emotions)] if num_emotions else []),
            ]
        )

    @property
    def conditions(self) -> tuple[ConditionSpec, ...]:
        """What the network takes beside noised animation: features of its speech from `encode`, who speaks, and how."""
        return self.dropout.specs

    def _head(self, name: str) -> nn.Sequential:
        wide = kind_of(name) in ("mesh", "curves")
        hidden = 2 * self.gru_feature_dim if wide else self.gru_feature_dim // 2
        last = nn.Linear(hidden, self.layout.sizes[name])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(nn.Linear(self.gru_feature_dim, hidden), nn.ReLU(), last)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        conditions: Conditions,
        state: Tensor | None = None,
        rng: Rng = WHOLE,
    ) -> tuple[Tensor, Tensor]:
        """One denoising step.

        Args:
            x_t: (B, T, C) noised animation, normalised.
            t: (B,) training step numbers, int64.
            conditions: those of `conditions`; speech (B, T, feature_dim), actor (B, A) one-hot, emotion (B, E) or (B, T, E).
            state: (layers, B, H) of the recurrent layers before the first frame; None is zeros.
            rng: where dropout is drawn from in training.

        Returns:
            x_0 (B, T, C), and the state after the last frame.
        """
        count, conditions = x_t.shape[1], self.dropout(conditions, rng)
        actor = conditions["actor"]
        channels = self.layout.split(x_t)
        geometry = self.geometry(torch.cat([embed(channels[name]) for name, embed in self.embeddings.items()], dim=2))
        step = F.mish(F.linear(F.one_hot(t, self.step.in_features).to(x_t), self.step.weight, self.step.bias))
        parts = [conditions["speech"], geometry, _over(self.actor(actor), count), _over(step, count)]
        if self.emotion is not None:
            emotion = self.emotion(conditions["emotion"])
            parts.append(emotion if emotion.ndim == 3 else _over(emotion, count))
        hidden, state = self._recur(torch.cat(parts, dim=2), state, rng)
        offset = torch.cat([head(hidden) for head in self.heads.values()], dim=2)
        return offset + (actor @ self.mean).unsqueeze(1), state

    @staticmethod
    def weight_axes(spec: NetworkSpec) -> dict[str, tuple[int, ChannelLayout]]:
        """{weight: (axis, what lies along it)} of the weights at the edges of the network that a spec describes."""
        axes: dict[str, tuple[int, ChannelLayout]] = {}
        for channel, size in spec.max_sizes.items():
            layout = ChannelLayout({channel: size})
            axes[f"embeddings.{channel}.{'linear' if kind_of(channel) == 'mesh' else '0'}.weight"] = (1, layout)
            axes |= {f"heads.{channel}.2.{kind}": (0, layout) for kind in ("weight", "bias")}
        emotions, actors = columns_of(spec)
        return {**axes, "actor.weight": (1, ChannelLayout(actors)), "emotion.weight": (1, ChannelLayout(emotions))}

    def _recur(self, x: Tensor, state: Tensor | None, rng: Rng = WHOLE) -> tuple[Tensor, Tensor]:
        """The recurrent layers, on accelerators in full precision: autocast has only float16 for them, which overflows."""
        if x.device.type != "cpu" and torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self._recur(x.float(), state if state is None else state.float(), rng)
        if not (self.training and self.gru.dropout):
            return self.gru(x, state)
        return self._one_by_one(x, state, rng)

    def _one_by_one(self, x: Tensor, state: Tensor | None, rng: Rng) -> tuple[Tensor, Tensor]:
        """The layers as in training: dropout between them is drawn from `rng`."""
        if state is None:
            state = x.new_zeros(self.num_gru_layers, x.shape[0], self.gru_feature_dim)
        last = []
        for layer, (before, weights) in enumerate(zip(state.split(1), self.gru.all_weights, strict=True)):
            if layer:
                x = drop_out(x, self.gru.dropout, rng=rng)
            x, after = torch.gru(x, before, tuple(weights), True, 1, 0.0, True, False, True)
            last.append(after)
        return x, torch.cat(last)


def _over(x: Tensor, count: int) -> Tensor:
    """(B, D) -> (B, count, D)."""
    return x.unsqueeze(1).expand(-1, count, -1)


def step_positions(num_frames: int, fps: float, pieces: int, centre: float, num_steps: int) -> tuple[Tensor, Tensor]:
    """Where frames lie among an encoder's steps: index of the step before (num_frames * pieces,) and weight of the next.

    A frame is cut in `pieces` equal parts, each read at its middle. Step k is centred on sample centre + 320 k.
    """
    time = (torch.arange(num_frames * pieces, dtype=torch.float64) + 0.5) / (fps * pieces)
    position = ((time * SAMPLE_RATE - centre) / STEP).clamp(0, num_steps - 1)
    index = position.floor().long().clamp(max=max(num_steps - 1, 0))
    return index, (position - index).float()


NETWORKS = {"diffusion_rnn": DiffusionRNN, "diffusion_rnn_pca": DiffusionRNN}  # by NETWORK_NAME
ON_VERTICES = {
    "diffusion_rnn"
}  # the others work on coefficients: the layout that they are built with makes the difference
