"""What a preview shows of a diffusion network under training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from audio2face.models.common.preview import Coeffs
from audio2face.models.diffusion.data import SegmentData
from audio2face.models.diffusion.method import DiffusionMethod
from audio2face.models.diffusion.model import StreamingGraph
from audio2face.models.diffusion.samplers import SAMPLERS, generated_noise
from audio2face.models.diffusion.schedule import Schedule


def diffusion_coeffs(
    method: DiffusionMethod, data: SegmentData, schedule: Schedule, sampler: str
) -> tuple[np.ndarray, Coeffs]:
    """True and sampled skin coefficients (T, K) of the data's first clip, with the same noise every time."""
    data.params = replace(data.params, min_frames=None, max_frames=None, pitch=None, timeshift=0.0)
    batch = data.batch([0], [np.random.default_rng(0)])
    scale = float(method.skin_scale[batch.actor_ids[0]])
    truth = method.codec.coeffs.split(batch.target)["skin_coeffs"][0] * scale
    graph = StreamingGraph(method.network, method.codec, schedule, method.streaming, SAMPLERS[sampler])

    @torch.no_grad()
    def predict() -> np.ndarray:
        conditions = batch.conditions.replaced(speech=method.encode(batch))
        generator = torch.Generator().manual_seed(0)
        drawn = generated_noise((1, len(truth), method.codec.layout.size), generator, data.device)
        noised = method.codec.noised(batch.actor).unsqueeze(1)
        x_0, _ = graph.sample(conditions, None, lambda step: drawn(step) * noised)
        return (method.codec.skin_coeffs(x_0, batch.actor)[0] * scale).cpu().numpy()

    return truth.cpu().numpy(), predict
