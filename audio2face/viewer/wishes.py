"""What the page wishes to be made, read from its JSON: nothing in it is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audio2face.formats.budget import parse_json
from audio2face.problems import UserError
from audio2face.viewer.library import Library, ShotView
from audio2face.viewer.studio import MOST_TAKES, Wish

MOST_FRAME, MOST_SEED, MOST_WEIGHT, MOST_MARKS = 1 << 31, 1 << 31, 10, 1000


def read_wish(library: Library, body: bytes) -> Wish:
    """The wish of {shot, whole, base, ranges, keys, parts, takes, guidance, seed, partner}.

    `whole` ones are made of the sound alone; others edit the shot's own file, or a take [request, number] that was made before
    (`base`). `partner` is the shot whose sound is the other person's. Raises UserError for what is wrong with it.
    """
    asked = read_fields(body)
    ranges, keys = _spans("ranges", asked), _spans("keys", asked)
    shot, base, partner, parts = (asked.get(name) for name in ("shot", "base", "partner", "parts"))
    takes, guidance, seed = asked.get("takes", 1), asked.get("guidance", 1), asked.get("seed", 0)
    item, whole = shot_of(library, shot), asked.get("whole") is True
    if item.sound is None:
        raise UserError(f"{item.name} has no sound to animate")
    if type(takes) is not int or not 1 <= takes <= MOST_TAKES:
        raise UserError(f"takes: expected a whole number from 1 to {MOST_TAKES}")
    if type(seed) is not int or not 0 <= seed < MOST_SEED:
        raise UserError("seed: expected a whole number from 0")
    if not is_weight(guidance) or guidance < 0:
        raise UserError(f"guidance: expected a number from 0 to {MOST_WEIGHT}")
    if parts is not None and not (isinstance(parts, list) and all(isinstance(part, str) for part in parts)):
        raise UserError("parts: expected a list of names")
    if max(len(ranges), len(keys), len(parts or ())) > MOST_MARKS:
        raise UserError(f"expected at most {MOST_MARKS} ranges, keys and parts")
    source, beside = (None, ()) if whole else (item.source, item.beside) if base is None else _take(library, base)
    if source is None and not whole:
        raise UserError(f"{item.name} has no animation that can be edited: generate one first")
    return Wish(
        actor=item.actor,
        sound=item.sound,
        source=source,
        beside=beside,
        ranges=() if whole else ranges,
        keys=() if whole else keys,
        parts=None if whole or parts is None else tuple(parts),
        takes=takes,
        guidance=float(guidance),
        seed=seed,
        emotion=item.emotion or None,
        partner=None if partner is None else shot_of(library, partner).sound,
    )


def read_fields(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object that the page sends, whatever they hold. Raises UserError for anything else."""
    try:
        fields = parse_json("request", body)
    except ValueError as error:
        raise UserError(str(error)) from error
    if not isinstance(fields, dict):
        raise UserError("request: expected a JSON object")
    return fields


def shot_of(library: Library, number: Any) -> ShotView:
    """The shot of a number that the page gives. Raises UserError when there is none."""
    if type(number) is not int or not 0 <= number < len(library.shots):
        raise UserError("there is no shot of that number")
    return library.shots[number]


def is_weight(value: Any) -> bool:
    """Whether a value is a number that may weigh something."""
    return type(value) in (int, float) and -MOST_WEIGHT <= value <= MOST_WEIGHT  # NaN is not


def _take(library: Library, base: Any) -> tuple[Path, tuple[Path, ...]]:
    """The file of a take, and those that are shown with it."""
    numbers = base if isinstance(base, list) and [type(n) for n in base] == [int, int] else [0, 0]
    request = library.the_studio().request(numbers[0])
    if request is None or not 0 <= numbers[1] < len(request.takes):
        raise UserError("there is no such take")
    return request.takes[numbers[1]].file, request.wish.beside


def _spans(name: str, asked: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """First and last frames that a field holds; none without it."""
    spans = asked.get(name, [])
    if not isinstance(spans, list) or not all(
        isinstance(span, list) and list(map(_is_frame, span)) == [True, True] for span in spans
    ):
        raise UserError(f"{name}: expected pairs of frames, whole numbers from 0")
    return tuple((first, last) for first, last in spans)


def _is_frame(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST_FRAME
