"""`run_inference.py`: animate the face from sound with a training run, without the runtime. Needs only the run."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face import runtime as runtimes
from audio2face.artifacts.run_dir import FULL_NAME, finish_run, new_run, write_provenance
from audio2face.artifacts.train_run import ActorData, TrainRun
from audio2face.audio.waveform import load_waveform
from audio2face.audio.windows import frame_times
from audio2face.commands.find_run import find_training_run, post_configs, train_section
from audio2face.config import Section, load_config, section_from_values
from audio2face.formats import ANIMATION_WRITERS
from audio2face.formats.npy import write_npy
from audio2face.formats.sound import sound_info
from audio2face.inference.animation import postprocessed_animation, regression_animation
from audio2face.inference.audio_inputs import audio_files, emotion_slug, emotion_track, normalized_samples
from audio2face.inference.backends import BACKENDS, Step
from audio2face.inference.modes import Mode, parse_mode
from audio2face.inference.rollout import frame_count, regression_rollout
from audio2face.paths import external_path, local_path
from audio2face.types import FaceAnimation, UserError, raise_problems

logger = logging.getLogger(__name__)

IN_MEMORY_BYTES = 1e9  # meshes of longer animations are kept in files while they are written
MESHES = {"skin": "head_meshShape", "tongue": "tongue_meshShape"}  # channel -> its name inside a Maya cache


@dataclass(frozen=True)
class Job:
    """Everything that one run of the command decides before it starts."""

    run: TrainRun
    actor: ActorData
    mode: Mode
    files: list[Path]
    emotion: Any
    implicit: np.ndarray  # (I,)
    config: dict[str, Any]
    formats: tuple[str, ...]
    postprocess: bool

    def stem(self, path: Path) -> str:
        """The name of a sound file's outputs, without suffix."""
        emotion = emotion_slug(self.run.spec, self.emotion)
        return "_".join((path.stem, self.actor.actor, self.actor.actor, emotion, self.mode.name))


def run(config_name: str, run_name: str, **overrides: Any) -> str:
    """Animate AUDIO_PATH with training run `run_name` (or `latest`) into INFERENCE_OUTPUT_ROOT; returns the new run's name.

    `overrides` replace keys of config_inference. Raises UserError for mistakes in the config or the sound files, before
    any folder is made.
    """
    train = train_section(config_name, run_name)
    training_run = find_training_run(config_name, run_name, train)
    network_type = training_run.spec.network_type
    section = load_config(config_name, (), optional=("inference",), network_type=network_type)["inference"]
    configs = post_configs(section, training_run)
    if overrides:
        section = section_from_values("inference", {**section.modifier, **overrides}, network_type)
    job = METHODS[network_type](section, training_run, configs)
    runtime = runtimes.start()
    match = FULL_NAME.match(training_run.name)
    folder = new_run(local_path(section.INFERENCE_OUTPUT_ROOT), match[2] if match else training_run.name)
    runtimes.setup_logging(folder / "log.log")
    made_with = {"training_run_info": {"training_run_name_full": training_run.name}}
    write_provenance(folder, {"inference": section}, "", made_with)
    step = BACKENDS[job.mode.backend](training_run, job.actor.actor, runtime.device)
    for path in job.files:
        animate(job, step, path, folder)
    finish_run(folder)
    logger.info("animations: %s", external_path(folder))
    return folder.name


