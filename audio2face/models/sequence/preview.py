"""What a preview shows of a sequence network under training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from audio2face.models.common.preview import Coeffs
from audio2face.models.diffusion.data import SegmentData
from audio2face.models.diffusion.samplers import generated_noise, sample_ddpm
from audio2face.models.diffusion.schedule import Schedule
from audio2face.models.sequence.method import SequenceMethod


def sequence_coeffs(method: SequenceMethod, data: SegmentData, schedule: Schedule) -> tuple[np.ndarray, Coeffs]:
    """True and sampled skin coefficients (T, K) of the data's first clip, with the same noise every time."""
    data.params = replace(data.params, min_frames=None, max_frames=None, pitch=None, timeshift=0.0)
    batch = data.batch([0], [np.random.default_rng(0)])
    scale = float(method.skin_scale[batch.actor_ids[0]])
    truth = method.codec.coeffs.split(batch.target)["skin_coeffs"][0] * scale

    @torch.no_grad()
    def predict() -> np.ndarray:
        conditions = batch.conditions.replaced(speech=method.encode(batch))
        drawn = generated_noise(
            (1, len(truth), method.codec.layout.size), torch.Generator().manual_seed(0), data.device
        )

        def denoise(x_t: torch.Tensor, i: int, state: None) -> tuple[torch.Tensor, None]:
            return method.network(x_t, torch.full((1,), int(schedule.timesteps[i]), device=data.device), conditions)

        x_0, _ = sample_ddpm(
            denoise, lambda step: drawn(step) * method.codec.noised(batch.actor).unsqueeze(1), schedule
        )
        return (method.codec.skin_coeffs(x_0 * method.network.unit, batch.actor)[0] * scale).cpu().numpy()

    return truth.cpu().numpy(), predict
