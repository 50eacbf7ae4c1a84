"""The clips of a diffusion training in segments: how they are augmented, and a frozen encoder's features of them."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from functools import partial

import torch
from torch import Tensor

from audio2face.audio.augment import shift_grid
from audio2face.audio.windows import Streaming
from audio2face.config import Section
from audio2face.dataset.audio_tracks import build_noise, build_tracks
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.data_memory import build_keep
from audio2face.models.common.encoders import in_precision
from audio2face.models.common.feature_store import build_feature_store
from audio2face.models.common.inputs import Inputs, build_conditions
from audio2face.models.common.targets import build_targets
from audio2face.models.diffusion.audio_context import window_features
from audio2face.models.diffusion.data import CONTEXT, PitchShift, SegmentData, SegmentParams
from audio2face.models.diffusion.network import SpeechFrames
from audio2face.runtime import Runtime
from audio2face.training.settings import build_cache_bytes

logger = logging.getLogger(__name__)


def build_segments(
    inputs: Inputs, layout: ChannelLayout, runtime: Runtime, augment: bool = True, partner: bool = True
) -> SegmentData:
    """The clips in segments; without `augment` at their own pitch and time, to measure on; without `partner` for networks that
    hear the actor alone."""
    train = inputs.train
    clips = inputs.clips if partner else [replace(clip, partner=None) for clip in inputs.clips]
    random = train.TRAIN_ON_RANDOM_SUBSEGMENT
    pitch, shift = _build_pitch(train) if augment else (None, None)
    params = SegmentParams(
        fps=float(train.TARGET_FPS),
        sample_rate=train.AUDIO_PARAMS["samplerate"],
        min_frames=train.SUBSEGMENT_MIN_FRAME if random else None,
        max_frames=train.SUBSEGMENT_MAX_FRAME if random else None,
        pitch=pitch,
        timeshift=(train.AUGMENT.get("timeshift") or 0.0) if augment else 0.0,
        standardize=not train.NO_STANDARDIZE_AUDIO,
    )
    keep = build_keep(replace(inputs, clips=clips), layout.size, runtime)
    return SegmentData(
        clips,
        build_conditions(inputs),
        build_targets(inputs, layout, rescale=True, keep=keep).of,
        layout,
        build_tracks(train, keep),
        build_noise(train),
        params,
        num_actors=len(inputs.actors),
        batch_size=train.BATCH_SIZE,
        seed=train.RNG_SEED_DATASET,
        device=runtime.device,
        pitch_shift=shift,
        world=runtime.world,
        keep=keep,
    )


def build_features(
    data: SegmentData,
    network: SpeechFrames,
    train: Section,
    streaming: Streaming,
    runtime: Runtime,
    takes: int | None = None,
) -> None:
    """Cache a frozen encoder's features of every clip, window by window as when streaming.

    The takes of a clip spread over the time shifts, and over where the windows begin.
    """
    takes = takes or train.TIMESHIFT_GRID
    if not network.encoder.frozen or not train.FEATURE_CACHE_GB:
        return
    shift = train.AUGMENT.get("timeshift") or 0.0
    shifts = shift_grid(shift, takes) if shift else (0.0,) * takes

    bf16, device = train.PRECISION == "bf16", runtime.device

    def hear(sound: Tensor, num_frames: int, take: int) -> Tensor:
        phase = take * streaming.centre // takes
        heard = partial(window_features, network, sound, CONTEXT, num_frames, streaming, phase)
        with torch.no_grad():
            return in_precision(network.encoder, bf16, device, heard)

    settings = {"fps": network.fps, "pieces": network.pieces, "streaming": asdict(streaming)}
    store = build_feature_store(train, [network.encoder], runtime, **settings)
    data.cache_features(hear, shifts, build_cache_bytes(train, runtime), store)


def _build_pitch(train: Section) -> tuple[tuple[float, float, float] | None, PitchShift | None]:
    """Range and share of pitch-shifted items, and the function; off, with a warning, without the optional package."""
    settings = train.AUGMENT.get("pitch_shift")
    if not settings or not settings["p"]:
        return None, None
    from audio2face.audio.augment import load_pitch_shift

    shift = load_pitch_shift(train.AUDIO_PARAMS["samplerate"])
    if shift is None:
        logger.warning("AUGMENT/pitch_shift is off: it needs the package python-stretch (pip install -e '.[augment]')")
        return None, None
    return (settings["min_semitones"], settings["max_semitones"], settings["p"]), shift
