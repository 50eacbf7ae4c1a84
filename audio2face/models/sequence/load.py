"""A trained sequence network, rebuilt from its training run alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from audio2face.audio.windows import Streaming
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.options import Options
from audio2face.models.common.weights import trained
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.samplers import SAMPLERS
from audio2face.models.diffusion.schedule import Schedule, build_even_schedule, build_schedule
from audio2face.models.sequence.network import NETWORKS, SequenceTransformer
from audio2face.models.sequence.options import EVEN, Sampling
from audio2face.models.sequence.rollout import LONGEST_S, SequenceRollout, SequenceSampler
from audio2face.runs.train_run import TrainRun


def load_network(run: TrainRun) -> SequenceTransformer:
    """The trained network of a run, on the CPU. Raises UserError when its weights are missing."""
    spec = run.spec
    build: Any = NETWORKS[spec.network_name]
    make = partial(
        build,
        layout=ChannelLayout(spec.max_sizes),
        mean=torch.zeros(len(spec.actors), 1),
        fps=spec.fps,
        num_emotions=len(spec.emotion_names),
        diffusion_steps=spec.extra["diffusion_steps"],
        encoder_arguments=spec.extra["encoder"],
        partner=spec.extra.get("partner", False),
        **spec.hyper_params,
    )
    return trained(run, make)


def load(run: TrainRun, device: torch.device, options: Options) -> SequenceRollout:
    """The run's network, ready to animate. Raises UserError when its weights are missing."""
    extra, chosen = run.spec.extra, options.sampling
    actors = [run.actor(name) for name in run.spec.actors]
    codecs = [run.spec.output_codec(actor) for actor in actors]
    poses = [codec.on_vertices(actor.mean_geometry) for codec, actor in zip(codecs, actors, strict=True)]
    sampler = SequenceSampler(
        load_network(run).to(device).eval(),
        TorchCodec(codecs, poses, on_vertices=False).to(device),
        _schedule(extra["noise_schedule"], extra["diffusion_steps"], chosen),
        SAMPLERS[chosen.sampler],
        Streaming.of(extra["streaming"]),
        chosen.guidance,
        max(2, round(min(extra["longest_s"], LONGEST_S) * run.spec.fps)),
    )
    return SequenceRollout(sampler)


def _schedule(name: str, num_steps: int, chosen: Sampling) -> Schedule:
    """The steps that sampling takes."""
    if chosen.sampler == EVEN and chosen.respacing.isdigit():
        return build_even_schedule(name, num_steps, int(chosen.respacing))
    return build_schedule(name, num_steps, chosen.respacing)
