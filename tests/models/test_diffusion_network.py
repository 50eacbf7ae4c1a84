"""The recurrent denoiser: state, buffers, what belongs to which moment, and its audio encoders."""

import numpy as np
import pytest
import torch

from audio2face.audio.windows import Streaming
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.encoders import pretrained, speech_transformer
from audio2face.models.diffusion.audio_context import LOCAL, encode_frames, encode_segments, samples_of_frames
from audio2face.models.diffusion.encoder import build_encoder
from audio2face.models.diffusion.network import DiffusionRNN, step_positions
from audio2face.problems import UserError
from tests.models.test_networks import torchaudio_weights

LAYOUT = ChannelLayout({"skin_coeffs": 6, "tongue_coeffs": 2, "jaw": 15, "eye": 4})
SMALL = {"feature_dim": 32, "gru_feature_dim": 24, "emo_embedding_dim": 4, "actor_embedding_dim": 4}
S30 = Streaming(7, 15, 8, 16000, 16000)
S60 = Streaming(15, 30, 15, 16000, 16000)


def make(fps=30.0, actors=2, encoder="melspec", seed=0, **changes):
    torch.manual_seed(seed)
    mean = torch.randn(actors, LAYOUT.size)
    network = DiffusionRNN(LAYOUT, mean, fps, 3, audio_encoder=encoder, **{**SMALL, **changes})
    for head in network.heads.values():
        torch.nn.init.normal_(head[-1].weight, std=0.3)
    return network.eval()


def inputs(network, frames=24, batch=2):
    torch.manual_seed(1)
    return {
        "x_t": torch.randn(batch, frames, LAYOUT.size),
        "t": torch.tensor([999, 3])[:batch],
        "conditions": Conditions(
            {
                "speech": torch.randn(batch, frames, 32),
                "actor": torch.eye(2)[:batch],
                "emotion": torch.rand(batch, frames, 3),
            }
        ),
    }


def cut_frames(x, part):
    """The inputs of some frames."""
    kept = {name: t[:, part] if t.ndim == 3 else t for name, t in x["conditions"].tensors.items()}
    return {**x, "x_t": x["x_t"][:, part], "conditions": Conditions(kept)}


def with_emotion(x, emotion):
    return {**x, "conditions": x["conditions"].replaced(emotion=emotion)}


def test_two_pieces_with_carried_state_equal_one_pass():
    network = make()
    x = inputs(network)
    whole, last = network(**x)
    state, pieces = None, []
    for part in (slice(0, 9), slice(9, 24)):
        piece, state = network(**cut_frames(x, part), state=state)
        pieces.append(piece)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)
    torch.testing.assert_close(state, last)


def test_one_emotion_equals_the_same_for_every_frame():
    network = make()
    x = inputs(network)
    one = x["conditions"]["emotion"][:, 0]
    repeated = one[:, None].expand(-1, 24, -1)
    torch.testing.assert_close(network(**with_emotion(x, one))[0], network(**with_emotion(x, repeated))[0])


def test_an_untrained_network_gives_the_mean_geometry_of_the_actor():
    torch.manual_seed(0)
    mean = torch.randn(2, LAYOUT.size)
    network = DiffusionRNN(LAYOUT, mean, 30.0, 3, audio_encoder="melspec", **SMALL).eval()
    x_0, _ = network(**inputs(network))
    torch.testing.assert_close(x_0, mean[:, None].expand_as(x_0))


def test_every_tensor_of_the_network_is_a_parameter_or_a_buffer():
    network = make()
    known = {id(t) for t in (*network.parameters(), *network.buffers())}
    for name, module in network.named_modules():
        loose = [k for k, v in vars(module).items() if isinstance(v, torch.Tensor) and id(v) not in known]
        assert not loose, f"{name}: {loose}"
    moved = network.to("meta")
    assert all(t.is_meta for t in (*moved.parameters(), *moved.buffers()))


def test_frames_read_the_encoder_at_their_own_time():
    """Step k carries its own time; every frame must read the time of its middle."""
    for fps, pieces in ((60.0, 1), (30.0, 2), (25.0, 2)):
        index, weight = step_positions(40, fps, pieces, 320, 100)
        read = (index + weight).numpy() * 320 + 320
        wanted = (np.arange(40 * pieces) + 0.5) / (fps * pieces) * 16000
        np.testing.assert_allclose(read, np.maximum(wanted, 320), atol=0.1)


