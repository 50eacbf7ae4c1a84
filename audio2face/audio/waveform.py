"""Mono waveforms at the networks' sample rate: resampling and level."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from audio2face.formats.budget import check_rate
from audio2face.formats.sound import read_sound
from audio2face.problems import UserError
from audio2face.types import SAMPLE_RATE, Track, Waveform

SILENCE = 0.01  # a track whose peak is not above this is not amplified
FAINTEST = 1e-15  # of a full scale of 1: 300 dB down

ZERO_CROSSINGS = 6  # of the sinc on either side of its centre
ROLLOFF = 0.99  # cut-off as a share of the lower of the two Nyquist frequencies


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Band-limited resampling: samples (..., N) → (..., ceil(N · to_rate / from_rate)) float32.

    A sinc under a Hann window, six zero crossings wide, beyond the ends zeros: the numbers of torchaudio's
    `functional.resample` with its defaults, computed polyphase. Raises ValueError as `ratio` does.
    """
    up, down = ratio(from_rate, to_rate)
    samples = np.asarray(samples, dtype=np.float32)
    if up == down:
        return samples.copy()
    if samples.shape[-1] == 0:
        return samples.copy()

    from scipy.signal import resample_poly  # half a second to import, and most recordings are at the rate already

    # resample_poly multiplies the taps by `up`; sums run in double because the taps are double
    return resample_poly(samples, up, down, axis=-1, window=filter_taps(up, down) / up).astype(np.float32)


def ratio(from_rate: int, to_rate: int) -> tuple[int, int]:
    """Two sample rates in lowest terms: (up, down). Raises ValueError for rates that no sound has, as `budget.check_rate`."""
    start, end = check_rate("resampling", from_rate), check_rate("resampling", to_rate)
    common = math.gcd(start, end)
    return end // common, start // common


@lru_cache(maxsize=8)
def filter_taps(up: int, down: int) -> np.ndarray:
    """Filter on the common grid of both rates: (2 · half + 1,) float64, tap k at k / (up · down) seconds of `down` samples.

    Output sample j (of each period of `up`) hears input sample i at distance k = j · down - i · up. torchaudio rounds that
    distance, j and i apart, to single precision, which moves outputs by up to 1e-4; to give its numbers we round alike.
    """
    cutoff = ROLLOFF * min(up, down)
    half = math.ceil(ZERO_CROSSINGS * down / cutoff) * up
    k = np.arange(-half, half + 1)
    j = (k * pow(down, -1, up)) % up if up > 1 else np.zeros_like(k)
    i = (j * down - k) // up
    single = np.float32
    t = (i.astype(single) / single(down) - j.astype(single) / single(up)) * single(cutoff)
    t = np.clip(t, single(-ZERO_CROSSINGS), single(ZERO_CROSSINGS))
    hann = np.cos(t * single(np.pi) / single(ZERO_CROSSINGS) / single(2)) ** 2
    angle = t * single(np.pi)
    sinc = np.where(angle == 0, single(1), np.sin(angle) / np.where(angle == 0, single(1), angle))
    return (sinc * (hann * single(cutoff / down))).astype(np.float64)


def load_w2v(samples: np.ndarray, rate: int, sample_rate: int) -> Waveform:
    """Channels averaged and resampled; the peak is kept beside the samples, which keep their level."""
    mono = resample(mixed_down(samples), rate, sample_rate)
    return Waveform(mono, sample_rate, track_peak(mono))


def load_nva2f(samples: np.ndarray, rate: int, sample_rate: int) -> Waveform:
    """Channels averaged, divided by the peak, then resampled; nothing is left to divide by, so the peak is 1."""
    mono = mixed_down(samples)
    return Waveform(resample(mono / track_peak(mono), rate, sample_rate), sample_rate, 1.0)


def mixed_down(samples: np.ndarray) -> np.ndarray:
    """(N, C) → (N,): the mean of the channels; of a single one, a view."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)


def without_faint(x: np.ndarray) -> np.ndarray:
    """Numbers of any shape with zeros for what nobody hears or sees, below 1e-15: they and what is computed from them, their
    squares too, stay where every processor is fast. Below 1e-38 many need a hundred times as long for a number."""
    faint = np.abs(x) < FAINTEST
    return np.where(faint, x.dtype.type(0), x) if faint.any() else x


def cancels(samples: np.ndarray) -> bool:
    """Whether channels (N, C) are in opposite phase: their sum has less than half the power that unrelated ones would have."""
    if samples.shape[1] < 2 or not len(samples):
        return False
    return bool(samples.sum(axis=1).var(dtype=np.float64) < 0.5 * samples.var(axis=0, dtype=np.float64).sum())


def one_voice(samples: np.ndarray) -> bool:
    """Whether all channels (N, C) hold the same sound, as of one voice: they differ by less than a hundredth of it (-40 dB)."""
    apart = np.abs(samples - samples[:, :1]).mean(dtype=np.float64)
    return bool(apart <= 0.01 * np.abs(samples).mean(dtype=np.float64))


def speech_problems(samples: np.ndarray, rate: int) -> list[str]:
    """Why speech in samples (N, C) is hard to understand, a line for each reason."""
    lines = []
    if rate < SAMPLE_RATE:
        lines.append(
            f"{rate} Hz hold no high frequencies, by which consonants are recognised; use the original recording, of {SAMPLE_RATE} Hz or more"
        )
    if cancels(samples):
        lines.append("the channels are in opposite phase, so their average cancels the voice; pass one of them as mono")
    return lines


LOAD_METHODS: dict[str, Callable[[np.ndarray, int, int], Waveform]] = {"w2v": load_w2v, "nva2f": load_nva2f}


def load_waveform(path: Path, method: str, sample_rate: int = SAMPLE_RATE, channel: int | None = None) -> Waveform:
    """Read a sound file by AUDIO_PREPROC_METHOD, as mono at `sample_rate`: one channel of it (from 0), or the mean of all.

    Raises UserError for an unknown method, a file that cannot be read, or one without this channel.
    """
    if method not in LOAD_METHODS:
        raise UserError(f"AUDIO_PREPROC_METHOD {method!r} is unknown; choose one of {', '.join(LOAD_METHODS)}")
    try:
        samples, rate = read_sound(path)
    except ValueError as error:
        raise UserError(str(error)) from error
    if channel is not None:
        if channel >= samples.shape[1]:
            raise UserError(f"{path}: has no channel {channel}: it has {samples.shape[1]}, counted from 0")
        samples = samples[:, channel : channel + 1]
    return LOAD_METHODS[method](samples, rate, sample_rate)


def load_track(track: Track, method: str, sample_rate: int = SAMPLE_RATE) -> Waveform:
    """`load_waveform` of one voice."""
    return load_waveform(track.path, method, sample_rate, track.channel)


def track_peak(samples: np.ndarray) -> float:
    """What to divide a track by: its largest absolute sample, or 1 when that is not above 0.01 (silence stays silent)."""
    peak = max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))
    return peak if peak > SILENCE else 1.0
