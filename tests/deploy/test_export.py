"""Exported networks: what onnxruntime computes is what PyTorch computes, for any batch."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from fakes import run as fake_run
from fakes.face import make_codec
from torch import nn

from audio2face.deploy.onnx import compare_onnx, export_onnx, open_session
from audio2face.deploy.signature import Signature, TensorSpec, regression_signature, trt_info
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.regression.export import check_inputs, export_regression
from audio2face.models.regression.graph import RegressionGraph, actor_signature, regression_graph
from audio2face.problems import UserError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run.make_train_run(
        tmp_path_factory.mktemp("train"), fake_run.make_spec(("ada", "bob")), blendshapes=False
    )


def test_signature_gives_shapes_axes_and_trt_text():
    signature = Signature(
        (TensorSpec("window", ("batch", 16)), TensorSpec("latents", (2, 2, "batch", 8))),
        (TensorSpec("y", ("batch", 3)),),
    )
    dummy = signature.dummy(5, np.random.default_rng(0))
    assert {name: array.shape for name, array in dummy.items()} == {"window": (5, 16), "latents": (2, 2, 5, 8)}
    assert all(array.dtype == np.float32 for array in dummy.values())
    assert signature.dynamic_axes() == {"window": {0: "batch"}, "latents": {2: "batch"}, "y": {0: "batch"}}
    assert signature.trt_shapes("{MAX}") == "window:{MAX}x16,latents:2x2x{MAX}x8"


def test_trt_info_has_every_shape_and_defaults_for_its_placeholders():
    info = trt_info(regression_signature(8320, 19, 29))
    assert info == {
        "trt_build_param": {
            "cuda_in_graphics": ["--memPoolSize=tacticSharedMem:0.046875"],
            "batch": [
                "--minShapes=input:1x1x8320,emotion:1x1x19",
                "--maxShapes=input:{MAX_BATCH_SIZE}x1x8320,emotion:{MAX_BATCH_SIZE}x1x19",
                "--optShapes=input:{OPT_BATCH_SIZE}x1x8320,emotion:{OPT_BATCH_SIZE}x1x19",
            ],
        },
        "defaults": {"MAX_BATCH_SIZE": 8, "OPT_BATCH_SIZE": 3},
    }
    shapes = [argument.format(**info["defaults"]) for argument in info["trt_build_param"]["batch"]]
    assert shapes[1:] == ["--maxShapes=input:8x1x8320,emotion:8x1x19", "--optShapes=input:3x1x8320,emotion:3x1x19"]


class Echo(nn.Module):
    """A network whose output is its emotion, repeated to the wanted width."""

    conditions = ()

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, audio, conditions):
        emotion, implicit = conditions["emotion"].sum(dim=1, keepdim=True), conditions["implicit"][:, :1]
        return emotion + torch.arange(self.width) + 0 * audio[:, :1] + 10 * implicit, {}


def test_graph_reorders_cuts_scales_and_fills():
    layout = ChannelLayout({"eye": 4, "skin_coeffs": 5})  # the network's order, sizes of the largest actor
    sizes = {"skin_coeffs": 3, "tongue_coeffs": 2, "jaw": 15, "eye": 4}
    graph = RegressionGraph(Echo(9), layout, make_codec(sizes, skin_coeffs=2.0), 1, [1.0])
    emotion = torch.tensor([[[1.0, 0.0]], [[0.0, 0.5]]])
    result = graph(torch.zeros(2, 1, 8), emotion)
    assert result.shape == (2, 1, 24)
    np.testing.assert_allclose(result[0, 0, :3], 2 * np.array([14, 15, 16]))  # skin: columns 4..6, + 10 for implicit
    np.testing.assert_allclose(result[:, 0, 3:20], 0)
    np.testing.assert_allclose(result[1, 0, 20:], np.arange(4) + 0.5)


def test_graph_refuses_channels_that_do_not_fit():
    sizes = {"skin_coeffs": 3, "tongue_coeffs": 2, "jaw": 15, "eye": 4}
    with pytest.raises(ValueError, match="skin_coeffs"):
        RegressionGraph(Echo(2), ChannelLayout({"skin_coeffs": 2}), make_codec(sizes), 1, [1.0])


def test_actor_is_baked_in(run):
    network = fake_run.make_network(run.spec).eval()
    spec, actor = run.spec, run.actor("bob")
    graph = regression_graph(network, spec, actor, 4).eval()
    feeds = actor_signature(spec, actor, 4).dummy(3, np.random.default_rng(0))
    emotion = torch.from_numpy(feeds["emotion"][:, 0])
    given = {"implicit": emotion[:, :4], "emotion": emotion[:, 4:], "actor": torch.tensor([0.0, 1.0]).expand(3, 2)}
    with torch.no_grad():
        expected = network(torch.from_numpy(feeds["input"][:, 0]), Conditions(given))[0]
        found = graph(*map(torch.from_numpy, feeds.values()))[:, 0]
    torch.testing.assert_close(found, expected)


def test_what_an_actor_has_no_data_for_stays_at_rest(run):
    network = fake_run.make_network(run.spec).eval()
    spec, actor = replace(run.spec, extra={**run.spec.extra, "absent": {"bob": ["jaw"]}}), run.actor("bob")
    feeds = [torch.from_numpy(x) for x in actor_signature(spec, actor, 4).dummy(3, np.random.default_rng(0)).values()]
    with torch.no_grad():
        moving, resting = (regression_graph(network, s, actor, 4).eval()(*feeds) for s in (run.spec, spec))
    jaw = actor.codec.layout.slices["jaw"]
    assert moving[..., jaw].abs().max() > 0 and not resting[..., jaw].any()
    others = torch.ones(moving.shape[2], dtype=torch.bool)
    others[jaw] = False
    assert torch.equal(moving[..., others], resting[..., others])


@pytest.mark.parametrize("actor", ["ada", "bob"])
def test_exported_networks_equal_torch(run, actor):
    folder = run.export_folder(actor)
    model = onnx.load(str(folder / "network.onnx"))
    assert [op.version for op in model.opset_import if op.domain == ""] == [17]
    check = json.loads((folder / "export_check.json").read_text())
    assert {case["batch"] for case in check["cases"]} == {1, 3} and len(check["cases"]) == 6
    assert check["largest_ratio"] <= 1e-5 and check["opset"] == 17
    session = open_session(folder / "network.onnx")
    assert [(t.name, t.shape) for t in session.get_inputs()] == [
        ("input", ["batch", 1, 640]),
        ("emotion", ["batch", 1, 6]),
    ]
    width = run.actor(actor).codec.layout.size
    assert [(t.name, t.shape) for t in session.get_outputs()] == [("result", ["batch", 1, width])]
    feeds = actor_signature(run.spec, run.actor(actor), 4).dummy(7, np.random.default_rng(0))
    together = session.run(None, feeds)[0]
    alone = [session.run(None, {k: v[i : i + 1] for k, v in feeds.items()})[0] for i in range(7)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)


class GpuSession:
    """onnxruntime with a GPU as far as it can be told without one: what it was asked for and what it says it has."""

    asked: list = []
    started = True

    def __init__(self, path, options, providers):
        GpuSession.asked = providers

    def get_providers(self):
        return ["CUDAExecutionProvider"] * self.started + ["CPUExecutionProvider"]


@pytest.mark.parametrize(("device", "number"), [("cuda", 0), ("cuda:1", 1)])
def test_onnxruntime_computes_on_the_device_that_was_chosen(device, number, monkeypatch, caplog):
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["TensorrtX", *GpuSession("", 0, []).get_providers()]
    )
    monkeypatch.setattr("onnxruntime.InferenceSession", GpuSession)
    open_session("network.onnx", torch.device(device))
    assert GpuSession.asked == [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]
    assert not caplog.records
    monkeypatch.setattr(GpuSession, "started", False)  # its libraries are not there
    open_session("network.onnx", torch.device(device))
    assert "running on the CPU" in caplog.text
    open_session("network.onnx")
    assert GpuSession.asked == ["CPUExecutionProvider"] and len(caplog.records) == 1


def test_export_leaves_the_module_as_it_was(run, tmp_path):
    network = fake_run.make_network(run.spec).train()
    network.audio.eval()
    actor = run.actor("ada")
    graph, signature = regression_graph(network, run.spec, actor, 4), actor_signature(run.spec, actor, 4)
    export_onnx(graph, signature, tmp_path / "a.onnx")
    assert network.training and network.mix.training and not network.audio.training
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_a_network_that_differs_is_refused(run, tmp_path):
    actor = run.actor("ada")
    signature = actor_signature(run.spec, actor, 4)
    database = run.emotion_db("ada")
    graph = regression_graph(fake_run.make_network(run.spec, seed=1), run.spec, actor, 4)
    with pytest.raises(RuntimeError, match="differs from PyTorch"):
        compare_onnx(run.export_folder("ada") / "network.onnx", graph, check_inputs(signature, database, None))


def test_nan_is_a_difference(tmp_path):
    class Log(nn.Module):
        def forward(self, x):
            return torch.log(x)

    signature = Signature((TensorSpec("x", ("batch", 2)),), (TensorSpec("y", ("batch", 2)),))
    export_onnx(Log(), signature, tmp_path / "a.onnx")
    with pytest.raises(RuntimeError):
        compare_onnx(tmp_path / "a.onnx", Log(), {"negative": {"x": -np.ones((1, 2), np.float32)}})


class Affine(nn.Module):
    def __init__(self, slope, offset=0.0):
        super().__init__()
        self.slope, self.offset = slope, offset

    def forward(self, x):
        return x * self.slope + self.offset


def test_quiet_cases_are_judged_by_the_typical_scale_and_wild_ones_by_their_own(tmp_path):
    signature = Signature((TensorSpec("x", ("batch", 2)),), (TensorSpec("y", ("batch", 2)),))
    export_onnx(Affine(1.0), signature, tmp_path / "a.onnx")
    values = {"rest": 0.5, "speech": 50, "song": 60, "wild": 1e6}
    cases = {name: {"x": np.full((1, 2), value, np.float32)} for name, value in values.items()}
    ratios = [case["ratio"] for case in compare_onnx(tmp_path / "a.onnx", Affine(1 + 5e-5), cases)]
    typical = 55 * (1 + 5e-5)
    np.testing.assert_allclose(ratios, [0.5 * 5e-5 / typical, 50 * 5e-5 / typical, 5e-5, 5e-5], rtol=0.02)
    known = compare_onnx(tmp_path / "a.onnx", Affine(1 + 5e-5), cases, {"y": 550.0})
    np.testing.assert_allclose([case["ratio"] for case in known[:2]], np.array(ratios[:2]) / 10, rtol=0.01)
    with pytest.raises(RuntimeError, match="wild: y"):
        compare_onnx(tmp_path / "a.onnx", Affine(1 + 2e-4), cases)
    with pytest.raises(RuntimeError, match="rest: y by 0.02"):  # a wild case does not excuse it
        compare_onnx(tmp_path / "a.onnx", Affine(1.0, 0.02), cases)


def test_a_baked_batch_is_refused(run, tmp_path):
    class Baked(nn.Module):
        def forward(self, x):
            return torch.zeros(int(x.shape[0]), 2) + x

    signature = Signature((TensorSpec("x", ("batch", 2)),), (TensorSpec("y", ("batch", 2)),))
    with pytest.raises((ValueError, RuntimeError)):
        export_onnx(Baked(), signature, tmp_path / "a.onnx")
        compare_onnx(tmp_path / "a.onnx", Baked(), {"one": {"x": np.ones((1, 2), np.float32)}})


def test_other_opset_and_exporter(run, tmp_path):
    actor = run.actor("ada")
    graph, signature = (
        regression_graph(fake_run.make_network(run.spec), run.spec, actor, 4),
        actor_signature(run.spec, actor, 4),
    )
    inputs = check_inputs(signature, run.emotion_db("ada"), None)
    export_onnx(graph, signature, tmp_path / "a.onnx", opset=14)
    assert compare_onnx(tmp_path / "a.onnx", graph, inputs)
    with pytest.raises(UserError, match="18"):
        export_onnx(graph, signature, tmp_path / "b.onnx", opset=17, exporter="dynamo")
    with pytest.raises(UserError, match="unknown"):
        export_onnx(graph, signature, tmp_path / "b.onnx", exporter="other")


@pytest.mark.slow
def test_dynamo_exporter(run, tmp_path):
    pytest.importorskip("onnxscript")
    actor = run.actor("bob")
    graph, signature = (
        regression_graph(fake_run.make_network(run.spec), run.spec, actor, 4),
        actor_signature(run.spec, actor, 4),
    )
    export_onnx(graph, signature, tmp_path / "a.onnx", opset=18, exporter="dynamo")
    assert compare_onnx(tmp_path / "a.onnx", graph, check_inputs(signature, run.emotion_db("bob"), None))
    assert not any(node.metadata_props for node in onnx.load(str(tmp_path / "a.onnx")).graph.node)


def test_network_info_of_each_actor(run):
    info = json.loads((run.export_folder("bob") / "network_info.json").read_text())
    assert info["params"]["num_shapes_skin"] == 4 and info["params"]["implicit_emotion_len"] == 4
    assert info["params"]["identities"] == ["bob"] and info["params"]["result_eyes_size"] == 4
    assert info["audio_params"] == run.spec.audio_params


def test_export_again_gives_the_same_network(run, tmp_path):
    before = (run.export_folder("ada") / "network.onnx").read_bytes()
    export_regression(fake_run.make_network(run.spec), run, fake_run.make_databases(run.spec))
    assert (run.export_folder("ada") / "network.onnx").read_bytes() == before
