"""Diffusion training: losses on coefficients and on vertices, batches that equal their parts, learning at all."""

import numpy as np
import pytest
import torch
from fakes.face import make_codec

from audio2face.audio.windows import Streaming
from audio2face.distributed import ALONE, Shard
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.vertex_distances import pair_distances
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.data import CONTEXT, SegmentBatch
from audio2face.models.diffusion.method import (
    DiffusionLosses,
    DiffusionMethod,
    coefficient_smoothness,
    over_frames,
    vertex_smoothness,
    warm_cosine,
)
from audio2face.models.diffusion.network import DiffusionRNN
from audio2face.models.diffusion.schedule import build_schedule
from audio2face.training.loop import fit
from audio2face.training.settings import FitSettings

V, VT, ACTORS = 20, 6, 2
COUNTS = {"skin": (4, 3), "tongue": (2, 1)}  # components of each actor
COEFFS = ChannelLayout({"skin_coeffs": 4, "tongue_coeffs": 2, "jaw": 15, "eye": 4})
POSES = ChannelLayout({"skin_pose": 3 * V, "tongue_pose": 3 * VT, "jaw": 15, "eye": 4})
SMALL = {"feature_dim": 32, "gru_feature_dim": 32, "emo_embedding_dim": 4, "actor_embedding_dim": 4, "dropout": 0.0}
WEIGHTS = {"LIP_DIST": 2.0, "VELOCITY": 3.0, "EXP_SMOOTH": 5.0}


def bases(seed=0):
    """Orthonormal rows of each actor: {mesh: [(K, V, 3)]}."""
    rng = np.random.default_rng(seed)
    found = {}
    for mesh, v in (("skin", V), ("tongue", VT)):
        found[mesh] = [
            np.linalg.qr(rng.normal(size=(3 * v, k)))[0].T.reshape(k, v, 3).astype(np.float32) for k in COUNTS[mesh]
        ]
    return found


def codec(on_vertices):
    found, mean = bases(), np.zeros((ACTORS, POSES.size), np.float32)
    mean[:, : 3 * (V + VT)] = np.random.default_rng(4).normal(size=(ACTORS, 3 * (V + VT)))
    codecs = [
        make_codec(COEFFS.sizes, {mesh: parts[actor] for mesh, parts in found.items()}, skin_coeffs=2.0 + actor)
        for actor in range(ACTORS)
    ]
    poses = [codec.on_vertices(row) for codec, row in zip(codecs, mean, strict=True)]
    return TorchCodec(codecs, poses, on_vertices)


def test_coefficients_that_an_actor_lacks_get_no_noise():
    faces = codec(on_vertices=False)
    assert faces.coeffs == COEFFS and faces.poses == POSES and faces.layout == COEFFS
    flags = faces.noised(torch.eye(ACTORS))
    assert flags[0].all() and (flags[1] == 0).nonzero().flatten().tolist() == [3, 5]
    assert codec(on_vertices=True).noised(torch.eye(ACTORS)).all()


def test_vertices_of_coefficients_project_to_them():
    faces, identity = codec(on_vertices=True), torch.eye(ACTORS)
    coeffs = torch.randn(ACTORS, 7, COEFFS.size) * codec(on_vertices=False).noised(identity)[:, None]
    frames = faces.frames(coeffs, identity)
    assert frames.shape == (ACTORS, 7, POSES.size)
    torch.testing.assert_close(faces.skin_coeffs(frames, identity), coeffs[..., :4])
    offsets = faces.delta(frames, identity)[..., faces.part("skin")]
    expected = torch.einsum("btk,bkv->btv", coeffs[..., :4], faces.basis_skin) * torch.tensor([2.0, 3.0])[:, None, None]
    torch.testing.assert_close(offsets, expected)


class Data:
    """Stands in for SegmentData."""

    device, world = torch.device("cpu"), ALONE

    def __init__(self, batches=()):
        self._batches = list(batches)

    def batches(self, epoch):
        return iter(self._batches)

    def steps_per_epoch(self):
        return len(self._batches)

    def describe(self, batch):
        return "a batch"


def method(on_vertices=False, data=None, seed=0, **losses):
    torch.manual_seed(seed)
    found, room = bases(), codec(on_vertices)
    network = DiffusionRNN(room.layout, room.network_mean, 30.0, 2, audio_encoder="melspec", **SMALL)
    settings = DiffusionLosses({**WEIGHTS, **losses}, tongue_weight=0.5, jaw_weight=2.0, lip_dist_exp=1.0)
    means = [np.random.default_rng(a).normal(size=(V, 3)).astype(np.float32) for a in range(ACTORS)]
    lips = [np.array([0, 1]), np.array([2, 3])]
    mask = np.linspace(0, 1, V, dtype=np.float32)
    masks, cpu = [mask] * ACTORS, torch.device("cpu")
    smooth = vertex_smoothness(masks, cpu) if on_vertices else coefficient_smoothness(found["skin"], masks, 4, cpu)
    return DiffusionMethod(
        network,
        data or Data(),
        room,
        build_schedule("cosine", 1000),
        settings,
        lambda epoch: 1.0,
        lip_dist=pair_distances(found["skin"], means, [lips[0]] * 2, [lips[1]] * 2, 4, torch.device("cpu")),
        smooth=smooth,
        streaming=Streaming(6, 15, 9, 16000, 16000),
    )


