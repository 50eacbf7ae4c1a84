"""What the page may ask: addresses below the secret, and what a library answers to them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any

import numpy as np

from audio2face.problems import UserError
from audio2face.viewer.library import Library, ShotView, peaks
from audio2face.viewer.studio import MOST_TAKES
from audio2face.viewer.tracks import AnimationStream
from audio2face.viewer.wishes import MOST_STEPS, is_weight, read_fields, read_wish, shot_of

BINARY, JSON, WAV = "application/octet-stream", "application/json", "audio/wav"


@dataclass(frozen=True)
class Reply:
    """The body of an answer. `ranged` ones may be asked for in parts."""

    body: bytes
    kind: str = JSON
    status: int = 200
    ranged: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: Any, status: int = 200) -> Reply:
    """A value as JSON."""
    return Reply(json.dumps(value, allow_nan=False).encode(), JSON, status)


def answer(library: Library, address: str) -> Reply | None:
    """The reply to a GET; None when there is nothing of that address. Raises UserError for data that cannot be read."""
    for pattern, function in GETS:
        if found := pattern.fullmatch(address):
            return function(library, *map(_number, found.groups()))
    return None


def wish(library: Library, address: str, body: bytes) -> Reply | None:
    """The reply to a POST of JSON. Raises UserError for what is wrong with it."""
    function = POSTS.get(address)
    return None if function is None else as_json(function(library, body))


def upload(library: Library, name: str, file: BufferedIOBase, size: int) -> Reply:
    """Take a sound of so many bytes from a connection. Raises UserError for what is wrong with it."""
    return as_json(_listed(library, library.upload(name, file, size)))


def _number(text: str) -> Any:
    return int(text) if text.isdigit() else text


def _scene(library: Library) -> Reply:
    actors = [
        {
            "name": actor.name,
            "mm": actor.mm,
            "eyes": actor.eyes,
            "triangles": {mesh: len(faces) for mesh, faces in actor.triangles.items()},
            "coloured": list(actor.colours),
            "bones": 0 if actor.bones is None else len(actor.bones),
        }
        for actor in library.actors
    ]
    return as_json(
        {
            "title": library.title,
            "notices": library.notices,
            "actors": actors,
            "shots": [_listed(library, number) for number in range(len(library.shots))],
            "model": _model(library),
            "studio": _studio(library),
        }
    )


def _listed(library: Library, number: int) -> dict[str, Any]:
    shot: ShotView = library.shots[number]
    sides = {side: getattr(shot, side) is not None for side in ("truth", "prediction")}
    about = {"name": shot.name, "actor": shot.actor, "emotion": shot.emotion, "note": shot.note}
    there = {"sound": shot.sound is not None, "source": shot.source is not None}
    return {"id": number, **about, **there, "start": shot.start, **sides}


def _model(library: Library) -> dict[str, Any] | None:
    model = library.model
    if model is None:
        return None
    names = {"actors": model.actors, "emotions": model.emotions, "default": model.default}
    return {"state": model.state, "error": model.error, **names}


def _studio(library: Library) -> dict[str, Any] | None:
    studio = library.studio
    if studio is None:
        return None
    settings, most = studio.settings, {"takes": MOST_TAKES, "steps": MOST_STEPS}
    chosen = {"guidance": dict(settings.guidance), "steps": settings.steps}
    guides = {"guides": [vars(guide) for guide in settings.guides], "guide": settings.guide}
    return {"parts": studio.parts, "partner": settings.hears_partner, "most": most, **chosen, **guides}


def _shot(library: Library, number: int) -> Reply | None:
    if not number < len(library.shots):
        return None
    about: dict[str, Any] = {"id": number, "problems": [], "duration_s": 0.0, "peaks": [], "partner": False}
    for side in ("truth", "prediction"):
        try:
            opened = library.open(number, side)
            about[side] = None if opened is None else _about(library, opened)
        except UserError as error:
            about[side] = None
            about["problems"] += error.lines
    if library.shots[number].sound is not None:
        try:
            about["duration_s"], about["peaks"] = peaks(library.sound(number))
            about["partner"] = library.partner(number) is not None
        except UserError as error:
            about["problems"] += error.lines
    return as_json(about)


def _other(library: Library, number: int) -> Reply | None:
    return _person(library, number, True) if number < len(library.shots) else None


def _heard(library: Library, number: int, actor: int) -> Reply | None:
    if not (_sounds(library, number) and actor < len(library.actors)):
        return None
    return _person(library, number, library.hears_other(number, actor))


def _person(library: Library, number: int, other: bool) -> Reply:
    """What there is to see of a person of a shot: nothing, where nobody is known."""
    item = library.other(number) if other else library.shots[number]
    opened = {side: library.open(number, side, other) for side in ("truth", "prediction")}
    tracks = {side: None if track is None else _about(library, track) for side, track in opened.items()}
    return as_json({"actor": "" if item is None else item.actor, **tracks})


def _about(library: Library, number: int) -> dict[str, Any]:
    track = library.track(number)
    assert track is not None
    keys = ("num_frames", "fps", "start_s", "chunk_frames", "ready", "finished", "error", "compute_s", "has_curves")
    channels = [{"name": channel.name, "points": channel.points} for channel in track.channels]
    return {"id": number, "channels": channels, **{key: getattr(track, key) for key in keys}}


def _track(library: Library, number: int) -> Reply | None:
    return None if library.track(number) is None else as_json(_about(library, number))


def _chunk(library: Library, number: int, index: int) -> Reply | None:
    track: AnimationStream | None = library.track(number)
    try:
        if track is None:
            return None
        count, body = track.chunk(index)
        return Reply(body, BINARY, headers={"X-Frames": str(count)})
    except IndexError:
        return None
    except ValueError as error:
        raise UserError(str(error)) from error


def _triangles(library: Library, actor: int, mesh: str) -> Reply | None:
    if not actor < len(library.actors) or mesh not in library.actors[actor].triangles:
        return None
    return Reply(np.ascontiguousarray(library.actors[actor].triangles[mesh], "<u4").tobytes(), BINARY)


def _colours(library: Library, actor: int, mesh: str) -> Reply | None:
    if not actor < len(library.actors) or mesh not in library.actors[actor].colours:
        return None
    return Reply(np.round(255 * library.actors[actor].colours[mesh]).astype(np.uint8).tobytes(), BINARY)


def _bones(library: Library, actor: int) -> Reply | None:
    bones = library.actors[actor].bones if actor < len(library.actors) else None
    return None if bones is None else Reply(np.ascontiguousarray(bones, "<u4").tobytes(), BINARY)


def _curves(library: Library, number: int) -> Reply | None:
    track = library.track(number)
    curves = track.curves() if track else None
    if curves is None:
        return None
    return as_json({"names": curves.names, "weights": np.round(curves.weights.T.astype(float), 4).tolist()})


def _sound(library: Library, number: int) -> Reply | None:
    return Reply(library.sound(number), WAV, ranged=True) if _sounds(library, number) else None


def _both_sounds(library: Library, number: int, partner: int, actor: int) -> Reply | None:
    if not (_sounds(library, number) and _sounds(library, partner) and actor < len(library.actors)):
        return None
    return Reply(library.sound(number, partner, actor), WAV, ranged=True)


def _partner_sound(library: Library, number: int, actor: int) -> Reply | None:
    if not (_sounds(library, number) and actor < len(library.actors)):
        return None
    return Reply(library.partner_sound(number, actor), WAV, ranged=True)


def _sounds(library: Library, number: int) -> bool:
    return number < len(library.shots) and library.shots[number].sound is not None


def _animate(library: Library, body: bytes) -> dict[str, Any]:
    request = read_fields(body)
    shot: Any = request.get("shot")
    emotion, actor = request.get("emotion"), request.get("actor")
    shot_of(library, shot)
    if emotion is not None and not (isinstance(emotion, dict) and all(map(is_weight, emotion.values()))):
        raise UserError("emotion: expected {name: weight}")
    if actor is not None and not isinstance(actor, str):
        raise UserError("actor: expected a name")
    return _about(library, library.animate(shot, emotion, actor, request.get("postprocess", True) is True))


def _make(library: Library, body: bytes) -> dict[str, Any]:
    return {"request": library.the_studio().begin(read_wish(library, body))}


def _made(library: Library, number: int) -> Reply | None:
    request = None if library.studio is None else library.studio.request(number)
    if request is None:
        return None
    sides = (
        {"takes": request.takes, "others": request.others} if request.state == "ready" else {"takes": [], "others": []}
    )
    tracks = {
        side: [{"actor": m.actor, **_about(library, library.show(m))} for m in made] for side, made in sides.items()
    }
    return as_json({"state": request.state, "error": request.error, **tracks})


def _keep(library: Library, body: bytes) -> dict[str, Any]:
    number = read_fields(body).get("request")
    return {"run": library.the_studio().keep(number if type(number) is int else 0)}


GETS: list[tuple[re.Pattern[str], Callable[..., Reply | None]]] = [
    (re.compile(r"api/scene"), _scene),
    (re.compile(r"api/model"), lambda library: as_json(_model(library))),
    (re.compile(r"api/shots/(\d{1,9})"), _shot),
    (re.compile(r"api/shots/(\d{1,9})/partner"), _other),
    (re.compile(r"api/partner/(\d{1,9})/(\d{1,9})"), _heard),
    (re.compile(r"api/tracks/(\d{1,9})"), _track),
    (re.compile(r"api/curves/(\d{1,9})"), _curves),
    (re.compile(r"api/made/(\d{1,9})"), _made),
    (re.compile(r"data/(\d{1,9})/(\d{1,9})"), _chunk),
    (re.compile(r"triangles/(\d{1,9})/(skin|tongue|body)"), _triangles),
    (re.compile(r"colours/(\d{1,9})/(skin|tongue)"), _colours),
    (re.compile(r"bones/(\d{1,9})"), _bones),
    (re.compile(r"sound/(\d{1,9})\.wav"), _sound),
    (re.compile(r"sound/(\d{1,9})/(\d{1,9})/(\d{1,9})\.wav"), _both_sounds),
    (re.compile(r"partner/(\d{1,9})/(\d{1,9})\.wav"), _partner_sound),
]
POSTS: dict[str, Callable[[Library, bytes], dict[str, Any]]] = {
    "api/animate": _animate,
    "api/make": _make,
    "api/keep": _keep,
}
