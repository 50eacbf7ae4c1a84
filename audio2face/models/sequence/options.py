"""How a sequence run can animate: steps, sampler, guidance. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audio2face.config import Section
from audio2face.models.common.options import Options, actor_name, parse_mode
from audio2face.models.diffusion.options import parse_steps
from audio2face.problems import Problems
from audio2face.runs.train_run import TrainRun

MODES = ("offline",)
STEPS = "10"
EVEN = "dpm"  # the sampler whose steps a plain number spaces evenly in log SNR


@dataclass(frozen=True)
class Sampling:
    """Which steps are taken (`respacing`), how (`sampler`), and how strongly conditions count."""

    respacing: str
    sampler: str
    guidance: Mapping[str, float]


def build_options(section: Section, run: TrainRun) -> Options:
    """What config_inference asks of a sequence run: ten steps unless it says another number. Raises UserError."""
    mode = parse_mode(section.INFERENCE_MODE or "offline", run.spec.network_type, MODES)
    problems = Problems()
    respacing = section.TIMESTEP_RESPACING
    if respacing is None:
        respacing = str(section.modifier.get("NUM_DIFFUSION_STEPS", STEPS))
    behaviour = problems.attempt(actor_name, section.CONDITION, run, "CONDITION") if section.CONDITION else None
    problems.attempt(parse_steps, respacing, run)
    for key in ("SKIP_STEPS", "DETERMINISTIC_NOISE_PATH"):
        if getattr(section, key):
            problems.error("", f"{key}: has no effect on {run.spec.network_name}; leave it out", key=key)
    problems.raise_errors()
    sampler = section.SAMPLER or ("ddim" if section.USE_DDIM else EVEN)
    sampling = Sampling(respacing, sampler, dict(section.GUIDANCE))
    return Options(mode, section.NUM_SAMPLES, section.RNG_SEED_INFERENCE, behaviour, sampling)
