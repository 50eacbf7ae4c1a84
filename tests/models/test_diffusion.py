"""Schedules and samplers against closed forms."""

import math

import numpy as np
import pytest
import torch

from audio2face.models.diffusion.samplers import (
    SAMPLERS,
    add_noise,
    generated_noise,
    sample_ddim,
    sample_ddpm,
    tensor_noise,
)
from audio2face.models.diffusion.schedule import build_schedule, cosine_betas, linear_betas
from audio2face.respacing import kept_steps, num_kept


def test_cosine_schedule_follows_its_formula():
    schedule = build_schedule("cosine", 1000)
    f = lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2  # noqa: E731
    for i in (0, 17, 500, 900):
        assert schedule.alphas_cumprod[i] == pytest.approx(f((i + 1) / 1000) / f(0), rel=1e-9)
    assert cosine_betas(1000)[-1] == 0.999


def test_linear_schedule_scales_with_the_number_of_steps():
    assert linear_betas(1000)[[0, -1]] == pytest.approx([1e-4, 0.02])
    assert linear_betas(100)[[0, -1]] == pytest.approx([1e-3, 0.2])


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("2", [0, 999]),
        ("1", [999]),
        ("3", [0, 500, 999]),
        ("ddim5", [0, 200, 400, 600, 800]),
        ("2,3", [0, 499, 500, 750, 999]),
    ],
)
def test_kept_steps(text, steps):
    assert kept_steps(1000, text) == steps and num_kept(text) == len(steps)


def test_all_steps_are_kept_without_respacing():
    assert kept_steps(7, "") == list(range(7)) and num_kept("") is None
    assert kept_steps(7, "7") == list(range(7))


@pytest.mark.parametrize("steps", [7, 20, 50])
def test_ddim_respacing_takes_the_smallest_stride_that_keeps_so_many(steps):
    for count in range(1, steps + 1):
        fitting = [kept for stride in range(1, steps + 1) if len(kept := range(0, steps, stride)) == count]
        if fitting:
            assert kept_steps(steps, f"ddim{count}") == list(fitting[0])
        else:
            with pytest.raises(ValueError, match=f"no fixed stride keeps exactly {count} of {steps} steps"):
                kept_steps(steps, f"ddim{count}")


@pytest.mark.parametrize("text", ["0", "1001", "ddim999", "x", "3,", "-2"])
def test_impossible_respacing_is_refused(text):
    with pytest.raises(ValueError):
        kept_steps(1000, text)


def test_respaced_betas_rebuild_the_kept_products():
    schedule = build_schedule("cosine", 1000, "10")
    assert np.cumprod(1 - schedule.betas) == pytest.approx(schedule.alphas_cumprod)
    assert schedule.posterior_variance[0] == 0.0 and (schedule.posterior_variance[1:] > 0).all()


def test_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="cosine"):
        build_schedule("sigmoid", 10)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("respacing", ["", "1", "2", "5"])
def test_a_perfect_denoiser_gives_x_0_whatever_the_noise(name, respacing):
    schedule = build_schedule("cosine", 50, respacing)
    truth = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(1))
    noise = generated_noise((2, 4, 3), torch.Generator().manual_seed(0), torch.device("cpu"))
    x_0, _ = SAMPLERS[name](lambda x, i, state: (truth, state), noise, schedule)
    assert torch.equal(x_0, truth)


def test_ancestral_sampling_of_a_gaussian_has_its_mean_and_variance():
    # x_0 ~ N(m, s²) has a closed-form denoiser: E[x_0 | x_t]; small-variance sampling must give N(m, s²) back
    schedule, m, s = build_schedule("cosine", 400), 1.5, 0.7

    def denoise(x, i, state):
        a = float(schedule.alphas_cumprod[i])
        gain = a**0.5 * s**2 / (a * s**2 + 1 - a)
        return m + gain * (x - a**0.5 * m), state

    noise = generated_noise((20000, 1, 1), torch.Generator().manual_seed(0), torch.device("cpu"))
    x_0, _ = sample_ddpm(denoise, noise, schedule)
    assert x_0.mean().item() == pytest.approx(m, abs=0.02)
    assert x_0.std().item() == pytest.approx(s, abs=0.04)


def test_states_are_carried_per_step():
    schedule = build_schedule("cosine", 10, "3")
    noise = tensor_noise(torch.zeros(1, 4, 2, 1))
    seen = []

    def denoise(x, i, state):
        seen.append((i, state))
        return x, (state or 0) + 1

    _, states = sample_ddpm(denoise, noise, schedule)
    _, states = sample_ddpm(denoise, noise, schedule, states)
    assert seen == [(2, None), (1, None), (0, None), (2, 1), (1, 1), (0, 1)]
    assert states == [2, 2, 2]


def test_skipping_starts_from_a_noised_zero_and_leaves_states_alone():
    schedule = build_schedule("cosine", 10, "4")
    noise = torch.randn(1, 5, 2, 3, generator=torch.Generator().manual_seed(3))
    first = []

    def denoise(x, i, state):
        first.append((i, x))
        return x, i

    _, states = sample_ddim(denoise, tensor_noise(noise), schedule, skip=2)
    assert [i for i, _ in first] == [1, 0]
    assert torch.allclose(first[0][1], (1 - schedule.alphas_cumprod[1]) ** 0.5 * noise[:, -1])
    assert states == [0, 1, None, None]
    with pytest.raises(ValueError):
        sample_ddim(denoise, tensor_noise(noise), schedule, skip=4)


def test_noise_tensor_has_x_t_last():
    noise = torch.arange(2 * 3 * 1 * 1, dtype=torch.float32).reshape(2, 3, 1, 1)
    assert torch.equal(tensor_noise(noise)(-1), noise[:, 2]) and torch.equal(tensor_noise(noise)(1), noise[:, 1])
    assert torch.equal(add_noise(noise, torch.tensor(1.0), noise), noise)
