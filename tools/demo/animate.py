"""From phones to blendshape weights: coarticulation, loudness, lips that really close, blinks, gaze and emotion.

Articulators blend the targets of neighbouring sounds by dominance functions, after M. Cohen and D. Massaro,
"Modeling coarticulation in synthetic visual speech" (1993): each sound's claim falls off exponentially in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.demo.shapes import ARKIT
from tools.demo.speech import Phone, Speech
from tools.demo.tongue import TONGUE_POSES
from tools.demo.visemes import ARTICULATORS, GROUP, SEALING, TUCKING, VISEMES

FPS = 30
LEAD_S = 0.015  # articulators arrive a little before the sound
FALL_OFF_S = {"jaw": 0.055, "lips": 0.045, "tongue": 0.030}
ROUNDING_FALL_OFF_S = 0.075  # lips round early
EMOTIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "joy": {
        "mouthSmile": 0.62, "mouthDimple": 0.12, "cheekSquint": 0.55, "eyeSquint": 0.16, "browOuterUp": 0.22,
        "browInnerUp": 0.16, "mouthUpperUp": 0.10,
    },
    "anger": {
        "browDown": 0.95, "noseSneer": 0.50, "eyeSquint": 0.28, "eyeWide": 0.20, "mouthFrown": 0.42,
        "mouthShrugLower": 0.20, "mouthStretch": 0.10, "mouthUpperUp": 0.12, "jawForward": 0.20,
    },
}  # fmt: skip
SMILE = {"mouthSmile": 0.9, "mouthDimple": 0.15, "cheekSquint": 0.7, "eyeSquint": 0.15}
BLINK = np.array([0.0, 0.25, 0.75, 1.0, 1.0, 0.8, 0.5, 0.25, 0.08, 0.0])  # at 30 fps
GAZE_DEG = np.array([2.2, 4.0])  # spread of gaze about x (up and down) and about y (aside)
LOOK_DEG = 22.0  # gaze at which a look shape reaches 1


@dataclass(frozen=True)
class Motion:
    """A shot's motion: ARKit weights (T, 52), tongue weights (T, 16), eye rotations (T, 2, 2) degrees, right first."""

    skin: np.ndarray
    tongue: np.ndarray
    eyes: np.ndarray


def frame_count(speech: Speech) -> int:
    """Whole frames in a speech."""
    return int(speech.duration_s * FPS)


def animate(
    speech: Speech,
    emotion: str,
    rng: np.random.Generator,
    eyes: np.ndarray | None = None,
    smile: np.ndarray | None = None,
) -> Motion:
    """The motion of a face that says `speech` with one of EMOTIONS; frame i is at (i + 0.5) / FPS.

    `eyes` (T, 2, 2) degrees are where it looks, drawn unless given; `smile` (T,) 0 … 1 comes on top of the emotion.
    """
    times = (np.arange(frame_count(speech)) + 0.5) / FPS
    track = articulate(speech, times)
    weights = _mouth_weights(track)
    _add_emotion(weights, emotion, track, _drift(len(times), rng))
    _add_accents(weights, emotion, speech, times, rng)
    if smile is not None:
        _lay_over(weights, SMILE, track, smile)
    eyes = _gaze(len(times), rng) if eyes is None else eyes
    _add_lids(weights, eyes, rng)
    skin = np.zeros((len(times), len(ARKIT)))
    for name, values in weights.items():
        for arkit in _sides(name):
            skin[:, ARKIT.index(arkit)] += values
    return Motion(np.clip(skin, 0.0, 1.0), _tongue_weights(track), eyes.astype(np.float32))


def _sides(name: str) -> list[str]:
    return [name] if name in ARKIT else [name + "Left", name + "Right"]


# ---------------------------------------------------------------- speech


