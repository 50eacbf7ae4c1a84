"""Bodies in motion: the unit of their positions, feet against the ground, places and turns that jump."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audio2face.dataset.captured import CapturedActor
from audio2face.dataset.curves import CapturedGroup
from audio2face.face.rotations import geodesic_degrees
from audio2face.face.skeleton import Skeleton, foot_joints, pose_from_values, positions
from audio2face.listing import shortened
from audio2face.problems import Problems
from audio2face.render.figure import upright

KEY = "CURVES_ROOT"
# All lengths in heights of the body, so that no unit has to be known.
UNITS = {"metres": (0.5, 3.0), "inches": (30.0, 100.0), "centimetres": (100.0, 300.0), "millimetres": (1000.0, 3000.0)}
FAR = 15.0  # from the first frame, where nobody goes
LEAST_GROUND = 0.1  # of frames in which a foot is no higher than the ground
BELOW = 0.04
TOUCHES = 0.015  # above where a foot usually stands
SLIDES = 0.12  # a second
SLIDING_SHARE, SLIDING_S = 0.25, 1.0  # of the time in which feet touch the ground; seconds of it
FASTEST = 4.0  # a second
FLIP_DEGREES, FLIP_TIMES = 120.0, 3.0  # in one frame; of the step that 99 of 100 stay below
SHOWN = 5


@dataclass(frozen=True)
class Body:
    """A skeleton in one shot: local turns (T, J, 3, 3), joints (T, J, 3) with y up, and which frames (T,) are known."""

    skeleton: Skeleton
    turns: np.ndarray
    joints: np.ndarray
    known: np.ndarray
    fps: float

    @cached_property
    def tall(self) -> float:
        """How tall the skeleton stands at rest."""
        return height(self.skeleton)

    @cached_property
    def feet(self) -> np.ndarray:
        """Feet (T, F, 3) in heights, NaN where they are not known."""
        feet = self.joints[:, list(foot_joints(self.skeleton))] / self.tall
        return np.where(self.known[:, None, None], feet, np.nan)

    @cached_property
    def pairs(self) -> np.ndarray:
        """(T - 1,) bool: where a frame and the one before it are known."""
        found: np.ndarray = self.known[1:] & self.known[:-1]
        return found


def check_bodies(report: Problems, data: CapturedActor) -> None:
    """Add what is odd in groups with a skeleton, rules "body.unit", ".ground", ".sliding", ".jump", ".turn"."""
    for name, captured in data.curves.items():
        if captured.group.skeleton is None or not captured.shots:
            continue
        bodies = {shot: body_of(captured, shot, data.fps) for shot in captured.shots}
        bodies = {shot: body for shot, body in bodies.items() if body.known.any() and body.tall > 0}
        _unit(report, name, bodies)
        _feet(report, name, bodies)
        for shot, body in bodies.items():
            _jumps(report, name, shot, body)


def body_of(captured: CapturedGroup, shot: str, fps: float) -> Body:
    """The skeleton of a group in one of its shots at the shots' rate."""
    curves, group = captured.shots[shot], captured.group
    assert group.skeleton is not None
    known: np.ndarray = np.asarray(curves.known.all(axis=1))
    turns, places = pose_from_values(group.skeleton, group.decode(np.where(curves.known, curves.values, group.rest)))
    joints = upright(positions(group.skeleton, turns, places), _at_rest(group.skeleton))
    return Body(group.skeleton, turns, joints, known, fps)


def height(skeleton: Skeleton) -> float:
    """How tall a skeleton stands at rest, in its own unit."""
    rest = _at_rest(skeleton)
    return float(np.ptp(upright(rest[None], rest)[0, :, 1]))


def grounds(bodies: Mapping[str, Body]) -> np.ndarray:
    """How high each foot (F,) is while it stands, in heights: below it it is in a tenth of a shot's frames, the median of shots."""
    return np.median([np.nanquantile(body.feet[..., 1], LEAST_GROUND, axis=0) for body in bodies.values()], axis=0)


