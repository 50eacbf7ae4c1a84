"""Sound on this machine's loudspeaker, whose clock frames follow."""

from __future__ import annotations

import threading

import numpy as np

from audio2face.audio.resampler import Resampler
from audio2face.problems import UserError
from audio2face.serving.live.source import sounddevice_module


class PlayOut:
    """Samples on their way to a device: silence until `delay_s` of them wait, then what there is, and silence where it runs out.

    Its clock counts what has been heard, so that it waits with the sound. Any thread may call any method.
    """

    def __init__(self, rate: int, delay_s: float):
        self._rate, self._least = rate, round(delay_s * rate)
        self._waiting, self._lock = np.zeros(0, np.float32), threading.Lock()
        self._started, self._given = False, 0  # samples
        self._block = (0, 0, 0.0)  # the newest one that holds sound: its first sample, its length, when it is heard

    def add(self, samples: np.ndarray) -> None:
        """The next samples (N,) float32."""
        with self._lock:
            self._waiting = np.concatenate([self._waiting, samples])
            self._started |= len(self._waiting) >= self._least

    def end(self) -> None:
        """No more come: what waits is played, however short it is."""
        self._started = True

    def take(self, count: int, at_s: float) -> np.ndarray:
        """The device's next block (count,), which is heard from `at_s` on, by the device's clock."""
        block = np.zeros(count, np.float32)
        with self._lock:
            if self._started and len(self._waiting):
                found, self._waiting = self._waiting[:count], self._waiting[count:]
                block[: len(found)] = found
                self._block = (self._given, len(found), at_s)
                self._given += len(found)
        return block

    def heard_s(self, now_s: float) -> float:
        """Seconds of sound that have been heard at a time of the device's clock; negative before the first."""
        first, length, at_s = self._block
        if not length:
            return -1.0
        return (first + min((now_s - at_s) * self._rate, length)) / self._rate


class Speaker:
    """Plays PCM of 16 bits at `sample_rate`, `delay_s` after it has come, on the default output device or one by name or number."""

    def __init__(self, sample_rate: int, delay_s: float, device: str | None = None):
        """Raises UserError without the package, its library, or such a device."""
        sounddevice = sounddevice_module("--play")
        name = int(device) if device is not None and device.isdecimal() else device
        try:
            rate = int(sounddevice.query_devices(name, "output")["default_samplerate"])
            self._resampler, self._out, self._odd = Resampler(sample_rate, rate), PlayOut(rate, delay_s), b""
            self._stream = sounddevice.OutputStream(
                device=name, channels=1, samplerate=rate, dtype="float32", latency="high", callback=self._fill
            )
            self._stream.start()
        except (ValueError, sounddevice.PortAudioError) as error:
            raise UserError(f"--play: {error}; --list-devices shows what there is") from error

    def add(self, sound: bytes) -> None:
        """More sound; half a sample waits for its other half."""
        sound = self._odd + sound
        whole = len(sound) // 2 * 2
        self._odd = sound[whole:]
        self._out.add(self._resampler.feed(np.frombuffer(sound[:whole], "<i2").astype(np.float32) / 32768))

    def end(self) -> None:
        """No more sound comes."""
        self._out.add(self._resampler.finish())
        self._out.end()

    def heard_s(self) -> float:
        """Seconds of the sound that have been heard; negative before its beginning. Raises UserError when the device is gone."""
        if not self._stream.active:
            raise UserError("--play: the device is gone")
        return self._out.heard_s(self._stream.time)

    def close(self) -> None:
        """Let the device go, once it has played what it was given."""
        self._stream.stop()
        self._stream.close()

    def _fill(self, out: np.ndarray, frames: int, time: object, _: object) -> None:
        """In the device's own thread."""
        out[:, 0] = self._out.take(frames, time.outputBufferDacTime)  # type: ignore[attr-defined]
