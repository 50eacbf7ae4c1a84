"""Arrays in a file give what they would give in memory."""

import gc
import os

import numpy as np
import pytest

from audio2face.dataset.long_arrays import LongArray, Scratch, in_memory, keep_flags, repeats
from audio2face.dataset.targets import known_at, sample_linear
from audio2face.problems import UserError


@pytest.mark.parametrize("dtype", [np.float32, bool, np.int64])
@pytest.mark.parametrize("shape", [(7, 3), (9,), (1, 2, 2), (0, 4)])
def test_parts_are_what_they_were(tmp_path, dtype, shape):
    scratch = Scratch(tmp_path / "made")
    scratch.keep(np.arange(5.0))  # what lies before it
    array = (np.random.default_rng(0).normal(size=shape) * 9).astype(dtype)
    kept = scratch.keep(array)
    assert isinstance(kept, LongArray) and (len(kept), kept.ndim, kept.shape) == (len(array), array.ndim, array.shape)
    parts = [np.s_[:], np.s_[2:5], np.s_[5:2], np.s_[-2:], np.s_[:100], np.s_[::3], np.array([], np.int64)]
    if len(array):
        parts += [0, len(array) - 1, np.array([len(array) - 1, 0, 0]), np.array([[0], [len(array) - 1]])]
    for part in parts:
        assert kept[part].dtype == dtype and np.array_equal(kept[part], array[part]), part
    assert np.array_equal(np.asarray(kept), array) and np.asarray(kept, np.float64).dtype == np.float64
    for beyond in (len(array), -1):
        with pytest.raises(IndexError):
            kept[beyond]


def test_the_file_has_no_name_and_goes_with_its_arrays(tmp_path):
    scratch = Scratch(tmp_path)
    kept = scratch.keep(np.ones(1000))
    assert not list(tmp_path.iterdir())
    descriptor = kept.file.fileno()
    del scratch
    assert kept[999] == 1
    del kept
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    scratch = Scratch(tmp_path)

    class Full:
        def seek(self, *_):
            return 0

        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "_file", Full())
    with pytest.raises(UserError, match="training data stopped: no space left.*DATA_MEMORY_GB"):
        scratch.keep(np.ones(3))


def test_targets_at_any_time_are_the_same_from_the_disk(tmp_path):
    rng, keep = np.random.default_rng(0), Scratch(tmp_path).keep
    values, known = rng.normal(size=(50, 4)).astype(np.float32), rng.random((50, 4)) > 0.1
    times = rng.uniform(-0.2, 2.0, 33)
    assert np.array_equal(sample_linear(keep(values), 30.0, times), sample_linear(values, 30.0, times))
    assert np.array_equal(known_at(keep(known), 30.0, times), known_at(known, 30.0, times))
    steady = keep_flags(np.repeat(known[:1], 50, axis=0), keep)
    assert repeats(steady) and steady.shape == (50, 4) and not repeats(keep_flags(known, in_memory))
    assert np.array_equal(known_at(steady, 30.0, times), np.repeat(known[:1], 33, axis=0))
