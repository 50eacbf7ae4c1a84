"""The regression network and its audio encoders: closed forms, parity with the originals, export."""

import importlib.util
import io
import math
import warnings

import numpy as np
import pytest
import torch

from audio2face.models.common import onednn_conv
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.encoders import ENCODERS, autocorr, melspec, phoneme_ctc, pretrained, speech_transformer
from audio2face.models.common.layers import ConvBlock, GainDropout
from audio2face.models.common.weights import load_weights, save_weights
from audio2face.models.regression.network import NETWORKS, W2V, W2V_DROPOUT, ConvW2vAutocorr
from audio2face.problems import UserError

SIZES = {"skin_coeffs": 7, "tongue_coeffs": 3, "jaw": 15, "eye": 4}
NONE = dict.fromkeys(("use_w2v_features", "use_autocorr_features"), False)
TINY = {
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
needs_hama = pytest.mark.skipif(importlib.util.find_spec("hama") is None, reason="the hama package is not installed")


def speech(rows: int, samples: int = 8320, seed: int = 0) -> torch.Tensor:
    """(rows, samples): harmonics under a moving envelope, and some noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / 16000
    pitch = rng.uniform(90, 220, (rows, 1))
    voice = sum(np.sin(2 * np.pi * k * pitch * t + rng.uniform(0, 6, (rows, 1))) / k for k in range(1, 20))
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(2, 6, (rows, 1)) * t)
    x = voice * envelope + 0.02 * rng.standard_normal((rows, samples))
    return torch.from_numpy(x / np.abs(x).max()).float()


def network(**arguments: object) -> ConvW2vAutocorr:
    """A small network; without other wishes with autocorrelation features only."""
    defaults = {"use_w2v_features": False, "w2v_config": TINY, "pretrained": False}
    return NETWORKS["conv_w2v_autocorr"](SIZES, 5, **{**defaults, **arguments}).eval()


def conditions(rows: int, seed: int = 1) -> Conditions:
    generator = torch.Generator().manual_seed(seed)
    implicit = torch.randn(rows, 16, generator=generator)
    return Conditions({"implicit": implicit, "emotion": torch.rand(rows, 5, generator=generator)})


def test_autocorrelation_equals_its_definition():
    x = torch.randn(3, 640, dtype=torch.float64)
    expected = torch.stack([(x[:, : 640 - k] * x[:, k:]).sum(1) / 640 for k in range(32)], 1)
    torch.testing.assert_close(autocorr.autocorrelation(x, 32), expected)


def test_autocorrelation_features_of_a_sine():
    encoder = autocorr.Autocorrelation()
    t = torch.arange(8320) / 16000
    features = encoder.features(torch.sin(2 * math.pi * 1000 * t)[None] + 0.3)  # the offset must not matter
    assert features.shape == (1, 25, 32)
    ratio = features[0, 12] / features[0, 12, 0]
    expected = torch.cos(2 * math.pi * torch.arange(32) / 16)  # a period of 16 samples
    torch.testing.assert_close(ratio, expected, atol=0.02, rtol=0)
    hann = torch.hann_window(640, periodic=False)
    power = (hann * torch.sin(2 * math.pi * 1000 * t[:640])).square().mean() * autocorr.GAIN**2
    torch.testing.assert_close(features[0, 0, 0], power, rtol=1e-2, atol=0)


def test_autocorrelation_keys_are_checked_together():
    with pytest.raises(UserError) as error:
        autocorr.Autocorrelation(buffer_len=16640, win_func="kaiser")
    assert "set num_windows to 51" in str(error.value) and "hanning" in str(error.value)


def test_log_mel_follows_the_pitch():
    encoder = melspec.MelSpectrogram()
    centres = encoder.mel @ torch.linspace(0, 8000, 257) / encoder.mel.sum(1)
    for frequency in (500.0, 3000.0):
        tone = torch.sin(2 * math.pi * frequency * torch.arange(8320) / 16000)[None]
        loudest = encoder.features(tone)[0].mean(1).argmax()
        assert abs(centres[loudest] - frequency) < 0.06 * frequency
    assert encoder.features(torch.zeros(2, 8320)).shape == (2, 80, 50)


def test_gain_dropout_keeps_the_level_and_shares_gains():
    gain = GainDropout()
    x = torch.ones(6, 500, 4)
    assert torch.equal(gain.eval()(x), x)
    y = gain.train()(x, shared_rows=3)
    torch.testing.assert_close(y.square().mean((1, 2)), torch.ones(6))
    assert torch.equal(y[0], y[2]) and not torch.equal(y[0], y[3])
    assert 0.25 < y.log().std() < 0.42


@pytest.mark.parametrize("name", ["autocorr", "melspec", "phoneme_ctc", "w2v", "whisper"])
@pytest.mark.parametrize("buffer_len", [8320, 16640])
def test_every_encoder_gives_the_same_kind_of_map(name, buffer_len):
    steps = buffer_len // 320 - 1
    chosen = {f"use_{name}_features": True, "buffer_len": buffer_len, "autocorr_params": {"num_windows": steps}}
    model = network(**{"use_autocorr_features": False, **chosen})
    features = model.features(speech(2, buffer_len))
    assert list(features) == [name] and not features[name].requires_grad
    assert model.encoders[name](features[name]).shape == (2, steps, 256)


def test_cached_features_give_the_same_output_and_languages_their_logits():
    model = network(use_melspec_features=True, use_w2v_features=True, phoneme_sizes={"en": 40, "zh": 60})
    audio, given = speech(3), conditions(3)
    frame, phonemes = model(audio, given)
    again, _ = model.decode(model.features(audio), given)
    assert frame.shape == (3, 29) and torch.equal(frame, again)
    assert {k: tuple(v.shape) for k, v in phonemes.items()} == {"en": (3, 25, 40), "zh": (3, 25, 60)}


def test_output_order_follows_the_channels():
    torch.manual_seed(0)
    model = network()
    reordered = NETWORKS["conv_w2v_autocorr"](
        {"eye": 4, "tongue_coeffs": 3, "skin_coeffs": 7, "jaw": 15}, 5, use_w2v_features=False
    ).eval()
    assert model(speech(1), conditions(1))[0].shape == reordered(speech(1), conditions(1))[0].shape
    with torch.no_grad():
        for each, channels in ((model, SIZES), (reordered, reordered.output_sizes)):
            for head in each.heads.values():
                head[1].weight.zero_()
            each.heads["tongue"][1].bias.fill_(7.0)
            order = [c for c in channels if not c.startswith("tongue")]
            each.heads["face"][1].bias.copy_(torch.cat([torch.full((channels[c],), float(len(c))) for c in order]))
            frame = each(speech(1), conditions(1))[0][0]
            expected = [7.0 if c.startswith("tongue") else float(len(c)) for c in channels for _ in range(channels[c])]
            assert frame.tolist() == expected


def test_no_emotions_and_no_encoders():
    model = ConvW2vAutocorr(SIZES, 0, use_w2v_features=False).eval()
    assert model(speech(2), conditions(2))[0].shape == (2, 29)
    with pytest.raises(UserError, match="at least one"):
        network(**NONE)
    with pytest.raises(UserError, match="multiple of 320"):
        network(buffer_len=8000 - 1)


def test_everything_that_is_trained_gets_a_gradient_and_frozen_models_do_not():
    model = network(use_w2v_features=True, use_phoneme_ctc_features=True, use_melspec_features=True, w2v_num_layers=2)
    model.train()
    assert not model.encoders["w2v"].model.training and not model.encoders["phoneme_ctc"].model.training
    model(speech(4), conditions(4))[0].square().mean().backward()
    without = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert without == set()
    frozen = {name.split(".")[1] for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"w2v", "phoneme_ctc"}


def test_unfrozen_wav2vec2_is_trained():
    model = network(use_w2v_features=True, w2v_freeze=False, use_autocorr_features=False).train()
    model(speech(2), conditions(2))[0].square().mean().backward()
    grads = [p.grad for p in model.encoders["w2v"].model.encoder.layers.parameters()]
    assert all(g is not None for g in grads) and model.encoders["w2v"].model.training


def test_weights_round_trip_without_pretrained_sources(tmp_path):
    model = network(use_w2v_features=True, use_phoneme_ctc_features=True)
    save_weights(tmp_path / "network.pt", model)
    rebuild = model.rebuild_arguments()
    assert rebuild["w2v_config"]["hidden_size"] == 32 and rebuild["pretrained"] is False
    torch.manual_seed(5)
    copy = network(use_w2v_features=True, use_phoneme_ctc_features=True, **rebuild)
    load_weights(copy, tmp_path / "network.pt")
    assert torch.equal(model(speech(1), conditions(1))[0], copy(speech(1), conditions(1))[0])
    with pytest.raises(ValueError, match=r"network\.pt"):
        load_weights(network(), tmp_path / "network.pt")


def branch_of(source="nowhere", num_layers=1, **arguments):
    """The wav2vec 2.0 encoder as the regression network has it."""
    settings = {**W2V_DROPOUT, "num_hidden_layers": num_layers}
    return ENCODERS["w2v"](W2V, source, settings=settings, width=256, **arguments)


def torchaudio_weights(model):
    """The weights of a transformers speech model under torchaudio's names."""
    theirs = {}
    for name, value in model.state_dict().items():
        name = name.replace("parametrizations.weight.original0", "weight_g")
        name = name.replace("parametrizations.weight.original1", "weight_v")
        if name.startswith("encoder."):
            name = name.replace("encoder.", "encoder.transformer.", 1)
        if name.startswith("feature_projection."):
            name = "encoder." + name
        if name != "masked_spec_embed":
            theirs[name] = value
    return theirs


def full_model(layers, **settings):
    """A whole model of a tiny size, as its source has it."""
    torch.manual_seed(0)
    return pretrained.build_model(
        {**TINY, **speech_transformer.STEADY, **W2V_DROPOUT, "num_hidden_layers": layers, **settings}
    )


def test_torchaudio_names_and_training_behaviour(tmp_path, monkeypatch):
    full = full_model(3)
    assert full.config.layerdrop == 0.0 and not full.config.apply_spec_augment
    theirs = torchaudio_weights(full)
    torch.save(theirs, tmp_path / "w2v.pth")
    build = pretrained.build_model
    monkeypatch.setattr(pretrained, "build_model", lambda settings, kind: build({**TINY, **settings}, kind))
    branch = branch_of(num_layers=2, source=str(tmp_path / "w2v.pth")).eval()
    audio = speech(2)
    with torch.no_grad():
        expected = full.eval()(audio, output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(branch.features(audio)[:, 1], expected)
    theirs.pop("encoder.transformer.layer_norm.weight")
    torch.save(theirs, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"bad\.pth .* base size: encoder\.layer_norm\.weight missing; for other"):
        branch_of(num_layers=2, source=str(tmp_path / "bad.pth"))


def test_wav2vec2_from_a_local_folder_and_missing(tmp_path, monkeypatch):
    full = full_model(3)
    full.save_pretrained(tmp_path / "folder")
    branch = branch_of(num_layers=1, source=str(tmp_path / "folder"))
    assert branch.rebuild_arguments()["config"]["hidden_size"] == 32
    weights = dict(full.encoder.layers[0].named_parameters())
    for name, value in branch.model.encoder.layers[0].named_parameters():
        assert torch.equal(value, weights[name])
    with pytest.raises(UserError, match="has 3 layers, 4 requested"):
        branch_of(num_layers=4, source=str(tmp_path / "folder"))
    with pytest.raises(UserError, match="does not exist"):
        branch_of(source=str(tmp_path / "none.pth"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="use_melspec_features"):
        branch_of(source="facebook/wav2vec2-base", cache_root=tmp_path)


@pytest.mark.parametrize("kind", pretrained.SPEECH_MODELS)
@pytest.mark.parametrize("head", ["Model", "ForCTC"])
@pytest.mark.parametrize("size", ["base", "large"])
def test_every_kind_of_speech_model_listens_with_its_own_weights(kind, head, size, tmp_path):
    """As the base models are, and as the large ones: layer norms between the convolutions, and before attention."""
    import transformers

    torch.manual_seed(0)
    name = pretrained.SPEECH_MODELS[kind]
    own = {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 3} if kind == "data2vec-audio" else {}
    own |= {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True} if size == "large" else {}
    config = getattr(transformers, f"{name}Config")(**{**TINY, **own, "num_hidden_layers": 3})
    full = getattr(transformers, name + head)(config).eval()
    for weight in full.parameters():  # no bias of 0 and no norm of 1, so that none can be missed
        weight.data.add_(0.1 * torch.randn(weight.shape))
    full.save_pretrained(tmp_path)
    branch = branch_of(num_layers=2, source=str(tmp_path)).eval()
    again = branch_of(num_layers=2, **branch.rebuild_arguments()).eval()
    again.load_state_dict(branch.state_dict())
    whole = ENCODERS["hubert"](W2V, str(tmp_path)).eval()  # without `width`: all layers, and the norm behind them
    audio = speech(2)
    with torch.no_grad():
        layers = full(audio, output_hidden_states=True).hidden_states[1:3]
        last = full.base_model(audio).last_hidden_state
    torch.testing.assert_close(branch.features(audio), torch.stack(layers, 1))
    torch.testing.assert_close(whole(whole.features(audio)), last)
    assert torch.equal(again.features(audio), branch.features(audio))


def old_names(state):
    """The names that older versions of PyTorch gave a weight that is split in direction and length."""
    parts = (("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v"))
    for new, old in parts:
        state = {name.replace(new, old): value for name, value in state.items()}
    return state


@pytest.mark.parametrize("prefix", ["", "wav2vec2."])
def test_old_names_and_prefixes_of_weights_are_read(prefix, tmp_path):
    full = full_model(2)
    full.config.save_pretrained(tmp_path)
    state = {prefix + name: value for name, value in old_names(full.state_dict()).items()}
    assert f"{prefix}encoder.pos_conv_embed.conv.weight_g" in state
    torch.save({**state, "lm_head.weight": torch.ones(3, 32)}, tmp_path / "pytorch_model.bin")
    for source in (tmp_path, tmp_path / "pytorch_model.bin"):
        branch = branch_of(num_layers=2, source=str(source))
        for name, value in branch.model.state_dict().items():
            assert torch.equal(value, full.state_dict()[name]), name


def spoil(folder, what):
    """Make of a good folder of a model what people have."""
    from safetensors.torch import load_file, save_file

    config, weights = folder / "config.json", folder / "model.safetensors"
    if what in ("whisper", "bert", "wavlm", ""):
        config.write_text(config.read_text().replace('"model_type": "wav2vec2"', f'"model_type": "{what}"'))
    elif what == "half":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif what == "another size":
        config.write_text(config.read_text().replace('"intermediate_size": 48', '"intermediate_size": 40'))
    elif what == "other steps":
        config.write_text(config.read_text().replace("    5,\n", "    4,\n"))
    elif what == "no config":
        config.unlink()
    else:
        state = {name: value for name, value in load_file(weights).items() if what not in name}
        save_file({name: value for name, value in state.items() if name != "lm_head.bias"}, weights)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("whisper", "is a whisper model; for it, set .* use_whisper_features True and whisper_model"),
        ("bert", "is a bert model; what can be used here is wav2vec2, hubert, wavlm"),
        ("", "names no model_type in its config.json"),
        ("wavlm", "is a wavlm model by its config.json, but not all of one: .* missing, and .* more of its weights"),
        (".layers.0.", r"not all of one: encoder\.layers\.0\.\S+ missing, and 15 more of its weights; copy it again"),
        ("feature_projection.projection.bias", r"not all of one: feature_projection\.projection\.bias missing; copy"),
        ("half", "cannot be read"),
        ("another size", r"intermediate_dense\.\w+ \[48.*\] in place of \[40"),
        ("other steps", "has steps of 322 samples every 256; 400 every 320 are needed"),
        ("no config", "is not the folder of a speech model"),
    ],
)
def test_what_is_not_a_whole_speech_model_is_refused_in_a_line(what, line, tmp_path):
    full_model(2).save_pretrained(tmp_path / "folder")
    spoil(tmp_path / "folder", what)
    with pytest.raises(UserError, match=f"^NETWORK_HYPER_PARAMS w2v_model: .*folder.*{line}") as error:
        branch_of(source=str(tmp_path / "folder"))
    assert len(error.value.lines) == 1


def test_the_hub_is_asked_twice_at_most(monkeypatch, tmp_path):
    """Nobody listens at this address; the hub's own client would ask six times, for half a minute."""
    import huggingface_hub

    asked = []
    monkeypatch.setattr(pretrained, "HUB_WAIT_S", 0)
    monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_: "http://127.0.0.1:9/config.json")
    monkeypatch.setattr(pretrained.logger, "warning", lambda *words: asked.append(words))
    with pytest.raises(UserError, match="'a/model' is not a folder here, and could not be downloaded"):
        branch_of(source="a/model", cache_root=tmp_path)
    assert len(asked) == 1


