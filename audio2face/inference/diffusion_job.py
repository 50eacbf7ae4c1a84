"""Inference with a diffusion run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio2face.audio.waveform import load_waveform
from audio2face.audio.windows import frame_count
from audio2face.config import Section
from audio2face.deploy.tensorrt import require_tensorrt
from audio2face.formats.npy import read_npy
from audio2face.inference.audio_inputs import emotion_slug, emotion_track, normalized_samples
from audio2face.inference.job import actor_name, check_common, face_files, scratch, write_outputs
from audio2face.inference.modes import Mode, parse_mode
from audio2face.inference.outputs import FaceFiles
from audio2face.logs import Bar
from audio2face.models.diffusion.animation import diffusion_animation, pose_layout, postprocessed
from audio2face.models.diffusion.load import exported_step, load_graph, torch_step
from audio2face.models.diffusion.model import StreamingGraph
from audio2face.models.diffusion.rollout import FrameNoise, Performance, offline, stateless, streaming
from audio2face.paths import local_path
from audio2face.problems import Problems, UserError
from audio2face.respacing import kept_steps
from audio2face.runs.train_run import ActorData, TrainRun

logger = logging.getLogger(__name__)

Roll = Callable[[Performance, FrameNoise], Iterable[np.ndarray]]


@dataclass(frozen=True)
class DiffusionJob:
    """Everything that is decided before the network is loaded. `condition` names the actor whose behaviour is used."""

    run: TrainRun
    actor: ActorData
    condition: str
    mode: Mode
    files: list[Path]
    emotion: Any
    config: dict[str, Any]
    formats: tuple[str, ...]
    postprocess: bool
    respacing: str
    sampler: str
    skip: int
    seed: int
    takes: int
    noise: np.ndarray | None  # (S + 1, frames, C) of a window
    face: FaceFiles

    def stem(self, path: Path, take: int) -> str:
        """The name of a take's outputs, without suffix."""
        emotion = emotion_slug(self.run.spec, self.emotion)
        name = "_".join((path.stem, self.actor.actor, self.condition, emotion, self.mode.name))
        return name if self.takes == 1 else f"{name}_take{take + 1}"

    @property
    def identity(self) -> np.ndarray:
        """(A,) one-hot."""
        actors = self.run.spec.actors
        return np.eye(len(actors), dtype=np.float32)[actors.index(self.condition)]

    def start(self, device: torch.device) -> Callable[[Path, Path], None]:
        """Load the network; returns animate(sound file, output folder)."""
        delta = self.mode.delta or self.mode.exported
        graph = load_graph(self.run, device, self.respacing, self.sampler, delta)
        roll = self._roll(graph, device)
        mask, fixed = self._noise(graph)

        def animate(path: Path, folder: Path) -> None:
            for take in range(self.takes):
                noise = FrameNoise(graph.streaming, self.seed, take, mask, fixed)
                animate_take(self, roll, noise, path, folder / self.stem(path, take))

        return animate

    def _roll(self, graph: StreamingGraph, device: torch.device) -> Roll:
        if not self.mode.stateless:
            way = streaming if self.mode.windowed else offline
            return lambda performance, noise: way(graph, performance, noise, self.skip)
        step = exported_step(self.run, device, self.mode.backend) if self.mode.exported else torch_step(graph)
        latents = graph.network.num_gru_layers, graph.network.gru_feature_dim
        count, delta = graph.schedule.num_steps, graph.delta
        return lambda performance, noise: stateless(step, graph.space, count, latents, performance, noise, delta)

    def _noise(self, graph: StreamingGraph) -> tuple[np.ndarray, np.ndarray | None]:
        """Where there is noise (c,), and the given noise of the centre frames (S + 1, centre, c), on network values."""
        s, device = graph.streaming, graph.space.mean.device
        with torch.inference_mode():
            identity = torch.from_numpy(self.identity)[None].to(device)
            mask = graph.space.noised(identity)[0].cpu().numpy()
            if self.noise is None:
                return mask, None
            centre = torch.from_numpy(self.noise[None, :, s.left : s.left + s.centre]).to(device)
            return mask, graph.space.project_noise(centre, identity)[0].cpu().numpy()


