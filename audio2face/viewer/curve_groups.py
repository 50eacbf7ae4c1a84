"""An actor's groups of curves as the page shows them: weights and the head's turn on the built-in head, a body beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.dataset.curve_files import CurveSource
from audio2face.dataset.curves import at_frames, build_groups, curve_lengths, read_tables
from audio2face.face import skeleton
from audio2face.face.body_skin import BoundBody, bind
from audio2face.face.curves import CurveGroup
from audio2face.formats.body_mesh import BodyMesh
from audio2face.formats.curve_table import CurveTable, read_curve_table
from audio2face.formats.npy import read_npy
from audio2face.listing import natural_order
from audio2face.problems import STRUCTURE, Problems
from audio2face.render.curves_film import figure_parts
from audio2face.render.head import builtin_head, head_weights, pose_head
from audio2face.render.head_curves import HeadCurves, find_head_curves
from audio2face.types import Shot, Skeleton
from audio2face.viewer.actors import Actor
from audio2face.viewer.curve_files import curve_files_track, is_body
from audio2face.viewer.heads import curves_track, figure_actor, figure_place, head_actor, place_figure
from audio2face.viewer.tracks import AnimationStream

SKELETONS = ".bvh"


@dataclass(frozen=True)
class ShownGroups:
    """What of the groups of an actor can be seen; of several skeletons the first, with a `mesh` on it if there is one that fits."""

    groups: Mapping[str, CurveGroup]
    mesh: BodyMesh | None = None

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
        bones = None if self.moved is None else skeleton.bones(self.moved)
        mesh = None if self.bound is None else self.bound.mesh
        if self.has_head:
            return head_actor(name, bones, mesh)
        return Actor(name) if bones is None else figure_actor(name, bones, mesh)

    @property
    def moved(self) -> Skeleton | None:
        """The skeleton."""
        return None if self.body is None else self.groups[self.body].skeleton

    @cached_property
    def bound(self) -> BoundBody | None:
        """The mesh on the skeleton; None where one is missing, or their names differ."""
        return None if self.mesh is None or self.moved is None else bind(self.mesh, self.moved)

    def figure(self, curves: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The joints (T, J, 3) of `curves` {group: raw values (T, D)}, with a mesh also how they turn, as `curves_track` takes
        them; nothing without a skeleton."""
        if self.body is None or self.body not in curves or self.moved is None:
            return {}
        found = figure_parts(self.moved, curves[self.body], self.mesh)
        del found["bones"]
        return found | {"joints": found["joints"].astype(np.float32)}

    def track(self, curves: Mapping[str, np.ndarray], fps: float, start_s: float) -> AnimationStream:
        """`curves` {group: raw values (T, D)} as one animation. Raises ValueError when there is nothing to show."""
        there = ShownGroups({name: self.groups[name] for name in self.groups if name in curves}, self.mesh)
        weights = there.head.weights(curves, len(next(iter(curves.values())))) if there.head.names else None
        turns = there.head.turns(curves)
        return curves_track(fps, weights, there.head.names, turns, start_s=start_s, **there.figure(curves))

    def points(self) -> dict[str, int]:
        """The page's channels, and how many points each has."""
        head = {"skin": len(builtin_head().vertices)} if self.has_head else {}
        figure = {} if self.moved is None else {"figure": len(self.moved.joints)}
        return head | figure | ({} if self.bound is None else {"body": len(self.bound.mesh.vertices)})

    def frames(self, curves: Mapping[str, np.ndarray], first: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The channels (n, points, 3) of a piece of an animation whose `first` frame is given as well (1, D)."""
        count, found = len(next(iter(curves.values()))), {}
        if self.has_head:
            weights = head_weights(self.head.weights(curves, count), self.head.names)
            found["skin"] = pose_head(weights, self.head.turns(curves))
        figure, start = self.figure(curves), self.figure(first)
        if not figure or not start:
            return found
        joints, rest = figure["joints"], start["joints"][0]
        if self.bound is None:
            return found | {"figure": place_figure(joints, rest, self.has_head)}
        stands = figure_place(rest, self.has_head)
        skin = np.stack([self.bound.posed(*pose) for pose in zip(figure["turns"], joints, strict=True)])
        return found | {"figure": stands(joints), "body": stands(skin)}


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
    sources: Mapping[str, CurveSource], shown: ShownGroups, shot: str, fps: float, audio_offset: int
) -> AnimationStream:
    """A captured shot at `fps`. Frame i sounds at (i + offset + ½) / fps. Raises UserError when it cannot be read."""
    problems = Problems(rule=STRUCTURE)
    tables, _ = read_tables(problems, sources, [shot])
    frames = curve_lengths(problems, sources, fps, tables).get(shot, 0)
    about, curves = Shot("", shot, frames, fps, ""), {}
    for name, group in shown.groups.items():
        table = tables.get(name, {}).get(shot)
        if table is not None:
            curves[name] = group.decode(at_frames(problems, group, sources[name], about, table).values)
    problems.raise_errors()
    if not curves:
        raise ValueError("no group of curves has this shot")
    return shown.track(curves, fps, (audio_offset + 0.5) / fps)


def find_group_files(folder: Path, groups: Mapping[str, CurveGroup]) -> dict[str, dict[str, Path]]:
    """{name of an animation: {group: its `<name>_<group>.npy`}} of what inference wrote to a folder."""
    found: dict[str, dict[str, Path]] = {}
    for path in natural_order(folder.glob("*.npy")):
        group = next((g for g in sorted(groups, key=len, reverse=True) if path.stem.endswith(f"_{g}")), None)
        if group is not None:
            found.setdefault(path.stem.removesuffix(f"_{group}"), {})[group] = path
    return found


def table_track(paths: Sequence[Path], shown: ShownGroups, fps: float) -> AnimationStream:
    """The files of an animation that inference or an edit wrote: a table with the columns of a skeleton moves it, else as
    `curve_files_track`. Raises ValueError for files that are damaged or show nothing."""
    first = next((path for path in paths if path.suffix.lower() == ".npz"), None)
    if first is not None and shown.body is not None and not any(map(is_body, paths)):
        table = read_curve_table(first)
        places = {name: place for place, name in enumerate(table.names)}
        whole = [name for name, group in shown.groups.items() if places.keys() >= set(group.names)]
        if shown.body in whole:
            curves = {name: table.values[:, [places[c] for c in shown.groups[name].names]] for name in whole}
            return shown.track(curves, table.fps or fps, 0.5 / (table.fps or fps))
    return curve_files_track(paths, fps, shown.mesh)


def group_files_track(files: Mapping[str, Path], shown: ShownGroups, fps: float) -> AnimationStream:
    """Arrays of raw values (T, D) that inference wrote. Raises ValueError for files that are damaged or do not fit."""
    curves = {group: read_npy(path) for group, path in files.items()}
    for group, values in curves.items():
        wanted = len(shown.groups[group].names)
        if values.ndim != 2 or values.shape[1] != wanted or not len(values):
            raise ValueError(
                f"{files[group]}: expected (frames, {wanted}) as group {group!r} has, found {values.shape}"
            )
    return shown.track(curves, fps, 0.5 / fps)
