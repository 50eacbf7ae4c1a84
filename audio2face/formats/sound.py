"""Sound files (wav, flac and whatever else libsndfile reads) as float32 samples."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import atomic

# Files that are taken for sound, everywhere; of two of one name the first is read.
SOUND_SUFFIXES = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3")
_OPEN_ENDED = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # data sizes that programs writing to a pipe leave in a wav header


@dataclass(frozen=True)
class SoundInfo:
    """What a sound file's header says."""

    num_samples: int
    sample_rate: int
    num_channels: int

    @property
    def duration_s(self) -> float:
        return self.num_samples / self.sample_rate


def sound_info(path: str | os.PathLike[str]) -> SoundInfo:
    """Length, rate and channels, without decoding. Raises ValueError naming the file when it is no sound, or cut short."""
    import soundfile

    _check_wav_length(Path(path))
    try:
        info = soundfile.info(os.fspath(path))
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: expected a sound file: {error.error_string}") from error
    return SoundInfo(info.frames, info.samplerate, info.channels)


def read_sound(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """(samples (N, C) float32, sample rate); integer formats are scaled to [-1, 1).

    Raises ValueError naming the file when it is no sound, is cut short, or holds NaN or infinity.
    """
    import soundfile

    _check_wav_length(Path(path))
    try:
        samples, rate = soundfile.read(os.fspath(path), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: expected a sound file: {error.error_string}") from error
    if not np.isfinite(samples).all():
        first = int(np.argmin(np.isfinite(samples).all(axis=1)))
        raise ValueError(f"{path}: sample {first}: expected numbers, found NaN or infinity")
    return samples, int(rate)


def write_sound(path: str | os.PathLike[str], samples: np.ndarray, sample_rate: int, subtype: str = "PCM_16") -> None:
    """Write samples (N,) or (N, C) in the format of the suffix, whole or not at all; integer subtypes clip at ±1."""
    import soundfile

    with atomic(path) as temporary:
        soundfile.write(os.fspath(temporary), samples, sample_rate, subtype=subtype)


def _check_wav_length(path: Path) -> None:
    """libsndfile reads a truncated wav without a word: walk the chunks and raise ValueError when the sound is cut short."""
    refuse_pointer(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return
        while len(chunk := file.read(8)) == 8:
            tag, length = struct.unpack("<4sI", chunk)
            start = file.tell()
            if tag == b"data":
                if length not in _OPEN_ENDED and start + length > size:
                    raise ValueError(
                        f"{path}: byte {size}: expected {length} bytes of sound from byte {start}, the file ends"
                    )
                return
            file.seek(start + length + length % 2)
    raise ValueError(f"{path}: byte {size}: expected a 'data' chunk, the file ends")
