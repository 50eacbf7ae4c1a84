"""The sound of a take: from sound files and videos, cut so that it begins with the animation."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.audio.waveform import resample
from audio2face.confined import confined
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.sound import read_sound, sound_info, wav_chunks
from audio2face.formats.time_code import DAY, NTSC, elapsed, parse_time_code
from audio2face.problems import UserError
from audio2face.types import SAMPLE_RATE

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mov", ".mp4", ".m4v", ".mkv", ".webm", ".avi", ".m4a")
STAMPS_ROUNDED_S = 0.005  # that a video's time stamps are off by: some count milliseconds
LONGEST_GAP_S = 3600.0
_BEXT_TIME = 338  # byte of TimeReference in a broadcast wave's chunk


@dataclass(frozen=True)
class TakeSound:
    """Samples (N, C) float32 at `rate`; `start_s` is the first one's time code in seconds since midnight, if known."""

    samples: np.ndarray
    rate: int
    start_s: float | None = None


def read_take_sound(path: Path) -> TakeSound:
    """Read a sound file, or a video's first audio stream. Raises ValueError naming the file, UserError without 'av'."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return TakeSound(*confined(_read_video, str(path), load=["av"]))
    samples, rate = read_sound(path)
    ticks = _broadcast_time(path)
    return TakeSound(samples, rate, None if not ticks else ticks / rate)


def sound_problems(path: Path) -> list[str]:
    """A line when a sound file (not a video, which is read later) is damaged, or its rate too low for speech."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return []
    try:
        info = sound_info(path)
    except ValueError as error:
        return [str(error)]
    if info.note:
        logger.warning("%s: %s", path, info.note)
    rate = info.sample_rate
    return [f"{path}: {rate} Hz is too low; at least {SAMPLE_RATE} Hz is needed"] if rate < SAMPLE_RATE else []


def begin_at(sound: TakeSound, offset_s: float, seconds: float, rate: int | None = None) -> tuple[np.ndarray, int]:
    """Samples (n, C) of `seconds` from `offset_s` on (before the start: silence) and their rate; shorter at the end."""
    first = round(offset_s * sound.rate)
    samples = np.pad(sound.samples, ((max(-first, 0), 0), (0, 0)))[max(first, 0) :]
    samples = samples[: round(seconds * sound.rate)]
    if rate is None or rate == sound.rate:
        return samples, sound.rate
    return resample(samples.T, sound.rate, rate).T, rate


def time_code_offset(sound: TakeSound, start_s: float, day_s: float = DAY) -> float | None:
    """Seconds of sound before the animation's time code `start_s`; None when it has no code, or one of another time.

    After `day_s` the animation's codes begin again.
    """
    if sound.start_s is None:
        return None
    offset = (start_s - sound.start_s + day_s / 2) % day_s - day_s / 2
    return offset if -1.0 < offset < len(sound.samples) / sound.rate else None


def _read_video(video_file: str) -> tuple[np.ndarray, int, float | None]:
    """A video's first audio stream, from its first picture on; without pictures from the beginning: as a TakeSound."""
    path = Path(video_file)
    try:
        import av
    except ImportError as error:
        raise UserError(f"{path}: reading the sound of a video needs 'av': pip install -e '.[video]'") from error
    refuse_pointer(path)
    try:
        with av.open(str(path)) as video:
            if not video.streams.audio:
                raise ValueError(f"{path}: the video has no sound")
            pictures = [s for s in video.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
            starts = [float(s.start_time * s.time_base) for s in pictures if s.start_time is not None and s.time_base]
            samples, rate = _placed(path, video.decode(video.streams.audio[0]), starts[0] if starts else 0.0)
            codes = [{**video.metadata}, *({**s.metadata} for s in video.streams)]
            rates = [float(s.average_rate) for s in pictures if s.average_rate]
    except (av.FFmpegError, OSError, UnicodeDecodeError) as error:  # the last: names in the file
        raise ValueError(f"{path}: expected a video with sound: {error}") from error
    code = next((c["timecode"] for c in codes if "timecode" in c), None)
    return samples, rate, _seconds(code, rates[0]) if code and rates else None


def _placed(path: Path, frames: Iterable[Any], begin_s: float) -> tuple[np.ndarray, int]:
    """Samples (N, C) from `begin_s` on and their rate: av frames at their time stamps, silence where there is none."""
    from av import AudioResampler

    blocks: list[np.ndarray] = []
    rate, end, resampler = SAMPLE_RATE, 0, None
    for frame in frames:
        if resampler is None:
            rate = frame.sample_rate
            resampler = AudioResampler(format="fltp", layout=frame.layout, rate=rate)
        first = end if frame.time is None else round((frame.time - begin_s) * rate)
        if blocks and abs(first - end) <= STAMPS_ROUNDED_S * rate:
            first = end
        if first - end > LONGEST_GAP_S * rate:
            raise ValueError(
                f"{path}: its sound jumps from {end / rate:.1f} to {first / rate:.1f} s: damaged time stamps"
            )
        for block in (part.to_ndarray() for part in resampler.resample(frame)):
            blocks += [np.zeros((len(block), max(first - end, 0)), np.float32), block[:, max(end - first, 0) :]]
            end += sum(part.shape[1] for part in blocks[-2:])
            first += block.shape[1]
    samples = np.concatenate(blocks, axis=1).T if blocks else np.zeros((0, 1), np.float32)
    return np.ascontiguousarray(samples, np.float32), int(rate)


def _seconds(code: str, fps: float) -> float | None:
    """Seconds since midnight of a video's time code, whose pictures come `fps` a second on average."""
    try:
        seconds, frames, drop = parse_time_code(code)
    except ValueError:
        return None
    whole = max(round(fps), 1)
    ntsc = drop or abs(fps - whole * NTSC) < 1e-4 * fps  # phones' pictures come a little unevenly, at whole rates
    return float(elapsed(np.array(seconds), np.array(frames), whole * NTSC if ntsc else whole, drop))


def _broadcast_time(path: Path) -> int | None:
    """Samples since midnight from the bext chunk of a broadcast wave, or None."""
    with path.open("rb") as file:
        for tag, start, length in wav_chunks(file):
            if tag == b"bext" and length >= _BEXT_TIME + 8:
                file.seek(start + _BEXT_TIME)
                return int.from_bytes(file.read(8), "little")
    return None
