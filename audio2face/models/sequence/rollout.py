"""From a whole track of sound to frames, in windows that overlap, around values that are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.windows import Streaming
from audio2face.models.common.conditions import Conditions
from audio2face.models.common.rollout import Given, RolloutInputs
from audio2face.models.diffusion.audio_context import encode_piece
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.rollout import FrameNoise
from audio2face.models.diffusion.samplers import Noise, Sampler
from audio2face.models.diffusion.schedule import Schedule
from audio2face.models.sequence.guidance import guided, variety
from audio2face.models.sequence.network import SequenceTransformer

LONGEST_S, OVERLAP_S = 10.0, 1.0  # of a window, and what of it the next one is given
TREMBLING = 0.1  # in units: by how much takes are off from frame to frame, which the motion prior takes off


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

    def frames(self, inputs: RolloutInputs, first: int, given: Given) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """x_0 (n, c), normalised, of as many frames of the sound from `first` on as `given` has, in order, some at a time; and
        what the network itself made of them, before known values took their places.

        Noise is counted from `first`, so that the same span among other sound before and after it comes out the same.
        """
        count, noise = len(given.values), self._noise(inputs)
        overlap = min(round(OVERLAP_S * self.network.fps), self.longest // 2)
        done, tail = 0, np.zeros((0, self.codec.layout.size), np.float32)
        while done < count:
            start = done - len(tail)
            length = min(self.longest, count - start)
            if count - start - length < overlap:  # no crumbs
                length = count - start
            known = given.part(start, length).with_head(tail)
            x_0, own = self.window(inputs, first + start, known, noise, start)
            yield x_0[len(tail) :], own[len(tail) :]
            done = start + length
            tail = x_0[len(x_0) - overlap :] if done < count else tail[:0]

    @torch.inference_mode()
    def window(
        self, inputs: RolloutInputs, first: int, given: Given, noise: FrameNoise, noise_first: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `frames`, of as many frames as `given` has, at once."""
        device, unit, length = self.network.unit.device, self.network.unit, len(given.values)
        identity = torch.eye(len(self.codec.owned), device=device)[inputs.identity][None]
        values, flags, held = (_tensor(x, device) for x in (given.values, given.flags, given.held))
        region = None if given.region is None else _tensor(given.region, device)
        conditions = Conditions(
            {
                **self.heard(inputs, first, length),
                "actor": identity,
                "emotion": _tensor(inputs.emotions(first + np.arange(length)), device),
                "known": values / unit,
                "given": flags,
            }
        )
        varied = variety(self.network.noise, self.guidance.get("audio", 1.0))

        def made(x_t: Tensor, i: int) -> Tensor:
            t = torch.full((1,), int(self.schedule.timesteps[i]), device=device)
            return guided(self.network, x_t, t, conditions, self.guidance)

        def placed(x_0: Tensor) -> Tensor:
            if region is not None:
                x_0 = x_0 + (values - x_0) @ region
            return held * values + (1 - held) * x_0

        def draw(step: int) -> Tensor:
            return _tensor(noise.frames(noise_first, length, step), device)

        take = taken(made, lambda x_0: placed(x_0 * unit) / unit, draw, varied, self.sampler, self.schedule)
        share = torch.full((1,), 1 / (1 + TREMBLING**2), device=device)
        own = self.network.prior(take * share.sqrt(), share, values / unit, flags, None)[0] * unit
        return placed(own)[0].cpu().numpy(), own[0].cpu().numpy()

    def heard(self, inputs: RolloutInputs, first: int, count: int) -> dict[str, Tensor]:
        """The conditions (1, count, width) that are sounds: without a partner the actor's alone."""
        found = {"speech": encode_piece(self.network, inputs.samples, first, count, self.streaming)}
        if self.network.partner is not None and inputs.partner is not None:
            partner = encode_piece(self.network, inputs.partner, first, count, self.streaming)
            found["partner"] = self.network.partner(partner)
        return found

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


def taken(
    made: Callable[[Tensor, int], Tensor],
    placed: Callable[[Tensor], Tensor],
    draw: Noise,
    varied: Tensor,
    sampler: Sampler,
    schedule: Schedule,
) -> Tensor:
    """A take x_0 (1, T, C) before known values take their places, `varied` (C,) from what is likely towards a sample.

    What the first step gives of pure noise is the mean of all takes. What trembles in a sample, lids that rest, the last step
    takes off when it is asked once more as if that were noise.

    Args:
        made: x_t and the index of a step -> x_0.
        placed: x_0 -> x_0 with the known values in their places.
        draw: noise by step, as samplers have it.
    """
    likely: Tensor | None = None

    def denoise(x_t: Tensor, i: int, state: None) -> tuple[Tensor, None]:
        nonlocal likely
        x_0 = made(x_t, i)
        likely = x_0 if likely is None else likely
        return placed(x_0), None

    sample, _ = sampler(denoise, lambda step: draw(step) * varied if step < 0 else draw(step), schedule)
    settled = made(sample * float(schedule.alphas_cumprod[0]) ** 0.5, 0)
    assert likely is not None, "a schedule has at least one step"
    return likely + varied * (settled - likely)


class SequenceRollout:
    """Animations of all actors of a run."""

    def __init__(self, sampler: SequenceSampler):
        self.sampler = sampler

    def __call__(self, inputs: RolloutInputs) -> Iterator[np.ndarray]:
        """Blocks of rows (n, C): offsets of skin and tongue from the rest pose, jaw, eye, then curves."""
        given = self.nothing(inputs.num_frames) if inputs.given is None else inputs.given
        for x_0, _ in self.sampler.frames(inputs, 0, given):
            yield self.sampler.rows(x_0, inputs.identity)

    def nothing(self, count: int) -> Given:
        """That nothing is known of so many frames; hours of it take no memory."""
        sizes = self.sampler.codec.layout.sizes
        values, flags = (np.broadcast_to(np.float32(0), (count, n)) for n in (sum(sizes.values()), len(sizes)))
        return Given(values, flags, values)

    def restored(self, inputs: RolloutInputs, first: int, given: Given) -> tuple[np.ndarray, np.ndarray]:
        """As many frames of the sound from `first` on as `given` has, around what is given: x_0 (n, c), normalised, and what
        the network itself made of them."""
        parts = list(self.sampler.frames(inputs, first, given))
        return np.concatenate([x_0 for x_0, _ in parts]), np.concatenate([own for _, own in parts])


def _tensor(x: np.ndarray, device: torch.device) -> Tensor:
    """(…) array -> (1, …) float32 tensor."""
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))[None].to(device)
