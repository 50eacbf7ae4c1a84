"""What the mouth and the tongue aim at in each speech sound, and how strongly they insist on it.

Targets of the articulators, 0 to 1: jaw (opening), seal (lips together whatever the jaw does), press, pucker, funnel,
wide, tuck (lower lip under the upper teeth), upper (upper lip raised), lower (lower lip drawn down); tongue: tip
(raised), out, body (raised), back, down.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LIPS = ("seal", "press", "pucker", "funnel", "wide", "tuck", "upper", "lower")
TONGUE = ("tip", "out", "body", "back", "down")
ARTICULATORS = ("jaw", *LIPS, *TONGUE)
GROUP = {"jaw": "jaw", **dict.fromkeys(LIPS, "lips"), **dict.fromkeys(TONGUE, "tongue")}


@dataclass(frozen=True)
class Viseme:
    """Targets by articulator (absent is 0), and the strength of the claim on jaw, lips and tongue (vowels: 1)."""

    targets: dict[str, float]
    jaw: float = 1.0
    lips: float = 1.0
    tongue: float = 1.0
    vowel: bool = field(default=False)


def _vowel(**targets: float) -> Viseme:
    return Viseme(targets, vowel=True)


def _rounded(**targets: float) -> Viseme:
    return Viseme(targets, lips=1.6, vowel=True)


_BILABIAL = Viseme({"jaw": 0.13, "seal": 1.0, "press": 0.45}, jaw=0.9, lips=3.0, tongue=0.2)
_LABIODENTAL = Viseme({"jaw": 0.14, "seal": 0.35, "tuck": 1.0, "upper": 0.45}, jaw=1.2, lips=2.6, tongue=0.2)
_ALVEOLAR_STOP = Viseme({"jaw": 0.12, "wide": 0.15, "tip": 1.0, "lower": 0.10}, jaw=1.0, lips=0.18, tongue=3.0)
_HISS = Viseme({"jaw": 0.05, "wide": 0.35, "lower": 0.35, "upper": 0.10, "tip": 0.8}, jaw=2.2, lips=0.6, tongue=2.5)
_HUSH = Viseme(
    {"jaw": 0.08, "funnel": 0.70, "pucker": 0.15, "lower": 0.35, "upper": 0.22, "tip": 0.55, "body": 0.4},
    jaw=2.2,
    lips=1.6,
    tongue=2.0,
)
_DENTAL = Viseme({"jaw": 0.17, "lower": 0.22, "upper": 0.05, "tip": 0.35, "out": 0.95}, jaw=1.2, lips=0.35, tongue=3.0)
_VELAR = Viseme({"jaw": 0.20, "body": 0.8, "back": 0.7}, jaw=0.6, lips=0.12, tongue=3.0)

VISEMES = {
    "_": Viseme({"jaw": 0.02, "seal": 0.85}, jaw=0.8, lips=0.8, tongue=0.6),
    "m": _BILABIAL, "b": _BILABIAL, "p": _BILABIAL,
    "f": _LABIODENTAL, "v": _LABIODENTAL,
    "t": _ALVEOLAR_STOP, "d": _ALVEOLAR_STOP, "n": _ALVEOLAR_STOP,
    "ɾ": Viseme({"jaw": 0.16, "tip": 0.8}, jaw=0.5, lips=0.1, tongue=2.0),
    "l": Viseme({"jaw": 0.22, "lower": 0.10, "tip": 1.0, "out": 0.15}, jaw=0.8, lips=0.25, tongue=3.0),
    "s": _HISS, "z": _HISS, "ʃ": _HUSH, "ʒ": _HUSH,
    "θ": _DENTAL, "ð": _DENTAL,
    "k": _VELAR, "ɡ": _VELAR, "ŋ": _VELAR, "x": _VELAR,
    "h": Viseme({"jaw": 0.25}, jaw=0.25, lips=0.08, tongue=0.2),
    "w": Viseme({"jaw": 0.10, "pucker": 0.95, "funnel": 0.20, "body": 0.5, "back": 0.6}, jaw=1.4, lips=2.4, tongue=1.0),
    "ɹ": Viseme({"jaw": 0.14, "pucker": 0.30, "funnel": 0.50, "tip": 0.5, "back": 0.4}, jaw=1.0, lips=0.9, tongue=2.0),
    "j": Viseme({"jaw": 0.12, "wide": 0.50, "body": 0.9, "out": 0.2}, jaw=1.0, lips=0.5, tongue=2.0),
    "i": _vowel(jaw=0.17, wide=0.75, lower=0.22, upper=0.10, body=0.85, out=0.25),
    "ɪ": _vowel(jaw=0.25, wide=0.45, lower=0.18, upper=0.05, body=0.6, out=0.15),
    "ᵻ": _vowel(jaw=0.20, wide=0.30, lower=0.10, body=0.5),
    "e": _vowel(jaw=0.34, wide=0.50, lower=0.20, upper=0.06, body=0.5, out=0.1),
    "ɛ": _vowel(jaw=0.44, wide=0.38, lower=0.18, upper=0.05, body=0.25),
    "æ": _vowel(jaw=0.58, wide=0.42, lower=0.22, upper=0.12, down=0.3),
    "a": _vowel(jaw=0.62, wide=0.20, lower=0.15, upper=0.05, down=0.5),
    "ɑ": _vowel(jaw=0.70, lower=0.15, funnel=0.08, down=0.6, back=0.3),
    "ɒ": _vowel(jaw=0.56, funnel=0.30, down=0.5, back=0.4),
    "ɔ": _rounded(jaw=0.50, funnel=0.50, pucker=0.25, down=0.3, back=0.5),
    "o": _rounded(jaw=0.36, funnel=0.45, pucker=0.50, body=0.2, back=0.6),
    "ʊ": _rounded(jaw=0.22, funnel=0.30, pucker=0.55, body=0.4, back=0.6),
    "u": _rounded(jaw=0.15, funnel=0.25, pucker=0.95, body=0.6, back=0.6),
    "ʌ": _vowel(jaw=0.42, wide=0.10, lower=0.12, down=0.2),
    "ɐ": _vowel(jaw=0.36, wide=0.10, lower=0.10, down=0.1),
    "ə": _vowel(jaw=0.26, wide=0.08, lower=0.06),
    "ɜ": _vowel(jaw=0.28, funnel=0.35, pucker=0.20, body=0.3, tip=0.25),
    "ɚ": _vowel(jaw=0.24, funnel=0.35, pucker=0.20, body=0.3, tip=0.25),
}  # fmt: skip
SEALING, TUCKING = frozenset("mbp"), frozenset("fv")
