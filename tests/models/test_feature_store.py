"""Frozen features on disk: the same bits as in memory, found by content, written as they come, within their limit."""

import copy
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.targets import shot_targets
from test_diffusion_network import make, tiny_model
from test_segment_data import LENGTHS, sounds  # noqa: F401
from test_segment_data import make as make_segments
from torch import nn

from audio2face.audio.augment import shift_grid
from audio2face.config import section_from_values
from audio2face.dataset.audio_tracks import MutedNoise
from audio2face.dataset.conditions import ClipConditions
from audio2face.distributed import ALONE
from audio2face.face.layout import ChannelLayout
from audio2face.models.common import feature_store
from audio2face.models.common.encoders import in_precision
from audio2face.models.common.feature_store import (
    FeatureStore,
    RowForm,
    build_feature_store,
    encoder_digest,
    keep_features,
)
from audio2face.models.diffusion.data import CONTEXT
from audio2face.models.regression.data import WindowData, WindowParams
from audio2face.models.regression.features import PART_ROWS
from audio2face.runtime import Runtime, quick_in_bf16
from audio2face.types import Clip, Shot

CPU = torch.device("cpu")
LAYOUT = ChannelLayout({"skin_coeffs": 2})
VALUES = 3 * 5 + 1  # of a row
ROOMY = 1e9


class Tracks:
    """Noise, another for every name."""

    def load(self, track, standardize=False):
        return np.random.default_rng(sum(track.path.name.encode())).standard_normal(80000).astype(np.float32), 1.0


class Encoder:
    """Features that depend on everything in a window; counts the windows that it has encoded."""

    def __init__(self, stop_after=None):
        self.count, self.stop_after = 0, stop_after

    def __call__(self, audio):
        if self.stop_after is not None and self.count >= self.stop_after:
            raise KeyboardInterrupt
        self.count += len(audio)
        parts = audio[:, :600].unflatten(1, (3, 5, 40))
        return {"parts": parts.square().mean(dim=3).sqrt(), "mean": audio.mean(dim=1, keepdim=True)}


def windows(names=("a", "b"), frames=100, shifts=2):
    clips = [Clip(Shot("ann", name, frames, 30.0, "joy"), 0, frames - 1, Path(name)) for name in names]
    conditions = [ClipConditions(np.ones(1, np.float32), 0, 0, 0) for _ in clips]
    values = shot_targets(np.zeros((frames, 2), np.float32), 30.0, {"skin_coeffs": True}, LAYOUT)
    params = WindowParams(30.0, 16000, 640, 320, 2, 1, shift_grid(1.0, shifts))
    return WindowData(
        clips,
        conditions,
        lambda clip: values,
        LAYOUT,
        Tracks(),
        MutedNoise(),
        params,
        num_actors=1,
        batch_size=8,
        seed=0,
        device=CPU,
    )


def features(data):
    """All features of an epoch, in the order of its batches."""
    return [batch.features for batch in data.batches(1)]


def cached(store, budget=ROOMY, encode=None, **changes):
    data = windows(**changes)
    encode = encode or Encoder()
    data.cache_features(encode, budget, store)
    return data, encode.count - 2  # without the two that tell the form


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "kept", 1e9, "an encoder")


def files(store):
    return sorted(store.root.rglob("*.rows"))


def assert_same(ours, theirs, change=lambda x: x):
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, x in one.items():
            assert x.dtype == torch.float32 and torch.equal(x, change(other[name]))


def test_rows_of_mixed_types_are_what_they_were():
    made = torch.Generator().manual_seed(0)
    x = {"a": torch.randn(7, 3, 5, generator=made), "b": torch.randn(7, 1, generator=made).bfloat16()}
    form = RowForm.of(x, torch.float16)
    assert form.features == {"a": ((3, 5), torch.float16), "b": ((1,), torch.bfloat16)} and form.row_bytes == 32
    found = form.unpack(form.pack(x))
    assert torch.equal(found["a"], x["a"].half()) and torch.equal(found["b"], x["b"])
    assert torch.equal(form.unpack(form.pack(x)[2:4])["a"], x["a"][2:4].half())
    odd = {"b": x["b"], "a": x["a"]}  # the second does not begin at a multiple of its size
    assert torch.equal(
        RowForm.of(odd, torch.float32).unpack(RowForm.of(odd, torch.float32).pack(odd)[:1])["a"], x["a"][:1]
    )


