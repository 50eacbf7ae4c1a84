"""The whole chain of the runtime: network output of a frame -> positions, teeth, eyes and blendshape weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from audio2face.face.layout import ChannelLayout
from audio2face.postprocess import blendshapes, eyes, jaw, skin, tongue


@dataclass(frozen=True)
class Chain:
    """All parts of one actor at one frame rate. `layout` says where skin, tongue, jaw and eye sit in the network's row.

    `skin_components` (K, 3V) and `tongue_components` (Kt, 3Vt) turn coefficients into motion; None where the network
    gives motion itself. A solver is None when its weights are not wanted.
    """

    layout: ChannelLayout
    skin: skin.Skin
    tongue: tongue.Tongue
    jaw: jaw.Jaw
    eyes: eyes.Eyes
    skin_components: np.ndarray | None = None
    tongue_components: np.ndarray | None = None
    skin_solver: blendshapes.Solver | None = None
    tongue_solver: blendshapes.Solver | None = None


@dataclass(frozen=True)
class ChainState:
    """The state carried from frame to frame; fresh at the start of a track."""

    skin: skin.SkinState | None = None
    eyes: np.float32 | None = None
    skin_weights: np.ndarray | None = None
    tongue_weights: np.ndarray | None = None


@dataclass(frozen=True)
class FaceFrames:
    """Finished frames, all float32: skin (T, V, 3) and tongue (T, Vt, 3) positions, jaw (T, 4, 4), eyes (T, 6) degrees.

    `weights` (T, P + Pt): blendshape weights, skin poses first; width 0 without a solver.
    """

    skin: np.ndarray
    tongue: np.ndarray
    jaw: np.ndarray
    eyes: np.ndarray
    weights: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __len__(self) -> int:
        return len(self.skin)


def frame_duration_s(fps_num: float, fps_den: int = 1) -> np.float32:
    """Seconds a frame, in float32 as the runtime computes it."""
    return np.float32(fps_den) / np.float32(fps_num)


def build(
    config: Mapping[str, object],
    data: Mapping[str, np.ndarray],
    dt: float,
    *,
    skin_solver: blendshapes.Solver | None = None,
    tongue_solver: blendshapes.Solver | None = None,
    blink_offset: float = 0.0,
) -> Chain:
    """The chain for a CONFIG (model_config.json's "config"), the arrays of a model_data.npz and `dt` seconds a frame.

    `data` of a regression model has shapes_matrix_skin (K, V, 3), shapes_mean_skin and the same for the tongue; of a
    diffusion model neutral_skin and neutral_tongue. ValueError: a missing array, shapes that disagree, a CONFIG value.
    """
    regression = "shapes_matrix_skin" in data
    neutral = "shapes_mean_" if regression else "neutral_"
    arrays = ["eye_close_pose_delta", "lip_open_pose_delta", "neutral_jaw", "saccade_rot_matrix"]
    arrays += [neutral + "skin", neutral + "tongue"] + ["shapes_matrix_tongue"] * regression
    if missing := [name for name in arrays if name not in data]:
        raise ValueError(f"model data has no {', '.join(missing)}")
    skin_part = skin.build(
        config, data[neutral + "skin"], data["eye_close_pose_delta"], data["lip_open_pose_delta"], dt, blink_offset
    )
    tongue_part = tongue.build(config, data[neutral + "tongue"])
    _check_mesh("skin", skin_solver, len(skin_part.neutral))
    _check_mesh("tongue", tongue_solver, len(tongue_part.rest))
    skin_components = _components(data["shapes_matrix_skin"], skin_part.neutral) if regression else None
    tongue_components = _components(data["shapes_matrix_tongue"], tongue_part.rest) if regression else None
    sizes = {
        "skin": skin_part.neutral.size if skin_components is None else len(skin_components),
        "tongue": tongue_part.rest.size if tongue_components is None else len(tongue_components),
        "jaw": int(np.size(data["neutral_jaw"])),
        "eye": 4,
    }
    return Chain(
        layout=ChannelLayout(sizes),
        skin=skin_part,
        tongue=tongue_part,
        jaw=jaw.build(config, data["neutral_jaw"]),
        eyes=eyes.build(config, data["saccade_rot_matrix"], dt),
        skin_components=skin_components,
        tongue_components=tongue_components,
        skin_solver=skin_solver,
        tongue_solver=tongue_solver,
    )


def _check_mesh(name: str, solver: blendshapes.Solver | None, num_vertices: int) -> None:
    if solver is not None and solver.num_vertices != num_vertices:
        raise ValueError(f"the {name} blendshapes have {solver.num_vertices} vertices, the {name} {num_vertices}")


def _components(matrix: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """(K, V, 3) -> (K, 3V) float32, checked against the mesh."""
    matrix = np.asarray(matrix, np.float32)
    if matrix.size == 0 or matrix.size % neutral.size:
        raise ValueError(f"principal components of shape {matrix.shape} do not fit {len(neutral)} vertices")
    return np.ascontiguousarray(matrix.reshape(-1, neutral.size))


def apply(chain: Chain, network: np.ndarray, state: ChainState | None = None) -> tuple[FaceFrames, ChainState]:
    """Network rows (T, C) in the order skin, tongue, jaw, eye -> finished frames and the state for the next call.

    Pass only frames that are shown: smoothing and saccades start with the first one. ValueError on another width C.
    """
    state = state or ChainState()
    rows = chain.layout.split(np.asarray(network, np.float32))
    skin_positions, skin_state = skin.apply(chain.skin, _motion(rows["skin"], chain.skin_components), state.skin)
    tongue_positions = tongue.apply(chain.tongue, _motion(rows["tongue"], chain.tongue_components))
    eye_angles, clock = eyes.apply(chain.eyes, rows["eye"], state.eyes)
    weights, memories = [np.zeros((len(network), 0), np.float32)], []
    for solver, positions, memory in (
        (chain.skin_solver, skin_positions, state.skin_weights),
        (chain.tongue_solver, tongue_positions, state.tongue_weights),
    ):
        if solver is not None:
            solved, memory = blendshapes.solve(solver, positions, memory)
            weights.append(solved)
        memories.append(memory)
    frames = FaceFrames(
        skin_positions, tongue_positions, jaw.apply(chain.jaw, rows["jaw"]), eye_angles, np.concatenate(weights, axis=1)
    )
    return frames, ChainState(skin_state, clock, *memories)


def _motion(row: np.ndarray, components: np.ndarray | None) -> np.ndarray:
    """(T, K) coefficients -> (T, 3V) motion. The one step where a frame's last bits hang on how many come together."""
    return row if components is None else row @ components
