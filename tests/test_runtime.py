"""Devices, precision and the state of the generators, with a GPU that PyTorch only claims to have."""

import logging

import pytest
import torch

from audio2face import runtime
from audio2face.problems import UserError


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs that nothing can be computed on: what touches them fails."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("A2F_DEVICE", raising=False)


@pytest.fixture
def settings():
    """The process's settings, put back afterwards."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.allow_tf32, torch.get_float32_matmul_precision()
    deterministic, state = torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()
    yield
    cudnn.benchmark, cudnn.allow_tf32 = before[:2]
    torch.set_float32_matmul_precision(before[2])
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.set_rng_state(state)


@pytest.fixture
def restored_logging():
    """The root logger without handlers of commands that ran in this process before, put back afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    root.handlers = [handler for handler in before if not hasattr(handler, "audio2face")]
    yield
    for handler in set(root.handlers) - set(before):
        handler.close()
    root.handlers = before
    root.setLevel(level)


@pytest.mark.parametrize(
    ("name", "device"), [("auto", "cuda"), ("", "cuda"), ("cpu", "cpu"), (" CUDA:1 ", "cuda:1"), (None, "cuda")]
)
def test_a_device_is_chosen_by_name(name, device, gpus):
    assert runtime.choose_device(name) == torch.device(device)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:x", "gpu", "cpu:one", "mps"])
def test_a_device_that_is_not_there_is_told(name, gpus, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="A2F_DEVICE"):
        runtime.choose_device(name)


def test_the_cpu_leaves_the_gpu_alone(gpus, monkeypatch, settings):
    monkeypatch.setenv("A2F_DEVICE", "cpu")
    assert runtime.start(seed=3).device == torch.device("cpu")
    state = runtime.random_state()
    drawn = torch.rand(3)
    runtime.set_random_state({**state, "cuda": torch.zeros(16, dtype=torch.uint8)})  # of a run that began on a GPU
    assert set(state) == {"cpu"} and torch.equal(torch.rand(3), drawn)


@pytest.mark.parametrize("reproducible", [True, False])
def test_reproducible_float32_is_float32(reproducible, settings):
    runtime.start(reproducible=reproducible, device="cpu")
    assert torch.backends.cudnn.allow_tf32 is not reproducible  # convolutions
    assert torch.get_float32_matmul_precision() == ("highest" if reproducible else "high")


def test_the_log_of_a_run_begins_with_the_first_line(tmp_path, restored_logging):
    runtime.setup_logging()
    logging.getLogger("a2f.test").warning("before %s", "the folder")
    runtime.setup_logging(verbose=True)  # as the config asks for
    logging.getLogger("a2f.test").debug("still before")
    runtime.setup_logging(tmp_path / "first" / "log.log")
    logging.getLogger("a2f.test").info("in the folder")
    runtime.setup_logging(tmp_path / "second.log")
    first = (tmp_path / "first" / "log.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in first] == ["W before the folder", "D still before", "I in the folder"]
    assert (tmp_path / "second.log").read_text() == ""
