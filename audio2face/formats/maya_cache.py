"""Maya nCache: an .xml that describes one data file (.mc, or .mcx with 64-bit sizes), or one such file per frame.

The data files themselves are in `maya_chunks`. Times are in ticks, 6000 a second; TimePerFrame gives the rate.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from audio2face.formats import maya_chunks
from audio2face.formats.budget import parse_xml
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.formats.maya_chunks import VECTOR_TYPES, Sample, open_chunks, read_groups, read_samples
from audio2face.formats.time_code import same_rate
from audio2face.paths import atomic

logger = logging.getLogger(__name__)

TICKS_PER_SECOND = 6000
FOR4_LIMIT = 2**31 - 1  # bytes that a FOR4 file may have
SUFFIXES = {"mcc": ".mc", "mcx": ".mcx"}


class SeveralChannels(ValueError):
    """Raised when it is not clear which channel of a cache to read."""


@dataclass(frozen=True)
class MayaCache:
    """One channel: frames (T, V, 3) as stored (big-endian float32 or float64; mapped when all are in one file)."""

    frames: np.ndarray
    fps: float
    start_frame: float
    channel: str


@dataclass(frozen=True)
class _Description:
    """What the .xml says; `positions` maps the channels meant as positions to their (first, last, step) in ticks."""

    path: Path
    one_file: bool
    suffix: str
    ticks_per_frame: int
    ticks: tuple[int, int]
    positions: dict[str, tuple[int, int, int]]


def read_maya_cache(path: str | os.PathLike[str], channel: str | None = None) -> MayaCache:
    """Read a channel of the cache described by the .xml `path`; `channel` is optional when only one holds positions.

    Raises ValueError naming the file, the byte and what was expected there when a file is malformed, cut short or
    contradicts itself, and listing the channels when the choice is not clear.
    """
    cache = _read_description(Path(path))
    files = [open_chunks(p) for p in _data_files(cache)]
    samples = [sample for file in files for sample in read_samples(file)]
    if not samples:
        raise files[0].malformed(len(files[0].data), "a frame (MYCH)", "the end")
    if not cache.one_file and len(samples) != len(files):
        raise ValueError(f"{path}: expected one frame in each of {len(files)} files, found {len(samples)} frames")
    samples.sort(key=lambda sample: sample.tick)
    name = _choose_channel(cache, samples[0], channel)
    step = _ticks_between(cache, name, [sample.tick for sample in samples])
    _check_complete(cache, name, samples, step)
    start_frame = samples[0].tick / cache.ticks_per_frame
    return MayaCache(_stack(samples, name), TICKS_PER_SECOND / step, start_frame, name)


def maya_cache_header(path: str | os.PathLike[str], channel: str | None = None) -> tuple[int, int, float]:
    """(frames T, vertices V, fps) without reading values: the .xml, two frames, and where the others begin.

    Raises ValueError as `read_maya_cache` does for the parts it reads.
    """
    cache = _read_description(Path(path))
    paths = _data_files(cache)
    files = [open_chunks(p) for p in paths[:2]]
    samples = [sample for file in files for sample in islice(read_samples(file), 2 if cache.one_file else 1)]
    if not samples:
        raise files[0].malformed(len(files[0].data), "a frame (MYCH)", "the end")
    num_frames = sum(1 for _ in read_groups(files[0])) - 1 if cache.one_file else len(paths)
    name = _choose_channel(cache, samples[0], channel)
    step = _ticks_between(cache, name, sorted(sample.tick for sample in samples))
    return num_frames, samples[0].channels[name].count, TICKS_PER_SECOND / step


def write_maya_cache(
    path: str | os.PathLike[str],
    frames: np.ndarray,
    fps: float,
    channel: str,
    start_frame: int = 0,
    for4_limit: int = FOR4_LIMIT,
) -> tuple[Path, Path]:
    """Write frames (T, V, 3) as `path`.xml and its data file beside it; returns both paths.

    float64 is kept, everything else becomes float32. The data file is .mc, or .mcx when it would exceed `for4_limit`
    bytes. 23.976, 29.97 and 59.94 frames a second are written as 24, 30 and 60, as Maya does. Raises ValueError when a
    frame of another rate is not a whole number of ticks (6000 / fps) or the shape is wrong.
    """
    path = Path(path)
    if path.suffix.lower() != ".xml":
        path = path.with_name(path.name + ".xml")
    if frames.ndim != 3 or frames.shape[2] != 3 or 0 in frames.shape:
        raise ValueError(f"{path}: expected frames (T, V, 3), not {frames.shape}")
    whole = round(fps) if same_rate(round(fps), fps) else fps
    step = round(TICKS_PER_SECOND / whole)
    if step < 1 or abs(TICKS_PER_SECOND / whole - step) > 1e-6:
        raise ValueError(f"{path}: a Maya cache needs a whole number of ticks per frame, 6000 / {fps} fps is not one")
    tag = b"DVCA" if frames.dtype == np.float64 else b"FVCA"
    ticks = range(start_frame * step, (start_frame + len(frames)) * step, step)

    def heads(wide: bool) -> tuple[bytes, list[bytes]]:
        of_file = maya_chunks.pack_file_head(wide, ticks[0], ticks[-1])
        return of_file, [maya_chunks.pack_frame_head(wide, t, channel, tag, frames.shape[1]) for t in ticks]

    of_file, of_frames = heads(wide=False)
    num_bytes = frames[0].size * VECTOR_TYPES[tag].itemsize
    wide = len(of_file) + len(frames) * (len(of_frames[0]) + num_bytes) > for4_limit
    if wide:
        of_file, of_frames = heads(wide)
    data_path = path.with_name(path.stem + SUFFIXES["mcx" if wide else "mcc"])
    with atomic(data_path) as temporary, temporary.open("wb") as file:
        file.write(of_file)
        for head, frame in zip(of_frames, frames, strict=True):
            file.write(head)
            file.write(np.ascontiguousarray(frame, VECTOR_TYPES[tag]).data)
            file.write(maya_chunks.padding(wide, num_bytes))
    with atomic(path) as temporary:
        temporary.write_text(_description_text(wide, ticks, channel, tag), encoding="utf-8")
    return path, data_path


def _read_description(path: Path) -> _Description:
    refuse_pointer(path)
    root = parse_xml(path, path.read_bytes(), "a Maya cache description")
    if root.tag != "Autodesk_Cache_File":
        raise ValueError(f"{path}: byte 0: expected <Autodesk_Cache_File>, found <{root.tag}>")

    def attribute(tag: str, name: str, pattern: str, meaning: str) -> re.Match[str]:
        element = root.find(tag)
        text = "" if element is None else element.get(name, "")
        if not (match := re.fullmatch(pattern, text.strip())):
            raise ValueError(f'{path}: <{tag} {name}="…">: expected {meaning}, found {text!r}')
        return match

    first, last = map(
        int, attribute("time", "Range", r"(-?\d{1,12})\s*-\s*(-?\d{1,12})", "<first tick>-<last tick>").groups()
    )
    positions = {}
    for element in root.iterfind("Channels/*"):
        if element.get("ChannelInterpretation", "positions") == "positions":
            limits = [("StartTime", first), ("EndTime", last), ("SamplingRate", 0)]
            texts = [(element.get(key, ""), default) for key, default in limits]
            a, b, step = (int(text) if re.fullmatch(r"-?\d{1,12}", text) else default for text, default in texts)
            positions[element.get("ChannelName", "")] = (a, b, step)
    return _Description(
        path=path,
        one_file=attribute("cacheType", "Type", "OneFile(PerFrame)?", "OneFile or OneFilePerFrame")[0] == "OneFile",
        suffix=SUFFIXES[attribute("cacheType", "Format", "mcc|mcx", "mcc or mcx")[0]],
        ticks_per_frame=int(attribute("cacheTimePerFrame", "TimePerFrame", r"0*[1-9]\d{0,8}", "a positive number")[0]),
        ticks=(first, last),
        positions=positions,
    )


def _data_files(cache: _Description) -> list[Path]:
    """The data file, or the files of the frames in the order of the frame and tick in their names."""
    name, folder = cache.path.stem, cache.path.parent
    for suffix in sorted(SUFFIXES.values(), key=lambda s: s != cache.suffix):
        if cache.one_file:
            path = folder / (name + suffix)
            found = {(0, 0): path} if path.is_file() else {}
        else:
            pattern = re.compile(re.escape(name) + r"Frame(-?\d+)(?:Tick(-?\d+))?" + re.escape(suffix))
            matches = ((pattern.fullmatch(p.name), p) for p in folder.iterdir())
            found = {(int(m[1]), int(m[2] or 0)): p for m, p in matches if m}
        if found:
            return [found[key] for key in sorted(found)]
    wanted = f"{name}{cache.suffix}" if cache.one_file else f"{name}Frame<number>{cache.suffix}"
    raise ValueError(f"{cache.path}: expected its data in {wanted} beside it, but there is no such file")


def _choose_channel(cache: _Description, sample: Sample, channel: str | None) -> str:
    vectors = [name for name, values in sample.channels.items() if values.tag in VECTOR_TYPES]
    listing = ", ".join(sorted(vectors)) or f"none of vectors (all: {', '.join(sample.channels) or 'none'})"
    if channel is not None:
        if channel not in vectors:
            raise ValueError(f"{cache.path}: expected a channel {channel!r}; the channels are: {listing}")
        return channel
    candidates = vectors if len(vectors) == 1 else [name for name in vectors if name in cache.positions]
    if len(candidates) != 1:
        raise SeveralChannels(f"{cache.path}: expected one channel of positions; name the one to read among: {listing}")
    return candidates[0]


def _ticks_between(cache: _Description, name: str, ticks: list[int]) -> int:
    """Ticks from one frame to the next: TimePerFrame, or the channel's sampling rate when the frames bear it out."""
    step = int(np.median(np.diff(ticks))) if len(ticks) > 1 else cache.ticks_per_frame
    if step == cache.ticks_per_frame or step == cache.positions.get(name, (0, 0, 0))[2] > 0:
        return step
    stamps = f"frames are stamped {step} ticks apart, TimePerFrame is {cache.ticks_per_frame}"
    logger.warning("%s: %s; the stamps are ignored", cache.path, stamps)
    return cache.ticks_per_frame


