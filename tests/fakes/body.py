"""A made-up arm with a skin: a root and two bones along x, two squares of vertices around each."""

from __future__ import annotations

import numpy as np

from audio2face.face.skeleton import Joint, Skeleton

NAMES = ("root", "upper", "lower")
TURN = ("Zrotation", "Xrotation", "Yrotation")


def body_arrays(scale: float = 1.0, prefix: str = "", hanging: bool = False) -> dict[str, np.ndarray]:
    """The arrays of an .npz: bones from 0 to 1 to 2 on x, or `hanging` along -y from the second on."""
    square = np.array([[0, 0.1, 0.1], [0, -0.1, 0.1], [0, -0.1, -0.1], [0, 0.1, -0.1]])
    vertices = np.concatenate([square + [1.25, 0, 0], square + [2.5, 0, 0]])
    heads = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    if hanging:
        turned = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # x to -y, about the second bone
        vertices, heads = ((points - heads[1]) @ turned.astype(float) + heads[1] for points in (vertices, heads))
        heads[0] = 0
    return {
        "vertices": (scale * vertices).astype(np.float32),
        "triangles": np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]], np.int32),
        "bone_names": np.array([prefix + name for name in NAMES]),
        "bone_parents": np.array([-1, 0, 1]),
        "bone_heads": (scale * heads).astype(np.float32),
        "skin_bones": np.repeat([[1, 0], [2, 1]], 4, axis=0),
        "skin_weights": np.repeat([[0.75, 0.25], [1.0, 0.0]], 4, axis=0).astype(np.float16),
    }


def arm(scale: float = 1.0) -> Skeleton:
    """The skeleton whose rest is that of the mesh."""
    length = scale * 1.0
    places = ("Xposition", "Yposition", "Zposition")
    return Skeleton(
        (
            Joint("root", -1, (0.0, 0.0, 0.0), (*places, *TURN)),
            Joint("upper", 0, (length, 0.0, 0.0), TURN),
            Joint("lower", 1, (length, 0.0, 0.0), TURN, (length, 0.0, 0.0)),
        )
    )
