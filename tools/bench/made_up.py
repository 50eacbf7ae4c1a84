"""A made-up actor of any size: smooth random coefficients over random orthonormal shapes, and noise for a voice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from audio2face.dataset.targets import ShotTargets
from audio2face.face.layout import ChannelLayout
from audio2face.formats.sound import write_sound
from audio2face.types import Clip, Shot

FPS = 30.0
SAMPLE_RATE = 16000
JAW, EYE, EMOTIONS = 15, 4, 4


@dataclass(frozen=True)
class Size:
    """How much data there is; the defaults are those of the Claire data set."""

    frames: int = 22000
    clips: int = 54
    skin_vertices: int = 24002
    tongue_vertices: int = 5602
    skin_components: int = 140
    tongue_components: int = 10

    def part(self, clips: int) -> Size:
        """As many clips of the same length."""
        return Size(
            self.frames * clips // self.clips,
            clips,
            self.skin_vertices,
            self.tongue_vertices,
            self.skin_components,
            self.tongue_components,
        )


@dataclass(frozen=True)
class MadeUp:
    """An actor of a size. Meshes and coefficients are made when they are asked for."""

    size: Size

    @cached_property
    def layout(self) -> ChannelLayout:
        """Coefficients of a frame."""
        s = self.size
        return ChannelLayout(
            {"skin_coeffs": s.skin_components, "tongue_coeffs": s.tongue_components, "jaw": JAW, "eye": EYE}
        )

    @cached_property
    def pose_layout(self) -> ChannelLayout:
        """Vertices of a frame."""
        s = self.size
        return ChannelLayout(
            {"skin_pose": 3 * s.skin_vertices, "tongue_pose": 3 * s.tongue_vertices, "jaw": JAW, "eye": EYE}
        )

    @cached_property
    def skin(self) -> np.ndarray:
        """(K, 3V) float32 orthonormal rows."""
        return orthonormal(self.size.skin_components, 3 * self.size.skin_vertices, 1)

    @cached_property
    def tongue(self) -> np.ndarray:
        return orthonormal(self.size.tongue_components, 3 * self.size.tongue_vertices, 2)

    @cached_property
    def mean(self) -> np.ndarray:
        """(V, 3) skin at rest, in centimetres."""
        return np.random.default_rng(3).uniform(-10, 10, (self.size.skin_vertices, 3)).astype(np.float32)

    def lips(self, pairs: int = 12) -> tuple[np.ndarray, np.ndarray]:
        """Vertices of the upper and the lower lip."""
        chosen = np.random.default_rng(4).permutation(self.size.skin_vertices)[: 2 * pairs]
        return chosen[:pairs], chosen[pairs:]

    def clips(self, folder: Path) -> list[Clip]:
        """Clips of equal length, with sound files in `folder`."""
        found = []
        for index, count in enumerate(
            np.diff(np.linspace(0, self.size.frames, self.size.clips + 1).astype(int)).tolist()
        ):
            path = folder / f"{index}.wav"
            rng = np.random.default_rng([5, index])
            loudness = 0.2 + 0.8 * np.abs(np.sin(np.arange(round(count * SAMPLE_RATE / FPS)) / 2500))
            noise = rng.standard_normal(len(loudness)) * 0.15 * loudness
            write_sound(path, np.clip(noise, -1, 1).astype(np.float32)[:, None], SAMPLE_RATE)
            found.append(
                Clip(Shot("actor", f"s{index}", count, FPS, "neutral"), 0, count - 1, path, 0, "actor", None, None)
            )
        return found

    def targets(self, clip: Clip) -> ShotTargets:
        """Smooth random coefficients with a spectrum that falls like 1/k."""
        rng = np.random.default_rng([6, int(clip.shot.name[1:])])
        walk = rng.standard_normal((clip.shot.num_frames + 8, self.layout.size)).cumsum(axis=0)
        smooth = walk[8:] - walk[:-8]
        for part in self.layout.slices.values():
            smooth[:, part] /= np.arange(1, part.stop - part.start + 1)
        present = dict.fromkeys(self.layout.sizes, True)
        return ShotTargets(smooth.astype(np.float32), FPS, present, np.ones(smooth.shape, bool))


def orthonormal(rows: int, columns: int, seed: int) -> np.ndarray:
    """(rows, columns) float32 with orthonormal rows."""
    noise = np.random.default_rng(seed).standard_normal((columns, rows), dtype=np.float32)
    return np.ascontiguousarray(np.linalg.qr(noise)[0].T)
