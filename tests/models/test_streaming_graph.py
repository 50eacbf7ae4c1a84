"""A diffusion project from training to every way of running it, on tiny actors."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fakes.project import diffusion_project, use_project
from onnxruntime import InferenceSession

from audio2face import load_model
from audio2face.commands import deploy, infer, preproc, train
from audio2face.deploy.check.model import check_model
from audio2face.deploy.onnx import compare_onnx, open_session
from audio2face.deploy.tensorrt import PROVIDER, open_tensorrt
from audio2face.formats import read_animation
from audio2face.formats.sound import write_sound
from audio2face.inference.model import load_run_model
from audio2face.models.common.rollout import RolloutInputs
from audio2face.models.common.weights import load_weights, save_weights
from audio2face.models.diffusion.export import export_diffusion
from audio2face.models.diffusion.load import build_network, exported_step, load_graph, torch_step
from audio2face.models.diffusion.model import graph_signature
from audio2face.models.diffusion.rollout import FrameNoise, offline, stateless, streaming
from audio2face.problems import UserError
from audio2face.runs.manifest import forget_manifest
from audio2face.runs.train_run import load_train_run
from tests.models.test_diffusion_network import tiny_checkpoint, tiny_model
from tools import check_model as check_model_tool

CPU = torch.device("cpu")
WINDOWED = ("streaming", "streaming_stateless", "streaming_stateless_output_delta")
EXPORTED = ("streaming_stateless_onnx", "streaming_stateless_output_delta_onnx")


def make_project(root, actors, network="diffusion_rnn_pca", **settings):
    """Trains the project `tiny` under `root`; returns its training run."""
    diffusion_project(root, actors, NETWORK_NAME=network, **settings)
    with pytest.MonkeyPatch.context() as patch:
        use_project(root, patch)
        for actor in actors:
            preproc.run("tiny", actor)
        run = load_train_run(root / "workspace" / "output_train" / train.run("tiny").run)
    enliven(run)
    return run


def enliven(run):
    """Give the network weights that make sound, noise and state matter a lot, and export it again."""
    forget_manifest(run.path)
    network = build_network(run)
    load_weights(network, run.weights)
    torch.manual_seed(0)
    for head in network.heads.values():
        torch.nn.init.normal_(head[-1].weight, std=0.2)
    for part in network.embeddings.values():
        for weight in part.parameters():
            weight.data.mul_(4)
    save_weights(run.weights, network)
    export_diffusion(network, run)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two actors, on coefficients."""
    return make_project(tmp_path_factory.mktemp("two"), ("ann", "bob"), BATCH_SIZE=3)


@pytest.fixture(scope="module")
def vertices(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("vertices"), ("ann",), "diffusion_rnn", TARGET_FPS=60.0)


@pytest.fixture
def project(two, monkeypatch):
    """The commands work on the run of two actors."""
    root = two.path.parents[2]
    use_project(root, monkeypatch)
    return root


def output(root, name):
    return root / "workspace" / "output_inference" / name


def performance(graph, seconds=2.0, identity=0, seed=0):
    samples = np.random.default_rng(seed).normal(size=round(seconds * 16000)).astype(np.float32) * 0.2
    emotions = lambda frames: np.clip(frames / 60, 0, 1)[:, None].astype(np.float32)  # noqa: E731
    return RolloutInputs(samples, round(seconds * graph.network.fps), identity, emotions)


def frame_noise(graph, identity, seed=0, take=0):
    one = np.eye(len(graph.codec.mean), dtype=np.float32)[identity]
    mask = graph.codec.noised(torch.from_numpy(one)[None])[0].numpy()
    return FrameNoise(graph.streaming, seed, take, mask)


def ways(run, graph, show):
    """Frames of a performance in every windowed way."""
    noise = frame_noise(graph, show.identity)
    plain = load_graph(run, CPU, delta=False)
    return {
        "streaming": streaming(graph, show, noise),
        "delta": stateless(torch_step(graph), graph, show, noise),
        "whole": stateless(torch_step(plain), plain, show, noise),
        "onnx": stateless(exported_step(run, CPU, "onnx"), graph, show, noise),
    }