def batch(lengths=(20,), actors=(0,), seed=0, absent=()):
    rng = np.random.default_rng(seed)
    count, longest = len(lengths), max(lengths)
    target = np.zeros((count, longest, COEFFS.size), np.float32)
    audio = np.zeros((count, 2 * CONTEXT + 16000), np.float32)
    valid, known = np.zeros((count, longest), np.float32), np.ones((count, longest, COEFFS.size), np.float32)
    for row, (length, actor) in enumerate(zip(lengths, actors, strict=True)):
        target[row, :length] = rng.normal(size=(length, COEFFS.size)).cumsum(axis=0) * 0.1
        for mesh in ("skin", "tongue"):
            target[row, :, COEFFS.slices[f"{mesh}_coeffs"]][:, COUNTS[mesh][actor] :] = 0
        sound = CONTEXT + length * 534 + CONTEXT
        audio[row, :sound] = rng.normal(size=min(sound, audio.shape[1])) * 0.2
        valid[row, :length] = 1
    for row, channel in absent:
        known[row, :, COEFFS.slices[channel]] = 0
    t = torch.from_numpy
    return SegmentBatch(
        audio=t(audio),
        target=t(target),
        valid=t(valid),
        known=t(known),
        actor_ids=torch.tensor(actors),
        conditions=Conditions(
            {
                "actor": torch.eye(ACTORS)[list(actors)],
                "emotion": torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)),
            }
        ),
        emotion_ids=torch.zeros(count, dtype=torch.long),
        lengths=list(lengths),
        seeds=[100 + seed * 10 + row for row in range(count)],
        clips=list(range(count)),
        shard=Shard(count),
    )


def row_of(b, row):
    """The same segment as a batch of its own."""
    n = b.lengths[row]
    cut = lambda x: x[row : row + 1]  # noqa: E731
    return SegmentBatch(
        cut(b.audio),
        cut(b.target)[:, :n],
        cut(b.valid)[:, :n],
        cut(b.known)[:, :n],
        Conditions({name: cut(x) for name, x in b.conditions.tensors.items()}),
        *(cut(x) for x in (b.actor_ids, b.emotion_ids)),
        lengths=[n],
        seeds=[b.seeds[row]],
        clips=[0],
        shard=Shard(1),
    )


@pytest.mark.parametrize("on_vertices", [False, True])
def test_a_batch_equals_its_segments_accumulated(on_vertices):
    b = batch((20, 13, 9), (0, 1, 1), absent=[(1, "eye")])
    grown, parts = method(on_vertices), method(on_vertices)
    torch.nn.init.normal_(grown.network.heads["jaw"][-1].weight)
    parts.network.load_state_dict(grown.network.state_dict())
    for m in (grown, parts):
        m.network.eval()  # no dropout
    losses = grown.loss(b, 0.0)
    losses.total.backward()
    singles = [parts.loss(row_of(b, row), 0.0) for row in range(3)]
    for single in singles:
        (single.total / 3).backward()
    for name, value in losses.terms.items():
        assert value.item() == pytest.approx(np.mean([s.terms[name].item() for s in singles]), rel=1e-4), name
    for (name, ours), theirs in zip(grown.network.named_parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-3, msg=name)


