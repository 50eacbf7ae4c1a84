"""The sequence family: a transformer over whole animations, values that are given, guidance."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes.project import DIFFUSION, diffusion_project, use_project, write_key

from audio2face.commands import deploy, infer, preproc, train
from audio2face.distributed import Rng
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.starting_weights import _in_data_units
from audio2face.models.common.weights import read_weights
from audio2face.models.diffusion.samplers import generated_noise, sample_dpm
from audio2face.models.diffusion.schedule import build_even_schedule
from audio2face.models.sequence.guidance import guidance_passes, guided, strength, variety
from audio2face.models.sequence.layers import Surroundings, rotary, rotated
from audio2face.models.sequence.masks import SHARES, batch_flags, random_flags
from audio2face.models.sequence.method import followers
from audio2face.models.sequence.network import SequenceTransformer
from audio2face.models.sequence.rollout import taken
from audio2face.problems import UserError

LAYOUT = ChannelLayout({"skin_coeffs": 4, "jaw": 3, "head": 2})
SMALL = {"width": 32, "num_layers": 2, "num_heads": 2, "dropout": 0.0}


def network(trained=True, seed=0, reach=0):
    torch.manual_seed(seed)
    net = SequenceTransformer(LAYOUT, torch.zeros(2, 1), 30.0, 1, **SMALL, reach=reach).eval()
    if trained:  # past the zeros at which it starts
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.2)
    return net


def conditions(frames, seed=1, rows=1, **more):
    g = torch.Generator().manual_seed(seed)
    return Conditions(
        {
            "speech": torch.randn(rows, frames, 32, generator=g),
            "actor": torch.eye(2)[:1].repeat(rows, 1),
            "emotion": torch.rand(rows, 1, generator=g),
            **more,
        }
    )


def x_of(frames, seed=2, rows=1):
    return torch.randn(rows, frames, LAYOUT.size, generator=torch.Generator().manual_seed(seed))


def test_it_starts_at_the_mean_and_hears_nothing():
    assert not network(trained=False)(x_of(9), torch.tensor([5]), conditions(9))[0].any()


def test_positions_are_times():
    """Attention of two moments depends on their distance in seconds alone."""
    g = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 1, 1, 16, generator=g) for _ in range(2))
    products = []
    for shift in (0.0, 3.7):
        at = [rotary(torch.tensor([moment + shift]), 16) for moment in (1.0, 1.4)]
        products.append((rotated(q, at[0]) * rotated(k, at[1])).sum().item())
    assert products[0] == pytest.approx(products[1], abs=1e-4)


@pytest.mark.parametrize("reach", [0, 3])
def test_padding_changes_nothing(reach):
    net, frames = network(reach=reach), 12
    whole = net(x_of(frames), torch.tensor([7]), conditions(frames, valid=torch.ones(1, frames)))[0]
    padded = lambda x: torch.nn.functional.pad(x, (0, 0, 0, 8), value=9.0)  # noqa: E731
    valid = torch.cat([torch.ones(1, frames), torch.zeros(1, 8)], dim=1)
    long = conditions(frames).replaced(speech=padded(conditions(frames)["speech"]), valid=valid)
    x = torch.nn.functional.pad(x_of(frames), (0, 0, 0, 8))
    found = net(x, torch.tensor([7]), long)[0][:, :frames]
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-4)


def test_a_reach_is_so_many_frames_on_either_side():
    near, speech = Surroundings(4, 3), torch.zeros(1, 20, 4, requires_grad=True)
    assert not near(torch.randn(1, 20, 4), None).any()  # it starts as a network without one
    for p in near.parameters():
        torch.nn.init.normal_(p)
    near(speech, None)[0, 10].sum().backward()
    assert speech.grad is not None
    assert speech.grad[0].any(dim=1).nonzero().flatten().tolist() == [*range(7, 14)]


def answer_learned(reach, lag=9, steps=100):
    """The error of a network that learns to answer a sound `lag` frames later, from pure noise, as a share of the answer's size."""
    torch.manual_seed(0)
    net = SequenceTransformer(LAYOUT, torch.zeros(1, 1), 30.0, 0, 1000, 16, 1, 1, 0.0, reach).train()
    optimizer, g, errors = torch.optim.Adam(net.parameters(), 1e-2), torch.Generator().manual_seed(3), []
    for _ in range(steps):
        speech = torch.randn(8, 30, 16, generator=g)
        answer = torch.nn.functional.pad(speech, (0, 0, lag, 0))[:, :30, : LAYOUT.size]
        c = Conditions({"speech": speech, "actor": torch.ones(8, 1)})
        x_t = torch.randn(8, 30, LAYOUT.size, generator=g)
        error = (net(x_t, torch.full((8,), 999), c)[0] - answer).square().mean() / answer.square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    return float(np.mean(errors[-10:]))


