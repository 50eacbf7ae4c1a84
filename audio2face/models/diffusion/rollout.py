"""From a whole track of sound to frames of a diffusion model: at once, in a stream, or through the deployed tensors.

Every way yields blocks of frames (n, C) in data units, skin and tongue as offsets from the mean geometry, curves last, in
order and exactly as many as asked for: memory does not grow with the length of the sound or the number of steps. Frame j stands
for the time (j + 0.5) / fps, as in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.windows import Streaming, cut
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.engine import Step
from audio2face.models.common.rollout import RolloutInputs
from audio2face.models.diffusion.audio_context import encode_piece
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.engine import WindowNetwork
from audio2face.models.diffusion.model import StreamingGraph

PIECE_S = 20.0  # of sound that is animated at once offline
PIECE_VALUES = 2e7  # of a piece's frames together, so that models on vertices get shorter pieces


@dataclass(frozen=True)
class FrameNoise:
    """The noise of one take, drawn by window and step when asked for: a frame meets the same noise in every mode.

    `size` values a frame, of what the network works on. `fixed` (S + 1, centre, size) takes the place of random numbers
    in every window. `mask` (size,) is zero where there is no noise.
    """

    streaming: Streaming
    seed: int
    take: int
    mask: np.ndarray
    fixed: np.ndarray | None = None

    def window(self, window: int, step: int) -> np.ndarray:
        """(centre, size) float32 for `step` of a window; -1 is where sampling starts."""
        if self.fixed is not None:
            return self.fixed[step]
        rng = np.random.default_rng([self.seed, self.take, window, step + 1])
        return rng.standard_normal((self.streaming.centre, len(self.mask)), np.float32) * self.mask

    def frames(self, first: int, count: int, step: int) -> np.ndarray:
        """(count, size) for frames of the animation from `first` on."""
        low, high = self.streaming.window_of(first), self.streaming.window_of(first + count - 1)
        blocks = np.concatenate([self.window(w, step) for w in range(low, high + 1)])
        skip = first - self.streaming.frame_of(low)
        return blocks[skip : skip + count]


@torch.inference_mode()
def offline(graph: StreamingGraph, inputs: RolloutInputs, noise: FrameNoise, skip: int = 0) -> Iterator[np.ndarray]:
    """The whole track in long pieces with a carried state. `skip` leaves out the noisiest steps."""
    device, p = graph.codec.mean.device, inputs
    identity = torch.from_numpy(one_hot(graph, p))[None].to(device)
    length = int(min(PIECE_S * graph.network.fps, PIECE_VALUES // graph.network.layout.size))
    length = max(length, graph.streaming.centre)
    states = None
    for first in range(0, p.num_frames, length):
        count = min(length, p.num_frames - first)
        features = encode_piece(graph.network, p.samples, first, count, graph.streaming)
        emotion = _tensor(p.emotions(first + np.arange(count)), device)
        conditions = Conditions({"speech": features, "actor": identity, "emotion": emotion})

        def draw(step: int, first: int = first, count: int = count) -> Tensor:
            return _tensor(noise.frames(first, count, step), device)

        x_0, states = graph.sample(conditions, states, draw, skip)
        yield graph.codec.rows(x_0, identity)[0].cpu().numpy()


@torch.inference_mode()
def streaming(graph: StreamingGraph, inputs: RolloutInputs, noise: FrameNoise, skip: int = 0) -> Iterator[np.ndarray]:
    """Window by window as a live host would, the state kept here."""
    device, p, s = graph.codec.mean.device, inputs, graph.streaming
    identity = torch.from_numpy(one_hot(graph, p))[None].to(device)
    states = None
    for window in range(s.count(p.num_frames)):
        sound = _tensor(_window(p.samples, s, window), device)
        features = graph.network.encode(sound, s.centre, s.lead)
        emotion = _tensor(p.emotions(s.frame_of(window) + np.arange(s.centre)), device)
        conditions = Conditions({"speech": features, "actor": identity, "emotion": emotion})

        def draw(step: int, window: int = window) -> Tensor:
            return _tensor(noise.window(window, step), device)

        x_0, states = graph.sample(conditions, states, draw, skip)
        yield _shown(graph.codec.rows(x_0, identity)[0].cpu().numpy(), s.frame_of(window), p.num_frames)


def stateless(step: Step, graph: StreamingGraph, inputs: RolloutInputs, noise: FrameNoise) -> Iterator[np.ndarray]:
    """Window by window through the deployed tensors, which `step` runs: those of the graph."""
    s, codec, steps = graph.streaming, graph.codec, graph.schedule.num_steps
    identity = one_hot(graph, inputs)
    network = WindowNetwork(step, s, identity, steps, graph.network.num_gru_layers, graph.network.gru_feature_dim)
    mean, scale = (network.identity @ x.cpu().numpy() for x in (codec.mean, codec.scale))
    for window in range(s.count(inputs.num_frames)):
        emotion = inputs.emotions(s.frame_of(window) + np.arange(s.centre))
        drawn = _window_noise(codec, noise, window, steps, network.identity)
        feeds = network.feeds(_window(inputs.samples, s, window), emotion, drawn)
        frames = network.accept(step({name: np.ascontiguousarray(x, np.float32) for name, x in feeds.items()}))
        if not graph.delta:
            frames = np.concatenate([(frames[:, : mean.size] - mean) * scale, frames[:, mean.size :]], axis=1)
        yield _shown(frames, s.frame_of(window), inputs.num_frames)


def one_hot(graph: StreamingGraph, inputs: RolloutInputs) -> np.ndarray:
    """(A,) of the actor whose behaviour is asked for."""
    return np.eye(len(graph.codec.mean), dtype=np.float32)[inputs.identity]


def _window_noise(codec: TorchCodec, noise: FrameNoise, window: int, steps: int, identity: np.ndarray) -> np.ndarray:
    """(1, S + 1, frames, C) noise on deployed frames, of which the graph makes what the other modes draw."""
    s = noise.streaming
    drawn = np.stack([noise.window(window, step) for step in (*range(steps), -1)])
    with torch.inference_mode():
        device = codec.mean.device
        lifted = codec.lift_noise(_tensor(drawn.reshape(-1, drawn.shape[2]), device), _tensor(identity[0], device))
    frames = lifted[0].cpu().numpy().reshape(steps + 1, s.centre, -1)
    return np.pad(frames, ((0, 0), (s.left, s.right), (0, 0)))[None]


def _tensor(x: np.ndarray, device: torch.device) -> Tensor:
    """(…) array -> (1, …) float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))[None].to(device)


def _window(samples: np.ndarray, s: Streaming, window: int) -> np.ndarray:
    """The sound (L,) of a window whose frames are those of the animation."""
    start = s.sample_of(s.frame_of(window) - s.left)
    return cut(samples, start, start + s.window)


def _shown(frames: np.ndarray, first: int, num_frames: int) -> np.ndarray:
    """Those of frames (n, C), the first of which is frame `first`, that are part of the animation."""
    return frames[max(0, -first) : max(0, num_frames - first)]
