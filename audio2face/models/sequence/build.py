"""Builds a sequence network and its training from a config: the place where its keys become arguments."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

import torch

from audio2face.audio.windows import Streaming
from audio2face.face.codec import kind_of
from audio2face.models.common.encoders.phoneme_ctc import build_speech_measure
from audio2face.models.common.inputs import Inputs, Training, build_spec
from audio2face.models.common.starting_weights import build_starting_weights, build_trainable
from audio2face.models.common.targets import absent_channels
from audio2face.models.common.vertex_distances import build_distances
from audio2face.models.diffusion.build import (
    LOSS_KEYS,
    build_codec,
    build_codecs,
    build_losses,
    build_settings,
    build_shown,
    build_smooth,
)
from audio2face.models.diffusion.checks import Sampling, build_sampling, build_trained_steps
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.data import SegmentData
from audio2face.models.diffusion.method import warm_cosine
from audio2face.models.diffusion.schedule import build_schedule
from audio2face.models.diffusion.segments import build_features, build_segments
from audio2face.models.sequence.method import SequenceMethod, farthest, in_units, units
from audio2face.models.sequence.network import NETWORKS
from audio2face.models.sequence.preview import sequence_sample
from audio2face.paths import local_path
from audio2face.runtime import Runtime, model_cache
from audio2face.training.precision import build_advice, build_precision
from audio2face.training.validation import Validation, choose_metric, loss_validation


def build(inputs: Inputs, runtime: Runtime) -> Training:
    """The sequence method of a config. Raises UserError listing what is wrong with the data."""
    train, device = inputs.train, runtime.device
    codec = build_codec(inputs, device)
    sampling = build_sampling(inputs)
    network = NETWORKS[train.NETWORK_NAME](
        layout=codec.layout,
        mean=codec.network_mean,
        fps=train.TARGET_FPS,
        num_emotions=len(inputs.emotion_names),
        diffusion_steps=train.DIFFUSION_STEPS,
        encoder_arguments={"cache_root": model_cache(local_path(train.TORCH_CACHE_ROOT))},
        partner=any(clip.partner is not None for clip in inputs.clips),
        **train.NETWORK_HYPER_PARAMS,
    ).to(device)
    build_speech_measure(network, inputs, standardize=not train.NO_STANDARDIZE_AUDIO)
    data = build_segments(inputs, codec.coeffs, runtime)
    unit = units(data)
    network.unit.copy_(torch.from_numpy(unit))
    network.prior.learn(in_units(data, unit))
    schedule = build_schedule(train.DIFFUSION_NOISE_SCHEDULE, train.DIFFUSION_STEPS)
    network.signal.copy_(torch.from_numpy(schedule.alphas_cumprod))
    spec = build_spec(
        inputs,
        list(codec.layout.sizes),
        {a: dict(c.layout.sizes) for a, c in zip(inputs.actors, build_codecs(inputs, False), strict=True)},
        rescale=True,
        space="coefficients",
        **asdict(sampling),
        standardize=not train.NO_STANDARDIZE_AUDIO,
        encoder=network.encoder.rebuild_arguments(),
        absent=absent_channels(inputs.actors, codec.coeffs, data.has),
        longest_s=longest_seconds(data),
        **({"partner": True} if network.partner is not None else {}),
    )
    build_starting_weights(network, spec, inputs)
    build_trainable(network, train)
    streaming = Streaming.of(sampling.streaming)
    build_features(data, network, train, streaming, runtime)
    method = _build_method(inputs, network, codec, data, sampling, device)
    validation = _build_validation(method, inputs, streaming, runtime)
    preview = build_shown(method, inputs, sampling, runtime, partial(sequence_sample, method))
    advice = build_advice(train, device, [])
    return Training(
        method, network, spec, build_settings(train), None, validation, preview, advice, method.measure_noise
    )


def longest_seconds(data: SegmentData) -> float:
    """The longest segment that a network meets in training, in seconds."""
    longest = max(data.num_frames(clip) for clip in range(len(data.clips)))
    return min(longest, data.params.max_frames or longest) / data.params.fps


def _build_method(
    inputs: Inputs,
    network: torch.nn.Module,
    codec: TorchCodec,
    data: SegmentData,
    sampling: Sampling,
    device: torch.device,
) -> SequenceMethod:
    train, skin = inputs.train, codec.coeffs.sizes["skin_coeffs"]
    has_skin = all(run.has_skin for run in inputs.runs.values())
    weights = {name: getattr(train, f"LOSS_{name}_ALPHA") for name in LOSS_KEYS}
    if not train.modifier.get("LOSS_EXP_SMOOTH_ALPHA"):  # its default would hold the upper face still
        weights["EXP_SMOOTH"] = None
    face = [name for name in codec.coeffs.sizes if kind_of(name) != "curves"]
    scale = codec.poses.size / (data.energy(face) or codec.poses.size)  # this network's error is about 1 at the start
    weights = {name: None if weight is None else weight * scale for name, weight in weights.items()}
    return SequenceMethod(
        network,
        data,
        codec,
        build_trained_steps(train, sampling),
        build_losses(inputs, codec, {**weights, "CURVES": 1.0, "CURVES_MOTION": 1.0}),
        warm_cosine(train.LEARNING_RATE, train.LR_MIN, train.NUM_EPOCHS, train.LR_WARMUP_INIT, train.LR_WARMUP_EPOCHS),
        lip_dist=build_distances(inputs, skin, device, "lip_dist") if has_skin and weights["LIP_DIST"] else None,
        smooth=build_smooth(inputs, False, skin, device) if has_skin and weights["EXP_SMOOTH"] else None,
        streaming=Streaming.of(sampling.streaming),
        step_bias=train.STEP_BIAS,
        precision=build_precision(train),
        farthest=farthest(build_codecs(inputs, False), codec.layout),
    )


def _build_validation(
    method: SequenceMethod, inputs: Inputs, streaming: Streaming, runtime: Runtime
) -> Validation | None:
    """The losses on VALIDATION_CLIPS, or None without any."""
    if not inputs.validation:
        return None
    measured, partner = replace(inputs, clips=inputs.validation), method.network.partner is not None
    held = build_segments(measured, method.codec.coeffs, runtime, augment=False, partner=partner)
    build_features(held, method.network, inputs.train, streaming, runtime, takes=1)
    metric = choose_metric(inputs.train.BEST_METRIC, ["total", *method.terms])
    return Validation(loss_validation(method.loss, lambda: held.batches(0)), metric)
