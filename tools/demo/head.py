"""How a head turns while it speaks: it nods with stressed syllables, as loud as they are, and sways slowly by itself.

That nods go with accents: D. McClave, "Linguistic functions of head movements in the context of speech" (2000).
"""

from __future__ import annotations

import numpy as np

from audio2face.face.curves import Block
from tools.demo.animate import FPS, emphasis, frame_count
from tools.demo.speech import Speech
from tools.demo.visemes import VISEMES

NAMES = ("HeadYaw", "HeadPitch", "HeadRoll")  # Live Link Face's: radians, positive pitch lifts the chin
TURN = Block("rotation", NAMES, "YXZ", "radians")
NOD_DEG = 6.0  # of a stressed syllable that is spoken out
NOD_S = 0.11  # a nod is a bell of this width, deepest in the middle of the syllable's vowel
SWAY_DEG = (3.0, 0.8, 1.2)  # yaw, pitch, roll
SWAY_HZ = (0.08, 0.22)


def turn_head(speech: Speech, rng: np.random.Generator) -> np.ndarray:
    """Angles (T, 3) float32 of NAMES in radians; frame i is at (i + 0.5) / FPS. `rng` is for the sway alone."""
    times = (np.arange(frame_count(speech)) + 0.5) / FPS
    angles = _sway(times, rng)
    angles[:, 1] -= NOD_DEG * nods(speech, times)
    return np.radians(angles).astype(np.float32)


def nods(speech: Speech, times: np.ndarray) -> np.ndarray:
    """How far the head is nodded down at times (T,) seconds: 0 to about 1.25."""
    depth = np.zeros_like(times)
    for middle_s, strength in stressed(speech):
        depth = np.maximum(depth, strength * np.exp(-(((times - middle_s) / NOD_S) ** 2)))
    return depth


def stressed(speech: Speech) -> list[tuple[float, float]]:
    """Stressed syllables: the middle of the vowel in seconds, and how strong (0 to about 1.25)."""
    found, waiting = [], 0.0
    for phone, loud in zip(speech.phones, emphasis(speech), strict=True):
        waiting = max(waiting, phone.stress)  # the mark stands before the syllable's first sound
        if waiting and VISEMES[phone.symbol].vowel:
            found.append(((phone.start_s + phone.end_s) / 2, waiting * float(loud)))
            waiting = 0.0
    return found


def _sway(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Degrees (T, 3): for each angle two slow waves."""
    hz, phase = rng.uniform(*SWAY_HZ, (2, 3)), rng.uniform(0, 2 * np.pi, (2, 3))
    return (np.array(SWAY_DEG) * np.sin(2 * np.pi * hz * times[:, None, None] + phase)).mean(axis=1)
