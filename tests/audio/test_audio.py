"""Resampling against its definition, levels, windows, noise statistics, lags between signals."""

import math

import numpy as np
import pytest
import torch

from audio2face.audio.augment import NOISES
from audio2face.audio.sync import correlation, peak_position, without_slow
from audio2face.audio.waveform import cancels, load_waveform, resample, speech_problems
from audio2face.audio.windows import cut_windows, frame_times, window_starts
from audio2face.formats.sound import write_sound
from audio2face.problems import UserError

CPU = torch.device("cpu")


def direct_sum(x, from_rate, to_rate, phases=np.float32):
    """Every output sample as a sum over every input sample, as torchaudio's documentation defines it.

    `phases` is the type in which torchaudio computes the distance of two samples: that of the waveform.
    """
    common = math.gcd(from_rate, to_rate)
    orig, new = from_rate // common, to_rate // common
    cutoff = phases(0.99 * min(orig, new))
    out = np.zeros(math.ceil(len(x) * new / orig))
    for j in range(len(out)):
        period, phase = divmod(j, new)
        inputs = np.arange(len(x)) - period * orig
        t = (inputs.astype(phases) / phases(orig) - phases(phase) / phases(new)) * cutoff
        t = np.clip(t, -6, 6).astype(np.float64)
        out[j] = np.sum(x * np.sinc(t) * np.cos(np.pi * t / 12) ** 2) * cutoff / orig
    return out


@pytest.mark.parametrize("from_rate", [8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000, 16001])
def test_resample_is_torchaudios(from_rate):
    x = np.random.default_rng(0).uniform(-1, 1, 1203).astype(np.float32)
    y = resample(x, from_rate, 16000)
    assert y.dtype == np.float32 and len(y) == math.ceil(1203 * 16000 / from_rate)
    assert np.abs(y - direct_sum(x, from_rate, 16000)).max() < 1e-6


@pytest.mark.parametrize("from_rate, to_rate", [(44100, 16000), (16000, 44100), (48000, 16000), (22050, 16000)])
def test_resample_is_close_to_the_exact_filter(from_rate, to_rate):
    x = np.random.default_rng(0).uniform(-1, 1, 700).astype(np.float32)
    assert np.abs(resample(x, from_rate, to_rate) - direct_sum(x, from_rate, to_rate, np.float64)).max() < 1e-4


def test_resample_keeps_a_tone_and_removes_what_does_not_fit():
    t = np.arange(44100) / 44100
    y = resample(np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 12000 * t)]), 44100, 16000)
    assert y.shape == (2, 16000)
    inner = slice(100, -100)
    assert np.abs(y[0] - np.sin(2 * np.pi * 440 * np.arange(16000) / 16000))[inner].max() < 0.01
    assert np.abs(y[1])[inner].max() < 0.01


def test_resample_edges():
    x = np.ones(5, np.float32)
    same = resample(x, 16000, 16000)
    assert np.array_equal(same, x) and same is not x
    assert resample(x[:0], 8000, 16000).shape == (0,) and resample(x[:1], 48000, 16000).shape == (1,)
    for rates in [
        (0, 16000),
        (16000, -1),
        (22050.5, 16000),
        (16_000_001, 16000),
        (999_999, 16000),
        (16000, 1),
        (True, 16000),
    ]:
        with pytest.raises(ValueError, match="a sample rate of .* Hz: expected a whole number"):
            resample(x, *rates)


@pytest.mark.parametrize("level, peak", [(0.5, 0.5), (0.005, 1.0)])
def test_load_waveform_levels(tmp_path, level, peak):
    wave = np.sin(2 * np.pi * 200 * np.arange(8000) / 16000)
    write_sound(tmp_path / "a.wav", np.stack([wave, wave], 1) * level, 16000, "FLOAT")
    kept = load_waveform(tmp_path / "a.wav", "w2v")
    assert kept.sample_rate == 16000 and kept.samples.dtype == np.float32 and kept.samples.shape == (8000,)
    assert kept.peak == pytest.approx(peak, rel=1e-3) and np.abs(kept.samples).max() == pytest.approx(level, rel=1e-3)
    scaled = load_waveform(tmp_path / "a.wav", "nva2f")
    assert scaled.peak == 1 and np.allclose(scaled.samples, kept.samples / kept.peak, atol=1e-4)


