"""Whisper as a speech encoder: equal to transformers' own model, cut, mixed, trained, exported, in 8 bits, kept in runs."""

import io
import warnings

import numpy as np
import pytest
import torch
from fakes.project import regression_project, use_project
from torch.nn import functional as F

from audio2face.commands import deploy, infer, preproc, train
from audio2face.distributed import Rng, Shard
from audio2face.inference.quantize import quantize_int8
from audio2face.models.common.encoders import pretrained
from audio2face.models.common.encoders.whisper import LayerMix, Whisper
from audio2face.models.common.encoders.whisper_blocks import log_mel
from audio2face.models.common.weights import load_weights, save_weights
from audio2face.models.diffusion.audio_context import encode_frames, samples_of_frames
from audio2face.models.diffusion.encoder import build_encoder
from audio2face.models.regression.network import WHISPER_MODEL
from audio2face.problems import UserError
from audio2face.runs.train_run import load_train_run
from tests.models.test_diffusion_network import S30, make
from tests.models.test_networks import NONE, Exported, conditions, full_model, network, speech
from tests.models.test_streaming_graph import make_project, run_in_every_mode

WINDOW = 8320
SIZES = {"d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 48}
SMALL = {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 48, "vocab_size": 60}
TOKENS = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}


def whole_whisper(folder, positions=WINDOW // 320, **sizes):
    """transformers' model of random weights, which hears exactly `positions` steps, and its folder."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    torch.manual_seed(0)
    model = WhisperModel(WhisperConfig(**{**SIZES, **SMALL, **TOKENS, **sizes}, max_source_positions=positions)).eval()
    for block in model.encoder.layers:  # so that a step depends on the others
        torch.nn.init.normal_(block.self_attn.q_proj.weight, std=0.5)
        torch.nn.init.normal_(block.self_attn.k_proj.weight, std=0.5)
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=model.config.num_mel_bins).save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(model, folder) of a whole small Whisper for windows of 0.52 s."""
    folder = tmp_path_factory.mktemp("whisper")
    return whole_whisper(folder), str(folder)


def expected_layers(model, folder, audio):
    """What transformers' own front end and model make of windows: every block's output, normalised (B, S, width)."""
    from transformers import WhisperFeatureExtractor

    front = WhisperFeatureExtractor.from_pretrained(folder)
    mel = front(list(audio.numpy()), sampling_rate=16000, return_tensors="pt", padding=False, truncation=False)
    heard = []
    hooks = [b.register_forward_hook(lambda _, __, x: heard.append(x)) for b in model.encoder.layers]
    with torch.no_grad():
        model.encoder(mel.input_features)
    for hook in hooks:
        hook.remove()
    outputs = [x[0] if isinstance(x, tuple) else x for x in heard]
    return [F.layer_norm(x, x.shape[-1:]) for x in outputs]


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("samples", [8320, 16000, 8239])
def test_the_front_end_is_that_of_transformers(mels, samples):
    from transformers import WhisperFeatureExtractor

    audio = speech(3, samples)
    audio[1] *= 1e-3
    audio[2, : samples // 2] = 0
    front = WhisperFeatureExtractor(feature_size=mels)
    theirs = front(list(audio.numpy()), sampling_rate=16000, return_tensors="pt", padding=False, truncation=False)
    model = Whisper(WHISPER_MODEL, "", config={**SIZES, "num_mel_bins": mels}, pretrained=False).encoder
    ours = log_mel(audio, model.kernel, model.mel)
    assert ours.shape == theirs.input_features.shape == (3, mels, samples // 160)
    torch.testing.assert_close(ours, theirs.input_features, atol=5e-4, rtol=0)
    silent = log_mel(torch.zeros(1, samples), model.kernel, model.mel)
    assert torch.isfinite(silent).all() and silent.unique().numel() == 1


def test_every_block_gives_what_transformers_model_gives(whole):
    model, folder = whole
    audio = speech(2)
    expected = expected_layers(model, folder, audio)
    for chosen in (1, 2, 3, [3, 1]):
        encoder = Whisper(WHISPER_MODEL, folder, layer=chosen).eval()
        heard = encoder(encoder.features(audio))
        theirs = [expected[number - 1][:, 1:] for number in np.atleast_1d(chosen)]
        torch.testing.assert_close(heard, torch.cat(theirs, 2), atol=1e-4, rtol=0)
        assert heard.shape == (2, 25, encoder.dim) and not heard.requires_grad


def test_a_longer_table_of_positions_is_cut_to_the_window(tmp_path):
    model = whole_whisper(tmp_path, positions=100)
    long = whole_whisper(tmp_path / "cut", positions=WINDOW // 320)
    encoder = Whisper(WHISPER_MODEL, str(tmp_path)).eval()
    long.encoder.load_state_dict(
        {k: v[: WINDOW // 320] if "positions" in k else v for k, v in model.encoder.state_dict().items()}
    )
    audio = speech(2)
    expected = expected_layers(long, tmp_path, audio)[2][:, 1:]
    torch.testing.assert_close(encoder(encoder.features(audio)), expected, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="at most 100 steps of 20 ms"):
        encoder.features(torch.zeros(1, 100 * 320 + 320))


def test_only_the_blocks_that_are_used_are_kept(whole, tmp_path):
    encoder = Whisper(WHISPER_MODEL, whole[1], layer=2).eval()
    names = encoder.state_dict()
    assert {name.split(".")[2] for name in names if ".layers." in name} == {"0", "1"}
    assert not any("decoder" in name or name.startswith("encoder.layer_norm") for name in names)
    rebuilt = encoder.rebuild_arguments()
    again = Whisper(WHISPER_MODEL, "nowhere", layer=2, **rebuilt).eval()
    again.load_state_dict(names)
    assert rebuilt["config"]["encoder_layers"] == 2
    assert torch.equal(again.features(speech(1)), encoder.features(speech(1)))


def test_a_regression_keeps_its_whisper_without_the_source(whole, tmp_path):
    chosen = {"use_whisper_features": True, "whisper_layer": [1, 3]}
    model = network(**chosen, whisper_model=whole[1], pretrained=True)
    save_weights(tmp_path / "network.pt", model)
    rebuild = model.rebuild_arguments()
    assert rebuild["whisper_config"]["d_model"] == 32 and rebuild["pretrained"] is False
    copy = network(**chosen, **rebuild)
    load_weights(copy, tmp_path / "network.pt")
    assert torch.equal(model(speech(2), conditions(2))[0], copy(speech(2), conditions(2))[0])


def test_a_mix_sums_blocks_with_softmax_weights():
    mix = LayerMix(2, pieces=2)
    torch.nn.init.constant_(mix.layer_weights[:1].data, np.log(3.0))
    x = torch.randn(1, 5, 2 * 2 * 4)
    first, second = x.view(1, 5, 2, 2, 4).unbind(3)
    torch.testing.assert_close(mix(x), (0.75 * first + 0.25 * second).flatten(2))
    assert LayerMix(1)(x) is x and not LayerMix(1).layer_weights.requires_grad


@pytest.mark.parametrize("freeze", [True, False])
def test_what_is_trained_gets_a_gradient(freeze):
    chosen = {"use_whisper_features": True, "whisper_layer": [1, 2], "whisper_config": SIZES}
    model = network(**NONE, **chosen, whisper_freeze=freeze).train()
    whisper = model.encoders["whisper"]
    assert whisper.encoder.training is not freeze and not whisper.encoder.embed_positions.training
    model(speech(3), conditions(3))[0].square().mean().backward()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    own = {name for name in trained if name.startswith("encoders.whisper.encoder.")}
    assert bool(own) is not freeze and not any("embed_positions" in name for name in own)
    assert "encoders.whisper.mix.layer_weights" in trained


def test_training_draws_from_the_generator_that_is_given():
    model = network(**NONE, use_whisper_features=True, whisper_config=SIZES).train()
    features, given = model.features(speech(2)), conditions(2)
    torch.manual_seed(3)
    first, second = (model.decode(features, given, Rng(Shard(2)))[0] for _ in range(2))
    torch.manual_seed(3)
    assert torch.equal(model.decode(features, given, Rng(Shard(2)))[0], first) and not torch.equal(first, second)
    model.eval()
    assert torch.equal(model.decode(features, given)[0], model.decode(features, given)[0])


@pytest.mark.parametrize("layers", [3, [1, 3]])
def test_a_diffusion_learns_to_mix_blocks_of_a_frozen_whisper(layers, whole):
    folder = whole[1]
    model = make(encoder="whisper", whisper_model=folder, whisper_layer=layers, freeze_audio_encoder=True)
    audio = torch.randn(1, 8320)
    model.encode(audio, 12).square().mean().backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    mixed = {"audio.0.layer_weights", "audio.1.weight", "audio.1.bias"}
    assert trained == (mixed if layers != 3 else {"audio.weight", "audio.bias"})
    with torch.no_grad():
        kept = model.frame_features(audio, 12)
        torch.testing.assert_close(model.audio(kept), model.encode(audio, 12))


def test_a_diffusion_trains_the_blocks_behind_the_second(tmp_path):
    whole_whisper(tmp_path, positions=60)
    encoder = build_encoder("whisper", {}, str(tmp_path))
    trained = {n.split(".")[1:3][-1] for n, p in encoder.named_parameters() if p.requires_grad}
    assert trained == {"2"} and encoder.receptive_field == "window" and not encoder.frozen
    rebuilt = build_encoder("whisper", encoder.rebuild_arguments(), "nowhere").eval()
    rebuilt.load_state_dict(encoder.state_dict())
    audio = torch.randn(1, 16000)
    torch.testing.assert_close(rebuilt(rebuilt.features(audio)), encoder.eval()(encoder.features(audio)))
    model = make(encoder="whisper", whisper_model=str(tmp_path))
    sound = torch.randn(1, 16000 + samples_of_frames(2000, 30.0) + 16000)  # longer than its positions reach
    with torch.no_grad():
        assert encode_frames(model, sound, 16000, 2000, S30).shape == (1, 2000, 32)


@pytest.mark.parametrize("name", ["regression", "hubert"])
def test_mistakes_are_told(name, tmp_path, whole, monkeypatch):
    def read(source, layer=3, **arguments):
        if name == "regression":
            return network(use_whisper_features=True, whisper_model=source, whisper_layer=layer, pretrained=True)
        return build_encoder("whisper", arguments, source, whisper_layer=layer)

    with pytest.raises(UserError, match=r"whisper_model: .* has 3 layers, 4 requested"):
        read(whole[1], [1, 4])
    full_model(2).save_pretrained(tmp_path / "w2v")
    with pytest.raises(UserError, match="whisper_model: .* is a wav2vec2 model; for it, set .* w2v_model to it"):
        read(str(tmp_path / "w2v"))
    with pytest.raises(UserError, match="whisper_model: .* does not exist"):
        read(str(tmp_path / "none"))
    (tmp_path / "base.pt").write_bytes(b"weights")
    with pytest.raises(UserError, match=r"base\.pt is a file; a folder with config\.json and the weights is needed"):
        read(str(tmp_path / "base.pt"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="whisper_model: 'a/whisper' is not a folder here") as error:
        read("a/whisper")
    assert any("connect to the internet once" in line for line in error.value.lines)
    assert any("whisper_model'] " in line for line in error.value.lines)


def test_a_whisper_that_lost_a_weight_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    whole_whisper(tmp_path)
    weights = tmp_path / "model.safetensors"
    state = load_file(weights)
    save_file({k: v for k, v in state.items() if "decoder" not in k}, weights, {"format": "pt"})
    Whisper(WHISPER_MODEL, str(tmp_path))  # the words' half is not needed
    save_file({k: v for k, v in state.items() if "layers.1.fc1.bias" not in k}, weights, {"format": "pt"})
    with pytest.raises(UserError, match=r"not all of one: encoder\.layers\.1\.fc1\.bias missing; copy it again"):
        Whisper(WHISPER_MODEL, str(tmp_path))
    Whisper(WHISPER_MODEL, str(tmp_path), layer=1)


def export(model, path):
    names = ["audio", "implicit", "emotion"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Exported(model).eval(),
            (speech(1), *conditions(1).tensors.values()),
            path,
            dynamo=False,
            opset_version=17,
            input_names=names,
            output_names=["frame"],
            dynamic_axes={name: {0: "batch"} for name in [*names, "frame"]},
        )
    return names


def run_exported(path, names, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})[0]


@pytest.mark.parametrize("layers", [3, [1, 3]])
def test_the_exported_network_agrees_for_any_batch(layers):
    torch.manual_seed(0)
    model = network(**NONE, use_whisper_features=True, whisper_config=SIZES, whisper_layer=layers)
    buffer = io.BytesIO()
    names = export(model, buffer)
    for rows in (1, 3):
        inputs = (speech(rows, seed=rows), *conditions(rows, seed=rows).tensors.values())
        with torch.no_grad():
            expected = Exported(model)(*inputs).numpy()
        np.testing.assert_allclose(run_exported(buffer.getvalue(), names, inputs), expected, atol=1e-4)


def test_its_products_run_in_8_bits(tmp_path):
    torch.manual_seed(0)
    sizes = {"d_model": 256, "encoder_attention_heads": 4, "encoder_ffn_dim": 512}
    model = network(**NONE, use_whisper_features=True, whisper_config=sizes, whisper_layer=2)
    names = export(model, str(tmp_path / "a.onnx"))
    products = quantize_int8(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert products == 2 * 6  # four of attention and two behind it in each block
    inputs = (speech(2), *conditions(2).tensors.values())
    ours, theirs = (run_exported(str(tmp_path / name), names, inputs) for name in ("a.onnx", "b.onnx"))
    assert 0 < np.abs(ours - theirs).max() < 0.05 * np.abs(ours).max()


def test_a_regression_goes_all_the_way(tmp_path, monkeypatch, caplog):
    """Trained from a local folder, its features kept, deployed, and run after that folder is gone."""
    folder = tmp_path / "model"
    whole_whisper(folder, positions=60)
    hyper = {"use_w2v_features": False, "use_autocorr_features": False, "use_whisper_features": True}
    hyper |= {"whisper_model": str(folder), "whisper_layer": [1, 2]}
    regression_project(tmp_path, NETWORK_HYPER_PARAMS=hyper)
    use_project(tmp_path, monkeypatch)
    preproc.run("tiny", "tiny")
    caplog.set_level("INFO")
    run = load_train_run(tmp_path / "workspace" / "output_train" / train.run("tiny").run)
    assert "audio features in memory" in caplog.text and run.weights.stat().st_size < 1e7
    folder.rename(tmp_path / "gone")
    deploy.run("tiny", "latest")
    found = {}
    for mode in ("offline", "offline_onnx"):
        name = infer.run("tiny", "latest", INFERENCE_MODE=mode, OUTPUT_FORMATS=["npy"])
        (path,) = (tmp_path / "workspace" / "output_inference" / name).glob(f"*_{mode}.npy")
        found[mode] = np.load(path)
    assert np.abs(found["offline"] - found["offline_onnx"]).max() < 1e-4 * found["offline"].std()


@pytest.mark.parametrize("freeze", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_diffusion_goes_all_the_way(freeze, tmp_path, monkeypatch):
    """As the regression, in every mode; frozen, its features are kept."""
    folder = tmp_path / "model"
    whole_whisper(folder, positions=60)
    hyper = {"audio_encoder": "whisper", "whisper_model": str(folder), "whisper_layer": [1, 3]}
    run = make_project(tmp_path, ("ann",), hyper={**hyper, "freeze_audio_encoder": freeze})
    folder.rename(tmp_path / "gone")
    use_project(tmp_path, monkeypatch)
    run_in_every_mode(run, tmp_path)


def test_a_whisper_under_another_key_is_named_with_its_own(whole):
    with pytest.raises(UserError, match="w2v_model: .* whisper model; for it, set .* use_whisper_features True"):
        network(use_w2v_features=True, w2v_model=whole[1], pretrained=True)
    for name in ("hubert", "w2v"):
        with pytest.raises(UserError, match="whisper model; for it, set .* audio_encoder 'whisper' and whisper_model"):
            build_encoder(name, {}, whole[1])
    assert "whisper" not in pretrained.SPEECH_MODELS
