"""Who speaks when, of one sound or of two: voice activity by level. Pure NumPy, and the same every time.

A sound speaks where it is well above its own noise and not far below its own loudest. Where two hear each other in their
microphones, how much fainter a voice arrives there is found from the quarter of its time in which the other is faintest.
"""

from __future__ import annotations

import numpy as np

from audio2face.audio.waveform import SILENCE

SELF, PARTNER, BOTH, NOBODY = "self", "partner", "both", "silence"
SPEAKING = (NOBODY, SELF, PARTNER, BOTH)  # by (self speaks) + 2 (partner speaks)

HOP_S, WINDOW_S = 0.01, 0.03
LOUD_S = 0.5  # how long a sound is at least as loud as its loudest
NOISE_SHARE = 0.1  # of the time a sound is no louder than its noise
ABOVE_NOISE_DB, BELOW_LOUD_DB = 12.0, 35.0
ALONE_SHARE = 0.25  # of a speaker's time, in which the other says nothing
ABOVE_CROSSTALK_DB = 8.0
FAINTER_DB = 6.0  # what is not so much fainter than the other is no crosstalk
GAP_S, BURST_S = 0.3, 0.08  # shorter pauses are speech, shorter sounds are none
FAINTEST_DB = -120.0


def voice_activity(samples: np.ndarray, rate: int, fps: float, num_frames: int) -> np.ndarray:
    """Whether samples (N,) speak in the middle of each frame: (num_frames,) bool, frame i at (i + 0.5) / fps.

    Nothing does in a near-silent track, whose peak is not above SILENCE; nor beyond its end.
    """
    levels = levels_db(samples, rate)
    return _at_frames(_active(samples, levels), fps, num_frames)


def who_speaks(own: np.ndarray, partner: np.ndarray, rate: int, fps: float, num_frames: int) -> np.ndarray:
    """Who of two speaks in the middle of each frame: (num_frames,) of SPEAKING.

    Both sounds (N,), (M,) begin at the same moment; the shorter is silent after its end.
    """
    count = max(len(own), len(partner))
    sounds = [np.pad(np.asarray(x, np.float32), (0, count - len(x))) for x in (own, partner)]
    levels = [levels_db(x, rate) for x in sounds]
    active = [_active(x, level) for x, level in zip(sounds, levels, strict=True)]
    alone = [_steady(active[k] & ~_crosstalk(levels[1 - k], levels[k], active[1 - k])) for k in range(2)]
    mine, theirs = (_at_frames(x, fps, num_frames) for x in alone)
    return np.array(SPEAKING)[mine + 2 * theirs]


def levels_db(samples: np.ndarray, rate: int) -> np.ndarray:
    """RMS of samples (N,) in WINDOW_S around the middle of every HOP_S: (N / rate / HOP_S,) in dB of full scale."""
    centres = (np.arange(int(len(samples) / rate / HOP_S)) + 0.5) * HOP_S * rate
    half = WINDOW_S / 2 * rate
    edges = np.clip(np.round([centres - half, centres + half]), 0, len(samples)).astype(np.int64)
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(samples, np.float64) ** 2)])
    power = (sums[edges[1]] - sums[edges[0]]) / np.maximum(edges[1] - edges[0], 1)
    return 10 * np.log10(np.maximum(power, 10 ** (FAINTEST_DB / 10)))


def _active(samples: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(n,) bool at the hops of `levels` (n,)."""
    if not len(levels) or np.abs(samples).max() <= SILENCE:
        return np.zeros(len(levels), bool)
    noise = np.quantile(levels, NOISE_SHARE)
    return _steady(levels > max(noise + ABOVE_NOISE_DB, _loudest(levels) - BELOW_LOUD_DB))


def _crosstalk(source: np.ndarray, heard: np.ndarray, active: np.ndarray) -> np.ndarray:
    """(n,) bool: where levels `heard` (n,) are no more than the voice of `source` (n,), which speaks where it is `active`."""
    fainter = source - heard
    usual = np.quantile(fainter[active], 1 - ALONE_SHARE) if active.any() else 0.0
    if usual < FAINTER_DB:
        return np.zeros_like(active)
    return active & (fainter > max(usual - ABOVE_CROSSTALK_DB, FAINTER_DB))


def _loudest(levels: np.ndarray) -> float:
    if not len(levels):
        return FAINTEST_DB
    place = max(len(levels) - round(LOUD_S / HOP_S), len(levels) // 2)
    return float(np.sort(levels)[place])


def _steady(active: np.ndarray) -> np.ndarray:
    """The same (n,) with short pauses filled, then short sounds dropped."""
    out = active.copy()
    for start, end in _stretches(~out):
        if end - start < GAP_S / HOP_S and start > 0 and end < len(out):
            out[start:end] = True
    for start, end in _stretches(out):
        if end - start < BURST_S / HOP_S:
            out[start:end] = False
    return out


def _stretches(active: np.ndarray) -> np.ndarray:
    """First and one after the last place (k, 2) of every stretch that is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2)


def _at_frames(active: np.ndarray, fps: float, num_frames: int) -> np.ndarray:
    places = ((np.arange(num_frames) + 0.5) / fps / HOP_S).astype(np.int64)
    return np.concatenate([active, [False]])[np.minimum(places, len(active))]
