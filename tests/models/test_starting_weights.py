"""Starting from another run's weights: names and meshes decide what is carried over, and how."""

import logging

import numpy as np
import pytest
import torch
from fakes.run import make_preproc

from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.starting_weights import start_from
from audio2face.models.common.weights import save_weights
from audio2face.models.diffusion.network import DiffusionRNN
from audio2face.models.regression.network import ConvW2vAutocorr
from audio2face.problems import UserError
from audio2face.runs.train_run import NetworkSpec, write_train_run

PLAIN = {"use_w2v_features": False}
SMALL = {"feature_dim": 16, "gru_feature_dim": 16, "audio_encoder": "melspec"}


def orthonormal(preproc, seed):
    """The data of an actor whose skin components are orthonormal, as preprocessing makes them."""
    shapes = preproc.network_data["shapes_matrix_skin"]
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(shapes[0].size, len(shapes))))[0]
    preproc.network_data["shapes_matrix_skin"] = q.T.reshape(shapes.shape)
    return preproc


def make_spec(actors, emotions, kind="regression", zero="neutral"):
    """The spec of a network of {actor: its data}."""
    sizes = {}
    for name, preproc in actors.items():
        info = preproc.data_info
        sizes[name] = {"skin_coeffs": info["num_shapes_skin"], "tongue_coeffs": info["num_shapes_tongue"]}
        sizes[name] |= {"jaw": 15, "eye": 4}
    return NetworkSpec(
        network_type=kind, network_name={"regression": "conv_w2v_autocorr"}.get(kind, "diffusion_rnn_pca"),
        network_version="1", hyper_params={}, actors=list(actors), emotion_names=emotions, zero_emotion=zero,
        default_emotion="neutral", channels=["skin_coeffs", "tongue_coeffs", "jaw", "eye"], channel_sizes=sizes, fps=30.0,
        audio_params={"buffer_len": 8320}, audio_method="w2v", rescale=True,
    )  # fmt: skip


def make_network(spec, seed):
    torch.manual_seed(seed)
    if spec.network_type == "regression":
        return ConvW2vAutocorr(spec.max_sizes, len(spec.emotion_names), len(spec.actors), **PLAIN).eval()
    layout = ChannelLayout(spec.max_sizes)
    network = DiffusionRNN(layout, torch.zeros(len(spec.actors), layout.size), 30.0, len(spec.emotion_names), **SMALL)
    with torch.no_grad():
        for head in network.heads.values():
            head[2].weight.normal_()
            head[2].bias.normal_()
    return network.eval()


def write_run(tmp_path, actors, emotions, kind="regression"):
    """A run of a network with random weights: its network, and the file of its weights."""
    spec = make_spec(actors, emotions, kind)
    run, network = write_train_run(tmp_path / "run", spec, actors), make_network(spec, 1)
    save_weights(run.weights, network)
    return network, run.weights


@pytest.fixture
def amy(tmp_path):
    return orthonormal(make_preproc(tmp_path, "amy", 5, blendshapes=False), 0)


@pytest.fixture
def bob(tmp_path):
    """Another face with the vertices of amy's, of fewer components that lie in the span of hers, in other order."""
    preproc = orthonormal(make_preproc(tmp_path, "bob", 3, blendshapes=False, seed=1), 1)
    hers = make_preproc(tmp_path, "amy", 5, blendshapes=False)
    preproc.network_data["shapes_matrix_skin"] = orthonormal(hers, 0).network_data["shapes_matrix_skin"][[4, 0, 2]]
    preproc.network_data["shapes_matrix_skin"][1] *= -1
    return preproc


@pytest.mark.parametrize("kind", ["regression", "diffusion"])
def test_going_on_with_a_run_starts_from_its_very_weights(kind, amy, tmp_path, caplog):
    old, weights = write_run(tmp_path, {"amy": amy}, ["joy", "anger"], kind)
    spec = make_spec({"amy": amy}, ["joy", "anger"], kind)
    network = make_network(spec, 2)
    with caplog.at_level(logging.WARNING):
        start_from(network, spec, {"amy": amy}, weights)
    assert not caplog.records
    for name, value in network.state_dict().items():
        assert torch.equal(value, old.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["regression", "diffusion"])
