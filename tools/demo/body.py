"""How two people in a dialogue move their bodies: arms that beat with accents, rest as they please, and a back that leans in.

Arms beat with what is stressed: D. McNeill, "Hand and Mind" (1992). Where the hands rest is a matter of mood: it is drawn for
each stretch of listening, and which hands gesture for each turn.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter1d

from audio2face.types import Joint, Skeleton
from tools.demo.conversation import Dialogue
from tools.demo.listener import Reaction, bells, waves

ROOT = ("Xposition", "Yposition", "Zposition")
TURN = ("Zrotation", "Xrotation", "Yrotation")
HEIGHT_CM = 92.0  # of the hips


def _arm(side: str, sign: float) -> tuple[tuple[str, str, tuple[float, float, float], tuple[str, ...]], ...]:
    return (
        (f"{side}Arm", "Chest", (sign * 17.0, 19.0, 0.0), TURN),
        (f"{side}ForeArm", f"{side}Arm", (sign * 28.0, 0.0, 0.0), TURN),
        (f"{side}Hand", f"{side}ForeArm", (sign * 25.0, 0.0, 0.0), TURN),
    )


def _leg(side: str, sign: float) -> tuple[tuple[str, str, tuple[float, float, float], tuple[str, ...]], ...]:
    return (
        (f"{side}UpLeg", "Hips", (sign * 9.0, -4.0, 0.0), ()),
        (f"{side}Leg", f"{side}UpLeg", (0.0, -42.0, 0.0), ()),
        (f"{side}Foot", f"{side}Leg", (0.0, -42.0, 0.0), ()),
    )


_BONES = (
    ("Hips", "", (0.0, HEIGHT_CM, 0.0), ROOT + TURN),
    ("Spine", "Hips", (0.0, 10.0, 0.0), TURN),
    ("Chest", "Spine", (0.0, 18.0, 0.0), TURN),
    ("Neck", "Chest", (0.0, 24.0, 0.0), TURN),
    ("Head", "Neck", (0.0, 9.0, 1.5), TURN),
    *_arm("Left", 1.0),
    *_arm("Right", -1.0),
    *_leg("Left", 1.0),
    *_leg("Right", -1.0),
)  # centimetres, y up, facing +z, the person's left at +x
_TIPS = {
    "Head": (0.0, 20.0, 1.0), "LeftHand": (17.0, 0.0, 0.0), "RightHand": (-17.0, 0.0, 0.0),
    "LeftFoot": (0.0, -4.0, 15.0), "RightFoot": (0.0, -4.0, 15.0),
}  # fmt: skip
_PLACES = {name: place for place, (name, *_) in enumerate(_BONES)}
SKELETON = Skeleton(
    tuple(
        Joint(name, _PLACES.get(parent, -1), offset, channels, _TIPS.get(name))
        for name, parent, offset, channels in _BONES
    )
)

# Angles in degrees of a left arm: lifted from the side, swung forward, twisted inward; the elbow; the hand. The right mirrors it.
ARM = ("lift", "forward", "twist", "elbow", "wrist")
RESTS: tuple[Mapping[str, float], ...] = (
    {"lift": 9, "forward": 0, "twist": 10, "elbow": 14, "wrist": 0},  # hanging
    {"lift": 12, "forward": 8, "twist": 62, "elbow": 88, "wrist": 5},  # before the belly
    {"lift": 34, "forward": -22, "twist": 42, "elbow": 92, "wrist": 20},  # on the hips
)
GESTURE: Mapping[str, float] = {"lift": 14, "forward": 14, "twist": 22, "elbow": 66, "wrist": -8}
BEAT: Mapping[str, float] = {"lift": 5, "forward": 9, "twist": -8, "elbow": 26, "wrist": -16}
BEAT_S = 0.16
RAISE_S = 0.20  # how quickly hands come up and go down
LEAN_DEG = {"forward": 7.0, "turn": 9.0}  # of a listener, towards the partner
HANDS = ((True, True), (True, False), (False, True))  # that gesture in a turn


def move_body(
    dialogue: Dialogue, who: int, reaction: Reaction, times: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Values (T, D) of SKELETON's channels at times (T,) seconds: centimetres and degrees."""
    side, fps = (1.0 if who == 0 else -1.0), 1 / (times[1] - times[0])
    turns = {name: np.zeros((len(times), 3)) for name in ("Hips", "Spine", "Chest", "Neck", "Head")}  # z, x, y
    lean = gaussian_filter1d(reaction.partner_speaks * (1 - reaction.speaks), 0.35 * fps)
    sway = waves(times, (1.2, 1.0, 1.5), rng)
    turns["Spine"] += sway + lean[:, None] * [0.0, LEAN_DEG["forward"] / 2, side * LEAN_DEG["turn"] / 2]
    turns["Chest"] += lean[:, None] * [0.0, LEAN_DEG["forward"] / 2, side * LEAN_DEG["turn"] / 2]
    yaw, pitch, roll = reaction.head.T
    left = -roll  # a head that leans to its left turns about z the other way
    turned = np.stack([left, -pitch, yaw], axis=1)
    turns["Neck"] += 0.4 * turned
    turns["Head"] += 0.6 * turned
    for name, sign, arm in zip(("Left", "Right"), (1.0, -1.0), _arms(dialogue, who, times, rng), strict=True):
        turns |= _joints(name, sign, arm)
    root = np.tile([0.0, HEIGHT_CM, 0.0], (len(times), 1))
    moved = [turns[joint.name] for joint in SKELETON.joints if joint.channels]
    return np.concatenate([root, *moved], axis=1)


def _arms(dialogue: Dialogue, who: int, times: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """The left and the right arm: (T, 5) degrees each, as ARM."""
    fps = 1 / (times[1] - times[0])
    rest = np.zeros((len(times), len(ARM)))
    up = np.zeros((len(times), 2))
    beats = np.zeros((len(times), 2))
    begins = [0.0, *(line.sounds[0] for line in dialogue.turns(who)), dialogue.duration_s]
    for begin, end in zip(begins[:-1], begins[1:], strict=True):  # a new place to rest with every turn
        rest[(times >= begin) & (times < end)] = _angles(RESTS[int(rng.integers(len(RESTS)))])
    for line in dialogue.turns(who):
        begin, end = line.sounds
        hands = np.array(HANDS[int(rng.choice(len(HANDS), p=(0.5, 0.25, 0.25)))], float)
        up[(times >= begin - 0.1) & (times < end)] = hands
        beats = np.maximum(beats, bells(times, np.array(line.accents), BEAT_S)[:, None] * hands)
    up = gaussian_filter1d(up, RAISE_S * fps, axis=0)
    rest = gaussian_filter1d(rest, 1.5 * RAISE_S * fps, axis=0)
    gesture, beat = _angles(GESTURE), _angles(BEAT)
    return [rest + up[:, [i]] * (gesture - rest) + beats[:, [i]] * beat for i in range(2)]


def _angles(pose: Mapping[str, float]) -> np.ndarray:
    return np.array([pose[name] for name in ARM], float)


def _joints(name: str, sign: float, arm: np.ndarray) -> dict[str, np.ndarray]:
    """Angles (T, 3) about z, x, y of the three joints of an arm (T, 5)."""
    lift, forward, twist, elbow, wrist = arm.T
    nought = np.zeros_like(lift)
    return {
        f"{name}Arm": np.stack([sign * (lift - 90), twist, -sign * forward], axis=1),
        f"{name}ForeArm": np.stack([nought, nought, -sign * elbow], axis=1),
        f"{name}Hand": np.stack([-sign * wrist, nought, nought], axis=1),
    }
