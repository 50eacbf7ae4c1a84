"""Recordings of ARKit curves and a blendshape rig become a data set."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio2face.formats.arkit_csv import ARKIT_NAMES, ArkitRecording
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.rig import RigFile, read_rig_file
from audio2face.formats.scene import MorphMesh
from audio2face.importing import curves as curve
from audio2face.importing.arkit_rig import CURVES, ArkitPoses, Match, NameMap, arkit_poses, match_names, suggestions
from audio2face.importing.dataset import ActorParts, MeshParts, ShotParts, Written, check_target, write_dataset
from audio2face.importing.jaw import JawPoints, chin_points, teeth_points
from audio2face.importing.recordings import MOVES, Recording, TakeOptions, clock_notes, usual_rate
from audio2face.importing.take_sounds import frames_with_sound, read_takes, sound_of
from audio2face.importing.takes import Take, find_takes
from audio2face.importing.units import placed, to_centimetres
from audio2face.problems import UserError, raise_problems

logger = logging.getLogger(__name__)

GAZE_OFFSET = 5.0  # degrees
LIP_OPEN = ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight")
OPENING = ("jawOpen", *LIP_OPEN, "mouthFunnel", "mouthPucker")


@dataclass(frozen=True)
class RigOptions:
    """Where the rig is and how to read it: meshes by name (or files of their own), unit, up axis, names of curves."""

    path: Path
    skin: str | None = None
    tongue: str | None = None
    teeth: str | None = None
    rest: str | None = None
    units: str | None = None
    up: str = "y"
    names: NameMap = field(default_factory=dict)
    allow_missing: bool = False
    jaw: bool = True


@dataclass(frozen=True)
class Rig:
    """A character's meshes in centimetres with the poses of ARKit's curves; `match` maps shapes to curves."""

    skin: MorphMesh
    poses: ArkitPoses
    match: Match
    tongue: MorphMesh | None = None
    tongue_poses: ArkitPoses | None = None
    jaw: JawPoints | None = None


def import_live_link(
    out: Path, rig: RigOptions, takes: TakeOptions, replace: bool = False
) -> tuple[Written, float, list[str]]:
    """Write the data set of one actor to `out`: what was written, its rate, and lines of what was decided.

    Raises UserError with everything that is wrong with rig, names, recordings and sounds at once.
    """
    check_target(out, replace)
    character = load_rig(rig)
    found, problems, found_notes = find_takes(takes.inputs, takes.sounds)
    raise_problems(pointer_problems(path for take in found for path in (take.curves, take.sound)))
    read, faults = read_takes(found, takes)
    recordings = {name: recording.arkit for name, recording in read.items()}
    problems += faults + _lacking(recordings, character, rig.allow_missing)
    raise_problems(problems)
    fps = takes.fps or usual_rate(max(r.fps for r in recordings.values()))
    values = {name: curve.at_rate(recording, fps) for name, recording in recordings.items()}
    notes = [*found_notes, *_notes(recordings, character), *clock_notes(recordings, fps)]
    notes += _gaze_notes(recordings, takes.look_degrees)
    actor = _actor(character, list(values.values()), fps, takes)
    shots = _shots(found, read, values, character, fps, takes, notes)
    about = {"importer": "live_link", "rig": str(rig.path), "curves": character.match.shapes}
    return write_dataset(out, actor, shots, fps, about, replace), fps, notes


def load_rig(options: RigOptions) -> Rig:
    """Read the rig and match its shapes. Raises UserError listing every name that cannot be matched."""
    try:
        file = read_rig_file(options.path, options.rest)
        tongue_file = _own_file(options.tongue, options.rest)
        teeth_file = _own_file(options.teeth, options.rest)
    except ValueError as error:
        raise UserError(str(error)) from error
    skin = _choose(file, options.skin, options.path)
    tongue = tongue_file or _named(file, options.tongue, "tongue", skin)
    teeth = teeth_file or _named(file, options.teeth, "teeth", skin)
    scale = to_centimetres(skin.rest, options.units, file.in_metres, str(options.path))
    parts = [mesh for mesh in (skin, tongue, teeth) if mesh is not None]
    shapes = tuple(dict.fromkeys(name for mesh in parts for name in mesh.target_names))
    match = match_names(shapes, options.names)
    raise_problems([f"{options.path}: {problem}" for problem in match.problems])
    skin = placed(skin, scale, options.up)
    poses = arkit_poses(skin, match)
    if not poses.names:
        known = ", ".join(shapes[:8])
        raise UserError(f"{options.path}: no shape is named like an ARKit curve ({known}, …); pass a map (--map)")
    character = Rig(skin, poses, match)
    if tongue is not None:
        tongue = placed(tongue, scale, options.up)
        tongue_poses = arkit_poses(tongue, match)
        if np.any(tongue_poses.deltas):
            character = Rig(skin, poses, match, tongue, tongue_poses)
    jaw = None
    if options.jaw and teeth is not None:
        teeth = placed(teeth, scale, options.up)
        jaw = teeth_points(teeth, arkit_poses(teeth, match))
    if options.jaw and jaw is None:
        jaw = chin_points(skin.rest, poses)
    return Rig(skin, poses, match, character.tongue, character.tongue_poses, jaw)


def _own_file(name: str | None, rest: str | None) -> MorphMesh | None:
    """A mesh from a file of its own."""
    if name is None or not Path(name).exists():
        return None
    return read_rig_file(name, rest).meshes[0]


def _choose(file: RigFile, name: str | None, path: Path) -> MorphMesh:
    """The skin: the mesh called `name`, else that with the most ARKit shapes, then the most vertices."""
    if name is not None:
        found = [mesh for mesh in file.meshes if mesh.name == name]
        if not found:
            known = ", ".join(mesh.name for mesh in file.meshes)
            raise UserError(f"{path}: no mesh {name!r}; it has {known}")
        return found[0]
    return max(file.meshes, key=lambda mesh: (len(match_names(mesh.target_names).shapes), len(mesh.rest)))


def _named(file: RigFile, name: str | None, part: str, skin: MorphMesh) -> MorphMesh | None:
    """Another mesh: called `name`, else with `part` in its name and shapes of its own."""
    if name is not None:
        found = next((mesh for mesh in file.meshes if mesh.name == name), None)
        if found is None:
            raise UserError(
                f"--{part} {name}: neither a file nor a mesh of the rig ({', '.join(m.name for m in file.meshes)})"
            )
        return found
    meshes = [m for m in file.meshes if part in m.name.lower() and m.target_names and m is not skin]
    return next((m for m in meshes if "low" in m.name.lower()), meshes[0] if meshes else None)


def _gaze_notes(recordings: dict[str, ArkitRecording], look_degrees: float) -> list[str]:
    """A line when the eyes of all takes rest off straight ahead."""
    turns = [t for r in recordings.values() if (t := curve.eye_rotations(r.values, look_degrees)) is not None]
    if not turns:
        return []
    down, left = np.median(np.concatenate(turns).mean(axis=1), axis=0)
    if max(abs(down), abs(left)) < GAZE_OFFSET:
        return []
    ways = ((down, "down", "up"), (left, "to the face's left", "to the face's right"))
    words = [f"{abs(angle):.0f}° {way if angle > 0 else back}" for angle, way, back in ways if abs(angle) >= 1]
    return [
        f"gaze: the eyes rest {' and '.join(words)}, and so will the model's: single-camera trackers such as MediaPipe "
        "do this, as do actors who look past the lens; if it is not intended, subtract the offset from the eye columns"
    ]


def _lacking(recordings: dict[str, ArkitRecording], character: Rig, allowed: bool) -> list[str]:
    """A line for each curve that moves in the recordings and moves nothing in the rig."""
    moving = {
        name
        for recording in recordings.values()
        for name, peak in zip(CURVES, recording.values[:, : len(CURVES)].max(axis=0, initial=0), strict=True)
        if peak > MOVES
    }
    lacking = [name for name in character.match.missing if name in moving and name != "tongueOut"]
    if not lacking or allowed:
        return []
    lines = [f"the rig has no shape for the curve {line}" for line in suggestions(lacking, character.match.unused)]
    unused = ", ".join(character.match.unused) or "none"
    return [*lines, f"shapes of the rig without a curve: {unused}", "name them in --map, or pass --allow-missing"]


def _notes(recordings: dict[str, ArkitRecording], character: Rig) -> list[str]:
    notes = [f"rig: {len(character.skin.rest)} vertices, {len(character.poses.names)} of 52 curves"]
    if character.match.missing:
        notes.append(f"curves without a shape: {', '.join(character.match.missing)}")
    if character.match.unused:
        notes.append(f"shapes without a curve: {', '.join(character.match.unused)}")
    absent = [n for n in ARKIT_NAMES if any(n not in r.columns for r in recordings.values())]
    if absent:
        notes.append(f"columns that recordings lack, taken as 0: {', '.join(absent)}")
    unknown = sorted({name for r in recordings.values() for name in r.unknown})
    if unknown:
        notes.append(f"columns that are not ARKit's, left out: {', '.join(unknown)}")
    notes.append(f"tongue: {'mesh ' + character.tongue.name if character.tongue else 'none that moves'}")
    if character.jaw is None:
        notes.append("lower teeth: none")
    else:
        source = "estimated from the chin" if character.jaw.chin_rest is not None else "five vertices of the teeth"
        notes.append(f"lower teeth: {source}")
    return notes


def _actor(character: Rig, values: Sequence[np.ndarray], fps: float, takes: TakeOptions) -> ActorParts:
    poses, tongue = character.poses, None
    if character.tongue is not None and character.tongue_poses is not None:
        tongue = _parts(character.tongue, character.tongue_poses)
    turns = [t for v in values if (t := curve.eye_rotations(v, takes.look_degrees)) is not None]
    lip_open = poses.sum(*LIP_OPEN)
    if lip_open is None and (jaw := poses.sum("jawOpen")) is not None:
        lip_open = 0.2 * jaw
    return ActorParts(
        skin=_parts(character.skin, poses),
        tongue=tongue,
        eye_close=poses.sum("eyeBlinkLeft", "eyeBlinkRight"),
        lip_open=lip_open,
        jaw_rest=None if character.jaw is None else character.jaw.rest,
        blink_keys=curve.blink_keys(values, fps),
        saccades=curve.saccades(turns, fps),
    )


def _parts(mesh: MorphMesh, poses: ArkitPoses) -> MeshParts:
    return MeshParts(mesh.rest, mesh.triangles, dict(zip(poses.names, poses.deltas, strict=True)))


def _shots(
    takes: Sequence[Take], recordings: dict[str, Recording], values: dict[str, np.ndarray], character: Rig,
    fps: float, options: TakeOptions, notes: list[str],
) -> Iterator[ShotParts]:  # fmt: skip
    """Every take as a shot; decisions are added to `notes`. Raises UserError naming a sound that does not fit."""
    for take in takes:
        recording, rows = recordings[take.name], values[take.name]
        sound = sound_of(take, recording, len(rows) / fps, options, notes)
        rows = rows[: frames_with_sound(take, sound, len(rows), fps, notes)]
        samples = sound.lasting(len(rows) / fps)
        parts = [(a, min(b, len(rows) - 1)) for a, b in curve.spans(recording.arkit, fps) if a < len(rows)]
        if len(parts) > 1:
            notes.append(f"{take.name}: the face was lost; frames used: {', '.join(f'{a}-{b}' for a, b in parts)}")
        weights = rows[:, : len(CURVES)]
        tongue = None
        if character.tongue is not None and character.tongue_poses is not None:
            tongue = character.tongue_poses.positions(character.tongue.rest, weights)
        yield ShotParts(
            name=take.name,
            skin=character.poses.positions(character.skin.rest, weights),
            samples=samples,
            rate=sound.rate,
            tongue=tongue,
            jaw=None if character.jaw is None else character.jaw.motion(weights),
            eyes=curve.eye_rotations(rows, options.look_degrees),
            opening=weights[:, [CURVES.index(name) for name in OPENING]].sum(axis=1),
            spans=tuple(parts),
            about=sound.about(take),
        )
