"""Matches a rig's shapes to ARKit's curves, and builds the 52 poses from them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audio2face.formats.arkit_names import CURVES, arkit_name, plain_name
from audio2face.formats.scene import MorphMesh

NameMap = Mapping[str, str | Sequence[str] | Mapping[str, float]]


@dataclass(frozen=True)
class ArkitPoses:
    """`deltas` (P, V, 3) float32 for the curves `names` (P) that the rig answers to, in ARKit's order."""

    names: tuple[str, ...]
    deltas: np.ndarray

    def positions(self, rest: np.ndarray, curves: np.ndarray) -> np.ndarray:
        """Frames (T, V, 3) float32 of rest (V, 3) moved by all 52 curves (T, 52)."""
        weights = np.asarray(curves, np.float32)[:, [CURVES.index(name) for name in self.names]]
        moved = weights @ self.deltas.reshape(len(self.names), -1)
        return moved.reshape(len(weights), *rest.shape) + rest

    def sum(self, *names: str) -> np.ndarray | None:
        """The poses (V, 3) of `names` together, or None when one of them is lacking."""
        if not set(names) <= set(self.names):
            return None
        return self.deltas[[self.names.index(name) for name in names]].sum(axis=0)


@dataclass(frozen=True)
class Match:
    """`shapes` {curve: {shape: factor}}; `missing` curves without a shape; `unused` shapes; `problems` of the map."""

    shapes: dict[str, dict[str, float]]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    problems: tuple[str, ...]


def match_names(shapes: Sequence[str], given: NameMap | None = None) -> Match:
    """Find the shapes of every curve, whatever the writing: jawOpen, JawOpen, jaw_open, bs.jawOpen, eyeBlink_L.

    A curve that the rig splits (browInnerUp_L, browInnerUp_R) moves both parts. `given` {curve: shape, [shapes] or
    {shape: factor}} goes first.
    """
    found: dict[str, dict[str, float]] = {}
    problems = []
    for curve, target in (given or {}).items():
        name = arkit_name(curve)
        if name is None:
            problems.append(f"{curve!r} is not an ARKit curve{_like(curve, CURVES)}")
            continue
        wanted = {target: 1.0} if isinstance(target, str) else target
        parts = dict(wanted) if isinstance(wanted, Mapping) else dict.fromkeys(wanted, 1.0)
        problems += [f"{curve}: the rig has no shape {s!r}{_like(s, shapes)}" for s in parts if s not in shapes]
        found[name] = {shape: float(factor) for shape, factor in parts.items()}
    taken = {shape for parts in found.values() for shape in parts}
    mapped = set(found)
    for shape in shapes:
        name = _curve(shape)
        if name is None or name in mapped or shape in taken:
            continue
        before = next((s for s in found.get(name, {}) if plain_name(s) == plain_name(shape)), None)
        if before is not None:
            problems.append(f"shapes {before!r} and {shape!r} both match {name}; choose one in the map (--map)")
            continue
        found.setdefault(name, {})[shape] = 1.0
    used = {shape for parts in found.values() for shape in parts}
    return Match(
        found,
        tuple(name for name in CURVES if name not in found),
        tuple(shape for shape in shapes if shape not in used),
        tuple(problems),
    )


def arkit_poses(mesh: MorphMesh, match: Match) -> ArkitPoses:
    """The poses of a mesh by a match of its shapes' names; shapes that it lacks add nothing."""
    place = {name: k for k, name in enumerate(mesh.target_names)}
    names, deltas = [], []
    for curve in CURVES:
        parts = {s: f for s, f in match.shapes.get(curve, {}).items() if s in place}
        if parts:
            names.append(curve)
            deltas.append(sum(f * mesh.targets[place[s]] for s, f in parts.items()))
    stacked = np.stack(deltas) if deltas else np.zeros((0, *mesh.rest.shape))
    return ArkitPoses(tuple(names), stacked.astype(np.float32))


def suggestions(curves: Sequence[str], unused: Sequence[str]) -> list[str]:
    """A line for each curve without a shape, with the unused shape of the most similar name."""
    return [f"{curve}{_like(curve, unused)}" for curve in curves]


def _curve(shape: str) -> str | None:
    """The curve that a shape is named after, or one of whose sides it is."""
    plain = plain_name(shape)
    halves = (plain.removesuffix(side) for side in ("", "left", "right") if plain.endswith(side))
    return next((name for half in halves if (name := arkit_name(half))), None)


def _like(name: str, known: Sequence[str]) -> str:
    plain = {plain_name(k): k for k in known}
    near = difflib.get_close_matches(plain_name(name), list(plain), 1, 0.6)
    return f" (like {plain[near[0]]!r}?)" if near else ""
