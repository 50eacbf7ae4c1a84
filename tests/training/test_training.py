"""The training loop on problems whose answer is known."""

import copy
import logging
import math
import os
import signal

import pytest
import torch
from torch import nn

from audio2face.runs.checkpoints import (
    checkpoint_files,
    load_best,
    load_checkpoint,
    save_best,
    save_checkpoint,
    save_durably,
)
from audio2face.training.launch import Outcome
from audio2face.training.loop import fit
from audio2face.training.metrics import Losses
from audio2face.training.nan_guard import TrainingDiverged
from audio2face.training.progress import Forecast, Stop, in_words, listed
from audio2face.training.settings import FitSettings
from runners import cli


class Batches:
    """(x, y) pairs in a fixed order, which know where they come from."""

    def __init__(self, pairs):
        self.pairs = pairs

    def batches(self, epoch):
        return iter(self.pairs)

    def steps_per_epoch(self):
        return len(self.pairs)

    def describe(self, batch):
        return f"clip {float(batch[0].flatten()[0]):g}"


class Line:
    """y = w · x by least squares; batches are (x, y) pairs in a fixed order."""

    def __init__(self, batches, lr_by_epoch=lambda epoch: 1.0):
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.data, self.rate = Batches(batches), lr_by_epoch
        self.progress = []

    def loss(self, batch, progress):
        self.progress.append(progress)
        x, y = batch
        error = ((self.model(x) - y) ** 2).mean()
        return Losses(error, {"MSE": error})

    def param_groups(self):
        return [{"params": list(self.model.parameters())}]

    def state_dict(self):
        return {"calls": len(self.progress)}

    def load_state_dict(self, state):
        self.progress = [None] * state["calls"]


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
    with pytest.raises(TrainingDiverged, match="clip 1"):
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
    assert steps == 3 and stop.requested and stop.signal == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal here")
@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_stops_training_unless_nohup_is_used(ignored):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        stop = Stop()
        with stop.on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.requested is not ignored
        cli.Stop().listen()
        assert (signal.getsignal(signal.SIGHUP) == signal.SIG_IGN) is ignored
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_exit_status_tells_which_signal_ended_a_training(monkeypatch, capsys, number):
    handlers = {n: signal.getsignal(n) for n in cli.Stop.signals()}
    monkeypatch.setitem(cli.COMMANDS, "train", ("audio2face", lambda *_: Outcome("a_run", number)))
    try:
        assert cli.main("train", ["tiny"]) == 128 + number
    finally:
        for n, handler in handlers.items():
            signal.signal(n, handler)
    assert "Training Run Name Full: a_run" in capsys.readouterr().out


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


def noisy(batches):
    """A method whose loss draws from the global generator, as dropout does."""
    method = Line(batches)
    plain = method.loss

    def loss(b, progress):
        found = plain((b[0] + torch.randn(()) * 0.1, b[1]), progress)
        return found

    method.loss = loss
    return method


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resuming_from_any_checkpoint_ends_with_the_same_weights(accumulate):
    data = [batch(1, 2), batch(2, 1), batch(3, 5)]
    settings = FitSettings(4, 0.05, accumulate, ema_decay=0.9, checkpoint_epochs=1, checkpoint_minutes=1e-9)
    torch.manual_seed(0)
    states = []
    whole = noisy(data)
    fit(whole, settings, quiet, save=lambda state: states.append(copy.deepcopy(state)))
    assert len(states) >= 4 and any(state["batch"] for state in states)
    for state in states:
        torch.manual_seed(99)
        again = noisy(data)
        steps = fit(again, settings, quiet, resume=copy.deepcopy(state))
        assert torch.equal(again.model.weight, whole.model.weight)
        assert steps == 4 * math.ceil(3 / accumulate)


def test_an_interrupt_leaves_a_checkpoint():
    method, stop, states = Line([batch(1, 2)] * 3), Stop(), []
    plain = method.loss

    def loss(b, progress):
        stop.requested = len(method.progress) == 1
        return plain(b, progress)

    method.loss = loss
    fit(method, FitSettings(epochs=5, learning_rate=0.1), quiet, stop, save=states.append)
    assert [(s["epoch"], s["batch"], s["step"]) for s in states] == [(0, 2, 2)]


def test_checkpoints_keep_the_newest_and_survive_a_damaged_one(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, {"step": step, "x": torch.ones(2) * step}, keep=2)
    assert [p.name for p in checkpoint_files(tmp_path)] == ["step_00000002.pt", "step_00000003.pt"]
    assert load_checkpoint(tmp_path)["step"] == 3
    checkpoint_files(tmp_path)[-1].write_bytes(b"cut off")
    assert load_checkpoint(tmp_path)["step"] == 2
    assert load_checkpoint(tmp_path / "none") is None


