"""Rules between config keys: within one file (SECTION_RULES) and between the files of a project (PROJECT_RULES).

A rule is the keys it reads, as "train.SEQ_LEN", and a function of their values that yields (key path, message). It is
left out when one of its keys is not loaded or is wrong in itself. "train.KEY?" asks whether the project sets the key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from audio2face.config.base import EVERY, schema
from audio2face.config.check import did_you_mean
from audio2face.config.kinds import BY_ACTOR, FACE_CHANNELS
from audio2face.config.nested import NETWORK_METHODS
from audio2face.respacing import kept_steps, num_kept
from audio2face.types import SAMPLE_RATE

RESERVED = ("skin", "tongue", *dict.fromkeys(name for names in FACE_CHANNELS.values() for name in names))
WHOLE = 1e-4  # frames that a window may differ from a whole number: 29.97 is not quite 30000 / 1001
WHISPER_REACH_S = 30  # what its positions are numbered for

Found = Iterator[tuple[str, str]]


class Rule(NamedTuple):
    keys: str
    check: Callable[..., Found]


def streaming_entry(fps: float, entries: dict[str, dict[str, int]], audio: dict[str, int]) -> dict[str, int] | None:
    """The entry of STREAMING_CFG for a rate; when there is none, one with windows of AUDIO_PARAMS.

    Half of such a window's frames are the block, about a quarter comes before it: as many as are a whole number of
    samples, if there are. None when the window's frames are not whole.
    """
    if f"{fps:g}" in entries:
        return entries[f"{fps:g}"]
    window = audio["buffer_len"]
    frames = round(window * fps / audio["samplerate"])
    if frames < 2 or abs(window * fps / audio["samplerate"] - frames) > WHOLE:
        return None
    block = frames // 2
    quarter = (frames - block) // 2
    whole = max(count for count in range(quarter + 1) if count * window % frames == 0)
    left = whole if 2 * whole >= quarter else quarter
    return {
        "audio_pad_left": audio["padding_left"],
        "audio_pad_right": audio["padding_right"],
        "window_size": window,
        "left_truncate": left,
        "right_truncate": frames - block - left,
        "block_frame_size": block,
    }


def fitting_window(fps: float, audio: dict[str, int], multiple: int = 1) -> str:
    """What to set in AUDIO_PARAMS for windows near its own that have whole frames, a `multiple` of them, and whole samples."""
    window, rate = audio["buffer_len"], audio["samplerate"]
    counts = range(2 * multiple, round(2 * window * fps / rate) + 1, multiple)
    found = [n for frames in counts if abs((n := round(frames * rate / fps)) * fps / rate - frames) <= WHOLE]
    if not found:
        return "no window near fits; take a TARGET_FPS such as 24, 30, 48, 50 or 60"
    best = min(found, key=lambda samples: abs(samples - window))
    return f'set AUDIO_PARAMS = {{"buffer_len": {best}, "padding_left": {best}, "padding_right": {best}}}'


# Within one file


def _language_actors(names: list[str], languages: dict[str, Any]) -> Found:
    if any(isinstance(entry, dict) for entry in languages.values()):
        yield from _known_actors("dataset.SHOT_LANGUAGE_MAP", names, languages)


def _emotion_map(emotions: list[str], actors: list[str], entries: Sequence[Any]) -> Found:
    for index, (actor, _, emotion) in enumerate(entries):
        yield from _member(f"dataset.SHOT_EMOTION_MAP/{index}/2", emotion, emotions, "SHOT_EMOTION_NAMES")
        yield from _member(f"dataset.SHOT_EMOTION_MAP/{index}/0", actor, actors, "ACTOR_NAMES")


def _voices(channels: dict[str, dict[str, Any]], folders: dict[str, str], offsets: dict[str, Any]) -> Found:
    for actor, own in channels.items():
        if actor not in folders and own.get("partner") == own["self"]:
            at = f"dataset.AUDIO_CHANNELS/{actor}/partner"
            yield at, f"is the channel of {actor!r} too; name another, or give PARTNER_AUDIO_ROOT"
    for actor in offsets:
        if actor not in folders:
            at = f"dataset.PARTNER_AUDIO_OFFSETS/{actor}"
            yield at, "needs PARTNER_AUDIO_ROOT of this actor; two channels of one file share the offset of CLIPS"


def _blendshape_pairs(key: str, other: str, files: dict[str, str], others: dict[str, str]) -> Found:
    for actor in files:
        if actor not in others:
            yield f"dataset.{key}/{actor}", f"needs {other} of this actor too"


def _target_channels(method: str, network: str, channels: list[str]) -> Found:
    face = FACE_CHANNELS[method]
    groups = [name for name in channels if name not in RESERVED]
    known = ", ".join(map(repr, face))
    wrong = [index for index, name in enumerate(channels) if name in RESERVED and name not in face]
    for index in wrong:
        one_of = f"must be one of {known}, or a group" if face else "must be a group"
        yield f"train.TARGET_CHANNELS/{index}", f"{one_of} of CURVES_ROOT (it is {channels[index]!r})"
    if not channels:
        yield "train.TARGET_CHANNELS", "must name at least one channel"
    elif method == "diffusion" and "skin_pose" not in channels and not groups and not wrong:
        yield "train.TARGET_CHANNELS", "must contain 'skin_pose' or a group of CURVES_ROOT"
    elif method == "diffusion" and network == "diffusion_rnn" and groups:
        yield (
            "train.TARGET_CHANNELS",
            f'{groups[0]!r} is a group of curves, which needs NETWORK_NAME "diffusion_rnn_pca" or "diffusion_transformer"',
        )


def _target_groups(method: str, channels: list[str], groups: dict[str, dict[str, str]]) -> Found:
    """Channels that are not of a face are groups that an actor has."""
    known = [*FACE_CHANNELS[method], *dict.fromkeys(group for own in groups.values() for group in own)]
    for index, name in enumerate(channels):
        if name not in known and name not in RESERVED:
            hint = did_you_mean(name, known)
            listed = ", ".join(map(repr, known))
            yield (
                f"train.TARGET_CHANNELS/{index}",
                f"must be one of {listed} (it is {name!r}){hint}; groups are named in CURVES_ROOT",
            )


def _group_names(groups: dict[str, dict[str, str]]) -> Found:
    for actor, own in groups.items():
        for group in own:
            if group in RESERVED:
                yield (
                    f"dataset.CURVES_ROOT/{actor}/{group}",
                    "is the name of a part of the face; give the group another",
                )


def _known_groups(key: str, groups: dict[str, dict[str, str]], entries: dict[str, dict[str, Any]]) -> Found:
    for actor, own in entries.items():
        for group in own:
            yield from _member(
                f"{key}/{actor}/{group}", group, [*groups.get(actor, {})] or ["(none)"], f"CURVES_ROOT of {actor}"
            )


def _weighed_groups(key: str, groups: dict[str, dict[str, str]], weights: dict[str, float]) -> Found:
    known = list(dict.fromkeys(group for own in groups.values() for group in own))
    for group in weights:
        yield from _member(f"{key}/{group}", group, known or ["(none)"], "CURVES_ROOT")


def _rescaled(method: str, rescale: bool) -> Found:
    if method == "diffusion" and not rescale:
        yield (
            "train.RESCALE_TARGET_CHANNEL_DATA",
            "must stay True in diffusion: the noise is made for values of about 1",
        )


def _network_method(method: str, network: str) -> Found:
    of = NETWORK_METHODS.get(network, method)
    if of != method:
        yield "train.NETWORK_NAME", f"{network} is a network for NETWORK_TYPE {of!r}, and this is {method!r}"


def _window(audio: dict[str, int]) -> Found:
    if audio.get("buffer_ofs", 0) > audio["buffer_len"]:
        yield "train.AUDIO_PARAMS/buffer_ofs", f"must not exceed buffer_len ({audio['buffer_len']})"


def _features(method: str, network: str, hyper: dict[str, Any], audio: dict[str, int]) -> Found:
    if method != "regression" or network != "conv_w2v_autocorr":
        return
    at = "train.NETWORK_HYPER_PARAMS"
    switches = [name for name in hyper if name.startswith("use_") and name.endswith("_features")]
    if not any(hyper[name] for name in switches):
        yield at, f"at least one audio feature must be on: {', '.join(switches)}"
    params = hyper["autocorr_params"]
    needed = (params["num_windows"] - 1) * params["win_stride"] + params["win_len"]
    if hyper["use_autocorr_features"] and needed > audio["buffer_len"]:
        length = audio["buffer_len"]
        message = f"{params['num_windows']} windows need {needed} samples, and AUDIO_PARAMS/buffer_len is {length}"
        yield f"{at}/autocorr_params/num_windows", message
    if hyper["use_w2v_features"] or hyper["use_phoneme_ctc_features"] or hyper["use_whisper_features"]:
        yield from _pretrained_rate(audio["samplerate"])
    if hyper["use_whisper_features"]:
        yield from _whisper_window(audio["buffer_len"])


def _heads(network: str, hyper: dict[str, Any]) -> Found:
    if network in ("diffusion_transformer", "vq_guide") and hyper["width"] % (2 * hyper["num_heads"]):
        at = "train.NETWORK_HYPER_PARAMS/num_heads"
        yield at, f"must divide width ({hyper['width']}) into even parts"


def _encoder_rate(hyper: dict[str, Any], audio: dict[str, int]) -> Found:
    if hyper.get("audio_encoder") in ("hubert", "w2v", "phoneme_ctc", "whisper"):
        yield from _pretrained_rate(audio["samplerate"])
    if hyper.get("audio_encoder") == "whisper":
        yield from _whisper_window(audio["buffer_len"])


def _pretrained_rate(rate: int) -> Found:
    if rate != SAMPLE_RATE:
        yield "train.AUDIO_PARAMS/samplerate", f"must be {SAMPLE_RATE}, the rate of the pretrained audio encoder"


def _whisper_window(length: int) -> Found:
    if length > WHISPER_REACH_S * SAMPLE_RATE:
        yield (
            "train.AUDIO_PARAMS/buffer_len",
            f"must not exceed {WHISPER_REACH_S} s, the longest sound that Whisper hears",
        )


def _frame_pairs(length: int, *weights: float | None) -> Found:
    names = ("LOSS_MOTION_ALPHA", "LOSS_EMO_REG_ALPHA", "LOSS_VOL_STAB_REG_ALPHA", "LOSS_PHONEME_MOTION_ALPHA")
    needy = [name for name, weight in zip(names, weights, strict=True) if weight]
    if length < 2 and needy:
        yield "train.SEQ_LEN", f"must be 2 or more for {', '.join(needy)}; or set these to None"


def _phoneme_motion(motion: float | None, is_set: bool, weight: float | None) -> Found:
    if is_set and motion and not weight:
        yield "train.LOSS_PHONEME_MOTION_ALPHA", "has no effect while LOSS_PHONEME_ALPHA is off; set both or neither"


def _subsegment(shortest: int, longest: int) -> Found:
    if shortest > longest:
        yield "train.SUBSEGMENT_MIN_FRAME", f"must not exceed SUBSEGMENT_MAX_FRAME ({longest})"


def _pitch(augment: dict[str, Any]) -> Found:
    pitch = augment.get("pitch_shift")
    if pitch and pitch["min_semitones"] > pitch["max_semitones"]:
        yield "train.AUGMENT/pitch_shift/min_semitones", f"must not exceed max_semitones ({pitch['max_semitones']})"


def _noise_range(limits: Sequence[float]) -> Found:
    if limits[0] > limits[1]:
        yield "train.AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE", f"must be (lowest, highest), and is {tuple(limits)}"


def _trainable(parts: list[str] | None, weights: str | None) -> Found:
    if parts and not weights:
        yield "train.TRAINABLE", "needs PRETRAINED_NET_FPATH: what does not learn must come from somewhere"


def _guide_rate(guide: float, fps: float) -> Found:
    if guide > fps:
        yield "train.GUIDE_FPS", f"must not exceed TARGET_FPS ({fps:g}): a keyframe is a frame"


def _guide_stages(codec: int, epochs: int) -> Found:
    if codec >= epochs:
        yield "train.GUIDE_CODEC_EPOCHS", f"must be below NUM_EPOCHS ({epochs}), or the transformer learns nothing"


def _learning_rates(lowest: float, rate: float) -> Found:
    if lowest > rate:
        yield "train.LR_MIN", f"must not exceed LEARNING_RATE ({rate:g})"


def _rows(clips: Any) -> Iterator[tuple[int, Any]]:
    """Clip rows with their index; VALIDATION_CLIPS may be something else, or hold shot names."""
    if isinstance(clips, list):
        yield from ((index, clip) for index, clip in enumerate(clips) if not isinstance(clip, str))


def _clip_ranges(key: str, clips: Any) -> Found:
    for index, clip in _rows(clips):
        if clip[2][0] > clip[2][1]:
            yield f"train.{key}/{index}/2", f"first frame {clip[2][0]} comes after last frame {clip[2][1]}"


def _measured(clips: Any, patience: int | None, export: str) -> Found:
    """What follows the measurements needs shots to measure on."""
    if not clips and patience is not None:
        yield "train.EARLY_STOPPING_PATIENCE", "needs VALIDATION_CLIPS: without them nothing is measured; set None"
    if not clips and export == "best":
        yield "train.EXPORT_WEIGHTS", 'needs VALIDATION_CLIPS: without them there are no best weights; set "last"'


def _streaming(fps: float, entries: dict[str, dict[str, int]], audio: dict[str, int]) -> Found:
    """The entry for TARGET_FPS: there or computed, whole windows, context within the padding, in agreement with AUDIO_PARAMS."""
    entry, at = streaming_entry(fps, entries, audio), f"train.STREAMING_CFG/{fps:g}"
    if entry is None:
        yield (
            "train.STREAMING_CFG",
            f'has no entry "{fps:g}" for TARGET_FPS, and none follows: {audio["buffer_len"]} samples '
            f"(AUDIO_PARAMS/buffer_len) are {audio['buffer_len'] * fps / audio['samplerate']:.6g} frames; "
            + fitting_window(fps, audio),
        )
        return
    frames = entry["left_truncate"] + entry["block_frame_size"] + entry["right_truncate"]
    if abs(entry["window_size"] * fps / audio["samplerate"] - frames) > WHOLE:
        yield (
            f"{at}/window_size",
            f"{entry['window_size']} samples are {entry['window_size'] * fps / audio['samplerate']:g} frames, "
            f"and left_truncate + block_frame_size + right_truncate is {frames}",
        )
    if audio["padding_left"] * frames < entry["left_truncate"] * entry["window_size"]:
        yield "train.AUDIO_PARAMS/padding_left", "must last as long as left_truncate, or the first frames are lost"
    pairs = {"window_size": "buffer_len", "audio_pad_left": "padding_left", "audio_pad_right": "padding_right"}
    for mine, theirs in pairs.items():
        if entry[mine] != audio[theirs]:
            yield f"{at}/{mine}", f"is {entry[mine]}, and AUDIO_PARAMS/{theirs} is {audio[theirs]}; they must agree"


def _respacing(key: str, text: str | None, steps: int | None = None) -> Found:
    try:
        num_kept(text or "") if steps is None else kept_steps(steps, text or "")
    except ValueError as error:
        yield key, str(error)


def _kept_steps(text: str | None, steps: int, is_set: bool, skipped: int) -> Found:
    try:
        kept = num_kept(text or "")
    except ValueError:
        return
    if kept is not None and is_set and steps != kept:
        yield (
            "inference.NUM_DIFFUSION_STEPS",
            f"is {steps}, and TIMESTEP_RESPACING {text!r} keeps {kept}; leave one of the two out",
        )
    if text != "" and skipped >= (kept or steps):
        yield "inference.SKIP_STEPS", f"must be less than the number of steps ({kept or steps})"


def _source(post: dict[str, Any]) -> Found:
    if post.get("source_frame") is not None and post.get("source_shot") is None:
        yield "inference.CONFIG/source_frame", "needs source_shot"


# Between the files of a project


def _complete_actors(names: list[str], rates: dict[str, Any], audio: dict[str, Any], *motion: dict[str, Any]) -> Found:
    if not names:
        yield "dataset.ACTOR_NAMES", "must name at least one actor"
    moving = {actor for entries in motion for actor in entries}
    for actor in names:
        for key, entries in (("CACHE_FPS", rates), ("AUDIO_ROOT", audio), ("SKIN_CACHE_ROOT", moving)):
            if actor not in entries:
                yield f"dataset.{key}", f"has no entry for actor {actor!r}"


def _known_actors(key: str, names: list[str], entries: dict[str, Any]) -> Found:
    for actor in entries:
        yield from _member(f"{key}/{actor}", actor, names, "ACTOR_NAMES")


def _member(key: str, word: str, known: Sequence[str], where: str) -> Found:
    if known and word not in known:
        hint = did_you_mean(word, known) or f" ({', '.join(known)})"
        yield key, f"{word!r} is not in {where}{hint}"


def _clip_actors(key: str, names: list[str], clips: Any) -> Found:
    for index, clip in _rows(clips):
        yield from _member(f"train.{key}/{index}/0", clip[0], names, "ACTOR_NAMES")


def _muted_emotions(emotions: list[str], muted: Sequence[Any]) -> Found:
    for index, clip in enumerate(muted):
        yield from _member(f"train.AUG_MUTED_SHOTS/{index}/3", clip[3], emotions, "SHOT_EMOTION_NAMES")


def _one_emotion(key: str, emotions: list[str], emotion: Any) -> Found:
    if isinstance(emotion, str):
        yield from _member(key, emotion, emotions, "SHOT_EMOTION_NAMES")


def _emotion_weights(key: str, emotions: list[str], weights: dict[str, float] | None) -> Found:
    for emotion in weights or {}:
        yield from _member(f"{key}/{emotion}", emotion, emotions, "SHOT_EMOTION_NAMES")


def _emotion_vector(emotions: list[str], zero: str | None, label: Any) -> Found:
    inputs = [emotion for emotion in emotions if emotion != zero]
    for emotion in label if isinstance(label, dict) else ():
        yield from _member(f"inference.EMOTION_LABEL/{emotion}", emotion, emotions, "SHOT_EMOTION_NAMES")
    if not isinstance(label, list | tuple):
        return
    if label and isinstance(label[0], list | tuple):
        for index, (_, weights) in enumerate(label):
            for emotion in weights:
                yield from _member(f"inference.EMOTION_LABEL/{index}", emotion, emotions, "SHOT_EMOTION_NAMES")
    elif len(label) != len(inputs):
        yield (
            "inference.EMOTION_LABEL",
            f"has {len(label)} numbers, and the model takes {len(inputs)}: {', '.join(inputs) or 'no emotion'}",
        )


def _one_actor(key: str, names: list[str], actor: str | None) -> Found:
    if actor is not None:
        yield from _member(key, actor, names, "ACTOR_NAMES")


def _blendshape_rules() -> Iterator[Rule]:
    for mesh in ("SKIN", "TONGUE"):
        names = (f"BLENDSHAPE_{mesh}_FPATH", f"BLENDSHAPE_{mesh}_CONFIG_FPATH")
        for key, other in (names, names[::-1]):
            yield Rule(f"dataset.{key} dataset.{other}", partial(_blendshape_pairs, key, other))


SECTION_RULES: tuple[Rule, ...] = (
    Rule("dataset.ACTOR_NAMES dataset.SHOT_LANGUAGE_MAP", _language_actors),
    Rule("dataset.SHOT_EMOTION_NAMES dataset.ACTOR_NAMES dataset.SHOT_EMOTION_MAP", _emotion_map),
    *_blendshape_rules(),
    Rule("dataset.AUDIO_CHANNELS dataset.PARTNER_AUDIO_ROOT dataset.PARTNER_AUDIO_OFFSETS", _voices),
    Rule("dataset.CURVES_ROOT", _group_names),
    *(
        Rule(f"dataset.CURVES_ROOT dataset.{key}", partial(_known_groups, f"dataset.{key}"))
        for key in ("CURVES_NAMES", "CURVES_FPS", "CURVES_KIND")
    ),
    Rule("train.NETWORK_TYPE train.NETWORK_NAME train.TARGET_CHANNELS", _target_channels),
    Rule("train.NETWORK_TYPE train.RESCALE_TARGET_CHANNEL_DATA", _rescaled),
    Rule("train.NETWORK_TYPE train.NETWORK_NAME", _network_method),
    Rule("train.AUDIO_PARAMS", _window),
    Rule("train.NETWORK_TYPE train.NETWORK_NAME train.NETWORK_HYPER_PARAMS train.AUDIO_PARAMS", _features),
    Rule("train.NETWORK_NAME train.NETWORK_HYPER_PARAMS", _heads),
    Rule("train.NETWORK_HYPER_PARAMS train.AUDIO_PARAMS", _encoder_rate),
    Rule(
        "train.SEQ_LEN train.LOSS_MOTION_ALPHA train.LOSS_EMO_REG_ALPHA train.LOSS_VOL_STAB_REG_ALPHA "
        "train.LOSS_PHONEME_MOTION_ALPHA",
        _frame_pairs,
    ),
    Rule(
        "train.LOSS_PHONEME_MOTION_ALPHA train.LOSS_PHONEME_MOTION_ALPHA? train.LOSS_PHONEME_ALPHA",
        _phoneme_motion,
    ),
    Rule("train.SUBSEGMENT_MIN_FRAME train.SUBSEGMENT_MAX_FRAME", _subsegment),
    Rule("train.AUGMENT", _pitch),
    Rule("train.AUG_MUTED_AUDIO_NOISE_LOCAL_SCALE_RANGE", _noise_range),
    Rule("train.LR_MIN train.LEARNING_RATE", _learning_rates),
    Rule("train.GUIDE_FPS train.TARGET_FPS", _guide_rate),
    Rule("train.GUIDE_CODEC_EPOCHS train.NUM_EPOCHS", _guide_stages),
    Rule("train.TRAINABLE train.PRETRAINED_NET_FPATH", _trainable),
    Rule("train.CLIPS", partial(_clip_ranges, "CLIPS")),
    Rule("train.VALIDATION_CLIPS", partial(_clip_ranges, "VALIDATION_CLIPS")),
    Rule("train.VALIDATION_CLIPS train.EARLY_STOPPING_PATIENCE train.EXPORT_WEIGHTS", _measured),
    Rule("train.TARGET_FPS train.STREAMING_CFG train.AUDIO_PARAMS", _streaming),
    Rule("train.TIMESTEP_RESPACING train.DIFFUSION_STEPS", partial(_respacing, "train.TIMESTEP_RESPACING")),
    Rule("inference.TIMESTEP_RESPACING", partial(_respacing, "inference.TIMESTEP_RESPACING")),
    Rule(
        "inference.TIMESTEP_RESPACING inference.NUM_DIFFUSION_STEPS inference.NUM_DIFFUSION_STEPS? "
        "inference.SKIP_STEPS",
        _kept_steps,
    ),
    Rule("inference.CONFIG", _source),
)

PROJECT_RULES: tuple[Rule, ...] = (
    Rule(
        "dataset.ACTOR_NAMES dataset.CACHE_FPS dataset.AUDIO_ROOT dataset.SKIN_CACHE_ROOT dataset.TONGUE_CACHE_ROOT "
        "dataset.JAW_ANIM_DATA_FPATH dataset.EYE_ANIM_DATA_FPATH dataset.CURVES_ROOT",
        _complete_actors,
    ),
    Rule("train.NETWORK_TYPE train.TARGET_CHANNELS dataset.CURVES_ROOT", _target_groups),
    Rule("dataset.CURVES_ROOT preproc.CURVES_COMPONENTS", partial(_known_groups, "preproc.CURVES_COMPONENTS")),
    *(
        Rule(f"dataset.CURVES_ROOT train.{key}", partial(_weighed_groups, f"train.{key}"))
        for key in ("LOSS_CURVES_ALPHA", "LOSS_CURVES_MOTION_ALPHA")
    ),
    *(
        Rule(f"dataset.ACTOR_NAMES train.{key}", partial(_clip_actors, key))
        for key in ("CLIPS", "VALIDATION_CLIPS", "AUG_MUTED_SHOTS")
    ),
    Rule("dataset.SHOT_EMOTION_NAMES train.AUG_MUTED_SHOTS", _muted_emotions),
    *(
        Rule(f"dataset.SHOT_EMOTION_NAMES {key}", partial(_one_emotion, key))
        for key in (
            "train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS",
            "train.DEFAULT_SHOT_EMOTION_NAME",
            "inference.EMOTION_LABEL",
        )
    ),
    *(
        Rule(f"dataset.SHOT_EMOTION_NAMES {key}", partial(_emotion_weights, key))
        for key in ("train.LOSS_LIP_DIST_EMO_WEIGHTS", "train.LOSS_LIP_SIZE_EMO_WEIGHTS")
    ),
    Rule(
        "dataset.SHOT_EMOTION_NAMES train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS inference.EMOTION_LABEL",
        _emotion_vector,
    ),
    *(
        Rule(f"dataset.ACTOR_NAMES {key}", partial(_one_actor, key))
        for key in ("inference.ACTOR_NAME", "inference.CONDITION")
    ),
    Rule(
        "inference.TIMESTEP_RESPACING train.DIFFUSION_STEPS",
        partial(_respacing, "inference.TIMESTEP_RESPACING"),
    ),
)


@functools.cache
def actor_rules() -> tuple[Rule, ...]:
    """One rule for each dict by actor of any file, between the files of a project."""
    keys = {
        f"{kind}.{name}"
        for kind, method in EVERY
        for name, field in schema(kind, method).model_fields.items()
        if BY_ACTOR in field.metadata
    }
    return tuple(Rule(f"dataset.ACTOR_NAMES {key}", partial(_known_actors, key)) for key in sorted(keys))