def sliding(body: Body, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a foot touches the ground in two frames in a row, and where it slides meanwhile: both (T - 1,) bool."""
    low = np.abs(body.feet[..., 1] - ground) < TOUCHES
    touches = low[1:] & low[:-1] & body.pairs[:, None]
    steps = np.linalg.norm(np.diff(body.feet[..., [0, 2]], axis=0), axis=-1) * body.fps
    return touches.any(axis=1), (touches & (steps > SLIDES)).sum(axis=1) * 2 > touches.sum(axis=1)


def _at_rest(skeleton: Skeleton) -> np.ndarray:
    return positions(skeleton, np.broadcast_to(np.eye(3), (1, len(skeleton.joints), 3, 3)))[0]


def _unit(report: Problems, name: str, bodies: Mapping[str, Body]) -> None:
    for body in list(bodies.values())[:1]:
        if not any(low <= body.tall <= high for low, high in UNITS.values()):
            what = f"{name}: the skeleton is {body.tall:.4g} units tall, a person in none of {', '.join(UNITS)}."
            fix = "Is it a whole person? Import it with --scale, for example 1/100."
            report.info("body.unit", what, fix, key=KEY)
    for shot, body in bodies.items():
        root = body.joints[body.known, 0] / body.tall
        far = float(np.linalg.norm(root - root[0], axis=1).max())
        if far > FAR:
            what = f"{name}: the root moves {far:.0f} times the skeleton's height away."
            report.warning("body.unit", what, "Are positions and offsets in the same unit?", shot=shot, key=KEY)


def _feet(report: Problems, name: str, bodies: Mapping[str, Body]) -> None:
    if not bodies or not foot_joints(next(iter(bodies.values())).skeleton):
        return
    ground = grounds(bodies)
    for shot, body in bodies.items():
        below = np.nanmin(np.where(np.isnan(body.feet[..., 1]), np.inf, body.feet[..., 1] - ground), axis=1)
        if (deep := np.flatnonzero(below < -BELOW)).size:
            most = -float(below.min()) * body.tall
            what = f"{name}: a foot is up to {most:.3g} units below the ground, in {_frames(deep)}."
            report.warning("body.ground", what, "Lost tracking, or another floor in this shot?", shot=shot, key=KEY)
        touches, slides = sliding(body, ground)
        share = slides.sum() / max(touches.sum(), 1)
        if share > SLIDING_SHARE and slides.sum() > SLIDING_S * body.fps:
            what = f"{name}: feet slide in {100 * share:.0f}% of the time in which they touch the ground."
            fix = "Do root and legs come from one solution, at one rate and scale? Else the model learns to slide."
            report.warning("body.sliding", what, fix, shot=shot, key=KEY)


def _jumps(report: Problems, name: str, shot: str, body: Body) -> None:
    speed = np.linalg.norm(np.diff(body.joints[:, 0], axis=0), axis=1) / body.tall * body.fps
    if (leaps := np.flatnonzero((speed > FASTEST) & body.pairs) + 1).size:
        what = f"{name}: the root jumps in {_frames(leaps)}, by up to {speed[leaps - 1].max() / body.fps:.2g} heights."
        fix = "A cut? Split the shot there, or list the frames in <shot>_missing.npy."
        report.warning("body.jump", what, fix, shot=shot, key=KEY)
    steps = np.where(body.pairs[:, None], geodesic_degrees(body.turns[:-1], body.turns[1:]), 0.0)
    usual = np.quantile(steps, 0.99, axis=0)
    flips = (steps > FLIP_DEGREES) & (steps > FLIP_TIMES * usual)
    for joint in np.flatnonzero(flips.any(axis=0)):
        frames = np.flatnonzero(flips[:, joint]) + 1
        what = f"{name}: {body.skeleton.names[joint]} turns by {steps[:, joint].max():.0f}° in {_frames(frames)}."
        fix = "Lost tracking? List these frames in <shot>_missing.npy, or mend the capture."
        report.warning("body.turn", what, fix, shot=shot, key=KEY)


def _frames(frames: np.ndarray) -> str:
    return f"frame {shortened([str(frame) for frame in frames], SHOWN)}"
