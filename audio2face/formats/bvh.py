"""Biovision motion files (.bvh): a skeleton, and a row of positions and angles in degrees per frame."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from audio2face.formats.budget import check_fits
from audio2face.formats.git_lfs import refuse_pointer
from audio2face.paths import atomic
from audio2face.types import JOINT_CHANNELS, Joint, Offset, Skeleton

MOST_JOINTS = 10_000
MOST_DEPTH = 500  # joints within joints
_ORIGIN = (0.0, 0.0, 0.0)
_TOKEN = re.compile(r"[{}]|[^\s{}]+")
_MOTION = re.compile(r"\s*Frames\s*:\s*(\S+)\s+Frame\s+Time\s*:\s*(\S+)[^\S\n]*(?:\n|$)", re.IGNORECASE)


def read_bvh(path: str | os.PathLike[str]) -> tuple[Skeleton, np.ndarray, float]:
    """The skeleton, values (T, D) float64 as in the file (angles in degrees), and the time of a frame in seconds.

    Joints and columns keep the order of the file. Raises ValueError naming file and line for anything malformed.
    """
    path = Path(path)
    refuse_pointer(path)
    data = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    skeleton, end = _read_hierarchy(_Words(path, text))
    if not skeleton.num_channels:
        raise ValueError(f"{path}: no joint has a channel, so there is no motion")
    values, frame_time_s = _read_motion(path, text, end, skeleton.num_channels)
    return skeleton, values, frame_time_s


def write_bvh(path: str | os.PathLike[str], skeleton: Skeleton, values: np.ndarray, fps: float) -> None:
    """Write values (T, D), columns in the order of the skeleton's joints, whole or not at all.

    The file has each joint's children below it, so the joints of a skeleton that is not sorted this way, and their
    columns, come back in another order. Raises ValueError for values that do not fit, NaN, and names with braces.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != skeleton.num_channels or not values.shape[1]:
        expected = f"(T, {skeleton.num_channels})" if skeleton.num_channels else "a skeleton with channels"
        raise ValueError(f"{path}: expected {expected}, found values {values.shape}")
    if not np.isfinite(values).all() or not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"{path}: expected numbers and a rate above 0, found NaN or infinity, or a rate of {fps}")
    order, depths = _depth_first(path, skeleton)
    ends = np.cumsum([len(joint.channels) for joint in skeleton.joints])
    columns = [c for j in order for c in range(ends[j] - len(skeleton.joints[j].channels), ends[j])]
    row = " ".join(["%.6f"] * len(columns)) + "\n"
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_hierarchy(skeleton, order, depths))
        file.write(f"MOTION\nFrames: {len(values)}\nFrame Time: {_plain(1 / fps)}\n")
        file.writelines(row % tuple(line) for line in values[:, columns].tolist())


