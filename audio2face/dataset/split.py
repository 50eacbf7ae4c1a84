"""Which shots are kept from training, to measure on: VALIDATION_CLIPS in all its forms."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from audio2face.listing import natural_key
from audio2face.problems import UserError, raise_problems
from audio2face.types import Shot

Key = tuple[str, str]  # actor, shot
FEW = 5  # of fewer shots a small share is none
NOTHING_HELD_OUT = (
    "VALIDATION_CLIPS holds nothing out: every shot is trained on, and run_evaluate.py measures on new recordings "
    "(--data FOLDER), or on what was trained on (--shots); to keep a tenth of the shots for it, set VALIDATION_CLIPS = 0.1 in config_train.py before training"
)


def split_rows(
    choice: Any,
    clips: Sequence[Any],
    template: Sequence[Any],
    shots: Sequence[Shot],
    muted: Sequence[Any],
    needed: Iterable[Key] = (),
    key: str = "VALIDATION_CLIPS",
) -> tuple[list[Any], list[Any]]:
    """Rows to train on and rows to measure on, given VALIDATION_CLIPS, CLIPS, a preprocessing run's clips and AUG_MUTED_SHOTS.

    No shot is on both sides, whatever its ranges and voices. A share is drawn from what would be trained on, and leaves
    out shots whose poses muted clips hold and those that are `needed`. Rows to measure on are those of VALIDATION_CLIPS, else of CLIPS, else of the
    preprocessing run. Raises UserError for what names no shot, under the name `key`.
    """
    rows = list(clips) or list(template)
    if not choice:
        return rows, []
    if isinstance(choice, float):
        drawn_from = {_key(row) for row in rows} - {(row[0], row[1][0]) for row in muted} - set(needed)
        shots = [shot for shot in shots if (shot.actor, shot.name) in drawn_from]
    held = held_out_shots(choice, shots, key)
    measured = []
    for shot in sorted(held, key=lambda shot: (shot[0], natural_key(shot[1]))):
        sources = ([row for row in source if _key(row) == shot] for source in (clip_rows(choice), rows, template))
        measured += next((found for found in sources if found), [])
    return [row for row in rows if _key(row) not in held], measured


def held_out_shots(choice: Any, shots: Iterable[Shot], key: str = "VALIDATION_CLIPS") -> set[Key]:
    """The (actor, shot) that VALIDATION_CLIPS names.

    `choice` is a share of the shots (0 to 1, drawn evenly from each actor's emotions and the same every time; what rounds
    to no shot is one of FEW or more, else none), a pattern of shot names (`*_07_*`), or a list of patterns and clip rows. Raises UserError for what names no shot.
    """
    known = list(shots)
    if isinstance(choice, float):
        return _share(choice, known)
    found: set[Key] = set()
    problems: list[str] = []
    for index, entry in enumerate([choice] if isinstance(choice, str) else choice):
        if isinstance(entry, str):
            matching = {(s.actor, s.name) for s in known if fnmatchcase(s.name, entry)}
            near = difflib.get_close_matches(entry, [shot.name for shot in known], n=1)
            what = f"no shot is called {entry!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
        else:
            matching = {_key(entry)} & {(s.actor, s.name) for s in known}
            what = f"actor {entry[0]!r} has no shot {entry[1]!r}"
        if not matching:
            where = f"{key}[{index}]: {what} in the preprocessing run(s)" if key.isupper() else f"{key}: {what}"
            problems.append(where)
        found |= matching
    raise_problems(problems)
    return found


def example_shot(rows: Sequence[Any], muted: Sequence[Any], needed: Iterable[Key] = ()) -> str:
    """A shot that VALIDATION_CLIPS might name: the last one whose poses nothing else needs, else the last."""
    held = {(row[0], row[1][0]) for row in muted} | set(needed)
    free = [row[1] for row in rows if _key(row) not in held]
    return (free or [row[1] for row in rows])[-1]


def source_shots(config: Mapping[str, Any], actors: Iterable[str]) -> list[Key]:
    """The (actor, source_shot) that an inference CONFIG names: the deployed model needs them among the trained shots."""
    found = ((actor, {**config, **(config.get(actor) or {})}.get("source_shot")) for actor in actors)
    return [(actor, shot) for actor, shot in found if shot is not None]


def clip_rows(choice: Any) -> list[Any]:
    """The clip rows among the entries of VALIDATION_CLIPS."""
    return [] if isinstance(choice, str | float) else [entry for entry in choice if not isinstance(entry, str)]


def _key(row: Any) -> Key:
    return row[0], row[1]


def _share(share: float, shots: Sequence[Shot]) -> set[Key]:
    """About `share` of the shots, each actor's emotions in proportion (largest remainders), no actor's only shot."""
    groups: dict[Key, list[Shot]] = {}
    actors = [shot.actor for shot in shots]
    for shot in shots:
        if actors.count(shot.actor) > 1 or len(set(actors)) == 1:
            groups.setdefault((shot.actor, shot.emotion), []).append(shot)
    total = round(share * len(shots)) or int(len(shots) >= FEW)
    if not total:
        return set()
    if total >= len(shots):
        raise UserError(f"VALIDATION_CLIPS = {share}: holds out all {len(shots)} shot(s); nothing is left to train on")
    quota = {key: share * len(group) for key, group in groups.items()}
    counts = {key: int(value) for key, value in quota.items()}
    by_remainder = sorted(groups, key=lambda key: (counts[key] - quota[key], -len(groups[key]), key))
    for key in by_remainder[: total - sum(counts.values())]:
        counts[key] += 1
    drawn: set[Key] = set()
    for key, group in groups.items():
        order = sorted(group, key=lambda s: hashlib.sha1(f"{s.actor}/{s.name}".encode()).hexdigest())
        drawn |= {(s.actor, s.name) for s in order[: counts[key]]}
    return drawn
