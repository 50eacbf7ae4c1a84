"""Loss terms against values worked out by hand."""

import math

import pytest
import torch

from audio2face.models.common import losses
from audio2face.training import metrics


def test_mse_counts_only_real_data():
    prediction = torch.tensor([[1.0, 5.0], [3.0, 7.0]])
    target = torch.zeros(2, 2)
    mask = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert losses.mse(prediction, target, mask).value.item() == pytest.approx((1 + 9) / 2)
    assert losses.mse(prediction, target, torch.zeros(2, 2)).value.item() == 0.0


def test_motion_looks_within_items_only():
    # two items of two frames; between the items there is a jump that must not count
    prediction = torch.tensor([[0.0], [1.0], [100.0], [103.0]])
    target = torch.zeros(4, 1)
    assert losses.motion(prediction, target, torch.ones(4, 1), 2).value.item() == pytest.approx((1 + 9) / 2)
    one_missing = torch.tensor([[1.0], [1.0], [0.0], [1.0]])
    assert losses.motion(prediction, target, one_missing, 2).value.item() == pytest.approx(1.0)


def test_emotion_regulariser_does_not_change_with_scale():
    x = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    assert losses.emotion_regulariser(x, 2).value.item() == pytest.approx(
        losses.emotion_regulariser(x * 7, 2).value.item(), rel=1e-5
    )
    assert losses.emotion_regulariser(torch.ones(4, 3), 2).value.item() == 0.0


def test_distance_weighs_closed_lips_most():
    target = torch.tensor([[0.0, 2.0, -1.0]])
    prediction = target + 0.5
    weight = torch.ones(1, 1)
    expected = 0.25 * (1 + math.exp(-2 * 2.0) ** 2 + 1) / 3  # errors scaled by exp(-2 max(d, 0)), then squared
    got = losses.weighted_distance(prediction, target, weight, 2.0).value.item()
    assert got == pytest.approx(expected, rel=1e-5)


def test_volume_stabiliser_acts_in_silence():
    prediction = torch.tensor([[0.0], [2.0], [0.0], [2.0]])
    level = torch.tensor([0.0, 0.0, 10.0, 10.0])
    assert losses.volume_stabiliser(prediction, level, torch.ones(4, 1), 2, 5000.0).value.item() == pytest.approx(4 / 2)


def test_volume_stabiliser_is_a_mean_over_the_values_that_count():
    prediction = torch.tensor([[0.0, 0.0, 9.0], [2.0, 4.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0]] * 2)  # the last value is an eye's
    found = losses.volume_stabiliser(prediction, torch.full((2,), 1e-4), mask, 2, 5000.0).value.item()
    assert found == pytest.approx(math.exp(-0.5) * (4 + 16) / 2)


def test_phoneme_terms_without_a_clip_of_the_language_are_zero():
    empty = torch.zeros(0, 5, 7, requires_grad=True)
    total = sum(f(empty, empty.detach()).value for f in (losses.phoneme_cross_entropy, losses.phoneme_motion))
    total.backward()
    assert total.item() == 0.0


def test_phoneme_cross_entropy_equals_entropy_at_the_optimum():
    target = torch.tensor([[[0.25, 0.75]]])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert losses.phoneme_cross_entropy(target.log(), target).value.item() == pytest.approx(entropy, rel=1e-5)
    assert losses.phoneme_motion(target.log().repeat(1, 3, 1), target.repeat(1, 3, 1)).value.item() == pytest.approx(
        0.0, abs=1e-9
    )


def test_silence_weight_zero_leaves_silence_out():
    target = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    logits = torch.tensor([[[0.0, 5.0], [0.0, 5.0]]])  # wrong on silence, right on the other step
    assert losses.phoneme_cross_entropy(logits, target, silence=0, silence_weight=0.0).value.item() < 0.01


def test_running_rms_makes_a_constant_one_and_fades_with_the_power():
    normaliser = metrics.RunningRms()
    for _ in range(5):
        scaled = normaliser({"MSE": torch.tensor(3.0)}, power=1.0)
    assert scaled["MSE"].item() == pytest.approx(1.0)
    x = torch.tensor(3.0, requires_grad=True)
    normaliser({"MSE": x}, power=0.0)["MSE"].backward()
    assert x.grad is not None and x.grad.item() == 0.0


def test_total_leaves_out_terms_without_weight():
    terms = {"A": torch.tensor(2.0), "B": torch.tensor(5.0), "C": torch.tensor(float("nan"))}
    assert metrics.weighted_total(terms, {"A": 3.0, "B": 0.5, "C": None, "D": 1.0}).item() == pytest.approx(8.5)
