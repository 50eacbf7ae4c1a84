"""Who speaks: bursts of noise at known times, hiss, hum, crosstalk, silence, and sounds of unequal length."""

from __future__ import annotations

import numpy as np
import pytest

from audio2face.audio.speaking import SPEAKING, voice_activity, who_speaks

RATE, FPS, SECONDS = 8000, 25.0, 12.0
FRAMES = int(SECONDS * FPS)
OWN, PARTNER = [(1.0, 3.0), (7.0, 9.0)], [(4.0, 6.0), (8.0, 10.5)]  # both from 8 to 9 s


def talk(spans: list[tuple[float, float]], level: float = 0.1, seed: int = 0) -> np.ndarray:
    """Syllables of noise (N,) in spans of seconds."""
    rng, times = np.random.default_rng(seed), np.arange(int(SECONDS * RATE)) / RATE
    there = np.any([(times >= start) & (times < end) for start, end in spans], axis=0)
    return level * there * (0.1 + np.abs(np.sin(2 * np.pi * 2.5 * times + seed))) * rng.normal(size=len(times))


def expected(*sides: list[tuple[float, float]]) -> np.ndarray:
    times = (np.arange(FRAMES) + 0.5) / FPS
    mine, theirs = (np.any([(times >= a) & (times < b) for a, b in spans], axis=0) for spans in sides)
    return np.array(SPEAKING)[mine + 2 * theirs]


def hiss(level: float, seed: int) -> np.ndarray:
    return level * np.random.default_rng(seed).normal(size=int(SECONDS * RATE))


def test_activity_is_where_the_syllables_are() -> None:
    found = voice_activity(talk(OWN) + hiss(1e-3, 7), RATE, FPS, FRAMES)
    assert np.mean(found == np.isin(expected(OWN, []), ("self",))) > 0.97
    np.testing.assert_array_equal(found, voice_activity(talk(OWN) + hiss(1e-3, 7), RATE, FPS, FRAMES))


@pytest.mark.parametrize("gain", [0.3, 1.0, 4.0])
def test_the_level_of_a_recording_does_not_matter(gain: float) -> None:
    sound = talk(OWN) + hiss(1e-3, 7)
    np.testing.assert_array_equal(
        voice_activity(gain * sound, RATE, FPS, FRAMES), voice_activity(sound, RATE, FPS, FRAMES)
    )


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(int(SECONDS * RATE)),
        np.zeros(0),
        hiss(0.02, 1),
        0.3 * np.sin(2 * np.pi * 50 * np.arange(int(SECONDS * RATE)) / RATE),
        talk(OWN, 0.001),
    ],
    ids=["digital silence", "nothing", "hiss", "hum", "a near-silent track"],
)
def test_what_is_no_speech_is_silence(sound: np.ndarray) -> None:
    assert not voice_activity(sound, RATE, FPS, FRAMES).any()
    assert set(who_speaks(sound, np.zeros(100), RATE, FPS, FRAMES)) == {"silence"}


@pytest.mark.parametrize("leak_db", [None, -30.0, -20.0, -12.0])
def test_two_are_told_apart_though_each_hears_the_other(leak_db: float | None) -> None:
    own, partner = talk(OWN, 0.1, 1), talk(PARTNER, 0.03, 2)
    leak = 0.0 if leak_db is None else 10 ** (leak_db / 20)
    sounds = own + leak * partner + hiss(3e-4, 3), partner + leak * own + hiss(3e-4, 4)
    found = who_speaks(*sounds, RATE, FPS, FRAMES)
    truth = expected(OWN, PARTNER)
    assert np.mean(found == truth) > 0.95
    swapped = who_speaks(*reversed(sounds), RATE, FPS, FRAMES)
    names = {"self": "partner", "partner": "self"}
    np.testing.assert_array_equal(swapped, [names.get(name, name) for name in found])


def test_one_sound_in_both_channels_is_both_speaking() -> None:
    sound = talk(OWN) + hiss(1e-3, 7)
    assert set(who_speaks(sound, sound, RATE, FPS, FRAMES)) == {"both", "silence"}


def test_the_shorter_sound_is_silent_after_its_end() -> None:
    found = who_speaks(talk(OWN)[: 4 * RATE], talk(PARTNER), RATE, FPS, FRAMES + 50)
    truth = expected([(1.0, 3.0)], PARTNER)
    assert np.mean(found[:FRAMES] == truth) > 0.95 and set(found[FRAMES:]) == {"silence"}