def _check_complete(cache: _Description, name: str, samples: list[Sample], step: int) -> None:
    """Raise ValueError when frames are missing, between others (by their times) or at the end (by the .xml)."""
    for before, after in pairwise(samples):
        if after.tick - before.tick > 1.5 * step:
            raise after.file.malformed(after.offset, f"the frame at tick {before.tick + step}", f"tick {after.tick}")
    first, last, _ = cache.positions.get(name, (*cache.ticks, 0))
    expected = (last - first) // step + 1
    if len(samples) < expected:
        file = samples[-1].file
        wanted = f"{expected} frames ({first} to {last} ticks by {step}, says {cache.path.name})"
        raise file.malformed(len(file.data), wanted, str(len(samples)))


def _stack(samples: list[Sample], name: str) -> np.ndarray:
    """(T, V, 3): a view of the mapped file when its frames are evenly spaced, else a copy."""
    first = samples[0].channels[name]
    for sample in samples:
        values = sample.channels.get(name)
        if values is None or (values.tag, values.count) != (first.tag, first.count):
            found = "none" if values is None else f"{values.count} of {values.tag.decode('latin-1')}"
            wanted = f"{first.count} vertices of {first.tag.decode()} in {name!r} as in the first frame"
            raise sample.file.malformed(sample.offset, wanted, found)
    dtype, shape = VECTOR_TYPES[first.tag], (first.count, 3)
    spacing = np.diff([sample.channels[name].start for sample in samples])
    if samples[0].file is samples[-1].file and (spacing == spacing[:1]).all():
        strides = (int(spacing[0]) if len(spacing) else 0, 3 * dtype.itemsize, dtype.itemsize)
        return np.ndarray((len(samples), *shape), dtype, samples[0].file.data, first.start, strides)
    return np.stack([np.ndarray(shape, dtype, s.file.data, s.channels[name].start) for s in samples])


def _description_text(wide: bool, ticks: range, channel: str, tag: bytes) -> str:
    from xml.sax.saxutils import quoteattr  # which loads what speaks to the web

    kind = "DoubleVectorArray" if tag == b"DVCA" else "FloatVectorArray"
    return f"""<?xml version="1.0"?>
<Autodesk_Cache_File>
  <cacheType Type="OneFile" Format="{"mcx" if wide else "mcc"}"/>
  <time Range="{ticks[0]}-{ticks[-1]}"/>
  <cacheTimePerFrame TimePerFrame="{ticks.step}"/>
  <cacheVersion Version="2.0"/>
  <Channels>
    <channel0 ChannelName={quoteattr(channel)} ChannelType="{kind}" ChannelInterpretation="positions"
      SamplingType="Regular" SamplingRate="{ticks.step}" StartTime="{ticks[0]}" EndTime="{ticks[-1]}"/>
  </Channels>
</Autodesk_Cache_File>
"""
