"""Diffusion training on a made-up actor, on coefficients or vertices, with a frozen or trained base-sized encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.windows import Streaming
from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.long_arrays import Keep, in_memory
from audio2face.face.codec import Channel, FaceCodec, kind_of, part_of
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.vertex_distances import pair_distances
from audio2face.models.diffusion.audio_context import window_features
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.data import CONTEXT, SegmentBatch, SegmentData, SegmentParams
from audio2face.models.diffusion.method import (
    DiffusionLosses,
    DiffusionMethod,
    coefficient_smoothness,
    vertex_smoothness,
)
from audio2face.models.diffusion.network import DiffusionRNN
from audio2face.models.diffusion.schedule import build_schedule
from audio2face.training.precision import FLOAT32, Precision
from audio2face.types import Pca
from tools.bench.made_up import EMOTIONS, SAMPLE_RATE, MadeUp

FPS, STEPS = 60.0, 1000
STREAMING = Streaming(15, 30, 15, 16000, 16000)
WEIGHTS = {"LIP_DIST": 1e-5, "EXP_SMOOTH": 25.0}
SKIN_SCALE = 10.0


def make_network(layout: ChannelLayout, mean: Tensor, encoder: str = "hubert", frozen: bool = True) -> DiffusionRNN:
    """The network with random weights; HuBERT is of base size and wholly frozen, or only its first two layers."""
    torch.manual_seed(0)
    return DiffusionRNN(
        layout,
        mean,
        FPS,
        EMOTIONS,
        STEPS,
        audio_encoder=encoder,
        freeze_audio_encoder=frozen,
        encoder_arguments={"pretrained": False} if encoder != "melspec" else {},
    )


def make_codec(actor: MadeUp, on_vertices: bool) -> TorchCodec:
    """Coefficients, or the vertices that they stand for."""
    bases = {"skin": Pca(actor.skin.reshape(len(actor.skin), -1, 3), actor.mean)}
    bases["tongue"] = Pca(
        actor.tongue.reshape(len(actor.tongue), -1, 3), np.zeros((actor.tongue.shape[1] // 3, 3), np.float32)
    )
    face = FaceCodec(
        tuple(
            Channel(
                name, kind_of(name), size, SKIN_SCALE if name == "skin_coeffs" else 1.0, 0.0, bases.get(part_of(name))
            )
            for name, size in actor.layout.sizes.items()
        )
    )
    mean = np.zeros(actor.pose_layout.size, np.float32)
    mean[actor.pose_layout.slices["skin_pose"]] = actor.mean.ravel() / SKIN_SCALE
    return TorchCodec([face], [face.on_vertices(mean)], on_vertices, decodes=on_vertices)


def make_data(
    actor: MadeUp, folder: Path, batch_size: int, frames: tuple[int, int], keep: Keep = in_memory
) -> SegmentData:
    """Random segments of `frames` (least, most) of every clip."""
    params = SegmentParams(FPS, SAMPLE_RATE, *frames)
    explicit = np.eye(EMOTIONS, dtype=np.float32)
    clips = actor.clips(folder)
    conditions = [ClipConditions(explicit[i % EMOTIONS], 0, i % EMOTIONS, 0) for i in range(len(clips))]
    return SegmentData(
        clips,
        conditions,
        actor.targets,
        actor.layout,
        AudioTracks("w2v", SAMPLE_RATE, keep),
        MutedNoise(),
        params,
        num_actors=1,
        batch_size=batch_size,
        seed=0,
        device=torch.device("cpu"),
        keep=keep,
    )


def make_method(
    actor: MadeUp,
    data: SegmentData,
    on_vertices: bool,
    encoder: str = "hubert",
    precision: Precision = FLOAT32,
    frozen: bool = True,
) -> DiffusionMethod:
    """The method as a config with defaults builds it."""
    codec = make_codec(actor, on_vertices)
    components = actor.skin.reshape(len(actor.skin), -1, 3)
    upper, lower = actor.lips()
    masks, cpu = [np.linspace(0, 1, components.shape[1], dtype=np.float32)], torch.device("cpu")
    smooth = (
        vertex_smoothness(masks, cpu)
        if on_vertices
        else coefficient_smoothness([components], masks, len(components), cpu)
    )
    return DiffusionMethod(
        make_network(codec.layout, codec.network_mean, encoder, frozen),
        data,
        codec,
        build_schedule("cosine", STEPS),
        DiffusionLosses(dict(WEIGHTS)),
        lambda epoch: 1.0,
        lip_dist=pair_distances([components], [actor.mean], [upper], [lower], len(components), torch.device("cpu")),
        smooth=smooth,
        streaming=STREAMING,
        precision=precision,
    )


def keep_features(method: DiffusionMethod, takes: int) -> None:
    """Cache the frozen encoder's features."""

    def hear(sound: Tensor, num_frames: int, take: int) -> Tensor:
        with torch.no_grad():
            phase = take * STREAMING.centre // takes
            return window_features(method.network, sound, CONTEXT, num_frames, STREAMING, phase)

    method.data.cache_features(hear, (0.0,) * takes, 4e9)


class PlainDiffusion:
    """The vertex-space network trained the plain way, one clip at a time.

    The frozen encoder runs on every whole segment in each step; noise is drawn on every vertex; the predicted mesh is
    projected on the basis and rebuilt from it to read a few lip distances; the motion of the upper face is read from
    all vertices.
    """

    def __init__(self, method: DiffusionMethod, actor: MadeUp):
        self.method, self.network = method, method.network
        self.mean = torch.from_numpy(actor.mean).flatten()
        self.upper, self.lower = (torch.from_numpy(v) for v in actor.lips())
        self.basis = torch.from_numpy(actor.skin)
        self.mask = torch.linspace(0, 1, self.basis.shape[1])

    def encode(self, batch: SegmentBatch) -> Tensor:
        """The audio features (1, T, dim)."""
        assert batch.audio is not None
        end = CONTEXT + round(batch.lengths[0] * SAMPLE_RATE / FPS)
        return self.network.encode(batch.audio[:, CONTEXT:end], batch.lengths[0])

    def loss(self, batch: SegmentBatch, features: Tensor) -> Tensor:
        """The same terms as `DiffusionMethod.loss`, for one segment."""
        method = self.method
        x_0 = method.codec.frames(batch.target, batch.actor)
        noise = torch.randn_like(x_0)
        t = torch.randint(STEPS, (1,))
        kept = method.alphas[t][:, None, None]
        x_t = kept.sqrt() * x_0 + (1 - kept).sqrt() * noise
        prediction, _ = self.network(x_t, t, batch.conditions.replaced(speech=features))
        mean_square = ((method.weight * x_0 - method.weight * prediction) ** 2).mean()
        skin = method.codec.part("skin")
        ours, true = (self.rebuilt(frames[..., skin]) for frames in (prediction, x_0))
        lips = [(v[..., self.upper * 3 + 1] - v[..., self.lower * 3 + 1]) * SKIN_SCALE for v in (ours, true)]
        near = torch.exp(-10 * lips[1].clamp(min=0))
        moved = (self.mask * prediction[..., skin].diff(dim=1) ** 2).mean()
        return (
            mean_square
            + WEIGHTS["LIP_DIST"] * ((lips[0] - lips[1]) * near).square().mean()
            + WEIGHTS["EXP_SMOOTH"] * moved
        )

    def rebuilt(self, skin: Tensor) -> Tensor:
        """Skin (1, T, 3V) in the span of the basis."""
        mean = self.mean / SKIN_SCALE
        return ((skin - mean) @ self.basis.T) @ self.basis + mean
