"""What an edit asks for: which frames of an animation are made anew, which poses stay, which parts may change."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from audio2face.config import Section
from audio2face.problems import Problems, UserError
from audio2face.render.pictures import spans

RANGE = re.compile(r"\s*(-?\d+(?:\.\d+)?)(s?)(?:\s*-\s*(-?\d+(?:\.\d+)?)(s?))?\s*")
FORM = 'frames "90-250" or "120", both ends included, or seconds "12.5s-14s"'


@dataclass(frozen=True)
class Edit:
    """An edit of T frames.

    `free` (T,) bool are the frames that are made anew; `keys` {frame: frame of the file whose pose stands there}, all of them
    free or moved; `parts` may change, None for all, and `keep` may not. The file's first frame is number `first_frame`.
    """

    free: np.ndarray
    keys: dict[int, int]
    parts: tuple[str, ...] | None
    keep: tuple[str, ...]
    first_frame: int
    blend_s: float = 0.2
    head_scale: float = 1.0

    @property
    def kept(self) -> np.ndarray:
        """(T,) bool: frames whose poses are given, in place or from elsewhere."""
        kept = ~self.free
        kept[list(self.keys)] = True
        return kept

    @property
    def source(self) -> np.ndarray:
        """(T,) frame of the file whose pose stands at every frame that is kept."""
        source = np.arange(len(self.free))
        source[list(self.keys)] = list(self.keys.values())
        return source

    def spans(self) -> list[tuple[int, int]]:
        """First frame, and frame behind the last, of every stretch that is made anew."""
        return spans(self.free)


def build_edit(section: Section, num_frames: int, fps: float, first_frame: int) -> Edit:
    """What EDIT asks of a file of so many frames. Raises UserError with everything that is wrong with it."""
    asked, problems = section.EDIT, Problems()
    first = first_frame if asked["first_frame"] is None else int(asked["first_frame"])
    keys: dict[int, int] = {}
    for entry in asked["keys"]:
        pair = (entry, entry) if isinstance(entry, int) else (int(entry[0]), int(entry[1]))
        frames = [_frame(problems, "keys", number, first, num_frames) for number in pair]
        if None not in frames:
            keys[int(frames[1])] = int(frames[0])  # type: ignore[arg-type]
    free = np.zeros(num_frames, bool)
    for text in asked["regenerate"]:
        span = problems.attempt(frame_range, text, fps, first, num_frames)
        if span:
            free[span[0] : span[1]] = True
    if not asked["regenerate"]:
        if not keys and asked["parts"] is None and not asked["keep"]:
            problems.error("", "EDIT: nothing to do: name frames to regenerate, keys, or parts", key="EDIT")
        free[:] = True
    problems.raise_errors()
    for at in keys:  # a pose from elsewhere may stand at a frame that was to stay
        free[at] = True
    parts = None if asked["parts"] is None else tuple(asked["parts"])
    return Edit(
        free, keys, parts, tuple(asked["keep"]), first, float(asked["blend_seconds"]), float(asked["head_scale"])
    )


def frame_range(text: str, fps: float, first_frame: int, num_frames: int) -> tuple[int, int]:
    """First frame and frame behind the last (from 0) of "90-250", "120" or "12.5s-14s". Raises UserError."""
    match = RANGE.fullmatch(text)
    if not match or (match[3] is not None and bool(match[2]) != bool(match[4])):
        raise UserError(f"EDIT/regenerate: {text!r} is no range: {FORM}")
    if match[2]:
        low, high = float(match[1]) * fps, float(match[3] or match[1]) * fps
        begin, end = round(low), max(round(high), round(low) + 1)
    else:
        if "." in match[1] or "." in (match[3] or ""):
            raise UserError(f"EDIT/regenerate: {text!r}: frames are whole numbers; seconds end in s: {FORM}")
        begin = int(match[1]) - first_frame
        end = int(match[3] or match[1]) - first_frame + 1
    if not 0 <= begin < end <= num_frames:
        last = first_frame + num_frames - 1
        raise UserError(
            f"EDIT/regenerate: {text!r} is outside the file, whose frames are {first_frame} to {last} "
            f"({num_frames / fps:.2f} s), or runs backwards"
        )
    return begin, end


def _frame(problems: Problems, what: str, number: int, first_frame: int, num_frames: int) -> int | None:
    if 0 <= number - first_frame < num_frames:
        return number - first_frame
    last = first_frame + num_frames - 1
    problems.error(
        "", f"EDIT/{what}: frame {number} is outside the file, whose frames are {first_frame} to {last}", key="EDIT"
    )
    return None


def span_texts(mask: np.ndarray, first_frame: int) -> list[str]:
    """A mask (T,) as ranges of frames: ["90-250"]."""
    return [f"{a + first_frame}-{b - 1 + first_frame}" for a, b in spans(mask)]
