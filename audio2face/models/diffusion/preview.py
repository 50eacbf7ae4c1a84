"""What a preview shows of a diffusion network under training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from audio2face.models.common.preview import Coeffs
from audio2face.models.diffusion.data import SegmentData
from audio2face.models.diffusion.method import DiffusionMethod
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

    @torch.no_grad()
    def predict() -> np.ndarray:
        features = method.encode(batch)
        generator = torch.Generator().manual_seed(0)
        drawn = generated_noise((1, len(truth), method.codec.layout.size), generator, data.device)
        noised = method.codec.noised(batch.actor).unsqueeze(1)

        def denoise(x_t: torch.Tensor, i: int, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
            t = batch.actor_ids * 0 + int(schedule.timesteps[i])
            return method.network(x_t, t, features, batch.actor, batch.emotion, state)

        x_0, _ = SAMPLERS[sampler](denoise, lambda step: drawn(step) * noised, schedule)
        return (method.codec.skin_coeffs(x_0, batch.actor)[0] * scale).cpu().numpy()

    return truth.cpu().numpy(), predict
