"""What the page wishes to be made, read from its JSON: nothing in it is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audio2face.formats.budget import parse_json
from audio2face.problems import UserError
from audio2face.viewer.library import Library, ShotView
from audio2face.viewer.studio import MOST_TAKES, Wish

MOST_FRAME, MOST_SEED, MOST_WEIGHT, MOST_MARKS, MOST_STEPS = 1 << 31, 1 << 31, 10, 1000, 100


def read_wish(library: Library, body: bytes) -> Wish:
    """The wish of {shot, actor, whole, base, ranges, keys, parts, partner, both, takes, guidance, steps, seed, guide, top_p, temperature}.

    `whole` ones are made of the sound alone, with any `actor` of the network; others edit the shot's own file, or a take [request,
    number] that was made before (`base`), of the same actor. `partner` is the shot whose sound is the other person's; with `both`
    the other side is made as well. `guidance` is {name: scale}, `guide` one of the studio's; both sides and guides are of whole
    animations only. Raises UserError for what is wrong with it.
    """
    asked = read_fields(body)
    ranges, keys = _spans("ranges", asked), _spans("keys", asked)
    shot, base, partner, parts = (asked.get(name) for name in ("shot", "base", "partner", "parts"))
    takes, steps, seed = asked.get("takes", 1), asked.get("steps"), asked.get("seed", 0)
    item, whole = shot_of(library, shot), asked.get("whole") is True
    if item.sound is None:
        raise UserError(f"{item.name} has no sound to animate")
    if type(takes) is not int or not 1 <= takes <= MOST_TAKES:
        raise UserError(f"takes: expected a whole number from 1 to {MOST_TAKES}")
    if type(seed) is not int or not 0 <= seed < MOST_SEED:
        raise UserError("seed: expected a whole number from 0")
    if steps is not None and (type(steps) is not int or not 1 <= steps <= MOST_STEPS):
        raise UserError(f"steps: expected a whole number from 1 to {MOST_STEPS}")
    if parts is not None and not (isinstance(parts, list) and all(isinstance(part, str) for part in parts)):
        raise UserError("parts: expected a list of names")
    if max(len(ranges), len(keys), len(parts or ())) > MOST_MARKS:
        raise UserError(f"expected at most {MOST_MARKS} ranges, keys and parts")
    actor, source, beside = item.actor, item.source, item.beside
    if whole:
        actor, source, beside = _actor(library, asked.get("actor", item.actor)), None, ()
    elif base is not None:
        actor, source, beside = _take(library, base)
    if source is None and not whole:
        raise UserError(f"{item.name} has no animation that can be edited: generate one first")
    return Wish(
        actor=actor,
        sound=item.sound,
        source=source,
        beside=beside,
        ranges=() if whole else ranges,
        keys=() if whole else keys,
        parts=None if whole or parts is None else tuple(parts),
        takes=takes,
        guidance=_guidance(library, asked.get("guidance", {})),
        steps=steps,
        seed=seed,
        emotion=item.emotion or None,
        partner=_partner(library, item, partner),
        **(_other_side(library, shot, partner, actor) if whole and asked.get("both") is True else {}),
        **(_drawing(library, asked) if whole else {}),
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


def _guidance(library: Library, scales: Any) -> dict[str, float]:
    """The scales that a field holds, of those that the network knows."""
    known = library.the_studio().settings.guidance
    if not isinstance(scales, dict) or not all(is_weight(scale) and scale >= 0 for scale in scales.values()):
        raise UserError(f"guidance: expected {{name: scale}} with scales from 0 to {MOST_WEIGHT}")
    if scales.keys() - known.keys():
        raise UserError(f"guidance: this network has scales of {', '.join(known)}")
    return {name: float(scale) for name, scale in scales.items()}


def _drawing(library: Library, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The guide that is asked for, and how it draws."""
    guide, top_p, temperature = (asked.get(name) for name in ("guide", "top_p", "temperature"))
    known = [choice.name for choice in library.the_studio().settings.guides]
    if guide is not None and guide not in known:
        raise UserError(f"guide: expected one of {', '.join(known)}" if known else "guide: there is none")
    if top_p is not None and not (is_weight(top_p) and 0 < top_p <= 1):
        raise UserError("top_p: expected a number above 0, up to 1")
    if temperature is not None and not (is_weight(temperature) and temperature >= 0):
        raise UserError(f"temperature: expected a number from 0 to {MOST_WEIGHT}")
    numbers = {"top_p": top_p, "temperature": temperature}
    return {"guide": guide, **{name: None if value is None else float(value) for name, value in numbers.items()}}


def _partner(library: Library, item: ShotView, number: Any) -> Path | None:
    """The file of the other person: the sound of the shot of a number; without one what was recorded with this shot."""
    hears = library.the_studio().settings.hears_partner
    if number is None:
        return item.partner.path if item.partner is not None and item.partner.path != item.sound and hears else None
    other = shot_of(library, number)
    if not hears:
        raise UserError("partner: this network hears the actor alone; train it on conversations")
    if other.sound is None:
        raise UserError(f"partner: {other.name} has no sound")
    return other.sound


def _other_side(library: Library, shot: Any, partner: Any, actor: str) -> dict[str, Any]:
    """That both sides are made, the other one as whom that voice belongs to if the network knows it."""
    studio = library.the_studio()
    if not studio.settings.hears_partner:
        raise UserError("both: this network hears the actor alone; train it on conversations")
    if partner is None and library.partner(shot) is None:
        raise UserError(f"both: {library.shots[shot].name} has no partner; choose one under Conversation")
    other = partner is None or library.hears_other(partner, [known.name for known in library.actors].index(actor))
    spoken = shot if partner is None else partner
    who = library.other(spoken) if other else library.shots[spoken]
    known = who is not None and who.truth is not None and who.actor in studio.parts
    return {"both": True, "partner_actor": who.actor if who is not None and known else None}


def _actor(library: Library, name: Any) -> str:
    known = library.the_studio().parts
    if not isinstance(name, str) or name not in known:
        raise UserError(f"actor: expected one of {', '.join(known)}")
    return name


def _take(library: Library, base: Any) -> tuple[str, Path, tuple[Path, ...]]:
    """The actor of a take, its file, and those that are shown with it."""
    numbers = base if isinstance(base, list) and [type(n) for n in base] == [int, int] else [0, 0]
    request = library.the_studio().request(numbers[0])
    if request is None or not 0 <= numbers[1] < len(request.takes):
        raise UserError("there is no such take")
    return request.wish.actor, request.takes[numbers[1]].file, request.wish.beside


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
