"""Rules about names: that the actors, emotions and groups of curves which keys refer to are there, each once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from audio2face.config.check import did_you_mean
from audio2face.config.kinds import FACE_CHANNELS

RESERVED = ("skin", "tongue", *dict.fromkeys(name for names in FACE_CHANNELS.values() for name in names))
Found = Iterator[tuple[str, str]]  # (key path, message)


def language_actors(names: list[str], languages: dict[str, Any]) -> Found:
    """SHOT_LANGUAGE_MAP by actor names actors of the data set."""
    if any(isinstance(entry, dict) for entry in languages.values()):
        yield from known_actors("dataset.SHOT_LANGUAGE_MAP", names, languages)


def emotion_map(emotions: list[str], actors: list[str], entries: Sequence[Any]) -> Found:
    """SHOT_EMOTION_MAP names actors and emotions of the data set."""
    for index, (actor, _, emotion) in enumerate(entries):
        yield from _member(f"dataset.SHOT_EMOTION_MAP/{index}/2", emotion, emotions, "SHOT_EMOTION_NAMES")
        yield from _member(f"dataset.SHOT_EMOTION_MAP/{index}/0", actor, actors, "ACTOR_NAMES")


def voices(channels: dict[str, dict[str, Any]], folders: dict[str, str], offsets: dict[str, Any]) -> Found:
    for actor, own in channels.items():
        if actor not in folders and own.get("partner") == own["self"]:
            at = f"dataset.AUDIO_CHANNELS/{actor}/partner"
            yield at, f"is the channel of {actor!r} too; name another, or give PARTNER_AUDIO_ROOT"
    for actor in offsets:
        if actor not in folders:
            at = f"dataset.PARTNER_AUDIO_OFFSETS/{actor}"
            yield at, "needs PARTNER_AUDIO_ROOT of this actor; two channels of one file share the offset of CLIPS"


def blendshape_pairs(key: str, other: str, files: dict[str, str], others: dict[str, str]) -> Found:
    """An actor with a file in one of two keys has one in the other."""
    for actor in files:
        if actor not in others:
            yield f"dataset.{key}/{actor}", f"needs {other} of this actor too"


def group_names(groups: dict[str, dict[str, str]]) -> Found:
    """No group of curves is called as a part of the face is."""
    for actor, own in groups.items():
        for group in own:
            if group in RESERVED:
                yield (
                    f"dataset.CURVES_ROOT/{actor}/{group}",
                    "is the name of a part of the face; give the group another",
                )


def known_groups(key: str, groups: dict[str, dict[str, str]], entries: dict[str, dict[str, Any]]) -> Found:
    """Groups that a key names by actor, {actor: {group: …}}, are in CURVES_ROOT."""
    for actor, own in entries.items():
        for group in own:
            yield from _member(
                f"{key}/{actor}/{group}", group, [*groups.get(actor, {})] or ["(none)"], f"CURVES_ROOT of {actor}"
            )


def weighed_groups(key: str, groups: dict[str, dict[str, str]], weights: dict[str, float]) -> Found:
    """Groups that a key names for all actors, {group: weight}, are in CURVES_ROOT of one of them."""
    known = list(dict.fromkeys(group for own in groups.values() for group in own))
    for group in weights:
        yield from _member(f"{key}/{group}", group, known or ["(none)"], "CURVES_ROOT")


def numbered_rows(clips: Any) -> Iterator[tuple[int, Any]]:
    """Clip rows with their index; VALIDATION_CLIPS may be something else, or hold shot names."""
    if isinstance(clips, list):
        yield from ((index, clip) for index, clip in enumerate(clips) if not isinstance(clip, str))


def complete_actors(names: list[str], rates: dict[str, Any], audio: dict[str, Any], *motion: dict[str, Any]) -> Found:
    """There are actors, each with a rate, sounds, and something that moves (`motion`: keys that hold it by actor)."""
    if not names:
        yield "dataset.ACTOR_NAMES", "must name at least one actor"
    moving = {actor for entries in motion for actor in entries}
    for actor in names:
        for key, entries in (("CACHE_FPS", rates), ("AUDIO_ROOT", audio), ("SKIN_CACHE_ROOT", moving)):
            if actor not in entries:
                yield f"dataset.{key}", f"has no entry for actor {actor!r}"


def known_actors(key: str, names: list[str], entries: dict[str, Any]) -> Found:
    """Actors that a key names, {actor: …}, are in ACTOR_NAMES."""
    for actor in entries:
        yield from _member(f"{key}/{actor}", actor, names, "ACTOR_NAMES")


def _member(key: str, word: str, known: Sequence[str], where: str) -> Found:
    """One name is among those known."""
    if known and word not in known:
        hint = did_you_mean(word, known) or f" ({', '.join(known)})"
        yield key, f"{word!r} is not in {where}{hint}"


def clip_actors(key: str, names: list[str], clips: Any) -> Found:
    """Actors that rows of clips begin with are in ACTOR_NAMES."""
    for index, clip in numbered_rows(clips):
        yield from _member(f"train.{key}/{index}/0", clip[0], names, "ACTOR_NAMES")


def muted_emotions(emotions: list[str], muted: Sequence[Any]) -> Found:
    """Emotions of AUG_MUTED_SHOTS are in SHOT_EMOTION_NAMES."""
    for index, clip in enumerate(muted):
        yield from _member(f"train.AUG_MUTED_SHOTS/{index}/3", clip[3], emotions, "SHOT_EMOTION_NAMES")


def one_emotion(key: str, emotions: list[str], emotion: Any) -> Found:
    """An emotion that a key names is in SHOT_EMOTION_NAMES."""
    if isinstance(emotion, str):
        yield from _member(key, emotion, emotions, "SHOT_EMOTION_NAMES")


def emotion_weights(key: str, emotions: list[str], weights: dict[str, float] | None) -> Found:
    """Emotions that a key weighs are in SHOT_EMOTION_NAMES."""
    for emotion in weights or {}:
        yield from _member(f"{key}/{emotion}", emotion, emotions, "SHOT_EMOTION_NAMES")


def emotion_vector(emotions: list[str], zero: str | None, label: Any) -> Found:
    """EMOTION_LABEL as weights, numbers or a timeline has emotions of the data set, as many as the network takes."""
    inputs = [emotion for emotion in emotions if emotion != zero]
    for emotion in label if isinstance(label, dict) else ():
        yield from _member(f"inference.EMOTION_LABEL/{emotion}", emotion, emotions, "SHOT_EMOTION_NAMES")
    if not isinstance(label, list | tuple):
        return
    if label and isinstance(label[0], list | tuple):
        for index, (_, weights) in enumerate(label):
            for emotion in weights:
                yield from _member(f"inference.EMOTION_LABEL/{index}", emotion, emotions, "SHOT_EMOTION_NAMES")
    elif len(label) != len(inputs):
        yield (
            "inference.EMOTION_LABEL",
            f"has {len(label)} numbers, and the model takes {len(inputs)}: {', '.join(inputs) or 'no emotion'}",
        )


def one_actor(key: str, names: list[str], actor: str | None) -> Found:
    """An actor that a key names is in ACTOR_NAMES."""
    if actor is not None:
        yield from _member(key, actor, names, "ACTOR_NAMES")
