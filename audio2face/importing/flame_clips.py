"""Clips of FLAME heads (vertices as VOCASET has them, or parameters) become a data set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio2face.face.frames import resample_frames
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.npy import npy_header, read_npy, read_npz
from audio2face.formats.obj import read_obj
from audio2face.formats.ply import read_ply
from audio2face.formats.sound import SOUND_SUFFIXES
from audio2face.importing import flame
from audio2face.importing.curves import LONGEST_GAP_S
from audio2face.importing.dataset import ActorParts, MeshParts, ShotParts, Written, check_target, write_dataset
from audio2face.importing.sounds import begin_at, read_take_sound, sound_problems
from audio2face.importing.takes import renamed, shot_names
from audio2face.importing.units import to_centimetres
from audio2face.listing import frame_numbers, gaps, natural_order, passed_over
from audio2face.problems import UserError, raise_problems

PADDED_S = 0.25  # that may lack at the end of a sound
MESHES = {".obj": read_obj, ".ply": read_ply}
PICKLES = (".pkl", ".pickle", ".pt", ".pth")
NO_PICKLE = (
    "is a pickle, which can run any code when opened and is never read here; convert it once where you trust it "
    "(docs/preparing_animation_data.md, FLAME and VOCASET)"
)


@dataclass(frozen=True)
class FlameOptions:
    """Where clips, sounds, the basis (for parameters), the face at rest and its faces are; rates and unit."""

    clips: Path
    sounds: Path
    fps: float
    out_fps: float | None = None
    subject: str | None = None
    template: Path | None = None
    basis: Path | None = None
    units: str | None = None
    sample_rate: int | None = None


@dataclass(frozen=True)
class FlameClip:
    """A clip and its sound; `path` is an .npy of vertices, an .npz or folder of parameters, or a folder of meshes.

    `meshes` are the files of such a folder in order, and `frames` which frame each of them is.
    """

    name: str
    path: Path
    sound: Path
    meshes: tuple[Path, ...] = ()
    frames: tuple[int, ...] = ()


def import_flame(out: Path, options: FlameOptions, replace: bool = False) -> tuple[Written, float, list[str]]:
    """Write the data set of one person to `out`: what was written, its rate, and lines of what was decided.

    Raises UserError with everything that is wrong at once.
    """
    check_target(out, replace)
    _refuse_pickles(options)
    clips, problems, found = find_clips(options)
    raise_problems(pointer_problems(path for clip in clips for path in (clip.path, clip.sound)))
    for clip in clips:
        problems += sound_problems(clip.sound)
    raise_problems(problems)
    try:
        model = flame.read_flame(options.basis) if options.basis else None
        rest, faces, notes = _rest(clips, model, options)
        notes += found
        scale = to_centimetres(rest, options.units, True, str(options.clips))
        shots = _shots(clips, model, rest, scale, options, notes)
        jaw = None
        if model is not None:
            jaw = scale * flame.jaw_motion(model, rest, _still())[0]
        actor = ActorParts(MeshParts((scale * rest).astype(np.float32), faces), jaw_rest=jaw)
        fps = options.out_fps or options.fps
        written = write_dataset(out, actor, shots, fps, {"importer": "flame", "clips": str(options.clips)}, replace)
    except ValueError as error:
        raise UserError(str(error)) from error
    return written, fps, notes


def find_clips(options: FlameOptions) -> tuple[list[FlameClip], list[str], list[str]]:
    """Clips of one person with their sounds, a line for each that cannot be used, and notes of what was found."""
    root = options.clips
    if not root.is_dir():
        return [], [f"{root}: no such folder"], []
    if not options.sounds.is_dir():
        return [], [f"{options.sounds}: no such folder"], []
    there = natural_order(root.iterdir())
    paths = [p for p in there if p.is_dir() or p.suffix.lower() in (".npy", ".npz")]
    notes = [f"{root}: not a clip: {line}" for line in passed_over(p for p in there if p not in paths)]
    paths = [p for p in paths if not p.name.startswith(".") and (options.subject or "") in p.name]
    if not paths:
        which = f" with {options.subject!r} in its name" if options.subject else ""
        return [], [f"{root}: no .npy, .npz or folder{which}"], []
    persons = natural_order({re.sub(r"_?sentence.*$", "", p.stem if p.is_file() else p.name) for p in paths})
    if len(persons) > 1 and options.subject is None and any("sentence" in p.name for p in paths):
        return [], [f"clips of {len(persons)} persons; choose one with --subject: {', '.join(persons)}"], []
    sounds: dict[str, list[Path]] = {}
    files = natural_order(p for p in options.sounds.rglob("*") if p.is_file())
    for sound in files:
        if sound.suffix.lower() in SOUND_SUFFIXES:
            sounds.setdefault(sound.stem, []).append(sound)
    unread = passed_over(p for p in files if p.suffix.lower() not in SOUND_SUFFIXES)
    notes += [f"{options.sounds}: not read as sound: {line}" for line in unread]
    stems = {path: path.stem if path.is_file() else path.name for path in paths}
    names = shot_names(stems.values())
    clips: dict[str, FlameClip] = {}
    problems = []
    for path, stem in stems.items():
        name, found = names[stem], sounds.get(stem, [])
        if len(found) > 1 and len({sound.parent for sound in found}) == 1:
            first, *others = sorted(found, key=lambda sound: SOUND_SUFFIXES.index(sound.suffix.lower()))
            notes.append(f"{name}: the sound is {first.name}; unused: {', '.join(sound.name for sound in others)}")
            found = [first]
        same = [p for p, other in stems.items() if other == stem]
        if not found:
            problems.append(f"{path}: no sound {stem}.wav in {options.sounds}")
        elif len(found) > 1:
            problems.append(f"{path}: several sounds match its name: {', '.join(map(str, found))}; keep one")
        elif path != same[0]:
            problems.append(f"{path} and {same[0]} would both be shot {name}; rename one")
        elif len(same) == 1:
            try:
                clips[name], more = _clip(name, path, found[0], options.fps)
                notes += more
            except ValueError as error:
                problems.append(f"{path}: {error}")
    return list(clips.values()), problems, notes + renamed(names)


def _clip(name: str, path: Path, sound: Path, fps: float) -> tuple[FlameClip, list[str]]:
    """A clip, and notes on its frame numbers. Raises ValueError when they are no sequence, or too many are missing."""
    if not path.is_dir() or _is_parameters(path):
        return FlameClip(name, path, sound), []
    there = natural_order(path.iterdir())
    meshes = [p for p in there if p.suffix.lower() in MESHES and not p.name.startswith(".")]
    if not meshes:
        raise ValueError("expected .ply, .obj or .npy files")
    notes = [f"{name}: not a mesh: {line}" for line in passed_over(p for p in there if p not in meshes)]
    numbers = frame_numbers([p.stem for p in meshes])
    step, missing = gaps(numbers)
    if step > 1:
        notes.append(
            f"{name}: the frames are numbered by {step} ({numbers[0]}, {numbers[1]}, …); taken as {fps:g} a second"
        )
    for before, after in missing:
        lost = (after - before) // step - 1
        which = f"frame {before + step} is" if lost == 1 else f"frames {before + step} to {after - step} are"
        if lost > LONGEST_GAP_S * fps:
            raise ValueError(f"{which} missing; export them, or make two clips of it")
        notes.append(f"{name}: {which} missing in {path}; interpolated linearly from {before} to {after}")
    frames = tuple((number - numbers[0]) // step for number in numbers)
    return FlameClip(name, path, sound, tuple(meshes), frames), notes


def _refuse_pickles(options: FlameOptions) -> None:
    named = [p for p in (options.template, options.basis) if p is not None and p.suffix.lower() in PICKLES]
    raise_problems([f"{path}: {NO_PICKLE}" for path in named])
    if (options.clips / "data_verts.npy").is_file():
        raise UserError(f"{options.clips}: VOCASET as downloaded; its index {NO_PICKLE}")


def _rest(
    clips: Sequence[FlameClip], model: flame.Flame | None, options: FlameOptions
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """The face at rest (V, 3) in the clips' unit, its faces if known, and how it was found."""
    faces = None if model is None or model.triangles is None else np.asarray(model.triangles, np.int64)
    if options.template is not None:
        rest, own = read_template(options.template, options.subject)
        return rest, own if own is not None else faces, [f"rest: {options.template}"]
    if model is not None and _is_parameters(clips[0].path):
        shapes = [flame.flame_motion(flame.read_parameters(c.path), str(c.path)).shape for c in clips]
        size = max(len(shape) for shape in shapes)
        shape = np.median([np.pad(s, (0, size - len(s))) for s in shapes], axis=0)
        return flame.rest_of(model, shape), faces, ["rest: the basis with the median shape of all clips"]
    first = np.median([_vertices(clip, None, None, 1)[0][0] for clip in clips], axis=0)
    note = "rest: the median of the clips' first frames, since no --template was passed; its mouth must be closed"
    return first, faces if faces is not None else _mesh_faces(clips[0]), [note]