def test_a_second_training_computes_nothing_and_sees_the_same_bits(store):
    plain, count = cached(None)
    first, computed = cached(store)
    again, nothing = cached(store)
    assert computed == count == 400 and nothing == 0
    assert_same(features(first), features(plain))
    assert_same(features(again), features(plain))


def test_what_does_not_fit_in_memory_is_read_from_the_disk_as_halves(store):
    plain, _ = cached(None)
    on_disk, computed = cached(store, budget=100.0)
    assert computed == 400 and next(on_disk.batches(0)).audio is None
    assert_same(features(on_disk), features(plain), lambda x: x.half().float())
    in_memory, nothing = cached(store, budget=400 * VALUES * 2)
    assert nothing == 0
    assert_same(features(on_disk), features(in_memory))


def test_only_what_is_new_is_computed(store):
    cached(store)
    assert cached(store, names=("new", "b", "a"))[1] == 200
    assert cached(store, shifts=4)[1] == 2 * 400  # two shifts of four are none of the two
    other = FeatureStore(store.root, store.limit_bytes, "another encoder")
    assert cached(other)[1] == 400


def test_an_interrupt_costs_no_more_than_a_part(store):
    with pytest.raises(KeyboardInterrupt):
        cached(store, encode=Encoder(stop_after=250))
    assert 400 - 250 - PART_ROWS < cached(store)[1] < 400 - 250 + PART_ROWS
    assert not list(store.root.rglob("*.partial*"))


