"""What the columns of a table of curves are, by their names and ranges: weights, turns of head and eyes, places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audio2face.face.curves import FORM_SIZES, Block
from audio2face.formats.arkit_names import CURVES, arkit_name
from audio2face.formats.curve_table import CurveTable

EULER = "YXZ"  # of yaw, pitch, roll: how Live Link Face, Unity and most trackers turn a head
TURNS = {"yaw": "Y", "pitch": "X", "roll": "Z"}
TURNING = {
    "rotation",
    "rotate",
    "rotations",
    "rot",
    "euler",
    "angle",
    "angles",
    "r",
    "quat",
    "quaternion",
    "q",
    "orientation",
}
PLACING = {"translation", "translate", "trans", "position", "pos", "location", "loc", "root", "t"}
HEADS = {"head", "face", "headpose", "pose"}
WEIGHT_GROUPS, HEAD_GROUPS, EYE_GROUPS = ("arkit", "face", "blendshapes"), ("head",), ("eyes", "eye", "gaze")
NEUTRAL = "_neutral"  # MediaPipe's first column, which says nothing
HIGHEST_WEIGHT = 2.0  # of weights in 0 to 1: calibrated ones exceed 1
PERCENT = 105.0


@dataclass(frozen=True)
class _Axis:
    """A column that is one axis of something: of which (`body`: "head", "eye left", …), its letter, its unit if named.

    `kind` is "turn" of yaw, pitch and roll, "turns" of a rotation's x, y, z (and w), "place" of a position's x, y, z.
    """

    kind: str
    body: str
    letter: str
    unit: str = ""


def guess_blocks(
    names: Sequence[str],
    values: np.ndarray | None = None,
    valid: np.ndarray | None = None,
    kind: Mapping[str, Any] | None = None,
) -> tuple[Block, ...]:
    """What columns are, by names and the values (T, D) under them: every one is in one block, in order of the blocks' first.

    ARKit's names are weights of 0 to 1. Yaw, pitch and roll of one thing are a rotation, in degrees if any angle of the table
    exceeds a whole turn in radians; x, y, z of a position a translation; x, y, z, w of a rotation a quaternion; the rest plain.
    `kind` {"kind": …, "form", "unit", "low", "high"} says instead what all of them are. Raises ValueError when it cannot be.
    """
    axes = [None if arkit_name(name) else _axis(name) for name in names]
    turns = [i for i, axis in enumerate(axes) if kind or (axis and axis.kind != "place")]
    peak = 0.0
    if values is not None:
        there = values[:, turns] if valid is None else values[:, turns][valid[:, turns]]
        peak = float(np.abs(there).max(initial=0.0))
    unit = "degrees" if peak > 2 * np.pi else "radians"
    if kind:
        return _as_told(names, axes, kind, unit)
    found: dict[int, Block] = {}
    weights = [i for i, name in enumerate(names) if arkit_name(name)]
    if weights:
        found[weights[0]] = Block("weights", tuple(names[i] for i in weights), low=0.0, high=1.0)
    rest = set(range(len(names))) - set(weights)
    for places in _bodies(axes):
        for block in _of_body(names, axes, places, unit):
            found[names.index(block.names[0])] = block
            rest -= {names.index(name) for name in block.names}
    if rest:
        found[min(rest)] = Block("plain", tuple(names[i] for i in sorted(rest)))
    return tuple(found[i] for i in sorted(found))


def canonical_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Names in a fixed order: when most are ARKit's, all 52 of these and then the others; yaw, pitch, roll of a thing in this one."""
    own = [arkit_name(name) for name in names]
    most = sum(name is not None for name in own) > len(names) / 2
    rest = [name for name, arkit in zip(names, own, strict=True) if not (most and arkit)]
    axes = [None if arkit_name(name) else _axis(name) for name in rest]
    order = list(range(len(rest)))
    for places in _bodies(axes):
        if triple := _triple(axes, places, EULER):
            for place, column in zip(sorted(triple), triple, strict=True):
                order[place] = column
    return (*(CURVES if most else ()), *(rest[i] for i in order))


def choose_columns(table: CurveTable, group: str, shared: bool) -> CurveTable:
    """The columns that a group of this name means: "arkit" and "face" the weights, "head" and "eyes" what these do.

    Only of a table of several such things, or (`shared`) of files that several groups read, which may leave none; else all.
    """
    wanted = next((kind for kind, known in _GROUPS.items() if group.lower() in known), None)
    kinds = [_thing(name) for name in table.names]
    mixed = len({kind for kind in kinds if kind}) > 1 or NEUTRAL in table.names
    if wanted is None or not (shared or (mixed and wanted in kinds)):
        return table
    places = [i for i, kind in enumerate(kinds) if kind == wanted]
    names = tuple(table.names[i] for i in places)
    return replace(table, names=names, values=table.values[:, places], valid=table.valid[:, places])


def percent_columns(table: CurveTable) -> tuple[str, ...]:
    """The columns of ARKit's weights when they are percent, 0 to 100, and not 0 to 1; else none."""
    places = [i for i, name in enumerate(table.names) if arkit_name(name)]
    peak = float(np.abs(table.values[:, places]).max(initial=0.0))
    return tuple(table.names[i] for i in places) if HIGHEST_WEIGHT < peak <= PERCENT else ()


_GROUPS = {"weights": WEIGHT_GROUPS, "head": HEAD_GROUPS, "eyes": EYE_GROUPS}


