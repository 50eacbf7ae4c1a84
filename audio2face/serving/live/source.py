"""Sound as it comes: a microphone, PCM from a pipe, or a file played in its own time."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from audio2face.audio.waveform import mixed_down
from audio2face.formats.sound import read_sound
from audio2face.problems import UserError

logger = logging.getLogger(__name__)

PIECE_S = 0.01
LEAST_PEAK = 0.1  # of a microphone: silence is not made loud
RING_S = 2.0  # of the microphone's sound that may wait


class Source(Protocol):
    """Where sound comes from. `pieces` yields PCM (bytes of 16 bits) as it comes, b"" while there is none, and ends with it."""

    sample_rate: int

    def pieces(self) -> Iterator[bytes]: ...


class FileSource:
    """A sound file, a piece at a time as it would be spoken; `fast` as quickly as it can be taken."""

    def __init__(self, path: Path, fast: bool = False):
        """Raises UserError for a file that cannot be read."""
        try:
            samples, self.sample_rate = read_sound(path)
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from error
        except ValueError as error:
            raise UserError(str(error)) from error
        self._samples, self._fast = to_pcm(mixed_down(samples)), fast

    def pieces(self) -> Iterator[bytes]:
        """The sound, paced by the clock."""
        size, began = max(1, round(PIECE_S * self.sample_rate)), time.monotonic()
        for first in range(0, len(self._samples), size):
            wait = began + (first + size) / self.sample_rate - time.monotonic()
            if wait > 0 and not self._fast:
                time.sleep(wait)
            yield self._samples[first : first + size].tobytes()


class PipeSource:
    """Raw PCM, 16 bits, one channel, from a stream such as stdin, as it comes."""

    def __init__(self, sample_rate: int, stream: BinaryIO | None = None):
        self.sample_rate, self._stream = sample_rate, stream or sys.stdin.buffer

    def pieces(self) -> Iterator[bytes]:
        """Whatever has come, at most a tenth of a second at a time."""
        size = 2 * max(1, round(0.1 * self.sample_rate))
        read = getattr(self._stream, "read1", self._stream.read)
        while piece := read(size):
            yield piece


class Microphone:
    """The default input device, or one by name or number; `channel` of it, counted from 1."""

    def __init__(self, device: str | None = None, channel: int = 1):
        """Raises UserError without the package, its library, or such a device."""
        self._sounddevice = sounddevice_module("a microphone")
        self._device = int(device) if device is not None and device.isdecimal() else device
        try:
            info = self._sounddevice.query_devices(self._device, "input")
        except (ValueError, self._sounddevice.PortAudioError) as error:
            raise UserError(f"--input mic: {error}; --list-devices shows what there is") from error
        if not 1 <= channel <= info["max_input_channels"]:
            raise UserError(f"--channel {channel}: {info['name']} has {info['max_input_channels']} channel(s)")
        self.sample_rate, self._channel = int(info["default_samplerate"]), channel
        self._ring: deque[bytes] = deque()
        self._waiting, self._lost, self._came = 0, 0, threading.Event()

    def pieces(self) -> Iterator[bytes]:
        """What the device hears, until Ctrl-C; lost sound is silence of its length, so that time stays true."""
        with self._sounddevice.InputStream(
            device=self._device,
            channels=self._channel,
            samplerate=self.sample_rate,
            dtype="float32",
            blocksize=0,
            latency="low",
            callback=self._heard,
        ):
            while True:
                self._came.wait(1.0)
                self._came.clear()
                while self._ring:
                    piece = self._ring.popleft()
                    self._waiting -= len(piece) // 2
                    yield piece
                if self._lost:
                    lost, self._lost = self._lost, 0
                    logger.warning(
                        "%.2f s of the microphone were lost: this machine is too busy", lost / self.sample_rate
                    )
                    yield bytes(2 * lost)

    def _heard(self, samples: np.ndarray, frames: int, _: object, status: object) -> None:
        """In the device's own thread: copy and go."""
        if status or self._waiting > RING_S * self.sample_rate:
            self._lost += frames
        else:
            self._ring.append(to_pcm(samples[:, self._channel - 1]).tobytes())
            self._waiting += frames
        self._came.set()


class Levelled:
    """A source at full level, as networks expect it: divided by its loudest sample so far, which is at least `LEAST_PEAK`."""

    def __init__(self, source: Source):
        self.sample_rate, self._source, self._peak = source.sample_rate, source, LEAST_PEAK

    def pieces(self) -> Iterator[bytes]:
        """The source's pieces, louder."""
        for piece in self._source.pieces():
            whole = np.frombuffer(piece[: len(piece) // 2 * 2], "<i2")
            samples = whole.astype(np.float32) / 32768
            self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))
            yield to_pcm(samples / self._peak).tobytes() + piece[2 * len(whole) :]


def to_pcm(samples: np.ndarray) -> np.ndarray:
    """Samples (N,) of -1 … 1 as 16-bit numbers."""
    return np.clip(np.round(np.asarray(samples) * 32767), -32768, 32767).astype("<i2")


def list_devices() -> str:
    """The sound devices of this machine, as text. Raises UserError as `Microphone`."""
    return str(sounddevice_module("the list of devices").query_devices())


def sounddevice_module(what: str) -> Any:
    """The package sounddevice, which `what` needs. Raises UserError where it or its library is missing."""
    try:
        import sounddevice
    except ImportError as error:
        raise UserError(f"{what} needs the package sounddevice: pip install -e '.[live]'") from error
    except OSError as error:
        raise UserError(f"{what} needs PortAudio ({error}); on Debian and Ubuntu: apt install libportaudio2") from error
    return sounddevice


def open_source(name: str, rate: int, device: str | None, channel: int) -> Source:
    """`mic`, `-` for PCM on stdin at `rate`, or a sound file. Raises UserError."""
    if name == "mic":
        return Microphone(device, channel)
    return PipeSource(rate) if name == "-" else FileSource(Path(name))
