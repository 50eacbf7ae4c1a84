"""What two people in a dialogue do with head, eyes and lips because of each other.

A speaker nods with the accents of their own voice. A listener nods and smiles a moment after those of the partner, and looks at
who speaks; nothing in their own voice tells when. That listeners answer so: V. Yngve, "On getting a word in edgewise" (1970);
where speakers look: A. Kendon, "Some functions of gaze-direction in social interaction" (1967).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from tools.demo.conversation import Dialogue

OWN_NOD_DEG, NOD_DEG = 4.5, 7.0  # a speaker's with an accent, a listener's after one
OWN_NOD_S, NOD_S = 0.11, 0.13  # half widths
LAG_S, LAG_SPREAD_S = 0.40, 0.03  # from the accent to the bottom of a listener's nod
SMILE, SMILE_LAG_S, SMILE_RISE_S, SMILE_FALL_S = 0.34, 0.35, 0.35, 0.9
PARTNER_DEG, AWAY_DEG, AHEAD_DEG = 24.0, -8.0, 4.0  # to the side on which the partner sits
HEAD_SHARE = 0.7  # of a look that the head turns; the eyes do the rest
LOOK_LAG_S, LOOK_BACK_S, LOOK_ON_S = 0.25, 0.9, 0.6  # after the partner begins; before the own turn ends; after either
SWAY_DEG = (1.0, 0.5, 0.8)  # yaw, pitch, roll


@dataclass(frozen=True)
class Reaction:
    """A person's T frames: head angles (T, 3) in degrees (yaw, pitch, roll), eyes (T, 2) degrees (down, aside), smile (T,) 0 … 1.

    `partner_speaks` and `speaks` (T,) are how far each has the word, 0 … 1.
    """

    head: np.ndarray
    eyes: np.ndarray
    smile: np.ndarray
    speaks: np.ndarray
    partner_speaks: np.ndarray


def react(dialogue: Dialogue, who: int, times: np.ndarray, rng: np.random.Generator) -> Reaction:
    """How a person moves at times (T,) seconds."""
    side = 1.0 if who == 0 else -1.0  # the first person has the other on the left
    fps = 1 / (times[1] - times[0])
    speaks, partner_speaks = (holds_turn(dialogue, w, times) for w in (who, 1 - who))
    heard = heard_accents(dialogue, who)
    bottoms = heard + LAG_S + LAG_SPREAD_S * rng.standard_normal(len(heard))
    depths = NOD_DEG * rng.uniform(0.85, 1.15, len(heard))
    pitch = -bells(times, bottoms, NOD_S, depths)
    pitch -= bells(times, dialogue.accents(who), OWN_NOD_S, OWN_NOD_DEG)
    aside = _direction(dialogue, who, times, rng)
    yaw = HEAD_SHARE * gaussian_filter1d(aside, 0.16 * fps)
    sway = waves(times, SWAY_DEG, rng)
    eyes = np.stack([_fixations(times, rng), side * (gaussian_filter1d(aside, 0.035 * fps) - yaw)], axis=1)
    head = sway + np.stack([side * yaw, pitch, np.zeros_like(yaw)], axis=1)
    return Reaction(head, eyes, _smile(times, heard), speaks, partner_speaks)


def holds_turn(dialogue: Dialogue, who: int, times: np.ndarray) -> np.ndarray:
    """1 where a person has a turn (T,), back-channels aside; else 0."""
    return within([line.sounds for line in dialogue.turns(who)], times).astype(float)


def within(spans: Sequence[tuple[float, float]], times: np.ndarray, around_s: float = 0.0) -> np.ndarray:
    """(T,) bool: which moments lie in one of the spans (begin, end) in seconds, or no more than `around_s` beside it."""
    found = np.zeros(len(times), bool)
    for begin, end in spans:
        found |= (times >= begin - around_s) & (times < end + around_s)
    return found


def listens(dialogue: Dialogue, who: int, times: np.ndarray) -> np.ndarray:
    """(T,) bool: where the partner has the word and the person has not."""
    return (holds_turn(dialogue, 1 - who, times) > 0) & (holds_turn(dialogue, who, times) == 0)


def heard_accents(dialogue: Dialogue, who: int) -> np.ndarray:
    """The partner's accents (n,) in seconds that fall into no turn of the person's own."""
    accents = dialogue.accents(1 - who)
    return accents[holds_turn(dialogue, who, accents) == 0]


def _direction(dialogue: Dialogue, who: int, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where a person looks (T,), in degrees towards the partner: away while speaking and back when the turn ends, at the
    partner who speaks, and ahead when nobody does."""
    aside = np.full(len(times), AHEAD_DEG)
    for line in dialogue.turns(who):
        begin, end = line.sounds
        aside[(times >= begin) & (times < end - LOOK_BACK_S)] = AWAY_DEG + rng.normal(0, 1.5)
        aside[(times >= end - LOOK_BACK_S) & (times < end + LOOK_ON_S)] = PARTNER_DEG
    for line in dialogue.said_by(1 - who):
        begin, end = line.sounds
        aside[(times >= begin + LOOK_LAG_S) & (times < end + LOOK_ON_S)] = PARTNER_DEG
    return aside


def _smile(times: np.ndarray, accents: np.ndarray) -> np.ndarray:
    """How much a listener smiles (T,): every accent adds some, which fades."""
    after = np.maximum(times[:, None] - accents - SMILE_LAG_S, 0.0)
    waves = (1 - np.exp(-after / SMILE_RISE_S)) * np.exp(-after / SMILE_FALL_S)
    return np.clip(2.0 * SMILE * waves.sum(axis=1), 0.0, 0.75)


def bells(times: np.ndarray, at: np.ndarray, width_s: float, heights: np.ndarray | float = 1.0) -> np.ndarray:
    """The largest of bells (T,) around moments (n,), in seconds."""
    if not len(at):
        return np.zeros_like(times)
    return (heights * np.exp(-(((times[:, None] - at) / width_s) ** 2))).max(axis=1)


def waves(times: np.ndarray, degrees: tuple[float, ...], rng: np.random.Generator) -> np.ndarray:
    """(T, n): for each of the degrees the mean of two slow waves."""
    hz, phase = rng.uniform(0.08, 0.22, (2, len(degrees))), rng.uniform(0, 2 * np.pi, (2, len(degrees)))
    return (np.array(degrees) * np.sin(2 * np.pi * hz * times[:, None, None] + phase)).mean(axis=1)


def _fixations(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Small wanderings of the eyes up and down (T,), in degrees."""
    return np.repeat(rng.normal(0, 1.2, len(times) // 20 + 1), 20)[: len(times)]