def test_channels_that_cancel():
    voice, noise = np.random.default_rng(0).normal(size=(2, 4000)).astype(np.float32)
    for left, right, expected in (
        (voice, -voice, True),
        (voice + 0.2, 0.2 - 0.5 * voice, True),  # an offset does not hide it
        (voice + 0.4 * noise, 0.4 * noise - voice, True),
        (voice, voice, False),
        (voice, noise, False),
        (voice, 0 * voice, False),
        (voice, 0.9 * noise - 0.3 * voice, False),
    ):
        assert cancels(np.stack([left, right], axis=1)) is expected
    assert not cancels(voice[:, None]) and not cancels(np.zeros((0, 2))) and not cancels(np.zeros((9, 2)))
    six = np.zeros((4000, 6), np.float32)
    six[:, 2] = voice
    assert not cancels(six) and cancels(six - six[:, [0, 1, 3, 4, 5, 2]])
    opposed = np.stack([voice, -voice], axis=1)
    assert [line[:6] for line in speech_problems(opposed, 8000)] == ["8000 H", "the ch"]
    assert not speech_problems(voice[:, None], 16000)


def test_load_waveform_mixes_and_resamples(tmp_path):
    write_sound(tmp_path / "a.wav", np.tile([0.5, -0.5], (4800, 1)), 48000)
    waveform = load_waveform(tmp_path / "a.wav", "w2v")
    assert waveform.samples.shape == (1600,) and np.abs(waveform.samples).max() < 1e-4 and waveform.duration_s == 0.1
    with pytest.raises(UserError, match="w2v, nva2f"):
        load_waveform(tmp_path / "a.wav", "mfcc")


def test_windows_pad_with_zeros():
    x = np.arange(1, 6, dtype=np.float32)
    assert cut_windows(x, np.array([-2, 3, 1]), 4).tolist() == [[0, 0, 1, 2], [4, 5, 0, 0], [2, 3, 4, 5]]
    assert cut_windows(x, np.array([9, -9]), 2).tolist() == [[0, 0], [0, 0]]
    assert cut_windows(x[:0], np.array([0]), 3).tolist() == [[0, 0, 0]]
    starts = window_starts(frame_times(3, 60), 16000, 100)
    assert starts.tolist() == [33, 300, 566] and window_starts(np.array([0.1 * 3]), 10, 0).tolist() == [3]


def test_noise_is_seeded_and_of_any_length():
    for make in NOISES.values():
        for n in (0, 1, 255, 8320):
            x, y, z = (make(n, np.random.default_rng(seed)) for seed in (0, 0, 1))
            assert x.shape == (n,) and x.dtype == np.float32 and np.array_equal(x, y) and np.isfinite(x).all()
            assert n == 0 or not np.array_equal(x, z)
    assert NOISES["gauss"](100_000, np.random.default_rng(0)).std() == pytest.approx(1, abs=0.02)


def test_mic_noise_has_the_spectrum_of_its_recipe():
    """Mean power of a bin is that of a log-normal level; segments overlap by half, which loses some of it evenly."""
    from scipy.signal import stft

    _, _, z = stft(NOISES["mic"](16000 * 60, np.random.default_rng(0)), nperseg=256)
    level = 10 * np.log10((np.abs(z) ** 2).mean(1))[2:-2]
    f = np.linspace(0, 8000, 129)[2:-2]
    expected = 39 * np.exp(-f / 300) - 121 + np.log(10) / 20 * 5.85**2
    difference = level - expected
    assert np.ptp(difference[20:]) < 1.0 and -4 < difference[20:].mean() < 0
    assert np.abs(difference - difference[20:].mean()).max() < 4


def test_lag_parts():
    t = np.arange(200) / 30.0
    wave = np.sin(2 * np.pi * 2 * t)
    assert np.abs(without_slow(wave + 5 + 0.01 * t, 30)[50:-50] - wave[50:-50]).max() < 1e-6  # drift and level go
    assert correlation(wave, 3 * wave + 1) == pytest.approx(1) and correlation(wave, np.ones(200)) == 0
    assert peak_position(-((np.arange(9) - 3.3) ** 2)) == pytest.approx(3.3)  # of a parabola exactly
    assert peak_position(np.array([3.0, 2.0, 1.0])) == 0 and peak_position(np.zeros(3)) == 0
