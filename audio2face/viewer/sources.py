"""Animations where they lie, as tracks: a shot of a data set, and the files that inference writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.dataset.files import DatasetFiles
from audio2face.formats import (
    ANIMATION_READERS,
    AnimationFile,
    SeveralChannels,
    animation_header,
    find_animation,
    read_animation,
)
from audio2face.formats.npy import read_npy
from audio2face.formats.sound import SOUND_SUFFIXES
from audio2face.formats.time_code import same_rate
from audio2face.listing import natural_order
from audio2face.postprocess.rig import pose_names, read_rig
from audio2face.problems import UserError
from audio2face.viewer.actors import Actor, find_eyes
from audio2face.viewer.tracks import (
    AnimationStream,
    Channel,
    Curves,
    array_channel,
    eye_turns,
    file_channel,
    jaw_points,
)

RigFiles = Mapping[str, Mapping[str, Path]]  # mesh -> {"config": path, "data": path}
PARTS = ("skin", "tongue", "jaw", "eye")


@dataclass(frozen=True)
class Extras:
    """What turns arrays into a face: jaw key points (P, 3) at rest, and files of blendshapes by mesh."""

    neutral_jaw: np.ndarray | None = None
    rigs: RigFiles | None = None


@dataclass(frozen=True)
class ClipFiles:
    """The files of one animation: {"skin": path, and perhaps "tongue", "jaw", "eye"}; `channel` is the skin's of several."""

    name: str
    files: Mapping[str, Path]
    channel: str | None = None


def dataset_actor(files: DatasetFiles, units_per_metre: float) -> Actor:
    """An actor as its data set describes it. Raises UserError for files that are damaged."""
    faces = {"skin": files.skin_triangles(), "tongue": files.tongue_triangles()}
    return Actor(
        files.actor,
        {mesh: f for mesh, f in faces.items() if f is not None},
        1000 / units_per_metre,
        find_eyes(files.skin_neutral(), files.eye_close_pose_delta()),
    )


def dataset_rigs(files: DatasetFiles) -> RigFiles:
    """The blendshape files of a data set's actor."""
    pairs = {
        "skin": (files.blendshape_skin_config_fpath, files.blendshape_skin_fpath),
        "tongue": (files.blendshape_tongue_config_fpath, files.blendshape_tongue_fpath),
    }
    return {mesh: {"config": c, "data": d} for mesh, (c, d) in pairs.items() if c is not None and d is not None}


def truth_track(files: DatasetFiles, shot: str, cache_fps: float, audio_offset: int, rigs: RigFiles) -> AnimationStream:
    """A captured shot. Frame i sounds at (i + offset + ½) / fps. Raises UserError or ValueError when it cannot be read."""
    assert files.skin_cache_root is not None
    skin = read_animation(find_animation(files.skin_cache_root, shot), files.skin_cache_channel)
    meshes, others = {"skin": skin}, []
    if files.tongue_cache_root is not None and (files.tongue_cache_root / shot).is_dir():
        place = find_animation(files.tongue_cache_root, shot)
        meshes["tongue"] = read_animation(place, files.tongue_cache_channel)
    neutral = files.jaw_neutral()
    if neutral is not None and files.has_jaw(shot):
        others.append(array_channel("jaw", jaw_points(files.jaw_animation(shot), neutral)))
    if files.has_eye(shot):
        others.append(array_channel("eyes", eye_turns(files.eye_animation(shot))))
    fps = cache_fps if skin.fps is None or same_rate(skin.fps, cache_fps) else skin.fps
    return _track(meshes, others, fps, (audio_offset + 0.5) / fps, rigs)


def captured_files(files: DatasetFiles, shot: str) -> list[Path]:
    """The files of a captured shot: of its skin, else of its groups of curves, the one that can be edited first."""
    try:
        if files.skin_cache_root is not None:
            return [find_animation(files.skin_cache_root, shot)]
    except UserError:
        return []
    found = (source.file(shot) for source in files.curves.values())
    return list(dict.fromkeys(path for path in found if path is not None))


def file_track(clip: ClipFiles, fps: float, extras: Extras) -> AnimationStream:
    """Files of one animation. Raises UserError or ValueError when they cannot be read."""
    chosen = {"skin": clip.channel, "tongue": None}
    meshes = {mesh: read_animation(clip.files[mesh], chosen[mesh]) for mesh in chosen if mesh in clip.files}
    others = []
    if "jaw" in clip.files and extras.neutral_jaw is not None:
        others.append(array_channel("jaw", jaw_points(read_npy(clip.files["jaw"]), extras.neutral_jaw)))
    if "eye" in clip.files:
        others.append(array_channel("eyes", eye_turns(read_npy(clip.files["eye"]))))
    fps = meshes["skin"].fps or fps
    return _track(meshes, others, fps, 0.5 / fps, extras.rigs or {})