def test_columns_follow_the_names_of_emotions_and_coefficients_the_mesh(kind, amy, bob, tmp_path, caplog):
    old, weights = write_run(tmp_path, {"amy": amy}, ["joy", "anger"], kind)
    spec = make_spec({"bob": bob}, ["anger", "fear", "joy"], kind)
    network = make_network(spec, 2)
    with caplog.at_level(logging.WARNING):
        start_from(network, spec, {"bob": bob}, weights)
    before, after = old.state_dict(), network.state_dict()
    joy, anger = before["emotion.weight"].unbind(1)
    assert torch.equal(after["emotion.weight"], torch.stack([anger, torch.zeros_like(joy), joy], 1))
    weight, bias = ("heads.face.1.weight", "heads.face.1.bias")
    if kind == "diffusion":
        weight, bias = "heads.skin_coeffs.2.weight", "heads.skin_coeffs.2.bias"
        assert torch.equal(after["actor.weight"], before["actor.weight"])
        columns = before["embeddings.skin_coeffs.linear.weight"][:, [4, 0, 2]] * torch.tensor([1, -1, 1])
        torch.testing.assert_close(after["embeddings.skin_coeffs.linear.weight"], columns)
    rows = before[weight][[4, 0, 2]] * torch.tensor([1, -1, 1])[:, None]
    torch.testing.assert_close(after[weight][:3], rows)
    torch.testing.assert_close(after[bias][:3], before[bias][[4, 0, 2]] * torch.tensor([1, -1, 1]))
    if kind == "regression":
        assert torch.equal(after[weight][3:], before[weight][5:]), "jaw and eyes"
    wide = tuple(before[weight].shape)
    assert f"{weight} is {wide} in the file, {tuple(after[weight].shape)} here: carried over" in caplog.text
    assert "emotion fear starts from scratch" in caplog.text


def test_a_mesh_of_other_vertices_starts_afresh_and_the_rest_does_not(amy, tmp_path, caplog):
    old, weights = write_run(tmp_path, {"amy": amy}, ["joy"])
    cleo = make_preproc(tmp_path, "cleo", 5, blendshapes=False)
    cleo.network_data["shapes_matrix_skin"] = np.zeros((5, 13, 3))
    cleo.data_info["num_verts_skin"] = 13
    spec = make_spec({"cleo": cleo}, ["joy"])
    network = make_network(spec, 2)
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        start_from(network, spec, {"cleo": cleo}, weights)
    before, after = old.state_dict(), network.state_dict()
    name = "heads.face.1.weight"
    assert torch.equal(after[name][:5], fresh[name][:5]) and torch.equal(after[name][5:], before[name][5:])
    assert torch.equal(after["summary.weight"], before["summary.weight"])
    assert "carried over by name and mesh; skin_coeffs starts from scratch" in caplog.text


def test_the_same_face_with_new_components_says_the_same(amy, tmp_path):
    """More components that contain the old ones, another mean and scale: the vertices that the network gives are the same."""
    old, weights = write_run(tmp_path, {"amy": amy}, ["joy"])
    new = orthonormal(make_preproc(tmp_path, "amy", 8, blendshapes=False), 5)
    basis = new.network_data["shapes_matrix_skin"]
    hers = amy.network_data["shapes_matrix_skin"].reshape(5, -1)
    both = np.linalg.qr(np.concatenate([hers, basis[:3].reshape(3, -1)]).T)[0].T  # their span, in an order of its own
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    new.network_data["shapes_matrix_skin"] = (turn @ both).reshape(8, 12, 3)
    new.network_data["shapes_mean_skin"] = amy.network_data["shapes_mean_skin"] + hers[0].reshape(12, 3)
    new.data_info = {**new.data_info, "scale_skin": 4.0}
    spec = make_spec({"amy": new}, ["joy"])
    network = make_network(spec, 2)
    start_from(network, spec, {"amy": new}, weights)
    audio, given = torch.randn(2, 8320), Conditions({"implicit": torch.randn(2, 16), "emotion": torch.rand(2, 1)})

    def vertices(model, data):
        with torch.no_grad():
            coeffs = model(audio, given)[0][:, : data.data_info["num_shapes_skin"]].double().numpy()
        shapes = data.network_data["shapes_matrix_skin"].reshape(coeffs.shape[1], -1)
        return data.network_data["shapes_mean_skin"].ravel() + data.data_info["scale_skin"] * coeffs @ shapes

    np.testing.assert_allclose(vertices(network, new), vertices(old, amy), atol=1e-4)


