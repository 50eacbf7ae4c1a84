"""An actor's groups of curves as the page shows them: weights and the head's turn on the built-in head, a body beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from audio2face.dataset.curve_files import CurveSource
from audio2face.dataset.curves import at_frames, build_groups, curve_lengths, read_tables
from audio2face.face import skeleton
from audio2face.face.curves import CurveGroup
from audio2face.formats.curve_table import CurveTable
from audio2face.formats.npy import read_npy
from audio2face.listing import natural_order
from audio2face.problems import STRUCTURE, Problems
from audio2face.render.head import builtin_head, head_weights, pose_head
from audio2face.render.head_curves import HeadCurves, find_head_curves
from audio2face.types import Shot
from audio2face.viewer.actors import Actor
from audio2face.viewer.heads import curves_track, figure_actor, head_actor, place_figure
from audio2face.viewer.tracks import AnimationStream

SKELETONS = ".bvh"


@dataclass(frozen=True)
class ShownGroups:
    """What of the groups of an actor can be seen; of several skeletons the first."""

    groups: Mapping[str, CurveGroup]

    @cached_property
    def head(self) -> HeadCurves:
        """The weights and the turn of a head."""
        return find_head_curves(self.groups)

    @property
    def has_head(self) -> bool:
        return bool(self.head.names) or self.head.head is not None

    @property
    def body(self) -> str | None:
        """The group that moves a skeleton."""
        return next((name for name, group in self.groups.items() if group.skeleton is not None), None)

    def actor(self, name: str) -> Actor:
        """Who is shown. Groups without anything to see are an actor without meshes."""
        moved = self.groups[self.body].skeleton if self.body is not None else None
        bones = None if moved is None else skeleton.bones(moved)
        if self.has_head:
            return head_actor(name, bones)
        return Actor(name) if bones is None else figure_actor(name, bones)

    def joints(self, curves: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Where the joints are (T, J, 3), None without a skeleton in `curves` {group: raw values (T, D)}."""
        if self.body is None or self.body not in curves:
            return None
        moved = self.groups[self.body].skeleton
        assert moved is not None
        return skeleton.positions(moved, *skeleton.pose_from_values(moved, curves[self.body])).astype(np.float32)

    def track(self, curves: Mapping[str, np.ndarray], fps: float, start_s: float) -> AnimationStream:
        """`curves` {group: raw values (T, D)} as one animation. Raises ValueError when there is nothing to show."""
        there = ShownGroups({name: self.groups[name] for name in self.groups if name in curves})
        weights = there.head.weights(curves, len(next(iter(curves.values())))) if there.head.names else None
        turns, joints = there.head.turns(curves), there.joints(curves)
        return curves_track(fps, weights, there.head.names, turns, joints=joints, start_s=start_s)

    def points(self) -> dict[str, int]:
        """The page's channels, and how many points each has."""
        moved = self.groups[self.body].skeleton if self.body is not None else None
        head = {"skin": len(builtin_head().vertices)} if self.has_head else {}
        return head | ({} if moved is None else {"figure": len(moved.joints)})

    def frames(self, curves: Mapping[str, np.ndarray], first: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The channels (n, points, 3) of a piece of an animation whose `first` frame is given as well (1, D)."""
        count, found = len(next(iter(curves.values()))), {}
        if self.has_head:
            weights = head_weights(self.head.weights(curves, count), self.head.names)
            found["skin"] = pose_head(weights, self.head.turns(curves))
        joints, start = self.joints(curves), self.joints(first)
        if joints is not None and start is not None:
            found["figure"] = place_figure(joints, start[0], self.has_head)
        return found


def captured_groups(sources: Mapping[str, CurveSource]) -> dict[str, CurveGroup]:
    """What the columns of an actor's groups are, by all of its shots (skeletons: by the first). Raises UserError."""
    problems = Problems(rule=STRUCTURE)
    tables: dict[str, dict[str, CurveTable]] = {}
    skeletons: dict[str, CurveGroup] = {}
    for name, source in sources.items():
        shots = source.shots()
        moved = bool(shots) and str(source.file(shots[0])).lower().endswith(SKELETONS)
        # All sources go along: which columns a group means depends on who shares its folder.
        read, found = read_tables(problems, sources if not moved else {name: source}, shots[:1] if moved else shots)
        tables[name], skeletons = read.get(name, {}), skeletons | found
    groups = build_groups(problems, sources, [], tables, skeletons)
    problems.raise_errors()
    return {name: captured.group for name, captured in groups.items()}


def captured_track(
    sources: Mapping[str, CurveSource], groups: Mapping[str, CurveGroup], shot: str, fps: float, audio_offset: int
) -> AnimationStream:
    """A captured shot at `fps`. Frame i sounds at (i + offset + ½) / fps. Raises UserError when it cannot be read."""
    problems = Problems(rule=STRUCTURE)
    tables, _ = read_tables(problems, sources, [shot])
    frames = curve_lengths(problems, sources, fps, tables).get(shot, 0)
    about, curves = Shot("", shot, frames, fps, ""), {}
    for name, group in groups.items():
        table = tables.get(name, {}).get(shot)
        if table is not None:
            curves[name] = group.decode(at_frames(problems, group, sources[name], about, table).values)
    problems.raise_errors()
    if not curves:
        raise ValueError("no group of curves has this shot")
    return ShownGroups(groups).track(curves, fps, (audio_offset + 0.5) / fps)


def find_group_files(folder: Path, groups: Mapping[str, CurveGroup]) -> dict[str, dict[str, Path]]:
    """{name of an animation: {group: its `<name>_<group>.npy`}} of what inference wrote to a folder."""
    found: dict[str, dict[str, Path]] = {}
    for path in natural_order(folder.glob("*.npy")):
        group = next((g for g in sorted(groups, key=len, reverse=True) if path.stem.endswith(f"_{g}")), None)
        if group is not None:
            found.setdefault(path.stem.removesuffix(f"_{group}"), {})[group] = path
    return found


def group_files_track(files: Mapping[str, Path], groups: Mapping[str, CurveGroup], fps: float) -> AnimationStream:
    """Arrays of raw values (T, D) that inference wrote. Raises ValueError for files that are damaged or do not fit."""
    curves = {group: read_npy(path) for group, path in files.items()}
    for group, values in curves.items():
        wanted = len(groups[group].names)
        if values.ndim != 2 or values.shape[1] != wanted or not len(values):
            raise ValueError(
                f"{files[group]}: expected (frames, {wanted}) as group {group!r} has, found {values.shape}"
            )
    return ShownGroups(groups).track(curves, fps, 0.5 / fps)