def test_losses_of_poses_in_the_span_are_the_same_on_coefficients_and_on_vertices(monkeypatch):
    """Closed form: the bases are orthonormal, so an error of coefficients is an error of vertices of the same size."""
    b = batch((12, 12), (0, 1))
    error = torch.randn(b.target.shape, generator=torch.Generator().manual_seed(1)) * 0.3
    error[1, :, 3], error[1, :, 5] = 0, 0
    found = {}
    for on_vertices in (False, True):
        m = method(on_vertices)
        answer = m.codec.frames(b.target + error, b.actor)
        monkeypatch.setattr(m.network, "forward", lambda *args, answer=answer, **_: (answer, None))
        found[on_vertices] = m.loss(b, 0.0)
    assert set(found[True].terms) == {"MSE", "LIP_DIST", "VELOCITY", "EXP_SMOOTH"}
    for name, value in found[False].terms.items():
        assert value.item() == pytest.approx(found[True].terms[name].item(), rel=1e-4), name
        assert value > 0
    expected = (error * torch.tensor([1.0] * 4 + [0.5] * 2 + [2.0] * 15 + [1.0] * 4)).pow(2).sum(2).mean() / POSES.size
    assert found[False].terms["MSE"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_vertex_terms_by_hand(monkeypatch):
    """Velocity and smoothness on coefficients equal means over vertices."""
    b = batch((12,), (0,))
    error = torch.randn(b.target.shape, generator=torch.Generator().manual_seed(1))
    m = method()
    monkeypatch.setattr(m.network, "forward", lambda *args, **_: (b.target + error, None))
    terms = m.loss(b, 0.0).terms
    basis = torch.from_numpy(bases()["skin"][0]).flatten(1)
    moved = (error[0, :, :4] @ basis).diff(dim=0)
    assert terms["VELOCITY"].item() == pytest.approx(moved.pow(2).mean().item(), rel=1e-4)
    mask = torch.linspace(0, 1, V).repeat_interleave(3)
    predicted = ((b.target + error)[0, :, :4] @ basis).diff(dim=0)
    assert terms["EXP_SMOOTH"].item() == pytest.approx((mask * predicted.pow(2)).mean().item(), rel=1e-4)


def test_motion_outside_the_basis_is_smoothed_too(monkeypatch):
    b = batch((12,), (0,))
    frames = torch.randn(1, 12, POSES.size, generator=torch.Generator().manual_seed(1))
    m = method(on_vertices=True)
    monkeypatch.setattr(m.network, "forward", lambda *args, **_: (frames, None))
    mask = torch.linspace(0, 1, V).repeat_interleave(3)
    moved = frames[0, :, : 3 * V].diff(dim=0)
    assert m.loss(b, 0.0).terms["EXP_SMOOTH"].item() == pytest.approx((mask * moved.pow(2)).mean().item(), rel=1e-4)


def test_absent_channels_and_padded_frames_do_not_count():
    b = batch((20, 10), (0, 0), absent=[(0, "jaw"), (1, "jaw")])
    m = method(LIP_DIST=None, VELOCITY=None, EXP_SMOOTH=None)
    m.network.eval()
    before = m.loss(b, 0.0).total.item()
    b.target[..., COEFFS.slices["jaw"]] += 0  # noise on the jaw stays the same: only its error is left out
    b.target[1, 10:] = 77.0
    assert m.loss(b, 0.0).total.item() == pytest.approx(before, rel=1e-5)
    assert set(m.loss(b, 0.0).terms) == {"MSE"}


def test_noise_on_vertices_is_white_when_projected_and_absent_components_get_none():
    m = method()
    b = batch((400, 400), (0, 1))
    _, noise = m._draw(b, COEFFS.size)
    assert not noise[1, :, [3, 5]].any() and noise[0].std() == pytest.approx(1.0, abs=0.05)
    basis = codec(on_vertices=True).basis_skin[1]
    projected = torch.randn(20000, 3 * V, generator=torch.Generator().manual_seed(0)) @ basis.T
    covariance = projected.T @ projected / len(projected)
    torch.testing.assert_close(covariance, torch.diag(torch.tensor([1.0, 1, 1, 0])), atol=0.05, rtol=0)


def test_steps_are_drawn_evenly_or_towards_noise():
    m = method()
    b = batch((2,) * 300, (0,) * 300)
    b.seeds = list(range(300))
    even, _ = m._draw(b, 1)
    m.step_bias = 3.0
    noisy, _ = m._draw(b, 1)
    assert even.float().mean() == pytest.approx(500, abs=50)
    assert noisy.float().mean() == pytest.approx(650, abs=50)  # half of them ∫ t · 4 t³ dt
    assert 0 <= min(even.min(), noisy.min()) and max(even.max(), noisy.max()) < 1000


@pytest.mark.parametrize("on_vertices", [False, True])
def test_the_loss_falls_on_one_clip(on_vertices):
    b = batch((20, 20), (0, 1))
    m = method(on_vertices, Data([b]), LIP_DIST=None, VELOCITY=None, EXP_SMOOTH=None)
    m.network.eval()
    first = m.loss(b, 0.0).total.item()
    fit(m, FitSettings(epochs=60, learning_rate=3e-3, log_period=100), lambda step, values: None)
    assert m.loss(b, 0.0).total.item() < 0.65 * first


def test_learning_rate_warms_up_and_falls_along_a_cosine():
    rate = warm_cosine(5e-5, 1e-5, 400, 1e-4, 10)
    assert rate(0) * 5e-5 == pytest.approx(1e-4) and rate(5) * 5e-5 == pytest.approx(7.5e-5)
    assert rate(200) * 5e-5 == pytest.approx(3e-5) and rate(400) * 5e-5 == pytest.approx(1e-5)
    assert warm_cosine(1.0, 0.0, 10, 0.1, 0)(0) == 1.0


def test_over_frames_weighs_segments_alike():
    x = torch.tensor([[1.0, 3.0, 99.0], [6.0, 99.0, 99.0]])
    assert over_frames(x, torch.tensor([[1.0, 1, 0], [1.0, 0, 0]])).value.item() == 4.0