def build(section: Section, run: TrainRun, configs: dict[str, dict[str, Any]]) -> DiffusionJob:
    """Check what config_inference asks of a diffusion run. Raises UserError listing every mistake found."""
    mode = parse_mode(section.INFERENCE_MODE or "offline", run.spec.network_type)
    problems = Problems()
    respacing = section.TIMESTEP_RESPACING
    respacing = str(section.NUM_DIFFUSION_STEPS) if respacing is None else respacing
    sampler = "ddim" if section.USE_DDIM else "ddpm"
    actor = problems.attempt(lambda: run.actor(actor_name(section.ACTOR_NAME, run)))
    condition = actor.actor if actor else None  # CONDITION follows ACTOR_NAME
    if section.CONDITION:
        condition = problems.attempt(lambda: actor_name(section.CONDITION, run, "CONDITION"))
    files, formats = check_common(problems, section, run)
    steps = problems.attempt(lambda: _steps(respacing, run))
    problems.attempt(lambda: _check_mode(mode, steps, sampler, section.SKIP_STEPS, run))
    noise = None
    if section.DETERMINISTIC_NOISE_PATH and actor and steps is not None:
        noise = problems.attempt(
            lambda: _fixed_noise(local_path(section.DETERMINISTIC_NOISE_PATH), run, actor, len(steps))
        )
    face = problems.attempt(lambda: face_files(actor, formats)) if actor else None
    problems.raise_errors()
    assert actor is not None and condition is not None and face is not None
    return DiffusionJob(
        run=run,
        actor=actor,
        condition=condition,
        mode=mode,
        files=files,
        emotion=section.EMOTION_LABEL,
        config=configs[actor.actor],
        formats=formats,
        postprocess=section.APPLY_POSTPROCESSING,
        respacing=respacing,
        sampler=sampler,
        skip=section.SKIP_STEPS,
        seed=section.RNG_SEED_INFERENCE,
        takes=section.NUM_SAMPLES,
        noise=noise,
        face=face,
    )


def animate_take(job: DiffusionJob, roll: Roll, noise: FrameNoise, path: Path, stem: Path) -> None:
    """Animate one sound file with one noise and write `<stem>…`."""
    started = time.perf_counter()
    spec = job.run.spec
    waveform = load_waveform(path, spec.audio_method, spec.audio_params["samplerate"])
    samples = normalized_samples(waveform, spec.extra["standardize"])
    count = frame_count(len(samples), waveform.sample_rate, spec.fps)

    def emotions(frames: np.ndarray) -> np.ndarray:
        return emotion_track(spec, job.emotion, (frames + 0.5) / spec.fps)

    blocks = roll(Performance(samples, count, job.identity, emotions), noise)
    with scratch(stem.parent, 4 * count * pose_layout(job.actor).size) as store:
        values, animation = diffusion_animation(_shown(blocks, count, stem.name), count, job.actor, spec.fps, store)
        computed = time.perf_counter() - started
        if job.postprocess:
            animation = postprocessed(values, job.actor, job.config, spec.fps, store)
        write_outputs(stem, values, animation, job.formats, job.face, path)
    logger.info(
        "%s: %.1f s of sound, %d frames at %g fps, computed in %.1f s, written in %.1f s",
        *(stem.name, waveform.duration_s, count, spec.fps, computed, time.perf_counter() - started - computed),
    )


def _shown(blocks: Iterable[np.ndarray], count: int, label: str) -> Iterator[np.ndarray]:
    with Bar(count, label, "frame") as progress:
        for block in blocks:
            yield block
            progress.update(len(block))


def _steps(respacing: str, run: TrainRun) -> list[int]:
    try:
        return kept_steps(run.spec.extra["diffusion_steps"], respacing)
    except ValueError as error:
        raise UserError(f"TIMESTEP_RESPACING {respacing!r}: {error}") from error


def _check_mode(mode: Mode, steps: list[int] | None, sampler: str, skip: int, run: TrainRun) -> None:
    if mode.backend == "trt":
        require_tensorrt(mode.name)
    if steps is not None and skip >= len(steps):
        raise UserError(f"SKIP_STEPS {skip}: must be less than the number of steps ({len(steps)})")
    if mode.stateless and skip:
        raise UserError(
            f"SKIP_STEPS {skip}: INFERENCE_MODE {mode.name!r} takes every step; use 'offline' or 'streaming'"
        )
    if not mode.exported or steps is None:
        return
    extra = run.spec.extra
    exported = kept_steps(extra["diffusion_steps"], extra["respacing"])
    if exported != steps or sampler != extra["sampler"]:
        raise UserError(
            f"INFERENCE_MODE {mode.name!r} runs network.onnx, which was exported with TIMESTEP_RESPACING "
            f"{extra['respacing']!r} and USE_DDIM {extra['sampler'] == 'ddim'}: set the same here, or train again"
        )


def _fixed_noise(path: Path, run: TrainRun, actor: ActorData, steps: int) -> np.ndarray:
    """DETERMINISTIC_NOISE_PATH as (S + 1, frames, C) float32."""
    try:
        noise = np.array(read_npy(path), np.float32)
    except (OSError, ValueError) as error:
        raise UserError(f"DETERMINISTIC_NOISE_PATH: {error}") from error
    cfg = run.spec.extra["streaming"]
    frames = cfg["left_truncate"] + cfg["block_frame_size"] + cfg["right_truncate"]
    wanted = (steps + 1, frames, pose_layout(actor).size)
    if noise.ndim == 4 and len(noise) == 1:
        noise = noise[0]
    if noise.shape != wanted:
        raise UserError(
            f"DETERMINISTIC_NOISE_PATH {path}: has shape {noise.shape}, expected {wanted}: steps + 1, frames of a window, "
            "values of a frame"
        )
    return noise