# The graph


@pytest.mark.parametrize("which", ["two", "vertices"])
def test_exported_graph_equals_torch_at_any_batch(which, request):
    run = request.getfixturevalue(which)
    graph = load_graph(run, CPU)
    signature = graph_signature(graph, len(run.spec.emotion_names))
    rng = np.random.default_rng(1)
    cases = {str(batch): signature.dummy(batch, rng) for batch in (1, 3)}
    for feeds in cases.values():
        feeds["identity"] = np.eye(feeds["identity"].shape[1], dtype=np.float32)[[0] * len(feeds["window"])]
    results = compare_onnx(run.path / "deploy" / "network.onnx", graph, cases)
    assert max(case["ratio"] for case in results) < 3e-5
    session = open_session(run.path / "deploy" / "network.onnx")
    shapes = {t.name: t.shape for t in (*session.get_inputs(), *session.get_outputs())}
    assert shapes["input_latents"] == [2, 2, "batch", 32] == shapes["output_latents"]
    assert [shapes[n][0] for n in ("window", "identity", "emotion", "noise", "prediction")] == ["batch"] * 5


def is_single_precision(run):
    """Whether no value of the exported graph is a double, a type that TensorRT does not have."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(run.path / "deploy/network.onnx")).graph
    types = {v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    types |= {a.i for node in graph.node if node.op_type == "Cast" for a in node.attribute}
    return onnx.TensorProto.FLOAT in types and onnx.TensorProto.DOUBLE not in types


@pytest.mark.parametrize("which", ["two", "vertices"])
def test_exported_graph_is_of_single_precision(which, request):
    assert is_single_precision(request.getfixturevalue(which))


def test_export_again_gives_the_same_network(two, project):
    path = two.path / "deploy" / "network.onnx"
    feeds = graph_signature(load_graph(two, CPU), 1).dummy(1, np.random.default_rng(0))
    before = open_session(path).run(None, feeds)
    path.unlink()
    assert train.run("tiny", export=two.name).run == two.name
    for ours, theirs in zip(open_session(path).run(None, feeds), before, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_network_info_describes_the_graph(two):
    info = json.loads((two.path / "deploy" / "network_info.json").read_text())
    assert info["id"] == {"type": "diffusion", "actor": "multi", "version": "0.1", "output": "geometry"}
    params = info["params"]
    assert params["identities"] == ["ann", "bob"] and params["emotions"] == ["joy"] and params["default_emotion"] == [0]
    assert (params["skin_size"], params["tongue_size"], params["jaw_size"], params["eyes_size"]) == (120, 36, 15, 4)
    assert (params["num_diffusion_steps"], params["num_gru_layers"], params["gru_latent_dim"]) == (2, 2, 32)
    frames = [params[f"num_frames_{name}"] for name in ("left_truncate", "center", "right_truncate")]
    assert frames == [7, 15, 8]
    trt = json.loads((two.path / "deploy" / "trt_info.json").read_text())
    assert trt["estimated_trt_builder_time"] == 150 and trt["defaults"]["MAX_BATCH_SIZE"] == 8
    assert "input_latents:2x2x{MAX_BATCH_SIZE}x32" in trt["trt_build_param"]["batch"][1]


def test_noise_goes_up_to_vertices_and_back(two):
    codec = load_graph(two, CPU).codec
    identity = torch.eye(2)
    drawn = torch.randn(2, 7, codec.layout.size) * codec.noised(identity)[:, None]
    lifted = codec.lift_noise(drawn, identity)
    assert lifted.shape == (2, 7, codec.poses.size)
    torch.testing.assert_close(codec.project_noise(lifted[:, None], identity)[:, 0], drawn, atol=1e-5, rtol=0)
    white = codec.project_noise(torch.randn(2, 1, 4000, codec.poses.size), identity)[:, 0]
    assert (white.std(dim=1) - codec.noised(identity)).abs().max() < 0.08
    assert not codec.noised(identity)[1, codec.layout.slices["tongue_coeffs"]].any()  # bob has no tongue


def test_frames_around_the_centre_are_zeros(two):
    graph = load_graph(two, CPU)
    feeds = graph_signature(graph, 1).dummy(1, np.random.default_rng(0))
    frames = torch_step(graph)(feeds)["prediction"][0]
    s = graph.streaming
    assert not frames[: s.left].any() and not frames[s.left + s.centre :].any()
    assert frames[s.left : s.left + s.centre].any(axis=1).all()


# The ways of running it


@pytest.mark.parametrize("which", ["two", "vertices"])
def test_every_windowed_way_gives_the_same_frames(which, request):
    run = request.getfixturevalue(which)
    graph = load_graph(run, CPU)
    for identity in range(len(run.spec.actors)):
        show = performance(graph, identity=identity)
        found = {name: np.concatenate(list(blocks)) for name, blocks in ways(run, graph, show).items()}
        scale = found["streaming"].std()
        assert found["streaming"].shape == (show.num_frames, graph.codec.poses.size) and scale > 1e-3
        for name, frames in found.items():
            assert np.abs(frames - found["streaming"]).max() < 1e-4 * scale, name


@pytest.mark.parametrize("which", ["two", "vertices"])
def test_offline_is_streaming_once_the_state_has_settled(which, request, monkeypatch):
    """Same hearing and same noise: only what the recurrent layers heard before the sound began differs."""
    run = request.getfixturevalue(which)
    graph = load_graph(run, CPU)
    show = performance(graph, 6.0)
    noise = frame_noise(graph, show.identity)
    live, once = (np.concatenate(list(way(graph, show, noise))) for way in (streaming, offline))
    difference = np.abs(live - once).max(axis=1)
    assert difference[-30:].max() < 0.02 * live.std()
    monkeypatch.setattr("audio2face.models.diffusion.rollout.PIECE_S", 0.7)
    pieces = list(offline(graph, show, noise))
    assert len(pieces) > 5
    np.testing.assert_allclose(np.concatenate(pieces), once, atol=2e-5 * np.abs(once).max())


def test_rollouts_work_in_constant_memory_and_do_not_drift(two):
    """Ten minutes: the frame that hears a click is the same distance from it at the end as at the beginning."""
    graph = load_graph(two, CPU)
    graph.network.encoder.features = lambda audio: audio
    graph.network.encoder.forward = lambda audio, *_: (
        audio.unfold(1, 320, 320).abs().amax(2)[..., None].expand(-1, -1, 256)
    )
    graph.network.encoder.centre = 160
    heard = []
    graph.sample = lambda conditions, *rest: (
        heard.append(conditions["speech"][0].norm(dim=1)),
        torch.zeros(1, conditions["speech"].shape[1], graph.network.layout.size),
        None,
    )[1:]
    torch.nn.init.eye_(graph.network.audio.weight)
    torch.nn.init.zeros_(graph.network.audio.bias)
    samples = np.zeros(600 * 16000, np.float32)
    times = np.array([0.5, 123.4, 300.0, 599.5])
    samples[np.round(times * 16000).astype(int)] = 1.0
    show = RolloutInputs(samples, 18000, 0, lambda frames: np.zeros((len(frames), 1), np.float32))
    noise = frame_noise(graph, show.identity)
    for way in (streaming, offline):
        heard.clear()
        count = sum(len(block) for block in way(graph, show, noise))
        assert count == 18000
        level = torch.cat(heard).numpy()
        level = level[-graph.streaming.first_frame :] if way is streaming else level
        for time in times:
            near = slice(int(time * 30) - 3, int(time * 30) + 4)
            centre = np.average(np.arange(18100)[near] + 0.5, weights=level[near]) / 30
            assert centre == pytest.approx(time, abs=0.02)  # encoder steps and half frames are that coarse


def test_noise_depends_on_seed_take_window_and_step_alone(two):
    graph = load_graph(two, CPU)
    noise = frame_noise(graph, 0)
    s = graph.streaming
    drawn = noise.frames(4, 40, -1)
    first = s.window_of(4)
    whole = np.concatenate([noise.window(w, -1) for w in range(first, first + 4)])
    np.testing.assert_array_equal(drawn, whole[4 - s.frame_of(first) :][:40])
    others = [frame_noise(graph, 0, seed=1), frame_noise(graph, 0, take=1)]
    assert all(np.abs(other.window(2, 0) - noise.window(2, 0)).max() > 0.1 for other in others)
    assert np.abs(noise.window(2, 1) - noise.window(2, 0)).max() > 0.1


# The commands


def test_deployed_folder(two, project):
    name = deploy.run("tiny", "latest")
    folder = project / "workspace" / "output_deploy" / name
    model = json.loads((folder / "model.json").read_text())
    assert model["modelConfigPaths"] == ["model_config_ann.json", "model_config_bob.json"]
    assert model["modelDataPaths"] == ["model_data_ann.npz", "model_data_bob.npz"]
    assert model["blendshapePaths"] == [{}, {}] and model["networkPath"] == "network.trt"
    assert {p.rule for p in check_model(folder, geometry_only=True)} == {
        "windows"
    }  # 7, 15 and 8 frames: frame 0 is lost
    assert check_model_tool.main([str(folder)]) == 0
    face = load_model(folder).animate(np.random.default_rng(0).normal(size=8000) * 0.1, 16000, actor="ann")
    assert face.fps == 30 and face.times_s[0] == pytest.approx(1 / 30, abs=1e-4)
    configs = {a: json.loads((folder / f"model_config_{a}.json").read_text())["config"] for a in ("ann", "bob")}
    undeployed = load_run_model(two, configs).animate(
        np.random.default_rng(0).normal(size=8000) * 0.1, 16000, actor="ann"
    )
    np.testing.assert_array_equal(undeployed.skin, face.skin)
    assert "every frame one sample" in (readme := (folder / "README.md").read_text())
    assert "divided by the largest absolute sample" in readme
    file = project / "configs/tiny/config_inference.py"
    text = file.read_text()
    file.write_text("CONFIG = {'bob': {'skin_strength': 0.5}}\n")
    deploy.run("tiny", "latest")
    file.write_text(text)
    strengths = [
        json.loads((folder / f"model_config_{a}.json").read_text())["config"]["skin_strength"] for a in ("ann", "bob")
    ]
    assert strengths == [1.1, 0.5]


def test_a_network_without_emotions_is_deployed_with_one_that_does_nothing(tmp_path, monkeypatch):
    """The runtime refuses an empty list of emotions."""
    diffusion_project(tmp_path, NO_STANDARDIZE_AUDIO=False)
    for cache in ("skin", "tongue"):
        shutil.rmtree(tmp_path / "datasets/ann/cache" / cache / "two_joy")
    config = tmp_path / "configs/tiny/config_dataset.py"
    config.write_text(config.read_text() + "SHOT_EMOTION_NAMES = ['neutral']\n")
    use_project(tmp_path, monkeypatch)
    preproc.run("tiny", "ann")
    run = load_train_run(tmp_path / "workspace/output_train" / train.run("tiny").run)
    enliven(run)
    folder = tmp_path / "workspace/output_deploy" / deploy.run("tiny", "latest")
    params = json.loads((folder / "network_info.json").read_text())["params"]
    assert params["emotions"] == ["neutral"] and params["default_emotion"] == [0.0]
    assert "does nothing" in (readme := (folder / "README.md").read_text()) and "mean 0 and variance 1" in readme
    feeds = graph_signature(load_graph(run, CPU), 1).dummy(1, np.random.default_rng(0))
    session = open_session(folder / "network.onnx")
    calm, wild = (session.run(None, {**feeds, "emotion": feeds["emotion"] * x})[0] for x in (0, 1))
    np.testing.assert_array_equal(calm, wild)
    options = {"OUTPUT_FORMATS": ["npy"]}
    takes = [infer.run("tiny", run.name, INFERENCE_MODE=mode, **options) for mode in ("streaming", EXPORTED[0])]
    a, b = (np.load(next(output(tmp_path, name).glob("*_skin.npy"))) for name in takes)
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_infer_in_every_mode(two, project):
    """The same frames in all windowed modes, in data units, as many as the sound lasts."""
    write_sound(project / "a.b.wav", np.random.default_rng(0).normal(size=(20000, 1)).astype(np.float32) * 0.1, 16000)
    options = {"AUDIO_PATH": str(project / "a.b.wav"), "ACTOR_NAME": "ann", "CONDITION": "bob", "OUTPUT_NPY_FILE": True}
    options |= {"EMOTION_LABEL": [(0.0, {"neutral": 1.0}), (1.0, {"joy": 0.8})]}
    results = {}
    for mode in ("offline", *WINDOWED, *EXPORTED):
        folder = output(project, infer.run("tiny", two.name, INFERENCE_MODE=mode, **options))
        stem = folder / f"a.b_ann_bob_timeline_{mode}"
        results[mode] = values = np.load(f"{stem}.npy")
        skin, tongue = np.load(f"{stem}_skin.npy"), np.load(f"{stem}_tongue.npy")
        assert values.shape == (38, 120 + 36 + 15 + 4)  # 1.25 s
        np.testing.assert_array_equal(skin.reshape(38, -1), values[:, :120])
        np.testing.assert_array_equal(tongue.reshape(38, -1), values[:, 120:156])
        assert np.load(f"{stem}_jaw.npy").shape == (38, 5, 3) and np.load(f"{stem}_eye.npy").shape == (38, 4)
        cache = read_animation(folder / f"{stem.name}.xml")
        np.testing.assert_allclose(cache.frames, skin, atol=1e-5)
        assert cache.fps == 30
    rest = two.actor("ann").network_data["neutral_skin"].ravel()
    moved = results["streaming"][:, :120] - rest
    assert 1e-3 < np.abs(moved).max() < 20
    for mode in (*WINDOWED, *EXPORTED):
        assert np.abs(results[mode] - results["streaming"]).max() < 1e-4 * moved.std(), mode


def test_takes_seeds_and_given_noise(two, project, tmp_path):
    options = {"OUTPUT_FORMATS": ["npy"], "INFERENCE_MODE": "streaming"}
    folder = output(project, infer.run("tiny", "latest", NUM_SAMPLES=2, **options))
    takes = [np.load(folder / f"one_neutral_ann_ann_neutral_streaming_take{i}.npy") for i in (1, 2)]
    assert np.abs(takes[0] - takes[1]).max() > 1e-4
    name = "one_neutral_ann_ann_neutral_streaming.npy"
    again = np.load(output(project, infer.run("tiny", "latest", **options)) / name)
    np.testing.assert_array_equal(again, takes[0])
    other = np.load(output(project, infer.run("tiny", "latest", RNG_SEED_INFERENCE=7, **options)) / name)
    assert np.abs(other - again).max() > 1e-4
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(3, 30, 175)).astype(np.float32))
    given = {"DETERMINISTIC_NOISE_PATH": str(tmp_path / "noise.npy"), "OUTPUT_FORMATS": ["npy"]}
    fixed = {}
    for mode in ("streaming", "streaming_stateless_output_delta_onnx"):
        folder = output(project, infer.run("tiny", "latest", INFERENCE_MODE=mode, **given))
        fixed[mode] = np.load(folder / f"one_neutral_ann_ann_neutral_{mode}.npy")
    first, second = fixed.values()
    assert np.abs(first - second).max() < 1e-4 * first.std() and np.abs(first - again).max() > 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"TIMESTEP_RESPACING": "1"},
        {"TIMESTEP_RESPACING": "10", "SKIP_STEPS": 4},
        {"TIMESTEP_RESPACING": "ddim5", "USE_DDIM": True, "INFERENCE_MODE": "streaming"},
        {"NUM_DIFFUSION_STEPS": 3, "APPLY_POSTPROCESSING": True},
    ],
)
def test_sampling_options(two, project, options):
    folder = output(project, infer.run("tiny", "latest", OUTPUT_FORMATS=["npy"], **options))
    mode = options.get("INFERENCE_MODE", "offline")
    skin = np.load(folder / f"one_neutral_ann_ann_neutral_{mode}_skin.npy")
    assert skin.shape == (60, 40, 3) and np.isfinite(skin).all()
    jaw = np.load(folder / f"one_neutral_ann_ann_neutral_{mode}_jaw.npy")
    assert jaw.shape == ((60, 4, 4) if options.get("APPLY_POSTPROCESSING") else (60, 5, 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"INFERENCE_MODE": "streaming_stateless_trt"}, "install onnxruntime-gpu"),
        ({"INFERENCE_MODE": "offline_onnx"}, "must be one of 'offline'"),
        (
            {"INFERENCE_MODE": "streaming_stateless_onnx", "TIMESTEP_RESPACING": "5"},
            "exported with TIMESTEP_RESPACING '2'",
        ),
        ({"INFERENCE_MODE": "streaming_stateless_onnx", "USE_DDIM": True}, "USE_DDIM False"),
        ({"INFERENCE_MODE": "streaming_stateless", "SKIP_STEPS": 1}, "'offline' or 'streaming'"),
        ({"CONDITION": "eve"}, "CONDITION 'eve': training run"),
        ({"ACTOR_NAME": None}, r"^ACTOR_NAME is not set[^\n]*--actor \w+$"),  # CONDITION follows it
        ({"DETERMINISTIC_NOISE_PATH": "/nowhere.npy"}, "DETERMINISTIC_NOISE_PATH"),
    ],
)
def test_mistakes_are_told_before_any_work(two, project, options, words):
    with pytest.raises(UserError, match=words):
        infer.run("tiny", "latest", **options)


def test_what_an_actor_has_no_data_for_stays_at_rest(two):
    codec = load_graph(two, CPU).codec
    moves = {name: part.any(dim=1).tolist() for name, part in codec.poses.split(codec.scale).items()}
    assert moves == {"skin_pose": [True, True], "tongue_pose": [True, False], "jaw": [False] * 2, "eye": [False] * 2}


def test_an_empty_respacing_takes_every_step(two):
    assert load_graph(two, CPU, "").schedule.timesteps.tolist() == list(range(1000))
    assert load_graph(two, CPU).schedule.timesteps.tolist() == [0, 999]


def test_noise_of_another_shape_is_refused(two, project, tmp_path):
    np.save(tmp_path / "noise.npy", np.zeros((3, 60, 175), np.float32))
    with pytest.raises(UserError, match=r"expected \(3, 30, 175\)"):
        infer.run("tiny", "latest", DETERMINISTIC_NOISE_PATH=str(tmp_path / "noise.npy"))


class TensorrtSession:
    """onnxruntime with TensorRT as far as it can be told without one: what it was asked for, computed on the CPU."""

    asked: list = []
    started = True

    def __init__(self, path, options, providers):
        TensorrtSession.asked = providers
        self.session = InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def get_providers(self):
        return [PROVIDER] * self.started + ["CPUExecutionProvider"]

    def __getattr__(self, name):
        return getattr(self.session, name)


def test_tensorrt_gets_the_exported_network_and_its_shapes(two, project, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [PROVIDER, "CPUExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", TensorrtSession)
    options = {"INFERENCE_MODE": "streaming_stateless_output_delta_trt", "OUTPUT_FORMATS": ["npy"]}
    folder = output(project, infer.run("tiny", "latest", **options))
    found = np.load(folder / "one_neutral_ann_ann_neutral_streaming_stateless_output_delta_trt.npy")
    (name, asked), rest = TensorrtSession.asked
    assert name == PROVIDER and rest == "CPUExecutionProvider"
    shapes = "window:1x16000,identity:1x2,emotion:1x15x1,input_latents:2x2x1x32,noise:1x3x30x175"
    assert {asked[f"trt_profile_{which}_shapes"] for which in ("min", "opt", "max")} == {shapes}
    engines = Path(asked["trt_engine_cache_path"])
    assert engines.parent == two.path / "trt_engines" and engines.is_dir() and asked["device_id"] == 0
    folder = output(project, infer.run("tiny", "latest", INFERENCE_MODE="streaming", OUTPUT_FORMATS=["npy"]))
    torch_frames = np.load(folder / "one_neutral_ann_ann_neutral_streaming.npy")
    assert np.abs(found - torch_frames).max() < 1e-4 * torch_frames.std()
    monkeypatch.setattr(TensorrtSession, "started", False)
    with pytest.raises(UserError, match="could not start TensorRT"):
        infer.run("tiny", "latest", **options)


def test_other_weights_get_an_engine_of_their_own(two, tmp_path, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [PROVIDER, "CPUExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", TensorrtSession)
    shutil.copytree(two.path / "deploy", tmp_path / "deploy")
    engines = []
    for _ in range(2):
        open_tensorrt(tmp_path / "deploy" / "network.onnx", replace(two, path=tmp_path), torch.device("meta:1"))
        ((_, asked), _), path = TensorrtSession.asked, tmp_path / "deploy" / "network.onnx"
        engines.append(asked["trt_engine_cache_path"])
        assert asked["device_id"] == 1
        model = onnx.load(str(path))
        model.producer_name = "trained on"
        onnx.save(model, str(path))
    assert engines[0] != engines[1]


def run_in_every_mode(run, root, tolerance=1e-4):
    """Infer in every mode; all windowed ones must give the same frames."""
    assert is_single_precision(run)
    results = {}
    for mode in ("offline", *WINDOWED, *EXPORTED):
        folder = output(root, infer.run("tiny", "latest", INFERENCE_MODE=mode, OUTPUT_FORMATS=["npy"]))
        results[mode] = np.load(folder / f"one_neutral_ann_ann_neutral_{mode}.npy")
    for mode in (*WINDOWED, *EXPORTED):
        assert np.abs(results[mode] - results["streaming"]).max() < tolerance * results["streaming"].std(), mode
    assert np.isfinite(results["offline"]).all()
    assert run.spec.extra["encoder"]["pretrained"] is False


@pytest.mark.parametrize("model_type", ["hubert", pytest.param("wavlm", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_hubert_and_wavlm_go_all_the_way(model_type, tmp_path, monkeypatch):
    """Trained from a local folder, exported, and run in every mode after that folder is gone."""
    folder = tmp_path / "model"
    tiny_model(folder, model_type)
    hyper = {"audio_encoder": "hubert", "hubert_model": str(folder), "hubert_feature_dim": 16}
    run = make_project(tmp_path, ("ann",), hyper=hyper)
    folder.rename(tmp_path / "gone")
    use_project(tmp_path, monkeypatch)
    run_in_every_mode(run, tmp_path)


@pytest.mark.slow
def test_wav2vec_from_a_checkpoint_goes_all_the_way(tmp_path, monkeypatch):
    checkpoint = tmp_path / "base.pth"
    tiny_checkpoint(checkpoint, "wav2vec2", monkeypatch)
    hyper = {"audio_encoder": "w2v", "w2v_model": str(checkpoint), "hubert_feature_dim": 16}
    run = make_project(tmp_path, ("ann",), hyper=hyper)
    checkpoint.unlink()
    use_project(tmp_path, monkeypatch)
    run_in_every_mode(run, tmp_path)


@pytest.mark.slow
def test_phoneme_recogniser_goes_all_the_way(tmp_path, monkeypatch):
    pytest.importorskip("hama")
    run = make_project(tmp_path, ("ann",), hyper={"audio_encoder": "phoneme_ctc"})
    use_project(tmp_path, monkeypatch)
    monkeypatch.setattr(
        "audio2face.models.common.encoders.phoneme_ctc.package_folder", None
    )  # the run needs it no more
    run_in_every_mode(run, tmp_path, 3e-4)  # its blocks amplify the last bits of sums
