"""Animations that are edited: read from the files of other programs, and written back as they were but for what is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from audio2face.face.curves import CurveGroup
from audio2face.formats import ANIMATION_READERS, read_animation
from audio2face.formats.maya_cache import write_maya_cache
from audio2face.formats.npy import write_npy
from audio2face.formats.point_cache import write_point_cache
from audio2face.inference.edit.request import Edit
from audio2face.inference.edit.rigged import GROUP, RiggedFile, rig_group
from audio2face.inference.edit.scenes import SCENES, read_scene
from audio2face.inference.edit.skin import Skin, check_place
from audio2face.inference.edit.tables import TABLES, read_table
from audio2face.problems import UserError


class EditFile(Protocol):
    """`channels` {"skin": (T, V, 3)} or {group: raw values (T, D)}, `valid` {group: (T, D)}; `fps` None: not known."""

    @property
    def path(self) -> Path: ...

    @property
    def fps(self) -> float | None: ...

    @property
    def first_frame(self) -> int: ...

    @property
    def channels(self) -> dict[str, np.ndarray]: ...

    @property
    def valid(self) -> dict[str, np.ndarray]: ...

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], edit: Edit) -> Path:
        """Write the animation with `channels` in the place of its own where frames are not kept; returns the file."""


@dataclass
class MeshFile:
    """A Maya cache, .pc2 or .npy of the skin; one that does not tell its rate has `rate`."""

    path: Path
    fps: float | None
    first_frame: int
    channels: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    mesh: str = "head_meshShape"
    rate: float = 30.0

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], edit: Edit) -> Path:
        path = stem.with_name(stem.name + self.path.suffix.lower())
        frames = self.channels["skin"].copy()
        frames[edit.free] = channels["skin"][edit.free]
        if path.suffix == ".npy":
            write_npy(path, frames)
        elif path.suffix == ".pc2":
            write_point_cache(path, frames, self.first_frame)
        else:
            write_maya_cache(path, frames, self.fps or self.rate, self.mesh, self.first_frame)
        return path


def read_edit_file(path: Path, groups: Mapping[str, CurveGroup], skin: Skin | None, fps: float) -> EditFile:
    """Open an animation of a model with these groups, and this skin (None: no skin); `fps` of files that do not tell theirs.

    Raises UserError when the file is none, has another topology, or holds nothing that the model gives.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"EDIT/file {path}: no such file")
    try:
        if suffix in (*TABLES, *SCENES):
            found = _read_curves(path, groups, skin, fps)
        elif suffix in ANIMATION_READERS:
            found = _read_mesh(path, skin, fps)
        else:
            known = ", ".join((*ANIMATION_READERS, *TABLES, *SCENES))
            raise UserError(f"EDIT/file {path}: expected one of {known}; export it in one of these")
    except ValueError as error:
        raise UserError(f"EDIT/file: {error}") from error
    return found


def num_frames(file: EditFile) -> int:
    """Frames of an animation."""
    return len(next(iter(file.channels.values())))


def _read_curves(path: Path, groups: Mapping[str, CurveGroup], skin: Skin | None, fps: float) -> EditFile:
    """A table or a scene; one with weights of the actor's blendshapes alone moves the skin by them."""

    def read(groups: Mapping[str, CurveGroup], skin: Skin | None) -> EditFile:
        return read_table(path, groups) if path.suffix.lower() in TABLES else read_scene(path, groups, skin, fps)

    try:
        return read(groups, skin)
    except UserError:
        if skin is None or skin.rig is None:
            raise
        return RiggedFile(read({GROUP: rig_group(skin.rig)}, None), skin.rig)


def _read_mesh(path: Path, skin: Skin | None, fps: float) -> MeshFile:
    if skin is None:
        raise UserError(f"EDIT/file {path}: a mesh, and the model gives no skin")
    animation = read_animation(path)
    if animation.frames.shape[1] != len(skin.mean):
        raise UserError(
            f"EDIT/file {path}: {animation.frames.shape[1]} vertices, the model's skin has {len(skin.mean)}: another topology"
        )
    frames = animation.block()
    check_place(path, frames, skin)
    return MeshFile(path, animation.fps, int(animation.start_frame), {"skin": frames}, {}, rate=fps)
