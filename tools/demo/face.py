"""A whole face: skin with 52 shapes, tongue with 16, jaw, vertex lists; and how weights pose it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audio2face.problems import UserError
from tools.demo.shapes import ARKIT, JAW_ANGLE, build_shapes, turn_jaw
from tools.demo.surface import IDENTITIES, Proportions
from tools.demo.tongue import TONGUE_POSES, Tongue, build_tongue
from tools.demo.topology import CONTACT, EYE, EYE_RADIUS, LIP_GAP, MOUTH_COUNT, HeadMesh, build_mesh

JAW_POINTS = np.array([[0.0, -10.6, 7.4], [2.6, -9.2, 5.4], [-2.6, -9.2, 5.4], [4.4, -5.8, 0.8], [-4.4, -5.8, 0.8]])
TONGUE_JAW = 0.85  # share of the jaw's turn that the tongue makes
LIP_FOLLOW = (0.6, 0.9, 1.0, 1.0, 0.85, 0.6, 0.4, 0.2, 0.08)  # rings moved along when lips would cross


@dataclass(frozen=True)
class Face:
    """One person. shapes: (52, V, 3) in the order of ARKIT; tongue_shapes: (16, Vt, 3) in that of TONGUE_POSES."""

    who: Proportions
    mesh: HeadMesh
    shapes: np.ndarray
    tongue: Tongue
    tongue_shapes: np.ndarray

    @property
    def neutral(self) -> np.ndarray:
        return self.mesh.skin

    @property
    def lips(self) -> tuple[np.ndarray, np.ndarray]:
        """Touching vertices (n,) of the upper and the lower lip in pairs, from +x to -x, corners left out."""
        half = MOUTH_COUNT // 2
        ring = self.mesh.mouth[CONTACT]
        return ring[1:half], ring[:half:-1]


def build_face(identity: int = 0) -> Face:
    """The face of IDENTITIES[identity]; all identities share vertex order and triangles."""
    if not 0 <= identity < len(IDENTITIES):
        raise UserError(f"there is no identity {identity}: choose 0 to {len(IDENTITIES) - 1}")
    who = IDENTITIES[identity]
    mesh, tongue = build_mesh(who), build_tongue()
    shapes = build_shapes(mesh, who)
    return Face(
        who,
        mesh,
        np.stack([shapes[name] for name in ARKIT]),
        tongue,
        np.stack([tongue.shapes[name] for name in TONGUE_POSES]),
    )


def pose_skin(face: Face, weights: np.ndarray) -> np.ndarray:
    """Skin (T, V, 3) float32 of weights (T, 52): the shapes added up; lids slide over the eyes and lips never cross."""
    count, size = len(weights), face.neutral.size
    skin = (weights @ face.shapes.reshape(len(ARKIT), size)).reshape(count, -1, 3) + face.neutral
    for rings, sign in ((face.mesh.left_eye, 1.0), (face.mesh.right_eye, -1.0)):
        _slide_lids(skin, rings[:7], EYE * [sign, 1.0, 1.0], face.neutral)
    _part_lips(skin, face)
    return skin.astype(np.float32)


def _slide_lids(skin: np.ndarray, lids: np.ndarray, centre: np.ndarray, neutral: np.ndarray) -> None:
    """Push lid vertices of `skin` (in place; owned by pose_skin) out of the eye: the inner rings to where they rest."""
    away = skin[:, lids] - centre
    radius = np.sqrt((away**2).sum(axis=-1, keepdims=True))
    rest = np.sqrt(((neutral[lids] - centre) ** 2).sum(axis=-1, keepdims=True))
    rest[4:] = np.minimum(rest[4:], EYE_RADIUS + 0.16)
    skin[:, lids] = centre + away * np.maximum(1.0, rest / radius)


def _part_lips(skin: np.ndarray, face: Face) -> None:
    """Where lips of `skin` (in place) would cross, let them meet in the middle; the rings outside follow."""
    half = MOUTH_COUNT // 2
    up, low = face.lips
    excess = np.maximum(0.6 * LIP_GAP - (skin[:, up, 1] - skin[:, low, 1]), 0.0) / 2  # (T, n)
    for ring, share in zip(face.mesh.mouth, LIP_FOLLOW, strict=False):
        skin[:, ring[1:half], 1] += share * excess
        skin[:, ring[:half:-1], 1] -= share * excess


def pose_tongue(face: Face, weights: np.ndarray, jaw_open: np.ndarray) -> np.ndarray:
    """Tongue (T, Vt, 3) float32 of weights (T, 16), carried by the jaw, whose opening is jaw_open (T,)."""
    size = face.tongue.neutral.size
    bent = (weights @ face.tongue_shapes.reshape(len(TONGUE_POSES), size)).reshape(len(weights), -1, 3)
    return turn_jaw(face.tongue.neutral + bent, TONGUE_JAW * JAW_ANGLE * jaw_open[:, None]).astype(np.float32)


def pose_jaw(weights: np.ndarray) -> np.ndarray:
    """Motion (T, 5, 3) float32 of the jaw's key points away from JAW_POINTS for ARKit weights (T, 52)."""
    jaw = {name: weights[:, ARKIT.index(name)][:, None] for name in ("jawOpen", "jawForward", "jawLeft", "jawRight")}
    points = turn_jaw(np.broadcast_to(JAW_POINTS, (len(weights), 5, 3)), JAW_ANGLE * jaw["jawOpen"])
    aside = 0.8 * (jaw["jawLeft"] - jaw["jawRight"])
    return (points + np.stack([aside, 0 * aside, 0.7 * jaw["jawForward"]], axis=-1) - JAW_POINTS).astype(np.float32)


def vertex_lists(face: Face) -> dict[str, dict]:
    """The contents of the three vertex list files, by file name."""
    up, low = face.lips
    chosen = slice(2, len(up) - 2, 2)
    half = MOUTH_COUNT // 2
    border = face.mesh.mouth[6]
    eyes = [face.mesh.right_eye, face.mesh.left_eye]
    top, bottom = eyes[0].shape[1] // 4, eyes[0].shape[1] * 3 // 4

    def numbers(v: np.ndarray) -> list[int]:
        return [int(i) for i in v]

    return {
        "lip_dist_vertex_list": {"upper": numbers(up[chosen]), "lower": numbers(low[chosen])},
        "lip_size_vertex_list": {
            "upper_lip": {"top": numbers(border[1:half][chosen]), "bottom": numbers(up[chosen])},
            "lower_lip": {"top": numbers(low[chosen]), "bottom": numbers(border[:half:-1][chosen])},
        },
        "eye_dist_vertex_list": {
            "upper": [int(e[1, top]) for e in reversed(eyes)],
            "lower": [int(e[1, bottom]) for e in reversed(eyes)],
        },
    }
