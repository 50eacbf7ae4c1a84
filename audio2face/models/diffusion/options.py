"""How a diffusion run can animate: its modes, steps, sampler and given noise. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.audio.windows import Streaming
from audio2face.config import Section
from audio2face.face.codec import FaceCodec
from audio2face.formats.npy import read_npy
from audio2face.models.common.options import MODES as ALL_MODES
from audio2face.models.common.options import Mode, Options, actor_name, parse_mode
from audio2face.paths import local_path
from audio2face.problems import Problems, UserError
from audio2face.respacing import kept_steps
from audio2face.runs.train_run import ActorData, TrainRun

MODES = tuple(name for name in ALL_MODES if not name.startswith("offline_"))


@dataclass(frozen=True)
class Sampling:
    """Which steps are taken (`respacing`), how (`sampler`), how many of the noisiest are left out, and noise in place of
    random numbers: (S + 1, frames, C) of a window."""

    respacing: str
    sampler: str
    skip: int = 0
    noise: np.ndarray | None = None


def build_options(section: Section, run: TrainRun) -> Options:
    """What config_inference asks of a diffusion run. Raises UserError listing every mistake found."""
    mode = parse_mode(section.INFERENCE_MODE or "offline", run.spec.network_type, MODES)
    problems = Problems()
    respacing = section.TIMESTEP_RESPACING
    respacing = str(section.NUM_DIFFUSION_STEPS) if respacing is None else respacing
    sampler = "ddim" if section.USE_DDIM else "ddpm"
    behaviour = problems.attempt(actor_name, section.CONDITION, run, "CONDITION") if section.CONDITION else None
    steps = problems.attempt(parse_steps, respacing, run)
    problems.attempt(_check_mode, mode, steps, sampler, section.SKIP_STEPS, run)
    noise = None
    if section.DETERMINISTIC_NOISE_PATH and steps is not None:
        noise = problems.attempt(_fixed_noise, local_path(section.DETERMINISTIC_NOISE_PATH), run, len(steps))
    problems.raise_errors()
    sampling = Sampling(respacing, sampler, section.SKIP_STEPS, noise)
    return Options(mode, section.NUM_SAMPLES, section.RNG_SEED_INFERENCE, behaviour, sampling)


def actor_arrays(
    run: TrainRun, actor: ActorData, config: Mapping[str, Any]
) -> tuple[Mapping[str, np.ndarray], FaceCodec, np.ndarray | None]:
    """The arrays and the channels that make a face of rows, which are offsets from the rest pose. No implicit emotion."""
    arrays = {name: array for name, array in actor.network_data.items() if not name.startswith("shapes_")}
    return arrays, run.spec.output_codec(actor).on_vertices(actor.mean_geometry), None


def parse_steps(respacing: str, run: TrainRun) -> list[int]:
    """The steps that TIMESTEP_RESPACING keeps of a run's. Raises UserError when it cannot be read."""
    try:
        return kept_steps(run.spec.extra["diffusion_steps"], respacing)
    except ValueError as error:
        raise UserError(f"TIMESTEP_RESPACING {respacing!r}: {error}") from error


def _check_mode(mode: Mode, steps: list[int] | None, sampler: str, skip: int, run: TrainRun) -> None:
    if mode.backend == "trt":
        from audio2face.deploy.tensorrt import require_tensorrt

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


def _fixed_noise(path: Path, run: TrainRun, steps: int) -> np.ndarray:
    """DETERMINISTIC_NOISE_PATH as (S + 1, frames, C) float32."""
    try:
        noise = np.array(read_npy(path), np.float32)
    except (OSError, ValueError) as error:
        raise UserError(f"DETERMINISTIC_NOISE_PATH: {error}") from error
    values = len(run.actor(run.spec.actors[0]).mean_geometry)
    wanted = (steps + 1, Streaming.of(run.spec.extra["streaming"]).frames, values)
    if noise.ndim == 4 and len(noise) == 1:
        noise = noise[0]
    if noise.shape != wanted:
        raise UserError(
            f"DETERMINISTIC_NOISE_PATH {path}: has shape {noise.shape}, expected {wanted}: steps + 1, frames of a window, "
            "values of a frame"
        )
    return noise
