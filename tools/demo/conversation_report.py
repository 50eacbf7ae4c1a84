"""How well a model plays both sides of dialogues that it does not know: whether a listener follows the partner, and what else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.evaluation.motion import frechet_distance
from audio2face.face.rotations import geodesic_degrees
from audio2face.face.skeleton import bones, pose_from_values, positions
from audio2face.formats.bvh import read_bvh
from audio2face.formats.curve_table import read_curve_table
from audio2face.formats.json_file import read_json
from audio2face.problems import UserError
from audio2face.render.curves_film import Take
from audio2face.render.head import CONTACT, MM_PER_UNIT, SMALLEST_GAP, builtin_head, head_turns, head_weights
from tools.demo.body import SKELETON
from tools.demo.conversation_dataset import ABOUT
from tools.demo.following import following
from tools.demo.head import NAMES, TURN
from tools.demo.listener import within

QUIET_S = 0.3  # around what a person says: lips prepare and come to rest
MOVING = ("Head", "LeftForeArm", "LeftHand", "RightForeArm", "RightHand")  # joints that a body is judged by
STILL_MM = 1.0  # lips that are open by less are at rest


@dataclass(frozen=True)
class Motion:
    """One person's T frames: weights (T, P) of `names`, head angles (T, 3) in radians, the body's values (T, D)."""

    weights: np.ndarray
    names: tuple[str, ...]
    head: np.ndarray
    body: np.ndarray

    def at(self, frames: slice | np.ndarray) -> Motion:
        """Some of the frames."""
        return Motion(self.weights[frames], self.names, self.head[frames], self.body[frames])

    def take(self, title: str) -> Take:
        """As films have it."""
        joints = positions(SKELETON, *pose_from_values(SKELETON, self.body))
        return Take(title, self.weights, self.names, head_turns(TURN, self.head), None, joints, bones(SKELETON))


@dataclass(frozen=True)
class Side:
    """One person's side of a dialogue of T frames. `accents` are the partner's, in seconds; the rest is (T,) bool: where the
    person listens, holds the turn, and where the partner alone is heard. `towards` is +1 when the partner is on the left."""

    dialogue: str
    person: str
    sound: Path
    truth: Motion
    accents: np.ndarray
    listens: np.ndarray
    speaks: np.ndarray
    only_partner: np.ndarray
    towards: float


def read_sides(home: Path, fps: float, held_out: bool = True, most: int | None = None) -> list[Side]:
    """Both sides of every dialogue that was (not) held out, of the first `most` of them, below the data set's folder.

    Raises UserError if it is not there.
    """
    path = home / ABOUT
    if not path.is_file():
        raise UserError(f"no truth to compare with: {path} is missing; make it with tools/make_demo_conversation.py")
    about = read_json(path)
    chosen = [dialogue for dialogue in about["dialogues"] if dialogue["held_out"] == held_out][:most]
    return [
        _read_side(home, dialogue, who, person, fps)
        for dialogue in chosen
        for who, person in enumerate(about["people"])
    ]


def _read_side(home: Path, about: Mapping[str, Any], who: int, person: str, fps: float) -> Side:
    name, times = about["name"], (np.arange(about["frames"]) + 0.5) / fps

    def spans(whose: int, turns: bool) -> list[tuple[float, float]]:
        said = (line for line in about["lines"] if line["who"] == whose and not (turns and line["back_channel"]))
        return [(line["start_s"], line["end_s"]) for line in said]

    speaks, partner_speaks = (within(spans(whose, True), times) for whose in (who, 1 - who))
    heard = within(spans(1 - who, False), times) & ~within(spans(who, False), times, QUIET_S)
    accents = [at for line in about["lines"] if line["who"] != who for at in line["accents_s"]]
    curves = home / person / "curves"
    arkit, head = (read_curve_table(curves / group / f"{name}.npz") for group in ("arkit", "head"))
    truth = Motion(arkit.values, arkit.names, head.values, read_bvh(curves / "body" / f"{name}.bvh")[1])
    sound = home / person / "audio" / f"{name}.wav"
    towards = 1.0 if who == 0 else -1.0
    return Side(name, person, sound, truth, np.array(sorted(accents)), partner_speaks & ~speaks, speaks, heard, towards)


# ---------------------------------------------------------------- figures


def listening_figures(sides: Sequence[Side], takes: Sequence[Motion], fps: float) -> dict[str, float]:
    """How well listeners follow, all sides together: whether they nod when the partner's accents make it due, how far the head
    is from the truth, and how far they look towards the partner while listening and while speaking, in degrees.
    """
    nods, turns, listening, speaking = [], [], [], []
    for side, take in zip(sides, takes, strict=True):
        where = side.listens
        nods.append((following(np.degrees(take.head[:, 1]), side.accents, where, fps), where.sum()))
        turns.append(geodesic_degrees(TURN.matrices(side.truth.head), TURN.matrices(take.head))[where])
        aside = side.towards * np.degrees(take.head[:, 0])
        listening.append(aside[where])
        speaking.append(aside[side.speaks])
    correlations, counts = np.array(nods).T
    return {
        "nods_follow_accents": _rounded(np.average(correlations, weights=counts)),
        "head_error_degrees": _rounded(np.concatenate(turns).mean()),
        "towards_partner_listening_degrees": _rounded(np.concatenate(listening).mean()),
        "towards_partner_speaking_degrees": _rounded(np.concatenate(speaking).mean()),
    }


def error_figures(sides: Sequence[Side], takes: Sequence[Motion]) -> dict[str, float]:
    """Mean distances from the truth, all frames together: of weights, of the head in degrees, of the joints in centimetres."""
    weights, turns, joints = [], [], []
    for side, take in zip(sides, takes, strict=True):
        truth = side.truth
        columns = [take.names.index(name) for name in truth.names]
        weights.append(np.abs(take.weights[:, columns] - truth.weights).mean(axis=1))
        turns.append(geodesic_degrees(TURN.matrices(truth.head), TURN.matrices(take.head)))
        places = [positions(SKELETON, *pose_from_values(SKELETON, body)) for body in (truth.body, take.body)]
        joints.append(np.linalg.norm(places[0] - places[1], axis=2).mean(axis=1))
    means = [_rounded(np.concatenate(values).mean()) for values in (weights, turns, joints)]
    return dict(zip(("face_weights", "head_degrees", "body_cm"), means, strict=True))


def body_figures(sides: Sequence[Side], takes: Sequence[Sequence[Motion]]) -> dict[str, float]:
    """How bodies of several takes of all sides are distributed beside the truth: Fréchet distances of places of the joints (cm²)
    and of their speeds ((cm per frame)²), and by how much a joint's place differs between takes of a side, in centimetres.
    """
    truth = [_places(side.truth) for side in sides]
    ours = [[_places(motion) for motion in take] for take in takes]
    every = [places for take in ours for places in take]
    apart = [np.stack(same).std(axis=0).reshape(-1, 3) for same in zip(*ours, strict=True)]
    return {
        "body_frechet_places": _rounded(frechet_distance(np.concatenate(truth), np.concatenate(every))),
        "body_frechet_speeds": _rounded(
            frechet_distance(*(np.concatenate([np.diff(x, axis=0) for x in xs]) for xs in (truth, every)))
        ),
        "body_between_takes_cm": _rounded(np.linalg.norm(np.concatenate(apart), axis=1).mean()),
    }


def _places(motion: Motion) -> np.ndarray:
    """Where the joints that move are (T, 3 J), in centimetres."""
    joints = positions(SKELETON, *pose_from_values(SKELETON, motion.body))
    return joints[:, [place for place, joint in enumerate(SKELETON.joints) if joint.name in MOVING]].reshape(
        len(joints), -1
    )


def mouth_figures(sides: Sequence[Side], takes: Sequence[Motion]) -> dict[str, float]:
    """How far lips are apart while only the partner speaks, and how often that is rest (below STILL_MM); and while speaking."""
    listening, speaking = [], []
    for side, take in zip(sides, takes, strict=True):
        opening = lip_opening_mm(take.weights, take.names)
        listening.append(opening[side.only_partner])
        speaking.append(opening[side.speaks])
    quiet, loud = np.concatenate(listening), np.concatenate(speaking)
    return {
        "mouth_at_rest_share": _rounded((quiet < STILL_MM).mean()),
        "mouth_opening_listening_mm": _rounded(quiet.mean()),
        "mouth_opening_speaking_mm": _rounded(loud.mean()),
    }


def lip_opening_mm(weights: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """How far the lips of the built-in head are apart (T,), where they are furthest, for weights (T, P) of `names`."""
    head = builtin_head()
    upper, lower = head.lips[:, CONTACT]
    rest, moved = (x[..., upper, 1] - x[..., lower, 1] for x in (head.vertices, head.deltas))
    return MM_PER_UNIT * np.maximum(rest + head_weights(weights, names) @ moved, SMALLEST_GAP).max(axis=1)


def _rounded(value: float) -> float:
    return round(float(value), 4)


# ---------------------------------------------------------------- predictions


def motion_of(channels: Mapping[str, np.ndarray], groups: Mapping[str, Any]) -> Motion:
    """The groups "arkit", "head" and "body" of an animation, raw values by group; `groups` tell their columns."""
    head = [groups["head"].names.index(name) for name in NAMES]
    return Motion(channels["arkit"], tuple(groups["arkit"].names), channels["head"][:, head], channels["body"])


def mean_pose(training: Sequence[Side], side: Side) -> Motion:
    """The mean of what the person does in some dialogues, held."""
    own = [other.truth for other in training if other.person == side.person]
    count = len(side.truth.head)
    weights, head, body = (
        np.tile(np.concatenate([getattr(motion, part) for motion in own]).mean(axis=0), (count, 1))
        for part in ("weights", "head", "body")
    )
    return Motion(weights, side.truth.names, head, body)
