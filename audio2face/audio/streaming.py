"""How a diffusion model streams: which samples each window hears, and which frames of the animation it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Streaming:
    """Windows of sound of `window` samples that last `frames` = left + centre + right frames, of which the centre counts.

    Each window starts `centre` frames after the one before; the first starts `pad_left` samples before the sound.
    """

    left: int
    centre: int
    right: int
    window: int
    pad_left: int

    @classmethod
    def of(cls, cfg: Mapping[str, int]) -> Streaming:
        """From an entry of STREAMING_CFG."""
        left, right, centre = cfg["left_truncate"], cfg["right_truncate"], cfg["block_frame_size"]
        return cls(left, centre, right, cfg["window_size"], cfg["audio_pad_left"])

    @property
    def frames(self) -> int:
        """Frames of a window."""
        return self.left + self.centre + self.right

    @property
    def lead(self) -> float:
        """Samples of a window before its first centre frame."""
        return self.left * self.window / self.frames

    @property
    def first_frame(self) -> int:
        """Frame of the animation that is the first centre frame of window 0: negative, when silence is heard first."""
        return self.left - self.pad_left * self.frames // self.window

    def window_of(self, frame: int) -> int:
        """The window whose centre holds a frame of the animation."""
        return (frame - self.first_frame) // self.centre

    def frame_of(self, window: int) -> int:
        """Frame of the animation at the beginning of a window's centre."""
        return window * self.centre + self.first_frame

    def start(self, window: int) -> int:
        """First sample of a window, counted from the beginning of the sound; computed afresh, so that nothing drifts."""
        return (self.frame_of(window) - self.left) * self.window // self.frames

    def count(self, num_frames: int) -> int:
        """Windows that give the first `num_frames` frames of the animation."""
        return self.window_of(num_frames - 1) + 1
