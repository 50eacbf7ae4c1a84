"""What a model gives: finished frames, as the runtime would show them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.formats import ANIMATION_WRITERS
from audio2face.inference.clip import Clip, FaceFiles, Sound, shown_channels
from audio2face.inference.outputs import EXPORTERS, check_exports, write_curve_arrays
from audio2face.inference.rate import channels_at, frames_at
from audio2face.problems import UserError, number
from audio2face.types import FaceAnimation

SUFFIXES = {
    ".glb": "gltf",
    ".usdc": "usd",
    ".csv": "arkit_csv",
    ".json": "json",
    ".npz": "npz",
    ".bvh": "bvh",
    ".mp4": "mp4",
}
CHANNELS = ("skin", "tongue", "jaw", "eyes", "weights")
FPS = (1.0, 1000.0)
WITHOUT_POSITIONS = ("bvh",)  # need none, also of a face with a mesh


@dataclass(frozen=True)
class Animation:
    """Frames of a face, all float32, in the units of the model's data; a piece of a stream is one too.

    `times_s` (T,) of the frames in the sound; `skin` (T, V, 3) and `tongue` (T, Vt, 3) positions, (0, …) when geometry was
    not asked for; `jaw` (T, 4, 4) transforms of the lower teeth; `eyes` (T, 6) degrees, right X, Y, Z, left X, Y, Z;
    `weights` (T, P) of the blendshapes `names`. `curves` {group: raw values (T, D)} of a model that gives any; what their
    columns are is in `face.curves`. `compute_s`: seconds of work that went into them.
    """

    fps: float
    times_s: np.ndarray
    skin: np.ndarray
    tongue: np.ndarray
    jaw: np.ndarray
    eyes: np.ndarray
    weights: np.ndarray
    names: tuple[str, ...] = ()
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)
    compute_s: float = 0.0
    face: FaceFiles = field(default_factory=FaceFiles, repr=False)

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of animation: below 1 is faster than real time. NaN without frames."""
        return self.compute_s * self.fps / len(self) if len(self) else float("nan")

    @cached_property
    def blendshapes(self) -> dict[str, np.ndarray]:
        """{name: weights (T,)}."""
        return dict(zip(self.names, self.weights.T, strict=True))

    def at_rate(self, fps: float) -> Animation:
        """The same motion at another rate (T', …), from the same moment on; see `inference.rate`. Raises UserError.

        Weights and positions are interpolated linearly, rotations along the shortest way.
        """
        number("fps", fps, *FPS)
        if not len(self):
            return replace(self, fps=float(fps))
        frames = np.arange(frames_at(len(self), self.fps, fps))
        position = frames * (self.fps / fps)
        given = {name: values for name in CHANNELS if len(values := getattr(self, name))}
        face: dict[str, Any] = channels_at(given, {}, position, _empty)
        curves = channels_at(self.curves, self.face.curves, position, _empty)
        return replace(self, fps=float(fps), times_s=self.times_s[0] + frames / fps, curves=curves, **face)

    def write(self, path: str | os.PathLike[str], sound: Sound | None = None, kind: str | None = None) -> list[Path]:
        """Write the animation by the suffix of `path` (.glb, .usdc, .csv, .json, .npz, .bvh, .mp4) or as a `kind` of
        OUTPUT_FORMATS.

        `sound` is (samples, rate) for .mp4 and .usdc. Returns the files written. Raises UserError when the format is
        unknown or the model lacks what it needs.
        """
        path = Path(path)
        kind = kind or SUFFIXES.get(path.suffix.lower())
        stem = path.with_suffix("") if path.suffix else path
        if kind not in EXPORTERS and kind not in ANIMATION_WRITERS:
            known = ", ".join((*EXPORTERS, *ANIMATION_WRITERS))
            raise UserError(
                f"{path}: unknown format; end the name in one of {', '.join(SUFFIXES)}, or give a kind: {known}"
            )
        if self.face.has_mesh and len(self.skin) != len(self) and kind not in WITHOUT_POSITIONS:
            raise UserError(f"{path}: the animation was made without geometry")
        check_exports([kind], self.face, "the model")
        if kind in EXPORTERS:
            channels = {"skin": self.skin, "tongue": self.tongue, "jaw": self.jaw, "eye": self.eyes, **self.curves}
            shown = FaceAnimation(self.fps, shown_channels(channels, self.face))
            return EXPORTERS[kind].write(stem, Clip(shown, self.face, sound))
        points = ANIMATION_WRITERS[kind](stem, self.skin, self.fps, "skin") if self.face.has_mesh else []
        return [*points, *(write_curve_arrays(stem, self.curves, self.face) if kind == "npy" else ())]


def _empty(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(shape, np.float32)


def join(pieces: Sequence[Animation]) -> Animation:
    """Pieces of one stream, in order, as one animation. Raises ValueError for none."""
    if not pieces:
        raise ValueError("no pieces to join")
    if len(pieces) == 1:
        return pieces[0]
    parts = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("times_s", *CHANNELS)}
    first = pieces[0]
    curves = {group: np.concatenate([piece.curves[group] for piece in pieces]) for group in first.curves}
    seconds = sum(piece.compute_s for piece in pieces)
    return Animation(first.fps, **parts, names=first.names, curves=curves, compute_s=seconds, face=first.face)
