"""What both methods make of their inputs: targets, conditions, sound, vertex distances. Config keys become arguments."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from audio2face.config import Section
from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise, standardized
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.targets import ShotTargets, load_shot_targets
from audio2face.face.codec import Channel, FaceCodec, kind_of, part_of
from audio2face.face.emotions import actor_vector, emotion_vector
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.encoders.phoneme_ctc import PhonemeCtc
from audio2face.models.common.inputs import Inputs
from audio2face.models.common.starting_weights import start_from
from audio2face.models.common.vertex_distances import VertexDistances, pair_distances
from audio2face.paths import local_path
from audio2face.problems import raise_problems
from audio2face.runs.train_run import NetworkSpec
from audio2face.runtime import Runtime
from audio2face.training.loop import FitSettings
from audio2face.training.precision import build_learning_rate
from audio2face.types import Clip

logger = logging.getLogger(__name__)

DISTANCE_KEYS = {
    "lip_dist": ("LOSS_LIP_DIST_ALPHA", "SKIN_LIP_DIST_VERTEX_LIST_FPATH"),
    "lip_size": ("LOSS_LIP_SIZE_ALPHA", "SKIN_LIP_SIZE_VERTEX_LIST_FPATH"),
    "eye_dist": ("REMOVE_CLOSING_EYE", "SKIN_EYE_DIST_VERTEX_LIST_FPATH"),
}
TRAINABLE_PARTS = {"actor": ("actor.",), "output": ("heads.", "last.")}  # of TRAINABLE -> beginnings of weights' names
MEASURED_FILES, MEASURED_SAMPLES = 64, 160000  # at most, and of each file at most, for `build_speech_measure`


def build_tracks(train: Section) -> AudioTracks:
    """The sound files of the clips."""
    return AudioTracks(train.AUDIO_PREPROC_METHOD, train.AUDIO_PARAMS["samplerate"], keep=train.AUDIO_DATA_CACHING)


def build_noise(train: Section) -> MutedNoise:
    """The near-silence under muted clips."""
    low, high = train.AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE
    return MutedNoise(train.AUG_MUTED_AUDIO_NOISE_TYPE, train.AUG_MUTED_AUDIO_NOISE_SCALE, (low, high))


def build_spec(
    inputs: Inputs, channels: Sequence[str], channel_sizes: dict[str, dict[str, int]], rescale: bool, **extra: Any
) -> NetworkSpec:
    """What the trained network is; `extra` is what its family needs to rebuild it."""
    train = inputs.train
    return NetworkSpec(
        network_type=train.NETWORK_TYPE,
        network_name=train.NETWORK_NAME,
        network_version=train.NETWORK_VERSION,
        hyper_params=dict(train.NETWORK_HYPER_PARAMS),
        actors=inputs.actors,
        emotion_names=inputs.emotion_names,
        zero_emotion=train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS,
        default_emotion=train.DEFAULT_SHOT_EMOTION_NAME,
        channels=list(channels),
        channel_sizes=channel_sizes,
        fps=float(train.TARGET_FPS),
        audio_params=dict(train.AUDIO_PARAMS),
        audio_method=train.AUDIO_PREPROC_METHOD,
        rescale=rescale,
        extra={**_build_channels(inputs), **extra},
    )


def _build_channels(inputs: Inputs) -> dict[str, Any]:
    """AUDIO_CHANNELS of the actors that have an entry, for sounds that are animated later; nothing when none has."""
    found = {actor: dict(own) for actor in inputs.actors if (own := inputs.dataset.AUDIO_CHANNELS.get(actor))}
    return {"channels": found} if found else {}


def build_conditions(
    inputs: Inputs, table_start: Callable[[Clip], int], with_actor: bool = True
) -> list[ClipConditions]:
    """Emotion and actor of every clip; `with_actor` puts the actor's one-hot beside the emotion when there are several."""
    emotions, zero_emotion = list(inputs.dataset.SHOT_EMOTION_NAMES), inputs.train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS
    found = []
    for clip in inputs.clips:
        vector = emotion_vector(clip.shot.emotion, inputs.emotion_names, zero=zero_emotion)
        if with_actor:
            vector = np.concatenate([vector, actor_vector(clip.shot.actor, inputs.actors)])
        actor, emotion = inputs.actors.index(clip.shot.actor), emotions.index(clip.shot.emotion)
        found.append(ClipConditions(vector, actor, emotion, table_start(clip)))
    return found


