"""A run of inference: what config_inference asks for, checked, and the files that are written."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.audio.waveform import speech_problems
from audio2face.audio.windows import frame_count
from audio2face.config import Section
from audio2face.face.curves import CurveGroup
from audio2face.formats import ANIMATION_WRITERS
from audio2face.formats.json_file import write_json
from audio2face.formats.keyframes import Keyframes, write_keyframes
from audio2face.formats.npy import write_npy
from audio2face.formats.sound import read_sound, sound_info
from audio2face.inference.animate import Animator, Speaker, Take, empty_frames, load_animator
from audio2face.inference.audio_inputs import audio_files, emotion_slug, local_paths
from audio2face.inference.clip import Clip, FaceFiles, shown_channels
from audio2face.inference.films import film_together
from audio2face.inference.guides import Guide, GuidePlan, Listened, build_guide, check_guide, open_guide
from audio2face.inference.keys import KEYS, given_keys, read_keys, take_names
from audio2face.inference.outputs import EXPORTERS, check_exports, default_formats, wants, write_curve_arrays
from audio2face.inference.package import Actor, run_actor
from audio2face.inference.rate import channels_at, middles
from audio2face.inference.raw import ENDING, raw_channels, write_raw
from audio2face.inference.takes_file import TAKES_FILE, about_take
from audio2face.inference.talks import Talk, both_voices, build_talks, sides_of
from audio2face.models import run_family
from audio2face.models.common.options import Options, actor_name
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
    talks: list[Talk]
    formats: tuple[str, ...]
    emotion: Any
    options: Options
    postprocess: bool
    fps: float | None = None  # of what is written; None for the network's
    partner_actor: Actor | None = None  # who plays the other side where both are animated
    keys: Mapping[str, Keyframes] = field(default_factory=dict)  # by the name of a talk, or of its take
    guide: GuidePlan | None = None  # draws keyframes where there are no `keys`
    head: InferenceJob | None = None  # of a second run, whose groups of curves take part

    @property
    def files(self) -> list[Path]:
        """The sound files that are animated."""
        return [talk.own.path for talk in self.talks]

    @property
    def actors(self) -> dict[str, Actor]:
        """Everybody whose face is animated, by name."""
        return {actor.name: actor for actor in (self.actor, self.partner_actor) if actor is not None}

    def stem(self, talk: Talk, take: int) -> str:
        """The name of a take's outputs, without suffix."""
        name, mode = talk.actor, self.options.mode.name
        behaviour, emotion = self.options.behaviour or name, emotion_slug(self.run.spec, self.emotion)
        stem = "_".join((talk.name, name, behaviour, emotion, mode))
        return stem if self.options.takes == 1 else f"{stem}_take{take + 1}"

    def write(self, folder: Path, device: Any) -> None:
        """Animate every sound on a torch.device and write the outputs into `folder`; where there are conversations, with a list
        of them, `takes.json`."""
        animator, head = self.animator(device), None if self.head is None else self.head.animator(device)
        guide = None if self.guide is None else open_guide(self.guide, device)
        about: list[dict[str, Any]] = []
        for sides in sides_of(self.talks):
            listened = {talk.name: guide.hear(talk, self.emotion) for talk in sides} if guide else {}
            for take in range(self.options.takes):
                with ExitStack() as kept:
                    keys = [self._keys(guide, listened, talk, take, folder) for talk in sides]
                    pairs = zip(sides, keys, strict=True)
                    made = [self._write_take(animator, head, talk, take, key, folder, kept) for talk, key in pairs]
                    for talk, one in zip(sides, made, strict=True):
                        about.append(about_take(self.stem(talk, take), talk, take, one, self.options, self.emotion))
                    if len(sides) > 1 and "mp4" in self.formats:
                        self._film_both(folder / f"{self.stem(sides[0], take)}_both.mp4", sides, made)
        if run_family(self.run).hears_partner:
            write_json(folder / TAKES_FILE, {"run": self.run.name, "takes": about})

    def animator(self, device: Any) -> Animator:
        """The run's network and everybody whose face it animates, ready on a torch.device."""
        return load_animator(self.run, self.actors, self.options, device, self.postprocess)

    def keeps_raw(self, actor: Actor) -> bool:
        """Whether what the network gave is kept beside what is written: post-processing changes it, and it can be edited."""
        return self.postprocess and actor.face.has_mesh and run_family(self.run).edits

    def raw(self, actor: Actor, made: Take) -> dict[str, np.ndarray]:
        """The face {channel: (T, size)} before post-processing, in data units."""
        codec = self.run.spec.output_codec(self.run.actor(actor.name))
        return raw_channels(codec, actor.codec.face.decode(made.rows[:, : actor.codec.face.layout.size]))

    def _write_take(
        self,
        animator: Animator,
        head: Animator | None,
        talk: Talk,
        take: int,
        keys: Keyframes | None,
        folder: Path,
        kept: ExitStack,
    ) -> FaceAnimation:
        """The animation, which lies in files until `kept` ends if it is large."""
        started, actor = time.perf_counter(), self.actors[talk.actor]
        sound, stem = animator.load_sound(talk.own.path, talk.own.channel), self.stem(talk, take)
        speaker = Speaker(talk.actor, self.emotion, take, animator.load_partner(talk.partner))
        size = animator.num_frames(sound) * animator.frame_bytes(talk.actor)
        store = kept.enter_context(scratch(folder, size))
        given = None if keys is None else given_keys(keys, self.run, talk.actor, animator.num_frames(sound))
        made = animator.animate(sound, speaker, store, stem, given)
        if head is not None and self.head is not None:
            made = joined(made, head, self.head, talk, take)
        if self.fps is not None:
            count = frame_count(len(sound.samples), sound.sample_rate, self.fps)
            made = at_rate(made, self.fps, count, {**actor.codec.groups, **actor.face.curves}, store)
        computed = time.perf_counter() - started
        write_outputs(folder / stem, made, self.formats, actor.face, talk.own.path)
        if self.keeps_raw(actor):
            write_raw(folder / f"{stem}{ENDING}", self.raw(actor, made), float(self.run.spec.fps))
        logger.info(
            "%s: %.1f s of sound, %d frames at %g fps, computed in %.1f s, written in %.1f s",
            *(stem, sound.duration_s, made.animation.num_frames, made.animation.fps, computed),
            time.perf_counter() - started - computed,
        )
        return made.animation

    def _keys(
        self, guide: Guide | None, listened: Mapping[str, Listened], talk: Talk, take: int, folder: Path
    ) -> Keyframes | None:
        """The keyframes of a take: those of a file, else of the guide, which are written. None without any."""
        names = take_names(talk, self.options.takes)
        keys = self.keys.get(names[take], self.keys.get(talk.name))
        if keys is not None or guide is None:
            return keys
        path = folder / f"{names[take]}{KEYS}"
        drawn = guide.keys(listened[talk.name], take, self.run.spec.output_codec(self.run.actor(talk.actor)))
        write_keyframes(path, drawn)
        logger.info("%s: %d keyframes", path.name, len(drawn.frames))
        return drawn

    def _film_both(self, path: Path, sides: Sequence[Talk], made: Sequence[FaceAnimation]) -> None:
        count = min(one.num_frames for one in made)
        clips = []
        for talk, one in zip(sides, made, strict=True):
            face = self.actors[talk.actor].face
            channels = {name: values[:count] for name, values in shown_channels(one.channels, face).items()}
            clips.append(Clip(FaceAnimation(one.fps, channels), face))
        film_together(path, clips, [f"{talk.actor}: {talk.name}" for talk in sides], both_voices(sides[0]))


