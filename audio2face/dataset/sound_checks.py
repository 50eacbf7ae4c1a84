"""Sound files by their headers: rate, channels, and length against the animation."""

from __future__ import annotations

import numpy as np

from audio2face.audio.waveform import cancels
from audio2face.dataset.captured import CapturedActor, VoiceFile, readable
from audio2face.dataset.clips import TOLERATED_SHORTFALL_S
from audio2face.dataset.partner_checks import check_roles
from audio2face.formats.sound import read_sound
from audio2face.problems import Problems
from audio2face.types import SAMPLE_RATE

COMMON_RATES = (12.0, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0, 120.0)


def check_sound_files(report: Problems, data: CapturedActor) -> None:
    """Length of every sound (of every voice) against its animation, header, rate and channels; reads mono by its header only."""
    check_roles(report, data)
    for sound in data.sounds:
        info, path = sound.info, sound.path
        where = {"shot": sound.shot.name, "file": path, "key": "AUDIO_ROOT"}
        if not info.num_samples:
            report.error("audio.empty", "The file holds no sound.", "Export it again.", **where)
        if info.note:
            what = f"{info.note[0].upper()}{info.note[1:]}."
            report.warning(
                "audio.header",
                what,
                "Compare it with the original; --fix corrects a length that does not fit.",
                **where,
            )
        elif info.open_ended:
            what = "The header gives no length, as a pipe leaves it; everything after it is read."
            report.info("audio.header", what, "--fix enters it.", **where)
        averaged = info.num_channels if data.files.roles.own is None else 1
        if averaged > 1 and (samples := readable(read_sound, path)) and cancels(samples[0]):
            what = "The channels are in opposite phase: their average cancels the voice."
            report.error("audio.phase", what, "Save one of them as mono; --fix keeps the loudest.", **where)
        if averaged > 2:
            what = f"{info.num_channels} channels are averaged; usually one of them holds the speech."
            report.warning("audio.channels", what, "Save it as mono.", **where)
        elif averaged == 2:
            report.info("audio.channels", "Two channels; their average is used.", "", **where)
        if info.sample_rate < SAMPLE_RATE:
            what = f"{info.sample_rate} Hz; at least {SAMPLE_RATE} Hz are needed."
            report.error("audio.rate", what, "Find the original recording; --fix resamples.", **where)
    wrong_rate = _implied_rate(data.fps, [(s.shot.num_frames, s.info.duration_s) for s in data.sounds])
    if wrong_rate:
        what = f"CACHE_FPS is {data.fps:g}, but the animations last as long as their sounds at {wrong_rate:g} frames a second."
        fix = f"If they were exported at that rate, set CACHE_FPS = {{{data.actor!r}: {wrong_rate:g}}}."
        report.error("cache.fps", what, fix, key="CACHE_FPS")
        return
    for sound in data.sounds:
        if sound.info.num_samples:
            _check_length(report, data.fps, sound)


def _check_length(report: Problems, fps: float, sound: VoiceFile) -> None:
    shot, info, path = sound.shot, sound.info, sound.path
    sounding = info.duration_s * fps
    gap = sounding - shot.num_frames
    if abs(gap) <= 1.0:
        return
    where = {"shot": shot.name, "file": path, "key": "AUDIO_ROOT"}
    what = (
        f"The sound lasts {info.duration_s:.2f} s, which is {sounding:.1f} frames; the animation has {shot.num_frames}. "
        f"{round(sounding)} frames would match."
    )
    if gap < -TOLERATED_SHORTFALL_S * fps:
        fix = "Find the whole recording, or shorten the clip's range; --fix trims the longer one."
        report.error("audio.length", what, fix, **where)
    else:
        fix = "Check that both start at the same moment; --fix trims the longer one."
        report.warning("audio.length", what, fix, **where)


def _implied_rate(fps: float, lengths: list[tuple[int, float]]) -> float | None:
    """Another common rate at which at least two of three animations last as long as their sounds."""
    spans = [(frames, seconds) for frames, seconds in lengths if seconds > 0]
    fitting = sum(abs(frames - seconds * fps) <= 2 for frames, seconds in spans)
    if len(spans) < 2 or fitting > len(spans) / 3:
        return None

    def misfit(rate: float) -> float:
        return float(np.quantile([abs(frames / (seconds * rate) - 1) for frames, seconds in spans], 2 / 3))

    rate = min(COMMON_RATES, key=misfit)
    return rate if misfit(rate) < 0.01 and abs(rate / fps - 1) > 0.005 else None
