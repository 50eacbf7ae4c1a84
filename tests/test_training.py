"""The training loop on problems whose answer is known."""

import math
import os
import signal

import pytest
import torch
from torch import nn

from audio2face.losses import Losses
from audio2face.training import FitSettings, Stop, TrainingDiverged, fit


class Line:
    """y = w · x by least squares; batches are (x, y) pairs in a fixed order."""

    def __init__(self, batches, lr_by_epoch=lambda epoch: 1.0):
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.data, self.lr_by_epoch = batches, lr_by_epoch
        self.progress = []

    def batches(self, epoch):
        return iter(self.data)

    def steps_per_epoch(self):
        return len(self.data)

    def loss(self, batch, progress):
        self.progress.append(progress)
        x, y = batch
        error = ((self.model(x) - y) ** 2).mean()
        return Losses(error, {"MSE": error})

    def param_groups(self):
        return [{"params": list(self.model.parameters())}]

    def lr_multiplier(self, epoch):
        return self.lr_by_epoch(epoch)

    def describe(self, batch):
        return "the batch of the test"


def batch(x, y):
    return torch.tensor([[float(x)]]), torch.tensor([[float(y)]])


def quiet(step, values):
    pass


def test_fit_finds_the_line_and_reports_progress():
    method, seen = Line([batch(1, 2), batch(2, 4)]), []
    fit(
        method,
        FitSettings(epochs=400, learning_rate=0.05, log_period=100),
        lambda step, values: seen.append((step, values)),
    )
    assert method.model.weight.item() == pytest.approx(2.0, abs=1e-3)
    assert [step for step, _ in seen] == [100, 200, 300, 400, 500, 600, 700, 800]
    assert {"MSE", "total", "learning_rate"} <= seen[0][1].keys()
    assert method.progress[0] == 0.0 and method.progress[-1] < 1.0


def test_accumulation_equals_one_large_batch_also_at_the_end_of_an_epoch():
    pairs = [(1, 2), (2, 1), (3, 5), (4, 4), (5, 1)]
    small = Line([batch(*p) for p in pairs])
    fit(small, FitSettings(epochs=3, learning_rate=0.1, accumulate=2), quiet)
    groups = [pairs[0:2], pairs[2:4], pairs[4:5]]
    large = Line([(torch.tensor([[float(x)] for x, _ in g]), torch.tensor([[float(y)] for _, y in g])) for g in groups])
    fit(large, FitSettings(epochs=3, learning_rate=0.1), quiet)
    assert small.model.weight.item() == pytest.approx(large.model.weight.item(), abs=1e-6)


def test_learning_rate_follows_the_method():
    method, rates = Line([batch(1, 2)], lambda epoch: 0.5**epoch), []
    fit(
        method,
        FitSettings(epochs=3, learning_rate=0.2, log_period=1),
        lambda step, values: rates.append(values["learning_rate"]),
    )
    assert rates == pytest.approx([0.2, 0.1, 0.05])


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights():
    method = Line([batch(1, 2)])
    calls = method.loss

    def loss(b, progress):
        found = calls(b, progress)
        return found if len(method.progress) < 5 else Losses(found.total * math.nan, found.terms)

    method.loss = loss
    with pytest.raises(TrainingDiverged, match="the batch of the test"):
        fit(method, FitSettings(epochs=20, learning_rate=0.1, log_period=1), quiet)
    assert math.isfinite(method.model.weight.item()) and method.model.weight.item() > 0


def test_interrupt_ends_after_the_step():
    method, stop = Line([batch(1, 2)] * 4), Stop()
    with stop.on_signals():
        calls = method.loss

        def loss(b, progress):
            if len(method.progress) == 2:
                os.kill(os.getpid(), signal.SIGINT)
            return calls(b, progress)

        method.loss = loss
        steps = fit(method, FitSettings(epochs=100, learning_rate=0.1), quiet, stop)
    assert steps == 3 and stop.requested
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ema_ends_between_the_start_and_the_trained_weights():
    plain, averaged = Line([batch(1, 2)]), Line([batch(1, 2)])
    fit(plain, FitSettings(epochs=30, learning_rate=0.05), quiet)
    fit(averaged, FitSettings(epochs=30, learning_rate=0.05, ema_decay=0.9), quiet)
    assert 0.0 < averaged.model.weight.item() < plain.model.weight.item()


def test_weight_decay_shrinks():
    plain, decayed = Line([batch(1, 2)]), Line([batch(1, 2)])
    fit(plain, FitSettings(epochs=200, learning_rate=0.05), quiet)
    fit(decayed, FitSettings(epochs=200, learning_rate=0.05, weight_decay=0.5), quiet)
    assert decayed.model.weight.item() < plain.model.weight.item()
