"""`takes.json`, the list of what a run of inference made, and of what: voices, actor, seed, steps, guidance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audio2face.formats.keyframes import Keyframes
from audio2face.inference.talks import Talk
from audio2face.models.common.options import Options
from audio2face.paths import external_path
from audio2face.types import FaceAnimation, Track

TAKES_FILE = "takes.json"


def about_take(name: str, talk: Talk, take: int, made: FaceAnimation, options: Options, emotion: Any) -> dict[str, Any]:
    """What the take whose outputs begin with `name` was made of, as JSON has it; takes count from 1, as in names of files."""
    return {
        **_heard(name, talk),
        "behaviour": options.behaviour or talk.actor,
        "emotion": emotion,
        "take": take + 1,
        "seed": options.seed,
        "fps": made.fps,
        "frames": made.num_frames,
        **_sampling(options.sampling),
    }


def about_keys(name: str, talk: Talk, take: int, keys: Keyframes, options: Options, emotion: Any) -> dict[str, Any]:
    """The same of a take of keyframes, whose seed is its own."""
    return {
        **_heard(name, talk),
        "emotion": emotion,
        "take": take + 1,
        "seed": options.seed + take,
        "fps": keys.fps,
        "keyframes": len(keys.frames),
        **_sampling(options.sampling),
    }


def _heard(name: str, talk: Talk) -> dict[str, Any]:
    return {"name": name, "sound": _voice(talk.own), "partner": _voice(talk.partner), "actor": talk.actor}


def _voice(track: Track | None) -> dict[str, Any] | None:
    return None if track is None else {"file": external_path(track.path), "channel": track.channel}


def _sampling(sampling: Any) -> dict[str, Any]:
    """What a family chose, as far as it is text, numbers and dicts of them."""
    found = {} if sampling is None else vars(sampling)
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in found.items()
        if isinstance(value, str | int | float | Mapping)
    }
