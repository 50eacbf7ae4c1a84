"""A data set of dialogues: for both people sound of two channels, curves of face, head and body, and who said what when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.formats.bvh import write_bvh
from audio2face.formats.json_file import write_json
from audio2face.formats.sound import write_sound
from tools.demo.animate import FPS, animate
from tools.demo.body import SKELETON, move_body
from tools.demo.conversation import HELD_OUT, PEOPLE, Dialogue, microphones, read_scripts, stage, voice_of
from tools.demo.dataset import SPEECH_CACHE, write_curves
from tools.demo.listener import react
from tools.demo.speech import Speech, cached_speech

ABOUT = "conversation.json"
HELD_OUT_SHOTS = "heldout"  # what their names begin with
TELEPHONE_EVERY = 4  # so many of the dialogues that are trained on are one over the telephone


@dataclass(frozen=True)
class DialoguePlan:
    """Which script is spoken, who (0 or 1) begins, and from where chance comes."""

    name: str
    script: str
    first: int
    seed: tuple[int, ...]
    telephone: bool = False
    held_out: bool = False

    def rng(self, *what: int) -> np.random.Generator:
        """A generator of its own for each thing that is drawn."""
        return np.random.default_rng([*self.seed, *what])


@dataclass(frozen=True)
class Person:
    """One person's side of a dialogue, T frames: the voice alone, ARKit weights (T, 52), head angles (T, 3) in radians, and
    the body's values (T, D)."""

    voice: Speech
    weights: np.ndarray
    head: np.ndarray
    body: np.ndarray


def plan_dialogues(count: int, seed: int) -> list[DialoguePlan]:
    """`count` dialogues to train on and one of each script that is kept apart; each time round, the other person begins."""
    scripts, _ = read_scripts()
    known = [name for name in scripts if name not in HELD_OUT]
    plans = []
    for i in range(count):
        script, again = known[i % len(known)], i // len(known)
        telephone = i % TELEPHONE_EVERY == TELEPHONE_EVERY - 1
        plans.append(DialoguePlan(f"talk_{i:02d}_{script}", script, (i + again) % 2, (seed, i), telephone))
    for i, script in enumerate(HELD_OUT):
        plans.append(DialoguePlan(f"{HELD_OUT_SHOTS}_{script}", script, i % 2, (seed, 10_000 + i), held_out=True))
    return plans


def staged(plan: DialoguePlan, voice: str, cache: Path) -> Dialogue:
    """The dialogue of a plan; speech is kept in `cache`."""
    scripts, back_channels = read_scripts()
    say = partial(cached_speech, voice=voice, folder=cache)
    return stage(plan.name, scripts[plan.script], back_channels, plan.first, say, plan.rng(0))


def act(plan: DialoguePlan, dialogue: Dialogue, who: int) -> Person:
    """How one person says and hears a dialogue."""
    voice = voice_of(dialogue, who)
    times = (np.arange(int(voice.duration_s * FPS)) + 0.5) / FPS
    reaction = react(dialogue, who, times, plan.rng(1, who))
    eyes = np.repeat(reaction.eyes[:, None], 2, axis=1)
    motion = animate(voice, "neutral", plan.rng(2, who), eyes, reaction.smile)
    body = move_body(dialogue, who, reaction, times, plan.rng(3, who))
    return Person(voice, motion.skin, np.radians(reaction.head).astype(np.float32), body)


def write_conversations(root: Path, plans: list[DialoguePlan], voice: str, seed: int) -> Iterator[str]:
    """Write root/<person>/… of both people and root/conversation.json, yielding each dialogue's name when it is done.

    The same arguments always give the same files. Speech is kept in root/.speech for the next time.
    """
    about = []
    for plan in plans:
        dialogue = staged(plan, voice, root / SPEECH_CACHE)
        people = [act(plan, dialogue, who) for who in range(len(PEOPLE))]
        sound = microphones([person.voice for person in people], plan.telephone, plan.rng(4))
        for who, (name, person) in enumerate(zip(PEOPLE, people, strict=True)):
            _write_person(root / name, plan.name, person, np.roll(sound, -who, axis=1))
        about.append(_about(plan, dialogue, len(people[0].weights)))
        yield plan.name
    write_json(root / ABOUT, {"people": list(PEOPLE), "voice": voice, "seed": seed, "dialogues": about})


def _write_person(home: Path, shot: str, person: Person, sound: np.ndarray) -> None:
    """Sound (N, 2), of the person and of the partner, phones, and the groups "arkit", "head" and "body"."""
    for folder in ("audio", "phones", "curves/body"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    write_sound(home / "audio" / f"{shot}.wav", sound, person.voice.sample_rate)
    phones = [[p.symbol, round(p.start_s, 4), round(p.end_s, 4)] for p in person.voice.phones]
    write_json(home / "phones" / f"{shot}.json", phones)
    write_curves(home / "curves", shot, person.weights, person.head)
    write_bvh(home / "curves" / "body" / f"{shot}.bvh", SKELETON, person.body, float(FPS))


def _about(plan: DialoguePlan, dialogue: Dialogue, frames: int) -> dict[str, Any]:
    lines = [
        {
            "who": line.who,
            "start_s": round(line.sounds[0], 4),
            "end_s": round(line.sounds[1], 4),
            "accents_s": [round(at, 4) for at in line.accents],
            "back_channel": line.back_channel,
            "text": line.text,
        }
        for line in dialogue.lines
    ]
    return {"name": plan.name, "held_out": plan.held_out, "frames": frames, "telephone": plan.telephone, "lines": lines}
