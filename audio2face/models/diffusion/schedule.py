"""Noise schedules of denoising diffusion, on the steps that sampling keeps.

Follows Ho et al. 2020 (arXiv 2006.11239) and Nichol & Dhariwal 2021 (arXiv 2102.09672), in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from audio2face.respacing import kept_steps

MAX_BETA = 0.999
LOWEST_LOG_SNR = -8.0  # below, nothing is seen of the motion
HIGHEST_LOG_SNR = 1.0  # above, networks take what is left of the noise for motion of what rests


@dataclass(frozen=True)
class Schedule:
    """The S kept steps of a diffusion process, each array (S,) float64 but `timesteps` int64.

    `timesteps` are the numbers that the network was trained with. `posterior_variance` is that of q(x_{i-1} | x_i, x_0);
    its first entry is zero.
    """

    timesteps: np.ndarray
    alphas_cumprod: np.ndarray
    betas: np.ndarray
    posterior_variance: np.ndarray

    @property
    def num_steps(self) -> int:
        """Steps that are kept."""
        return len(self.timesteps)


def linear_betas(num_steps: int) -> np.ndarray:
    """1e-4 to 0.02 over 1000 steps, scaled for other numbers: (num_steps,)."""
    scale = 1000 / num_steps
    return np.minimum(np.linspace(scale * 1e-4, scale * 0.02, num_steps), MAX_BETA)


def cosine_betas(num_steps: int) -> np.ndarray:
    """Betas whose cumulative product follows cos²((t + 0.008) / 1.008 · π/2): (num_steps,)."""
    t = np.arange(num_steps + 1) / num_steps
    cumulative = np.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - cumulative[1:] / cumulative[:-1], MAX_BETA)


NOISE_SCHEDULES: dict[str, Callable[[int], np.ndarray]] = {"linear": linear_betas, "cosine": cosine_betas}


def build_schedule(name: str, num_steps: int, respacing: str = "") -> Schedule:
    """The schedule `name` ("linear" or "cosine") of `num_steps` training steps, with betas rebuilt for the kept ones.

    Raises ValueError on an unknown name or respacing.
    """
    return _of_steps(_signal(name, num_steps), kept_steps(num_steps, respacing))


def build_even_schedule(name: str, num_steps: int, count: int) -> Schedule:
    """`count` of `num_steps` training steps, the last and others even in log SNR: what solvers of higher order take (Lu et al.
    2022, arXiv 2206.00927). Fewer where steps fall together. Raises ValueError as `build_schedule`.
    """
    signal = _signal(name, num_steps)
    log_snr = np.log(signal / (1 - signal))
    even = np.linspace(HIGHEST_LOG_SNR, LOWEST_LOG_SNR, count - 1)
    nearest = {int(np.abs(log_snr - value).argmin()) for value in even}
    return _of_steps(signal, sorted(nearest | {num_steps - 1}))


def _signal(name: str, num_steps: int) -> np.ndarray:
    """ᾱ of every training step (num_steps,)."""
    if name not in NOISE_SCHEDULES:
        raise ValueError(f"unknown noise schedule {name!r}; known: {', '.join(NOISE_SCHEDULES)}")
    return np.cumprod(1 - NOISE_SCHEDULES[name](num_steps))


def _of_steps(signal: np.ndarray, steps: Sequence[int]) -> Schedule:
    timesteps = np.array(steps)
    alphas_cumprod = signal[timesteps]
    previous = np.concatenate([[1.0], alphas_cumprod[:-1]])
    betas = 1 - alphas_cumprod / previous
    variance = betas * (1 - previous) / (1 - alphas_cumprod)
    return Schedule(timesteps, alphas_cumprod, betas, variance)
