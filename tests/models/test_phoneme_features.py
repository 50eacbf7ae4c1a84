"""What the phoneme features of short windows take from long speech: measured once, kept with the weights, exported."""

import io
import wave
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from audio2face.config import section_from_values
from audio2face.models.common.encoders import phoneme_ctc
from audio2face.models.common.weights import load_weights, save_weights
from audio2face.models.diffusion.encoder import build_encoder
from audio2face.problems import UserError
from audio2face.types import Track
from tests.models.test_networks import conditions, needs_hama, network, speech

CHOSEN = {"use_autocorr_features": False, "use_phoneme_ctc_features": True, "pretrained": True}
STEP = 320


@pytest.fixture(scope="module")
def measured():
    """The recogniser after it heard 16 s of speech."""
    model = phoneme_ctc.PhonemeCtc.from_package()
    model.measure(list(speech(4, 64000, seed=3)))
    return model


def of_windows(model: phoneme_ctc.PhonemeCtc, sound: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The middle step of half-second windows of a sound (1, N), and the same moments of the whole: (windows, 256)."""
    first = torch.arange(0, sound.shape[1] - 8320, 4 * STEP)
    windows = torch.stack([sound[0, start : start + 8320] for start in first.tolist()])
    return model.steps(windows)[:, 12], model.steps(sound)[0, first // STEP + 12]


@needs_hama
def test_a_measured_window_is_heard_much_like_the_sentence_it_is_cut_from(measured):
    plain = phoneme_ctc.PhonemeCtc.from_package()
    sound = speech(1, 64000, seed=8)

    def difference(model):
        windows, whole = of_windows(model, sound)
        return ((windows - whole).square().mean() / (whole - whole.mean(0)).square().mean()).sqrt()

    assert difference(measured) < 0.6 * difference(plain)


@needs_hama
def test_measured_features_have_mean_zero_and_deviation_one(measured):
    steps = torch.cat([measured.steps(sound[None])[0] for sound in speech(4, 64000, seed=3)])
    assert steps.mean(0).abs().max() < 1e-3
    torch.testing.assert_close(steps.std(0), torch.ones(256), atol=0.01, rtol=0)


@needs_hama
def test_what_was_measured_comes_with_the_weights(tmp_path):
    model = network(**CHOSEN)
    model.encoders["phoneme_ctc"].model.measure(list(speech(2, 32000)))
    save_weights(tmp_path / "weights.pth", model)
    again = network(**{**CHOSEN, "pretrained": False})
    load_weights(again, tmp_path / "weights.pth")
    audio = speech(2)
    assert torch.equal(model.features(audio)["phoneme_ctc"], again.features(audio)["phoneme_ctc"])
    assert torch.equal(model(audio, conditions(2))[0], again(audio, conditions(2))[0])


@needs_hama
def test_weights_from_before_measuring_run_as_they_did_and_start_no_new_training(tmp_path):
    old = network(**CHOSEN)
    save_weights(tmp_path / "weights.pth", old)
    assert not [name for name in old.state_dict() if name.split(".")[-1] in phoneme_ctc.MEASURED]
    again = network(**{**CHOSEN, "pretrained": False})
    load_weights(again, tmp_path / "weights.pth")
    audio = speech(2)
    expected = old.encoders["phoneme_ctc"].model.hidden(audio)[:, 1:26]
    assert torch.equal(again.features(audio)["phoneme_ctc"], expected)
    again.encoders["phoneme_ctc"].model.measure(list(speech(2, 32000)))
    with pytest.raises(UserError, match="train again"):
        again.load_state_dict(old.state_dict())
    with pytest.raises(ValueError, match=r"weights\.pth.*train again"):
        load_weights(again, tmp_path / "weights.pth")


@needs_hama
@pytest.mark.filterwarnings("ignore")  # notices of tracing
def test_measured_features_are_exported_exactly(measured):
    import onnxruntime

    class Steps(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = measured

        def forward(self, audio):
            return self.model.steps(audio)

    buffer = io.BytesIO()
    axes = {"audio": {0: "batch"}, "steps": {0: "batch"}}
    torch.onnx.export(
        Steps(),
        (speech(1),),
        buffer,
        dynamo=False,
        opset_version=17,
        input_names=["audio"],
        output_names=["steps"],
        dynamic_axes=axes,
    )
    session = onnxruntime.InferenceSession(buffer.getvalue())
    audio = speech(3, seed=5)
    (steps,) = session.run(None, {"audio": audio.numpy()})
    np.testing.assert_allclose(steps, measured.steps(audio).numpy(), atol=2e-4)


@needs_hama
@pytest.mark.parametrize("standardize", [False, True])
def test_a_training_measures_the_sound_of_its_clips(tmp_path, standardize, monkeypatch):
    paths = [tmp_path / f"{i}.wav" for i in range(5)]
    for path, sound in zip(paths, speech(5, 40000), strict=True):
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes((sound.numpy() * 20000).astype("<i2").tobytes())
    heard = []
    monkeypatch.setattr(phoneme_ctc.PhonemeCtc, "measure", lambda self, sounds: heard.extend(sounds))
    monkeypatch.setattr(phoneme_ctc, "MEASURED_FILES", 3)
    monkeypatch.setattr(phoneme_ctc, "MEASURED_SAMPLES", 16000)
    encoder = build_encoder("phoneme_ctc", {})
    section = section_from_values("train", {})
    clips = [SimpleNamespace(track=path and Track(path)) for path in (paths[0], None, *paths)]
    inputs = SimpleNamespace(train=section, clips=clips)
    phoneme_ctc.build_speech_measure(encoder, inputs, standardize)
    assert [len(sound) for sound in heard] == [16000] * 3  # files 0, 2 and 4
    level = torch.stack(heard).abs().max()
    assert (level > 2) == standardize
    phoneme_ctc.build_speech_measure(network(), inputs)
    phoneme_ctc.build_speech_measure(encoder, SimpleNamespace(train=inputs.train, clips=clips[1:2]))
    assert len(heard) == 3