def read_template(path: Path, subject: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """A face at rest (V, 3) and its faces: .obj, .ply, .npy, or .npz with the subject's name. Raises UserError."""
    if not path.is_file():
        raise UserError(f"--template {path}: no such file")
    if reader := MESHES.get(path.suffix.lower()):
        rest, faces = reader(path)
        return rest.astype(np.float64), faces
    if path.suffix.lower() == ".npy":
        rest = np.array(read_npy(path))
    else:
        arrays = read_npz(path)
        name = next((n for n in arrays if subject and (n in subject or subject in n)), None)
        if name is None and len(arrays) == 1:
            name = next(iter(arrays))
        if name is None:
            raise UserError(f"--template {path}: holds several faces ({', '.join(arrays)}); pass --subject")
        rest = arrays[name]
    if rest.ndim != 2 or rest.shape[1] != 3 or rest.dtype.kind not in "fiu":
        raise UserError(f"--template {path}: expected numbers (V, 3), found {rest.shape} of {rest.dtype}")
    return np.asarray(rest, np.float64), None


def _is_parameters(path: Path) -> bool:
    return path.suffix.lower() == ".npz" or (path.is_dir() and any(path.glob("*.npy")))


def _mesh_faces(clip: FlameClip) -> np.ndarray | None:
    return MESHES[clip.meshes[0].suffix.lower()](clip.meshes[0])[1] if clip.meshes else None


def _vertices(
    clip: FlameClip, model: flame.Flame | None, rest: np.ndarray | None, most: int | None = None
) -> tuple[np.ndarray, flame.FlameMotion | None]:
    """Frames (T, V, 3) of a clip, the first `most` only, and its parameters if it has any."""
    path = clip.path
    if _is_parameters(path):
        if model is None or rest is None:
            raise UserError(f"{path}: parameters need FLAME's basis; pass --basis")
        motion = flame.flame_motion(flame.read_parameters(path), str(path))
        return flame.skin(model, rest, motion), motion
    if clip.meshes:
        meshes = [MESHES[p.suffix.lower()](p)[0] for p in clip.meshes[:most]]
        if len({m.shape for m in meshes}) > 1:
            raise UserError(f"{path}: its meshes have different numbers of vertices")
        return _without_gaps(np.stack(meshes), clip.frames[:most]), None
    shape = npy_header(path)[0]
    if len(shape) == 2 and shape[1] % 3 == 0:
        shape = (shape[0], shape[1] // 3, 3)  # as most programs that train on VOCASET keep it
    if len(shape) != 3 or shape[2] != 3:
        raise UserError(f"{path}: expected frames (T, V, 3) or (T, 3 V), found {shape}")
    return np.array(read_npy(path)[:most], np.float32).reshape(-1, *shape[1:]), None


def _without_gaps(meshes: np.ndarray, frames: Sequence[int]) -> np.ndarray:
    """Frames 0, 1, … (T, V, 3) of meshes (n, V, 3) that are those of `frames`, straight lines between them."""
    if len(frames) == frames[-1] + 1:
        return meshes
    position = np.interp(np.arange(frames[-1] + 1), frames, np.arange(len(frames)))
    first = position.astype(int)
    share = (position - first).astype(np.float32)[:, None, None]
    return (1 - share) * meshes[first] + share * meshes[np.minimum(first + 1, len(meshes) - 1)]


def _shots(
    clips: Sequence[FlameClip], model: flame.Flame | None, rest: np.ndarray, scale: float, options: FlameOptions,
    notes: list[str],
) -> Iterator[ShotParts]:  # fmt: skip
    fps = options.out_fps or options.fps
    for clip in clips:
        skin, motion = _vertices(clip, model, rest)
        if skin.shape[1:] != rest.shape:
            raise UserError(f"{clip.path}: {skin.shape[1]} vertices, but the face at rest has {len(rest)}")
        jaw = None if motion is None or model is None else scale * flame.jaw_motion(model, rest, motion)[1]
        eyes = None if motion is None else flame.gaze(motion)
        if fps != options.fps:
            skin = resample_frames(skin, options.fps, fps)
            jaw, eyes = (x if x is None else resample_frames(x, options.fps, fps) for x in (jaw, eyes))
        samples, rate = begin_at(read_take_sound(clip.sound), 0.0, len(skin) / fps, options.sample_rate)
        num_frames = min(int((len(samples) / rate + PADDED_S) * fps), len(skin))
        if num_frames < len(skin):
            notes.append(f"{clip.name}: the sound ends at frame {num_frames} of {len(skin)}; trimmed there")
        wanted = round(num_frames / fps * rate)
        samples = np.pad(samples, ((0, max(wanted - len(samples), 0)), (0, 0)))[:wanted]
        about = {"clip": str(clip.path), "sound": str(clip.sound)}
        jaw, eyes = (x if x is None else x[:num_frames] for x in (jaw, eyes))
        yield ShotParts(clip.name, scale * skin[:num_frames], samples, rate, jaw=jaw, eyes=eyes, about=about)


def _still() -> flame.FlameMotion:
    return flame.FlameMotion(np.zeros((1, 1)), np.zeros((1, 3)), np.zeros((1, 2, 3)), np.zeros(0))
