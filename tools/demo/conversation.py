"""A dialogue of two people: who says what when, with overlaps and back-channels, and the sound of each voice by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt

from tools.demo.speech import PAUSE, Phone, Speech
from tools.demo.visemes import VISEMES

SCRIPTS_FILE = Path(__file__).with_name("conversations.json")
HELD_OUT = ("holiday", "market")  # scripts whose lines are never trained on
PEOPLE = ("ada", "ben")
PITCHES = (1.25, 0.9)  # of their voices
LEAD_S, TAIL_S = 1.0, 1.5  # of silence around a dialogue
GAP_S, OVERLAP_S, PAUSE_S = (0.15, 0.6), (0.15, 0.5), (1.2, 2.2)  # between turns
OVERLAPS, PAUSES = 0.35, 0.2  # the shares of turns that begin before the other ends, and after a long pause
ACCENT_APART_S, ACCENT_SKIP = 0.9, 0.35  # accents of a turn are at least so far apart; the chance to pass one over
ACCENT_S, ACCENT_GAIN, SOFT = 0.15, 3.5, 0.26  # an accent is spoken louder than what is around it
BACK_CHANNEL = 0.4  # answers to a turn for each accent of it, at any time: an own "yeah" does not tell when to nod
REMAINS_S = 1.0  # what a turn still has to go at least when it is answered
PIECE_S = 0.25  # of silence
LEAK, NOISE = 0.008, 0.0008  # how much a microphone hears of the other person, and of the room
TELEPHONE_HZ = (300.0, 3400.0)
Say = Callable[[str, float], Speech]  # IPA and pitch -> speech


@dataclass(frozen=True)
class Line:
    """Something that `who` (0 or 1) says: its speech begins `start_s` into the dialogue. Accents in seconds of the dialogue."""

    who: int
    text: str
    start_s: float
    speech: Speech
    accents: tuple[float, ...] = ()
    back_channel: bool = False

    @property
    def sounds(self) -> tuple[float, float]:
        """When its first sound begins and its last ends, in seconds of the dialogue."""
        first, last = sounding(self.speech)
        return self.start_s + first, self.start_s + last


@dataclass(frozen=True)
class Dialogue:
    """Lines in the order of their beginnings, and how long all of it lasts."""

    name: str
    lines: tuple[Line, ...]
    duration_s: float

    def said_by(self, who: int) -> list[Line]:
        return [line for line in self.lines if line.who == who]

    def turns(self, who: int) -> list[Line]:
        """What a person says but for back-channels."""
        return [line for line in self.said_by(who) if not line.back_channel]

    def accents(self, who: int) -> np.ndarray:
        """When a person's accented syllables sound (n,), in seconds."""
        return np.array(sorted(at for line in self.said_by(who) for at in line.accents))


