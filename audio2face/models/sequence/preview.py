"""What a preview shows of a sequence network under training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from audio2face.models.common.preview import Coeffs, Curves
from audio2face.models.diffusion.data import SegmentBatch, SegmentData
from audio2face.models.diffusion.samplers import generated_noise, sample_ddpm
from audio2face.models.diffusion.schedule import Schedule
from audio2face.models.sequence.method import SequenceMethod


def sequence_coeffs(method: SequenceMethod, data: SegmentData, schedule: Schedule) -> tuple[np.ndarray, Coeffs]:
    """True and sampled skin coefficients (T, K) of the data's first clip, with the same noise every time."""
    batch, sample = _first_clip(method, data, schedule)
    scale = float(method.skin_scale[batch.actor_ids[0]])
    truth = method.codec.coeffs.split(batch.target)["skin_coeffs"][0] * scale

    def predict() -> np.ndarray:
        return (method.codec.skin_coeffs(sample(), batch.actor)[0] * scale).cpu().numpy()

    return truth.cpu().numpy(), predict


def sequence_curves(
    method: SequenceMethod, data: SegmentData, schedule: Schedule
) -> tuple[dict[str, np.ndarray], Curves]:
    """The same of groups of curves: values {group: (T, K)} in data units."""
    batch, sample = _first_clip(method, data, schedule)

    def values(frames: Tensor) -> dict[str, np.ndarray]:
        return method.codec.curves.split(method.codec.curve_values(frames, batch.actor)[0].cpu().numpy())

    return values(batch.target), lambda: values(sample())


def _first_clip(
    method: SequenceMethod, data: SegmentData, schedule: Schedule
) -> tuple[SegmentBatch, Callable[[], Tensor]]:
    """The data's first clip as a batch, and what samples its frames (1, T, c)."""
    data.params = replace(data.params, min_frames=None, max_frames=None, pitch=None, timeshift=0.0)
    batch = data.batch([0], [np.random.default_rng(0)])

    @torch.no_grad()
    def sample() -> Tensor:
        conditions = batch.conditions.replaced(speech=method.encode(batch))
        shape = (1, batch.target.shape[1], method.codec.layout.size)
        drawn = generated_noise(shape, torch.Generator().manual_seed(0), data.device)

        def denoise(x_t: Tensor, i: int, state: None) -> tuple[Tensor, None]:
            return method.network(x_t, torch.full((1,), int(schedule.timesteps[i]), device=data.device), conditions)

        x_0, _ = sample_ddpm(
            denoise, lambda step: drawn(step) * method.codec.noised(batch.actor).unsqueeze(1), schedule
        )
        return x_0 * method.network.unit

    return batch, sample
