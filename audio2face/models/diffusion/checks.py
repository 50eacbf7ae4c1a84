"""What a diffusion network must fulfil to be exported and deployed, checked before it is trained."""

from __future__ import annotations

from audio2face.audio.windows import Streaming
from audio2face.config import Section
from audio2face.config.rules import fitting_window
from audio2face.models.diffusion.schedule import Schedule, build_schedule
from audio2face.problems import UserError, raise_problems
from audio2face.respacing import kept_steps
from audio2face.runs.train_run import NetworkSpec

EXPORT_KEYS = ("USE_PER_FRAME_EMO_LABEL", "USE_EXTERNAL_NOISE_INPUT", "USE_DELTA_OUTPUT")


def check_export(inference: Section | None) -> None:
    """Raise UserError for export options that the runtime does not load."""
    if inference is None:
        return
    off = [key for key in EXPORT_KEYS if not getattr(inference, key)]
    raise_problems([f"config_inference.py: {key} must stay True: the runtime loads no other network" for key in off])


def exported_steps(spec: NetworkSpec) -> list[int]:
    """The steps that the exported network takes. Raises UserError when there are not so many."""
    text = spec.extra["respacing"]
    try:
        return kept_steps(spec.extra["diffusion_steps"], text)
    except ValueError as error:
        raise UserError(f"config_inference.py: TIMESTEP_RESPACING or NUM_DIFFUSION_STEPS: {text!r}: {error}") from error


def check_noise(spec: NetworkSpec, frame_size: int) -> None:
    """Raise UserError when a window's noise would be an odd number of values, which the runtime's generator cannot make."""
    steps = len(exported_steps(spec))
    frames = Streaming.of(spec.extra["streaming"]).frames
    if (steps + 1) * frames * frame_size % 2:
        raise UserError(
            f"STREAMING_CFG/{spec.fps:g}: windows of {frames} frames with {steps} steps and {frame_size} values a frame need "
            "an odd number of random values, which the runtime cannot draw: take an odd number of steps "
            "(TIMESTEP_RESPACING or NUM_DIFFUSION_STEPS in config_inference.py), or windows of an even number of frames: "
            f"{fitting_window(spec.fps, spec.audio_params, multiple=2)}, without an entry in STREAMING_CFG"
        )


def trained_steps(train: Section, spec: NetworkSpec) -> Schedule:
    """The schedule of the steps that are trained. Raises UserError when the exported network would take others."""
    schedule = build_schedule(train.DIFFUSION_NOISE_SCHEDULE, train.DIFFUSION_STEPS, train.TIMESTEP_RESPACING)
    unknown = sorted(set(exported_steps(spec)) - set(schedule.timesteps.tolist()))
    if unknown:
        raise UserError(
            f"config_train.py: TIMESTEP_RESPACING {train.TIMESTEP_RESPACING!r} leaves step {unknown[0]} untrained, which "
            f"the exported network takes (config_inference.py: {spec.extra['respacing']!r}); make the two agree, or leave "
            'it at ""'
        )
    return schedule