def test_a_checkpoint_that_is_something_else_is_one_line_and_the_one_before_is_taken(tmp_path, caplog):
    states, method = [], Line([batch(1, 2), batch(2, 3)])
    fit(method, FitSettings(epochs=1, learning_rate=0.1, checkpoint_epochs=1), quiet, save=states.append)
    good = states[-1]
    save_checkpoint(tmp_path, {**good, "step": 1}, keep=99)
    others = [
        [1], 7, {}, {"step": "2"}, {"step": -1}, {"step": True}, {"step": 2}, {**good, "model": 3}, {**good, "model": {}},
        {**good, "model": {name: torch.ones(7, 7) for name in good["model"]}}, {**good, "epoch": None},
        {**good, "model": {**good["model"], "more": torch.ones(1)}}, {key: good[key] for key in good if key != "random"},
    ]  # fmt: skip
    for number, other in enumerate(others):
        save_durably(tmp_path / f"checkpoints/step_{number + 2:08d}.pt", other)
    (tmp_path / "checkpoints/step_00000099.pt").write_bytes(b"cut off")
    assert load_checkpoint(tmp_path, method.model)["step"] == 1
    told = [record.getMessage() for record in caplog.records if record.name == "audio2face.runs.checkpoints"]
    assert len(told) == len(others) + 1 and all("\n" not in line and len(line) < 400 for line in told)
    for damage in (b"", b"cut off", None):
        best = save_best(tmp_path, method.model, {"epoch": 1, "value": 0.5})
        assert load_best(tmp_path, method.model)["value"] == 0.5
        best.write_bytes(damage) if damage is not None else save_durably(
            best, {"epoch": 1, "value": 1.0, "model": {"x": 1}}
        )
        assert load_best(tmp_path, method.model) is None


@pytest.mark.parametrize("log_period", [1, 50])
def test_the_clip_whose_loss_is_not_finite_is_named_whatever_is_logged(log_period):
    method = Line([batch(1, 2), batch(2, math.nan), batch(3, 6)])
    with pytest.raises(TrainingDiverged, match=r"epoch 1, batch 2, of clip 2; .*look at the data"):
        fit(method, FitSettings(epochs=20, learning_rate=0.01, log_period=log_period), quiet)
    assert method.model.weight.item() == 0  # no epoch was whole


def test_a_training_out_of_hand_is_told_apart_and_never_saved():
    method, states = Line([batch(1, 2), batch(1e18, 1)]), []
    plain, limit = method.loss, 3

    def loss(b, progress):
        return plain((b[0] if len(method.progress) > limit else b[0].clamp(max=2), b[1]), progress)

    method.loss = loss
    settings = FitSettings(epochs=9, learning_rate=1e30, checkpoint_minutes=1e-9, log_period=100)
    with pytest.raises(TrainingDiverged, match="lower LEARNING_RATE"):
        fit(method, settings, quiet, save=lambda state: states.append(copy.deepcopy(state)))
    assert all(torch.isfinite(state["model"]["weight"]).all() for state in states)
    assert torch.isfinite(method.model.weight).all()


def test_the_last_checkpoint_is_the_end():
    method, states = Line([batch(1, 2)] * 2), []
    fit(method, FitSettings(epochs=3, learning_rate=0.1), quiet, save=lambda s: states.append(copy.deepcopy(s)))
    assert [(s["epoch"], s["batch"], s["step"]) for s in states] == [(3, 0, 6)]
    again = Line([batch(9, 9)] * 2)
    assert fit(again, FitSettings(epochs=3, learning_rate=0.1), quiet, resume=states[0]) == 6
    assert torch.equal(again.model.weight, method.model.weight) and not again.progress[6:]


@pytest.mark.parametrize(
    ("ends", "after", "first", "advice"),
    [
        # seconds at which batches end; the first is slow. 26,000 of 4 s are 29 hours
        ([6.0, 10.0, 14.0, 18.0], 4, "4 of 26000 batches took 18 seconds: at this pace all take about 29 hours", True),
        ([30.0], 1, "1 of 26000 batches took 30 seconds: at this pace all take about 217 hours", True),
        ([1.0] + [1.0 + 0.1 * n for n in range(1, 101)], 91, "91 of 26000 batches took 10 seconds: ", False),
    ],
)
def test_a_forecast_comes_by_the_clock_and_advice_where_it_is_hours(caplog, monkeypatch, ends, after, first, advice):
    caplog.set_level(logging.INFO)
    now = iter([0.0, *ends])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    forecast = Forecast(26000, ["a GPU"])
    given = [forecast.batch_done() for _ in ends]
    assert given.index(True) + 1 == after and given.count(True) == 1
    assert caplog.messages[0].startswith(first)
    assert caplog.messages[1:] == (["what would shorten it: a GPU"] if advice else [])


def test_the_first_progress_does_not_wait_for_the_log_period(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    now = iter(range(0, 100_000, 4))
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    pairs, logged = [batch(1, 2)] * 40, []
    settings = FitSettings(epochs=1, learning_rate=0.05, log_period=20, accumulate=2)
    fit(Line(pairs), settings, lambda step, values: logged.append(step))
    lines = [line for line in caplog.messages if line.startswith("epoch ")]
    steps = [int(line.split("step ")[1].split("/")[0]) for line in lines]
    assert steps[0] <= 5 and steps[1:] == [20] == logged  # what is logged to TensorBoard does not depend on the clock
    assert "MSE 3.9" in lines[0] and "weighted total" in lines[0]


def test_words():
    told = {8: "8 seconds", 100: "2 minutes", 3000: "50 minutes", 6000: "1.7 hours", 110_000: "31 hours"}
    assert {seconds: in_words(seconds) for seconds in told} == told
    assert listed({"MSE": 0.5, "total": 12.0}) == "MSE 0.5, weighted total 12"