def build_job(
    section: Section,
    run: TrainRun,
    configs: Mapping[str, Mapping[str, Any]],
    guide: TrainRun | None = None,
    head: SecondRun | None = None,
) -> InferenceJob:
    """Check what config_inference asks of a training run, of the `guide` that GUIDE_RUN names, and of a second run for the head.
    Raises UserError listing every mistake found."""
    problems = Problems()
    options = problems.attempt(build_options, section, run)
    files = problems.attempt(audio_files, local_paths(section.AUDIO_PATH)) or []
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
    partner = problems.attempt(_build_partner, section, run, name, configs, formats) if actor is not None else None
    for who in dict.fromkeys(who.name for who in (actor, partner) if who is not None):
        face = next(known.face for known in (actor, partner) if known is not None and known.name == who)
        problems.attempt(check_exports, formats, face, f"actor {who}")
    problems.raise_errors()
    assert actor is not None and options is not None
    talks = build_talks(section, run, actor.name, partner.name if partner else None, files)
    codecs = {name: run.spec.output_codec(run.actor(name)) for name in dict.fromkeys(talk.actor for talk in talks)}
    keys = read_keys(section.values.get("KEYFRAMES_PATH"), talks, codecs, options.takes)
    plan = None
    if guide is not None:
        check_guide(guide, codecs, section.EMOTION_LABEL)
        plan = build_guide(guide, options.seed, section)
    elif alone := [key for key in ("GUIDE_TOP_P", "GUIDE_TEMPERATURE") if section.values.get(key) is not None]:
        raise UserError(f"{alone[0]}: has no effect without GUIDE_RUN; leave it out, or name a guide")
    if (keys or guide) and not run_family(run).takes_keys:
        key = "KEYFRAMES_PATH" if keys else "GUIDE_RUN"
        raise UserError(f'{key}: a {run.spec.network_name} takes no keyframes; train a "diffusion_transformer"')
    post, fps = section.APPLY_POSTPROCESSING, section.OUTPUT_FPS
    emotion = section.EMOTION_LABEL
    return InferenceJob(run, actor, talks, formats, emotion, options, post, fps, partner, keys, plan, second)


