"""The names of ARKit's 52 blendshapes, whatever the writing: jawOpen, JawOpen, jaw_open, bs.jawOpen, eyeBlink_L."""

from __future__ import annotations

import re

from audio2face.formats.arkit_csv import ARKIT_NAMES

CURVES = tuple(name[0].lower() + name[1:] for name in ARKIT_NAMES)  # as ARKit and most rigs write them
PREFIXES = ("", "arkit", "bs", "blendshape", "blendshapes", "shape", "ctrlexpressions")
_KEYS = {name.lower(): name for name in CURVES}


def plain_name(name: str) -> str:
    """Letters and digits of the last part of a name, sides written out: "bs.eyeBlink_L" -> "eyeblinkleft"."""
    last = re.split(r"[.:|/]", name)[-1]
    last = re.sub(r"[_ -](L|l)$", "Left", last)
    last = re.sub(r"[_ -](R|r)$", "Right", last)
    return re.sub(r"[^a-z0-9]", "", last.lower())


def arkit_name(name: str) -> str | None:
    """The curve that a name means, in ARKit's writing ("blendShapes.JawOpen" -> "jawOpen"); None when it is none."""
    plain = plain_name(name)
    return next((_KEYS[key] for prefix in PREFIXES if (key := plain.removeprefix(prefix)) in _KEYS), None)
