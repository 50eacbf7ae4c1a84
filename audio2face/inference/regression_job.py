"""Inference with a regression run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio2face.audio.waveform import load_waveform
from audio2face.audio.windows import frame_count, frame_times
from audio2face.config import Section
from audio2face.inference.animation import postprocessed_animation, regression_animation
from audio2face.inference.audio_inputs import emotion_slug, emotion_track, normalized_samples
from audio2face.inference.job import actor_name, check_common, face_files, scratch, write_outputs
from audio2face.inference.modes import Mode, parse_mode
from audio2face.inference.outputs import FaceFiles
from audio2face.models.common.engine import Step
from audio2face.models.regression.backends import BACKENDS
from audio2face.models.regression.rollout import regression_rollout
from audio2face.problems import Problems
from audio2face.runs.train_run import ActorData, TrainRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegressionJob:
    """Everything that is decided before the network is loaded."""

    run: TrainRun
    actor: ActorData
    mode: Mode
    files: list[Path]
    emotion: Any
    implicit: np.ndarray  # (I,)
    config: dict[str, Any]
    formats: tuple[str, ...]
    postprocess: bool
    face: FaceFiles

    def stem(self, path: Path) -> str:
        """The name of a sound file's outputs, without suffix."""
        emotion = emotion_slug(self.run.spec, self.emotion)
        return "_".join((path.stem, self.actor.actor, self.actor.actor, emotion, self.mode.name))

    def start(self, device: torch.device) -> Callable[[Path, Path], None]:
        """Load the network; returns animate(sound file, output folder)."""
        step = BACKENDS[self.mode.backend](self.run, self.actor.actor, device)
        return lambda path, folder: animate(self, step, path, folder)


def build(section: Section, run: TrainRun, configs: dict[str, dict[str, Any]]) -> RegressionJob:
    """Check what config_inference asks of a regression run. Raises UserError listing every mistake found."""
    mode = parse_mode(section.INFERENCE_MODE, run.spec.network_type)
    problems = Problems()
    actor = problems.attempt(lambda: run.actor(actor_name(section.ACTOR_NAME, run)))
    files, formats = check_common(problems, section, run)
    config = configs.get(actor.actor, {}) if actor else {}
    chosen = (config.get("source_shot"), config.get("source_frame"))
    implicit = problems.attempt(lambda: run.emotion_db(actor.actor).row(*chosen)) if actor else None
    face = problems.attempt(lambda: face_files(actor, formats)) if actor else None
    problems.raise_errors()
    assert actor is not None and implicit is not None and face is not None
    return RegressionJob(
        run, actor, mode, files, section.EMOTION_LABEL, implicit, config, formats, section.APPLY_POSTPROCESSING, face
    )


def animate(job: RegressionJob, step: Step, path: Path, folder: Path) -> None:
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
    with scratch(folder, mesh_bytes) as store:
        if job.postprocess:
            animation = postprocessed_animation(result, job.actor, job.config, spec.fps, store)
        else:
            animation = regression_animation(result, job.actor, spec.fps, store)
        write_outputs(folder / job.stem(path), result, animation, job.formats, job.face, path)
    logger.info(
        "%s: %.1f s of sound, %d frames at %g fps, computed in %.1f s, written in %.1f s",
        *(path.name, waveform.duration_s, len(times), spec.fps, computed, time.perf_counter() - started - computed),
    )
