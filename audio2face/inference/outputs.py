"""An animated face in the formats of other programs: what each one needs, and how a face becomes it. No PyTorch here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.face.curves import CurveGroup
from audio2face.face.topology import Topology
from audio2face.formats.animation_json import JsonAnimation, write_animation_json
from audio2face.formats.arkit_csv import arkit_columns, write_arkit_csv
from audio2face.formats.gltf import write_gltf
from audio2face.formats.scene import MorphMesh, PointMesh
from audio2face.formats.sound import write_sound
from audio2face.formats.usd import require_usd, write_usd_blendshapes, write_usd_points
from audio2face.geometry.motion_shapes import clip_shapes
from audio2face.postprocess.rig import BlendshapeRig, pose_names
from audio2face.problems import UserError
from audio2face.types import FaceAnimation

logger = logging.getLogger(__name__)

GLTF_TOLERANCE = 5e-4  # largest error of a vertex, as a share of the mesh's size
PICTURE_SIZE = (512, 512)
COLOURS = {"skin": (0.84, 0.68, 0.59), "tongue": (0.64, 0.30, 0.30)}  # sRGB
MESHES = ("skin", "tongue")
NO_TRAINING = "no training is needed; a deployed model is deployed again"
Sound = tuple[np.ndarray, int]


@dataclass(frozen=True)
class FaceFiles:
    """What is known of a face beside its motion: faces of the meshes, blendshapes by mesh, what groups of curves are, and
    whether there is a face mesh at all."""

    topology: Topology = field(default_factory=Topology)
    rigs: Mapping[str, BlendshapeRig] = field(default_factory=dict)
    curves: Mapping[str, CurveGroup] = field(default_factory=dict)
    has_mesh: bool = True


@dataclass(frozen=True)
class Clip:
    """An animation to be exported, with its sound (samples (N,) or (N, C), rate) when there is one."""

    animation: FaceAnimation
    face: FaceFiles
    sound: Sound | None = None

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """{pose: weights (T,)} of skin, then tongue; solved on the animation's positions."""
        tables = [rig.weights(self.animation.channels[mesh]) for mesh, rig in sorted(self.face.rigs.items())]
        if not tables:
            return {}
        return dict(zip(pose_names(self.face.rigs), np.concatenate(tables, axis=1).T, strict=True))

    @property
    def eyes(self) -> np.ndarray:
        """(T, 6) degrees: right X, Y, Z, left X, Y, Z."""
        eyes = np.asarray(self.animation.channels["eye"])
        if eyes.shape[1] == 6:
            return eyes
        return np.insert(eyes, [2, 4], 0, axis=1)

    def meshes(self) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """(name, frames, triangles) of every mesh with known faces."""
        faces = {"skin": self.face.topology.skin, "tongue": self.face.topology.tongue}
        return [(m, self.animation.channels[m], t) for m, t in faces.items() if t is not None]

    def rig_meshes(self) -> list[MorphMesh]:
        """Every mesh with known faces and blendshapes, driven by their weights."""
        weights, first, found = list(self.weights.items()), 0, []
        faces = {"skin": self.face.topology.skin, "tongue": self.face.topology.tongue}
        for mesh in MESHES:
            rig = self.face.rigs.get(mesh)
            if rig is None:
                continue
            part = weights[first : first + len(rig.names)]
            first += len(rig.names)
            triangles = faces[mesh]
            if triangles is not None:
                table, names = np.stack([w for _, w in part], axis=1), tuple(n for n, _ in part)
                found.append(MorphMesh(mesh, rig.neutral, triangles, rig.deltas, names, table))
        return found


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


def _write_gltf(stem: Path, clip: Clip) -> list[Path]:
    paths = [_beside(stem, ".glb")]
    meshes = []
    for name, frames, triangles in clip.meshes():
        rest = np.asarray(frames[0], np.float32)
        size = float(np.linalg.norm(np.ptp(rest, axis=0)))
        shapes, weights, error = clip_shapes(frames, rest, GLTF_TOLERANCE * size)
        logger.info(
            "%s: %s in %d shapes, largest error %.2g of its size", paths[0].name, name, len(shapes), error / size
        )
        names = tuple(f"motion_{k}" for k in range(len(shapes)))
        meshes.append(MorphMesh(name, rest, triangles, shapes, names, weights))
    fps, units = clip.animation.fps, clip.face.topology.units_per_metre
    write_gltf(paths[0], meshes, fps, units)
    if rigged := clip.rig_meshes():
        paths.append(_beside(stem, "_blendshapes.glb"))
        write_gltf(paths[1], rigged, fps, units)
    return paths