def read_scripts(path: Path = SCRIPTS_FILE) -> tuple[dict[str, list[dict[str, str]]], list[dict[str, str]]]:
    """The lines {"text", "ipa"} of every script by name, spoken in turns, and the back-channels."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return {script["name"]: script["lines"] for script in data["dialogues"]}, data["back_channels"]


# ---------------------------------------------------------------- who says what when


def stage(
    name: str,
    script: Sequence[dict[str, str]],
    back_channels: Sequence[dict[str, str]],
    first: int,
    say: Say,
    rng: np.random.Generator,
) -> Dialogue:
    """The dialogue of a script that person `first` (0 or 1) opens. Pauses, overlaps, accents, back-channels are drawn."""
    lines: list[Line] = []
    ends = [0.0, 0.0]  # of what each person has said so far
    now = LEAD_S
    for i, text in enumerate(script):
        who = (first + i) % 2
        speech = say(text["ipa"], PITCHES[who])
        begin, end = sounding(speech)
        start = max(now, ends[who] + GAP_S[0]) - begin
        accents = tuple(start + at for at in choose_accents(speech, rng))
        lines.append(Line(who, text["text"], start, accented(speech, [a - start for a in accents]), accents))
        ends[who] = start + end
        last = max(ends[who] - REMAINS_S, start + begin)
        for at in sorted(rng.uniform(start + begin, last, rng.binomial(len(accents), BACK_CHANNEL))):
            reply = back_channels[int(rng.integers(len(back_channels)))]
            answer = soft(say(reply["ipa"], PITCHES[1 - who]))
            if at > ends[1 - who] + GAP_S[0]:
                lines.append(Line(1 - who, reply["text"], float(at), answer, back_channel=True))
                ends[1 - who] = lines[-1].sounds[1]
        now = ends[who] + _pause(rng)
    return Dialogue(name, tuple(sorted(lines, key=lambda line: line.start_s)), max(ends) + TAIL_S)


def _pause(rng: np.random.Generator) -> float:
    """Seconds from the end of a turn to the next, below 0 where they overlap."""
    kind = rng.random()
    if kind < OVERLAPS:
        return -rng.uniform(*OVERLAP_S)
    return rng.uniform(*(PAUSE_S if kind > 1 - PAUSES else GAP_S))


def sounding(speech: Speech) -> tuple[float, float]:
    """When the first sound of a speech begins and the last ends, in seconds."""
    heard = [phone for phone in speech.phones if phone.symbol != PAUSE]
    return heard[0].start_s, heard[-1].end_s


def stressed_vowels(speech: Speech) -> list[float]:
    """The middles of the vowels with main stress, in seconds."""
    found, waiting = [], 0.0
    for phone in speech.phones:
        waiting = max(waiting, phone.stress)  # the mark stands before the syllable's first sound
        if waiting and VISEMES[phone.symbol].vowel:
            if waiting == 1.0:
                found.append((phone.start_s + phone.end_s) / 2)
            waiting = 0.0
    return found


def choose_accents(speech: Speech, rng: np.random.Generator) -> list[float]:
    """Which stressed syllables are brought out, in seconds: drawn, so that only the sound tells, and not the words."""
    chosen: list[float] = []
    for at in stressed_vowels(speech):
        if (not chosen or at - chosen[-1] >= ACCENT_APART_S) and rng.random() >= ACCENT_SKIP:
            chosen.append(at)
    return chosen


def accented(speech: Speech, accents: Sequence[float]) -> Speech:
    """The same speech, soft but for its accents (seconds)."""
    times = np.arange(len(speech.samples)) / speech.sample_rate
    loud = np.max([np.zeros_like(times), *(np.exp(-(((times - at) / ACCENT_S) ** 2)) for at in accents)], axis=0)
    gain = SOFT * (1 + (ACCENT_GAIN - 1) * loud)
    return Speech((gain * speech.samples).astype(np.float32), speech.sample_rate, speech.phones)


def soft(speech: Speech) -> Speech:
    return accented(speech, ())


# ---------------------------------------------------------------- sound


def voice_of(dialogue: Dialogue, who: int) -> Speech:
    """One person's voice alone over the whole dialogue, silent where the other speaks."""
    lines = dialogue.said_by(who)
    rate = dialogue.lines[0].speech.sample_rate
    samples = np.zeros(round(dialogue.duration_s * rate), np.float32)
    phones: list[Phone] = []
    now = 0.0
    for line in lines:
        first = round(line.start_s * rate)
        part = line.speech.samples[: len(samples) - first]
        samples[first : first + len(part)] += part
        begin, end = line.sounds
        phones += _silence(now, begin)
        at = line.start_s
        phones += [
            Phone(p.symbol, at + p.start_s, at + p.end_s, p.stress)
            for p in line.speech.phones
            if begin <= at + p.start_s < end
        ]
        now = end
    phones += _silence(now, len(samples) / rate)
    return Speech(samples, rate, tuple(phones))


def _silence(begin: float, end: float) -> list[Phone]:
    """Pauses that fill the time between two moments, each so short that lips rest during all of it."""
    edges = np.linspace(begin, end, max(1, round((end - begin) / PIECE_S)) + 1).tolist()
    return [Phone(PAUSE, a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def microphones(voices: Sequence[Speech], telephone: bool, rng: np.random.Generator) -> np.ndarray:
    """What the microphones of both people record (N, 2) float32: each hears the other a little, and the room."""
    clean = np.stack([voice.samples for voice in voices], axis=1)
    heard = clean + LEAK * clean[:, ::-1] + NOISE * rng.standard_normal(clean.shape)
    if telephone:
        rate = voices[0].sample_rate
        band = butter(4, TELEPHONE_HZ, "bandpass", fs=rate, output="sos")
        heard = sosfiltfilt(band, heard, axis=0)
    return np.clip(heard, -1.0, 1.0).astype(np.float32)
