"""Where the values of a target channel come from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audio2face.dataset.files import DatasetFiles
from audio2face.face.codec import Channel
from audio2face.runs.preproc_run import PreprocRun

Loader = Callable[[PreprocRun, DatasetFiles, str], "np.ndarray | None"]


def _flat(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32).reshape(len(values), -1)


LOADERS: dict[str, Loader] = {  # part -> (T, c) float32 of a shot in data units, or None when it has no such data
    "skin": lambda run, _, shot: run.skin_coeffs(shot) if run.has_skin else None,
    "tongue": lambda run, _, shot: run.tongue_coeffs(shot) if run.has_tongue else None,
    "jaw": lambda _, files, shot: _flat(files.jaw_animation(shot)) if files.has_jaw(shot) else None,
    "eye": lambda _, files, shot: _flat(files.eye_animation(shot)) if files.has_eye(shot) else None,
}


def load(
    run: PreprocRun, files: DatasetFiles, shot: str, channel: Channel
) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Values (T, c) float32 of a shot in data units and which of them are known (T, c), None for all; or None without data."""
    if channel.kind == "curves":
        return run.group_values(shot, channel.name)
    values = LOADERS[channel.part](run, files, shot)
    return None if values is None else (values, None)