@pytest.mark.parametrize("kind", ["regression", "diffusion"])
def test_plain_values_keep_their_meaning_under_another_scale(kind, amy, tmp_path):
    old, weights = write_run(tmp_path, {"amy": amy}, ["joy"], kind)
    amy.data_info = {**amy.data_info, "scale_jaw": amy.data_info["scale_jaw"] / 2}
    spec = make_spec({"amy": amy}, ["joy"], kind)
    network = make_network(spec, 2)
    start_from(network, spec, {"amy": amy}, weights)
    before, after = old.state_dict(), network.state_dict()
    if kind == "regression":
        name = "heads.face.1.weight"
        assert torch.equal(after[name][5:20], 2 * before[name][5:20]), "the jaw"
        assert torch.equal(after[name][20:], before[name][20:]), "the eyes"
    else:
        assert torch.equal(after["heads.jaw.2.bias"], 2 * before["heads.jaw.2.bias"])
        assert torch.equal(after["embeddings.jaw.0.weight"], before["embeddings.jaw.0.weight"] / 2)
        assert torch.equal(after["heads.eye.2.weight"], before["heads.eye.2.weight"])


def test_actors_start_as_those_they_are_like(amy, bob, tmp_path):
    old, weights = write_run(tmp_path, {"amy": amy, "bob": bob}, ["joy"])
    audio, given = torch.randn(2, 8320), {"implicit": torch.randn(2, 16), "emotion": torch.full((2, 1), 0.3)}
    spec = make_spec({"amy": amy}, ["joy"])
    alone = make_network(spec, 2)
    start_from(alone, spec, {"amy": amy}, weights)
    with torch.no_grad():
        expected = old(audio, Conditions({**given, "actor": torch.tensor([[1.0, 0]]).expand(2, -1)}))[0]
        torch.testing.assert_close(alone(audio, Conditions(given))[0], expected)
    spec = make_spec({"dan": bob, "bob": bob, "amy": amy}, ["joy"], "diffusion")
    old, weights = write_run(tmp_path / "d", {"bob": bob, "amy": amy}, ["joy"], "diffusion")
    network = make_network(spec, 2)
    start_from(network, spec, {"dan": bob, "bob": bob, "amy": amy}, weights)
    of_bob, of_amy = old.state_dict()["actor.weight"].unbind(1)
    assert torch.equal(network.state_dict()["actor.weight"], torch.stack([of_bob, of_bob, of_amy], 1))


def test_weights_without_their_run_are_taken_by_shape(amy, bob, tmp_path, caplog):
    old, weights = write_run(tmp_path, {"amy": amy}, ["joy", "anger"])
    alone = weights.rename(tmp_path / "alone.pth")
    spec = make_spec({"bob": bob}, ["anger", "joy"])
    network = make_network(spec, 2)
    with caplog.at_level(logging.WARNING):
        start_from(network, spec, {"bob": bob}, alone)
    assert torch.equal(network.state_dict()["emotion.weight"], old.state_dict()["emotion.weight"])
    assert "taken by number" in caplog.text
    assert "heads.face.1.weight is (24, 150) in the file, (22, 150) here: starts from scratch" in caplog.text


def test_what_cannot_be_started_from_is_refused(amy, tmp_path):
    _, weights = write_run(tmp_path, {"amy": amy}, ["joy"])
    spec = make_spec({"amy": amy}, ["joy"], "diffusion")
    network = make_network(spec, 2)
    other = tmp_path / "other.pth"
    torch.save({"layer.weight": torch.zeros(3)}, other)
    (tmp_path / "noise.pth").write_bytes(b"no weights")
    torch.save({"model": {}}, tmp_path / "nested.pth")
    for path, line in (
        (weights, "is a regression network, NETWORK_TYPE is diffusion"),
        (weights.parent, "is a folder; set the weights.pth in it"),
        (tmp_path / "none.pth", "does not exist"),
        (other, "nothing in .* fits a diffusion_rnn_pca"),
        (tmp_path / "noise.pth", "not a file of weights"),
        (tmp_path / "nested.pth", "not the weights of a network"),
    ):
        with pytest.raises(UserError, match=f"^PRETRAINED_NET_FPATH: .*{line}"):
            start_from(network, spec, {"amy": amy}, path)
