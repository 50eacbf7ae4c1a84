"""Whether sound and mouth run together: the lag at which speech energy follows the opening of the mouth best.

How far a voice leads its own mouth is a matter of language and capture and about the same in all shots of an actor: single
shots are held against the median of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from audio2face.audio.sync import CLEAR, MIN_SHOTS, Lag, usual_lag
from audio2face.dataset.captured import CapturedActor
from audio2face.problems import Problems

ALONE = 0.5  # of the other shots' correlation: below, sound and mouth have nothing to do with each other
ODD_S, WRONG_S = 0.05, 0.08  # deviation from the other shots: warning, error
ALL_S = 0.12  # deviation of all shots together
AS_CLEAR = 0.6  # of the other shots' correlation: what a shifted sound reaches and a foreign one does not
GAIN = 0.03  # by how much the peak must beat the usual lag


def check_sync(
    report: Problems, lags: Mapping[str, Lag], fps: float, audio_file: Callable[[str], Path | None], unclear: str
) -> None:
    """Shots whose sound is early, late or somebody else's, and a lag of all shots; `unclear` is the fix when it cannot be told."""
    usual = usual_lag(lags)
    clear = [lag for lag in lags.values() if lag.correlation >= CLEAR]
    if lags and len(clear) < len(lags) / 2:
        what = f"The mouth clearly follows the sound in only {len(clear)} of {len(lags)} shots: sync cannot be judged."
        report.warning("sync.unclear", what, unclear, key="AUDIO_ROOT")
    if len(clear) >= MIN_SHOTS and abs(usual) > ALL_S * fps:
        what = f"In all shots the sound is {_words(usual, fps)}."
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
        if lag.correlation >= believed and abs(deviation) >= limits[0] * fps and beats:
            rest = " compared with the other shots" if enough else ""
            what = f"The sound is {_words(deviation, fps)}{rest} (correlation {lag.correlation:.2f})."
            fix = f"Set its audio offset in CLIPS to {round(deviation):+d}, or let --fix shift the sound."
            level = report.error if abs(deviation) >= limits[1] * fps else report.warning
            level("sync.shot", what, fix, shot=lag.shot, file=audio_file(lag.shot) or "", key="AUDIO_ROOT")
        elif enough and len(clear) >= 0.6 * len(lags) and lag.near(usual) < ALONE * typical:
            alone.append(lag.shot)
    for shot in alone:
        what = "The mouth does not follow this sound at any offset, as it does in the other shots."
        fix = "Check that the sound belongs to this shot."
        report.warning("sync.unrelated", what, fix, shot=shot, file=audio_file(shot) or "", key="AUDIO_ROOT")


def deviating(data: CapturedActor, lags: Mapping[str, Lag]) -> dict[str, float]:
    """Shots whose sound must be shifted, and by how many frames it is late: single ones, or all with the usual lag."""
    found = Problems(data.actor)
    check_sync(found, lags, data.fps, data.files.audio_file, "")
    usual = usual_lag(lags)
    common = usual if any(f.rule == "sync.all" for f in found) else 0.0
    late = {shot.name: common for shot in data.shots} if common else {}
    return late | {f.where.shot: common + lags[f.where.shot].frames - usual for f in found if f.rule == "sync.shot"}


def _words(frames: float, fps: float) -> str:
    return f"{abs(frames):.1f} frames ({abs(frames) / fps * 1000:.0f} ms) {'late' if frames > 0 else 'early'}"