def _build_head(section: Section, second: SecondRun, actor: str, files: list[Path]) -> InferenceJob:
    """What the run of HEAD_RUN makes of the same sounds. Its actor is the one of that name, or its only one."""
    run, problems = second.run, Problems()
    if section.values.get("BOTH_SIDES"):
        problems.error("", "HEAD_RUN moves one head; leave out BOTH_SIDES", key="HEAD_RUN")
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
    return InferenceJob(run, found, build_talks(section, run, found.name, None, files), (), emotion, options, False)


def _build_partner(
    section: Section, run: TrainRun, actor: str, configs: Mapping[str, Mapping[str, Any]], formats: tuple[str, ...]
) -> Actor | None:
    """Who plays the other side with BOTH_SIDES: PARTNER_ACTOR_NAME, else the other of two actors, else the same one."""
    if not section.values.get("BOTH_SIDES"):
        return None
    name, others = section.values.get("PARTNER_ACTOR_NAME"), [other for other in run.spec.actors if other != actor]
    if name is not None and name not in run.spec.actors:
        raise UserError(f"PARTNER_ACTOR_NAME {name!r} is not in the run: {', '.join(run.spec.actors)}")
    name = name or (others[0] if len(others) == 1 else actor)
    return run_actor(run, name, configs[name], wants(formats, "weights"))


def build_options(section: Section, run: TrainRun) -> Options:
    """How config_inference wants a training run to animate, as its family reads it. Raises UserError."""
    return run_family(run).options(section, run)


def joined(made: Take, animator: Animator, head: InferenceJob, talk: Talk, take: int) -> Take:
    """An animation with the groups of curves that a second run makes of the same sound."""
    sound, animation = animator.load_sound(talk.own.path, talk.own.channel), made.animation
    speaker = Speaker(head.actor.name, head.emotion, take)
    second = animator.animate(sound, speaker, label=f"{talk.name}, {head.run.name}")
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
