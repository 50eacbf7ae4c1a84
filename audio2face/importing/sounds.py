"""The sound of a take: from sound files and films, cut so that it begins with the animation."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.audio.waveform import resample
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.sound import read_sound, sound_info, wav_chunks
from audio2face.types import UserError

logger = logging.getLogger(__name__)

FILM_SUFFIXES = (".mov", ".mp4", ".m4a")
LOWEST_RATE = 16000
DAY_S = 86400.0
_BEXT_TIME = 338  # byte of TimeReference in a broadcast wave's chunk


@dataclass(frozen=True)
class TakeSound:
    """Samples (N, C) float32 at `rate`; `start_s` is the time code of the first, in seconds since midnight, if known."""

    samples: np.ndarray
    rate: int
    start_s: float | None = None


def read_take_sound(path: Path) -> TakeSound:
    """Read a sound file, or the first sound of a film. Raises ValueError naming the file, UserError without 'av'."""
    if path.suffix.lower() in FILM_SUFFIXES:
        return _read_film(path)
    samples, rate = read_sound(path)
    ticks = _broadcast_time(path)
    return TakeSound(samples, rate, None if not ticks else ticks / rate)


def sound_problems(path: Path) -> list[str]:
    """A line when a sound file (not a film, which is read later) is damaged, or its rate too low for speech."""
    if path.suffix.lower() in FILM_SUFFIXES:
        return []
    try:
        info = sound_info(path)
    except ValueError as error:
        return [str(error)]
    if info.note:
        logger.warning("%s: %s", path, info.note)
    rate = info.sample_rate
    return [f"{path}: {rate} Hz is too little; {LOWEST_RATE} Hz at least"] if rate < LOWEST_RATE else []


def begin_at(sound: TakeSound, offset_s: float, seconds: float, rate: int | None = None) -> tuple[np.ndarray, int]:
    """Samples (n, C) of `seconds` from `offset_s` on (before the start: silence) and their rate; shorter at the end."""
    first = round(offset_s * sound.rate)
    samples = np.pad(sound.samples, ((max(-first, 0), 0), (0, 0)))[max(first, 0) :]
    samples = samples[: round(seconds * sound.rate)]
    if rate is None or rate == sound.rate:
        return samples, sound.rate
    return resample(samples.T, sound.rate, rate).T, rate


def time_code_offset(sound: TakeSound, start_s: float) -> float | None:
    """Seconds of sound before the animation's time code `start_s`; None when it has no code, or one of another time."""
    if sound.start_s is None:
        return None
    offset = (start_s - sound.start_s + DAY_S / 2) % DAY_S - DAY_S / 2
    return offset if -1.0 < offset < len(sound.samples) / sound.rate else None


def _read_film(path: Path) -> TakeSound:
    try:
        import av
    except ImportError as error:
        raise UserError(f"{path}: reading the sound of a film needs 'av': pip install -e '.[video]'") from error
    refuse_pointer(path)
    try:
        with av.open(str(path)) as film:
            if not film.streams.audio:
                raise ValueError(f"{path}: the film has no sound")
            stream = film.streams.audio[0]
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
            blocks = [f.to_ndarray() for packet in film.decode(stream) for f in resampler.resample(packet)]
            blocks += [f.to_ndarray() for f in resampler.resample(None)]
            codes = [{**film.metadata}, *({**s.metadata} for s in film.streams)]
            rates = [float(s.average_rate) for s in film.streams.video if s.average_rate]
            rate = int(stream.rate)
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"{path}: expected a film with sound: {error}") from error
    code = next((c["timecode"] for c in codes if "timecode" in c), None)
    samples = np.concatenate(blocks, axis=1).T.astype(np.float32) if blocks else np.zeros((0, 1), np.float32)
    return TakeSound(np.ascontiguousarray(samples), rate, _seconds(code, rates[0]) if code and rates else None)


def _seconds(code: str, fps: float) -> float | None:
    try:
        hours, minutes, seconds, frames = map(int, code.replace(";", ":").split(":"))
    except ValueError:
        return None
    return ((hours * 60 + minutes) * 60 + seconds) * max(round(fps), 1) / fps + frames / fps


def _broadcast_time(path: Path) -> int | None:
    """Samples since midnight from the bext chunk of a broadcast wave, or None."""
    with path.open("rb") as file:
        for tag, start, length in wav_chunks(file):
            if tag == b"bext" and length >= _BEXT_TIME + 8:
                file.seek(start + _BEXT_TIME)
                return int(struct.unpack("<Q", file.read(8))[0])
    return None