def _thing(name: str) -> str | None:
    """What a column belongs to: "weights", "head", "eyes" or something else."""
    if arkit_name(name):
        return "weights"
    axis = _axis(name)
    if axis is None:
        return None
    words = set(axis.body.split())
    return "eyes" if words & {"eye", "eyes", "gaze"} else "head" if words <= HEADS else None


def _axis(name: str) -> _Axis | None:
    """Which axis of what a column is, by its words: "HeadYaw", "yaw", "head_rotation_x", "tx", "LeftEyePitch_deg"."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    if len(words) == 1:
        words = _parts(words[0])
    unit = {"deg": "degrees", "degrees": "degrees", "rad": "radians", "radians": "radians"}.get((words or [""])[-1], "")
    words = words[:-1] if unit else words
    words = [
        {"l": "left", "r": "right"}.get(word, word) if len(words) > 1 and i else word for i, word in enumerate(words)
    ]
    turn = next((word for word in words if word in TURNS), None)
    if turn:
        body = sorted(set(words) - {turn} - TURNING)
        return _Axis("turn", " ".join(body), TURNS[turn], unit)
    letter = next((word for word in words[-1:] if word in ("x", "y", "z", "w")), None)
    if letter is None:
        return None
    rest = set(words[:-1])
    kind = "turns" if rest & TURNING else "place" if rest & PLACING else ""
    return _Axis(kind, " ".join(sorted(rest - TURNING - PLACING)), letter.upper(), unit) if kind else None


def _parts(word: str) -> list[str]:
    """Words of one that is written together: "headyaw" -> head, yaw; "tx" -> t, x."""
    if match := re.fullmatch(r"(left|right)?(head|eye|neck)?(left|right)?(yaw|pitch|roll)(left|right)?", word):
        return [part for part in match.groups() if part]
    if match := re.fullmatch(r"(t|r|q|pos|rot|trans|position|rotation|translation)([xyzw])", word):
        return list(match.groups())
    return [word]


def _bodies(axes: Sequence[_Axis | None]) -> list[list[int]]:
    """Columns by the thing that they are axes of."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, axis in enumerate(axes):
        if axis is not None:
            found.setdefault((axis.kind, axis.body), []).append(place)
    return list(found.values())


def _triple(axes: Sequence[_Axis | None], places: Sequence[int], letters: str) -> list[int] | None:
    """The columns with these letters, in their order, when each is there once."""
    by_letter = {axis.letter: place for place in places if (axis := axes[place]) is not None}
    named = axes[places[0]]
    turns = named is not None and named.kind == "turn"
    if len(by_letter) != len(places) or set(by_letter) != set(letters) or (letters == EULER and not turns):
        return None
    return [by_letter[letter] for letter in letters]


def _of_body(names: Sequence[str], axes: Sequence[_Axis | None], places: list[int], unit: str) -> list[Block]:
    """The block of the columns of one thing, an angle each when they make no rotation, none when they are plain."""
    first = axes[places[0]]
    assert first is not None
    unit = first.unit or unit
    if euler := _triple(axes, places, EULER):
        return [Block("rotation", tuple(names[i] for i in euler), EULER, unit)]
    if quaternion := _triple(axes, places, "XYZW"):
        return [Block("rotation", tuple(names[i] for i in quaternion), "quaternion")] if first.kind == "turns" else []
    if first.kind == "place":
        place = _triple(axes, places, "XYZ")
        return [Block("translation", tuple(names[i] for i in place))] if place else []
    known = len(places) > 1 or set(first.body.split()) & {"head", "eye", "jaw", "neck"}
    return [Block("angle", (names[i],), unit=unit) for i in places] if known else []


def _as_told(
    names: Sequence[str], axes: Sequence[_Axis | None], told: Mapping[str, Any], unit: str
) -> tuple[Block, ...]:
    kind, form, unit = str(told.get("kind", "")), str(told.get("form") or ""), str(told.get("unit") or unit)
    if kind == "weights":
        low, high = (told.get(key) for key in ("low", "high"))
        return (Block(kind, tuple(names), low=0.0 if low is None else low, high=1.0 if high is None else high),)
    if kind != "rotation":
        return (Block(kind, tuple(names), unit=unit if kind == "angle" else str(told.get("unit") or "")),)
    form = form or _form(names, axes)
    width = FORM_SIZES.get(form, len(form))
    if not width or len(names) % width:
        raise ValueError(
            f"rotations as {form} have {width} columns each, there are {len(names)}: {', '.join(names):.200}"
        )
    blocks = []
    for first in range(0, len(names), width):
        places = list(range(first, first + width))
        if form not in FORM_SIZES and all(axes[i] for i in places):
            letters = {axis.letter: i for i in places if (axis := axes[i]) is not None}
            places = [letters[letter] for letter in form] if set(letters) == set(form) else places
        blocks.append(
            Block("rotation", tuple(names[i] for i in places), form, "" if form in ("quaternion", "matrix") else unit)
        )
    return tuple(blocks)


def _form(names: Sequence[str], axes: Sequence[_Axis | None]) -> str:
    """The form of rotations that nobody named: yaw, pitch, roll; x, y, z, w; or rows of matrices."""
    letters = {axis.letter for axis in axes if axis is not None}
    if all(axis is not None and axis.kind == "turn" for axis in axes) and letters == set(EULER):
        return EULER
    if letters == set("XYZW"):
        return "quaternion"
    if len(names) == FORM_SIZES["matrix"]:
        return "matrix"
    known = f"{', '.join(FORM_SIZES)} or an Euler order such as {EULER}"
    raise ValueError(f"the form of the rotation {', '.join(names):.200} is not clear by its names; add form: {known}")