def test_missing_hama_is_explained(monkeypatch):
    monkeypatch.setattr(phoneme_ctc.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install hama"):
        network(use_phoneme_ctc_features=True, pretrained=True)


@needs_hama
def test_phoneme_ctc_agrees_with_the_original():
    import onnxruntime

    model = phoneme_ctc.PhonemeCtc.from_package()
    session = onnxruntime.InferenceSession(str(phoneme_ctc.package_folder() / phoneme_ctc.MODEL_FILE))
    for samples in (8320, 8321, 40000):
        audio = speech(3, samples, seed=samples)
        feeds = {"waveform": audio.numpy(), "waveform_lengths": np.full(3, samples, np.int64)}
        expected = np.exp(session.run(["log_probs"], feeds)[0])
        ours = model.posteriors(audio).numpy()
        assert ours.shape == expected.shape == (3, math.ceil((samples // 160 + 1) / 2), len(model.labels))
        assert (ours.argmax(2) == expected.argmax(2)).all()
    assert model.labels[-1] == "<blank>" and not any(p.requires_grad for p in model.parameters())


class Exported(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, audio, implicit, emotion):
        return self.model(audio, Conditions({"implicit": implicit, "emotion": emotion}))[0]


@pytest.mark.parametrize(
    "chosen",
    [
        {"use_melspec_features": True, "phoneme_sizes": {"en": 4}},
        pytest.param({"use_phoneme_ctc_features": True, "pretrained": True}, marks=needs_hama),
        {"use_w2v_features": True, "w2v_num_layers": 2},
    ],
    ids=["melspec", "phoneme_ctc", "w2v"],
)
def test_onnx_export_agrees_for_any_batch(chosen):
    import onnxruntime

    torch.manual_seed(0)
    model = Exported(network(**chosen)).eval()
    names = ["audio", "implicit", "emotion"]
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (speech(1), *conditions(1).tensors.values()),
            buffer,
            dynamo=False,
            opset_version=17,
            input_names=names,
            output_names=["frame"],
            dynamic_axes={name: {0: "batch"} for name in [*names, "frame"]},
        )
    session = onnxruntime.InferenceSession(buffer.getvalue())
    for rows in (1, 3):
        inputs = (speech(rows, seed=rows), *conditions(rows, seed=rows).tensors.values())
        (frame,) = session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})
        with torch.no_grad():
            np.testing.assert_allclose(frame, model(*inputs).numpy(), atol=1e-4)


@pytest.mark.skipif(onednn_conv.PRODUCT is None, reason="this PyTorch has no such product")
@pytest.mark.parametrize("rows", [1, 2, 4])  # neighbouring ones with the same gains
@pytest.mark.parametrize(
    "channels, length, kernel, stride, padding",
    [
        (1, 32, 3, 2, 1),
        (1, 9, 4, 3, 2),
        (5, 2, 2, 2, 0),
        (5, 7, 3, 2, 1),
        (5, 8, 3, 2, 1),
        (20, 6, 4, 2, 1),
        (20, 5, 3, 1, 1),
        (3, 7, 2, 3, 1),
        (3, 1, 3, 2, 1),
        (3, 2, 5, 1, 4),
        (3, 1, 1, 1, 2),
        (40, 11, 5, 2, 0),
    ],
)
def test_a_convolution_as_a_matrix_product_is_a_convolution(channels, length, kernel, stride, padding, rows):
    torch.manual_seed(0)
    conv, gain = torch.nn.Conv1d(channels, 7, kernel, stride, padding), torch.rand(4 // rows, 7) + 0.1
    of_rows = gain.repeat_interleave(rows, 0)[:, :, None]
    found = []
    for way in (lambda x: torch.relu(conv(x)) * of_rows, lambda x: onednn_conv.conv_relu(conv, x, gain)):
        x = torch.randn(4, channels, length, generator=torch.Generator().manual_seed(0), requires_grad=True)
        y = way(x)
        gradients = torch.autograd.grad((y**2 + y).sum(), [x, conv.weight, conv.bias])
        found.append([y, *gradients])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(onednn_conv.PRODUCT is None, reason="this PyTorch has no such product")
def test_a_block_with_products_is_the_block_without(monkeypatch):
    block, x = ConvBlock(20, 24, 3, 2, 1), torch.randn(6, 20, 9)
    found = []
    for product in (None, onednn_conv.PRODUCT):
        monkeypatch.setattr(onednn_conv, "PRODUCT", product)
        torch.manual_seed(1)
        y = onednn_conv.join_channels([block(x, shared_rows=2), x[:, :3, :5]])
        found.append([y, *torch.autograd.grad(y.square().sum(), list(block.parameters())), block.eval()(x)])
        block.train()
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert found[1][0].transpose(1, 2).is_contiguous() and found[0][0].is_contiguous()
    with torch.no_grad():
        assert not onednn_conv.usable(x)


@pytest.mark.skipif(not onednn_conv.BFLOAT16, reason="this processor has no bfloat16 products")
def test_convolutions_as_products_in_bfloat16():
    torch.manual_seed(0)
    conv, x, gain = torch.nn.Conv1d(8, 6, 3, 2, 1), torch.randn(4, 8, 10), torch.rand(4, 6) + 0.5
    exact = torch.relu(conv(x)) * gain[:, :, None]
    exact.square().mean().backward()
    gradient, conv.weight.grad = conv.weight.grad.clone(), None
    with torch.autocast("cpu", torch.bfloat16):
        out = onednn_conv.conv_relu(conv, x, gain)
    assert out.dtype == torch.bfloat16
    out.float().square().mean().backward()
    torch.testing.assert_close(out.float(), exact, atol=0.02, rtol=0.02)
    torch.testing.assert_close(conv.weight.grad, gradient, atol=0.02, rtol=0.02)


def test_weights_keep_their_names():
    """Runs on disk load by these names."""
    model = network(use_w2v_features=True, use_phoneme_ctc_features=True, use_melspec_features=True)
    names = [
        name for name in model.state_dict() if not name.startswith(("encoders.w2v.model.", "encoders.phoneme_ctc.m"))
    ]
    w2v = [f"encoders.w2v.{name}" for name in ("layer_weights", "linear.weight", "linear.bias")]
    phoneme = [f"encoders.phoneme_ctc.linear.{name}" for name in ("weight", "bias")]
    mel = [f"encoders.melspec.conv.conv.{name}" for name in ("weight", "bias")]
    assert names[:7] == w2v + phoneme + mel and names[7] == "encoders.autocorr.convs.0.conv.weight"
