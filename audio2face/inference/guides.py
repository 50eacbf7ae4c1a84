"""A guide at inference: keyframes drawn to the sounds of a talk, through which another network then moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audio2face.config import Section, section_from_values
from audio2face.face.codec import FaceCodec
from audio2face.formats.keyframes import Keyframes
from audio2face.inference.keyframe_job import drawn, load_drawer, talk_inputs
from audio2face.inference.talks import Talk
from audio2face.models import run_family
from audio2face.models.common.options import Options
from audio2face.models.common.rollout import KeyframeDrawer, RolloutInputs
from audio2face.problems import UserError, raise_problems
from audio2face.runs.train_run import TrainRun


@dataclass(frozen=True)
class Listened:
    """A talk as a guide has heard it, for all takes of it."""

    actor: str
    inputs: RolloutInputs
    heard: Any


@dataclass(frozen=True)
class GuidePlan:
    """A guide run, and how it is to draw."""

    run: TrainRun
    options: Options


@dataclass(frozen=True)
class Guide:
    """An opened guide run."""

    run: TrainRun
    options: Options
    drawer: KeyframeDrawer

    def hear(self, talk: Talk, emotion: Any) -> Listened:
        """Both voices of a talk, and the emotion. Raises UserError when a sound cannot be read."""
        inputs = talk_inputs(self.run.spec, self.options, talk, emotion)
        return Listened(talk.actor, inputs, self.drawer.hear(inputs))

    def keys(self, listened: Listened, take: int, codec: FaceCodec) -> Keyframes:
        """The keyframes of a take, of the groups that the network to be guided has in its `codec`."""
        own = self.run.spec.output_codec(self.run.actor(listened.actor))
        keys = drawn(self.run.spec, own, self.drawer, replace(listened.inputs, take=take), listened.heard)
        return replace(keys, groups={name: group for name, group in keys.groups.items() if name in codec.groups})


def check_guide(run: TrainRun, codecs: Mapping[str, FaceCodec], emotion: Any) -> None:
    """Raise UserError unless a run draws keyframes for the actors that `codecs` are of, and for groups that these have."""
    if run_family(run).keyframes is None:
        raise UserError(
            f'GUIDE_RUN: {run.name} is a {run.spec.network_name}, which draws no keyframes; train NETWORK_TYPE = "guide"'
        )
    known, problems = ", ".join(run.spec.actors), []
    for actor, codec in codecs.items():
        if actor not in run.spec.actors:
            problems.append(f"GUIDE_RUN: {run.name} knows {known}, not {actor}")
        elif not set(run.spec.groups) & set(codec.groups):
            groups = f"{', '.join(run.spec.groups)}, and the network moves {', '.join(codec.groups)}"
            problems.append(f"GUIDE_RUN: {run.name} draws keyframes of {groups}")
    try:
        run.spec.emotion_track(emotion, np.zeros(1))
    except UserError as error:
        problems += [f"GUIDE_RUN {run.name}: {line}" for line in error.lines]
    raise_problems(problems)


def build_guide(run: TrainRun, seed: int, asked: Section | None = None) -> GuidePlan:
    """A guide run that draws from a seed as its own config_inference says, unless GUIDE_TOP_P and GUIDE_TEMPERATURE of the section
    that is `asked` say something else. Raises UserError when its own is wrong."""
    own = section_from_values("inference", run.config("inference") or {}, run.spec.network_type)
    given = {} if asked is None else {"top_p": asked.GUIDE_TOP_P, "temperature": asked.GUIDE_TEMPERATURE}
    options = run_family(run).options(own, run)
    drawing = replace(options.sampling, **{name: value for name, value in given.items() if value is not None})
    return GuidePlan(run, replace(options, seed=seed, sampling=drawing))


def open_guide(plan: GuidePlan, device: Any) -> Guide:
    """A guide on a torch.device. Raises UserError when its weights are missing."""
    return Guide(plan.run, plan.options, load_drawer(plan.run, device, plan.options))
