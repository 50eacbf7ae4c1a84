"""Picture files: mp4 with sound (PyAV), pictures side by side, contact sheets (Pillow)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np

from audio2face.paths import atomic
from audio2face.problems import UserError

TITLE_HEIGHT = 28
QUALITY = 20  # constant rate factor of the encoder; lower is better
TITLE_INK, TITLE_PAPER = (40, 44, 52), (246, 247, 249)
AUDIO_BITS_PER_S = 128_000
LENGTH_OF_PACKET = 1024  # samples handed to the audio encoder together


def optional_module(module: str, package: str) -> Any:
    """Import a module of the extra `video`. Raises UserError with the install command when it is missing."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"pictures and videos need the package {package!r}, which is not installed: pip install -e '.[video]'"
        ) from error


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    fps: float,
    sound: tuple[np.ndarray, int] | None = None,
) -> int:
    """Write frames (height, width, 3) uint8 as an H.264 mp4, with sound ((N,) or (N, C) float32, rate) -> frame count.

    The sound is cut to the length of the video. Odd sizes are padded by one pixel. Written whole or not at all. Raises UserError without PyAV, ValueError for no
    frames or frames of different sizes.
    """
    av = optional_module("av", "av")
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise ValueError(f"{path}: no frames to write")
    height, width = first.shape[:2]
    with atomic(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        stream.options = {"crf": str(QUALITY), "preset": "veryfast"}
        track = None if sound is None else container.add_stream("aac", rate=sound[1])
        if track is not None:
            track.bit_rate, track.layout = AUDIO_BITS_PER_S, "mono"
        count = 0
        for picture in chain([first], rest):
            if picture.shape != first.shape:
                raise ValueError(f"{path}: frame {count} is {picture.shape}, the first is {first.shape}")
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
            count += 1
        container.mux(stream.encode(None))
        if track is not None and sound is not None:
            for packet in _sound_packets(av, track, sound, count / fps):
                container.mux(packet)
    return count


def _sound_packets(av: Any, track: Any, sound: tuple[np.ndarray, int], duration_s: float) -> Iterator[Any]:
    samples, rate = sound
    mono = np.asarray(samples, np.float32)
    if mono.ndim == 2:
        mono = mono.mean(axis=1)
    wanted = round(duration_s * rate)
    mono = np.pad(mono[:wanted], (0, max(wanted - len(mono), 0)))
    for start in range(0, len(mono), LENGTH_OF_PACKET):
        block = np.ascontiguousarray(np.clip(mono[None, start : start + LENGTH_OF_PACKET], -1, 1))
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield from track.encode(frame)
    yield from track.encode(None)


def side_by_side(*streams: Iterable[np.ndarray], titles: Sequence[str] | None = None) -> Iterator[np.ndarray]:
    """Join the pictures of several streams left to right, under a title bar when titles are given.

    Streams must have the same length and height, (H, W, 3) uint8 each; raises ValueError otherwise. Titles need Pillow.
    """
    bar: np.ndarray | None = None
    for pictures in zip(*streams, strict=True):
        if len({p.shape[0] for p in pictures}) != 1:
            raise ValueError(f"pictures of different heights side by side: {[p.shape for p in pictures]}")
        row = np.concatenate(pictures, axis=1)
        if titles is not None:
            if bar is None:
                bar = np.concatenate([_title(t, p.shape[1]) for t, p in zip(titles, pictures, strict=True)], axis=1)
            row = np.concatenate([bar, row])
        yield row


def _title(text: str, width: int) -> np.ndarray:
    """A bar (TITLE_HEIGHT, width, 3) uint8 with centred text."""
    image, draw_on = optional_module("PIL.Image", "pillow"), optional_module("PIL.ImageDraw", "pillow")
    bar = image.new("RGB", (width, TITLE_HEIGHT), TITLE_PAPER)
    draw_on.Draw(bar).text((width / 2, TITLE_HEIGHT / 2), text, fill=TITLE_INK, anchor="mm", font_size=15)
    return np.asarray(bar)


def contact_sheet(
    path: str | os.PathLike[str], pictures: Sequence[np.ndarray], columns: int = 6, labels: Sequence[str] | None = None
) -> None:
    """Write pictures of one size (H, W, 3) uint8 in rows of `columns` as a PNG, each under its label when given.

    Raises UserError without Pillow, ValueError for no pictures or different sizes.
    """
    image = optional_module("PIL.Image", "pillow")
    if not pictures or len({p.shape for p in pictures}) != 1:
        raise ValueError(
            f"{path}: a contact sheet needs pictures of one size, got {sorted({p.shape for p in pictures})}"
        )
    tiles = list(pictures)
    if labels is not None:
        tiles = [np.concatenate([_title(t, p.shape[1]), p]) for t, p in zip(labels, pictures, strict=True)]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    with atomic(path) as partial:
        image.fromarray(np.concatenate(rows)).save(partial, format="PNG")
