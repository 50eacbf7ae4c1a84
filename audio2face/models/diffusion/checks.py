"""How a diffusion network will sample once it is deployed, and what that asks of its training; checked before it begins."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from audio2face.audio.windows import Streaming
from audio2face.config import Section
from audio2face.config.streaming import fitting_window, streaming_entry
from audio2face.models.common.inputs import Inputs
from audio2face.models.diffusion.schedule import Schedule, build_schedule
from audio2face.problems import UserError, raise_problems
from audio2face.respacing import kept_steps

logger = logging.getLogger(__name__)

EXPORT_KEYS = ("USE_PER_FRAME_EMO_LABEL", "USE_EXTERNAL_NOISE_INPUT", "USE_DELTA_OUTPUT")


def check_export(inference: Section | None) -> None:
    """Raise UserError for export options that the runtime does not load."""
    if inference is None:
        return
    off = [key for key in EXPORT_KEYS if not getattr(inference, key)]
    raise_problems([f"config_inference.py: {key} must stay True: the runtime loads no other network" for key in off])


@dataclass(frozen=True)
class Sampling:
    """How a deployed network samples: what its family keeps in the description of the network."""

    diffusion_steps: int
    noise_schedule: str
    respacing: str  # the steps that it takes of these, as TIMESTEP_RESPACING names them
    sampler: str
    streaming: dict[str, int]  # an entry of STREAMING_CFG


def build_sampling(inputs: Inputs) -> Sampling:
    """The steps are those of the inference config, else 2."""
    train, inference = inputs.train, inputs.inference
    streaming = streaming_entry(train.TARGET_FPS, train.STREAMING_CFG, train.AUDIO_PARAMS)
    assert streaming is not None, train.TARGET_FPS
    if f"{train.TARGET_FPS:g}" not in train.STREAMING_CFG:
        logger.info("STREAMING_CFG: computed for %g frames a second: %s", train.TARGET_FPS, streaming)
    if not Streaming.of(streaming).lead.is_integer():
        logger.warning(
            "STREAMING_CFG/%g: left_truncate is not a whole number of samples, so the runtime loses frame 0 (at 30 frames "
            "a second, 6, 15 and 9 frames keep it)",
            train.TARGET_FPS,
        )
    respacing, sampler = "2", "ddpm"
    if inference is not None:
        respacing = inference.TIMESTEP_RESPACING or str(inference.NUM_DIFFUSION_STEPS)
        sampler = "ddim" if inference.USE_DDIM else "ddpm"
    return Sampling(train.DIFFUSION_STEPS, train.DIFFUSION_NOISE_SCHEDULE, respacing, sampler, dict(streaming))


def exported_steps(sampling: Sampling) -> list[int]:
    """The steps that the exported network takes. Raises UserError when there are not so many."""
    text = sampling.respacing
    try:
        return kept_steps(sampling.diffusion_steps, text)
    except ValueError as error:
        raise UserError(f"config_inference.py: TIMESTEP_RESPACING or NUM_DIFFUSION_STEPS: {text!r}: {error}") from error


def check_noise(sampling: Sampling, fps: float, audio_params: dict[str, int], frame_size: int) -> None:
    """Raise UserError when a window's noise would be an odd number of values, which the runtime's generator cannot make."""
    steps = len(exported_steps(sampling))
    frames = Streaming.of(sampling.streaming).frames
    if (steps + 1) * frames * frame_size % 2:
        raise UserError(
            f"STREAMING_CFG/{fps:g}: windows of {frames} frames with {steps} steps and {frame_size} values a frame need "
            "an odd number of random values, which the runtime cannot draw: take an odd number of steps "
            "(TIMESTEP_RESPACING or NUM_DIFFUSION_STEPS in config_inference.py), or windows of an even number of frames: "
            f"{fitting_window(fps, audio_params, multiple=2)}, without an entry in STREAMING_CFG"
        )


def build_trained_steps(train: Section, sampling: Sampling) -> Schedule:
    """The schedule of the steps that are trained. Raises UserError when the exported network would take others."""
    schedule = build_schedule(train.DIFFUSION_NOISE_SCHEDULE, train.DIFFUSION_STEPS, train.TIMESTEP_RESPACING)
    unknown = sorted(set(exported_steps(sampling)) - set(schedule.timesteps.tolist()))
    if unknown:
        raise UserError(
            f"config_train.py: TIMESTEP_RESPACING {train.TIMESTEP_RESPACING!r} leaves step {unknown[0]} untrained, which "
            f"the exported network takes (config_inference.py: {sampling.respacing!r}); make the two agree, or leave "
            'it at ""'
        )
    return schedule
