"""Phoneme probabilities over time: at the frames' times in sound of any length, from every pretrained model."""

import json
import math

import numpy as np
import pytest
import torch

from audio2face.audio.augment import NOISES
from audio2face.models.common import phonemes
from audio2face.models.common.phonemes import PhonemeModel, hold_spikes, load_phoneme_model
from audio2face.problems import UserError

CPU = torch.device("cpu")


def ramp_model(hop=160, first=200, finish=lambda p: p):
    """Says at each step how far into the sound it is: class 1 with probability (centre of the step) / 1e6 samples."""

    def listen(samples):
        steps = (len(samples) - 400) // hop + 1
        ramp = (samples[first::hop][:steps].astype(np.float64)).clip(1e-9, 1)
        return np.log(np.stack([1 - ramp, ramp], 1))

    return PhonemeModel("ramp", 2, 0, first, hop, listen, finish)


@pytest.mark.parametrize("hop", [160, 320])
@pytest.mark.parametrize("fps", [30, 50, 60])
@pytest.mark.parametrize("seconds", [0.05, 3.21, 45.0])
def test_phonemes_are_at_the_centres_of_frames_in_long_sound_too(hop, fps, seconds):
    samples = (np.arange(round(seconds * 16000)) / 1e6).astype(np.float32)
    p = ramp_model(hop).probabilities(samples, fps)
    assert p.shape == (math.ceil(seconds * fps - 1e-6), 2) and p.dtype == np.float32
    assert np.allclose(p.sum(1), 1, atol=1e-6)
    centres = (np.arange(len(p)) + 0.5) / fps * 16000
    inner = (centres > 200) & (centres < len(samples) - 600)
    assert np.abs(p[inner, 1] - centres[inner] / 1e6).max(initial=0) < 1e-6


def test_temperature():
    samples = np.full(16000, 0.2, np.float32)
    model = ramp_model()
    cold, same, hot = (model.probabilities(samples, 30, t)[5, 1] for t in (0.5, 1, 2))
    assert same == pytest.approx(0.2) and cold == pytest.approx(0.04 / 0.68) and hot == pytest.approx(1 / 3)
    assert model.probabilities(samples[:0], 30).shape == (0, 2)
    with pytest.raises(ValueError, match="temperature"):
        model.probabilities(samples, 30, 0)


def test_spikes_are_held_until_the_next_and_fade():
    blank, boundary = 3, 2
    spikes = np.eye(4)[[blank, 0, blank, blank, 1, boundary, blank, 0]]
    p = hold_spikes(spikes, blank, boundary, decay=0.5)
    assert np.allclose(p.sum(1), 1) and (p[:, boundary] == 0).all()
    assert p[:, 0].tolist() == [0, 1, 0.5, 0.25, 0, 0, 0, 1]
    assert p[:, 1].tolist() == [0, 0, 0, 0, 1, 0.5, 0.25, 0]


@pytest.fixture(scope="module")
def tiny_classifier(tmp_path_factory):
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classifier")
    config = Wav2Vec2Config(
        vocab_size=6, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=[8] * 7,
        conv_stride=[5, 2, 2, 2, 2, 2, 1], num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({"A": 0, "[SIL]": 4}))
    return folder


def test_frame_classifier_from_a_folder(tiny_classifier, tmp_path):
    model = load_phoneme_model(str(tiny_classifier), "en", tmp_path, CPU)
    assert (model.num_classes, model.silence, model.hop, model.first) == (6, 4, 160, 200)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
    p = model.probabilities(samples, 50)
    assert p.shape == (50, 6) and np.allclose(p.sum(1), 1, atol=1e-5)
    assert np.allclose(p, model.probabilities(samples * 2, 50), atol=1e-4), "the model normalises the level"
    assert model.probabilities(samples[:10], 50).shape == (1, 6)
    assert np.array_equal(p, load_phoneme_model(str(tiny_classifier), "xx", tmp_path, CPU).probabilities(samples, 50))


def test_frame_classifier_equals_transformers(tiny_classifier, tmp_path):
    from transformers import Wav2Vec2ForCTC

    model = load_phoneme_model(str(tiny_classifier), "en", tmp_path, CPU)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)
    audio = torch.from_numpy((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7))
    with torch.no_grad():
        logits = Wav2Vec2ForCTC.from_pretrained(tiny_classifier).eval()(audio[None]).logits[0]
    assert np.allclose(model.log_probabilities(samples), logits.log_softmax(-1), atol=1e-5)


def test_phoneme_models_that_cannot_be_had(tiny_classifier, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="charsiu/en_w2v2_fc_10ms.*(?s:.)*'hama'"):
        load_phoneme_model("charsiu", "en", tmp_path, CPU)
    with pytest.raises(UserError, match="no model for 'fr'"):
        load_phoneme_model("charsiu", "fr", tmp_path, CPU)
    for name in ("/no/such/folder", "./none"):
        with pytest.raises(UserError, match="does not exist"):
            load_phoneme_model(name, "en", tmp_path, CPU)
    with pytest.raises(UserError, match="is not the folder of a speech model"):
        load_phoneme_model(str(tmp_path), "en", tmp_path, CPU)
    headless = tmp_path / "headless"
    from transformers import Wav2Vec2ForCTC

    Wav2Vec2ForCTC.from_pretrained(tiny_classifier).wav2vec2.save_pretrained(headless)
    with pytest.raises(UserError, match="without a layer that names phonemes .lm_head.bias"):
        load_phoneme_model(str(headless), "en", tmp_path, CPU)


def test_hama_holds_what_it_hears(tmp_path, monkeypatch):
    pytest.importorskip("hama")
    model = load_phoneme_model("hama", "en", tmp_path, CPU)
    assert (model.num_classes, model.silence, model.hop) == (191, 190, 320)
    quiet = NOISES["mic"](32000, np.random.default_rng(0))
    p = model.probabilities(quiet, 50)
    assert p.shape == (100, 191) and np.allclose(p.sum(1), 1, atol=1e-5) and (p[20:].argmax(1) == 190).mean() > 0.9
    long = model.probabilities(np.tile(quiet, 16), 30)
    assert long.shape == (960, 191) and np.isfinite(long).all()
    assert set(phonemes.PHONEME_MODELS) == {"charsiu", "hama"}
