"""Builds the diffusion method from a config: the place where its keys become arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from audio2face.audio.windows import Streaming
from audio2face.config import Section
from audio2face.face.codec import FaceCodec, kind_of
from audio2face.geometry.regions import upper_face_mask
from audio2face.lazy import lazy
from audio2face.models.common.inputs import Inputs, Training
from audio2face.models.common.preview import build_curves_preview, build_preview, build_preview_inputs
from audio2face.models.common.shared import (
    absent_channels,
    build_curve_weights,
    build_distances,
    build_emotion_weights,
    build_fit_settings,
    build_spec,
    build_speech_measure,
    build_starting_weights,
    build_trainable,
    check_columns,
)
from audio2face.models.diffusion.checks import Sampling, build_sampling, build_trained_steps, check_export, check_noise
from audio2face.models.diffusion.codec import TorchCodec
from audio2face.models.diffusion.data import SegmentBatch, SegmentData
from audio2face.models.diffusion.method import (
    DiffusionLosses,
    DiffusionMethod,
    Smoothness,
    coefficient_smoothness,
    vertex_smoothness,
    warm_cosine,
)
from audio2face.models.diffusion.network import NETWORKS, ON_VERTICES
from audio2face.models.diffusion.preview import Sample, diffusion_sample, first_clip, shown_coeffs, shown_curves
from audio2face.models.diffusion.schedule import Schedule, build_schedule
from audio2face.models.diffusion.segments import build_features, build_segments
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runs.train_run import TrainRun
from audio2face.runtime import Runtime, model_cache
from audio2face.training.precision import build_advice, build_precision
from audio2face.training.previews import CurvesPreview, Preview
from audio2face.training.validation import Validation, choose_metric, loss_validation

logger = logging.getLogger(__name__)

export_diffusion = lazy("audio2face.models.diffusion.export", "export_diffusion")

LOSS_KEYS = ("LIP_DIST", "VELOCITY", "EXP_SMOOTH")


def build(inputs: Inputs, runtime: Runtime) -> Training:
    """The diffusion method of a config. Raises UserError listing what is wrong with the data."""
    check_export(inputs.inference)
    train, device, precision = inputs.train, runtime.device, build_precision(inputs.train)
    codec = build_codec(inputs, device)
    sampling = build_sampling(inputs)
    check_noise(sampling, train.TARGET_FPS, train.AUDIO_PARAMS, codec.poses.size)
    streaming = Streaming.of(sampling.streaming)
    skinless = not all(run.has_skin for run in inputs.runs.values())
    network = NETWORKS[train.NETWORK_NAME](
        layout=codec.layout,
        mean=codec.network_mean,
        fps=train.TARGET_FPS,
        num_emotions=len(inputs.emotion_names),
        diffusion_steps=train.DIFFUSION_STEPS,
        encoder_arguments={"cache_root": model_cache(local_path(train.TORCH_CACHE_ROOT))},
        **train.NETWORK_HYPER_PARAMS,
    ).to(device)
    build_speech_measure(network, inputs, standardize=not train.NO_STANDARDIZE_AUDIO)
    data = build_segments(inputs, codec.coeffs, runtime, partner=False)
    spec = build_spec(
        inputs,
        list(codec.layout.sizes),
        {a: dict(c.layout.sizes) for a, c in zip(inputs.actors, build_codecs(inputs, codec.on_vertices), strict=True)},
        rescale=True,
        space="vertices" if codec.on_vertices else "coefficients",
        **asdict(sampling),
        standardize=not train.NO_STANDARDIZE_AUDIO,
        encoder=network.encoder.rebuild_arguments(),
        absent=absent_channels(inputs.actors, codec.coeffs, data.has),
    )
    build_starting_weights(network, spec, inputs)
    build_trainable(network, train)
    build_features(data, network, train, streaming, runtime)
    method = DiffusionMethod(
        network,
        data,
        codec,
        build_trained_steps(train, sampling),
        _build_losses(inputs, codec, data),
        warm_cosine(train.LEARNING_RATE, train.LR_MIN, train.NUM_EPOCHS, train.LR_WARMUP_INIT, train.LR_WARMUP_EPOCHS),
        lip_dist=build_distances(inputs, codec.coeffs.sizes["skin_coeffs"], device, "lip_dist")
        if train.LOSS_LIP_DIST_ALPHA
        else None,
        smooth=build_smooth(inputs, codec.on_vertices, codec.coeffs.sizes["skin_coeffs"], device)
        if train.LOSS_EXP_SMOOTH_ALPHA and not skinless
        else None,
        streaming=streaming,
        step_bias=train.STEP_BIAS,
        precision=precision,
    )
    settings = replace(
        build_fit_settings(train), accumulate=train.GRADIENT_ACCUMULATION_STEPS, clip_norm=train.GRADIENT_CLIP_NORM
    )

    opset, exporter = train.ONNX_OPSET, train.ONNX_EXPORTER

    def export(run: TrainRun) -> dict[str, Path]:
        return export_diffusion(network, run, opset, exporter)

    validate = _build_validation(method, inputs, streaming, runtime)

    def sampled(batch: SegmentBatch, schedule: Schedule) -> Sample:
        return diffusion_sample(method, batch, schedule, sampling.sampler)

    preview = build_shown(method, inputs, sampling, runtime, sampled)
    return Training(
        method, network, spec, settings, export, validate, preview, build_advice(train, device, _build_advice(train))
    )


def _build_validation(
    method: DiffusionMethod, inputs: Inputs, streaming: Streaming, runtime: Runtime
) -> Validation | None:
    """The losses on VALIDATION_CLIPS, or None without any."""
    if not inputs.validation:
        return None
    measured = replace(inputs, clips=inputs.validation)
    held = build_segments(measured, method.codec.coeffs, runtime, augment=False, partner=False)
    build_features(held, method.network, inputs.train, streaming, runtime, takes=1)
    terms = ["total", *(["CURVES", "CURVES_MOTION"] if method.codec.curves.size else []), "MSE"]
    terms += [name for name in LOSS_KEYS if getattr(inputs.train, f"LOSS_{name}_ALPHA")]
    metric = choose_metric(inputs.train.BEST_METRIC, terms)
    return Validation(loss_validation(method.loss, lambda: held.batches(0)), metric)


def build_shown(
    method: DiffusionMethod,
    inputs: Inputs,
    sampling: Sampling,
    runtime: Runtime,
    sampled: Callable[[SegmentBatch, Schedule], Sample],
) -> Preview | CurvesPreview | None:
    """The video of a held-out clip, if there is one to show: of the skin, or of an actor without one the curves.

    sampled: from that clip and the steps of sampling, what samples its frames.
    """
    shown = build_preview_inputs(inputs)
    if shown is None:
        return None
    has_skin = inputs.runs[shown.clips[0].shot.actor].has_skin
    if not has_skin and not method.codec.curves.size:
        return None
    schedule = build_schedule(sampling.noise_schedule, sampling.diffusion_steps, sampling.respacing)
    batch = first_clip(build_segments(shown, method.codec.coeffs, runtime))
    sample = sampled(batch, schedule)
    if has_skin:
        return build_preview(shown, *shown_coeffs(method, batch, sample))
    return build_curves_preview(shown, *shown_curves(method, batch, sample))


def build_codec(inputs: Inputs, device: torch.device) -> TorchCodec:
    """The faces of all actors, which must share the layout of deployed frames."""
    codecs, poses = build_codecs(inputs, False), build_codecs(inputs, True)
    skinless = [actor for actor in inputs.actors if not inputs.runs[actor].has_skin]
    if skinless and not _build_groups(inputs):
        raise UserError(
            f"NETWORK_TYPE 'diffusion' needs a skin or curves, and {', '.join(skinless)} has neither in TARGET_CHANNELS; "
            "train a regression"
        )
    if any(pose.face.layout != poses[0].face.layout for pose in poses):
        listed = "; ".join(
            f"{a}: {x['skin'].size // 3} skin, {x['tongue'].size // 3} tongue vertices"
            for a, x in zip(inputs.actors, poses, strict=True)
        )
        raise UserError(f"ACTOR_NAMES: one diffusion network needs one topology for all its actors ({listed})")
    on_vertices = inputs.train.NETWORK_NAME in ON_VERTICES
    return TorchCodec(codecs, poses, on_vertices, decodes=on_vertices).to(device)


def _build_groups(inputs: Inputs) -> list[str]:
    return [name for name in inputs.train.TARGET_CHANNELS if kind_of(name) == "curves"]


def build_codecs(inputs: Inputs, on_vertices: bool) -> list[FaceCodec]:
    """Every actor's face and the groups of curves to train, the meshes as vertices or by coefficients."""
    runs = [inputs.runs[actor] for actor in inputs.actors]
    names = [*runs[0].codec.face.layout.sizes, *_build_groups(inputs)]
    chosen = [run.codec.chosen(names) for run in runs]
    check_columns(inputs.actors, chosen)
    if not on_vertices:
        return chosen
    return [codec.on_vertices(run.mean_geometry) for codec, run in zip(chosen, runs, strict=True)]


