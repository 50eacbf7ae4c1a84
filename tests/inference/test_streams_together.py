"""Several tracks in one batch, and networks in 8 bits."""

import numpy as np
import onnx
import pytest
from fakes import model as fake_model
from onnx import TensorProto, helper
from test_load_model import RATE, assert_same, diffusion, regression, speech  # noqa: F401

from audio2face import feed_together, finish_together, load_model
from audio2face.inference.face_animation import join
from audio2face.inference.quantize import quantize_int8
from audio2face.models.common import engine
from audio2face.models.diffusion.engine import drawn_noise
from audio2face.problems import UserError


def alone_and_together(model, tracks, size):
    """(options, sound) of every track, fed in pieces: what it gives alone, and with the others."""
    alone = []
    for options, samples in tracks:
        session = model.stream(**options)
        pieces = [session.feed(samples[first : first + size]) for first in range(0, len(samples), size)]
        alone.append(join([*pieces, session.finish()]))
    sessions = [model.stream(**options) for options, _ in tracks]
    longest = max(len(samples) for _, samples in tracks)
    found = [[] for _ in tracks]
    for first in range(0, longest, size):
        pieces = [samples[first : first + size] for _, samples in tracks]
        for kept, piece in zip(found, feed_together(sessions, pieces), strict=True):
            kept.append(piece)
    for kept, piece in zip(found, finish_together(sessions), strict=True):
        kept.append(piece)
    return alone, [join(pieces) for pieces in found]


def test_regression_tracks_together_give_what_each_gives_alone(regression):  # noqa: F811
    tracks = [
        ({"emotion": "joy", "fps": 60}, speech(0.3, seed=1)),
        ({"emotion": [(0.0, "anger"), (0.1, "joy")], "fps": 25}, speech(0.2, seed=2)),
        ({"sample_rate": 48000}, speech(0.3, 48000, seed=3)),
        ({}, np.zeros(0, np.float32)),
    ]
    for one, other in zip(*alone_and_together(regression, tracks, 700), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("most", [1 << 29, 1])
def test_diffusion_tracks_together_give_what_each_gives_alone(diffusion, most, monkeypatch):  # noqa: F811
    monkeypatch.setattr("audio2face.inference.session.FEED_BYTES", most)
    tracks = [
        ({"actor": "a", "emotion": "joy"}, speech(0.08, seed=1)),
        ({"actor": "b", "seed": 3, "constant_noise": False}, speech(0.05, seed=2)),
        ({"actor": "b", "sample_rate": 48000}, speech(0.08, 48000, seed=3)),
    ]
    for one, other in zip(*alone_and_together(diffusion, tracks, 100), strict=True):
        assert_same(one, other)


def test_tracks_that_are_ready_share_one_run(diffusion, monkeypatch):  # noqa: F811
    sizes, run_together = [], engine.run_together
    monkeypatch.setattr(
        "audio2face.inference.session.run_together",
        lambda run, feeds: sizes.append(len(feeds)) or run_together(run, feeds),
    )
    sessions = [diffusion.stream(actor="ab"[i % 2]) for i in range(5)]
    pieces = feed_together(sessions, [speech(0.01)] * 4 + [speech(0.003)])
    assert max(sizes) == 5 and sizes.count(4) > 0 and sum(len(p) for p in pieces) > 0
    assert all(s.compute_s == sessions[0].compute_s > 0 for s in sessions)


def test_noise_of_one_seed_is_held_once():
    first = drawn_noise(3, 7, (2, 4))
    assert drawn_noise(3, 7, (2, 4)) is first and not first.flags.writeable
    assert np.abs(drawn_noise(3, 8, (2, 4)) - first).min() > 0
    values = first.copy()
    del first
    np.testing.assert_array_equal(drawn_noise(3, 7, (2, 4)), values)


def test_nothing_is_heard_when_a_track_cannot(regression):  # noqa: F811
    open_, done = regression.stream(), regression.stream()
    done.finish()
    with pytest.raises(UserError, match="finished"):
        feed_together([open_, done], [speech(0.1)] * 2)
    with pytest.raises(UserError, match="not finite"):
        feed_together([open_, regression.stream()], [speech(0.1), np.array([np.nan])])
    with pytest.raises(UserError, match="twice"):
        feed_together([open_, open_], [speech(0.1)] * 2)
    with pytest.raises(UserError, match="2 streams and 1 pieces"):
        feed_together([open_, regression.stream()], [speech(0.1)])
    (piece,) = feed_together([open_], [speech(0.1)])
    assert_same(piece, regression.stream().feed(speech(0.1)))
    assert feed_together([], []) == []


def test_a_speech_encoder_in_8_bits(tmp_path):
    rng = np.random.default_rng(0)
    sizes = {"/encoder/first": (256, 300), "/head/last": (300, 260)}
    constants = [
        helper.make_tensor(f"{name}.w", TensorProto.FLOAT, size, rng.normal(size=size).astype(np.float32).ravel())
        for name, size in sizes.items()
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "/encoder/first.w"], ["h"], name="/encoder/first/MatMul"),
        helper.make_node("MatMul", ["h", "/head/last.w"], ["y"], name="/head/last/MatMul"),
    ]
    tensors = [fake_model.tensor("x", "batch", 256)], [fake_model.tensor("y", "batch", 260)]
    fake_model.save_onnx(tmp_path / "a.onnx", nodes, *tensors, constants)
    assert quantize_int8(tmp_path / "a.onnx", tmp_path / "b.onnx") == 1
    kinds = [node.op_type for node in onnx.load(tmp_path / "b.onnx").graph.node]
    assert "MatMulInteger" in kinds and "MatMul" in kinds
    x = rng.normal(size=(3, 256)).astype(np.float32)
    ours, theirs = (open_run(tmp_path / name, x) for name in ("a.onnx", "b.onnx"))
    assert 0 < np.abs(ours - theirs).max() < 0.03 * np.abs(ours).max()


def test_a_weight_that_several_products_share_stays_whole(tmp_path):
    rng = np.random.default_rng(0)
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, size, rng.normal(size=size).astype(np.float32).ravel() / 16)
        for name, size in {"u": (256, 256), "w": (300, 256), "v": (256, 300)}.items()
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "u"], ["h"], name="/encoder/MatMul"),
        helper.make_node("Gemm", ["h", "w"], ["a"], name="/step/Gemm", transB=1),
        helper.make_node("Gemm", ["a", "v"], ["b"], name="/back/Gemm", transB=1),
        helper.make_node("Gemm", ["b", "w"], ["y"], name="/step/Gemm_1", transB=1),
    ]
    tensors = [fake_model.tensor("x", "batch", 256)], [fake_model.tensor("y", "batch", 300)]
    fake_model.save_onnx(tmp_path / "a.onnx", nodes, *tensors, constants)
    assert quantize_int8(tmp_path / "a.onnx", tmp_path / "b.onnx") == 1
    x = rng.normal(size=(3, 256)).astype(np.float32)
    ours, theirs = (open_run(tmp_path / name, x) for name in ("a.onnx", "b.onnx"))
    assert 0 < np.abs(ours - theirs).max() < 0.05 * np.abs(ours).max()


def open_run(path, x):
    from audio2face.deploy.onnx import open_session

    return open_session(path).run(None, {"x": x})[0]


def test_mistakes_about_8_bits_are_told(tmp_path):
    folder = fake_model.regression_model(tmp_path / "model")
    with pytest.raises(UserError, match="int4"):
        load_model(folder, quantize="int4")
    with pytest.raises(UserError, match="no large speech encoder"):
        load_model(folder, quantize="int8")
