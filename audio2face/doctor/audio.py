"""The samples of sound files: level, clipping, silence, offset, dead channels, bandwidth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.audio.sync import frame_levels, mel_energy
from audio2face.audio.waveform import SILENCE
from audio2face.dataset.captured import CapturedActor, VoiceFile, readable
from audio2face.doctor.caches import runs
from audio2face.formats.sound import SoundInfo, read_sound
from audio2face.listing import shortened
from audio2face.problems import Problems

QUIET = 0.05  # largest sample of a recording that is too low
CLIPPED_RUN = 3  # equal samples at the top, to count as clipped
CLIPPED_TIMES = 5
OFFSET_LIMIT = 0.02  # mean sample
DEAD_CHANNEL = 0.02  # of the loudest channel's level
NARROW_HZ, NARROW_SHARE = 4200.0, 1e-6  # less than this share of the power above: a telephone's sound
MOSTLY_SILENT = 0.1  # share of frames that must be loud


@dataclass(frozen=True)
class PartnerSound:
    """The partner's sound of a shot: its largest sample, and `energy` as of a ShotSound."""

    peak: float
    energy: np.ndarray


@dataclass(frozen=True)
class ShotSound:
    """A shot's sound: what its header says, its numbers, and what the sync check uses.

    `energy` (T + 2 margin,) log energy of frames, margin frames before the first; `level` (T,) RMS; `channels` (C,) RMS.
    Where the actor has a channel, all is of that one; else `channel_levels` (2, T) are those of two channels.
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
    channel_levels: np.ndarray | None = None
    partner: PartnerSound | None = None

    @property
    def speech(self) -> np.ndarray:
        """Where there is speech: (T,) bool."""
        return self.level > max(SILENCE / 4, 0.15 * float(np.quantile(self.level, 0.95)))


def read_shot_sound(data: CapturedActor, file: VoiceFile, margin: int) -> ShotSound | None:
    """Read a shot's sound; None when it is empty or cannot be read, which is reported elsewhere."""
    sound = readable(read_sound, file.path)
    if sound is None or not len(sound[0]):
        return None
    samples, rate = sound
    digest, roles, count = hashlib.blake2b(samples.tobytes(), digest_size=16), data.files.roles, file.shot.num_frames
    partner = _partner_sound(data, file, samples, rate, margin)
    two = samples.T if roles.own is None and samples.shape[1] == 2 else ()
    channel_levels = [frame_levels(channel, rate, data.fps, count) for channel in two]
    if roles.own is not None and roles.own < samples.shape[1] > 1:
        samples = samples[:, roles.own : roles.own + 1]
    mono = samples.mean(axis=1)
    levels = np.sqrt(np.mean(samples.astype(np.float64) ** 2, axis=0))
    return ShotSound(
        shot=file.shot.name,
        path=file.path,
        info=file.info,
        peak=float(np.abs(samples).max()),
        mean=float(mono.mean(dtype=np.float64)),
        clipped=_clipped_runs(samples),
        channels=levels,
        high_share=_high_share(mono, rate),
        energy=mel_energy(mono, rate, data.fps, file.shot.num_frames, margin),
        level=frame_levels(mono, rate, data.fps, file.shot.num_frames),
        digest=digest.hexdigest(),
        channel_levels=np.stack(channel_levels) if channel_levels else None,
        partner=partner,
    )


def _partner_sound(
    data: CapturedActor, file: VoiceFile, samples: np.ndarray, rate: int, margin: int
) -> PartnerSound | None:
    """The partner in a shot whose own file holds samples (N, C); None without one, or when it cannot be read."""
    roles, count = data.files.roles, samples.shape[1]
    found = roles.partner_of(file.shot.name, file.path, 0, lambda path: count)
    if found is None:
        return None
    if found.track.path != file.path:
        other = readable(read_sound, found.track.path)
        if other is None:
            return None
        samples, rate = other
    channel, start = found.track.channel, round(found.offset / data.fps * rate)
    if not len(samples) or (channel is not None and channel >= samples.shape[1]):
        return None
    voice = samples.mean(axis=1) if channel is None else samples[:, channel]
    moved = voice[start:] if start >= 0 else np.pad(voice, (-start, 0))
    energy = mel_energy(moved, rate, data.fps, file.shot.num_frames, margin)
    return PartnerSound(float(np.abs(voice).max()), energy)


def check_damage(report: Problems, data: CapturedActor, sounds: Mapping[str, ShotSound]) -> None:
    """Sounds whose header is good and whose samples are not."""
    for file in data.sounds:
        if file.voice is None and file.shot.name not in sounds and file.info.num_samples:
            try:
                read_sound(file.path)
            except (ValueError, OSError) as error:
                where = {"shot": file.shot.name, "file": file.path, "key": "AUDIO_ROOT"}
                report.error("audio.damaged", f"{error}.", "Export it again.", **where)


def check_sounds(report: Problems, sounds: Mapping[str, ShotSound]) -> None:
    """What is in the sounds: level, clipping, silence, offset, dead channels, missing high frequencies."""
    for sound in sounds.values():
        _one_sound(report, sound)
    narrow = [s.shot for s in sounds.values() if s.high_share < NARROW_SHARE and s.peak > SILENCE]
    if narrow:
        what = f"Nothing above {NARROW_HZ / 1000:.0f} kHz in {len(narrow)} sound(s): {shortened(narrow)}; they were once sampled at 8 kHz."
        fix = "Use the original recordings: consonants are recognised by their high frequencies."
        report.warning("audio.narrow", what, fix, shot=narrow[0], key="AUDIO_ROOT")


def _one_sound(report: Problems, sound: ShotSound) -> None:
    where = {"shot": sound.shot, "file": sound.path, "key": "AUDIO_ROOT"}
    if sound.peak <= SILENCE:
        what = f"Silence: the largest sample is {sound.peak:.2g}."
        report.error("audio.silence", what, "Export the sound again, or leave the shot out.", **where)
        return
    if sound.peak < QUIET:
        fix = "Raise the gain when recording."
        report.warning("audio.quiet", f"Very low: the largest sample is {sound.peak:.3f}.", fix, **where)
    if float(sound.speech.mean()) < MOSTLY_SILENT:
        what = f"Sound is present in {sound.speech.mean():.0%} of the frames only."
        report.warning("audio.mostly_silent", what, "Listen to it; trim the shot with CLIPS.", **where)
    if sound.clipped >= CLIPPED_TIMES:
        what = f"Clipped in {sound.clipped} places."
        report.warning("audio.clipping", what, "Record again with less gain; a limiter does not help.", **where)
    if abs(sound.mean) > OFFSET_LIMIT:
        what = f"The wave is not centred: its mean is {sound.mean:+.3f}."
        report.warning("audio.offset", what, "Remove the offset (a high-pass filter at 20 Hz).", **where)
    if len(sound.channels) > 1 and sound.channels.min() < DEAD_CHANNEL * sound.channels.max():
        what = f"Channel {int(sound.channels.argmin()) + 1} of {len(sound.channels)} is empty."
        report.warning("audio.dead_channel", what, "Save the other one as mono.", **where)


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
