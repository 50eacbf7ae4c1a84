"""A trained guide, rebuilt from its training run alone, and the keyframes that it draws."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.windows import Streaming
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.options import Options
from audio2face.models.common.rollout import RolloutInputs
from audio2face.models.common.weights import trained
from audio2face.models.diffusion.audio_context import encode_piece
from audio2face.models.guide.data import key_frames
from audio2face.models.guide.network import NETWORKS, GuideNetwork
from audio2face.models.guide.options import Drawing
from audio2face.models.guide.sampling import sample
from audio2face.models.guide.transformer import Heard
from audio2face.problems import UserError
from audio2face.runs.train_run import TrainRun

PIECE_S = 20.0  # of sound that is encoded at once


def load_network(run: TrainRun) -> GuideNetwork:
    """The trained network of a run, on the CPU. Raises UserError when its weights are missing or its codec was not finished."""
    spec = run.spec
    build: Any = NETWORKS[spec.network_name]
    make = partial(
        build,
        layout=ChannelLayout(spec.max_sizes),
        fps=spec.fps,
        guide_fps=spec.extra["guide_fps"],
        num_actors=len(spec.actors),
        num_emotions=len(spec.emotion_names),
        encoder_arguments=spec.extra["encoder"],
        partner=spec.extra.get("partner", False),
        **spec.hyper_params,
    )
    network: GuideNetwork = trained(run, make)
    if not network.codec_done:
        raise UserError(
            f"training run {run.name} was stopped while its codec learned (GUIDE_CODEC_EPOCHS): it cannot draw keyframes yet; go "
            "on with --resume"
        )
    return network


def load(run: TrainRun, device: torch.device, options: Options) -> GuideDrawer:
    """The run's network, ready to draw keyframes. Raises UserError when its weights are missing."""
    streaming = Streaming.of(run.spec.extra["streaming"])
    return GuideDrawer(load_network(run).to(device).eval(), streaming, options.sampling)


class GuideDrawer:
    """A `KeyframeDrawer`: codes to a sound, decoded."""

    def __init__(self, network: GuideNetwork, streaming: Streaming, drawing: Drawing):
        self.network, self.streaming, self.drawing = network, streaming, drawing

    @torch.inference_mode()
    def hear(self, inputs: RolloutInputs) -> Heard:
        """What the layers hear of a whole sound, and of the partner's."""
        network, device = self.network, self.network.mean.device
        emotions = inputs.emotions(np.arange(inputs.num_frames)).astype(np.float32)
        found = {
            "speech": self._encoded(inputs.samples, inputs.num_frames),
            "actor": torch.eye(network.actor.in_features, device=device)[inputs.identity][None],
            "emotion": torch.from_numpy(emotions)[None].to(device),
        }
        if network.partner is not None and inputs.partner is not None:
            found["partner"] = network.partner(self._encoded(inputs.partner, inputs.num_frames))
        return network.hear(Conditions(found))

    @torch.inference_mode()
    def draw(self, inputs: RolloutInputs, heard: Heard) -> tuple[np.ndarray, np.ndarray]:
        """Frames (K,) and values (K, C), normalised, of one take."""
        frames = key_frames(inputs.num_frames, self.network.fps, self.network.guide_fps)
        generator = torch.Generator().manual_seed(inputs.seed + inputs.take)
        codes = sample(self.network, heard, torch.from_numpy(frames), self.drawing, generator)
        return frames, self.network.codec.keyframes(codes)[0].cpu().numpy()

    def _encoded(self, samples: np.ndarray, num_frames: int) -> Tensor:
        """The speech features (1, T, width) of a sound, a piece at a time."""
        piece = round(PIECE_S * self.network.fps)
        parts = [
            encode_piece(self.network, samples, first, min(piece, num_frames - first), self.streaming)
            for first in range(0, num_frames, piece)
        ]
        return torch.cat(parts, dim=1)