def build_targets(inputs: Inputs, layout: ChannelLayout, rescale: bool | None = None) -> Targets:
    """Load the targets of every shot; `rescale` (default: the config's) divides them by the actor's scales.

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
    )
    targets.check()
    return targets


def build_speech_measure(network: nn.Module, inputs: Inputs, standardize: bool = False) -> None:
    """Let a phoneme recogniser in the network measure the clips' speech, as `PhonemeCtc.measure` says.

    It hears the middle of files spread evenly over all. Nothing happens without a recogniser or without a file of half a
    second.
    """
    models = [module for module in network.modules() if isinstance(module, PhonemeCtc)]
    voices = list(dict.fromkeys(clip.track for clip in inputs.clips if clip.track is not None))
    if not models or not voices:
        return
    tracks, sounds = build_tracks(inputs.train), []
    for voice in voices[:: -(-len(voices) // MEASURED_FILES)]:
        samples, _ = tracks.load(voice)
        if len(samples) >= tracks.sample_rate // 2:
            samples = standardized(samples) if standardize else samples
            first = max(0, len(samples) - MEASURED_SAMPLES) // 2
            sounds.append(torch.from_numpy(samples[first : first + MEASURED_SAMPLES]))
    if sounds:
        for model in models:
            model.measure([sound.to(model.mel.device) for sound in sounds])


def build_starting_weights(network: nn.Module, spec: NetworkSpec, inputs: Inputs) -> None:
    """Start from the weights of PRETRAINED_NET_FPATH, if given, as far as they fit. Raises UserError."""
    if inputs.train.PRETRAINED_NET_FPATH:
        start_from(network, spec, inputs.runs, local_path(inputs.train.PRETRAINED_NET_FPATH))


def build_trainable(network: nn.Module, train: Section) -> None:
    """Freeze all weights but those of the parts that TRAINABLE names, if it names any."""
    if train.TRAINABLE is None:
        return
    prefixes = tuple(prefix for part in train.TRAINABLE for prefix in TRAINABLE_PARTS[part])
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and name.startswith(prefixes))
    kept = sum(p.numel() for p in network.parameters() if p.requires_grad)
    logger.info("TRAINABLE = %s: %d weights learn, all others stay", train.TRAINABLE, kept)


def build_fit_settings(train: Section) -> FitSettings:
    """What the keys that both methods have say about the training loop."""
    return FitSettings(
        epochs=train.NUM_EPOCHS,
        learning_rate=build_learning_rate(train),
        weight_decay=train.WEIGHT_DECAY,
        ema_decay=train.EMA_DECAY,
        log_period=train.LOG_PERIOD,
        checkpoint_epochs=train.CHECKPOINT_PERIOD,
        checkpoint_minutes=train.CHECKPOINT_MINUTES,
    )


def build_cache_bytes(train: Section, runtime: Runtime) -> float:
    """How much the audio features of one process may take: processes on one machine's CPU share FEATURE_CACHE_GB."""
    return train.FEATURE_CACHE_GB * 1e9 / runtime.memory_sharers


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


def build_curve_weights(inputs: Inputs, layout: ChannelLayout, key: str) -> np.ndarray | None:
    """The weight (C,) of every value of a frame in a loss of curves, zeros for the face; None when no group has any."""
    given = getattr(inputs.train, key)
    weights = [np.full(n, given.get(c, 1.0) if kind_of(c) == "curves" else 0.0) for c, n in layout.sizes.items()]
    found = np.concatenate(weights).astype(np.float32)
    return found if found.any() else None


def build_emotion_weights(inputs: Inputs, weights: Mapping[str, float] | None) -> tuple[float, ...] | None:
    """Weights by emotion number, 1 where none is given; None when there are no weights at all."""
    return None if weights is None else tuple(float(weights.get(e, 1.0)) for e in inputs.dataset.SHOT_EMOTION_NAMES)


def build_distances(inputs: Inputs, num_components: int, device: torch.device, name: str) -> VertexDistances | None:
    """Lip or lid distances ("lip_dist", "lip_size", "eye_dist") as functions of skin coefficients.

    None, with a warning, when an actor has no vertex list for it, or nobody has skin coefficients.
    """
    key, list_key = DISTANCE_KEYS[name]
    if not num_components or not all(run.has_skin for run in inputs.runs.values()):
        logger.warning("%s is off: it needs the skin of every actor, and 'skin_coeffs' in TARGET_CHANNELS", key)
        return None
    pairs = {actor: getattr(inputs.files[actor], f"{name}_pairs")() for actor in inputs.actors}
    missing = [actor for actor, value in pairs.items() if value is None]
    if missing:
        logger.warning("%s is off: no %s for %s", key, list_key, ", ".join(missing))
        return None
    runs = [inputs.runs[a] for a in inputs.actors]
    upper, lower = ([np.asarray(pairs[a][i]) for a in inputs.actors] for i in (0, 1))
    components, means = [r.skin.components for r in runs], [r.skin.mean for r in runs]
    return pair_distances(components, means, upper, lower, num_components, device)


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
    _shots: dict[tuple[str, str], ShotTargets] = field(default_factory=dict)

    def check(self) -> None:
        """Load every shot; raises UserError with all problems. Says once which channels some shots of an actor lack."""
        problems: list[str] = []
        lacking: dict[str, Counter[str]] = {actor: Counter() for actor in self.inputs.actors}
        measured = {(clip.shot.actor, clip.shot.name) for clip in self.inputs.validation}
        for clip in self.inputs.clips:
            actor, shot = clip.shot.actor, clip.held[0] if clip.held else clip.shot.name
            if (actor, shot) in self._shots:
                continue
            run, files = self.inputs.runs[actor], self.inputs.files[actor]
            source = clip.shot if clip.held is None else replace(clip.shot, name=shot)
            found, faults = load_shot_targets(run, files, source, self.layout, self.trained_parts)
            problems += faults
            if found is None:
                continue
            scales = {} if self.rescale else dict.fromkeys(run.codec.face.layout.sizes, 1.0)
            codec = run.codec.with_scales(scales)  # curves are always brought to about 1
            values = codec.normalise(found.values, self.layout)
            for name, part in self.layout.split(values).items():
                if not found.present[name]:
                    part[:] = 0.0  # the middle of what the network gives, also where curves have an offset
            found = replace(found, values=values)
            self._shots[actor, shot] = found
            if (actor, shot) not in measured:  # of which nothing is learnt
                lacking[actor].update(
                    name for name, there in found.present.items() if not there and part_of(name) in self.trained_parts
                )
        raise_problems(problems)
        trained = Counter(actor for actor, shot in self._shots if (actor, shot) not in measured)
        for actor, counts in lacking.items():
            some = {
                name: count for name, count in counts.items() if count < trained[actor]
            }  # else `absent_channels` reports it
            if some:
                shots = ", ".join(f"{name} in {count} shot(s)" for name, count in sorted(some.items()))
                logger.warning("actor %s: no data of %s; left out of the loss there", actor, shots)

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
