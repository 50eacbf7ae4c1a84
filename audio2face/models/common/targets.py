"""What a network learns of clips: the targets of their shots, and of muted clips the poses that are held."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audio2face.dataset.long_arrays import Keep, in_memory, keep_flags
from audio2face.dataset.targets import ShotTargets, load_shot_targets
from audio2face.face.codec import Channel, FaceCodec, part_of
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.inputs import Inputs
from audio2face.problems import raise_problems
from audio2face.types import Clip

logger = logging.getLogger(__name__)


def build_targets(
    inputs: Inputs, layout: ChannelLayout, rescale: bool | None = None, keep: Keep = in_memory
) -> Targets:
    """Load the targets of every shot; `rescale` (default: the config's) divides them by the actor's scales, `keep` puts them away.

    Raises UserError with all problems of all shots.
    """
    train = inputs.train
    zero = train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS
    targets = Targets(
        inputs,
        layout,
        rescale=train.RESCALE_TARGET_CHANNEL_DATA if rescale is None else rescale,
        trained_parts={part_of(name) for name in train.TARGET_CHANNELS},
        neutral_emotion=train.DEFAULT_SHOT_EMOTION_NAME if zero is None else zero,
        neutral_tongue=train.AUG_MUTED_TONGUE_IS_NEUTRAL,
        neutral_skin=train.AUG_MUTED_SKIN_IS_NEUTRAL_FOR_NEUTRAL_EMO,
        keep=keep,
    )
    targets.check()
    return targets


@dataclass
class Targets:
    """Targets of shots, and the held poses of muted clips.

    In muted clips the tongue (`neutral_tongue`) and, in the neutral emotion, everything else (`neutral_skin`) is neutral.
    """

    inputs: Inputs
    layout: ChannelLayout
    rescale: bool
    trained_parts: set[str]
    neutral_emotion: str
    neutral_tongue: bool
    neutral_skin: bool
    keep: Keep = in_memory
    _shots: dict[tuple[str, str], ShotTargets] = field(default_factory=dict)

    def check(self) -> None:
        """Load every shot; raises UserError with all problems. Says once which channels some shots of an actor lack."""
        problems: list[str] = []
        for actor in self.inputs.actors:
            problems += self._load(actor)
            if self.keep is not in_memory:
                self.inputs.runs[actor].release()
        raise_problems(problems)
        measured = {(clip.shot.actor, clip.shot.name) for clip in self.inputs.validation}  # of which nothing is learnt
        for actor in self.inputs.actors:
            taught = [found for (a, shot), found in self._shots.items() if a == actor and (a, shot) not in measured]
            lacking = Counter(name for found in taught for name, there in found.present.items() if not there)
            some = {
                name: count
                for name, count in lacking.items()
                if count < len(taught) and part_of(name) in self.trained_parts
            }  # else `absent_channels` reports it
            if some:
                shots = ", ".join(f"{name} in {count} shot(s)" for name, count in sorted(some.items()))
                logger.warning("actor %s: no data of %s; left out of the loss there", actor, shots)

    def _load(self, actor: str) -> list[str]:
        """Load the shots of an actor's clips; what is wrong with them."""
        run, files, problems = self.inputs.runs[actor], self.inputs.files[actor], []
        scales = {} if self.rescale else dict.fromkeys(run.codec.face.layout.sizes, 1.0)
        codec = run.codec.with_scales(scales)  # curves are always brought to about 1
        for clip in self.inputs.clips:
            shot = clip.held[0] if clip.held else clip.shot.name
            if clip.shot.actor != actor or (actor, shot) in self._shots:
                continue
            source = clip.shot if clip.held is None else replace(clip.shot, name=shot)
            found, faults = load_shot_targets(run, files, source, self.layout, self.trained_parts)
            problems += faults
            if found is None:
                continue
            values = codec.normalise(np.asarray(found.values), self.layout)
            for name, part in self.layout.split(values).items():
                if not found.present[name]:
                    part[:] = 0.0  # the middle of what the network gives, also where curves have an offset
            known = keep_flags(np.asarray(found.known), self.keep)
            self._shots[actor, shot] = replace(found, values=self.keep(values), known=known)
        return problems

    def of(self, clip: Clip) -> ShotTargets:
        """The targets of a clip's shot; of a muted clip the held pose, for every frame of it."""
        if clip.held is None:
            return self._shots[clip.shot.actor, clip.shot.name]
        shot, frame = clip.held
        source = self._shots[clip.shot.actor, shot]
        pose = source.values[frame].copy()
        neutral = {"tongue"} if self.neutral_tongue else set()
        if clip.shot.emotion == self.neutral_emotion and self.neutral_skin:
            neutral |= {"skin", "jaw", "eye"}  # teeth and gaze of another face would not fit it
        for name, part in self.layout.slices.items():
            if part_of(name) in neutral:
                pose[part] = 0.0
        poses, known = (np.repeat(row[None], clip.shot.num_frames, axis=0) for row in (pose, source.known[frame]))
        return ShotTargets(poses, clip.shot.fps, source.present, known)


def absent_channels(
    actors: Sequence[str], layout: ChannelLayout, has: Callable[[int], np.ndarray]
) -> dict[str, list[str]]:
    """{actor: channels of which no clip has data}; `has(actor number)` (C,) is True where there is some.

    Nothing teaches the network to keep them still, so what is exported does.
    """
    absent = {}
    for number, actor in enumerate(actors):
        names = [name for name, part in layout.split(has(number)).items() if not part.any()]
        if names:
            absent[actor] = names
            logger.info("actor %s: no data of %s in any clip; the model keeps them at rest", actor, ", ".join(names))
    return absent


def check_columns(actors: Sequence[str], codecs: Sequence[FaceCodec]) -> None:
    """Raise UserError where a group of curves has other columns or components in another actor: one network gives both."""
    first: dict[str, tuple[str, Channel]] = {}
    problems = []
    for actor, codec in zip(actors, codecs, strict=True):
        for channel in codec.curves.channels:
            if channel.group is None:
                continue
            other, known = first.setdefault(channel.name, (actor, channel))
            if (known.group, known.size) != (channel.group, channel.size):
                problems.append(f"CURVES_ROOT: group {channel.name!r} {_difference(other, known, actor, channel)}")
    raise_problems(problems)


def _difference(one: str, a: Channel, other: str, b: Channel) -> str:
    assert a.group is not None and b.group is not None
    apart = sorted(set(a.group.names) ^ set(b.group.names))
    what = f"columns {', '.join(apart[:6])}" if apart else "kind, order or number of components of its columns"
    return f"is not the same in {one} and {other}: {what}; give the groups other names, or list CURVES_NAMES of both"
