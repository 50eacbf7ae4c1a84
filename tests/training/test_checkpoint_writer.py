"""Checkpoints beside the training: copies, one at a time, errors told; frozen weights once; as rarely as their size asks."""

import threading

import pytest
import torch
from torch import nn

from audio2face.runs import checkpoints
from audio2face.runs.checkpoints import (
    checkpoint_files,
    frozen_weights,
    load_checkpoint,
    save_checkpoint,
    save_durably,
    space_needed,
)
from audio2face.training.checkpoint_writer import CheckpointWriter
from audio2face.training.loop import Checkpoints
from audio2face.training.settings import FitSettings

REST = {"epoch": 1, "batch": 0, "optimizer": {}, "ema": None, "method": {}, "random": {}}


def half_frozen():
    model = nn.Sequential(nn.Linear(30, 30), nn.BatchNorm1d(30))
    model[0].requires_grad_(False)
    return model


def saved(run, model, step, keep=2):
    frozen = frozen_weights(model)
    trained = {name: x for name, x in model.state_dict().items() if name not in frozen}
    return save_checkpoint(run, {**REST, "step": step, "model": trained}, keep, frozen)


def test_what_is_written_is_what_was_there():
    written, go = [], threading.Event()

    def write(state):
        go.wait(10)
        written.append(state)

    weights = torch.ones(4)
    with CheckpointWriter(write) as writer:
        assert writer({"step": 1, "model": {"w": weights}, "more": [{"x": torch.zeros(2, dtype=torch.float64)}]}) == 32
        weights += 1
        go.set()
    assert written[0]["model"]["w"].tolist() == [1.0] * 4 and written[0]["step"] == 1
    assert written[0]["more"][0]["x"].tolist() == [0.0, 0.0]


def test_one_at_a_time_in_order():
    inside, written = [], []

    def write(state):
        inside.append(state["step"])
        assert len(inside) == 1
        inside.clear()
        written.append(state["step"])

    with CheckpointWriter(write) as writer:
        for step in range(20):
            writer({"step": step})
    assert written == list(range(20))


def failing(state):
    raise OSError(28, "No space left on device")


def test_an_error_of_the_disk_is_told_by_the_next_call_or_the_end():
    with pytest.raises(OSError, match="No space"), CheckpointWriter(failing) as writer:
        writer({})
        with pytest.raises(OSError, match="No space"):
            writer({})
        writer({})
    with pytest.raises(ZeroDivisionError), CheckpointWriter(failing) as writer:
        writer({})
        raise ZeroDivisionError


def test_frozen_weights_are_stored_once(tmp_path):
    model = half_frozen()
    for step in (1, 2, 3):
        with torch.no_grad():
            model[1].weight += 1
        saved(tmp_path, model, step)
    assert len(list((tmp_path / "checkpoints").glob("frozen_*.pt"))) == 1
    assert not set(frozen_weights(model)) & set(torch.load(checkpoint_files(tmp_path)[-1])["model"])
    for again in (model, half_frozen()):  # whose frozen weights are the same, and others
        found = load_checkpoint(tmp_path, again)["model"]
        assert found.keys() == model.state_dict().keys()
        assert all(torch.equal(x, found[name]) for name, x in model.state_dict().items())


def test_frozen_weights_that_are_gone_are_told(tmp_path, caplog):
    model = half_frozen()
    saved(tmp_path, model, 1)
    (frozen,) = (tmp_path / "checkpoints").glob("frozen_*.pt")
    save_durably(frozen, {name: x + 1 for name, x in frozen_weights(model).items()})
    assert load_checkpoint(tmp_path, half_frozen()) is None and "they have been changed" in caplog.text
    frozen.unlink()
    assert load_checkpoint(tmp_path, half_frozen()) is None and "frozen weights are not there" in caplog.text
    assert load_checkpoint(tmp_path, model)["step"] == 1  # a model that has them needs no file


def test_a_checkpoint_of_before_holds_all_weights(tmp_path):
    model = half_frozen()
    save_checkpoint(tmp_path, {**REST, "step": 1, "model": model.state_dict()}, 2)
    assert load_checkpoint(tmp_path, half_frozen())["model"].keys() == model.state_dict().keys()


@pytest.mark.parametrize(("keep", "most"), [(1, 2), (2, 2), (4, 4)])
def test_old_ones_go_first_and_the_newest_stays(tmp_path, monkeypatch, keep, most):
    model, plain, seen = half_frozen(), checkpoints.save_durably, []

    def save(path, state):
        there = checkpoint_files(tmp_path)
        if path.name.startswith("step_"):
            seen.append(len(there) + 1)
            assert not there or torch.load(there[-1])["step"] == state["step"] - 1
        plain(path, state)

    monkeypatch.setattr(checkpoints, "save_durably", save)
    for step in range(1, 8):
        saved(tmp_path, model, step, keep)
    assert max(seen) == most and len(checkpoint_files(tmp_path)) == keep


def test_the_space_that_is_asked_for_is_what_is_taken(tmp_path):
    model = half_frozen()
    trained = 4 * 60
    needed = space_needed(model, False, 2)
    weights = sum(x.numel() * x.element_size() for x in model.state_dict().values())
    frozen = 4 * 30 * 31
    assert needed == 2 * (weights - frozen + 2 * trained) + frozen + 3 * weights
    assert space_needed(model, False, 1) == needed


def test_large_checkpoints_are_further_apart(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    class State:
        step = 0

        def check(self, step):
            pass

        def state_dict(self):
            return {}

    settings = FitSettings(epochs=100, learning_rate=1.0, checkpoint_epochs=10, checkpoint_minutes=10)
    for limit, waits in ((None, 600), (5.0, 1440)):  # 2 GB
        given = FitSettings(**{**vars(settings), "checkpoint_gb_per_hour": limit})
        due = Checkpoints(lambda state: int(2e9), given, written_s=now[0])
        assert due.due_after(10)
        due.write(State(), State())
        now[0] += waits - 1
        assert not due.due_by_time()
        assert due.due_after(20) is (limit is None) and due.due_after(100)
        now[0] += 2
        assert due.due_by_time() and due.due_after(20) and not due.due_after(21)


def test_nobody_waits_for_a_checkpoint_without_a_place_for_it():
    due = Checkpoints(None, FitSettings(epochs=3, learning_rate=1.0, checkpoint_epochs=1, checkpoint_minutes=1e-9))
    assert not due.due_by_time() and not due.due_after(1) and due.due_after(3)
