"""Bakes the demo's face into audio2face/render/head.npz, the head that comes with the package.

python tools/make_head.py            write it
python tools/make_head.py --check    exit with 1 when the file is not what would be written (to a hundredth of a millimetre)

Everything in it is computed (tools/demo): no scan, no other mesh, no other licence than the project's own.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from audio2face.render.head import FILE, LOOK_DEG, Head, Part, builtin_head, write_head  # noqa: E402
from tools.demo.face import LIP_FOLLOW, TONGUE_JAW, Face, build_face, pose_jaw  # noqa: E402
from tools.demo.figure import Brows, carry, eyeball, hair_cap, hair_share, skin_colours, teeth_row, turned_ball  # noqa: E402
from tools.demo.shapes import ARKIT, JAW_ANGLE, turn_jaw  # noqa: E402
from tools.demo.topology import EYE, MOUTH_COUNT, ease  # noqa: E402

PIVOT = np.array([0.0, -8.5, -2.6])  # in the upper neck
NECK = (-17.0, -11.0)  # the skin between these levels follows the head's turn by degrees
SLOPE = 0.25  # of those levels, which rise towards the nape
TOLERANCE = 0.001  # cm


@dataclass(frozen=True)
class _Piece:
    """One part before it is joined: vertices (n, 3), triangles (m, 3), colours (n, 3), deltas (52, n, 3)."""

    name: str
    vertices: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    deltas: np.ndarray
    gloss: float
    inside: float = 0.10


def bake() -> Head:
    """The head of the demo's first identity."""
    face = build_face(0)
    pieces = [_hair(face), _skin(face), _brows(face), _eye(face, "right"), _eye(face, "left"), *_teeth(), _tongue(face)]
    starts = np.cumsum([0, *(len(p.vertices) for p in pieces)]).tolist()
    vertices = np.concatenate([p.vertices for p in pieces]).astype(np.float32)
    level = vertices[:, 1] + SLOPE * vertices[:, 2]
    skin, half = starts[1], MOUTH_COUNT // 2
    mouth = face.mesh.mouth[: len(LIP_FOLLOW)]
    return Head(
        vertices=vertices,
        triangles=np.concatenate([p.triangles + at for p, at in zip(pieces, starts, strict=False)]),
        colours=np.concatenate([np.broadcast_to(p.colours, p.vertices.shape) for p in pieces]),
        names=ARKIT,
        deltas=np.concatenate([p.deltas for p in pieces], axis=1),
        turns=ease(level, *NECK),
        pivot=PIVOT,
        eyes=np.stack([EYE * [-1.0, 1.0, 1.0], EYE]),
        lids=skin + np.stack([face.mesh.right_eye[:7], face.mesh.left_eye[:7]]),
        lips=skin + np.stack([mouth[:, 1:half], mouth[:, :half:-1]]),
        parts=tuple(
            Part(p.name, start, end, p.gloss, p.inside)
            for p, start, end in zip(pieces, starts, starts[1:], strict=False)
        ),
    )


def _still(vertices: np.ndarray) -> np.ndarray:
    return np.zeros((len(ARKIT), *vertices.shape))


def _hair(face: Face) -> _Piece:
    vertices, triangles = hair_cap(face.who, 24, 40)
    used, triangles = np.unique(triangles, return_inverse=True)
    return _Piece(
        "hair", vertices[used], triangles.reshape(-1, 3), np.array(face.who.hair), _still(vertices[used]), 0.06, 1.0
    )


def _skin(face: Face) -> _Piece:
    """The skin, without the triangles that lie well under the hair: they cost time and are never seen."""
    bare = (hair_share(face.neutral)[face.mesh.triangles] < 1).any(axis=1)
    return _Piece("skin", face.neutral, face.mesh.triangles[bare], skin_colours(face), face.shapes, 0.10, 0.06)


def _brows(face: Face) -> _Piece:
    brow = Brows(face)
    deltas = (face.shapes[:, brow.bound] * brow.share[..., None]).sum(axis=2)
    return _Piece("brows", brow.anchor, brow.triangles, np.array(face.who.hair), deltas, 0.02, 1.0)


def _eye(face: Face, side: str) -> _Piece:
    """An eyeball; its shapes are those of looks, right at their ends (the package turns it instead)."""
    (ball, triangles), colours = eyeball(face, 24)
    sign, name = (1.0, "Left") if side == "left" else (-1.0, "Right")
    rest = turned_ball(ball, np.zeros((1, 2)), sign)[0]
    deltas = _still(rest)
    for what, look in (("Down", (1, 0)), ("Up", (-1, 0)), ("Out", (0, sign)), ("In", (0, -sign))):
        turned = turned_ball(ball, LOOK_DEG * np.array([look], float), sign)[0]
        deltas[ARKIT.index(f"eyeLook{what}{name}")] = turned - rest
    return _Piece(f"{side}_eye", rest, triangles, colours, deltas, 0.32)


def _teeth() -> list[_Piece]:
    upper, lower = teeth_row(1.0, 4), teeth_row(-1.0, 4)
    lowered = carry(lower[0], pose_jaw(np.eye(len(ARKIT))).astype(float)) - lower[0]
    return [_Piece("upper_teeth", *upper, _still(upper[0]), 0.25), _Piece("lower_teeth", *lower, lowered, 0.25)]


def _tongue(face: Face) -> _Piece:
    """The tongue goes with the jaw, and out over the lower teeth for tongueOut."""
    rest, shapes = face.tongue.neutral, face.tongue.shapes
    weights = np.eye(len(ARKIT))
    opened = weights[:, ARKIT.index("jawOpen")]
    deltas = turn_jaw(rest[None], TONGUE_JAW * JAW_ANGLE * opened[:, None]) - rest
    aside = weights[:, ARKIT.index("jawLeft")] - weights[:, ARKIT.index("jawRight")]
    deltas[..., 0] += 0.8 * aside[:, None]
    deltas[..., 2] += 0.7 * weights[:, ARKIT.index("jawForward"), None]
    out = 2.0 * shapes["tongueStretch"] + 0.9 * shapes["tongueTipDown"] + 0.9 * shapes["tongueUp"]
    deltas[ARKIT.index("tongueOut")] = out
    return _Piece("tongue", rest, face.tongue.triangles, np.array([0.76, 0.40, 0.40]), deltas, 0.2)


def differences(new: Head, old: Head) -> list[str]:
    """Names of what differs between two heads."""
    exact = [k for k in ("names", "parts") if getattr(new, k) != getattr(old, k)]
    for key in ("vertices", "triangles", "colours", "deltas", "turns", "pivot", "eyes", "lids", "lips"):
        a, b = np.asarray(getattr(new, key), float), np.asarray(getattr(old, key), float)
        allowed = 0.5 / 255 + 1e-6 if key == "colours" else TOLERANCE
        if a.shape != b.shape or np.abs(a - b).max() > allowed:
            exact.append(key)
    return exact


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    asked = parser.parse_args(arguments)
    head = bake()
    if asked.check:
        found = differences(head, builtin_head())
        print(f"{FILE.name}: {', '.join(found)} differ" if found else f"{FILE.name} is up to date")
        return int(bool(found))
    write_head(FILE, head)
    print(f"{FILE}: {len(head.vertices)} vertices, {len(head.triangles)} triangles, {FILE.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
