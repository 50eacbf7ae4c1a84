"""A run of inference: what config_inference asks for, checked, and the files that are written."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.audio.waveform import speech_problems
from audio2face.audio.windows import frame_count
from audio2face.config import Section
from audio2face.face.curves import CurveGroup
from audio2face.formats import ANIMATION_WRITERS
from audio2face.formats.npy import write_npy
from audio2face.formats.sound import read_sound, sound_info
from audio2face.inference.animate import Animator, Speaker, Take, empty_frames, load_animator
from audio2face.inference.audio_inputs import audio_files, emotion_slug
from audio2face.inference.clip import Clip, FaceFiles, shown_channels
from audio2face.inference.outputs import EXPORTERS, check_exports, default_formats, wants, write_curve_arrays
from audio2face.inference.package import Actor, run_actor
from audio2face.inference.rate import channels_at, middles
from audio2face.inference.raw import ENDING, raw_channels, write_raw
from audio2face.models import run_family
from audio2face.models.common.options import Options, actor_name
from audio2face.paths import local_path
from audio2face.problems import Problems, UserError
from audio2face.runs.train_run import TrainRun
from audio2face.types import FaceAnimation

logger = logging.getLogger(__name__)

IN_MEMORY_BYTES = 2e8  # meshes of longer animations are kept in files while they are written
MESHES = {"skin": "head_meshShape", "tongue": "tongue_meshShape"}  # channel -> its name inside a Maya cache


@dataclass(frozen=True)
class SecondRun:
    """A training run whose curves join those of another, how it is to animate, and {actor: CONFIG}."""

    run: TrainRun
    section: Section
    configs: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class InferenceJob:
    """Everything that one run of inference decides before the network is loaded."""

    run: TrainRun
    actor: Actor
    files: list[Path]
    formats: tuple[str, ...]
    emotion: Any
    options: Options
    postprocess: bool
    fps: float | None = None  # of what is written; None for the network's
    head: InferenceJob | None = None  # of a second run, whose groups of curves take part

    def stem(self, path: Path, take: int) -> str:
        """The name of a take's outputs, without suffix."""
        name, mode = self.actor.name, self.options.mode.name
        behaviour, emotion = self.options.behaviour or name, emotion_slug(self.run.spec, self.emotion)
        stem = "_".join((path.stem, name, behaviour, emotion, mode))
        return stem if self.options.takes == 1 else f"{stem}_take{take + 1}"

    def write(self, folder: Path, device: Any) -> None:
        """Animate every sound file on a torch.device and write the outputs into `folder`."""
        animator, head = self.animator(device), None if self.head is None else self.head.animator(device)
        for path in self.files:
            for take in range(self.options.takes):
                self._write_take(animator, head, path, take, folder)

    def animator(self, device: Any) -> Animator:
        """The run's network and the actor, ready to animate on a torch.device."""
        return load_animator(self.run, {self.actor.name: self.actor}, self.options, device, self.postprocess)

    @property
    def keeps_raw(self) -> bool:
        """Whether what the network gave is kept beside what is written: post-processing changes it, and it can be edited."""
        return self.postprocess and self.actor.face.has_mesh and run_family(self.run).edits

    def raw(self, made: Take) -> dict[str, np.ndarray]:
        """The face {channel: (T, size)} before post-processing, in data units."""
        codec = self.run.spec.output_codec(self.run.actor(self.actor.name))
        return raw_channels(codec, self.actor.codec.face.decode(made.rows[:, : self.actor.codec.face.layout.size]))

    def _write_take(self, animator: Animator, head: Animator | None, path: Path, take: int, folder: Path) -> None:
        started = time.perf_counter()
        sound, stem = animator.load_sound(path), self.stem(path, take)
        speaker = Speaker(self.actor.name, self.emotion, take)
        with scratch(folder, animator.num_frames(sound) * animator.frame_bytes(self.actor.name)) as store:
            made = animator.animate(sound, speaker, store, label=stem)
            if head is not None and self.head is not None:
                made = joined(made, head, self.head, path, take)
            if self.fps is not None:
                count = frame_count(len(sound.samples), sound.sample_rate, self.fps)
                made = at_rate(made, self.fps, count, {**self.actor.codec.groups, **self.actor.face.curves}, store)
            computed = time.perf_counter() - started
            write_outputs(folder / stem, made, self.formats, self.actor.face, path)
            if self.keeps_raw:
                write_raw(folder / f"{stem}{ENDING}", self.raw(made), float(self.run.spec.fps))
        logger.info(
            "%s: %.1f s of sound, %d frames at %g fps, computed in %.1f s, written in %.1f s",
            *(stem, sound.duration_s, made.animation.num_frames, made.animation.fps, computed),
            time.perf_counter() - started - computed,
        )