def articulate(speech: Speech, times: np.ndarray) -> dict[str, np.ndarray]:
    """Articulators (T,) 0..1 by name at times (T,) seconds."""
    phones = speech.phones
    start = np.array([p.start_s for p in phones]) - LEAD_S
    end = np.array([p.end_s for p in phones]) - LEAD_S
    middle, core = (start + end) / 2, 0.3 * (end - start)
    away = np.maximum(np.abs(times[:, None] - middle) - core, 0.0)  # (T, P)
    loud = emphasis(speech)
    track = {}
    for name in ARTICULATORS:
        group = GROUP[name]
        fall = ROUNDING_FALL_OFF_S if name in ("pucker", "funnel") else FALL_OFF_S[group]
        claim = np.array([getattr(VISEMES[p.symbol], group) for p in phones]) * (0.03 + end - start)
        target = np.array([VISEMES[p.symbol].targets.get(name, 0.0) for p in phones])
        if name in ("jaw", "wide", "lower", "upper"):
            target = target * np.where([VISEMES[p.symbol].vowel for p in phones], loud, 1.0)
        dominance = claim * np.exp(-away / fall) + 1e-9
        track[name] = (dominance * target).sum(axis=1) / dominance.sum(axis=1)
    seal, tuck = _event(phones, SEALING, times), _event(phones, TUCKING, times)
    track["seal"] = np.maximum(track["seal"] * (1 - tuck), seal)
    track["tuck"] = np.maximum(track["tuck"], tuck) * (1 - seal)
    for name in ("upper", "lower", "wide"):
        track[name] = track[name] * (1 - 0.85 * np.maximum(seal, 0.6 * tuck * (name != "upper")))
    track["funnel"] = track["funnel"] * (1 - 0.8 * seal)
    return track


def _event(phones: tuple[Phone, ...], symbols: frozenset[str], times: np.ndarray) -> np.ndarray:
    """1 while one of the symbols sounds, with soft edges of 45 ms: consonants that must be reached, however short."""
    level = np.zeros_like(times)
    edge = 0.045
    for phone in phones:
        if phone.symbol in symbols:
            begin, stop = phone.start_s, max(phone.end_s - LEAD_S, phone.start_s + 0.034)
            ramp = np.clip(1 - np.maximum(begin - times, times - stop) / edge, 0.0, 1.0)
            level = np.maximum(level, ramp * ramp * (3 - 2 * ramp))
    return level


def emphasis(speech: Speech) -> np.ndarray:
    """How much each phone (P,) is spoken out: about 0.7 (soft, unstressed) to 1.25."""
    rate = speech.sample_rate
    power = np.concatenate([[0.0], np.cumsum(speech.samples.astype(np.float64) ** 2)])
    edges = [(int(p.start_s * rate), max(int(p.end_s * rate), int(p.start_s * rate) + 1)) for p in speech.phones]
    last = len(power) - 1
    level = np.sqrt(np.array([(power[min(b, last)] - power[min(a, last)]) / (b - a) for a, b in edges]))
    full = max(float(np.percentile(level, 95)), 1e-6)
    stress = np.array([p.stress for p in speech.phones])
    return 0.70 + 0.40 * np.clip(level / full, 0, 1) + 0.15 * stress


