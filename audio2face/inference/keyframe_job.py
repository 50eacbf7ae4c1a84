"""A run of inference with a guide: keyframes to sounds, as files that can be looked at, edited and given to another network."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from audio2face.config import Section
from audio2face.face.codec import FaceCodec
from audio2face.face.layout import ChannelLayout
from audio2face.formats.json_file import write_json
from audio2face.formats.keyframes import KeyedGroup, Keyframes, write_keyframes
from audio2face.inference.animate import Speaker, load_own, load_partner, rollout_inputs
from audio2face.inference.keys import KEYS
from audio2face.inference.takes_file import TAKES_FILE, about_keys
from audio2face.inference.talks import Talk, build_talks
from audio2face.models import run_family
from audio2face.models.common.options import Options, actor_name
from audio2face.models.common.rollout import KeyframeDrawer, RolloutInputs
from audio2face.problems import Problems
from audio2face.render.pictures import Curve, draw_curves, write_png
from audio2face.runs.train_run import NetworkSpec, TrainRun

logger = logging.getLogger(__name__)

SHOWN = 5  # columns of a group in a picture: those that move most
WIDTH, HEIGHT = 1200, 260  # pixels, of each group
COLOURS = ((46, 91, 168), (200, 80, 40), (60, 140, 80), (130, 80, 160), (190, 150, 30))


@dataclass(frozen=True)
class KeyframeJob:
    """Everything that one run of a guide decides before the network is loaded."""

    run: TrainRun
    actor: str
    talks: list[Talk]
    emotion: Any
    options: Options

    def write(self, folder: Path, device: Any) -> None:
        """Draw every take on a torch.device; write `<sound>_keys.npz` with a picture of it, and a list of the takes."""
        drawer = load_drawer(self.run, device, self.options)
        codec, about = self.run.spec.output_codec(self.run.actor(self.actor)), []
        for talk in self.talks:
            started = time.perf_counter()
            inputs = talk_inputs(self.run.spec, self.options, talk, self.emotion)
            heard = drawer.hear(inputs)
            for take in range(self.options.takes):
                name = talk.name if self.options.takes == 1 else f"{talk.name}_take{take + 1}"
                keys = drawn(self.run.spec, codec, drawer, replace(inputs, take=take), heard)
                write_keyframes(folder / f"{name}{KEYS}", keys)
                write_png((folder / f"{name}{KEYS}").with_suffix(".png"), picture(keys, inputs.num_frames, name))
                about.append(about_keys(name, talk, take, keys, self.options, self.emotion))
            logger.info(
                "%s: %d take(s) of %d keyframes in %.1f s",
                *(talk.name, self.options.takes, len(keys.frames), time.perf_counter() - started),
            )
        write_json(folder / TAKES_FILE, {"run": self.run.name, "takes": about})


def build_keyframe_job(section: Section, run: TrainRun) -> KeyframeJob:
    """Check what config_inference asks of a guide. Raises UserError listing every mistake found."""
    problems = Problems()
    options = problems.attempt(run_family(run).options, section, run)
    name = problems.attempt(actor_name, section.ACTOR_NAME, run)
    talks = problems.attempt(build_talks, section, run, name) if name else None
    problems.attempt(run.spec.emotion_track, section.EMOTION_LABEL, np.zeros(1), key="EMOTION_LABEL")
    problems.raise_errors()
    assert name is not None and options is not None and talks is not None
    return KeyframeJob(run, name, talks, section.EMOTION_LABEL, options)


def load_drawer(run: TrainRun, device: Any, options: Options) -> KeyframeDrawer:
    """A guide on a torch.device, ready to draw. Raises UserError when something is missing."""
    load = run_family(run).keyframes
    assert load is not None, run.spec.network_name
    return load(run, device, options)


def talk_inputs(spec: NetworkSpec, options: Options, talk: Talk, emotion: Any) -> RolloutInputs:
    """What a guide is asked for in a talk. Raises UserError when a sound cannot be read."""
    speaker = Speaker(talk.actor, emotion, partner=load_partner(spec, talk.partner))
    return rollout_inputs(spec, options, load_own(spec, talk.own), speaker)


def drawn(spec: NetworkSpec, codec: FaceCodec, drawer: KeyframeDrawer, inputs: RolloutInputs, heard: Any) -> Keyframes:
    """The keyframes of a take, in the units of the data; groups of which the actor has no data are left out."""
    frames, values = drawer.draw(inputs, heard)
    layout = ChannelLayout(spec.max_sizes)
    groups = {}
    for name, part in layout.split(codec.restore(values, layout)).items():
        channel = codec[name]
        if channel.group is not None and np.any(channel.scale):
            groups[name] = KeyedGroup(channel.group.names, channel.decode(part[:, : channel.size]))
    return Keyframes(spec.extra["guide_fps"], frames, groups, spec.fps)


def picture(keys: Keyframes, num_frames: int, title: str) -> np.ndarray:
    """Keyframes as dots on lines, a row for each group (H, W, 3) uint8. Raises UserError without Pillow."""
    rows = [draw_curves(_curves(keys, group, num_frames), keys.frame_rate or 1.0, "", (WIDTH, HEIGHT), f"{title} {name}")
            for name, group in keys.groups.items()]  # fmt: skip
    return np.concatenate(rows)


def _curves(keys: Keyframes, group: KeyedGroup, num_frames: int) -> list[Curve]:
    """The columns that move most."""
    chosen = np.sort(np.argsort(-group.values.std(axis=0), kind="stable")[:SHOWN])
    moments, marks = np.arange(max(num_frames, int(keys.frames[-1]) + 1)), keys.frames.tolist()
    return [
        Curve(group.names[column], np.interp(moments, keys.frames, group.values[:, column]), colour, marks)
        for column, colour in zip(chosen.tolist(), COLOURS, strict=False)
    ]
