"""Networks of the guide: codebooks that stay in use, a transformer that may be asked one code at a time, drawing."""

import numpy as np
import pytest
import torch

from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.guide.codec import KeyframeCodec
from audio2face.models.guide.network import GuideNetwork
from audio2face.models.guide.options import Drawing
from audio2face.models.guide.quantizer import DECAY, SMOOTHING, ResidualQuantizer, k_means, nearest
from audio2face.models.guide.sampling import draw, nucleus, sample
from audio2face.models.guide.transformer import MEMORY_S, REACH_S

LAYOUT = ChannelLayout({"head": 3, "body": 4})


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def quantizer(size=6, depth=3, dim=4, seed=0):
    made = ResidualQuantizer(dim, size, depth)
    made.fit(normal(300, dim, seed=seed), generator(seed))
    return made


def network(seed=0):
    torch.manual_seed(seed)
    net = GuideNetwork(LAYOUT, 30.0, 1.0, 2, 1, 8, 3, 4, 16, 32, 2, 2, 0.0).eval()
    for p in net.parameters():  # past the zeros at which it starts
        torch.nn.init.normal_(p, std=0.3)
    net.codec.quantizer.fit(normal(300, 4, seed=seed), generator(seed))
    return net


def conditions(frames, seed=1, rows=1):
    g = generator(seed)
    return Conditions(
        {
            "speech": torch.randn(rows, frames, 32, generator=g),
            "actor": torch.eye(2)[:1].repeat(rows, 1),
            "emotion": torch.rand(rows, 1, generator=g),
        }
    )


def test_codes_are_the_nearest_vectors_one_codebook_after_the_other():
    made, z = quantizer(), normal(2, 5, 4, seed=3)
    found = made(z)
    residual = z.reshape(-1, 4).numpy()
    for stage in range(3):
        distances = ((residual[:, None] - made.codebooks[stage].numpy()) ** 2).sum(axis=2)
        assert np.array_equal(found.codes[..., stage].flatten(), distances.argmin(axis=1))
        residual = residual - made.codebooks[stage].numpy()[distances.argmin(axis=1)]
    np.testing.assert_allclose(found.values, z - torch.from_numpy(residual).view_as(z), atol=1e-6)
    np.testing.assert_allclose(made.decode(found.codes), found.values, atol=1e-6)
    np.testing.assert_allclose(found.commitment[..., 2].flatten(), (residual**2).mean(axis=1), atol=1e-6)


def test_gradients_pass_straight_and_every_codebook_draws():
    made, z = quantizer(), normal(2, 5, 4, seed=3).requires_grad_()
    found = made(z)
    weights = normal(2, 5, 4, seed=4)
    (found.values * weights).sum().backward(retain_graph=True)
    assert torch.equal(z.grad, weights)
    for stage in range(3):
        (gradient,) = torch.autograd.grad(found.commitment[..., stage].sum(), z, retain_graph=True)
        expected = (z - made.partial(found.codes)[..., stage, :]) / 2  # 2 / dim
        torch.testing.assert_close(gradient, expected.detach())


def test_rows_may_get_fewer_codebooks():
    made, z = quantizer(), normal(4, 5, 4, seed=3)
    whole, some = made(z), made(z, torch.tensor([0, 1, 2, 3]))
    assert not some.values[0].any() and torch.equal(some.codes, whole.codes)
    for row in (1, 2, 3):
        torch.testing.assert_close(some.values[row], made.partial(whole.codes)[row, :, row - 1])


def test_codebooks_are_averages_that_forget():
    """The closed form of two steps with vectors that are always the same code's."""
    made = ResidualQuantizer(2, 2, 1)
    made.codebooks[0] = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    made.counts[0], made.sums[0] = torch.tensor([3.0, 3.0]), 3 * made.codebooks[0]
    batches = [torch.tensor([[-1.2, 0.1], [-0.8, 0.3], [1.5, 0.0]]), torch.tensor([[-1.0, 1.0], [0.9, 0.2]])]
    for batch in batches:
        made.update(batch, generator())
    counts = DECAY**2 * 3 + (1 - DECAY) * (DECAY * np.array([2, 1]) + np.array([1, 1]))
    sums = DECAY**2 * 3 * np.array([[-1, 0], [1, 0]]) + (1 - DECAY) * (
        DECAY * np.array([[-2.0, 0.4], [1.5, 0]]) + np.array([[-1, 1], [0.9, 0.2]])
    )
    smoothed = (counts + SMOOTHING) / (counts.sum() + 2 * SMOOTHING) * counts.sum()
    np.testing.assert_allclose(made.counts[0], counts, rtol=1e-6)
    np.testing.assert_allclose(made.codebooks[0], sums / smoothed[:, None], rtol=1e-5)