def _mouth_weights(track: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ARKit weights (T,) of the mouth, a name without side standing for both."""
    jaw, seal, tuck = track["jaw"], track["seal"], track["tuck"]
    return {
        "jawOpen": jaw,
        "mouthClose": jaw * seal,
        "mouthPress": 0.9 * track["press"],
        "mouthRollLower": 0.10 * track["press"] + 0.75 * tuck,
        "mouthRollUpper": 0.10 * track["press"],
        "mouthShrugLower": 0.40 * tuck,
        "mouthPucker": track["pucker"],
        "mouthFunnel": track["funnel"],
        "mouthStretch": 0.45 * track["wide"],
        "mouthSmile": 0.22 * track["wide"],
        "mouthDimple": 0.10 * track["wide"],
        "mouthUpperUp": track["upper"],
        "mouthLowerDown": track["lower"],
    }


def _tongue_weights(track: dict[str, np.ndarray]) -> np.ndarray:
    """Tongue weights (T, 16)."""
    tip, out, body, back, down = (track[name] for name in ("tip", "out", "body", "back", "down"))
    weights = {
        "tongueTipUp": np.clip(tip + 0.35 * out, 0, 1),
        "tongueStretch": 0.75 * out + 0.12 * tip,
        "tongueUp": np.clip(body + 0.15 * tip + 0.15 * out, 0, 1),
        "tongueIn": 0.8 * back,
        "tongueDown": 0.7 * down,
        "tongueTipDown": 0.5 * np.maximum(body - tip, 0) * (1 - out),
        "tongueWide": 0.5 * body * (1 - back),
        "tongueNarrow": 0.4 * back,
        "tongueRollUp": 0.25 * tip,
    }
    zero = np.zeros_like(tip)
    return np.stack([weights.get(name, zero) for name in TONGUE_POSES], axis=1)


# ---------------------------------------------------------------- the rest of the face


def _drift(count: int, rng: np.random.Generator) -> np.ndarray:
    """A slow wandering (T,) between about 0.85 and 1.1."""
    knots = rng.uniform(0.85, 1.1, count // 40 + 3)
    return np.interp(np.arange(count) / 40, np.arange(len(knots)), knots)


def _add_emotion(weights: dict[str, np.ndarray], emotion: str, track: dict[str, np.ndarray], level: np.ndarray) -> None:
    """Lay an emotion over the speech weights (changed in place)."""
    _lay_over(weights, EMOTIONS[emotion], track, level)
    if emotion == "anger":  # speaks out more
        weights["mouthClose"] = weights["mouthClose"] * 1.08
        weights["jawOpen"] = weights["jawOpen"] * 1.08


def _lay_over(
    weights: dict[str, np.ndarray], expression: dict[str, float], track: dict[str, np.ndarray], level: np.ndarray
) -> None:
    """Lay an expression over the speech weights (changed in place); rounded and sealed lips win over a smile."""
    rounded = np.clip(track["pucker"] + 0.6 * track["funnel"], 0, 1)
    for name, value in expression.items():
        amount = value * level
        if name in ("mouthSmile", "mouthDimple", "mouthStretch"):
            amount = amount * (1 - 0.6 * rounded) * (1 - 0.25 * track["seal"])
        elif name == "mouthUpperUp":
            amount = amount * (1 - track["seal"])
        elif name == "mouthShrugLower":
            amount = amount * (1 - np.clip(track["jaw"] * 2, 0, 1))
        weights[name] = weights.get(name, 0.0) + amount


def _add_accents(
    weights: dict[str, np.ndarray], emotion: str, speech: Speech, times: np.ndarray, rng: np.random.Generator
) -> None:
    """Brows that rise (in anger: knit) with stressed syllables."""
    accent = np.zeros_like(times)
    for phone in speech.phones:
        if phone.stress >= 1.0 and rng.random() < 0.35:
            middle = (phone.start_s + phone.end_s) / 2
            accent = np.maximum(accent, rng.uniform(0.12, 0.38) * np.exp(-(((times - middle) / 0.16) ** 2)))
    names = ("browDown", "noseSneer") if emotion == "anger" else ("browInnerUp", "browOuterUp")
    for name, share in zip(names, (1.0, 0.6), strict=True):
        weights[name] = np.clip(weights.get(name, 0.0) + share * accent, 0.0, 1.0)


def _gaze(count: int, rng: np.random.Generator) -> np.ndarray:
    """Eye rotations (T, 2, 2) degrees: fixations of half a second to two, joined by saccades of two frames."""
    gaze, t = np.zeros((count, 2)), 0
    where = np.zeros(2)
    while t < count:
        stay = int(rng.uniform(14, 60))
        where = rng.normal(0, 1, 2) * GAZE_DEG * (0.3 if rng.random() < 0.45 else 1.0)
        gaze[t : t + stay] = where
        t += stay
    gaze = np.stack([np.convolve(np.pad(g, 1, "edge"), [0.25, 0.5, 0.25], "valid") for g in gaze.T], axis=1)
    return np.repeat(gaze[:, None], 2, axis=1)


def _add_lids(weights: dict[str, np.ndarray], eyes: np.ndarray, rng: np.random.Generator) -> None:
    """Blinks every two to five seconds, and lids that follow the gaze (weights are changed in place)."""
    count = len(eyes)
    blink, t = np.zeros(count), int(rng.uniform(15, 70))
    while t < count:
        length = min(len(BLINK), count - t)
        blink[t : t + length] = np.maximum(blink[t : t + length], BLINK[:length])
        t += int(rng.uniform(60, 140))
    weights["eyeBlink"] = blink
    for name in ("eyeSquint", "eyeWide"):
        if name in weights:
            weights[name] = weights[name] * (1 - blink)
    down, aside = eyes[:, 0, 0] / LOOK_DEG, eyes[:, 0, 1] / LOOK_DEG
    free = 1 - blink
    weights["eyeLookDown"], weights["eyeLookUp"] = np.maximum(down, 0) * free, np.maximum(-down, 0) * free
    left, right = np.maximum(aside, 0) * free, np.maximum(-aside, 0) * free  # +y turns to the person's left
    weights["eyeLookOutLeft"], weights["eyeLookInRight"] = left, left
    weights["eyeLookInLeft"], weights["eyeLookOutRight"] = right, right
