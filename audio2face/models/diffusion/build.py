"""Builds the diffusion method from a config: the place where its keys become arguments."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio2face.audio.windows import Streaming
from audio2face.config.rules import streaming_entry
from audio2face.geometry.regions import upper_face_mask
from audio2face.models.common.inputs import Inputs, Training
from audio2face.models.common.shared import (
    build_distances,
    by_emotion,
    fit_settings,
    load_pretrained,
    measure_speech,
    with_absent,
)
from audio2face.models.common.weights import NETWORKS
from audio2face.models.diffusion.checks import check_export, check_noise, trained_steps
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.method import (
    DiffusionLosses,
    DiffusionMethod,
    Smoothness,
    coefficient_smoothness,
    vertex_smoothness,
    warm_cosine,
)
from audio2face.models.diffusion.network import DiffusionRNN
from audio2face.models.diffusion.schedule import build_schedule
from audio2face.models.diffusion.segments import build_segments, cache_features
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runs.train_run import NetworkSpec, TrainRun
from audio2face.runtime import Runtime, model_cache
from audio2face.training.precision import build_advice, build_speed
from audio2face.training.preview import Preview, build_preview, diffusion_coeffs, preview_inputs
from audio2face.training.validation import Validation, choose_metric, loss_validation

logger = logging.getLogger(__name__)

PCA_NETWORKS = ("diffusion_rnn_pca",)
LOSS_KEYS = ("LIP_DIST", "VELOCITY", "EXP_SMOOTH")


def build(inputs: Inputs, runtime: Runtime) -> Training:
    """The diffusion method of a config. Raises UserError listing what is wrong with the data."""
    check_export(inputs.inference)
    train, device, speed = inputs.train, runtime.device, build_speed(inputs.train)
    codec = _build_codec(inputs, device)
    spec = _spec(inputs, codec)
    check_noise(spec, codec.poses.size)
    network_class: Any = NETWORKS[train.NETWORK_NAME]
    network: DiffusionRNN = network_class(
        layout=codec.layout,
        mean=codec.network_mean,
        fps=train.TARGET_FPS,
        num_emotions=len(spec.emotion_names),
        diffusion_steps=train.DIFFUSION_STEPS,
        encoder_arguments={"cache_root": model_cache(local_path(train.TORCH_CACHE_ROOT))},
        **train.NETWORK_HYPER_PARAMS,
    ).to(device)
    measure_speech(network, inputs, standardize=not train.NO_STANDARDIZE_AUDIO)
    load_pretrained(network, spec, inputs)
    spec = replace(spec, extra={**spec.extra, "encoder": network.encoder.rebuild_arguments()})
    data = build_segments(inputs, codec.coeffs, spec, runtime)
    spec = with_absent(spec, codec.coeffs, data.has)
    cache_features(data, network, train, spec, runtime)
    method = DiffusionMethod(
        network,
        data,
        codec,
        trained_steps(train, spec),
        _losses(inputs),
        warm_cosine(train.LEARNING_RATE, train.LR_MIN, train.NUM_EPOCHS, train.LR_WARMUP_INIT, train.LR_WARMUP_EPOCHS),
        lip_dist=build_distances(inputs, codec.coeffs.sizes["skin_coeffs"], device, "lip_dist")
        if train.LOSS_LIP_DIST_ALPHA
        else None,
        smooth=_smooth(inputs, codec.on_vertices, codec.coeffs.sizes["skin_coeffs"], device)
        if train.LOSS_EXP_SMOOTH_ALPHA
        else None,
        streaming=Streaming.of(spec.extra["streaming"]),
        step_bias=train.STEP_BIAS,
        world=runtime.world,
        speed=speed,
    )
    settings = replace(
        fit_settings(train), accumulate=train.GRADIENT_ACCUMULATION_STEPS, clip_norm=train.GRADIENT_CLIP_NORM
    )

    def export(run: TrainRun) -> dict[str, Path]:
        from audio2face.models.diffusion.export import export_diffusion

        return export_diffusion(network, run, train.ONNX_OPSET, train.ONNX_EXPORTER)

    validate = _validation(method, inputs, spec, runtime)
    preview = _preview(method, inputs, spec, runtime)
    return Training(method, network, spec, settings, export, validate, preview, build_advice(train, device))


def _validation(method: DiffusionMethod, inputs: Inputs, spec: NetworkSpec, runtime: Runtime) -> Validation | None:
    """The losses on VALIDATION_CLIPS, or None without any."""
    if not inputs.validation:
        return None
    held = build_segments(replace(inputs, clips=inputs.validation), method.codec.coeffs, spec, runtime, augment=False)
    cache_features(held, method.network, inputs.train, spec, runtime, takes=1)
    terms = ["total", "MSE", *(name for name in LOSS_KEYS if getattr(inputs.train, f"LOSS_{name}_ALPHA"))]
    metric = choose_metric(inputs.train.BEST_METRIC, terms)
    return Validation(loss_validation(method.loss, lambda: held.batches(0)), metric)


def _preview(method: DiffusionMethod, inputs: Inputs, spec: NetworkSpec, runtime: Runtime) -> Preview | None:
    """The video of a held-out clip, if there is one to show."""
    shown = preview_inputs(inputs)
    if shown is None:
        return None
    train = inputs.train
    schedule = build_schedule(train.DIFFUSION_NOISE_SCHEDULE, train.DIFFUSION_STEPS, spec.extra["respacing"])
    piece = build_segments(shown, method.codec.coeffs, spec, runtime)
    return build_preview(shown, *diffusion_coeffs(method, piece, schedule, spec.extra["sampler"]))


def _build_codec(inputs: Inputs, device: torch.device) -> TorchCodec:
    """The faces of all actors, which must share the layout of deployed frames."""
    codecs, poses = ([getattr(inputs.runs[a], name) for a in inputs.actors] for name in ("codec", "poses"))
    if skinless := [actor for actor in inputs.actors if not inputs.runs[actor].has_skin]:
        raise UserError(
            f"NETWORK_TYPE 'diffusion' needs a skin, and {', '.join(skinless)} has none; train a regression"
        )
    if any(pose.layout != poses[0].layout for pose in poses):
        listed = "; ".join(
            f"{a}: {x['skin'].size // 3} skin, {x['tongue'].size // 3} tongue vertices"
            for a, x in zip(inputs.actors, poses, strict=True)
        )
        raise UserError(f"ACTOR_NAMES: one diffusion network needs one topology for all its actors ({listed})")
    on_vertices = inputs.train.NETWORK_NAME not in PCA_NETWORKS
    return TorchCodec(codecs, poses, on_vertices, decodes=on_vertices).to(device)


def _spec(inputs: Inputs, codec: TorchCodec) -> NetworkSpec:
    train = inputs.train
    streaming = streaming_entry(train.TARGET_FPS, train.STREAMING_CFG, train.AUDIO_PARAMS)
    assert streaming is not None, train.TARGET_FPS
    if f"{train.TARGET_FPS:g}" not in train.STREAMING_CFG:
        logger.info("STREAMING_CFG: computed for %g frames a second: %s", train.TARGET_FPS, streaming)
    if not Streaming.of(streaming).lead.is_integer():
        logger.warning(
            "STREAMING_CFG/%g: left_truncate is not a whole number of samples, so the runtime loses frame 0 (at 30 frames "
            "a second, 6, 15 and 9 frames keep it)",
            train.TARGET_FPS,
        )
    extra: dict[str, Any] = {
        "space": "vertices" if codec.on_vertices else "coefficients",
        "diffusion_steps": train.DIFFUSION_STEPS,
        "noise_schedule": train.DIFFUSION_NOISE_SCHEDULE,
        "respacing": _respacing(inputs),
        "sampler": "ddim" if inputs.inference is not None and inputs.inference.USE_DDIM else "ddpm",
        "streaming": dict(streaming),
        "standardize": not train.NO_STANDARDIZE_AUDIO,
    }
    return NetworkSpec(
        network_type=train.NETWORK_TYPE,
        network_name=train.NETWORK_NAME,
        network_version=train.NETWORK_VERSION,
        hyper_params=dict(train.NETWORK_HYPER_PARAMS),
        actors=inputs.actors,
        emotion_names=inputs.emotion_names,
        zero_emotion=train.SHOT_EMOTION_NAME_FOR_ALL_ZEROS,
        default_emotion=train.DEFAULT_SHOT_EMOTION_NAME,
        channels=list(codec.layout.sizes),
        channel_sizes={
            a: dict((run.poses if codec.on_vertices else run.codec).layout.sizes) for a, run in inputs.runs.items()
        },
        fps=float(train.TARGET_FPS),
        audio_params=dict(train.AUDIO_PARAMS),
        audio_method=train.AUDIO_PREPROC_METHOD,
        rescale=True,
        extra=extra,
    )


def _respacing(inputs: Inputs) -> str:
    """The steps that the exported graph takes: TIMESTEP_RESPACING of the inference config, else NUM_DIFFUSION_STEPS."""
    inference = inputs.inference
    if inference is None:
        return "2"
    return inference.TIMESTEP_RESPACING or str(inference.NUM_DIFFUSION_STEPS)


def _losses(inputs: Inputs) -> DiffusionLosses:
    train = inputs.train
    return DiffusionLosses(
        weights={name: getattr(train, f"LOSS_{name}_ALPHA") for name in LOSS_KEYS},
        tongue_weight=train.TONGUE_WEIGHT,
        jaw_weight=train.JAW_WEIGHT,
        lip_dist_exp=train.LOSS_LIP_DIST_EXP,
        lip_dist_emotion=by_emotion(inputs, train.LOSS_LIP_DIST_EMO_WEIGHTS),
    )


def _smooth(inputs: Inputs, on_vertices: bool, size: int, device: torch.device) -> Smoothness | None:
    """How upper-face motion is weighed; None, with a warning, when an actor has no lid vertices."""
    masks, skins = [], [inputs.runs[actor].skin for actor in inputs.actors]
    for actor, skin in zip(inputs.actors, skins, strict=True):
        lids = inputs.files[actor].eye_dist_pairs()
        if lids is None:
            logger.warning("LOSS_EXP_SMOOTH_ALPHA is off: no SKIN_EYE_DIST_VERTEX_LIST_FPATH for %s", actor)
            return None
        masks.append(upper_face_mask(skin.mean, np.asarray(lids[1])))
    if on_vertices:
        return vertex_smoothness(masks, device)
    return coefficient_smoothness([skin.components for skin in skins], masks, size, device)
