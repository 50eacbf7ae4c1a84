"""Live Link Face over UDP, as Unreal's Live Link reads it: one datagram a frame, version 6."""

from __future__ import annotations

import math
import struct
import time
import uuid
from fractions import Fraction

import numpy as np

from audio2face.paths import FRAMEWORK_ROOT
from audio2face.serving.live.udp import UdpSink
from audio2face.serving.stream import Frame

VERSION, NUM_VALUES, NUM_SHAPES = 6, 61, 52
DEFAULT_PORT = 11111
DAY_S = 86400
APART_S = 1.0


def encode(
    weights: np.ndarray,
    eyes: np.ndarray,
    frame_time: Fraction,
    fps: Fraction,
    device: str,
    subject: str,
    head: np.ndarray | None = None,
) -> bytes:
    """A datagram: weights (52,) in the order of `names.ARKIT`, eyes (6,) as right X, Y, Z, left X, Y, Z and head (3,) as yaw,
    pitch, roll in the unit to send.

    `frame_time` counts frames since midnight, with what is left of one; `device` are 36 ASCII characters. Source: the layout
    that Unreal's ARKit plugin reads (big-endian).
    """
    if len(device) != 36 or not device.isascii():
        raise ValueError(f"device {device!r}: expected a UUID of 36 characters")
    right, left = np.asarray(eyes, np.float64).reshape(2, 3)
    turns = [
        *(np.zeros(3) if head is None else head),
        left[1],
        left[0],
        left[2],
        right[1],
        right[0],
        right[2],
    ]  # head; yaw, pitch, roll of each eye
    values = np.concatenate([np.clip(np.nan_to_num(weights[:NUM_SHAPES]), 0.0, 1.0), turns])
    name, whole = subject.encode("utf-8"), math.floor(frame_time)
    who = struct.pack(f">Bi{len(device)}si{len(name)}s", VERSION, len(device), device.encode(), len(name), name)
    time_code = struct.pack(">ifii", whole, float(frame_time - whole), fps.numerator, fps.denominator)
    return who + time_code + struct.pack(f">B{NUM_VALUES}f", NUM_VALUES, *values)


def machine_id() -> str:
    """A UUID of this machine and checkout, the same every time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"audio2face:{uuid.getnode():012x}:{FRAMEWORK_ROOT}")).upper()


class LiveLinkSink(UdpSink):
    """Sends frames to `address` ("host:port") as the subject `subject`. Eyes and head go out in radians, or in `half_turns`."""

    def __init__(self, address: str, subject: str, fps: Fraction, half_turns: bool = False, device: str | None = None):
        super().__init__(address, DEFAULT_PORT)
        self._subject, self._fps, self._device = subject, fps, device or machine_id()
        self._unit = 1 / 180 if half_turns else math.pi / 180
        self._at = -DAY_S * fps  # the last frame's number since midnight

    def send(self, frame: Frame) -> None:
        """Put a frame on the wire; time codes count frames, within APART_S of the time of day."""
        now = time.localtime()
        of_day = math.floor((now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec + time.time() % 1) * self._fps)
        self._at = self._at + 1 if abs(self._at + 1 - of_day) <= APART_S * self._fps else Fraction(of_day)
        frame_time = self._at % (DAY_S * self._fps)
        eyes = np.asarray(frame.eyes, np.float64) * self._unit
        head = None if frame.head is None else np.asarray(frame.head, np.float64) * self._unit
        self.put(encode(frame.weights, eyes, frame_time, self._fps, self._device, self._subject, head))