def build_job(
    section: Section, run: TrainRun, configs: Mapping[str, Mapping[str, Any]], head: SecondRun | None = None
) -> InferenceJob:
    """Check what config_inference asks of a training run, and of a second one. Raises UserError listing every mistake found."""
    problems = Problems()
    options = problems.attempt(build_options, section, run)
    files = problems.attempt(audio_files, _local_paths(section.AUDIO_PATH)) or []
    problems.extend(line for path in files for line in _sound_problems(path))
    problems.attempt(run.spec.emotion_track, section.EMOTION_LABEL, np.zeros(1), key="EMOTION_LABEL")
    formats = problems.attempt(_build_formats, section) or ()
    name, actor = problems.attempt(actor_name, section.ACTOR_NAME, run), None
    if name is not None:
        rigs = wants(formats, "weights") or bool(section.values.get("EDIT", {}).get("file"))
        actor = problems.attempt(run_actor, run, name, configs[name], rigs)
    second = None if actor is None or head is None else problems.attempt(_build_head, section, head, actor.name, files)
    if actor is not None and second is not None:
        curves = {**actor.face.curves, **second.actor.face.curves}
        actor = replace(actor, face=replace(actor.face, curves=curves))
    if actor is not None and section.OUTPUT_FORMATS is None and "maya" in formats and not actor.face.has_mesh:
        formats = (*default_formats(actor.face), *(other for other in formats if other != "maya"))
        logger.info("actor %s has no face mesh for a Maya cache: writing %s", name, ", ".join(formats))
    if actor is not None:
        problems.attempt(check_exports, formats, actor.face, f"actor {name}")
    problems.raise_errors()
    assert actor is not None and options is not None
    post, fps = section.APPLY_POSTPROCESSING, section.OUTPUT_FPS
    return InferenceJob(run, actor, files, formats, section.EMOTION_LABEL, options, post, fps, second)


def _build_head(section: Section, second: SecondRun, actor: str, files: list[Path]) -> InferenceJob:
    """What the run of HEAD_RUN makes of the same sounds. Its actor is the one of that name, or its only one."""
    run, problems = second.run, Problems()
    options = problems.attempt(build_options, second.section, run)
    known = run.spec.actors
    name = actor if actor in known else known[0] if len(known) == 1 else None
    if name is None:
        problems.error(
            "", f"HEAD_RUN {run.name} knows {', '.join(known)}, and neither {actor} nor one alone", key="HEAD_RUN"
        )
    found = None if name is None else problems.attempt(run_actor, run, name, second.configs[name], False)
    if found is not None and not found.face.curves:
        problems.error(
            "", f"HEAD_RUN {run.name} gives no curves; TARGET_CHANNELS of its training names groups", key="HEAD_RUN"
        )
    problems.raise_errors()
    assert found is not None and options is not None
    emotion = section.EMOTION_LABEL
    try:
        run.spec.emotion_track(emotion, np.zeros(1))
    except UserError as error:
        logger.warning("HEAD_RUN %s takes its own default emotion: %s", run.name, error.lines[0])
        emotion = None
    return InferenceJob(run, found, files, (), emotion, options, False)


def build_options(section: Section, run: TrainRun) -> Options:
    """How config_inference wants a training run to animate, as its family reads it. Raises UserError."""
    return run_family(run).options(section, run)