def test_codes_that_nobody_uses_come_back_and_stay():
    made = ResidualQuantizer(2, 8, 1)
    made.codebooks[0] = torch.cat([normal(2, 2), normal(6, 2) + 50.0])  # six far from everything
    made.counts[0], made.sums[0] = torch.full((8,), 4.0), 4 * made.codebooks[0]
    for step in range(150):
        made.update(normal(64, 2, seed=step), generator(step))
    used = torch.bincount(nearest(normal(400, 2, seed=999), made.codebooks[0]), minlength=8)
    assert (used > 0).all() and made.codebooks[0].abs().max() < 5
    before = made.codebooks.clone()
    for step in range(20):
        made.update(normal(64, 2, seed=step), generator(step))
    assert (made.codebooks - before).abs().max() < 0.5  # they are not thrown about any more


def test_k_means():
    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    x = corners.repeat_interleave(50, dim=0) + 0.1 * normal(200, 2)
    for seed in range(5):
        centres = k_means(x, 4, generator(seed))
        assert sorted(nearest(corners, centres).tolist()) == [0, 1, 2, 3]  # one each, however they began
        np.testing.assert_allclose(centres[nearest(corners, centres)], x.view(4, 50, 2).mean(dim=1), atol=1e-4)
    assert torch.equal(k_means(x, 4, generator(1)), k_means(x, 4, generator(1)))
    few = k_means(x[:3], 8, generator())
    assert few.isfinite().all() and len(few.unique(dim=0)) == 8


def test_a_codec_takes_each_keyframe_alone_and_not_what_is_unknown():
    torch.manual_seed(0)
    codec, x, known = KeyframeCodec(7, 16, 4, 8, 2), normal(1, 9, 7), torch.ones(1, 9, 7)
    z = codec.encode(x, known)
    other = x.clone()
    other[:, 5] += 1.0
    moved = (codec.encode(other, known) - z).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.tolist() == [frame == 5 for frame in range(9)]
    known[:, 3, 2] = 0
    poisoned = x.clone()
    poisoned[:, 3, 2] = 1e9
    assert torch.equal(codec.encode(x, known), codec.encode(poisoned, known))


def test_a_code_sees_those_before_it_alone():
    net, frames = network(), torch.arange(6)[None] * 30
    heard = net.hear(conditions(180))
    codes = torch.randint(8, (1, 6, 3), generator=generator())
    base = net(codes, frames, heard)
    other = codes.clone()
    other[:, 3, 1] = (other[:, 3, 1] + 1) % 8
    changed = (net(other, frames, heard) - base).abs().amax(dim=-1)[0].flatten() > 1e-6
    assert changed.tolist() == [False] * 11 + [True] * 7  # of number 10, and of all after it


def test_sampling_with_what_is_kept_equals_sampling_without():
    """One code at a time beside keys and values of the last MEMORY_S seconds, as all at once."""
    net = network()
    count = int(MEMORY_S) + 8  # the first are forgotten on the way
    heard = net.hear(conditions(30 * count))
    frames = torch.arange(count) * 30
    codes = sample(net, heard, frames, Drawing(1.0), generator(1))
    with torch.inference_mode():
        logits = net(codes, frames[None], heard)
        g = generator(1)
        again = torch.stack([draw(row, Drawing(1.0), g) for row in logits[0].flatten(0, 1).unsqueeze(1)]).view_as(codes)
    assert torch.equal(again, codes) and len(codes.unique()) > 4


