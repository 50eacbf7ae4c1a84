"""Whether sound and mouth run together: the lag at which speech energy follows the opening of the mouth best.

A mouth opens while sound comes out of it, so the slow changes of both agree. Their correlation over a range of lags peaks
where they are in step. How far a voice leads its own mouth is a matter of language and capture and about the same in all
shots of an actor: single shots are held against the median of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audio2face.audio.sync import WINDOW_S, correlation, peak_position, without_slow
from audio2face.dataset.captured import CapturedActor
from audio2face.problems import Problems

RANGE_S = 0.8  # lags looked at, to either side
BANDS, TOP_HZ = 20, 7600.0
SHORTEST_S = 2.0
CLEAR = 0.35  # correlation from which a peak is believed
ALONE = 0.5  # of the other shots' correlation: below, sound and mouth have nothing to do with each other
ODD_S, WRONG_S = 0.05, 0.08  # deviation from the other shots: warning, error
ALL_S = 0.12  # deviation of all shots together
AS_CLEAR = 0.6  # of the other shots' correlation: what a shifted sound reaches and a foreign one does not
NEAR = 2  # frames around the usual lag
GAIN = 0.03  # by how much the peak must beat the usual lag
MIN_SHOTS = 3  # for a usual lag


@dataclass(frozen=True)
class Lag:
    """How a shot's sound lies against its mouth: `frames` > 0 when the sound comes late; correlation there, and by lag."""

    shot: str
    frames: float
    correlation: float
    curve: np.ndarray  # (2 margin + 1,) correlation at lags -margin … margin

    @property
    def margin(self) -> int:
        """The largest shift that was tried, in the curve's steps."""
        return len(self.curve) // 2

    def at(self, frames: float) -> float:
        """Correlation at a lag."""
        return float(np.interp(frames, np.arange(-self.margin, self.margin + 1), self.curve))

    def near(self, frames: float) -> float:
        """Largest correlation within a few frames of a lag."""
        return max(self.at(frames + step) for step in range(-NEAR, NEAR + 1))


def margin_frames(fps: float) -> int:
    """Frames of sound needed before and after a shot."""
    return int(round(RANGE_S * fps))


def mel_energy(samples: np.ndarray, rate: int, fps: float, num_frames: int, margin: int) -> np.ndarray:
    """Mean log energy over mel bands, around the middle of every frame: (num_frames + 2 margin,), frame 0 at `margin`."""
    half = int(WINDOW_S / 2 * rate)
    centres = ((np.arange(-margin, num_frames + margin) + 0.5) / fps * rate).round().astype(int)
    window = np.hanning(2 * half)
    frequencies = np.fft.rfftfreq(2 * half, 1 / rate)
    bands = _mel_bands(frequencies, min(TOP_HZ, 0.475 * rate))
    heard = (centres >= 0) & (centres <= len(samples))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, half), 2 * half)
    power = np.zeros((len(centres), BANDS))
    for first in range(0, len(centres), 256):
        part = slice(first, first + 256)
        around = windows[np.clip(centres[part], 0, len(windows) - 1)] * window
        power[part] = np.abs(np.fft.rfft(around, axis=1)) ** 2 @ bands.T
    power[~heard] = 0
    return np.log(power + 1e-6 * power.mean() + 1e-12).mean(axis=1)


def frame_levels(samples: np.ndarray, rate: int, fps: float, num_frames: int) -> np.ndarray:
    """RMS of the sound of every frame, (num_frames,)."""
    edges = np.clip((np.arange(num_frames + 1) / fps * rate).round().astype(int), 0, len(samples))
    sums = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])[edges]
    return np.sqrt(np.maximum(np.diff(sums), 0) / np.maximum(np.diff(edges), 1))


def find_lag(shot: str, energy: np.ndarray, opening: np.ndarray, fps: float) -> Lag | None:
    """The lag of energy (T + 2 margin,) against opening (T,); None for a shot that is too short or does not change."""
    count = len(opening)
    margin = (len(energy) - count) // 2
    if count < SHORTEST_S * fps:
        return None
    mouth, sound = without_slow(opening, fps), without_slow(energy, fps)
    if mouth.std() < 1e-6 * (np.abs(opening).max() + 1e-12) or sound.std() < 1e-6:
        return None
    curve = np.array([correlation(sound[lag : lag + count], mouth) for lag in range(2 * margin + 1)])
    return Lag(shot, peak_position(curve) - margin, float(curve.max()), curve)


