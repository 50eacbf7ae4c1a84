"""The target channels: where each one's values per frame come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audio2face.dataset.files import DatasetFiles
from audio2face.runs.preproc_run import PreprocRun

Loader = Callable[[PreprocRun, DatasetFiles, str], "np.ndarray | None"]


@dataclass(frozen=True)
class Channel:
    """`load(run, files, shot)` gives (T, c) float32 in data units, or None when the shot has no such data.

    `affine` names the channel's entry in data_info; `mesh` tells vertices or coefficients of a mesh from plain values.
    """

    size: Callable[[PreprocRun], int]
    load: Loader
    affine: str
    mesh: bool


def _flat(values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None else np.asarray(values, np.float32).reshape(len(values), -1)


def _tongue_coeffs(run: PreprocRun, _: DatasetFiles, shot: str) -> np.ndarray | None:
    return run.tongue_coeffs(shot) if run.has_tongue else None


def _jaw(_: PreprocRun, files: DatasetFiles, shot: str) -> np.ndarray | None:
    return _flat(files.jaw_animation(shot)) if files.has_jaw(shot) else None


def _eye(_: PreprocRun, files: DatasetFiles, shot: str) -> np.ndarray | None:
    return _flat(files.eye_animation(shot)) if files.has_eye(shot) else None


CHANNELS: dict[str, Channel] = {
    "skin_coeffs": Channel(
        lambda run: run.skin.num_components, lambda run, _, shot: run.skin_coeffs(shot), "skin", True
    ),
    "tongue_coeffs": Channel(lambda run: run.tongue.num_components, _tongue_coeffs, "tongue", True),
    "jaw": Channel(lambda run: 3 * int(run.data_info["num_keypoints_jaw"]), _jaw, "jaw", False),
    "eye": Channel(lambda run: 2 * int(run.data_info["num_angles_eye"]), _eye, "eye", False),
}
