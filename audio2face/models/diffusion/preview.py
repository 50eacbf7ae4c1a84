"""What a preview shows of a network that samples whole clips, under training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from audio2face.models.common.preview import Coeffs, Curves
from audio2face.models.diffusion.data import SegmentBatch, SegmentData
from audio2face.models.diffusion.method import DiffusionMethod
from audio2face.models.diffusion.model import StreamingGraph
from audio2face.models.diffusion.samplers import SAMPLERS, generated_noise
from audio2face.models.diffusion.schedule import Schedule

Sample = Callable[[], Tensor]


def first_clip(data: SegmentData) -> SegmentBatch:
    """The data's first clip as a batch, whole and as it was recorded."""
    data.params = replace(data.params, min_frames=None, max_frames=None, pitch=None, timeshift=0.0)
    return data.batch([0], [np.random.default_rng(0)])


def shown_coeffs(method: DiffusionMethod, batch: SegmentBatch, sample: Sample) -> tuple[np.ndarray, Coeffs]:
    """True and sampled skin coefficients (T, K) of a batch of one clip."""
    scale = float(method.skin_scale[batch.actor_ids[0]])
    truth = method.codec.coeffs.split(batch.target)["skin_coeffs"][0] * scale

    def predict() -> np.ndarray:
        return (method.codec.skin_coeffs(sample(), batch.actor)[0] * scale).cpu().numpy()

    return truth.cpu().numpy(), predict


def shown_curves(method: DiffusionMethod, batch: SegmentBatch, sample: Sample) -> tuple[dict[str, np.ndarray], Curves]:
    """The same of groups of curves: values {group: (T, K)} in data units."""

    def values(frames: Tensor) -> dict[str, np.ndarray]:
        return method.codec.curves.split(method.codec.curve_values(frames, batch.actor)[0].cpu().numpy())

    return values(batch.target), lambda: values(sample())


def diffusion_sample(method: DiffusionMethod, batch: SegmentBatch, schedule: Schedule, sampler: str) -> Sample:
    """What samples the network's frames (1, T, c) of a batch of one clip, with the same noise every time."""
    graph = StreamingGraph(method.network, method.codec, schedule, method.streaming, SAMPLERS[sampler])

    @torch.no_grad()
    def sample() -> Tensor:
        conditions = batch.conditions.replaced(speech=method.encode(batch))
        generator = torch.Generator().manual_seed(0)
        drawn = generated_noise((1, batch.target.shape[1], method.codec.layout.size), generator, batch.target.device)
        noised = method.codec.noised(batch.actor).unsqueeze(1)
        return graph.sample(conditions, None, lambda step: drawn(step) * noised)[0]

    return sample