@pytest.mark.parametrize(("fps", "s"), [(30.0, S30), (60.0, S60)])
def test_a_local_encoder_hears_the_same_in_windows_and_in_one_go(fps, s):
    network = make(fps)
    rng = torch.Generator().manual_seed(3)
    frames = 50
    audio = torch.randn(2, 16000 + samples_of_frames(frames, fps) + 16000, generator=rng) * 0.3
    with torch.no_grad():
        at_once = encode_segments(network, audio, 16000, [frames, 40], s)
        windows = encode_frames(network, audio, 16000, frames, s)
    torch.testing.assert_close(windows, at_once, atol=1e-5, rtol=0)


def test_a_lead_is_context_only():
    network = make()
    audio = torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        late = network.encode(audio, 20, 3200 + LOCAL)
        early = network.encode(audio[:, 3200:], 20, LOCAL)
    torch.testing.assert_close(late, early, atol=1e-5, rtol=0)


TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 16,  # with 2, oneDNN of AMX processors is wrong in bfloat16
}


def tiny_model(folder, model_type="hubert"):
    """The folder of a tiny speech model of random weights."""
    torch.manual_seed(0)
    pretrained.build_model(TINY, model_type).save_pretrained(folder)
    return str(folder)


def tiny_checkpoint(path, model_type, monkeypatch):
    """torchaudio's `.pth` of a tiny model, which passes for the base model."""
    build = pretrained.build_model
    monkeypatch.setattr(pretrained, "build_model", lambda settings, kind: build({**TINY, **settings}, kind))
    torch.manual_seed(0)
    model = pretrained.build_model(speech_transformer.STEADY, model_type)
    torch.save(torchaudio_weights(model), path)
    return model


def test_hubert_from_a_folder_freezes_its_lower_parts(tmp_path):
    encoder = build_encoder("hubert", {}, tiny_model(tmp_path / "hubert"))
    assert encoder.dim == 16 and not encoder.model.config.apply_spec_augment
    names = {n for n, p in encoder.named_parameters() if p.requires_grad}
    assert any("layers.2" in n for n in names) and not any("layers.1." in n or "feature" in n for n in names)
    encoder.train()
    assert encoder.model.encoder.layers[2].training and not encoder.model.encoder.layers[0].training
    rebuilt = build_encoder("hubert", encoder.rebuild_arguments(), "nowhere")
    rebuilt.load_state_dict(encoder.state_dict())
    audio = torch.randn(1, 8000)
    torch.testing.assert_close(rebuilt.eval()(rebuilt.features(audio)), encoder.eval()(encoder.features(audio)))


@pytest.mark.parametrize(("name", "model_type"), [("w2v", "wav2vec2"), ("hubert", "hubert")])
def test_encoders_read_torchaudios_checkpoints(name, model_type, tmp_path, monkeypatch):
    path = tmp_path / "base.pth"
    model = tiny_checkpoint(path, model_type, monkeypatch).eval()
    encoder = build_encoder(name, {}, str(path)).eval()
    audio = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder(encoder.features(audio)), model(audio).last_hidden_state)
    assert not any(p.requires_grad for p in encoder.model.encoder.layers[1].parameters())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "w2v_model: .* does not exist"),
        (b"no weights", "could not be read as weights"),
        (b"version https://git-lfs.github.com/spec/v1\n", "w2v_model: .*git-lfs pointer.* run 'git lfs pull' in"),
        ({"model": {}}, "holds no state dict"),
        ({"a.weight": torch.zeros(1)}, "not hold torchaudio's weights of a Wav2Vec2Model of base size"),
    ],
)
def test_files_that_are_no_checkpoint_are_refused(content, words, tmp_path, monkeypatch):
    path = tmp_path / "base.pth"
    tiny_checkpoint(path, "wav2vec2", monkeypatch)
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=words):
        build_encoder("w2v", {}, str(path))