def test_a_late_answer_is_learned_sooner_with_a_reach():
    assert answer_learned(12) < 0.65
    assert answer_learned(0) > 0.85


def test_given_values_are_heard_and_others_are_not():
    net = network()
    known, flags = x_of(10, 5), torch.zeros(1, 10, 3)
    flags[:, 4, 1] = 1
    base = net(x_of(10), torch.tensor([7]), conditions(10, known=known, given=flags))[0]
    other = known.clone()
    other[:, :4] += 100.0  # not flagged
    other[:, 4, :4] += 100.0  # of another channel
    same = net(x_of(10), torch.tensor([7]), conditions(10, known=other, given=flags))[0]
    torch.testing.assert_close(base, same)
    other[:, 4, 4:7] += 1.0
    assert not torch.allclose(net(x_of(10), torch.tensor([7]), conditions(10, known=other, given=flags))[0], base)
    x_t = x_of(10)
    x_t[:, 4, 4:7] += 5.0  # noise under a given value is not seen
    torch.testing.assert_close(net(x_t, torch.tensor([7]), conditions(10, known=known, given=flags))[0], base)


def test_guidance_is_a_sum_of_passes():
    everything = ("speech", "actor", "emotion")
    assert guidance_passes({"audio": 1.0, "style": 1.0}) == [(1.0, 0.0, ())]
    assert guidance_passes({"audio": 0.0, "style": 0.0}) == [(1.0, 0.0, everything)]
    assert guidance_passes({"audio": 0.5, "style": 0.5}) == [(1.0, 0.5, everything), (0.5, 0.0, ())]
    assert guidance_passes({"audio": 2.0, "style": 1.0}) == [(1.0, 0.0, ())]
    assert guidance_passes({"style": 2.0}) == [(1.0, 2.0, ("actor", "emotion")), (2.0, 0.0, ())]
    net, c, t = network(), conditions(8), torch.tensor([3])
    net.noise.copy_(torch.rand_like(net.noise).clamp(min=0.1))
    for parameter in net.dropout.nulls.values():
        torch.nn.init.normal_(parameter)
    without = [net(x_of(8), t, net.dropout.without(c, left))[0] for left in (everything, ("actor", "emotion"), ())]
    audio, style = (strength(scale, net.noise, net.signal[t]) for scale in (0.7, 2.5))
    expected = without[0] + audio * (without[1] - without[0]) + style * (without[2] - without[1])
    found = guided(net, x_of(8), t, c, {"audio": 0.7, "style": 2.5})
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    unheard = guided(net, x_of(8), t, c, {"audio": 0.5, "style": 0.0})  # the full pass has no part in it
    audio = strength(0.5, net.noise, net.signal[t])
    torch.testing.assert_close(unheard, without[0] + audio * (without[1] - without[0]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(guided(net, x_of(8), t, c, {}), without[2])


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_guidance_of_gaussian_values_is_exact(scale):
    """Of p(x) = N(0, 1) and p(x | c) = N(told, noise), given x_t: the mean of p(x) (p(x | c) / p(x))^scale, written down."""
    noise, told, share, x_t = (
        torch.tensor(x, dtype=torch.float64) for x in ([0.1, 0.4, 1.0], [0.7, -1.2, 0.0], 0.3, 0.5)
    )
    seen, clean = share / (1 - share), x_t / share.sqrt()
    with_it, without = (told / noise + seen * clean) / (1 / noise + seen), seen * clean / (1 + seen)
    precision = scale / noise + 1 - scale
    expected = (scale * told / noise + seen * clean) / (precision + seen)
    found = without + strength(scale, noise, share) * (with_it - without)
    torch.testing.assert_close(found, expected)


def test_takes_keep_to_what_the_sound_tells_the_more_it_counts():
    noise = torch.tensor([0.2, 0.5, 1.0])
    found = torch.stack([variety(noise, scale) for scale in (0.0, 0.5, 1.0, 2.0)])
    torch.testing.assert_close(found[0], torch.ones(3))
    torch.testing.assert_close(found[2], torch.tensor([1 / 17, 0.5, 1.0]))
    assert (found.diff(dim=0)[:, :2] < 0).all() and (found[:, 2] == 1).all()


def test_a_take_is_what_is_likely_and_a_sample_that_rests():
    """Of three values: one that the sound tells, one it says nothing of, one that is at rest or far from it."""
    steps, told = build_even_schedule("cosine", 1000, 10), torch.tensor([0.7, 0.0, 0.0])

    def made(x_t, i):
        signal = float(steps.alphas_cumprod[i])
        clean, surer = x_t / signal**0.5, 1 - signal
        exact = (told * torch.tensor([9.0, 0, 0]) * surer + signal * clean) / (
            torch.tensor([10.0, 1, 1]) * surer + signal
        )
        off = 3 * torch.sigmoid(30 * (signal**0.5) * (clean[..., 2] - 1.5))  # 0 or 3
        return torch.cat([exact[..., :2], off[..., None]], dim=-1)

    varied = torch.tensor([0.0, 1.0, 1.0])
    draws = [
        generated_noise((1, 1, 3), torch.Generator().manual_seed(seed), torch.device("cpu")) for seed in range(200)
    ]
    takes = torch.cat([taken(made, lambda x: x, draw, varied, sample_dpm, steps) for draw in draws])[:, 0]
    assert (takes[:, 0] - takes[0, 0]).abs().max() < 0.01 and takes[0, 0].item() == pytest.approx(0.63, abs=0.01)
    assert takes[:, 1].std() > 0.5
    assert ((takes[:, 2].abs() < 0.01) | ((takes[:, 2] - 3).abs() < 0.01)).all()


def test_values_of_a_mesh_that_hardly_move_follow_the_others():
    layout = ChannelLayout({"skin_coeffs": 3, "body": 2})
    assert followers(torch.tensor([1.0, 0.05, 0.2, 3.0, 0.1]), layout).tolist() == [False, True, False, False, False]


def test_conditions_are_dropped_alone_and_together():
    net = network().train()
    net.dropout.specs  # noqa: B018
    c = conditions(3, rows=4000)
    for parameter in net.dropout.nulls.values():
        torch.nn.init.constant_(parameter, 77.0)
    found = net.dropout(c, Rng(generator=torch.Generator().manual_seed(0)))
    gone = torch.stack([(found[name] == 77.0).flatten(1).all(dim=1) for name in ("speech", "actor", "emotion")])
    share = 0.1 + 0.05 - 0.1 * 0.05
    assert gone.float().mean(dim=1).numpy() == pytest.approx(share, abs=0.02)
    assert gone.all(dim=0).float().mean().item() == pytest.approx(0.05 + 0.95 * 0.001, abs=0.012)


def test_patterns_of_given_values():
    rng = np.random.default_rng(0)
    flags = [random_flags(40, 3, rng) for _ in range(2000)]
    assert np.mean([not f.any() for f in flags]) == pytest.approx(SHARES[0], abs=0.04)
    assert all(not f.all() for f in flags)  # something is always left to do
    channels = [f for f in flags if f.any() and (f == f[:1]).all()]
    assert np.mean([len(channels) / len(flags)]) == pytest.approx(SHARES[4], abs=0.03)
    same = batch_flags([40, 10], 40, 3, [5, 6])
    assert np.array_equal(same[1, :10], batch_flags([10], 10, 3, [6])[0]) and not same[1, 10:].any()


def test_weights_go_over_into_other_units():
    """A network that starts from another gives the same in data units, whatever it counts values in."""
    spec = SimpleNamespace(max_sizes=LAYOUT.sizes, emotion_names=["joy"], actors=["ann", "bob"])
    one, other = network(), network(seed=1)
    for net, unit in ((one, 0.5), (other, 3.0)):
        net.unit.copy_(unit * torch.arange(1.0, LAYOUT.size + 1))
    moved = _in_data_units(one.state_dict(), one, spec) | {"unit": other.unit}
    other.load_state_dict(_in_data_units(moved, other, spec, power=-1))
    assert not torch.equal(one.heads["jaw"].weight, other.heads["jaw"].weight)
    with torch.no_grad():
        for net in (one, other):  # what belongs to a value alone takes it in its unit
            net.own.outer.weight.zero_(), net.own.outer.bias.zero_()
    found = [net(x_of(9) / net.unit, torch.tensor([5]), conditions(9))[0] * net.unit for net in (one, other)]
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequence")
    keys = {**DIFFUSION, "NETWORK_NAME": "diffusion_transformer", "NUM_EPOCHS": 2, "VALIDATION_CLIPS": ["two_joy"]}
    with pytest.MonkeyPatch.context() as patch:
        diffusion_project(root, ("ann", "bob"))
        (root / "configs/tiny/config_train.py").write_text("".join(f"{k} = {v!r}\n" for k, v in keys.items()))
        write_key(root, "train", "NETWORK_HYPER_PARAMS", SMALL)
        write_key(root, "inference", "OUTPUT_FORMATS", ["npy"])
        use_project(root, patch)
        for name in ("ann", "bob"):
            preproc.run("tiny", name)
        yield root, train.run("tiny").run


def animated(root, name, **keys):
    made = root / "workspace/output_inference" / infer.run("tiny", name, **keys)
    return {path.stem: np.load(path) for path in made.glob("*.npy")}


def test_it_trains_and_animates(run, monkeypatch):
    root, name = run
    use_project(root, monkeypatch)
    first, again = animated(root, name), animated(root, name)
    assert all(np.array_equal(x, again[key]) for key, x in first.items())
    skin = next(x for key, x in first.items() if key.endswith("_skin"))
    assert skin.ndim == 3 and np.isfinite(skin).all()
    other = animated(root, name, RNG_SEED_INFERENCE=7, GUIDANCE={"audio": 2.0, "style": 0.5})
    assert any(not np.array_equal(x, first[key]) for key, x in other.items())


def test_it_is_not_deployed_and_says_so(run, monkeypatch):
    root, name = run
    use_project(root, monkeypatch)
    with pytest.raises(UserError, match="cannot be deployed"):
        deploy.run("tiny", name)


def test_a_new_actor_learns_on_top_of_others(run, monkeypatch):
    """TRAINABLE: all weights but those of the actor are the first run's."""
    root, name = run
    use_project(root, monkeypatch)
    path = root / "configs/tiny/config_train.py"
    before, weights = path.read_text(), root / f"workspace/output_train/{name}/weights.pth"
    write_key(root, "train", "TRAINABLE", ["actor"])
    with pytest.raises(UserError, match="TRAINABLE: needs PRETRAINED_NET_FPATH"):
        train.run("tiny")
    write_key(root, "train", "PRETRAINED_NET_FPATH", str(weights))
    again = root / f"workspace/output_train/{train.run('tiny').run}/weights.pth"
    path.write_text(before)
    old, new = read_weights(weights), read_weights(again)
    assert {key for key, x in old.items() if not torch.equal(x, new[key])} == {"actor.weight"}


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"SKIP_STEPS": 1}, "SKIP_STEPS: has no effect on diffusion_transformer"),
        ({"INFERENCE_MODE": "streaming"}, "INFERENCE_MODE 'streaming' does not exist"),
        ({"GUIDANCE": {"sound": 2.0}}, "GUIDANCE/sound: unknown key"),
    ],
)
def test_what_it_cannot_do_is_refused(run, monkeypatch, keys, message):
    root, name = run
    use_project(root, monkeypatch)
    with pytest.raises(UserError, match=message):
        infer.run("tiny", name, **keys)