class _Words:
    """The words of a hierarchy one after the other, and the line of the last for messages."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.matches = _TOKEN.finditer(text)
        self.end = 0

    def next(self, expected: str) -> str:
        match = next(self.matches, None)
        if match is None:
            self.end = len(self.text)
            raise self.error(f"expected {expected}, found the end of the file")
        self.end = match.end()
        return match.group()

    def error(self, message: str) -> ValueError:
        return _error(self.path, self.text, self.end, message)

    def name(self) -> str:
        """Everything up to the brace, since some programs put spaces into names."""
        words = list(iter(lambda: self.next("{"), "{"))
        if not words or "}" in words:
            raise self.error("expected a name and {")
        return " ".join(words)

    def numbers(self) -> Offset:
        words = [self.next("three numbers") for _ in range(3)]
        try:
            x, y, z = map(float, words)
        except ValueError as error:
            raise self.error(f"expected three numbers, found {' '.join(words)[:60]!r}") from error
        if not all(map(math.isfinite, (x, y, z))):
            raise self.error(f"expected three numbers, found {' '.join(words)[:60]!r}")
        return x, y, z

    def channels(self) -> tuple[str, ...]:
        count = self.next("a number of channels")
        if count not in tuple("0123456"):
            raise self.error(f"expected 0 to 6 channels, found {count[:40]!r}")
        names = tuple(self.next("a channel") for _ in range(int(count)))
        known = {name.lower(): name for name in JOINT_CHANNELS}
        for name in names:
            if name.lower() not in known:
                raise self.error(f"unknown channel {name[:40]!r}; known: {', '.join(JOINT_CHANNELS)}")
        if len(set(names)) < len(names):
            raise self.error(f"a channel comes twice in {' '.join(names)}")
        return tuple(known[name.lower()] for name in names)


def _read_hierarchy(words: _Words) -> tuple[Skeleton, int]:
    """The skeleton, and where the text goes on after MOTION."""
    if (word := words.next("HIERARCHY")).upper() != "HIERARCHY":
        raise words.error(f"expected HIERARCHY, the first word of a .bvh, found {word[:40]!r}")
    joints: list[Joint] = []
    known: set[str] = set()
    open_joints: list[int] = []
    while True:
        word = words.next("MOTION" if not open_joints else "}").upper()
        if word == "MOTION" and not open_joints:
            break
        if word == ("JOINT" if open_joints else "ROOT"):
            name = words.name()
            if name in known:
                raise words.error(f"two joints are named {name!r}; rename one")
            if len(joints) >= MOST_JOINTS or len(open_joints) >= MOST_DEPTH:
                raise words.error(f"more than {MOST_JOINTS} joints, or {MOST_DEPTH} within each other")
            known.add(name)
            joints.append(Joint(name, open_joints[-1] if open_joints else -1, _ORIGIN))
            open_joints.append(len(joints) - 1)
        elif word == "}" and open_joints:
            open_joints.pop()
        elif open_joints and word in ("OFFSET", "CHANNELS", "END"):
            joints[open_joints[-1]] = _with_part(words, joints[open_joints[-1]], word)
        else:
            wanted = "OFFSET, CHANNELS, JOINT, End Site or }" if open_joints else "ROOT or MOTION"
            raise words.error(f"expected {wanted}, found {word[:40]!r}")
    if not joints:
        raise words.error("expected ROOT before MOTION")
    return Skeleton(tuple(joints)), words.end


def _with_part(words: _Words, joint: Joint, part: str) -> Joint:
    """The joint with what stands behind OFFSET, CHANNELS or End Site."""
    if part == "OFFSET":
        return replace(joint, offset=words.numbers())
    if part == "CHANNELS":
        if joint.channels:
            raise words.error(f"joint {joint.name!r} has channels already")
        return replace(joint, channels=words.channels())
    words.name()
    if joint.end is not None:
        raise words.error(f"joint {joint.name!r} has an End Site already")
    if (word := words.next("OFFSET")).upper() != "OFFSET":
        raise words.error(f"expected OFFSET of an End Site, found {word[:40]!r}")
    end = words.numbers()
    if (word := words.next("}")) != "}":
        raise words.error(f"expected }} after an End Site, found {word[:40]!r}")
    return replace(joint, end=end)


def _read_motion(path: Path, text: str, start: int, width: int) -> tuple[np.ndarray, float]:
    """Values (T, D) of the rows behind MOTION, and the time of a frame."""
    head = _MOTION.match(text, start)
    if head is None:
        raise _error(path, text, start, 'expected "Frames: <count>" and "Frame Time: <seconds>" after MOTION')
    count, frame_time_s = head[1], _number(head[2])
    if not count.isascii() or not count.isdigit() or len(count) > 12:
        raise _error(path, text, head.end(1), f"expected a number of frames, found {count[:40]!r}")
    if not (math.isfinite(frame_time_s) and frame_time_s > 0):
        raise _error(path, text, head.end(2), f"expected a frame time in seconds above 0, found {head[2][:40]!r}")
    before = line = text.count("\n", 0, head.end())
    # A row is at least a digit and a space or line end for each of its values.
    frames = check_fits(f"{path}: line {line}", "Frames", int(count), 2 * width, len(text) - head.end() + 1)
    values = np.empty((frames, width))
    row = 0
    for line, words in enumerate(_rows(text, head.end()), start=before + 1):
        if not words:
            continue
        if row == frames:
            raise ValueError(f"{path}: line {line}: expected {frames} rows as Frames says, found more")
        if len(words) != width:
            raise ValueError(f"{path}: line {line}: expected {width} values, one per channel, found {len(words)}")
        try:
            values[row] = list(map(float, words))
        except ValueError as error:
            raise ValueError(f"{path}: line {line}: {error}") from error
        if not np.isfinite(values[row]).all():
            raise ValueError(f"{path}: line {line}: expected numbers, found NaN or infinity")
        row += 1
    if row < frames:
        raise ValueError(
            f"{path}: line {line}: expected {frames} rows as Frames says, found {row}; copy or export it again"
        )
    return values, frame_time_s


def _rows(text: str, start: int) -> Iterator[list[str]]:
    """The words of each line."""
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end].split()
        start = end + 1


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _error(path: Path, text: str, end: int, message: str) -> ValueError:
    return ValueError(f"{path}: line {text.count(chr(10), 0, end) + 1}: {message}")


def _depth_first(path: str | os.PathLike[str], skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """Places of the joints with children behind their parents, and how deep each lies."""
    children: dict[int, list[int]] = {}
    for place, joint in enumerate(skeleton.joints):
        children.setdefault(joint.parent, []).append(place)
        if not joint.name or joint.name != " ".join(joint.name.split()) or set(joint.name) & set("{}"):
            raise ValueError(f"{path}: a .bvh cannot hold the joint name {joint.name!r}")
    order, depths = [], []
    waiting = [(root, 0) for root in reversed(children.get(-1, []))]
    while waiting:
        place, depth = waiting.pop()
        order.append(place)
        depths.append(depth)
        waiting += [(child, depth + 1) for child in reversed(children.get(place, []))]
    return order, depths


def _hierarchy(skeleton: Skeleton, order: list[int], depths: list[int]) -> Iterator[str]:
    """The lines of the hierarchy."""
    yield "HIERARCHY\n"
    for place, depth, below in zip(order, depths, [*depths[1:], 0], strict=True):
        joint, tab = skeleton.joints[place], "\t" * depth
        yield f"{tab}{'JOINT' if depth else 'ROOT'} {joint.name}\n{tab}{{\n"
        yield f"{tab}\tOFFSET {' '.join(map(_plain, joint.offset))}\n"
        yield f"{tab}\tCHANNELS {' '.join((str(len(joint.channels)), *joint.channels))}\n"
        if joint.end is not None:
            yield f"{tab}\tEnd Site\n{tab}\t{{\n{tab}\t\tOFFSET {' '.join(map(_plain, joint.end))}\n{tab}\t}}\n"
        for closing in range(depth, below - 1, -1):
            yield "\t" * closing + "}\n"


def _plain(value: float) -> str:
    """The shortest digits that read back as the same number, without an exponent, which some programs cannot read."""
    return np.format_float_positional(value, trim="0")
