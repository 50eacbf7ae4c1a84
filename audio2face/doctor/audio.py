"""Sound files: rate, channels, level, clipping, silence, bandwidth, and length against the animation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.audio.waveform import SILENCE, cancels
from audio2face.dataset.clips import TOLERATED_SHORTFALL_S
from audio2face.doctor.actor_data import Subject, readable, shot_names
from audio2face.doctor.caches import runs
from audio2face.doctor.findings import Finding, Reporter
from audio2face.doctor.sync import frame_levels, mel_energy
from audio2face.formats.sound import SoundInfo, read_sound, sound_info
from audio2face.types import SAMPLE_RATE, Shot

COMMON_RATES = (12.0, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0, 120.0)
QUIET = 0.05  # largest sample of a recording that is too low
CLIPPED_RUN = 3  # equal samples at the top, to count as clipped
CLIPPED_TIMES = 5
OFFSET_LIMIT = 0.02  # mean sample
DEAD_CHANNEL = 0.02  # of the loudest channel's level
NARROW_HZ, NARROW_SHARE = 4200.0, 1e-6  # less than this share of the power above: a telephone's sound
MOSTLY_SILENT = 0.1  # share of frames that must be loud


@dataclass(frozen=True)
class Sound:
    """A shot's sound: what its header says, its numbers, and what the sync check hears in it.

    `energy` (T + 2 margin,) log energy of frames, margin frames before the first; `level` (T,) RMS; `channels` (C,) RMS.
    """

    shot: str
    path: Path
    info: SoundInfo
    peak: float
    mean: float
    clipped: int
    channels: np.ndarray
    high_share: float
    energy: np.ndarray
    level: np.ndarray
    digest: str

    @property
    def speech(self) -> np.ndarray:
        """Where something is said: (T,) bool."""
        return self.level > max(SILENCE / 4, 0.15 * float(np.quantile(self.level, 0.95)))


def listen(subject: Subject, shot: Shot, margin: int) -> Sound | None:
    """Read a shot's sound; None when it has none or it cannot be read, which is told elsewhere."""
    path = subject.files.audio_file(shot.name)
    if path is None:
        return None
    info, sound = readable(sound_info, path), readable(read_sound, path)
    if info is None or sound is None or not len(sound[0]):
        return None
    samples, rate = sound
    mono = samples.mean(axis=1)
    levels = np.sqrt(np.mean(samples.astype(np.float64) ** 2, axis=0))
    return Sound(
        shot=shot.name,
        path=path,
        info=info,
        peak=float(np.abs(samples).max()),
        mean=float(mono.mean(dtype=np.float64)),
        clipped=_clipped_runs(samples),
        channels=levels,
        high_share=_high_share(mono, rate),
        energy=mel_energy(mono, rate, subject.fps, shot.num_frames, margin),
        level=frame_levels(mono, rate, subject.fps, shot.num_frames),
        digest=hashlib.blake2b(samples.tobytes(), digest_size=16).hexdigest(),
    )


def check_damage(subject: Subject, sounds: Mapping[str, Sound]) -> Iterator[Finding]:
    """Sounds whose header is good and whose samples are not."""
    report = Reporter(subject.actor)
    for shot in subject.shots:
        path = subject.files.audio_file(shot.name)
        info = readable(sound_info, path) if path and shot.name not in sounds else None
        if path is None or info is None or not info.num_samples:
            continue
        try:
            read_sound(path)
        except (ValueError, OSError) as error:
            yield report.error(
                "audio.damaged", f"{error}.", "Export it again.", shot=shot.name, file=path, key="AUDIO_ROOT"
            )


def check_lengths(subject: Subject) -> Iterator[Finding]:
    """Length of every sound (of every voice) against its animation, header, rate and channels; reads mono by its header only."""
    report = Reporter(subject.actor)
    lengths: dict[str, tuple[Shot, SoundInfo, Path]] = {}
    for voice in (None, *subject.files.voices()):
        for shot in subject.shots:
            path = subject.files.audio_file(shot.name, voice)
            info = readable(sound_info, path) if path else None
            if path is None or info is None:
                continue
            where: dict[str, object] = {"shot": shot.name, "file": path, "key": "AUDIO_ROOT"}
            lengths[f"{voice}/{shot.name}"] = shot, info, path
            if not info.num_samples:
                yield report.error("audio.empty", "The file holds no sound.", "Export it again.", **where)
            if info.note:
                what = f"{info.note[0].upper()}{info.note[1:]}."
                yield report.warning(
                    "audio.header",
                    what,
                    "Compare it with the original; --fix corrects a length that does not fit.",
                    **where,
                )
            elif info.open_ended:
                what = "The header gives no length, as a pipe leaves it; all that follows is read."
                yield report.info("audio.header", what, "--fix enters it.", **where)
            if info.num_channels > 1 and (sound := readable(read_sound, path)) and cancels(sound[0]):
                what = "The channels are in opposite phase: their average cancels the voice."
                yield report.error("audio.phase", what, "Save one of them as mono; --fix keeps the loudest.", **where)
            if info.num_channels > 2:
                what = f"{info.num_channels} channels are averaged; speech is mostly in one of them."
                yield report.warning("audio.channels", what, "Save it as mono.", **where)
            elif info.num_channels == 2:
                yield report.info("audio.channels", "Two channels; their average is used.", "", **where)
            if info.sample_rate < SAMPLE_RATE:
                what = f"{info.sample_rate} Hz; at least {SAMPLE_RATE} Hz are needed."
                yield report.error("audio.rate", what, "Find the original recording; --fix resamples.", **where)
    wrong_rate = _implied_rate(subject.fps, [(s.num_frames, i.duration_s) for s, i, _ in lengths.values()])
    if wrong_rate:
        what = f"CACHE_FPS is {subject.fps:g}, but the animations last as long as their sounds at {wrong_rate:g} frames a second."
        fix = f"If they were exported at that rate, set CACHE_FPS = {{{subject.actor!r}: {wrong_rate:g}}}."
        yield report.error("cache.fps", what, fix, key="CACHE_FPS")
        return
    for shot, info, path in lengths.values():
        if info.num_samples:
            yield from _length(report, subject, shot, info, path)


