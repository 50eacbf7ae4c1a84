"""A person's folder in the layout of audio2photoreal becomes a data set: body, codes of the face, sound of both who talk.

Of each scene there are `sceneNN_audio.wav` (48 kHz, this person and the partner), `sceneNN_body_pose.npy` (T, 104),
`sceneNN_face_expression.npy` (T, 256) and `sceneNN_missing_face_frames.npy`, frame numbers whose codes are not usable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from audio2face.audio.waveform import resample
from audio2face.formats.curve_table import CurveTable, curve_table, read_missing
from audio2face.formats.git_lfs import pointer_problems
from audio2face.formats.npy import npy_header, read_npy
from audio2face.formats.sound import read_sound, sound_info
from audio2face.importing.curve_dataset import CurveShot, Motion, write_curve_dataset
from audio2face.importing.dataset import Written, check_target
from audio2face.listing import natural_order, passed_over
from audio2face.problems import UserError, raise_problems

FPS = 30.0
RATE = 48000
SAMPLES = round(RATE / FPS)  # a frame
CHANNELS = {"self": 0, "partner": 1}
BODY, CODES = "body", "codes"
JOINTS, CODE_SIZE = 98, 256
ROOT = tuple(f"root_{what}" for what in ("translation_x", "translation_y", "translation_z"))
ROOT_TURN = tuple(f"root_rotation_{axis}_rad" for axis in "xyz")
BODY_NAMES = (*ROOT, *ROOT_TURN, *(f"joint_{number:03d}" for number in range(JOINTS)))
CODE_NAMES = tuple(f"code_{number:03d}" for number in range(CODE_SIZE))
TURN = slice(len(ROOT), len(ROOT) + len(ROOT_TURN))

SOUND, POSE, FACE, MISSING = "_audio.wav", "_body_pose.npy", "_face_expression.npy", "_missing_face_frames.npy"
NOT_OPENED = "data_stats.pth"
HELD = 6  # scenes at the end that are not trained on, as in the published split
MOST_HELD_SHARE = 1 / 3


@dataclass(frozen=True)
class Scene:
    """One scene: its files, how many frames it has, and which of them (n,) have no usable codes."""

    name: str
    folder: Path
    num_frames: int
    missing: np.ndarray

    @property
    def has_codes(self) -> bool:
        """Whether any frame has codes."""
        return len(self.missing) < self.num_frames

    def path(self, kind: str) -> Path:
        """One of its files."""
        return self.folder / f"{self.name}{kind}"


def import_photoreal(
    folder: Path, out: Path, sample_rate: int | None = None, anew: bool = False
) -> tuple[Written, list[str]]:
    """Write the data set of one person to `out`: what was written, and lines of what was decided.

    The groups are `body`, whose turn of the root goes on beyond a whole turn, and `codes`. The last scenes are held out.
    Raises UserError with a line for every scene that is not as described.
    """
    check_target(out, anew)
    scenes, notes = read_scenes(folder)
    turns = usual_turns([read_npy(scene.path(POSE))[:, TURN] for scene in scenes])
    written = write_curve_dataset(
        out, _shots(scenes, turns, sample_rate), (BODY, CODES), FPS, {"importer": "photoreal"}, anew
    )
    held = held_scenes(scenes)
    notes += [f"not trained on, to measure on: {', '.join(held)}"] if held else []
    return replace(written, held=held, audio_channels=CHANNELS, formats=("npz",)), notes


def read_scenes(folder: Path) -> tuple[list[Scene], list[str]]:
    """The scenes of a person's folder in order, and notes. Raises UserError with a line for each that is not as described."""
    files = natural_order(p for p in folder.iterdir() if p.is_file())
    kinds = (SOUND, POSE, FACE, MISSING)
    names = dict.fromkeys(p.name.removesuffix(kind) for p in files for kind in kinds if p.name.endswith(kind))
    if not names:
        expected = ", ".join(f"scene01{kind}" for kind in kinds)
        raise UserError(f"{folder}: no scenes; expected a person's folder with {expected}")
    raise_problems(pointer_problems(p for p in files if p.name.endswith(kinds)))
    found = [_read_scene(folder, name) for name in names]
    raise_problems([scene for scene in found if isinstance(scene, str)])
    scenes = [scene for scene in found if isinstance(scene, Scene)]
    return scenes, _notes(scenes, [p for p in files if not p.name.endswith(kinds)])


