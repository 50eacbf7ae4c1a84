"""The sound files that inference reads, and an emotion in their outputs' names."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.dataset.audio_tracks import standardized
from audio2face.face.emotions import is_timeline
from audio2face.formats.sound import SOUND_SUFFIXES
from audio2face.listing import natural_order, passed_over
from audio2face.paths import local_path
from audio2face.problems import UserError, raise_problems
from audio2face.runs.train_run import NetworkSpec
from audio2face.types import Waveform

logger = logging.getLogger(__name__)


def local_paths(paths: str | list[str] | None) -> list[Path]:
    """The paths of a config key that names one, several or none, as they are here."""
    return [local_path(path) for path in ([paths] if isinstance(paths, str) else paths or ())]


def audio_files(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None) -> list[Path]:
    """The sound files that AUDIO_PATH names: one file, a list of files and folders, or a folder.

    A folder stands for its own sound files in natural order; what else lies in it is logged, and so are further files of
    one sound (a.mp3 beside a.wav). Raises UserError listing what does not exist, is not a sound file, or would overwrite
    another file's output because both have one name.
    """
    if not paths:
        raise UserError("AUDIO_PATH is not set: give a sound file, a list of them, or a folder")
    entries = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: list[Path] = []
    problems: list[str] = []
    for path in map(Path, entries):
        if path.is_dir():
            inside = _sounds(path)
            found += inside
            stems = {p.stem for p in inside}
            rest = [p for p in path.iterdir() if p not in inside]
            twice = [p for p in rest if p.stem in stems and p.suffix.lower() in SOUND_SUFFIXES]
            left = passed_over(p for p in rest if p not in twice)
            left += [f"{kind} beside one of the same name" for kind in passed_over(twice)]
            if inside and left:
                logger.warning("AUDIO_PATH %s: not read: %s", path, "; ".join(left))
            elif not inside:
                there = f", only {'; '.join(left)}" if left else ""
                problems.append(f"AUDIO_PATH {path}: the folder holds no sound ({', '.join(SOUND_SUFFIXES)}){there}")
        elif not path.is_file():
            problems.append(f"AUDIO_PATH {path}: no such file or folder")
        elif path.suffix.lower() not in SOUND_SUFFIXES:
            problems.append(f"AUDIO_PATH {path}: expected a sound, {', '.join(SOUND_SUFFIXES)}; convert it to .wav")
        else:
            found.append(path)
    by_stem: dict[str, Path] = {}
    for path in dict.fromkeys(found):
        if by_stem.setdefault(path.stem.lower(), path) != path:
            other = by_stem[path.stem.lower()]
            problems.append(f"AUDIO_PATH: {other} and {path} would write the same output; rename one")
    raise_problems(problems)
    return list(by_stem.values())


def _sounds(folder: Path) -> list[Path]:
    """The sound files of a folder, one for each name: of several the one that comes first in SOUND_SUFFIXES."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in SOUND_SUFFIXES and p.is_file() and p.name[0] != "."]
    best: dict[str, Path] = {}
    for path in sorted(found, key=lambda p: SOUND_SUFFIXES.index(p.suffix.lower())):
        best.setdefault(path.stem, path)
    return natural_order(best.values())


def normalized_samples(waveform: Waveform, standardize: bool = False) -> np.ndarray:
    """Samples (N,) float32 as the network was trained on them: divided by the track's peak, or at mean 0 and variance 1."""
    samples = (waveform.samples / np.float32(waveform.peak)).astype(np.float32, copy=False)
    return standardized(samples) if standardize else samples


def emotion_slug(spec: NetworkSpec, label: Any) -> str:
    """An emotion as part of a file name: its name, or the weights that are not zero, e.g. "joy0.5-anger0.2"."""
    if is_timeline(label):
        return "timeline"
    if label is None:
        return spec.default_emotion
    if isinstance(label, str):
        return label
    vector = spec.emotion_vector(label)
    parts = [f"{name}{weight:.3g}" for name, weight in zip(spec.emotion_inputs, vector, strict=True) if weight]
    return "-".join(parts) or (spec.zero_emotion or "zero")