def usual_lag(lags: Mapping[str, Lag]) -> float:
    """The median lag of the shots that agree clearly, in frames; 0 when they are too few."""
    clear = [lag.frames for lag in lags.values() if lag.correlation >= CLEAR]
    return float(np.median(clear)) if len(clear) >= MIN_SHOTS else 0.0


def check_sync(report: Problems, data: CapturedActor, lags: Mapping[str, Lag]) -> None:
    """Shots whose sound is early, late or somebody else's, and a lag of all shots."""
    usual = usual_lag(lags)
    clear = [lag for lag in lags.values() if lag.correlation >= CLEAR]
    if lags and len(clear) < len(lags) / 2:
        what = f"The mouth clearly follows the sound in only {len(clear)} of {len(lags)} shots: sync cannot be judged."
        fix = "Set SKIN_LIP_DIST_VERTEX_LIST_FPATH if it is missing; else look at the report's curves."
        report.warning("sync.unclear", what, fix, key="AUDIO_ROOT")
    if len(clear) >= MIN_SHOTS and abs(usual) > ALL_S * data.fps:
        what = f"In all shots the sound is {_words(usual, data.fps)}."
        fix = f"Set the audio offset of all CLIPS to {round(usual):+d} frames, or cut the sounds again."
        report.error("sync.all", what, fix, key="CLIPS")
    enough = len(clear) >= MIN_SHOTS
    typical = float(np.median([lag.correlation for lag in clear])) if enough else 0.0
    believed = max(CLEAR, AS_CLEAR * typical)
    alone = []
    for lag in lags.values():
        deviation = lag.frames - usual
        limits = (ODD_S, WRONG_S) if enough else (ALL_S, ALL_S)
        beats = lag.correlation - lag.at(usual) > GAIN
        if lag.correlation >= believed and abs(deviation) >= limits[0] * data.fps and beats:
            rest = " compared with the other shots" if enough else ""
            what = f"The sound is {_words(deviation, data.fps)}{rest} (correlation {lag.correlation:.2f})."
            fix = f"Set its audio offset in CLIPS to {round(deviation):+d}, or let --fix shift the sound."
            level = report.error if abs(deviation) >= limits[1] * data.fps else report.warning
            level("sync.shot", what, fix, shot=lag.shot, file=data.files.audio_file(lag.shot) or "", key="AUDIO_ROOT")
        elif enough and len(clear) >= 0.6 * len(lags) and lag.near(usual) < ALONE * typical:
            alone.append(lag.shot)
    for shot in alone:
        what = "The mouth does not follow this sound at any offset, as it does in the other shots."
        fix = "Check that the sound belongs to this shot."
        report.warning("sync.unrelated", what, fix, shot=shot, file=data.files.audio_file(shot) or "", key="AUDIO_ROOT")


def deviating(data: CapturedActor, lags: Mapping[str, Lag]) -> dict[str, float]:
    """Shots whose sound must be shifted, and by how many frames it is late: single ones, or all with the usual lag."""
    found = Problems(data.actor)
    check_sync(found, data, lags)
    usual = usual_lag(lags)
    common = usual if any(f.rule == "sync.all" for f in found) else 0.0
    late = {shot.name: common for shot in data.shots} if common else {}
    return late | {f.where.shot: common + lags[f.where.shot].frames - usual for f in found if f.rule == "sync.shot"}


def _words(frames: float, fps: float) -> str:
    return f"{abs(frames):.1f} frames ({abs(frames) / fps * 1000:.0f} ms) {'late' if frames > 0 else 'early'}"


def _mel_bands(frequencies: np.ndarray, top: float) -> np.ndarray:
    """Triangles over frequencies (F,), evenly wide in mel: (BANDS, F)."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + top / 700), BANDS + 2) / 2595) - 1)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre)))