def test_two_trainings_at_once_share_their_work(store):
    found = []
    threads = [threading.Thread(target=lambda: found.append(cached(store)[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same(features(found[0]), features(found[1]))
    assert len(files(store)) == 2 * 2 * 2  # clips, shifts, parts


@pytest.mark.parametrize("damage", [os.remove, lambda path: os.truncate(path, 100)])
def test_what_is_gone_or_damaged_is_computed_again(store, damage):
    plain, _ = cached(None)
    data, _ = cached(store, budget=100.0)
    for path in files(store):
        damage(path)
    assert_same(features(data), features(plain), lambda x: x.half().float())
    damage(files(store)[0])
    assert cached(store, budget=100.0)[1] in (PART_ROWS, 100 - PART_ROWS)


def test_the_oldest_goes_first_and_too_much_is_not_kept(store):
    cached(store, names=("a",))
    for age, path in enumerate(files(store)):
        os.utime(path, (age, age))
    before = files(store)
    cached(store, names=("a",))  # used now
    size = 200 * VALUES * 4
    small = FeatureStore(store.root, 2.5 * size, store.encoder)
    cached(small, names=("b",))
    assert set(before) < set(files(store))
    for path in before:
        os.utime(path, (1, 1))
    cached(small, names=("c",))
    assert sum(path.stat().st_size for path in files(store)) <= 2.5 * size
    assert len(set(before) & set(files(store))) < len(before)
    data, _ = cached(FeatureStore(store.root, 0.4 * size, store.encoder), budget=100.0, names=("d",))
    assert next(data.batches(0)).features is None


def test_left_overs_of_killed_processes_are_removed(store):
    cached(store)
    young, old = (store.root / "ab" / f".{name}.12345678.partial.rows" for name in ("young", "old"))
    for path in (young, old):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    cached(store)
    assert young.exists() and not old.exists()


def test_few_files_are_open_at_a_time(store, monkeypatch):
    monkeypatch.setattr(feature_store, "OPEN_FILES", 2)
    plain, _ = cached(None)
    data, _ = cached(store, budget=100.0)
    assert_same(features(data), features(plain), lambda x: x.half().float())
    assert len(data.features.kept._open) <= 2


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tiny_model(tmp_path_factory.mktemp("hubert"))
    return make(encoder="hubert", hubert_model=folder, hubert_feature_dim=16, freeze_audio_encoder=True).train()


def test_takes_of_clips_are_kept_too(sounds, store):  # noqa: F811
    count = []

    def hear(sound, num_frames, take):
        count.append(num_frames)
        return sound[:, CONTEXT + take : CONTEXT + take + 20 * num_frames].unflatten(1, (num_frames, 20)).cumsum(dim=1)

    def data(store, budget=1e9):
        data = make_segments(sounds, batch_size=2)
        data.cache_features(hear, (-0.25, 0.25), budget, store)
        return [batch.features for batch in data.batches(0)]

    plain, first = data(None), data(store)
    count.clear()
    again, on_disk = data(store), data(store, 1.0)
    assert sorted(count) == sorted([1, 1, *LENGTHS, *LENGTHS])  # halves are not single
    for one, other, third, fourth in zip(plain, first, again, on_disk, strict=True):
        assert torch.equal(one, other) and torch.equal(one, third)
        assert torch.equal(one.half().float(), fourth)


def test_features_depend_on_frozen_weights_and_settings_alone(network):
    def encoder():
        return copy.deepcopy(network.encoder)

    one, digest = encoder(), encoder_digest(encoder(), CPU, fps=30.0)
    one.train()
    trained = nn.ModuleList([one, nn.Linear(2, 2)])
    assert encoder_digest(one, CPU, fps=30.0) == digest
    assert encoder_digest(one, CPU, fps=60.0) != digest
    assert encoder_digest(trained, CPU, fps=30.0) == encoder_digest(
        nn.ModuleList([encoder(), nn.Linear(2, 2)]), CPU, fps=30.0
    )
    one.model.config.name_or_path = "elsewhere"
    assert encoder_digest(one, CPU, fps=30.0) == digest
    with torch.no_grad():
        next(one.model.parameters()).view(-1)[0] += 1e-3
    assert encoder_digest(one, CPU, fps=30.0) != digest


def test_transformers_are_kept_in_the_precision_of_the_training(network):
    encoder, audio = network.encoder, torch.randn(2, 1600, generator=torch.Generator().manual_seed(0))
    exact = in_precision(encoder, False, CPU, lambda: encoder.features(audio))
    rounded = in_precision(encoder, True, CPU, lambda: encoder.features(audio))
    assert exact.dtype == torch.float32 and rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, atol=0.05, rtol=0.05)
    if not quick_in_bf16(CPU):
        assert torch.equal(rounded, exact.bfloat16())
    other = make().encoder
    assert in_precision(other, True, CPU, lambda: audio).dtype == torch.float32


def test_only_costly_features_go_to_the_disk(network, tmp_path):
    def made(encoder, **keys):
        keys |= {"FEATURE_CACHE_ROOT": str(tmp_path)}
        return build_feature_store(section_from_values("train", keys), [encoder], Runtime(CPU))

    assert made(make().encoder) is None
    assert made(network.encoder, FEATURE_CACHE_DISK_GB=0) is None
    store = made(network.encoder, FEATURE_CACHE_DISK_GB=2)
    assert store.root == tmp_path and store.limit_bytes == 2e9
    assert made(network.encoder, PRECISION="bf16").encoder == store.encoder or quick_in_bf16(CPU)


def test_a_disk_that_fails_is_told_with_ways_out(store, tmp_path):
    from audio2face.problems import UserError

    (tmp_path / "kept").write_text("in the way")
    with pytest.raises(UserError, match="audio features.*stopped: .*FEATURE_CACHE_DISK_GB = 0"):
        cached(store)


def test_nothing_to_keep(store):
    kept = feature_store.KeptFeatures(RowForm({"a": ((1,), torch.float32)}), [], [], lambda part: {})
    assert keep_features(store, kept, ALONE, "features")
