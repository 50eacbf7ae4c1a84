"""From a whole track of sound to frames, in windows that overlap, around values that are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.windows import Streaming
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.rollout import RolloutInputs
from audio2face.models.diffusion.audio_context import encode_piece
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.rollout import FrameNoise
from audio2face.models.diffusion.samplers import Sampler
from audio2face.models.diffusion.schedule import Schedule
from audio2face.models.sequence.guidance import guided
from audio2face.models.sequence.network import SequenceTransformer

LONGEST_S, OVERLAP_S = 10.0, 1.0  # of a window, and what of it the next one is given


@dataclass(frozen=True)
class Given:
    """What is known of an animation: values (T, c) as the network's targets are laid out, normalised, and flags
    (T, channels), 1 where a channel's values hold."""

    values: np.ndarray
    flags: np.ndarray

    def part(self, first: int, count: int) -> Given:
        """Of `count` frames from `first` on."""
        return Given(self.values[first : first + count], self.flags[first : first + count])


@dataclass(frozen=True)
class SequenceSampler:
    """A trained network, and how it is asked: its steps, and how strongly conditions count (`guidance`)."""

    network: SequenceTransformer
    codec: TorchCodec
    schedule: Schedule
    sampler: Sampler
    streaming: Streaming
    guidance: Mapping[str, float]
    longest: int  # frames of a window

    def frames(self, inputs: RolloutInputs, first: int, count: int, given: Given | None = None) -> Iterator[np.ndarray]:
        """x_0 (n, c), normalised, of `count` frames of the sound from `first` on, in order, some at a time.

        Noise is counted from `first`, so that the same span among other sound before and after it comes out the same.
        """
        size = self.codec.layout.size
        noise = self._noise(inputs)
        overlap = min(round(OVERLAP_S * self.network.fps), self.longest // 2)
        done, tail = 0, np.zeros((0, size), np.float32)
        while done < count:
            start = done - len(tail)
            length = min(self.longest, count - start)
            if count - start - length < overlap:  # no crumbs
                length = count - start
            known = Given(
                np.zeros((length, size), np.float32), np.zeros((length, len(self.codec.layout.sizes)), np.float32)
            )
            if given is not None:
                known = Given(*(x.copy() for x in vars(given.part(start, length)).values()))
            known.values[: len(tail)], known.flags[: len(tail)] = tail, 1.0
            x_0 = self.window(inputs, first + start, known, noise, start)
            yield x_0[len(tail) :]
            done = start + length
            tail = x_0[len(x_0) - overlap :] if done < count else tail[:0]

    @torch.inference_mode()
    def window(
        self, inputs: RolloutInputs, first: int, known: Given, noise: FrameNoise, noise_first: int
    ) -> np.ndarray:
        """x_0 (n, c) of as many frames as `known` has, at once."""
        device, unit, length = self.network.unit.device, self.network.unit, len(known.values)
        identity = torch.eye(len(self.codec.owned), device=device)[inputs.identity][None]
        values, flags = (_tensor(x, device) for x in (known.values, known.flags))
        speech = encode_piece(self.network, inputs.samples, first, length, self.streaming)
        emotion = _tensor(inputs.emotions(first + np.arange(length)), device)
        conditions = Conditions(
            {"speech": speech, "actor": identity, "emotion": emotion, "known": values / unit, "given": flags}
        )
        there = self.network.per_value(flags)

        def denoise(x_t: Tensor, i: int, state: None) -> tuple[Tensor, None]:
            t = torch.full((1,), int(self.schedule.timesteps[i]), device=device)
            x_0 = guided(self.network, x_t, t, conditions, self.guidance)
            return there * values / unit + (1 - there) * x_0, None

        def draw(step: int) -> Tensor:
            return _tensor(noise.frames(noise_first, length, step), device)

        x_0, _ = self.sampler(denoise, draw, self.schedule)
        return (there * values + (1 - there) * x_0 * unit)[0].cpu().numpy()

    def rows(self, x_0: np.ndarray, identity: int) -> np.ndarray:
        """x_0 (n, c) as rows in data units: offsets of skin and tongue from the rest pose, jaw, eye, then curves."""
        device = self.network.unit.device
        one_hot = torch.eye(len(self.codec.owned), device=device)[identity][None]
        with torch.inference_mode():
            return self.codec.rows(_tensor(x_0, device), one_hot)[0].cpu().numpy()

    def _noise(self, inputs: RolloutInputs) -> FrameNoise:
        identity = torch.eye(len(self.codec.owned), device=self.codec.owned.device)[inputs.identity][None]
        mask = self.codec.noised(identity)[0].cpu().numpy()
        return FrameNoise(self.streaming, inputs.seed, inputs.take, mask)


class SequenceRollout:
    """Animations of all actors of a run."""

    def __init__(self, sampler: SequenceSampler):
        self.sampler = sampler

    def __call__(self, inputs: RolloutInputs) -> Iterator[np.ndarray]:
        """Blocks of rows (n, C): offsets of skin and tongue from the rest pose, jaw, eye, then curves."""
        for x_0 in self.sampler.frames(inputs, 0, inputs.num_frames):
            yield self.sampler.rows(x_0, inputs.identity)


def _tensor(x: np.ndarray, device: torch.device) -> Tensor:
    """(…) array -> (1, …) float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))[None].to(device)
