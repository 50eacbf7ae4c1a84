"""What both kinds of inference share: checks of config_inference, and the files that are written."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audio2face.audio.waveform import hearing_problems
from audio2face.config import Section
from audio2face.face.rig import read_rig
from audio2face.formats import ANIMATION_WRITERS
from audio2face.formats.npy import write_npy
from audio2face.formats.sound import read_sound, sound_info
from audio2face.inference.audio_inputs import audio_files, emotion_track
from audio2face.inference.outputs import EXPORTERS, Clip, FaceFiles, check_exports, wants
from audio2face.paths import local_path
from audio2face.problems import Problems, UserError
from audio2face.runs.train_run import ActorData, TrainRun
from audio2face.types import FaceAnimation

logger = logging.getLogger(__name__)

IN_MEMORY_BYTES = 2e8  # meshes of longer animations are kept in files while they are written
MESHES = {"skin": "head_meshShape", "tongue": "tongue_meshShape"}  # channel -> its name inside a Maya cache


def check_common(problems: Problems, section: Section, run: TrainRun) -> tuple[list[Path], tuple[str, ...]]:
    """The sound files and output formats; also checks EMOTION_LABEL."""
    files = problems.attempt(audio_files, _local_paths(section.AUDIO_PATH)) or []
    problems.extend(line for path in files for line in _sound_problems(path))
    problems.attempt(emotion_track, run.spec, section.EMOTION_LABEL, np.zeros(1))
    return files, problems.attempt(_formats, section) or ()


def actor_name(name: str | None, run: TrainRun, key: str = "ACTOR_NAME") -> str:
    """The actor that a key names, or the only one there is. Raises UserError."""
    actors = run.spec.actors
    if name is None and len(actors) > 1:
        raise UserError(
            f"{key} is not set: training run {run.name} knows {', '.join(actors)}; set it in config_inference.py, or say "
            f"--actor {actors[0]}"
        )
    if name is not None and name not in actors:
        raise UserError(f"{key} {name!r}: training run {run.name} knows {', '.join(actors)}")
    return name or actors[0]


@contextmanager
def scratch(folder: Path, num_bytes: float) -> Iterator[Path | None]:
    """A folder for animations that are too large for memory, gone afterwards; None for small ones."""
    with tempfile.TemporaryDirectory(dir=folder) as path:
        yield Path(path) if num_bytes > IN_MEMORY_BYTES else None


def face_files(actor: ActorData, formats: tuple[str, ...]) -> FaceFiles:
    """The actor's faces, and its blendshapes when a format uses them. Raises UserError when a format lacks something."""
    try:
        rigs = (
            {mesh: read_rig(**files) for mesh, files in actor.blendshapes.items()} if wants(formats, "weights") else {}
        )
        face = FaceFiles(actor.topology, rigs)
    except ValueError as error:
        raise UserError(f"training run: {error}") from error
    check_exports(formats, face, f"actor {actor.actor}")
    return face


def write_outputs(
    stem: Path,
    result: np.ndarray,
    animation: FaceAnimation,
    formats: tuple[str, ...],
    face: FaceFiles,
    sound_file: Path,
) -> None:
    """Write one animation as `<stem>…`: meshes or weights in every format; with "npy" also the other arrays.

    `result` (T, C) is the network's own output.
    """
    clip = Clip(animation, face, read_sound(sound_file) if wants(formats, "sound") else None)
    for name in formats:
        if name in EXPORTERS:
            EXPORTERS[name].write(stem, clip)
            continue
        for channel, mesh in MESHES.items():
            suffix = "" if channel == "skin" and name != "npy" else f"_{channel}"
            path = stem.with_name(stem.name + suffix)
            ANIMATION_WRITERS[name](path, animation.channels[channel], animation.fps, mesh)
    if "npy" in formats:
        write_npy(stem.with_name(f"{stem.name}.npy"), result)
        for channel in animation.channels.keys() - MESHES.keys():
            write_npy(stem.with_name(f"{stem.name}_{channel}.npy"), animation.channels[channel])


def _local_paths(paths: str | list[str] | None) -> list[Path]:
    return [local_path(path) for path in ([paths] if isinstance(paths, str) else paths or ())]


def _sound_problems(path: Path) -> list[str]:
    """What makes a sound unusable; what makes it hard to understand is logged."""
    try:
        info = sound_info(path)
        doubts = [*filter(None, [info.note]), *hearing_problems(*read_sound(path))]
    except ValueError as error:
        return [f"AUDIO_PATH: {error}"]
    for line in doubts:
        logger.warning("AUDIO_PATH %s: %s", path, line)
    return [] if info.num_samples else [f"AUDIO_PATH {path}: the file holds no sound"]


def _formats(section: Section) -> tuple[str, ...]:
    flags = {"maya": section.OUTPUT_MAYA_CACHE, "npy": section.OUTPUT_NPY_FILE}
    chosen = [name for name, on in flags.items() if on] if section.OUTPUT_FORMATS is None else section.OUTPUT_FORMATS
    if not chosen:
        raise UserError("nothing to write: set OUTPUT_MAYA_CACHE or OUTPUT_NPY_FILE, or list OUTPUT_FORMATS")
    return tuple(chosen)
