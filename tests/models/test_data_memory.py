"""Training data beyond DATA_MEMORY_GB lies on the disk, and nothing else changes."""

from types import SimpleNamespace

import pytest
import torch
from fakes.actor import ACTOR
from fakes.project import SEQUENCE, diffusion_project, regression_project, use_project, write_configs

from audio2face.commands import preproc
from audio2face.config import load_config, section_from_values
from audio2face.dataset.long_arrays import LongArray, in_memory
from audio2face.formats.sound import write_sound
from audio2face.models import family
from audio2face.models.common.data_memory import build_keep, data_bytes
from audio2face.models.common.inputs import build_inputs
from audio2face.models.regression.stretches import OnDisk
from audio2face.problems import UserError
from audio2face.runtime import Runtime
from audio2face.training.loop import Fit
from audio2face.types import Clip, Partner, Shot, Track

CPU = torch.device("cpu")
LITTLE, MUCH = 1e-6, 4.0  # gigabytes
MUTED = [("ann", ("two_joy", 7), 30, "neutral"), ("ann", ("two_joy", 7), 30, "joy")]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def learned(root, limit, keys):
    """The weights after some steps with this DATA_MEMORY_GB, what is measured, and the training."""
    write_configs(root, train={**keys, "DATA_MEMORY_GB": limit})
    sections = load_config("tiny", ("train", "dataset"), optional=("inference",))
    train = sections["train"]
    torch.manual_seed(0)
    inputs = build_inputs("tiny", train, sections["dataset"], sections["inference"])
    training = family(train.NETWORK_TYPE, train.NETWORK_NAME).build(inputs, Runtime(CPU))
    fit = Fit(training.method, training.settings)
    for epoch in range(2):
        for _, batch in zip(range(3), training.method.data.batches(epoch), strict=False):
            fit.backward(batch)
            fit.optimizer_step()
    assert training.validate is not None
    return training.network.state_dict(), training.validate.measure(), training.method.data


def assert_same(root, keys):
    (little, low, on_disk), (much, high, held) = (learned(root, limit, keys) for limit in (LITTLE, MUCH))
    assert little.keys() == much.keys() and all(torch.equal(little[name], much[name]) for name in much)
    assert low == high
    return on_disk, held


def config_of(root):
    namespace = {}
    exec((root / "configs/tiny/config_train.py").read_text(), namespace)
    return {key: value for key, value in namespace.items() if key.isupper()}


@pytest.mark.slow
def test_regression_learns_the_same(root, monkeypatch, caplog):
    caplog.set_level("INFO")
    use_project(root / "one", monkeypatch)
    regression_project(root / "one", AUGMENT={"timeshift": 1.0}, TIMESHIFT_GRID=2, BATCH_SIZE=8, FEATURE_CACHE_GB=0.0)
    preproc.run("tiny", ACTOR)
    on_disk, held = assert_same(root / "one", config_of(root / "one"))
    assert isinstance(on_disk.sound._arrays, OnDisk) and not isinstance(held.sound._arrays, OnDisk)
    assert caplog.text.count("more than DATA_MEMORY_GB allows (1.0 kB); read from a file in") == 1


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{}, SEQUENCE], ids=["diffusion", "sequence"])
def test_diffusion_learns_the_same(root, monkeypatch, keys):
    use_project(root / "two", monkeypatch)
    changes = {"AUG_MUTED_SHOTS": MUTED, "AUGMENT": {"timeshift": 1.0}, "VALIDATION_CLIPS": ["one_neutral"]}
    first = not (root / "two").exists()
    diffusion_project(root / "two", ("ann", "bob"), **changes)
    for name in ("ann", "bob") if first else ():
        preproc.run("tiny", name)
    on_disk, held = assert_same(root / "two", {**config_of(root / "two"), **keys})
    assert {type(x) for x in on_disk._targets} == {LongArray} and LongArray not in {type(x) for x in held._targets}


def test_what_the_data_takes(tmp_path):
    for name in "ab":
        write_sound(tmp_path / f"{name}.wav", torch.zeros(8000, 1).numpy(), 16000)
    shot = Shot("ann", "x", 60, 30.0, "joy")
    clip = Clip(shot, 0, 29, tmp_path / "a.wav", partner=Partner(Track(tmp_path / "b.wav")))
    muted = Clip(shot, 0, 59, None, held=("x", 1))
    assert data_bytes([clip, clip, muted], 16000, 10, 60.0) == 4 * (2 * 8000 + 2 * (30 + 30 + 60) * 10)


@pytest.mark.parametrize(("limit", "free", "held"), [(None, 400, False), (None, 1 << 40, True), (None, None, True),
                                                    (LITTLE, 1 << 40, False), (MUCH, 400, True)])  # fmt: skip
def test_half_of_what_is_free_unless_the_limit_is_given(tmp_path, monkeypatch, limit, free, held):
    monkeypatch.setattr("audio2face.runtime.free_memory", lambda: free)
    keys = {"DATA_MEMORY_GB": limit, "FEATURE_CACHE_ROOT": str(tmp_path)}
    muted = Clip(Shot("ann", "x", 60, 30.0, "joy"), 0, 59, None, held=("x", 1))  # of 1,200 bytes
    inputs = SimpleNamespace(train=section_from_values("train", keys), clips=[muted], validation=[])
    assert (build_keep(inputs, 5, Runtime(CPU)) is in_memory) == held
    if not held:
        monkeypatch.setattr("audio2face.runs.disk.free_bytes", lambda folder: 10)
        with pytest.raises(UserError, match="beyond DATA_MEMORY_GB needs about 1.2 kB .* 10 bytes are free"):
            build_keep(inputs, 5, Runtime(CPU))
