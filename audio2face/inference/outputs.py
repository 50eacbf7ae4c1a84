"""An animation in the formats of other programs: what each one needs, and how a face or curves become it. No PyTorch here."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.formats.animation_json import JsonAnimation, JsonCurves, write_animation_json
from audio2face.formats.arkit_csv import arkit_columns, write_arkit_csv
from audio2face.formats.bvh import write_bvh
from audio2face.formats.gltf import write_gltf
from audio2face.formats.json_file import write_json
from audio2face.formats.npy import write_npy, write_npz
from audio2face.formats.scene import MorphMesh, PointMesh
from audio2face.formats.sound import write_sound
from audio2face.formats.usd import require_usd, write_usd_blendshapes, write_usd_points
from audio2face.geometry.motion_shapes import clip_shapes
from audio2face.inference.clip import Clip, FaceFiles
from audio2face.inference.films import film
from audio2face.inference.scenes import clip_scene
from audio2face.postprocess.rig import pose_names
from audio2face.problems import UserError
from audio2face.render.head_curves import find_head_curves

logger = logging.getLogger(__name__)

GLTF_TOLERANCE = 5e-4  # largest error of a vertex, as a share of the mesh's size
NO_TRAINING = "no training is needed; a deployed model is deployed again"
MESH_FORMATS = ("maya", "pc2")  # of ANIMATION_WRITERS, which write points alone
Need = tuple[str, str]  # what a format needs that a face does not have, and what to do ("": take another format)


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
    fps, units, scene = clip.animation.fps, clip.face.topology.units_per_metre, clip_scene(clip)
    write_gltf(paths[0], meshes, fps, units, *scene)
    if rigged := clip.rig_meshes():
        paths.append(_beside(stem, "_blendshapes.glb"))
        write_gltf(paths[1], rigged, fps, units, *scene)
    return paths


def _write_usd(stem: Path, clip: Clip) -> list[Path]:
    paths = [_beside(stem, ".usdc")]
    sound = None
    if clip.sound is not None:
        paths.append(_beside(stem, "_sound.wav"))
        write_sound(paths[-1], *clip.sound)
        sound = paths[-1].name
    fps, units, scene = clip.animation.fps, clip.face.topology.units_per_metre, clip_scene(clip)
    write_usd_points(paths[0], [PointMesh(*mesh) for mesh in clip.meshes()], fps, units, sound, *scene)
    if rigged := clip.rig_meshes():
        paths.append(_beside(stem, "_blendshapes.usdc"))
        write_usd_blendshapes(paths[-1], rigged, fps, units, sound, *scene)
    return paths


def _write_arkit_csv(stem: Path, clip: Clip) -> list[Path]:
    path = _beside(stem, ".csv")
    weights = clip.arkit or clip.weights
    write_arkit_csv(path, weights, clip.animation.fps, clip.eyes, clip.live_link_turns())
    return [path]


def _write_json(stem: Path, clip: Clip) -> list[Path]:
    path = _beside(stem, ".json")
    channels, groups = clip.animation.channels, clip.face.curves
    curves = [
        JsonCurves({**groups[name].as_json(), "kind": groups[name].kind}, groups[name].names, values)
        for name, values in clip.curves.items()
    ]
    write_animation_json(
        path, JsonAnimation(clip.animation.fps, channels.get("jaw"), channels.get("eye"), clip.weights, tuple(curves))
    )
    return [path]


def _write_npz(stem: Path, clip: Clip) -> list[Path]:
    """All channels, and the groups of curves side by side, as tables of curves are read."""
    path, groups = _beside(stem, ".npz"), clip.face.curves
    arrays: dict[str, np.ndarray] = {"fps": np.array(clip.animation.fps)}
    if groups:
        values = np.concatenate([clip.curves[name] for name in groups], axis=1)
        columns = [(name, column) for name, group in groups.items() for column in group.names]
        arrays |= {
            "values": values,
            "valid": np.ones(values.shape, bool),
            "names": np.array([column for _, column in columns]),
            "groups": np.array([name for name, _ in columns]),
            "about": np.array(json.dumps([group.as_json() for group in groups.values()])),
        }
    others = {name: values for name, values in clip.animation.channels.items() if name not in groups}
    write_npz(path, {**arrays, **others})
    return [path]


def _write_bvh(stem: Path, clip: Clip) -> list[Path]:
    paths = []
    for group, skeleton, values in clip.bodies:
        paths.append(_beside(stem, f"_{group}.bvh" if len(clip.bodies) > 1 else ".bvh"))
        write_bvh(paths[-1], skeleton, values, clip.animation.fps)
    return paths


def _write_mp4(stem: Path, clip: Clip) -> list[Path]:
    path = _beside(stem, ".mp4")
    film(path, clip)
    return [path]


def _require_video() -> None:
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError("mp4 needs the package 'av': pip install -e '.[video]'") from error


def write_curve_arrays(stem: Path, curves: Mapping[str, np.ndarray], face: FaceFiles) -> list[Path]:
    """Groups of curves {group: raw values (T, D)} as `<stem>_<group>.npy`, and their columns' names in `<stem>_names.json`."""
    paths = [_beside(stem, f"_{group}.npy") for group in face.curves]
    for group, path in zip(face.curves, paths, strict=True):
        write_npy(path, curves[group])
    if paths:
        paths.append(_beside(stem, "_names.json"))
        write_json(paths[-1], {group: list(what.names) for group, what in face.curves.items()})
    return paths


