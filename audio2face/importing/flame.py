"""The FLAME head model: vertices from expression, shape and the jaw's and eyes' rotation, by linear blend skinning.

Li et al., "Learning a model of facial shape and expression from 4D scans", 2017. The head itself is kept still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audio2face.formats.budget import check_finite
from audio2face.formats.npy import read_npy, read_npz
from audio2face.formats.scene import check_triangles
from audio2face.listing import natural_order

JOINTS = ("global", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)
NUM_SHAPE = 300  # of the columns of shapedirs; expression follows
NAMES = {
    "expression": ("expression", "expr", "exp", "expcode", "expression_params"),
    "shape": ("shape", "betas", "shapecode", "shape_params"),
    "jaw": ("jaw_pose", "jaw", "jawpose", "jaw_params"),
    "eyes": ("eye_pose", "eyes_pose", "eyes"),
    "pose": ("pose", "full_pose", "posecode", "pose_params"),
}


@dataclass(frozen=True)
class Flame:
    """Rest (V, 3), shape (V, 3, S), expression (V, 3, E) and pose (V, 3, 36) bases, joints (5, V), weights (V, 5)."""

    rest: np.ndarray
    shape: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    triangles: np.ndarray | None = None


@dataclass(frozen=True)
class FlameMotion:
    """Expression (T, E), turns (axis times angle) of jaw (T, 3) and of left and right eye (T, 2, 3), shape (S,)."""

    expression: np.ndarray
    jaw: np.ndarray
    eyes: np.ndarray
    shape: np.ndarray


def read_flame(path: Path) -> Flame:
    """Read a basis .npz: v_template, shapedirs (exprdirs may be separate), posedirs, J_regressor, weights, optional f.

    Raises ValueError naming the file and every array that is missing or has another shape.
    """
    arrays = read_npz(path)
    needed = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
    if lacking := [name for name in needed if name not in arrays]:
        raise ValueError(f"{path}: missing array {', '.join(lacking)}; it has {', '.join(arrays)}")
    rest, shape, pose, joints, weights = (_numbers(path, name, arrays[name]) for name in needed)
    count, num_joints = len(rest), len(JOINTS)
    own = arrays.get("exprdirs", arrays.get("expressiondirs"))
    expression = shape[..., NUM_SHAPE:] if own is None else _numbers(path, "exprdirs", own)
    shape = shape[..., :NUM_SHAPE] if own is None else shape
    num_turns = 9 * (num_joints - 1)
    if pose.shape == (num_turns, 3 * count):  # as some programs keep it
        pose = pose.reshape(num_turns, count, 3).transpose(1, 2, 0)
    faces = arrays.get("f", arrays.get("faces"))
    model = Flame(rest, shape, expression, pose, joints, weights, faces)
    right = {
        "v_template": rest.shape == (count, 3),
        "shapedirs": shape.ndim == 3 and shape.shape[:2] == (count, 3),
        "exprdirs": model.expression.ndim == 3 and model.expression.shape[:2] == (count, 3),
        "posedirs": pose.shape == (count, 3, num_turns),
        "J_regressor": model.joints.shape == (num_joints, count),
        "weights": model.weights.shape == (count, num_joints),
    }
    if wrong := [name for name, fits in right.items() if not fits]:
        raise ValueError(f"{path}: {', '.join(wrong)} do not have FLAME's shapes for {count} vertices and 5 joints")
    if faces is None:
        return model
    try:
        return replace(model, triangles=check_triangles("f", faces, count))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def flame_motion(arrays: Mapping[str, np.ndarray], where: str) -> FlameMotion:
    """Parameters of a clip, whatever tracker named them; `pose` is (T, 6) global and jaw, or (T, 15) of all joints.

    Raises ValueError naming `where` when there is no expression, or lengths differ.
    """
    found = {
        kind: next((_numbers(where, n, arrays[n]) for n in names if n in arrays), None) for kind, names in NAMES.items()
    }
    expression = found["expression"]
    if expression is None:
        raise ValueError(
            f"{where}: no expression ({', '.join(NAMES['expression'])}) among {', '.join(arrays) or 'nothing'}"
        )
    count = len(expression)
    jaw, eyes, pose = found["jaw"], found["eyes"], found["pose"]
    if pose is not None and pose.ndim == 2 and pose.shape[1] in (6, 15):
        jaw = pose[:, 3:6] if pose.shape[1] == 6 else pose[:, 6:9]
        eyes = eyes if pose.shape[1] == 6 else pose[:, 9:15]
    jaw = np.zeros((count, 3)) if jaw is None else jaw
    eyes = np.zeros((count, 6)) if eyes is None else eyes
    shape = np.zeros(0) if found["shape"] is None else found["shape"]
    lengths = {"expression": expression.shape, "jaw": jaw.shape, "eyes": eyes.shape, "shape": shape.shape}
    fits = expression.ndim == 2 and jaw.shape == (count, 3) and eyes.shape == (count, 6)
    if not fits or not count or shape.ndim > 2 or (shape.ndim == 2 and not len(shape)):
        expected = "expression (T, E), jaw (T, 3), eyes (T, 6), shape (S,) or (T, S)"
        raise ValueError(f"{where}: expected {expected}, found {lengths}")
    shape = shape if shape.ndim == 1 else np.median(shape, axis=0)  # trackers estimate it for every frame
    return FlameMotion(expression, jaw, eyes.reshape(count, 2, 3), shape)


def _numbers(where: object, name: str, array: np.ndarray) -> np.ndarray:
    """An array as float64. Raises ValueError when it holds something else than finite numbers."""
    if not array.ndim or array.dtype.kind not in "fiu":
        raise ValueError(f"{where}: {name}: expected an array of numbers, found {array.shape} of {array.dtype}")
    check_finite(where, f"{name}: row", array)
    return np.asarray(array, np.float64)


def rest_of(model: Flame, shape: np.ndarray) -> np.ndarray:
    """The face at rest (V, 3) of a person with shape (S,)."""
    size = min(len(shape), model.shape.shape[2])
    return model.rest + model.shape[:, :, :size] @ shape[:size]


def skin(model: Flame, rest: np.ndarray, motion: FlameMotion) -> np.ndarray:
    """Vertices (T, V, 3) float32 of a person at rest (V, 3), in the model's unit."""
    joints = model.joints @ rest
    size = min(motion.expression.shape[1], model.expression.shape[2])
    frames = np.empty((len(motion.jaw), *rest.shape), np.float32)
    jaw, eyes = rotations(motion.jaw), rotations(motion.eyes)
    for t in range(len(frames)):
        turns = np.stack([np.eye(3), np.eye(3), jaw[t], *eyes[t]])
        shaped = rest + model.expression[:, :, :size] @ motion.expression[t, :size]
        shaped = shaped + model.pose @ (turns[1:] - np.eye(3)).reshape(-1)
        shifts = joints - np.einsum("jab,jb->ja", turns, joints)  # only leaves of the tree turn
        mixed, shift = np.tensordot(model.weights, turns, 1), model.weights @ shifts
        frames[t] = np.einsum("vab,vb->va", mixed, shaped) + shift
    return frames