def build_regression(section: Section, run: TrainRun, configs: dict[str, dict[str, Any]]) -> Job:
    """Check what config_inference asks of a regression run. Raises UserError listing every mistake found."""
    mode = parse_mode(section.INFERENCE_MODE, run.spec.network_type)
    problems: list[str] = []

    def attempt(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except UserError as error:
            problems.extend(error.lines)
        return None

    actor = attempt(lambda: run.actor(_actor_name(section.ACTOR_NAME, run)))
    files = attempt(lambda: audio_files(_local_paths(section.AUDIO_PATH))) or []
    problems += [line for path in files for line in _sound_problems(path)]
    attempt(lambda: emotion_track(run.spec, section.EMOTION_LABEL, np.zeros(1)))
    formats = attempt(lambda: _formats(section))
    config = configs.get(actor.actor, {}) if actor else {}
    chosen = (config.get("source_shot"), config.get("source_frame"))
    implicit = attempt(lambda: run.emotion_db(actor.actor).row(*chosen)) if actor else None
    raise_problems(problems)
    assert actor is not None and implicit is not None
    return Job(run, actor, mode, files, section.EMOTION_LABEL, implicit, config, formats, section.APPLY_POSTPROCESSING)


METHODS: dict[str, Callable[[Section, TrainRun, dict[str, dict[str, Any]]], Job]] = {"regression": build_regression}


def animate(job: Job, step: Step, path: Path, folder: Path) -> None:
    """Animate one sound file and write its outputs into `folder`."""
    started = time.perf_counter()
    spec = job.run.spec
    waveform = load_waveform(path, spec.audio_method, spec.audio_params["samplerate"])
    samples = normalized_samples(waveform)
    if job.postprocess:
        samples = samples * np.float32(job.config["input_strength"])
    times = frame_times(frame_count(len(samples), waveform.sample_rate, spec.fps), spec.fps)
    implicit = np.broadcast_to(job.implicit, (len(times), len(job.implicit)))
    emotions = np.concatenate([implicit, emotion_track(spec, job.emotion, times)], axis=1)
    result = regression_rollout(step, samples, times, emotions, spec.audio_params, label=path.name)
    computed = time.perf_counter() - started
    mesh_bytes = 4 * len(times) * sum(job.actor.network_data[f"shapes_mean_{p}"].size for p in ("skin", "tongue"))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        store = Path(scratch) if mesh_bytes > IN_MEMORY_BYTES else None
        if job.postprocess:
            animation = postprocessed_animation(result, job.actor, job.config, spec.fps, store)
        else:
            animation = regression_animation(result, job.actor, spec.fps, store)
        write_outputs(folder / job.stem(path), result, animation, job.formats)
    logger.info(
        "%s: %.1f s of sound, %d frames at %g fps, computed in %.1f s, written in %.1f s",
        *(path.name, waveform.duration_s, len(times), spec.fps, computed, time.perf_counter() - started - computed),
    )


def write_outputs(stem: Path, result: np.ndarray, animation: FaceAnimation, formats: tuple[str, ...]) -> None:
    """Write one animation as `<stem>…`: skin and tongue in every format; with "npy" also the other arrays.

    `result` (T, C) is the network's own output.
    """
    for name in formats:
        for channel, mesh in MESHES.items():
            suffix = "" if channel == "skin" and name != "npy" else f"_{channel}"
            path = stem.with_name(stem.name + suffix)
            ANIMATION_WRITERS[name](path, animation.channels[channel], animation.fps, mesh)
    if "npy" in formats:
        write_npy(stem.with_name(f"{stem.name}.npy"), result)
        for channel in animation.channels.keys() - MESHES.keys():
            write_npy(stem.with_name(f"{stem.name}_{channel}.npy"), animation.channels[channel])


def _actor_name(name: str | None, run: TrainRun) -> str:
    actors = run.spec.actors
    if name is None and len(actors) > 1:
        raise UserError(f"ACTOR_NAME is not set: training run {run.name} knows {', '.join(actors)}")
    if name is not None and name not in actors:
        raise UserError(f"ACTOR_NAME {name!r}: training run {run.name} knows {', '.join(actors)}")
    return name or actors[0]


def _local_paths(paths: str | list[str] | None) -> list[Path]:
    return [local_path(path) for path in ([paths] if isinstance(paths, str) else paths or ())]


def _sound_problems(path: Path) -> list[str]:
    try:
        return [] if sound_info(path).num_samples else [f"AUDIO_PATH {path}: the file holds no sound"]
    except ValueError as error:
        return [f"AUDIO_PATH: {error}"]


def _formats(section: Section) -> tuple[str, ...]:
    flags = {"maya": section.OUTPUT_MAYA_CACHE, "npy": section.OUTPUT_NPY_FILE}
    chosen = [name for name, on in flags.items() if on] if section.OUTPUT_FORMATS is None else section.OUTPUT_FORMATS
    if not chosen:
        raise UserError("nothing to write: set OUTPUT_MAYA_CACHE or OUTPUT_NPY_FILE, or list OUTPUT_FORMATS")
    return tuple(chosen)
