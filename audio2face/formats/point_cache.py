"""PC2 point caches: one mesh, one sample per frame, little-endian float32."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import numpy as np

from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import atomic

MAGIC = b"POINTCACHE2\0"
HEADER = struct.Struct("<12siiffi")  # magic, version, vertices, start frame, frames between samples, samples


def point_cache_header(path: str | os.PathLike[str]) -> tuple[int, int, float]:
    """(frames T, vertices V, start frame), without reading the points.

    Raises ValueError naming file and offset: not a PC2, another version, fractional sampling, or a length that
    contradicts the header.
    """
    path = Path(path)
    refuse_pointer(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER.size)
    if head[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{path}: byte 0: expected {MAGIC!r}, found {head[: len(MAGIC)]!r}")
    if len(head) < HEADER.size:
        raise ValueError(f"{path}: byte {size}: expected a header of {HEADER.size} bytes, but the file ends")
    _, version, vertices, start, sampling, frames = HEADER.unpack(head)
    if version != 1:
        raise ValueError(f"{path}: byte 12: expected version 1, found {version}")
    if vertices <= 0 or frames < 0:
        raise ValueError(f"{path}: byte 16: expected positive counts, found {vertices} vertices and {frames} frames")
    if sampling != 1.0 or not math.isfinite(start):
        raise ValueError(f"{path}: byte 20: expected one sample per frame, found start {start} and sampling {sampling}")
    expected = HEADER.size + frames * vertices * 12
    if size != expected:
        raise ValueError(f"{path}: byte {size}: expected {expected} bytes for {frames} frames of {vertices} vertices")
    return frames, vertices, start


def read_point_cache(path: str | os.PathLike[str]) -> np.ndarray:
    """Points of a .pc2 as a read-only memory map (T, V, 3) float32. Raises ValueError as `point_cache_header` does."""
    frames, vertices, _ = point_cache_header(path)
    if frames == 0:
        return np.empty((0, vertices, 3), np.float32)
    return np.memmap(path, dtype="<f4", mode="r", offset=HEADER.size, shape=(frames, vertices, 3))


def write_point_cache(path: str | os.PathLike[str], frames: np.ndarray, start_frame: float = 0.0) -> None:
    """Write frames (T, V, 3) as .pc2, whole or not at all. The format keeps no frame rate."""
    if frames.ndim != 3 or frames.shape[2] != 3:
        raise ValueError(f"expected frames (T, V, 3), not {frames.shape}")
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(HEADER.pack(MAGIC, 1, frames.shape[1], start_frame, 1.0, frames.shape[0]))
        for frame in frames:
            file.write(np.ascontiguousarray(frame, "<f4").data)