# ---- what each format needs


def _lacks_nothing(face: FaceFiles) -> Need | None:
    return None


def _lacks_mesh(face: FaceFiles) -> Need | None:
    return None if face.has_mesh else ("a face mesh", "")


def _lacks_arkit(face: FaceFiles) -> Need | None:
    if face.arkit_columns():
        return None
    if not face.has_mesh:
        return "a group of curves with ARKit's names, such as jawOpen", ""
    if "skin" not in face.rigs:
        files = "BLENDSHAPE_SKIN_FPATH and BLENDSHAPE_SKIN_CONFIG_FPATH"
        return "blendshapes of the skin", f"set {files} in config_dataset.py ({NO_TRAINING})"
    return None if arkit_columns(pose_names(face.rigs)) else ("blendshapes with ARKit's names, such as jawOpen", "")


def _lacks_skeleton(face: FaceFiles) -> Need | None:
    return None if face.skeletons else ("a group of curves that moves a skeleton", "")


def _lacks_sight(face: FaceFiles) -> Need | None:
    """Of formats that show a mesh, or curves where there is none."""
    if face.has_mesh:
        fix = f"set SKIN_TRIANGLES_FPATH in config_dataset.py ({NO_TRAINING})"
        return ("the faces of the skin mesh", fix) if face.topology.skin is None else None
    if face.arkit_columns() or face.skeletons or find_head_curves(face.curves).head:
        return None
    return "curves that can be shown (weights with ARKit's names, the head's turn, a skeleton)", ""


@dataclass(frozen=True)
class Exporter:
    """One format: how to write it, what of it a face lacks, which package it needs, and whether it needs weights or sound."""

    write: Callable[[Path, Clip], list[Path]]
    lacks: Callable[[FaceFiles], Need | None] = _lacks_nothing
    sound: bool = False
    weights: bool = False
    require: Callable[[], None] | None = None


EXPORTERS: dict[str, Exporter] = {
    "arkit_csv": Exporter(_write_arkit_csv, _lacks_arkit, weights=True),
    "json": Exporter(_write_json, weights=True),
    "npz": Exporter(_write_npz),
    "bvh": Exporter(_write_bvh, _lacks_skeleton),
    "usd": Exporter(_write_usd, _lacks_sight, sound=True, weights=True, require=require_usd),
    "gltf": Exporter(_write_gltf, _lacks_sight, weights=True),
    "mp4": Exporter(_write_mp4, _lacks_sight, sound=True, require=_require_video),
}


def wants(formats: Sequence[str], what: str) -> bool:
    """Whether any of the formats uses "weights" or "sound", for what is costly to get."""
    return any(getattr(EXPORTERS[name], what) for name in formats if name in EXPORTERS)


def default_formats(face: FaceFiles) -> tuple[str, ...]:
    """What is written of a face without a mesh when no formats are chosen: its curves, and what other programs read of them."""
    return ("npz", *(name for name in ("arkit_csv", "bvh") if EXPORTERS[name].lacks(face) is None))


def check_exports(formats: Sequence[str], face: FaceFiles, where: str) -> None:
    """Raises UserError listing every format that cannot be written, and what it needs. `where` names the face's owner."""
    problems = []
    for name in formats:
        lacking, exporter = _lacking(name, face), EXPORTERS.get(name)
        if lacking is not None:
            need, fix = lacking
            fitting = [other for other in (*MESH_FORMATS, "npy", *EXPORTERS) if _lacking(other, face) is None]
            fix = fix or f"it can be written as {', '.join(fitting)}"
            problems.append(f"{name} needs {need}, which {where} does not have: {fix}")
        if exporter is not None and exporter.require is not None:
            try:
                exporter.require()
            except UserError as error:
                problems += error.lines
    if problems:
        raise UserError(problems)


def _lacking(name: str, face: FaceFiles) -> Need | None:
    if name in EXPORTERS:
        return EXPORTERS[name].lacks(face)
    return _lacks_mesh(face) if name in MESH_FORMATS else None
