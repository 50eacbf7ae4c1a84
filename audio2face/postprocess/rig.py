"""The blendshapes of a mesh as they lie in a run or a deployed model: poses, and the solver that finds their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.json_file import read_json
from audio2face.formats.npy import read_npz
from audio2face.formats.rig import rig_poses
from audio2face.postprocess import blendshapes

BLOCK = 256  # frames solved at once


@dataclass(frozen=True)
class BlendshapeRig:
    """Poses of one mesh: `names` (P), `neutral` (V, 3), `deltas` (P, V, 3) from it, and their solver."""

    names: tuple[str, ...]
    neutral: np.ndarray
    deltas: np.ndarray
    solver: blendshapes.Solver

    def weights(self, frames: np.ndarray) -> np.ndarray:
        """Weights (T, P) float32 of all frames (T, V, 3) of a clip."""
        state, found = None, [np.zeros((0, len(self.names)), np.float32)]
        for first in range(0, len(frames), BLOCK):
            solved, state = blendshapes.solve(self.solver, np.asarray(frames[first : first + BLOCK]), state)
            found.append(solved)
        return np.concatenate(found)


def read_rig(config: Path, data: Path) -> BlendshapeRig:
    """Read bs_<mesh>_config.json and bs_<mesh>.npz. Raises ValueError naming the file that is damaged."""
    settings, arrays = read_json(config), read_npz(data)
    if not isinstance(settings, dict) or not isinstance(settings.get("blendshape_params"), dict):
        raise ValueError(f"{config}: expected an object with blendshape_params")
    names, neutral, deltas = rig_poses(data, arrays)
    try:
        solver = blendshapes.build(settings["blendshape_params"], neutral, deltas, arrays.get("frontalMask"))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{config.name}, {data}: {error}") from error
    return BlendshapeRig(names, neutral, deltas, solver)


def pose_names(rigs: Mapping[str, BlendshapeRig]) -> list[str]:
    """Names of all weights, skin first. A tongue pose that is named like one of the skin's gets the prefix "tongue_"."""
    skin = list(rigs["skin"].names) if "skin" in rigs else []
    tongue = rigs["tongue"].names if "tongue" in rigs else ()
    return skin + [f"tongue_{name}" if name in skin else name for name in tongue]