def usual_turns(turns: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Turns (T, 3) of scenes in radians that go on beyond a whole turn, each scene by whole turns as near as can be to all."""
    going_on = [np.unwrap(np.asarray(scene, np.float64), axis=0) for scene in turns]
    waves = np.exp(1j * np.concatenate(going_on)).mean(axis=0)
    middle = np.angle(waves)
    whole = [np.round((np.median(scene, axis=0) - middle) / (2 * np.pi)) for scene in going_on]
    return [scene - 2 * np.pi * turn for scene, turn in zip(going_on, whole, strict=True)]


def held_scenes(scenes: Sequence[Scene]) -> tuple[str, ...]:
    """The last HELD scenes that have codes, of few scenes a third."""
    usual = [scene.name for scene in scenes if scene.has_codes] or [scene.name for scene in scenes]
    count = min(HELD, int(len(usual) * MOST_HELD_SHARE))
    return tuple(usual[-count:]) if count else ()


def _shots(scenes: Sequence[Scene], turns: Sequence[np.ndarray], sample_rate: int | None) -> Iterator[CurveShot]:
    for scene, turn in zip(scenes, turns, strict=True):
        pose = np.array(read_npy(scene.path(POSE)), np.float32)
        pose[:, TURN] = turn
        groups: dict[str, CurveTable | Motion] = {BODY: _table(scene.path(POSE), BODY_NAMES, pose)}
        if scene.has_codes:
            valid = np.ones(scene.num_frames, bool)
            valid[scene.missing] = False
            groups[CODES] = _table(scene.path(FACE), CODE_NAMES, read_npy(scene.path(FACE)), valid)
        samples, rate = read_sound(scene.path(SOUND))
        if sample_rate is not None and sample_rate != rate:
            samples, rate = resample(samples.T, rate, sample_rate).T, sample_rate
        yield CurveShot(scene.name, groups, samples, rate, {"missing_codes": len(scene.missing)})


def _table(path: Path, names: Sequence[str], values: np.ndarray, valid: np.ndarray | None = None) -> CurveTable:
    return curve_table(names, values, FPS, valid, np.arange(len(values)) / FPS, "photoreal", path)


def _read_scene(folder: Path, name: str) -> Scene | str:
    """A scene by its headers and list of frames, or a line with all that is wrong with it."""
    wrong, lengths = [], {}
    for kind, columns in ((POSE, len(BODY_NAMES)), (FACE, CODE_SIZE)):
        found = _length(folder / f"{name}{kind}", columns)
        if isinstance(found, str):
            wrong.append(found)
        else:
            lengths[kind] = found
    if len(set(lengths.values())) > 1:
        wrong.append(f"{POSE[1:]} has {lengths[POSE]} frames, {FACE[1:]} {lengths[FACE]}")
    wrong += _sound_problems(folder / f"{name}{SOUND}", lengths.get(POSE))
    missing, count = np.zeros(0, np.int64), lengths.get(FACE)
    path = folder / f"{name}{MISSING}"
    if count is not None and path.exists():
        try:
            missing = read_missing(path, count)
        except ValueError as error:
            wrong.append(_short(error, path))
    return f"{folder / name}: {'; '.join(wrong)}" if wrong else Scene(name, folder, lengths[POSE], missing)


def _length(path: Path, columns: int) -> int | str:
    """How many frames an array of so many columns has, or what is wrong with it."""
    what = path.name.split("_", 1)[1]
    if not path.is_file():
        return f"{what} is missing"
    try:
        shape, _, dtype, _ = npy_header(path)
    except ValueError as error:
        return _short(error, path)
    if len(shape) != 2 or shape[1] != columns or not shape[0] or dtype.kind != "f":
        return f"{what}: expected numbers (T, {columns}), found {shape} of {dtype}"
    return int(shape[0])


def _sound_problems(path: Path, frames: int | None) -> list[str]:
    if not path.is_file():
        return [f"{SOUND[1:]} is missing"]
    try:
        info = sound_info(path)
    except ValueError as error:
        return [_short(error, path)]
    if (info.sample_rate, info.num_channels) != (RATE, len(CHANNELS)):
        found = f"{info.sample_rate} Hz and {info.num_channels} channels"
        return [
            f"{SOUND[1:]}: expected {RATE} Hz and {len(CHANNELS)} channels (this person, the partner), found {found}"
        ]
    if frames is not None and info.num_samples != SAMPLES * frames:
        return [f"{SOUND[1:]}: expected {SAMPLES * frames} samples for {frames} frames, found {info.num_samples}"]
    return []


def _short(error: ValueError, path: Path) -> str:
    """What is wrong, with the file's name once."""
    return str(error).replace(f"{path}: ", f"{path.name.split('_', 1)[1]}: ").replace("\n", "; ")


def _notes(scenes: Sequence[Scene], others: Sequence[Path]) -> list[str]:
    """What the scenes hold and lack, and which files are not used."""
    seconds = sum(scene.num_frames for scene in scenes) / FPS
    notes = [
        f"{len(scenes)} scenes, {seconds:.0f} s; group {BODY}: {len(BODY_NAMES)} values, group {CODES}: {CODE_SIZE}",
        *(f"{s.name}: all codes are missing; its body is kept" for s in scenes if not s.has_codes),
    ]
    some = sum(len(s.missing) for s in scenes if s.has_codes)
    notes += [f"{some} frames of other scenes have no codes"] if some else []
    if lacking := [s.name for s in scenes if not s.path(MISSING).is_file()]:
        notes.append(f"no {MISSING[1:]}, so all codes count, of {', '.join(lacking)}")
    if any(p.name == NOT_OPENED for p in others):
        notes.append(f"{NOT_OPENED} is not opened: preprocessing computes means and spreads from the scenes")
    return notes + [f"not used: {line}" for line in passed_over(p for p in others if p.name != NOT_OPENED)]