def test_segments_that_hear_everything_are_encoded_alone(tmp_path):
    folder = tiny_model(tmp_path / "hubert")
    network = make(encoder="hubert", hubert_model=folder, hubert_feature_dim=16)
    audio = torch.randn(2, 16000 + samples_of_frames(40, 30.0) + 16000)
    with torch.no_grad():
        both = encode_segments(network, audio, 16000, [40, 25], S30)
        alone = encode_segments(network, audio[1:], 16000, [25], S30)
    torch.testing.assert_close(both[1, :25], alone[0])


def test_mistakes_about_encoders_are_told(tmp_path):
    with pytest.raises(UserError, match="melspec"):
        build_encoder("nope", {})
    with pytest.raises(UserError, match="hubert_feature_dim is 768"):
        make(encoder="hubert", hubert_model=tiny_model(tmp_path / "hubert"))
    (tmp_path / "hubert/model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UserError, match=r"hubert_model: .*hubert: a file is a git-lfs pointer.*\(model.safetensors\)"):
        build_encoder("hubert", {}, str(tmp_path / "hubert"))
    with pytest.raises(UserError, match="nowhere"):
        build_encoder("hubert", {"cache_root": tmp_path}, str(tmp_path / "nowhere"))


def test_a_model_that_another_key_is_for_is_named_with_it(tmp_path):
    folder = tiny_model(tmp_path / "hubert")
    with pytest.raises(UserError, match="w2v_model: .* is a hubert model; for it, set .* audio_encoder 'hubert'"):
        build_encoder("w2v", {}, folder)
    pretrained.build_model(TINY).save_pretrained(tmp_path / "w2v")
    with pytest.raises(UserError, match="hubert_model: .* is a wav2vec2 model; for it, set .* audio_encoder 'w2v'"):
        build_encoder("hubert", {}, str(tmp_path / "w2v"))


@pytest.mark.parametrize("model_type", ["wavlm", "unispeech-sat"])
@pytest.mark.parametrize("name", ["w2v", "hubert"])
def test_models_without_a_key_of_their_own_serve_under_either(name, model_type, tmp_path):
    torch.manual_seed(0)
    full = pretrained.build_model(TINY, model_type).eval()
    full.save_pretrained(tmp_path)
    encoder = build_encoder(name, {}, str(tmp_path)).eval()
    again = build_encoder(name, encoder.rebuild_arguments(), "nowhere").eval()
    again.load_state_dict(encoder.state_dict())
    audio = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder(encoder.features(audio)), full(audio).last_hidden_state)
        assert torch.equal(again(again.features(audio)), encoder(encoder.features(audio)))


def test_windows_do_not_drift():
    for s, fps in (
        (S30, 30),
        (S60, 60),
        (Streaming(6, 15, 9, 16000, 16000), 30),
        (Streaming(5, 13, 7, 16000, 16000), 25),
    ):
        for frame in (0, 1, fps * 600, fps * 3600):
            window = s.window_of(frame)
            inside = frame - s.frame_of(window)
            assert 0 <= inside < s.centre
            heard_from = s.start(window) + (s.left + inside) * s.window / s.frames
            assert abs(heard_from - frame * 16000 / fps) <= 1
    assert S60.frame_of(0) == -45 and S30.frame_of(0) == -23 and S60.start(0) == -16000
    assert S60.count(1) == 2 and S60.count(15) == 2 and S60.count(16) == 3


@pytest.mark.parametrize("name", ["hubert", "w2v", "phoneme_ctc", "melspec"])
def test_an_encoder_says_where_its_steps_are_and_keeps_its_weights_names(name):
    given = {"config": TINY} if name in ("hubert", "w2v") else {}
    encoder = build_encoder(name, {} if name == "melspec" else {**given, "pretrained": False}, frozen=True).eval()
    audio = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    features = encoder.features(audio)
    with torch.no_grad():
        steps = encoder(features)
    assert not features.requires_grad and steps.shape == (2, 49, encoder.dim)
    assert encoder.frozen == (name != "melspec") and encoder.centre == (200 if given else 320)
    assert encoder.receptive_field == ("local" if name == "melspec" else "window")
    parts = {weight.partition(".")[0] for weight in encoder.state_dict()}
    assert parts == ({"mel", "around"} if name == "melspec" else {"model"})