def test_a_long_sound_changes_nothing_far_away():
    net = network()
    c = conditions(30 * 60)
    frames = torch.arange(60)[None] * 30
    codes = torch.randint(8, (1, 60, 3), generator=generator())
    base = net(codes, frames, net.hear(c))
    speech = c["speech"].clone()
    speech[:, 30 * 40 :] += 1.0
    moved = (net(codes, frames, net.hear(c.replaced(speech=speech))) - base).abs().amax(dim=(0, 2, 3)) > 1e-6
    assert not moved[: 40 - int(REACH_S) - 1].any() and moved[40]
    other = codes.clone()
    other[:, 0] = (other[:, 0] + 1) % 8
    moved = (net(other, frames, net.hear(c)) - base).abs().amax(dim=(0, 2, 3)) > 1e-6
    reach = len(net.transformer.layers) * int(MEMORY_S) + 1
    assert moved[1] and not moved[reach + 1 :].any()


def test_padding_changes_nothing():
    net, frames = network(), torch.arange(4)[None] * 30
    codes = torch.randint(8, (1, 4, 3), generator=generator())
    c = conditions(120)
    whole = net(codes, frames, net.hear(c))
    pad = lambda x: torch.nn.functional.pad(x, (0, 0, 0, 90), value=9.0)  # noqa: E731
    valid = torch.cat([torch.ones(1, 120), torch.zeros(1, 90)], dim=1)
    longer = torch.cat([codes, torch.zeros(1, 3, 3, dtype=torch.int64)], dim=1)
    found = net(longer, torch.arange(7)[None] * 30, net.hear(c.replaced(speech=pad(c["speech"]), valid=valid)))
    assert found.isfinite().all()
    torch.testing.assert_close(found[:, :4], whole, atol=1e-5, rtol=1e-4)


def test_nucleus():
    p = torch.tensor([0.1, 0.4, 0.3, 0.2])
    torch.testing.assert_close(nucleus(p, 1.0), p)
    torch.testing.assert_close(nucleus(p, 0.71), torch.tensor([0.0, 4 / 9, 3 / 9, 2 / 9]))
    torch.testing.assert_close(nucleus(p, 0.41), torch.tensor([0.0, 4 / 7, 3 / 7, 0.0]))
    torch.testing.assert_close(nucleus(p, 1e-9), torch.tensor([0.0, 1.0, 0.0, 0.0]))


def test_drawing_follows_the_probabilities():
    logits = torch.log(torch.tensor([0.1, 0.4, 0.3, 0.2])).expand(40_000, 4)
    shares = lambda how: torch.bincount(draw(logits, how, generator()), minlength=4) / len(logits)  # noqa: E731
    np.testing.assert_allclose(shares(Drawing(1.0)), [0.1, 0.4, 0.3, 0.2], atol=0.01)
    np.testing.assert_allclose(shares(Drawing(top_p=0.5)), [0, 4 / 7, 3 / 7, 0], atol=0.01)
    squared = np.array([0.01, 0.16, 0.09, 0.04])
    np.testing.assert_allclose(shares(Drawing(1.0, 0.5)), squared / squared.sum(), atol=0.01)
    assert draw(logits[:9], Drawing(temperature=0.0), generator()).tolist() == [1] * 9


def test_a_seed_is_a_take():
    net = network()
    heard, frames = net.hear(conditions(300)), torch.arange(10) * 30
    takes = [sample(net, heard, frames, Drawing(1.0), generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(takes[0], takes[1]) and not torch.equal(takes[0], takes[2])
    likeliest = [sample(net, heard, frames, Drawing(temperature=0.0), generator(seed)) for seed in (1, 2)]
    assert torch.equal(*likeliest)


@pytest.mark.parametrize("trained", [False, True])
def test_it_starts_from_how_often_codes_occur(trained):
    torch.manual_seed(0)
    net = GuideNetwork(LAYOUT, 30.0, 1.0, 2, 1, 8, 3, 4, 16, 32, 2, 2, 0.0).eval()
    net.unigram.copy_(normal(3, 8).log_softmax(dim=1))
    if trained:
        torch.nn.init.normal_(net.heads)
        net.codec.quantizer.fit(normal(300, 4), generator())
    codes = torch.randint(8, (1, 5, 3), generator=generator())
    logits = net(codes, torch.arange(5)[None] * 30, net.hear(conditions(150)))
    assert torch.allclose(logits, net.unigram.expand_as(logits), atol=1e-6) != trained
