"""The benchmarks: that they run, and that the plain ways compute what ours compute."""

import json
import logging
import sys

import numpy as np
import pytest
import torch

from tools import bench_busy, bench_data, bench_infer, bench_preproc, bench_train
from tools.bench import diffusion, regression
from tools.bench.made_up import MadeUp, Size
from tools.bench.measure import Memory, Stages

TINY = Size(40, 2, 60, 20, 6, 2)


@pytest.fixture(autouse=True)
def quiet():
    level = logging.getLogger("audio2face").level
    yield
    logging.getLogger("audio2face").setLevel(level)


def run(monkeypatch, capsys, main, *arguments):
    """The JSON object on the last line."""
    monkeypatch.setattr(sys, "argv", ["bench", *arguments, "--json"])
    assert not main()
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_plain_regression_has_the_same_loss(tmp_path):
    actor = MadeUp(TINY)
    method = regression.make_method(actor, tmp_path, "melspec", 4, shifts=1)
    plain = regression.PlainRegression(method, actor, tmp_path)
    method.model.eval()

    class Middle:
        def random(self):
            return 0.5  # no shift

    numbers = np.array([3, 20])
    batch = plain.batch(numbers, Middle())
    theirs = plain.loss(batch, plain.encode(batch), 0.1)
    ours = method.loss(method.data.batch(numbers, np.zeros(2, np.int64)), 0.1)
    assert ours.total.item() == pytest.approx(theirs.item(), rel=1e-3)


def test_plain_diffusion_has_the_same_mean_square(tmp_path):
    actor = MadeUp(TINY)
    data = diffusion.make_data(actor, tmp_path, 1, (30, 40))
    method = diffusion.make_method(actor, data, True, "phoneme_ctc")
    plain, batch = diffusion.PlainDiffusion(method, actor), next(data.batches(0))
    rebuilt = plain.rebuilt(
        method.codec.frames(batch.target, batch.actor)[..., method.codec.layout.slices["skin_pose"]]
    )
    torch.testing.assert_close(rebuilt, method.codec.frames(batch.target, batch.actor)[..., : rebuilt.shape[2]])
    assert torch.isfinite(plain.loss(batch, plain.encode(batch)))
    diffusion.keep_features(method, 1)
    assert next(data.batches(0)).features is not None


@pytest.mark.parametrize("plain", ["3", "all"])
def test_preprocessing_bench(monkeypatch, capsys, plain):
    found = run(monkeypatch, capsys, bench_preproc.main, "--small", "--plain", plain)
    assert found["plain_rounds_timed"] == found["plain_rounds_agreed"] == (3 if plain == "3" else 40)
    assert found["same_poses"] == found["chosen"] == 44
    assert found["residual"] == pytest.approx(found["plain_residual"], rel=1e-4)
    assert found["ratio"] > 0


def test_training_bench(monkeypatch, capsys):
    monkeypatch.setattr(bench_train, "SMALL", TINY)
    monkeypatch.setattr(bench_train, "ITEMS", 2)
    parts = ["melspec", "diffusion", "trained"]
    found = run(monkeypatch, capsys, bench_train.main, "--small", "--seconds", "0", "--parts", *parts)
    assert found["ratio"] == found["melspec"]["ratio"] > 0
    for part in ("diffusion", "trained"):
        assert sum(found[part]["coefficients"]["shares"].values()) == pytest.approx(1)


@pytest.mark.slow
def test_data_bench(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench_data, "SHOT_S", 2)
    monkeypatch.setattr(bench_data, "SMALL", (0.002, 0.003))
    found = run(monkeypatch, capsys, bench_data.main, "--small", "--seconds", "0", "--folder", str(tmp_path))
    assert all(found[name]["ratio"] > 0 and found[name]["first_s"] > 0 for name in ("regression", "diffusion"))
    assert not list(tmp_path.iterdir())


def test_streaming_bench(monkeypatch, capsys):
    monkeypatch.setattr(bench_infer, "SMALL", TINY)
    arguments = ["--small", "--seconds", "0.6", "--threads", "1", "--steps", "1", "--streams", "2"]
    found = run(monkeypatch, capsys, bench_infer.main, *arguments)
    assert found["ratio"] > 0 and set(found) == {"machine", "ratio", "regression", "diffusion, 1 steps"}
    assert all(
        found["diffusion, 1 steps"][way]["real_time_factor"] > 0 for way in ("onnxruntime", "pytorch", "together")
    )


def test_clocks_and_memory():
    stages = Stages()
    with stages("a"), Memory() as memory:
        block = np.ones(10_000_000)
    assert list(stages.shares().values()) == [1.0]
    if memory.own:
        assert memory.own > 0.05 and memory.resident >= memory.own * 0.9
    assert block[0] == 1


@pytest.mark.slow
def test_busy_bench(monkeypatch, capsys):
    arguments = ["--small", "--seconds", "0", "--rounds", "1", "--busy", "1", "--methods", "regression"]
    found = run(monkeypatch, capsys, bench_busy.main, *arguments)["regression"]
    for way in ("ours", "plain"):
        assert set(found[way]["ms"]) == {"0", "1"} and found[way]["slower"]["1"] > 0
