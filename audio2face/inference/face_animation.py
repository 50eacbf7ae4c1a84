"""What a model gives: finished frames, as the runtime would show them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from audio2face.formats import ANIMATION_WRITERS
from audio2face.inference.outputs import EXPORTERS, Clip, FaceFiles, Sound, check_exports
from audio2face.problems import UserError
from audio2face.types import FaceAnimation

SUFFIXES = {".glb": "gltf", ".usdc": "usd", ".csv": "arkit_csv", ".json": "json", ".mp4": "mp4"}


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

    def write(self, path: str | os.PathLike[str], sound: Sound | None = None, kind: str | None = None) -> list[Path]:
        """Write the animation by the suffix of `path` (.glb, .usdc, .csv, .json, .mp4) or as a `kind` of OUTPUT_FORMATS.

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
        if len(self.skin) != len(self):
            raise UserError(f"{path}: the animation was made without geometry")
        if kind in ANIMATION_WRITERS:
            return ANIMATION_WRITERS[kind](stem, self.skin, self.fps, "skin")
        check_exports([kind], self.face, "the model")
        channels = {"skin": self.skin, "tongue": self.tongue, "jaw": self.jaw, "eye": self.eyes, **self.curves}
        return EXPORTERS[kind].write(stem, Clip(FaceAnimation(self.fps, channels), self.face, sound))


def join(pieces: Sequence[Animation]) -> Animation:
    """Pieces of one stream, in order, as one animation. Raises ValueError for none."""
    if not pieces:
        raise ValueError("no pieces to join")
    if len(pieces) == 1:
        return pieces[0]
    parts = {
        name: np.concatenate([getattr(piece, name) for piece in pieces])
        for name in ("times_s", "skin", "tongue", "jaw", "eyes", "weights")
    }
    first = pieces[0]
    curves = {group: np.concatenate([piece.curves[group] for piece in pieces]) for group in first.curves}
    seconds = sum(piece.compute_s for piece in pieces)
    return Animation(first.fps, **parts, names=first.names, curves=curves, compute_s=seconds, face=first.face)
