"""The VMC protocol (OSC over UDP): blendshapes and eyes for VRM avatars and for programs that mix them into a body."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from scipy.spatial.transform import Rotation

from audio2face.serving.live.udp import UdpSink
from audio2face.serving.names import ARKIT
from audio2face.serving.stream import Frame

DEFAULT_PORT = 39540
MOST_BYTES = 1400  # of a bundle, so that no network cuts it in two
HEAD_BYTES = 16  # of a bundle
OK_EVERY_S = 1.0


def perfect_sync(weights: Mapping[str, float]) -> dict[str, float]:
    """ARKit's 52 by their own names."""
    return dict(weights)


def vrm(weights: Mapping[str, float]) -> dict[str, float]:
    """The expressions of VRM, made of ARKit's weights."""
    w = weights

    def mean(name: str) -> float:
        return (w[f"{name}Left"] + w[f"{name}Right"]) / 2

    return {
        "A": w["JawOpen"] * (1 - max(w["MouthFunnel"], w["MouthPucker"])),
        "I": mean("MouthStretch"),
        "U": w["MouthPucker"],
        "E": mean("MouthUpperUp"),
        "O": w["MouthFunnel"],
        "Blink_L": w["EyeBlinkLeft"],
        "Blink_R": w["EyeBlinkRight"],
        "Joy": mean("MouthSmile"),
        "Angry": 0.0,
        "Sorrow": 0.0,
        "Fun": 0.0,
    }


NAMES: dict[str, Callable[[Mapping[str, float]], dict[str, float]]] = {"perfect_sync": perfect_sync, "vrm": vrm}


def bundles(
    values: Mapping[str, float], eyes: np.ndarray, time_s: float, with_ok: bool, head: np.ndarray | None = None
) -> list[bytes]:
    """A frame as bundles of at most MOST_BYTES; the weights take effect with the last message of the last one.

    `eyes` (6,) degrees, right X, Y, Z, left X, Y, Z, of data that faces +Z in a right-handed space; the protocol's is
    left-handed, so that x is mirrored. `head` (3,) degrees as in a `Frame`.
    """
    messages = [_message("/VMC/Ext/OK", ("i", 1))] if with_ok else []
    messages.append(_message("/VMC/Ext/T", ("f", time_s)))
    bones = {
        name: Rotation.from_euler("xyz", eyes[i : i + 3], degrees=True) for name, i in (("RightEye", 0), ("LeftEye", 3))
    }
    if head is not None:  # of axes with x to the person's right and z away from the camera
        bones["Head"] = Rotation.from_euler("YXZ", head * [1, -1, -1], degrees=True)
    for name, bone in bones.items():
        x, y, z, w = bone.as_quat()
        turn = [("f", float(v)) for v in (0, 0, 0, x, -y, -z, w)]
        messages.append(_message("/VMC/Ext/Bone/Pos", ("s", name), *turn))
    messages += [_message("/VMC/Ext/Blend/Val", ("s", name), ("f", value)) for name, value in values.items()]
    messages.append(_message("/VMC/Ext/Blend/Apply"))
    found, size = [OscBundleBuilder(IMMEDIATELY)], HEAD_BYTES
    for message in messages:
        length = 4 + message.size
        if size + length > MOST_BYTES:
            found.append(OscBundleBuilder(IMMEDIATELY))
            size = HEAD_BYTES
        found[-1].add_content(message)
        size += length
    return [bundle.build().dgram for bundle in found]


def _message(address: str, *values: tuple[str, object]) -> OscMessage:
    builder = OscMessageBuilder(address=address)
    for kind, value in values:
        builder.add_arg(float(value) if kind == "f" else value, kind)  # type: ignore[arg-type]
    return builder.build()


class VmcSink(UdpSink):
    """Sends frames to `address` ("host:port"); `names` is a key of NAMES."""

    def __init__(self, address: str, names: str = "perfect_sync"):
        super().__init__(address, DEFAULT_PORT)
        self._values = NAMES[names]
        self._ok_at = -OK_EVERY_S

    def send(self, frame: Frame) -> None:
        """Put a frame on the wire."""
        weights = dict(zip(ARKIT, (float(w) for w in np.clip(frame.weights[: len(ARKIT)], 0, 1)), strict=True))
        with_ok = frame.time_s - self._ok_at >= OK_EVERY_S
        self._ok_at = frame.time_s if with_ok else self._ok_at
        for datagram in bundles(self._values(weights), frame.eyes, frame.time_s, with_ok, frame.head):
            self.put(datagram)
