"""Builds the diffusion method from a config: the place where its keys become arguments."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audio2face.audio.windows import Streaming
from audio2face.config.rules import streaming_entry
from audio2face.dataset.channels import CHANNELS
from audio2face.face.layout import ChannelLayout
from audio2face.geometry.pca import padded_bases
from audio2face.geometry.regions import upper_face_mask
from audio2face.models.common.inputs import Inputs, Training
from audio2face.models.common.shared import (
    build_distances,
    by_emotion,
    fit_settings,
    load_pretrained,
    measure_speech,
    skin_scales,
    with_absent,
)
from audio2face.models.common.weights import NETWORKS
from audio2face.models.diffusion.checks import check_export, check_noise, trained_steps
from audio2face.models.diffusion.method import (
    DiffusionLosses,
    DiffusionMethod,
    Smoothness,
    Space,
    coefficient_smoothness,
    vertex_smoothness,
    warm_cosine,
)
from audio2face.models.diffusion.model import pose_layout
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
POSE_CHANNELS = ("skin_pose", "tongue_pose", "jaw", "eye")


def build(inputs: Inputs, runtime: Runtime) -> Training:
    """The diffusion method of a config. Raises UserError listing what is wrong with the data."""
    check_export(inputs.inference)
    train, device, speed = inputs.train, runtime.device, build_speed(inputs.train)
    coeffs = {name: name.replace("_pose", "_coeffs") for name in POSE_CHANNELS}
    sizes = {a: {c: CHANNELS[c].size(run) for c in coeffs.values()} for a, run in inputs.runs.items()}
    coeff_layout = ChannelLayout({c: max(s[c] for s in sizes.values()) for c in coeffs.values()})
    full = _pose_layout(inputs)
    space = _space(inputs, coeff_layout, full, device)
    spec = _spec(inputs, sizes if not space.on_vertices else {a: dict(full.sizes) for a in inputs.actors}, space)
    check_noise(spec, full.size)
    network_class: Any = NETWORKS[train.NETWORK_NAME]
    network: DiffusionRNN = network_class(
        layout=space.layout,
        mean=space.mean,
        fps=train.TARGET_FPS,
        num_emotions=len(spec.emotion_names),
        diffusion_steps=train.DIFFUSION_STEPS,
        encoder_arguments={"cache_root": model_cache(local_path(train.TORCH_CACHE_ROOT))},
        **train.NETWORK_HYPER_PARAMS,
    ).to(device)
    measure_speech(network, inputs, standardize=not train.NO_STANDARDIZE_AUDIO)
    load_pretrained(network, spec, inputs)
    spec = replace(spec, extra={**spec.extra, "encoder": network.encoder.rebuild_arguments()})
    data = build_segments(inputs, coeff_layout, spec, runtime)
    spec = with_absent(spec, coeff_layout, data.has)
    cache_features(data, network, train, spec, runtime)
    method = DiffusionMethod(
        network,
        data,
        space,
        trained_steps(train, spec),
        _losses(inputs),
        warm_cosine(train.LEARNING_RATE, train.LR_MIN, train.NUM_EPOCHS, train.LR_WARMUP_INIT, train.LR_WARMUP_EPOCHS),
        skin_scale=skin_scales(inputs, device),
        skin_size=full.sizes["skin_pose"],
        lip_dist=build_distances(inputs, coeff_layout.sizes["skin_coeffs"], device, "lip_dist")
        if train.LOSS_LIP_DIST_ALPHA
        else None,
        smooth=_smooth(inputs, space.on_vertices, coeff_layout.sizes["skin_coeffs"], device)
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

    validate = _validation(method, inputs, coeff_layout, spec, runtime)
    preview = _preview(method, inputs, coeff_layout, spec, runtime)
    return Training(method, network, spec, settings, export, validate, preview, build_advice(train, device))


def _validation(
    method: DiffusionMethod, inputs: Inputs, layout: ChannelLayout, spec: NetworkSpec, runtime: Runtime
) -> Validation | None:
    """The losses on VALIDATION_CLIPS, or None without any."""
    if not inputs.validation:
        return None
    held = build_segments(replace(inputs, clips=inputs.validation), layout, spec, runtime, augment=False)
    cache_features(held, method.network, inputs.train, spec, runtime, takes=1)
    terms = ["total", "MSE", *(name for name in LOSS_KEYS if getattr(inputs.train, f"LOSS_{name}_ALPHA"))]
    metric = choose_metric(inputs.train.BEST_METRIC, terms)
    return Validation(loss_validation(method.loss, lambda: held.batches(0)), metric)


def _preview(
    method: DiffusionMethod, inputs: Inputs, layout: ChannelLayout, spec: NetworkSpec, runtime: Runtime
) -> Preview | None:
    """The film of a held-out clip, if there is one to show."""
    shown = preview_inputs(inputs)
    if shown is None:
        return None
    train = inputs.train
    schedule = build_schedule(train.DIFFUSION_NOISE_SCHEDULE, train.DIFFUSION_STEPS, spec.extra["respacing"])
    piece = build_segments(shown, layout, spec, runtime)
    return build_preview(shown, *diffusion_coeffs(method, piece, schedule, spec.extra["sampler"]))


def _pose_layout(inputs: Inputs) -> ChannelLayout:
    """The layout of deployed frames; all actors must share it."""
    layouts = {actor: pose_layout(run).sizes for actor, run in inputs.runs.items()}
    first = next(iter(layouts.values()))
    if any(layout != first for layout in layouts.values()):
        listed = "; ".join(
            f"{a}: {x['skin_pose'] // 3} skin, {x['tongue_pose'] // 3} tongue vertices" for a, x in layouts.items()
        )
        raise UserError(f"ACTOR_NAMES: one diffusion network needs one topology for all its actors ({listed})")
    return ChannelLayout(first)


def _space(inputs: Inputs, coeff_layout: ChannelLayout, full: ChannelLayout, device: torch.device) -> Space:
    if inputs.train.NETWORK_NAME in PCA_NETWORKS:
        mean = torch.zeros(len(inputs.actors), coeff_layout.size, device=device)
        return Space(coeff_layout, coeff_layout, full.size, {}, mean, _noised(inputs, coeff_layout).to(device))
    mean = torch.from_numpy(np.stack([inputs.runs[a].mean_geometry for a in inputs.actors])).float().to(device)
    bases = {}
    for mesh in ("skin", "tongue"):
        rows = [getattr(inputs.runs[actor], mesh).components for actor in inputs.actors]
        bases[mesh] = torch.from_numpy(padded_bases(rows, coeff_layout.sizes[f"{mesh}_coeffs"])).to(device)
    return Space(coeff_layout, full, full.size, bases, mean, torch.ones_like(mean))


def _noised(inputs: Inputs, layout: ChannelLayout) -> Tensor:
    """(A, C) 1 for jaw, eye and the coefficients that an actor's bases have: projected noise is zero on all others."""
    flags = np.zeros((len(inputs.actors), layout.size), np.float32)
    for row, actor in zip(flags, inputs.actors, strict=True):
        for name, part in layout.split(row).items():
            mesh = name.removesuffix("_coeffs")
            if mesh == name:
                part[:] = 1.0
            else:
                norms = np.linalg.norm(getattr(inputs.runs[actor], mesh).components, axis=(1, 2))
                part[: len(norms)] = norms > 0.5
    return torch.from_numpy(flags)


def _spec(inputs: Inputs, sizes: dict[str, dict[str, int]], space: Space) -> NetworkSpec:
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
        "space": "vertices" if space.on_vertices else "coefficients",
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
        channels=list(space.layout.sizes),
        channel_sizes=sizes,
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
