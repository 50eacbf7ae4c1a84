"""How a regression run can animate. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from audio2face.config import Section
from audio2face.face.codec import FaceCodec
from audio2face.models.common.options import Options, parse_mode
from audio2face.runs.train_run import ActorData, TrainRun

MODES = ("offline", "offline_onnx")


def build_options(section: Section, run: TrainRun) -> Options:
    """What config_inference asks of a regression run. Raises UserError."""
    return Options(parse_mode(section.INFERENCE_MODE, run.spec.network_type, MODES))


def actor_arrays(
    run: TrainRun, actor: ActorData, config: Mapping[str, Any]
) -> tuple[Mapping[str, np.ndarray], FaceCodec, np.ndarray | None]:
    """The arrays and the channels that make a face of rows, and the implicit emotion (I,) that a CONFIG chooses."""
    implicit = run.emotion_db(actor.actor).row(config.get("source_shot"), config.get("source_frame"))
    return actor.network_data, run.spec.output_codec(actor), implicit
