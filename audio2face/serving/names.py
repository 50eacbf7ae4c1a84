"""Names on the wire: blendshapes in the order in which clients index them, emotions, and parameters of the face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

_EYES = ("EyeBlink", "EyeLookDown", "EyeLookIn", "EyeLookOut", "EyeLookUp", "EyeSquint", "EyeWide")
# The order of Unreal's enumeration of ARKit's shapes, which differs from that of the Live Link Face app's table in two
# pairs, JawLeft and JawRight, MouthLeft and MouthRight: clients take values by their place.
ARKIT = (
    *(f"{name}{side}" for side in ("Left", "Right") for name in _EYES),
    *(
        "JawForward",
        "JawLeft",
        "JawRight",
        "JawOpen",
        "MouthClose",
        "MouthFunnel",
        "MouthPucker",
        "MouthLeft",
        "MouthRight",
    ),
    *(f"Mouth{name}{side}" for name in ("Smile", "Frown", "Dimple", "Stretch") for side in ("Left", "Right")),
    *("MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper"),
    *(f"Mouth{name}{side}" for name in ("Press", "LowerDown", "UpperUp") for side in ("Left", "Right")),
    *("BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff"),
    *("CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight", "TongueOut"),
)
TONGUE = tuple(
    f"Tongue{name}"
    for name in (
        *("TipUp", "TipDown", "TipLeft", "TipRight", "RollUp", "RollDown", "RollLeft", "RollRight"),
        *("Up", "Down", "Left", "Right", "In", "Stretch", "Wide", "Narrow"),
    )
)
# Of the service that the clients were written for; in the order of its networks.
EMOTIONS = (*("amazement", "anger", "cheekiness", "disgust", "fear", "grief", "joy", "outofbreath", "pain", "sadness"),)
ALIASES = {"out_of_breath": "outofbreath"}
NEUTRAL = "neutral"


class FaceParameter(NamedTuple):
    """The CONFIG key that a parameter of a request sets (None: handled apart), and its range."""

    key: str | None
    low: float
    high: float


FACE_PARAMETERS = {
    "upperFaceSmoothing": FaceParameter("upper_face_smoothing", 0.0, 0.1),
    "lowerFaceSmoothing": FaceParameter("lower_face_smoothing", 0.0, 0.1),
    "upperFaceStrength": FaceParameter("upper_face_strength", 0.0, 2.0),
    "lowerFaceStrength": FaceParameter("lower_face_strength", 0.0, 2.0),
    "faceMaskLevel": FaceParameter("face_mask_level", 0.0, 1.0),
    "faceMaskSoftness": FaceParameter("face_mask_softness", 0.001, 0.5),
    "skinStrength": FaceParameter("skin_strength", 0.0, 2.0),
    "blinkStrength": FaceParameter("blink_strength", 0.0, 2.0),
    "eyelidOpenOffset": FaceParameter("eyelid_open_offset", -1.0, 1.0),
    "lipOpenOffset": FaceParameter("lip_open_offset", -0.2, 0.2),
    "tongueStrength": FaceParameter("tongue_strength", 0.0, 3.0),
    "tongueHeightOffset": FaceParameter("tongue_height_offset", -3.0, 3.0),
    "tongueDepthOffset": FaceParameter("tongue_depth_offset", -3.0, 3.0),
    "blinkOffset": FaceParameter(None, 0.0, 1.0),
    "inputStrength": FaceParameter(None, 1e-3, 100.0),
}


def places(wire: Sequence[str], poses: Sequence[str]) -> list[tuple[int, int]]:
    """(place on the wire, number of the rig's pose) of every name that both have, whatever the case of its first letter."""
    numbers = {pose[:1].upper() + pose[1:]: i for i, pose in enumerate(poses)}
    return [(place, numbers[name]) for place, name in enumerate(wire) if name in numbers]


def known_emotions(weights: Mapping[str, float], names: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Weights by the model's own names, clamped to 0 … 1, and the names that it does not know. `neutral` is zeros."""
    found, unknown = {}, []
    for name, weight in weights.items():
        name = ALIASES.get(name, name) if name not in names else name
        if name in names:
            found[name] = min(max(weight, 0.0), 1.0)
        elif name != NEUTRAL:
            unknown.append(name)
    return found, unknown