def jaw_motion(model: Flame, rest: np.ndarray, motion: FlameMotion) -> tuple[np.ndarray, np.ndarray]:
    """Five points behind the lower lip (5, 3) and their offsets from rest (T, 5, 3), turned about the jaw's joint."""
    hinge = (model.joints @ rest)[JOINTS.index("jaw")]
    carried = rest[model.weights[:, JOINTS.index("jaw")] > 0.9]
    reach = float((carried[:, 2] if len(carried) else rest[:, 2]).max() - hinge[2])
    points = hinge + reach * np.array(
        [[0, -0.5, 0.75], [0.3, -0.4, 0.3], [-0.3, -0.4, 0.3], [0.2, -0.65, 0.55], [-0.2, -0.65, 0.55]]
    )
    turned = np.einsum("tab,pb->tpa", rotations(motion.jaw), points - hinge) + hinge
    return points, turned - points


def gaze(motion: FlameMotion) -> np.ndarray | None:
    """Turns of right and left eye about x (down is positive) and y, degrees (T, 2, 2); None when they never turn."""
    if not motion.eyes.any():
        return None
    ahead = rotations(motion.eyes)[:, ::-1, :, 2]  # where z goes; right, then left
    x, y, z = np.moveaxis(ahead, -1, 0)
    return np.rad2deg(np.stack([np.arctan2(-y, np.hypot(x, z)), np.arctan2(x, z)], axis=-1))


def rotations(turns: np.ndarray) -> np.ndarray:
    """Matrices (..., 3, 3) of turns (..., 3), axis times angle (Rodrigues)."""
    angle = np.linalg.norm(turns, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(turns / np.maximum(angle[..., 0], 1e-12), -1, 0)
    o = np.zeros_like(x)
    cross = np.stack([np.stack([o, -z, y], -1), np.stack([z, o, -x], -1), np.stack([-y, x, o], -1)], -2)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def read_parameters(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a clip: an .npz, or a folder with one .npy for each. Raises ValueError when damaged or pickled."""
    if path.is_dir():
        return {file.stem: np.array(read_npy(file)) for file in natural_order(path.glob("*.npy"))}
    return read_npz(path)
