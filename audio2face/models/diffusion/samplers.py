"""Noising and samplers, as plain functions that are given the noise.

Samplers walk the kept steps S - 1 … 0 of an x_0-predicting network: `denoise(x_t, i, state) -> (x_0, state)`, with i the
index into the schedule. `noise(-1)` is x_T and `noise(i)` is what is added when leaving step i; each (B, T, C), drawn or
read when asked for, so that no sampler holds more than one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from audio2face.models.diffusion.schedule import Schedule

Denoise = Callable[[Tensor, int, Any], tuple[Tensor, Any]]
Noise = Callable[[int], Tensor]
Sampler = Callable[..., tuple[Tensor, list[Any]]]


def tensor_noise(noise: Tensor) -> Noise:
    """(B, S + 1, T, C) as the deployed graph takes it, read step by step."""
    return lambda step: noise[:, step]


def generated_noise(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Noise:
    """Fresh normal noise of `shape` (B, T, C) for every step, from the generator (on the CPU: the same on any device)."""
    return lambda step: torch.randn(*shape, generator=generator).to(device)


def add_noise(x_0: Tensor, alpha_cumprod: Tensor | float, noise: Tensor) -> Tensor:
    """x_t = sqrt(ᾱ) x_0 + sqrt(1 - ᾱ) noise; ᾱ is a number or broadcasts against x_0."""
    if not isinstance(alpha_cumprod, Tensor):
        return alpha_cumprod**0.5 * x_0 + (1 - alpha_cumprod) ** 0.5 * noise
    return alpha_cumprod.sqrt() * x_0 + (1 - alpha_cumprod).sqrt() * noise


def _first(schedule: Schedule, noise: Noise, skip: int) -> tuple[Tensor, int]:
    """x at the first step to take and its index; with `skip` steps left out, x_0 = 0 noised to that level."""
    if not 0 <= skip < schedule.num_steps:
        raise ValueError(f"cannot skip {skip} of {schedule.num_steps} steps")
    start = schedule.num_steps - 1 - skip
    x = noise(-1)
    if skip:
        x = add_noise(torch.zeros_like(x), float(schedule.alphas_cumprod[start]), x)
    return x, start


def sample_ddpm(
    denoise: Denoise, noise: Noise, schedule: Schedule, states: Sequence[Any] | None = None, skip: int = 0
) -> tuple[Tensor, list[Any]]:
    """Ancestral sampling with the fixed small variance (Ho et al. 2020): x_0 (B, T, C) and the state of every step.

    `states[i]` goes into the network at step i; None starts afresh. Skipped steps keep the state they were given.
    """
    new_states = list(states) if states is not None else [None] * schedule.num_steps
    x, start = _first(schedule, noise, skip)
    for i in range(start, -1, -1):
        x_0, new_states[i] = denoise(x, i, new_states[i])
        if i == 0:
            return x_0, new_states
        cumulative, previous, beta = schedule.alphas_cumprod[i], schedule.alphas_cumprod[i - 1], schedule.betas[i]
        mean_0 = float(beta * previous**0.5 / (1 - cumulative))
        mean_t = float((1 - previous) * (1 - beta) ** 0.5 / (1 - cumulative))
        x = mean_0 * x_0 + mean_t * x + float(schedule.posterior_variance[i]) ** 0.5 * noise(i)
    raise AssertionError("a schedule has at least one step")


def sample_ddim(
    denoise: Denoise, noise: Noise, schedule: Schedule, states: Sequence[Any] | None = None, skip: int = 0
) -> tuple[Tensor, list[Any]]:
    """Deterministic sampling, η = 0 (Song et al. 2021, arXiv 2010.02502); uses `noise(-1)` alone. As `sample_ddpm`."""
    new_states = list(states) if states is not None else [None] * schedule.num_steps
    x, start = _first(schedule, noise, skip)
    for i in range(start, -1, -1):
        x_0, new_states[i] = denoise(x, i, new_states[i])
        if i == 0:
            return x_0, new_states
        cumulative, previous = float(schedule.alphas_cumprod[i]), float(schedule.alphas_cumprod[i - 1])
        epsilon = (x - cumulative**0.5 * x_0) / (1 - cumulative) ** 0.5
        x = add_noise(x_0, previous, epsilon)
    raise AssertionError("a schedule has at least one step")


def sample_dpm(
    denoise: Denoise, noise: Noise, schedule: Schedule, states: Sequence[Any] | None = None, skip: int = 0
) -> tuple[Tensor, list[Any]]:
    """Deterministic second-order sampling, DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095); uses `noise(-1)` alone.

    In few steps it keeps as much motion as the denoiser has, of which `sample_ddpm` and `sample_ddim` lose a part: they take
    x_0 for certain in each step. The steps should be even in log SNR. As `sample_ddpm`.
    """
    new_states = list(states) if states is not None else [None] * schedule.num_steps
    x, start = _first(schedule, noise, skip)
    before: tuple[Tensor, float] | None = None  # x_0 of the step before, and how far log SNR / 2 went in it
    for i in range(start, -1, -1):
        x_0, new_states[i] = denoise(x, i, new_states[i])
        if i == 0:
            return x_0, new_states
        cumulative, previous = float(schedule.alphas_cumprod[i]), float(schedule.alphas_cumprod[i - 1])
        change = 0.5 * (math.log(previous / (1 - previous)) - math.log(cumulative / (1 - cumulative)))
        ahead = x_0 if before is None else x_0 + (x_0 - before[0]) * (change / (2 * before[1]))
        x = ((1 - previous) / (1 - cumulative)) ** 0.5 * x - previous**0.5 * math.expm1(-change) * ahead
        before = x_0, change
    raise AssertionError("a schedule has at least one step")


SAMPLERS: dict[str, Sampler] = {"ddpm": sample_ddpm, "ddim": sample_ddim, "dpm": sample_dpm}
