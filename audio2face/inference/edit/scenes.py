"""Scenes that are edited (glTF, USD): the tracks that a model makes get other keys at the frames that are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audio2face.face.curves import CurveGroup
from audio2face.formats.budget import check_unpacked
from audio2face.formats.curve_rows import HIGHEST_FPS
from audio2face.formats.gltf_keys import read_gltf_keys
from audio2face.formats.keys import NEAR, KeyedScene, Keys
from audio2face.formats.usd_keys import read_usd_keys
from audio2face.inference.edit.request import Edit
from audio2face.inference.edit.scene_channels import Change, SceneChannel, find_channels
from audio2face.inference.edit.skin import Skin, check_place
from audio2face.problems import UserError

READERS = {
    ".glb": read_gltf_keys,
    ".gltf": read_gltf_keys,
    ".usd": read_usd_keys,
    ".usda": read_usd_keys,
    ".usdc": read_usd_keys,
    ".usdz": read_usd_keys,
}
SCENES = tuple(READERS)
DENSE = 1.5  # frames from key to key: an animation that was sampled, and not keyed by hand
KEYED_BYTES = 160  # of a frame of a track, while keys around it are found
EVEN = 0.01  # of the time from key to key


@dataclass
class SceneFile:
    """A scene whose frames, `fps` a second, begin with number `first_frame`, `phase` of a frame later."""

    path: Path
    fps: float
    first_frame: int
    channels: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    scene: KeyedScene
    parts: list[SceneChannel]
    phase: float

    def write(self, stem: Path, channels: Mapping[str, np.ndarray], edit: Edit) -> Path:
        rows, frames = np.flatnonzero(edit.free), self.first_frame + self.phase + np.arange(len(edit.free))
        before = _tables(self.scene, self.parts, frames, self.fps)
        tables = {track: table.copy() for track, table in before.items()}
        shapes: dict[int, np.ndarray] = {}
        for part in self.parts:
            new, old = channels[part.name], self.channels[part.name]
            whole = {at: source for at, source in edit.keys.items() if np.array_equal(new[at], old[source])}
            shapes |= part.put(tables, Change(rows, new[rows], old[rows], whole, before))
        keys = {}
        for track, table in tables.items():
            keyed = self.scene.tracks[track]
            wider = table.shape[1] - keyed.values.shape[1]
            if wider or not np.array_equal(table, before[track]):
                keyed = replace(keyed, values=np.pad(keyed.values, ((0, 0), (0, wider))))
                keys[track] = keyed.renewed(frames[rows], table[rows], self.fps)
        return self.scene.write(stem, keys, shapes)


def read_scene(path: Path, groups: Mapping[str, CurveGroup], skin: Skin | None, fps: float) -> SceneFile:
    """Open a scene for a model with these groups and this skin (None: no skin) at a rate.

    Raises ValueError for a malformed file, UserError for one that moves nothing of them.
    """
    scene = READERS[path.suffix.lower()](path)
    units = 1.0 if skin is None else skin.units_per_metre
    parts = find_channels(scene, groups, None if skin is None else len(skin.mean), units)
    if not parts:
        raise UserError(f"EDIT/file {path}: {_nothing(scene, groups, skin)}")
    used = {track: scene.tracks[track] for part in parts for track in part.tracks}
    moments = np.concatenate([keys.moments for keys in used.values()])
    if not _on_frames(moments * fps - _phase(moments * fps)):
        fps = _rate(used, fps) or fps
    phase = _phase(moments * fps)
    places = moments * fps - phase
    first, last = int(np.floor(places.min() + NEAR)), int(np.ceil(places.max() - NEAR))
    each = sum(KEYED_BYTES + 8 * keys.values.shape[1] for keys in used.values())
    check_unpacked(path, "frames from the first key to the last", each * (last + 1 - first), path.stat().st_size)
    tables = _tables(scene, parts, np.arange(first, last + 1) + phase, fps)
    channels, valid = {}, {}
    for part in parts:
        values, there = part.read(tables)
        channels[part.name] = values
        if part.name == "skin" and skin is not None:
            check_place(path, values, skin)
        else:
            valid[part.name] = np.broadcast_to(there, values.shape).copy()
    return SceneFile(path, fps, first, channels, valid, scene, parts, phase)


def _tables(scene: KeyedScene, parts: list[SceneChannel], frames: np.ndarray, fps: float) -> dict[str, np.ndarray]:
    tracks = sorted({track for part in parts for track in part.tracks})
    return {track: scene.tracks[track].at(frames, fps) for track in tracks}


def _on_frames(places: np.ndarray) -> bool:
    return bool((np.abs(places - np.round(places)) < 2 * NEAR).all())


def _phase(places: np.ndarray) -> float:
    """How much of a frame later than whole ones all keys lie: 0 where they do not agree."""
    phase = float(places.min() - np.round(places.min()))
    return phase if abs(phase) > NEAR and _on_frames(places - phase) else 0.0


def _rate(tracks: Mapping[str, Keys], fps: float) -> float | None:
    """The rate at which tracks were sampled, to a thousandth where that is a whole number; None where keys were set by hand."""
    for keys in tracks.values():
        steps = np.diff(keys.moments)
        step = float(np.median(steps)) if len(steps) > 1 else np.inf
        if step * fps < DENSE and float(np.mean(np.abs(steps / step - 1) < EVEN)) > 0.5:
            mean = (len(steps)) / float(keys.moments[-1] - keys.moments[0])
            if not 1 <= mean <= HIGHEST_FPS:
                return None
            return float(round(mean)) if abs(mean / round(mean) - 1) < 1e-3 else mean
    return None


def _nothing(scene: KeyedScene, groups: Mapping[str, CurveGroup], skin: Skin | None) -> str:
    """Why nothing of a scene can be edited."""
    there = [f"weights of {', '.join([*scene.weights][:5])}"] if scene.weights else []
    there += [f"joints {', '.join([joint.name for joint in scene.joints][:5])}"] if scene.joints else []
    there += [f"mesh {mesh.name} of {len(mesh.rest)} vertices" for mesh in scene.meshes[:3]]
    wanted = [*groups, *([] if skin is None else [f"a skin of {len(skin.mean)} vertices"])]
    moved = "; ".join(there) or "nothing (there is no animation)"
    return f"it moves {moved}; the model gives {', '.join(wanted) or 'none of it'}"
