"""How a diffusion network hears the sound of many frames: whole, near every frame, or window by window as in a stream."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from audio2face.audio.windows import Streaming
from audio2face.distributed import WHOLE, Rng
from audio2face.models.diffusion.network import HOP, DiffusionRNN
from audio2face.types import SAMPLE_RATE

NEAR = 3520  # samples on either side that cover what a step of a local encoder hears: whole steps


def encode_segments(
    network: DiffusionRNN,
    audio: Tensor,
    context: int,
    lengths: Sequence[int],
    streaming: Streaming,
    num_frames: int | None = None,
    rng: Rng = WHOLE,
) -> Tensor:
    """Features (B, T, dim) of segments of `lengths` frames; rows of shorter ones mean nothing at the end.

    T is `num_frames`, by default that of the longest.

    Their sound (B, context + N + context) has `context` samples, at least a window's, at both ends. An encoder that hears
    a step's surroundings gets some of them; one that hears everything it is given gets each segment alone; one that is
    made for windows gets the segment in streaming windows, exactly as it will hear them later.
    """
    num_frames = num_frames or max(lengths)
    if network.encoder.hearing == "near":
        return encode_near(network, audio, context, num_frames, streaming, rng)
    if network.encoder.hearing == "window":
        return encode_windows(network, audio, context, num_frames, streaming)
    rows = [
        network.encode(audio[row : row + 1, context : context + samples_of_frames(length, network.fps)], length)
        for row, length in enumerate(lengths)
    ]
    return torch.cat([F.pad(x, (0, 0, 0, num_frames - x.shape[1])) for x in rows])


def encode_near(
    network: DiffusionRNN, audio: Tensor, first_sample: int, num_frames: int, streaming: Streaming, rng: Rng = WHOLE
) -> Tensor:
    """Features (B, num_frames, dim) of an encoder that hears a step's surroundings; frame 0 begins at `first_sample`.

    The encoder's steps lie on the frames as they do in the windows of the stream, which makes its features the same.
    """
    lead = NEAR + streaming.lead % HOP
    end = first_sample + samples_of_frames(num_frames, network.fps) + NEAR
    return network.encode(audio[:, first_sample - math.ceil(lead) : end], num_frames, lead, rng)


def encode_windows(
    network: DiffusionRNN, audio: Tensor, first_sample: int, num_frames: int, streaming: Streaming
) -> Tensor:
    """Features (B, num_frames, dim) heard window by window; frame 0 begins at `first_sample` of the sound (B, N)."""
    return network.audio(hear_windows(network, audio, first_sample, num_frames, streaming))


def hear_windows(
    network: DiffusionRNN, audio: Tensor, first_sample: int, num_frames: int, streaming: Streaming, phase: int = 0
) -> Tensor:
    """As `encode_windows`, before the layer that is always trained: (B, num_frames, dim * pieces).

    The first window's centre begins `phase` frames before frame 0.
    """
    s = streaming
    num_frames += phase
    first_sample -= phase * s.window // s.frames
    count = math.ceil(num_frames / s.centre)
    starts = [first_sample + (i * s.centre - s.left) * s.window // s.frames for i in range(count)]
    before, after = max(0, -starts[0]), max(0, starts[-1] + s.window - audio.shape[1])
    audio = F.pad(audio, (before, after))
    windows = torch.stack([audio[:, start + before : start + before + s.window] for start in starts], dim=1)
    heard = network.hear(windows.flatten(0, 1), s.centre, s.lead)
    return heard.unflatten(0, windows.shape[:2]).flatten(1, 2)[:, phase:num_frames]


def samples_of_frames(num_frames: int, fps: float) -> int:
    """Samples of sound that `num_frames` frames last."""
    return math.ceil(num_frames * SAMPLE_RATE / fps - 1e-6)
