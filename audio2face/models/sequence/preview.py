"""What a preview shows of a sequence network under training."""

from __future__ import annotations

import torch
from torch import Tensor

from audio2face.models.diffusion.data import SegmentBatch
from audio2face.models.diffusion.preview import Sample
from audio2face.models.diffusion.samplers import generated_noise, sample_ddpm
from audio2face.models.diffusion.schedule import Schedule
from audio2face.models.sequence.method import SequenceMethod


def sequence_sample(method: SequenceMethod, batch: SegmentBatch, schedule: Schedule) -> Sample:
    """What samples the frames (1, T, c) of a batch of one clip, with the same noise every time."""
    device = batch.target.device

    @torch.no_grad()
    def sample() -> Tensor:
        conditions = method.heard(batch)
        shape = (1, batch.target.shape[1], method.codec.layout.size)
        drawn = generated_noise(shape, torch.Generator().manual_seed(0), device)

        def denoise(x_t: Tensor, i: int, state: None) -> tuple[Tensor, None]:
            return method.network(x_t, torch.full((1,), int(schedule.timesteps[i]), device=device), conditions)

        x_0, _ = sample_ddpm(
            denoise, lambda step: drawn(step) * method.codec.noised(batch.actor).unsqueeze(1), schedule
        )
        return x_0 * method.network.unit

    return sample