def _track(
    meshes: Mapping[str, AnimationFile], others: list[Channel], fps: float, start_s: float, rigs: RigFiles
) -> AnimationStream:
    count = len(meshes["skin"].frames)
    if not count:
        raise UserError("the animation has no frames")
    channels = [file_channel(name, animation) for name, animation in meshes.items()] + others
    held = [Channel(c.name, c.points, _held(c.read, count, c.name)) for c in channels]
    known = {mesh: files for mesh, files in rigs.items() if mesh in meshes}
    solve = (lambda: _solve(known, meshes)) if "skin" in known else None
    return AnimationStream(held, count, fps, start_s, solve)


def _held(read: Callable[[int, int], np.ndarray], count: int, name: str) -> Callable[[int, int], np.ndarray]:
    """Reads that repeat the last frame where a channel is shorter than the skin."""

    def padded(first: int, end: int) -> np.ndarray:
        frames = read(first, end)
        if len(frames) == end - first:
            return frames
        if not len(frames):
            frames = _last(read, first, name)
        return np.concatenate([frames, np.repeat(frames[-1:], end - first - len(frames), axis=0)])

    return padded


def _last(read: Callable[[int, int], np.ndarray], before: int, name: str) -> np.ndarray:
    while before > 0:
        before = max(0, before - 256)
        if len(frames := read(before, before + 256)):
            return frames[-1:]
    raise ValueError(f"{name} has no frames")


def _solve(rigs: RigFiles, meshes: Mapping[str, AnimationFile]) -> Curves:
    read = {mesh: read_rig(files["config"], files["data"]) for mesh, files in rigs.items()}
    tables = [rig.weights(meshes[mesh].frames) for mesh, rig in sorted(read.items())]
    count = min(map(len, tables))
    return Curves(tuple(pose_names(read)), np.concatenate([table[:count] for table in tables], axis=1))


def find_clips(place: Path, channel: str | None = None) -> list[ClipFiles]:
    """The animations of a file or folder: `x_skin.npy` with `x_tongue`, `x_jaw` and `x_eye` beside it, or single meshes.

    Looks one folder deeper when there are none, as in a data set's cache. Other files are passed over. `channel` is the one
    to read of caches with several; UserError when there are such and it is None.
    """
    if place.is_file():
        return [_with_parts(place, channel)] if _is_mesh(place, channel) else []
    there = natural_order(place.iterdir())
    found = _flat(there, channel)
    return found or [clip for p in there if p.is_dir() for clip in _flat(natural_order(p.iterdir()), channel)]


def _flat(paths: list[Path], channel: str | None) -> list[ClipFiles]:
    found = [_with_parts(p, channel) for p in paths if _is_mesh(p, channel)]
    best: dict[str, ClipFiles] = {}
    for clip in found:
        best.setdefault(clip.name, clip)  # one of several formats is enough
    return [clip for name, clip in best.items() if not name.endswith("_tongue") or name[: -len("_tongue")] not in best]


def _with_parts(path: Path, channel: str | None) -> ClipFiles:
    stem = path.stem.removesuffix("_skin")
    beside = {
        part: candidate
        for part in ("tongue", "jaw", "eye")
        for suffix in (path.suffix, ".npy")
        if (candidate := path.with_name(f"{stem}_{part}{suffix}")).is_file() and candidate != path
    }
    return ClipFiles(stem, {"skin": path, **beside}, channel)


def _is_mesh(path: Path, channel: str | None) -> bool:
    if path.suffix.lower() not in ANIMATION_READERS or not path.is_file():
        return False
    if path.stem.endswith(("_jaw", "_eye")):
        return False
    try:
        return animation_header(path, channel).num_vertices > 0
    except SeveralChannels as error:
        raise UserError(f"{error} (--channel)") from error
    except (ValueError, OSError):
        return False


def find_sound(folder: Path, name: str) -> Path | None:
    """The sound of an animation in a folder: of the same name, or the longest that the animation's name begins with."""
    sounds = [p for p in folder.iterdir() if p.suffix.lower() in SOUND_SUFFIXES] if folder.is_dir() else []
    fitting = [p for p in sounds if name == p.stem or name.startswith(f"{p.stem}_")]
    return max(fitting, key=lambda p: len(p.stem), default=None)
