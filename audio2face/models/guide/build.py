"""Builds a guide and its training from a config: the place where its keys become arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from audio2face.audio.windows import Streaming
from audio2face.config import Section
from audio2face.config.streaming import streaming_entry
from audio2face.face.codec import common_layout
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.encoders.phoneme_ctc import build_speech_measure
from audio2face.models.common.inputs import Inputs, Training, build_spec
from audio2face.models.common.losses import build_curve_weights
from audio2face.models.common.targets import absent_channels, check_columns
from audio2face.models.diffusion.method import warm_cosine
from audio2face.models.diffusion.segments import build_features, build_segments
from audio2face.models.guide.data import GuideData, value_statistics
from audio2face.models.guide.method import GuideMethod
from audio2face.models.guide.network import NETWORKS
from audio2face.models.guide.validation import guide_validation
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runtime import Runtime, model_cache
from audio2face.training.precision import Precision, build_advice
from audio2face.training.settings import build_fit_settings
from audio2face.training.validation import Validation


def build(inputs: Inputs, runtime: Runtime) -> Training:
    """The guide of a config. Raises UserError listing what is wrong with the data."""
    train, device = inputs.train, runtime.device
    codecs = [inputs.runs[actor].codec.chosen(train.TARGET_CHANNELS) for actor in inputs.actors]
    check_columns(inputs.actors, codecs)
    layout = common_layout(codecs)
    network = NETWORKS[train.NETWORK_NAME](
        layout=layout,
        fps=train.TARGET_FPS,
        guide_fps=train.GUIDE_FPS,
        num_actors=len(inputs.actors),
        num_emotions=len(inputs.emotion_names),
        encoder_arguments={"cache_root": model_cache(local_path(train.TORCH_CACHE_ROOT))},
        partner=any(clip.partner is not None for clip in inputs.clips),
        **train.NETWORK_HYPER_PARAMS,
    ).to(device)
    build_speech_measure(network, inputs, standardize=not train.NO_STANDARDIZE_AUDIO)
    segments = build_segments(inputs, layout, runtime)
    mean, unit = value_statistics(segments)
    network.codec.mean.copy_(torch.from_numpy(mean))
    network.codec.unit.copy_(torch.from_numpy(unit))
    entry = streaming_entry(train.TARGET_FPS, train.STREAMING_CFG, train.AUDIO_PARAMS)
    assert entry is not None, train.TARGET_FPS
    spec = build_spec(
        inputs,
        list(layout.sizes),
        {a: dict(codec.layout.sizes) for a, codec in zip(inputs.actors, codecs, strict=True)},
        rescale=True,
        guide_fps=float(train.GUIDE_FPS),
        streaming=dict(entry),
        standardize=not train.NO_STANDARDIZE_AUDIO,
        encoder=network.encoder.rebuild_arguments(),
        absent=absent_channels(inputs.actors, layout, segments.has),
        **({"partner": True} if network.partner is not None else {}),
    )
    streaming = Streaming.of(entry)
    build_features(segments, network, train, streaming, runtime)
    method = GuideMethod(
        network,
        GuideData(segments, train.GUIDE_FPS, train.GUIDE_CODEC_EPOCHS),
        torch.from_numpy(_build_importance(inputs, layout, unit)).to(device),
        _build_rate(train),
        train.GUIDE_CODEC_LEARNING_RATE / build_fit_settings(train).learning_rate,
        streaming=streaming,
        precision=Precision(train.PRECISION == "bf16"),
    )
    settings = replace(build_fit_settings(train), clip_norm=train.GRADIENT_CLIP_NORM)
    validation = _build_validation(method, inputs, streaming, runtime)
    return Training(method, network, spec, settings, None, validation, None, build_advice(train, device))


def _build_importance(inputs: Inputs, layout: ChannelLayout, unit: np.ndarray) -> np.ndarray:
    """How much each value (C,) counts: in its group as its variance does, its group as LOSS_CURVES_ALPHA says; 1 in all."""
    alpha = build_curve_weights(inputs, layout, "LOSS_CURVES_ALPHA")
    if alpha is None:
        raise UserError(
            "config_train.py: LOSS_CURVES_ALPHA: every group of TARGET_CHANNELS has weight 0; nothing is learnt"
        )
    parts = [part**2 / (part**2).sum() for part in layout.split(unit).values()]
    found = np.concatenate(parts) * alpha
    return (found / found.sum()).astype(np.float32)


def _build_rate(train: Section) -> Callable[[int], float]:
    """The factor of the learning rates in an epoch: each stage has its own warm-up and its own cosine."""
    codec, epochs, warm = train.GUIDE_CODEC_EPOCHS, train.NUM_EPOCHS, train.LR_WARMUP_EPOCHS
    first, then = (
        warm_cosine(train.LEARNING_RATE, train.LR_MIN, count, 0.1 * train.LEARNING_RATE, min(warm, count))
        for count in (codec, epochs - codec)
    )
    return lambda epoch: first(epoch) if epoch < codec else then(epoch - codec)


def _build_validation(method: GuideMethod, inputs: Inputs, streaming: Streaming, runtime: Runtime) -> Validation | None:
    """Codec and codes of VALIDATION_CLIPS, whole; None without any."""
    if not inputs.validation:
        return None
    train, data, partner = inputs.train, method.data, method.network.partner is not None
    measured = replace(inputs, clips=inputs.validation)
    held = build_segments(measured, data.segments.layout, runtime, augment=False, partner=partner)
    held.params = replace(held.params, min_frames=None, max_frames=None)
    build_features(held, method.network, train, streaming, runtime, takes=1)
    return Validation(guide_validation(method, GuideData(held, train.GUIDE_FPS, 0)), "CROSS_ENTROPY")