def joined(made: Take, animator: Animator, head: InferenceJob, path: Path, take: int) -> Take:
    """An animation with the groups of curves that a second run makes of the same sound."""
    sound, animation = animator.load_sound(path), made.animation
    second = animator.animate(
        sound, Speaker(head.actor.name, head.emotion, take), label=f"{path.stem}, {head.run.name}"
    )
    if second.animation.fps != animation.fps:
        second = at_rate(second, animation.fps, animation.num_frames, head.actor.codec.groups, None)
    curves = {name: second.animation.channels[name] for name in head.actor.face.curves}
    return Take(made.rows, FaceAnimation(animation.fps, {**animation.channels, **curves}))


@contextmanager
def scratch(folder: Path, num_bytes: float) -> Iterator[Path | None]:
    """A folder for animations that are too large for memory, gone afterwards; None for small ones."""
    with tempfile.TemporaryDirectory(dir=folder) as path:
        yield Path(path) if num_bytes > IN_MEMORY_BYTES else None


def at_rate(made: Take, fps: float, count: int, groups: Mapping[str, CurveGroup], store: Path | None) -> Take:
    """An animation as `count` frames at another rate, large ones in files of the folder `store`; its rows stay as they are."""
    animation = made.animation
    position = middles(count, animation.fps, fps)

    def empty(channel: str, shape: tuple[int, ...]) -> np.ndarray:
        return empty_frames(shape, store if channel in MESHES else None, f"{channel}_at_rate")

    return Take(made.rows, FaceAnimation(fps, channels_at(animation.channels, groups, position, empty)))


def write_outputs(stem: Path, made: Take, formats: tuple[str, ...], face: FaceFiles, sound_file: Path) -> None:
    """Write one animation as `<stem>…`: meshes, weights or curves in every format; with "npy" also the other arrays."""
    animation = FaceAnimation(made.animation.fps, shown_channels(made.animation.channels, face))
    clip = Clip(animation, face, read_sound(sound_file) if wants(formats, "sound") else None)
    for name in formats:
        if name in EXPORTERS:
            EXPORTERS[name].write(stem, clip)
            continue
        for channel, mesh in MESHES.items() if face.has_mesh else ():
            suffix = "" if channel == "skin" and name != "npy" else f"_{channel}"
            path = stem.with_name(stem.name + suffix)
            ANIMATION_WRITERS[name](path, animation.channels[channel], animation.fps, mesh)
    if "npy" in formats:
        write_npy(stem.with_name(f"{stem.name}.npy"), made.rows)
        for channel in animation.channels.keys() - MESHES.keys() - face.curves.keys():
            write_npy(stem.with_name(f"{stem.name}_{channel}.npy"), animation.channels[channel])
        write_curve_arrays(stem, clip.curves, face)


def _local_paths(paths: str | list[str] | None) -> list[Path]:
    return [local_path(path) for path in ([paths] if isinstance(paths, str) else paths or ())]


def _sound_problems(path: Path) -> list[str]:
    """What makes a sound unusable; what makes it hard to understand is logged."""
    try:
        info = sound_info(path)
        doubts = [*filter(None, [info.note]), *speech_problems(*read_sound(path))]
    except ValueError as error:
        return [f"AUDIO_PATH: {error}"]
    for line in doubts:
        logger.warning("AUDIO_PATH %s: %s", path, line)
    return [] if info.num_samples else [f"AUDIO_PATH {path}: the file holds no sound"]


def _build_formats(section: Section) -> tuple[str, ...]:
    flags = {"maya": section.OUTPUT_MAYA_CACHE, "npy": section.OUTPUT_NPY_FILE}
    chosen = [name for name, on in flags.items() if on] if section.OUTPUT_FORMATS is None else section.OUTPUT_FORMATS
    if not chosen:
        raise UserError("nothing to write: set OUTPUT_MAYA_CACHE or OUTPUT_NPY_FILE, or list OUTPUT_FORMATS")
    return tuple(chosen)