def _build_losses(inputs: Inputs, codec: TorchCodec, data: SegmentData) -> DiffusionLosses:
    train = inputs.train
    weights = {name: getattr(train, f"LOSS_{name}_ALPHA") for name in LOSS_KEYS}
    if codec.curves.size:  # as large at the start as the error of the face, which is in other units
        face = [name for name in codec.coeffs.sizes if kind_of(name) != "curves"]
        weights |= dict.fromkeys(("CURVES", "CURVES_MOTION"), data.energy(face) / codec.poses.size or 1.0)
    return DiffusionLosses(
        weights=weights,
        curves=build_curve_weights(inputs, codec.layout, "LOSS_CURVES_ALPHA"),
        curves_motion=build_curve_weights(inputs, codec.layout, "LOSS_CURVES_MOTION_ALPHA"),
        tongue_weight=train.TONGUE_WEIGHT,
        jaw_weight=train.JAW_WEIGHT,
        lip_dist_exp=train.LOSS_LIP_DIST_EXP,
        lip_dist_emotion=build_emotion_weights(inputs, train.LOSS_LIP_DIST_EMO_WEIGHTS),
    )


def build_smooth(inputs: Inputs, on_vertices: bool, size: int, device: torch.device) -> Smoothness | None:
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


def _build_advice(train: Section) -> list[str]:
    """What would make a diffusion training shorter."""
    chosen, advice = train.NETWORK_HYPER_PARAMS, []
    if train.NETWORK_NAME in ON_VERTICES:
        advice.append('NETWORK_NAME = "diffusion_rnn_pca" (components in place of vertices)')
    if chosen.get("audio_encoder") in ("hubert", "w2v", "whisper") and not chosen["freeze_audio_encoder"]:
        advice.append('NETWORK_HYPER_PARAMS "freeze_audio_encoder": True, or a smaller "audio_encoder" ("phoneme_ctc")')
    return advice
