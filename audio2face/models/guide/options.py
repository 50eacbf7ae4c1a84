"""How a guide's codes are drawn, as config_inference says. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

from audio2face.config import Section
from audio2face.models.common.options import MODES, Options
from audio2face.runs.train_run import TrainRun


@dataclass(frozen=True)
class Drawing:
    """How codes are drawn: from the likeliest that together reach `top_p`, after logits over `temperature`; 0 takes the
    likeliest."""

    top_p: float = 1.0
    temperature: float = 1.0


def build_options(section: Section, run: TrainRun) -> Options:
    """What config_inference asks of a guide."""
    drawing = Drawing(section.TOP_P, section.TEMPERATURE)
    return Options(MODES["offline"], section.NUM_SAMPLES, section.RNG_SEED_INFERENCE, None, drawing)
