"""A partner's sound in training: what is heard of it when, and what stands for it where there is none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.targets import shot_targets

from audio2face.audio.waveform import SILENCE
from audio2face.dataset.audio_tracks import PARTNER_GAIN, AudioTracks, MutedNoise, partner_samples
from audio2face.dataset.conditions import ClipConditions
from audio2face.distributed import Rng
from audio2face.face.layout import ChannelLayout
from audio2face.formats.sound import write_sound
from audio2face.models.common.conditions import Conditions
from audio2face.models.diffusion.data import CONTEXT, SegmentData, SegmentParams
from audio2face.models.sequence.guidance import guidance_passes, guided, strength
from audio2face.models.sequence.network import SequenceTransformer
from audio2face.models.sequence.partner import DROP_PARTNER
from audio2face.types import Clip, Partner, Shot, Track, Waveform

LAYOUT, FPS = ChannelLayout({"nod": 2}), 30.0
OWN, PARTNER, BOTH = range(3)  # the clips: with a partner's own file, with a channel of one file, alone


@pytest.fixture
def folder(tmp_path) -> Path:
    """Sounds that tell the time: ramps over ten seconds, up to 1 of the actor, down to -1 of the partner."""
    ramp = np.arange(160000, dtype=np.float32) / 160000
    write_sound(tmp_path / "ann.wav", ramp, 16000)
    write_sound(tmp_path / "bob.wav", -ramp, 16000)
    write_sound(tmp_path / "both.wav", np.stack([ramp, -ramp], axis=1), 16000)
    return tmp_path


def data(folder, batch_size=3, timeshift=1.0, **params) -> SegmentData:
    shots = [Shot("ann", f"s{i}", 200, FPS, "neutral") for i in range(3)]
    clips = [
        Clip(shots[0], 20, 109, folder / "ann.wav", 3, partner=Partner(Track(folder / "bob.wav"), -6)),
        Clip(shots[1], 0, 79, folder / "both.wav", 2, channel=0, partner=Partner(Track(folder / "both.wav", 1), 2)),
        Clip(shots[2], 10, 79, folder / "ann.wav"),
    ]
    frames = np.stack([np.arange(200, dtype=np.float32)] * 2, axis=1)
    return SegmentData(
        clips,
        [ClipConditions(np.zeros(1, np.float32), 0, 0, 0) for _ in clips],
        lambda clip: shot_targets(frames, FPS, {"nod": True}, LAYOUT),
        LAYOUT,
        AudioTracks("w2v", 16000),
        MutedNoise("gauss"),
        SegmentParams(FPS, 16000, 20, 50, timeshift=timeshift, **params),
        num_actors=1,
        batch_size=batch_size,
        seed=5,
        device=torch.device("cpu"),
        pitch_shift=lambda x, semitones: 0.5 * x,
    )


def rngs(count=3):
    return [np.random.default_rng(i) for i in range(count)]


def test_both_sounds_of_a_segment_are_of_the_time_of_its_frames(folder):
    made = data(folder)
    batch = made.batch([OWN, PARTNER, BOTH], rngs())
    assert batch.partner_there.tolist() == [1, 1, 0] and not batch.partner[2].any()
    for row, clip in enumerate(made.clips[:2]):
        frames = batch.target[row, 5:15, 0].numpy()
        at = np.round(CONTEXT + (np.arange(10) + 5.5) / FPS * 16000).astype(int)
        for sound, offset, sign in (
            (batch.audio, clip.audio_offset, 1),
            (batch.partner, clip.partner.offset, -1),
        ):
            heard = sign * sound[row].numpy()[at] * 159999 / 16000
            np.testing.assert_allclose(heard, (frames + offset + 0.5) / FPS, atol=5e-4)


def test_a_batch_holds_what_its_clips_hold_alone(folder):
    made = data(folder, pitch=(-2.0, 2.0, 0.5))
    together = made.batch([OWN, PARTNER, BOTH], rngs())
    for row, rng in enumerate(rngs()):
        alone = made.batch([row], [rng])
        length = alone.partner.shape[1]
        torch.testing.assert_close(together.partner[row, :length], alone.partner[0])
        assert not together.partner[row, length:].any() and together.seeds[row] == alone.seeds[0]
        assert together.partner_there[row] == alone.partner_there[0]


def test_clips_without_partners_are_drawn_as_ever(folder):
    made, ever = data(folder), data(folder)
    ever.sounds.clips = [replace(clip, partner=None) for clip in ever.clips]
    ours, theirs = made.batch([OWN, BOTH], rngs(2)), ever.batch([OWN, BOTH], rngs(2))
    assert torch.equal(ours.audio, theirs.audio) and torch.equal(ours.target, theirs.target)
    assert ours.seeds == theirs.seeds
    assert theirs.partner is None and theirs.partner_there is None


def test_kept_features_of_both_are_of_the_same_time(folder):
    made = data(folder, pitch=None)

    def hear(sound, count, take):  # of a frame, the sample in its middle
        at = torch.round(CONTEXT + (torch.arange(count) + 0.5) / FPS * 16000).long()
        return sound[:, at, None]

    made.cache_features(hear, (-0.5, 0.5), 1e9)
    batch = made.batch([OWN, PARTNER, BOTH], rngs())
    assert batch.audio is None and batch.partner is None and not batch.partner_features[2].any()
    for row, clip in enumerate(made.clips[:2]):
        length, apart = batch.lengths[row], (clip.partner.offset - clip.audio_offset) / FPS / 10
        own, partner = batch.features[row, :length, 0], -batch.partner_features[row, :length, 0]
        torch.testing.assert_close(partner - own, torch.full((length,), apart), atol=2e-4, rtol=0)
        torch.testing.assert_close(
            own * 10 * FPS - clip.audio_offset - 0.5, batch.target[row, :length, 0], atol=2e-2, rtol=0
        )


def track(level, seed=0):
    """A waveform of noise whose peak is about `level`, as it is loaded."""
    samples = np.random.default_rng(seed).uniform(-level, level, 4000).astype(np.float32)
    return Waveform(samples, 16000, float(np.abs(samples).max()) if level > SILENCE else 1.0)


@pytest.mark.parametrize("standardize", [False, True])
def test_speech_comes_to_the_level_of_speech_and_quiet_stays_quiet(standardize):
    own = track(0.8)
    speech = own.samples / own.peak
    reference = partner_samples(track(0.8, 1), speech, own.peak, standardize).std()
    assert reference == pytest.approx(speech.std() / (speech.std() if standardize else 1), rel=0.02)
    for level in (0.4, 0.9):  # another gain
        assert partner_samples(track(level, 1), speech, own.peak, standardize).std() == pytest.approx(
            reference, rel=0.02
        )
    bleed = partner_samples(track(0.02, 1), speech, own.peak, standardize).std()
    assert bleed < 0.03 * PARTNER_GAIN * reference  # 0.02 beside 0.8
    hiss = partner_samples(track(0.004, 1), speech, own.peak, standardize)
    assert np.abs(hiss).max() < (0.05 if standardize else 0.005)
    assert not partner_samples(track(0.0), speech, own.peak, standardize).any()


SMALL = {"width": 32, "num_layers": 2, "num_heads": 2, "dropout": 0.0}


def network(partner=True, trained=True):
    torch.manual_seed(0)
    net = SequenceTransformer(LAYOUT, torch.zeros(1, 1), FPS, 0, **SMALL, partner=partner).eval()
    if trained:
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.2)
    return net


def given(frames=8, rows=1, **more):
    g = torch.Generator().manual_seed(1)
    speech = torch.randn(rows, frames, 32, generator=g)
    return Conditions({"speech": speech, "actor": torch.ones(rows, 1), **more})


def x_of(frames=8, rows=1):
    return torch.randn(rows, frames, LAYOUT.size, generator=torch.Generator().manual_seed(2))


def test_hearing_a_partner_changes_no_weight_of_the_others():
    alone, both = network(False, False).state_dict(), network(True, False)
    assert all(torch.equal(x, both.state_dict()[name]) for name, x in alone.items())
    more = set(both.state_dict()) - set(alone)
    assert more == {"partner.role", "partner.out.weight", "partner.out.bias", "dropout.nulls.partner"}
    assert not both.partner(torch.randn(1, 4, 32)).any()  # it starts as a network that hears the actor alone


def test_who_speaks_is_told_apart():
    net, g = network(), torch.Generator().manual_seed(4)
    a, b = (torch.randn(1, 8, 32, generator=g) for _ in range(2))
    one = net.heard(given(speech=a, partner=net.partner(b)))
    assert not torch.allclose(one, net.heard(given(speech=b, partner=net.partner(a))), atol=1e-2)


def test_an_absent_partner_is_a_learned_value_whatever_noise_there_is():
    net, t = network(), torch.tensor([3, 3])
    noise = torch.randn(2, 8, 32)
    partner = net.dropout.where_there("partner", net.partner(noise), torch.tensor([0.0, 1.0]))
    assert torch.equal(partner[0], net.dropout.nulls["partner"].expand(8, 32))
    assert torch.equal(partner[1], net.partner(noise)[1])
    out = net(x_of(rows=2), t, given(rows=2, partner=partner))[0]
    without = net(x_of(rows=2), t, given(rows=2))[0]  # as in a monologue
    torch.testing.assert_close(out[0], without[0])
    assert not torch.allclose(out[1], without[1])


def test_a_partner_is_dropped_at_random():
    net = network().train()
    torch.nn.init.constant_(net.dropout.nulls["partner"], 77.0)
    c = given(frames=2, rows=4000, partner=torch.zeros(4000, 2, 32))
    found = net.dropout(c, Rng(generator=torch.Generator().manual_seed(0)))["partner"]
    share = DROP_PARTNER + 0.05 - DROP_PARTNER * 0.05
    assert (found == 77.0).flatten(1).all(dim=1).float().mean().item() == pytest.approx(share, abs=0.02)


def test_guidance_of_a_partner():
    three = ("audio", "partner", "style")
    assert guidance_passes({"partner": 1.0}, three) == [(1.0, 0.0, ())]
    assert guidance_passes({"partner": 0.0, "style": 0.0}, three) == [(1.0, 0.0, ("partner", "actor", "emotion"))]
    net, t = network(), torch.tensor([3])
    c = given(partner=net.partner(torch.randn(1, 8, 32)))
    without = [net(x_of(), t, net.dropout.without(c, left))[0] for left in (("partner", "actor"), ("actor",), ())]
    net.noise.fill_(0.5)
    expected = (
        without[0] + strength(3.0, net.noise, net.signal[t]) * (without[1] - without[0]) + (without[2] - without[1])
    )
    found = guided(net, x_of(), t, c, {"partner": 3.0})
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(guided(net, x_of(), t, c, {"partner": 0.0, "style": 0.0}), without[0])
    alone = guided(net, x_of(), t, given(), {"partner": 3.0})
    torch.testing.assert_close(alone, net(x_of(), t, given())[0])  # nobody there to listen to


def learned(hears: bool, steps: int = 40) -> float:
    """The error after training on a nod that follows the partner alone, as a share of the nod's size."""
    torch.manual_seed(0)
    net = SequenceTransformer(LAYOUT, torch.zeros(1, 1), FPS, 0, 1000, 16, 1, 1, 0.0, partner=True).train()
    optimizer, g, errors = torch.optim.Adam(net.parameters(), 2e-2), torch.Generator().manual_seed(3), []
    for _ in range(steps):
        speech, partner = (torch.randn(16, 6, 16, generator=g) for _ in range(2))
        nod, track = partner[..., :2].tanh(), net.partner(partner)
        c = Conditions({"speech": speech, "actor": torch.ones(16, 1)})
        c = c.replaced(partner=track if hears else net.dropout.nothing("partner", track))
        x_t = torch.randn(16, 6, 2, generator=g)
        error = (net(x_t, torch.full((16,), 900), c)[0] - nod).square().mean() / nod.square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    return float(np.mean(errors[-10:]))


def test_a_nod_that_follows_the_partner_is_learned_with_the_partner_alone():
    assert learned(True) < 0.8
    assert learned(False) > 0.97
