"""What a frozen encoder hears in the clips of a diffusion training, kept: equal to hearing it again."""

import numpy as np
import pytest
import torch
from test_diffusion_network import S30, make, tiny_model
from test_segment_data import LENGTHS, sounds  # noqa: F401
from test_segment_data import make as make_data

from audio2face.config import section_from_values
from audio2face.distributed import ALONE, VARIABLES, World
from audio2face.models.diffusion.audio_context import encode_segments, window_features
from audio2face.models.diffusion.data import CONTEXT
from audio2face.models.diffusion.heard import OWN, Take
from audio2face.runtime import Runtime
from audio2face.training.settings import build_cache_bytes


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tiny_model(tmp_path_factory.mktemp("hubert"))
    return make(encoder="hubert", hubert_model=folder, hubert_feature_dim=16, freeze_audio_encoder=True).train()


def cached(network, folder, shifts, budget=1e9, world=ALONE, **changes):
    data = make_data(folder, **changes)
    data.world = world

    def hear(sound, num_frames, take):
        with torch.no_grad():
            return window_features(network, sound, CONTEXT, num_frames, S30, take * S30.centre // len(shifts))

    data.cache_features(hear, shifts, budget)
    return data


def test_a_frozen_encoder_learns_nothing_and_hears_windows(network):
    encoder = network.encoder
    assert encoder.frozen and encoder.receptive_field == "window"
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not any(module.training for module in encoder.model.modules())
    assert not encoder(encoder.features(torch.randn(1, 16000))).requires_grad


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_kept_features_are_what_is_heard_again(network, sounds, shift):  # noqa: F811
    whole = {"min_frames": None, "max_frames": None}
    data = cached(network, sounds, (shift,), **whole)
    again = make_data(sounds, **whole)
    again.segment = lambda clip, rng: (shift, LENGTHS[clip])
    rngs = [np.random.default_rng(i) for i in range(4)]
    kept, live = data.batch(range(4), rngs), again.batch(range(4), rngs)
    assert kept.audio is None
    torch.testing.assert_close(kept.target, live.target)
    with torch.no_grad():
        heard = encode_segments(network, live.audio, CONTEXT, live.lengths, S30)
        ours = network.audio(kept.features)
    for row, length in enumerate(kept.lengths):
        torch.testing.assert_close(ours[row, :length], heard[row, :length], atol=1e-5, rtol=1e-4)
        assert not kept.features[row, length:].any()


def test_a_segment_is_a_part_of_a_take(network, sounds):  # noqa: F811
    data = cached(network, sounds, (-0.25, 0.25))
    seen = set()
    for epoch in range(6):
        for batch in data.batches(epoch):
            clip, length = batch.clips[0], batch.lengths[0]
            start = batch.target[0, 5, 0].item() - 5 - 10 * clip  # the targets tell the frame; the first may be held
            take = 0 if round(start + 0.25) == pytest.approx(start + 0.25, abs=1e-3) else 1
            first = round(start - (-0.25, 0.25)[take])
            seen.add(take)
            torch.testing.assert_close(batch.features[0], data._takes(Take(OWN, clip, take), first, length))
    assert seen == {0, 1}


def test_too_little_memory_keeps_halves_or_nothing(network, sounds, caplog):  # noqa: F811
    size = sum(LENGTHS) * network.pieces * 16
    assert cached(network, sounds, (0.0,), 4 * size)._takes(Take(OWN, 0, 0), 0, 1).dtype == torch.float32
    assert cached(network, sounds, (0.0,), 3 * size)._takes(Take(OWN, 0, 0), 0, 1).dtype == torch.float16
    data = cached(network, sounds, (0.0,), size)
    assert next(data.batches(0)).features is None


@pytest.mark.parametrize(("device", "count", "size"), [("cpu", 4, 2e9), ("meta", 4, 8e9), ("cpu", 1, 8e9)])
def test_processes_share_the_memory_of_a_cpu(device, count, size, monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, str(count))
    runtime = Runtime(torch.device(device), world=World(0, count))
    assert build_cache_bytes(section_from_values("train", {"FEATURE_CACHE_GB": 8}), runtime) == size


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_alone_tells_how_far_it_is(network, sounds, rank, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setattr("audio2face.logs.TELL_S", 0.0)
    with caplog.at_level("INFO"):
        cached(network, sounds, (0.0,), world=World(rank, 2))
    assert ("audio features: 1 of 4 takes" in caplog.text) is (rank == 0)