def check_sounds(subject: Subject, sounds: Mapping[str, Sound]) -> Iterator[Finding]:
    """What is in the sounds: level, clipping, silence, offset, dead channels, missing high frequencies."""
    report = Reporter(subject.actor)
    for sound in sounds.values():
        yield from _one_sound(report, sound)
    narrow = [s.shot for s in sounds.values() if s.high_share < NARROW_SHARE and s.peak > SILENCE]
    if narrow:
        what = f"Nothing above {NARROW_HZ / 1000:.0f} kHz in {len(narrow)} sound(s): {shot_names(narrow)}; they passed through 8 kHz."
        fix = "Use the original recordings: consonants are recognised by their high frequencies."
        yield report.warning("audio.narrow", what, fix, shot=narrow[0], key="AUDIO_ROOT")


def _one_sound(report: Reporter, sound: Sound) -> Iterator[Finding]:
    where = {"shot": sound.shot, "file": sound.path, "key": "AUDIO_ROOT"}
    if sound.peak <= SILENCE:
        what = f"Silence: the largest sample is {sound.peak:.2g}."
        yield report.error("audio.silence", what, "Export the sound again, or leave the shot out.", **where)
        return
    if sound.peak < QUIET:
        fix = "Raise the gain when recording."
        yield report.warning("audio.quiet", f"Very low: the largest sample is {sound.peak:.3f}.", fix, **where)
    if float(sound.speech.mean()) < MOSTLY_SILENT:
        what = f"Something is heard in {sound.speech.mean():.0%} of the frames only."
        yield report.warning("audio.mostly_silent", what, "Listen to it; trim the shot with CLIPS.", **where)
    if sound.clipped >= CLIPPED_TIMES:
        what = f"Clipped: {sound.clipped} times the wave is cut flat at its top."
        yield report.warning("audio.clipping", what, "Record again with less gain; a limiter does not help.", **where)
    if abs(sound.mean) > OFFSET_LIMIT:
        what = f"The wave is not centred: its mean is {sound.mean:+.3f}."
        yield report.warning("audio.offset", what, "Remove the offset (a high-pass filter at 20 Hz).", **where)
    if len(sound.channels) > 1 and sound.channels.min() < DEAD_CHANNEL * sound.channels.max():
        what = f"Channel {int(sound.channels.argmin()) + 1} of {len(sound.channels)} is empty."
        yield report.warning("audio.dead_channel", what, "Save the other one as mono.", **where)


def _length(report: Reporter, subject: Subject, shot: Shot, info: SoundInfo, path: Path) -> Iterator[Finding]:
    sounding = info.duration_s * subject.fps
    gap = sounding - shot.num_frames
    if abs(gap) <= 1.0:
        return
    where = {"shot": shot.name, "file": path, "key": "AUDIO_ROOT"}
    what = (
        f"The sound lasts {info.duration_s:.2f} s, which is {sounding:.1f} frames; the animation has {shot.num_frames}. "
        f"{round(sounding)} frames would match."
    )
    if gap < -TOLERATED_SHORTFALL_S * subject.fps:
        fix = "Find the whole recording, or shorten the clip's range; --fix trims the longer one."
        yield report.error("audio.length", what, fix, **where)
    else:
        fix = "Check that both begin at the same moment; --fix trims the longer one."
        yield report.warning("audio.length", what, fix, **where)


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


def _clipped_runs(samples: np.ndarray) -> int:
    count = 0
    for channel in samples.T:
        top = float(np.abs(channel).max(initial=0.0))
        if top < 0.5:
            continue
        for side in (channel, -channel):
            flat = side >= top * (1 - 1e-4)
            count += (
                sum(last - first + 1 >= CLIPPED_RUN for first, last in runs(flat)) if flat.sum() > CLIPPED_RUN else 0
            )
    return count


def _high_share(mono: np.ndarray, rate: int) -> float:
    """Share of the power above NARROW_HZ, over windows of 4096 samples."""
    if rate < 3 * NARROW_HZ:
        return 1.0
    size = 4096
    padded = np.pad(mono, (0, -len(mono) % size)).reshape(-1, size)
    power = (np.abs(np.fft.rfft((padded - padded.mean(axis=1, keepdims=True)) * np.hanning(size))) ** 2).sum(axis=0)
    high = np.fft.rfftfreq(size, 1 / rate) > NARROW_HZ
    return float(power[high].sum() / max(power.sum(), 1e-20))
