"""Features of many frames, each encoded with as much sound around it as its encoder needs: a segment's, or a long piece's.

The one place that looks at an encoder's `receptive_field`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from audio2face.audio.windows import Streaming, cut
from audio2face.distributed import WHOLE, Rng
from audio2face.models.common.layers import STEP
from audio2face.models.diffusion.data import CONTEXT, SegmentBatch
from audio2face.models.diffusion.network import SpeechFrames
from audio2face.types import SAMPLE_RATE

LOCAL = 3520  # samples on either side that cover what a step of a local encoder depends on: whole steps
AROUND_PIECE = SAMPLE_RATE  # samples around a piece for encoders whose receptive field is global


def encode_segments(
    network: SpeechFrames,
    audio: Tensor,
    context: int,
    lengths: Sequence[int],
    streaming: Streaming,
    num_frames: int | None = None,
    rng: Rng = WHOLE,
) -> Tensor:
    """Features (B, T, dim) of segments of `lengths` frames; rows of shorter ones mean nothing at the end.

    T is `num_frames`, by default that of the longest. Their sound (B, context + N + context) has `context` samples, at least
    a window's, at both ends; an encoder with a global receptive field gets each segment alone.
    """
    num_frames = num_frames or max(lengths)
    if network.encoder.receptive_field != "global":
        return encode_frames(network, audio, context, num_frames, streaming, rng)
    rows = [
        network.encode(audio[row : row + 1, context : context + samples_of_frames(length, network.fps)], length)
        for row, length in enumerate(lengths)
    ]
    return torch.cat([F.pad(x, (0, 0, 0, num_frames - x.shape[1])) for x in rows])


def batch_features(
    network: SpeechFrames,
    batch: SegmentBatch,
    audio: Tensor | None,
    features: Tensor | None,
    streaming: Streaming,
    rng: Rng = WHOLE,
) -> Tensor:
    """Features (B, T, dim) of a sound of a batch, `audio` as `encode_segments` has it, or what a frozen encoder heard of it."""
    if features is not None:
        return network.audio(features)
    assert audio is not None, "a batch has features or sound"
    return encode_segments(network, audio, CONTEXT, batch.lengths, streaming, batch.valid.shape[1], rng)


def encode_piece(network: SpeechFrames, samples: np.ndarray, first: int, count: int, streaming: Streaming) -> Tensor:
    """Features (1, count, dim) of frames `first`, … of an animation to samples (N,); silence lies beyond their ends."""
    begin, end = (round(frame * SAMPLE_RATE / network.fps) for frame in (first, first + count))
    early, low, high = 0, begin - LOCAL - STEP, end + LOCAL + STEP
    if network.encoder.receptive_field == "window":  # from the beginning of a window of the stream
        early = first - streaming.frame_of(streaming.window_of(first))
        begin -= round(early * SAMPLE_RATE / network.fps)
        low, high = begin - streaming.window, end + streaming.window
    elif network.encoder.receptive_field == "global":
        low, high = max(0, begin - AROUND_PIECE), min(max(len(samples), end), end + AROUND_PIECE)
    sound = np.ascontiguousarray(cut(samples, low, high), np.float32)
    audio = torch.from_numpy(sound)[None].to(network.mean.device)
    return encode_frames(network, audio, begin - low, count + early, streaming)[:, early:]


def encode_frames(
    network: SpeechFrames, audio: Tensor, first_sample: int, num_frames: int, streaming: Streaming, rng: Rng = WHOLE
) -> Tensor:
    """Features (B, num_frames, dim); frame 0 begins at `first_sample` of the sound (B, N).

    A local encoder's steps lie on the frames as they do in the windows of the stream, which makes its features the same.
    One that is made for windows gets the windows of the stream, exactly as it will get them later.
    """
    if network.encoder.receptive_field == "window":
        return network.audio(window_features(network, audio, first_sample, num_frames, streaming))
    if network.encoder.receptive_field == "global":
        return network.encode(audio, num_frames, first_sample)
    lead = LOCAL + streaming.lead % STEP
    end = first_sample + samples_of_frames(num_frames, network.fps) + LOCAL
    return network.encode(audio[:, first_sample - math.ceil(lead) : end], num_frames, lead, rng)


def window_features(
    network: SpeechFrames, audio: Tensor, first_sample: int, num_frames: int, streaming: Streaming, phase: int = 0
) -> Tensor:
    """What an encoder gives for the windows of the stream, before any trained layer: (B, num_frames, dim * pieces).

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
    features = network.frame_features(windows.flatten(0, 1), s.centre, s.lead)
    return features.unflatten(0, windows.shape[:2]).flatten(1, 2)[:, phase:num_frames]


def samples_of_frames(num_frames: int, fps: float) -> int:
    """Samples of sound that `num_frames` frames last."""
    return math.ceil(num_frames * SAMPLE_RATE / fps - 1e-6)
