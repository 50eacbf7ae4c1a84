"""What a sequence network expects before it has learnt anything: Gaussian processes with the data's autocovariance."""

import numpy as np
import pytest
import torch

from audio2face.face.layout import ChannelLayout
from audio2face.models.diffusion.samplers import SAMPLERS, generated_noise
from audio2face.models.diffusion.schedule import build_even_schedule, build_schedule
from audio2face.models.sequence.motion_prior import KEY_SD, MotionPrior, autocovariance

FPS = 10.0
LAYOUT = ChannelLayout({"skin_coeffs": 3, "jaw": 1})
DECAY = np.array([0.5, 0.9, 0.9, 0.98])  # of AR(1) processes of variance 1: autocovariance DECAY ** lag


def processes(frames, seed):
    """(T, 4) of AR(1) processes of variance 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(4)
    rows = []
    for _ in range(frames):
        x = DECAY * x + np.sqrt(1 - DECAY**2) * rng.standard_normal(4)
        rows.append(x)
    return np.array(rows, np.float32)


@pytest.fixture(scope="module")
def prior():
    made = MotionPrior(LAYOUT, FPS)
    made.learn((processes(2000, seed), np.ones((2000, 4), bool)) for seed in range(4))
    return made


def test_the_autocovariance_is_that_of_the_data_and_a_covariance_at_any_length(prior):
    found = autocovariance([(processes(20_000, 0), np.ones((20_000, 4), bool))], 80)
    np.testing.assert_allclose(found[:, :11], DECAY[:, None] ** np.arange(11), atol=0.12)
    assert not found[:, -1].any() and np.abs(found[:, -2]).max() < 1e-4
    assert (
        np.linalg.eigvalsh(prior._covariance(slice(0, 4), 400).double().numpy()).min() > -1e-4
    )  # longer than its reach


def test_what_is_unknown_does_not_count():
    values, known = processes(20_000, 1), np.random.default_rng(2).random((20_000, 4)) < 0.5
    holes = np.where(known, values, 1e6).astype(np.float32)
    whole = autocovariance([(values, np.ones_like(known))], 20)
    np.testing.assert_allclose(autocovariance([(holes, known)], 20), whole, atol=0.06)


def test_short_tracks_and_still_values_have_one_too():
    found = autocovariance([(np.zeros((5, 2), np.float32), np.ones((5, 2), bool))], 30)
    assert found.shape == (2, 60) and not found.any()


def test_values_that_move_alike_share_a_kernel(prior):
    alike = [np.flatnonzero(row).tolist() for row in prior.member.numpy()[:3] if row.any()]
    assert sorted(alike) == [[0], [1], [2]] and prior.member[3].tolist() == [0, 0, 0, 1]
    many = MotionPrior(ChannelLayout({"body": 40}), FPS)
    tracks = [(np.repeat(processes(500, seed), 10, axis=1), np.ones((500, 40), bool)) for seed in range(3)]
    many.learn(tracks)
    assert many.member.shape == (4, 40) and many.member.sum(dim=0).eq(1).all()


def test_it_is_the_mean_of_a_gaussian_process_given_noise_and_keys(prior):
    """A second implementation, in double precision and one value at a time."""
    frames, share = 60, 0.3
    x_t, known = (torch.from_numpy(processes(frames, seed))[None] for seed in (7, 8))
    given, valid = torch.zeros(1, frames, 2), torch.ones(1, frames)
    given[0, [3, 30], 0], given[0, 40:50, 1], valid[0, 55:] = 1, 1, 0
    expected, _ = prior(x_t, torch.tensor([share]), known, given, valid)
    for value, channel in enumerate((0, 0, 0, 1)):
        row = prior.covariance[prior.member[:, value].argmax()].double().numpy()
        K = row[np.abs(np.subtract.outer(np.arange(frames), np.arange(frames)))]
        there = given[0, :, channel].numpy() > 0
        seen = np.where(there, known[0, :, value], x_t[0, :, value] / share**0.5)[:55]
        noise = np.where(there, KEY_SD**2, (1 - share) / share)[:55]
        truth = K[:, :55] @ np.linalg.solve(K[:55, :55] + np.diag(noise), seen)
        np.testing.assert_allclose(expected[0, :, value], truth, atol=2e-3)
    assert (expected - known)[0, [3, 30], :3].abs().max() < 0.05  # keys are met


def test_long_animations_full_of_keys_have_an_expectation_too(prior):
    known = torch.from_numpy(processes(1500, 3))[None]
    given = (torch.rand(1, 1500, 2, generator=torch.Generator().manual_seed(0)) < 0.8).float()
    expected, _ = prior(torch.zeros_like(known), torch.tensor([1e-8]), known, given, None)
    off = (expected - known)[..., :3][given[..., 0] > 0]
    assert off.square().mean().sqrt() < 0.05


def test_the_deviation_is_how_far_off_it_is(prior):
    shares = torch.tensor([0.02, 0.3, 0.9]).repeat_interleave(8)
    x_0 = torch.from_numpy(np.stack([processes(400, seed) for seed in range(20, 44)]))
    noise = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
    share = shares[:, None, None]
    expected, deviation = prior(share.sqrt() * x_0 + (1 - share).sqrt() * noise, shares, None, None, None)
    off = (expected - x_0).square().mean(dim=1).unflatten(0, (3, 8)).mean(dim=1).sqrt()
    np.testing.assert_allclose(off, deviation[::8, 0], rtol=0.15, atol=0.02)


@pytest.mark.parametrize("name, schedule, end, least", [("dpm", "even", 341, 0.9), ("ddpm", "10", 0, 0.3)])
def test_ten_steps_of_second_order_keep_the_motion(prior, name, schedule, end, least):
    """The prior is an exact denoiser of its own processes, so what is lost is the sampler's, beside what is open at the last step."""
    steps = build_even_schedule("cosine", 1000, 10) if schedule == "even" else build_schedule("cosine", 1000, schedule)
    assert steps.num_steps == 10 and steps.timesteps[[0, -1]].tolist() == [end, 999]
    noise = generated_noise((16, 150, 4), torch.Generator().manual_seed(1), torch.device("cpu"))

    def denoise(x, i, state):
        return prior(x, torch.full((16,), float(steps.alphas_cumprod[i])), None, None, None)[0], None

    x_0 = SAMPLERS[name](denoise, noise, steps)[0]
    open_ = prior.deviation(torch.tensor([float(steps.alphas_cumprod[0])])).square().mean().item()
    kept = x_0.square().mean().item() / (prior.covariance[:, 0].mean().item() - open_)
    assert least < kept < (1.2 if name == "dpm" else 0.8)