def _write_usd(stem: Path, clip: Clip) -> list[Path]:
    paths = [_beside(stem, ".usdc")]
    sound = None
    if clip.sound is not None:
        paths.append(_beside(stem, "_sound.wav"))
        write_sound(paths[-1], *clip.sound)
        sound = paths[-1].name
    fps, units = clip.animation.fps, clip.face.topology.units_per_metre
    write_usd_points(paths[0], [PointMesh(*mesh) for mesh in clip.meshes()], fps, units, sound)
    if rigged := clip.rig_meshes():
        paths.append(_beside(stem, "_blendshapes.usdc"))
        write_usd_blendshapes(paths[-1], rigged, fps, units, sound)
    return paths


def _write_arkit_csv(stem: Path, clip: Clip) -> list[Path]:
    path = _beside(stem, ".csv")
    write_arkit_csv(path, clip.weights, clip.animation.fps, clip.eyes)
    return [path]


def _write_json(stem: Path, clip: Clip) -> list[Path]:
    path = _beside(stem, ".json")
    channels = clip.animation.channels
    write_animation_json(path, JsonAnimation(clip.animation.fps, channels["jaw"], channels["eye"], clip.weights))
    return [path]


def _write_mp4(stem: Path, clip: Clip) -> list[Path]:
    from audio2face.render import Mesh, auto_camera, fill_openings, render_animation, write_video

    meshes = clip.meshes()
    drawn = [Mesh(triangles, np.array(COLOURS[name])) for name, _, triangles in meshes]
    moving: list[Any] = [frames for _, frames, _ in meshes]
    camera = auto_camera(np.concatenate([frames[0] for frames in moving]), PICTURE_SIZE)
    for name, frames, triangles in meshes:
        if name == "skin":
            filling = fill_openings(triangles, frames)
            drawn += filling.meshes
            moving += filling.follow(frames, clip.eyes.reshape(len(frames), 2, 3))
    pictures = render_animation(drawn, moving, camera=camera)
    path = _beside(stem, ".mp4")
    write_video(path, pictures, clip.animation.fps, clip.sound)
    return [path]


def _require_video() -> None:
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError("mp4 needs the package 'av': pip install -e '.[video]'") from error


@dataclass(frozen=True)
class Exporter:
    """One format: how to write it, which package it needs, and whether it needs faces, blendshapes or the sound."""

    write: Callable[[Path, Clip], list[Path]]
    faces: bool = False
    blendshapes: bool = False
    sound: bool = False
    weights: bool = False
    require: Callable[[], None] | None = None


EXPORTERS: dict[str, Exporter] = {
    "arkit_csv": Exporter(_write_arkit_csv, blendshapes=True, weights=True),
    "json": Exporter(_write_json, weights=True),
    "usd": Exporter(_write_usd, faces=True, sound=True, weights=True, require=require_usd),
    "gltf": Exporter(_write_gltf, faces=True, weights=True),
    "mp4": Exporter(_write_mp4, faces=True, sound=True, require=_require_video),
}


def wants(formats: Sequence[str], what: str) -> bool:
    """Whether any of the formats uses "weights" or "sound", for what is costly to get."""
    return any(getattr(EXPORTERS[name], what) for name in formats if name in EXPORTERS)


def check_exports(formats: Sequence[str], face: FaceFiles, where: str) -> None:
    """Raises UserError listing every format that cannot be written, and what it needs. `where` names the face's owner."""
    problems = []
    for name in formats:
        exporter = EXPORTERS.get(name)
        if exporter is None:
            continue
        if exporter.faces and face.topology.skin is None:
            problems.append(
                f"{name} needs the faces of the skin mesh, which {where} does not have: set SKIN_TRIANGLES_FPATH in "
                f"config_dataset.py ({NO_TRAINING})"
            )
        if exporter.blendshapes and "skin" not in face.rigs:
            problems.append(
                f"{name} needs blendshapes of the skin, which {where} does not have: set BLENDSHAPE_SKIN_FPATH and "
                f"BLENDSHAPE_SKIN_CONFIG_FPATH in config_dataset.py ({NO_TRAINING})"
            )
        elif name == "arkit_csv" and not arkit_columns(pose_names(face.rigs)):
            problems.append(f"{name} needs blendshapes with ARKit's names, such as jawOpen; {where} has none of them")
        if exporter.require is not None:
            try:
                exporter.require()
            except UserError as error:
                problems += error.lines
    if problems:
        raise UserError(problems)
