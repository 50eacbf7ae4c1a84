"""Animations as the page asks for them: pieces of some frames, every mesh in 16-bit steps of the piece's own bounding box."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats import AnimationFile

CHUNK_BYTES = 1 << 20
LONGEST_CHUNK = 64  # frames
STEPS = 65535
Read = Callable[[int, int], np.ndarray]  # first and end frame -> (n, points, 3)


@dataclass(frozen=True)
class Channel:
    """One set of points over time: skin, tongue, jaw (key points) or eyes (2 rows of degrees: right, left)."""

    name: str
    points: int
    read: Read


@dataclass(frozen=True)
class Curves:
    """Blendshape weights (T, P) of poses `names` (P)."""

    names: tuple[str, ...]
    weights: np.ndarray


class AnimationStream:
    """One animation. Frame i stands at `start_s` + i / `fps` of the sound; frames below `ready` can be read.

    `error` tells why a track that was being computed ended early. `solve` finds the curves, once, when they are asked for.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        num_frames: int,
        fps: float,
        start_s: float = 0.0,
        solve: Callable[[], Curves | None] | None = None,
    ):
        self.channels = tuple(channels)
        self.num_frames, self.fps, self.start_s = num_frames, fps, start_s
        self.ready, self.finished, self.error, self.compute_s = num_frames, True, "", 0.0
        self._solve = solve
        self._curves: Curves | None = None
        self._lock = threading.Lock()

    @property
    def chunk_frames(self) -> int:
        """Frames of a piece: about CHUNK_BYTES of them."""
        size = 6 * sum(channel.points for channel in self.channels)
        return int(np.clip(CHUNK_BYTES // max(size, 1), 1, LONGEST_CHUNK))

    @property
    def has_curves(self) -> bool:
        """Whether blendshape weights can be solved for this animation."""
        return self._solve is not None

    def chunk(self, index: int) -> tuple[int, bytes]:
        """Piece `index`: its frames, and every channel packed after the other.

        Raises IndexError beyond the frames that are ready, ValueError for values that are not finite.
        """
        first = index * self.chunk_frames
        end = min(first + self.chunk_frames, self.num_frames)
        if not 0 <= first < end or end > self.ready:
            raise IndexError(f"piece {index} is not there")
        return end - first, b"".join(pack(channel.read(first, end)) for channel in self.channels)

    def curves(self) -> Curves | None:
        """Blendshape weights of the whole track, None without a rig; the first call may take seconds."""
        with self._lock:
            if self._curves is None and self._solve is not None and self.finished:
                self._curves = self._solve()
        return self._curves


def pack(frames: np.ndarray) -> bytes:
    """Points (n, V, 3): low corner and step of each axis (6 float32), then uint16 (3, n, V), filled up to 4 bytes.

    A point is low + step * value, to half a step. Raises ValueError when there are values that are not finite.
    """
    if not frames.shape[1]:
        return struct.pack("<6f", 0, 0, 0, 1, 1, 1)
    axes = np.array(frames.reshape(-1, 3).T, np.float32, order="C")
    low, high = axes.min(axis=1), axes.max(axis=1)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("the animation holds values that are not finite")
    step = np.where(high > low, (high - low) / STEPS, 1).astype(np.float32)
    axes -= low[:, None]
    axes /= step[:, None]
    axes += 0.5  # rounds what is cut off
    np.minimum(axes, STEPS, out=axes)
    data = struct.pack("<6f", *low, *step) + axes.astype("<u2").tobytes()
    return data + bytes(-len(data) % 4)


def file_channel(name: str, animation: AnimationFile) -> Channel:
    """Positions (T, V, 3) of an animation file."""
    return Channel(name, animation.frames.shape[1], animation.block)


def array_channel(name: str, frames: np.ndarray) -> Channel:
    """Positions (T, V, 3) in memory."""
    return Channel(name, frames.shape[1], lambda first, end: frames[first:end])


def jaw_points(motion: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Key points (T, P, 3) of the lower teeth: from transforms (T, 4, 4), or offsets (T, P, 3) from `neutral` (P, 3)."""
    motion = np.asarray(motion, np.float32)
    if motion.shape[1:] == (4, 4):
        return np.einsum("tij,pj->tpi", motion[:, :3, :3], neutral) + motion[:, None, :3, 3]
    return neutral + motion.reshape(len(motion), *neutral.shape)


def eye_turns(eyes: np.ndarray) -> np.ndarray:
    """Degrees (T, 2, 3), right eye then left, about x, y and z, from (T, 4) or (T, 6)."""
    eyes = np.asarray(eyes, np.float32)
    return eyes.reshape(-1, 2, 3) if eyes.shape[1] == 6 else np.insert(eyes, [2, 4], 0, axis=1).reshape(-1, 2, 3)


class FrameFile:
    """Frames of one channel that grow while others read them, kept in a file."""

    def __init__(self, path: Path, name: str, points: int):
        self.name, self.points, self._path = name, points, path
        self._file = path.open("wb")

    def append(self, frames: np.ndarray) -> None:
        """Add frames (n, points, 3)."""
        self._file.write(np.ascontiguousarray(frames, "<f4").tobytes())
        self._file.flush()

    def channel(self) -> Channel:
        return Channel(self.name, self.points, self._read)

    def close(self) -> None:
        self._file.close()

    def remove(self) -> None:
        """Delete the file."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _read(self, first: int, end: int) -> np.ndarray:
        row = self.points * 3
        values = np.fromfile(self._path, "<f4", (end - first) * row, offset=4 * first * row)
        return values.reshape(-1, self.points, 3)
