"""A guide at inference: keyframes drawn to the sounds of a talk, through which another network then moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audio2face.face.codec import FaceCodec
from audio2face.formats.keyframes import Keyframes
from audio2face.inference.animate import Animator, Speaker
from audio2face.inference.package import Actor
from audio2face.inference.talks import Talk
from audio2face.models import run_family
from audio2face.models.common.options import Options
from audio2face.models.common.rollout import RolloutInputs
from audio2face.problems import UserError, raise_problems
from audio2face.runs.train_run import TrainRun


@dataclass(frozen=True)
class Guide:
    """An opened guide run: what draws keyframes, and how the run hears sounds."""

    draw: Callable[[RolloutInputs], Keyframes]
    listener: Animator

    def keys(self, talk: Talk, speaker: Speaker, codec: FaceCodec) -> Keyframes:
        """The keyframes of a talk, of the groups that another network's `codec` has."""
        sound = self.listener.load_sound(talk.own.path, talk.own.channel)
        partner = self.listener.load_partner(talk.partner)
        keys = self.draw(self.listener.inputs(sound, replace(speaker, partner=partner)))
        return replace(keys, groups={name: group for name, group in keys.groups.items() if name in codec.groups})


def check_guide(run: TrainRun, codecs: Mapping[str, FaceCodec], emotion: Any) -> None:
    """Raise UserError unless a run draws keyframes for the actors that `codecs` are of, and for groups that these have."""
    if run_family(run).draw_keys is None:
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


def open_guide(run: TrainRun, actors: Mapping[str, Actor], options: Options, device: Any) -> Guide:
    """A guide run on a torch.device. Raises UserError when its weights are missing."""
    draw = run_family(run).draw_keys
    assert draw is not None, run.name  # as `check_guide` has seen
    return Guide(draw(run, device), Animator(run.spec, actors, _no_rollout, options, False))


def _no_rollout(inputs: RolloutInputs) -> Any:
    raise AssertionError("a guide draws keyframes, it does not animate")
