"""Builds the regression method from a config: the place where its keys become arguments."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio2face.config import Section
from audio2face.evaluation.score import lip_vertices
from audio2face.face.codec import common_layout
from audio2face.face.layout import ChannelLayout
from audio2face.models.common.inputs import Inputs, Training
from audio2face.models.common.layers import num_steps
from audio2face.models.common.phonemes import PhonemeModel, load_phoneme_model
from audio2face.models.common.shared import (
    build_conditions,
    build_distances,
    build_noise,
    build_targets,
    build_tracks,
    by_emotion,
    cache_bytes,
    fit_settings,
    load_pretrained,
    measure_speech,
    with_absent,
)
from audio2face.models.common.vertex_distances import LargestDistance, largest_distance
from audio2face.models.common.weights import NETWORKS
from audio2face.models.regression.data import WindowData, WindowParams, shift_grid
from audio2face.models.regression.method import LossSettings, Regression, RegressionMethod, Schedule
from audio2face.models.regression.network import ConvW2vAutocorr
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runs.emotion_db import EmotionDB, actor_databases, compact
from audio2face.runs.train_run import NetworkSpec, TrainRun
from audio2face.runtime import Runtime, model_cache
from audio2face.training.precision import build_advice, build_speed
from audio2face.training.preview import build_preview, preview_inputs, regression_coeffs
from audio2face.training.validation import Validation, choose_metric, regression_validation
from audio2face.types import Clip

logger = logging.getLogger(__name__)

OF_THE_MOUTH = ["mouth_opening_correlation", "mouth_opening_error_mm", "mouth_opening_relative_error"]
LOSS_KEYS = ("MSE", "MOTION", "EMO_REG", "LIP_DIST", "LIP_SIZE", "VOL_STAB_REG", "PHONEME", "PHONEME_MOTION")
SPEECH_CHECK_WINDOWS = 256  # windows of training sound on which the exported network is compared


@dataclass(frozen=True)
class Spans:
    """Rows of the implicit emotion table: (actor, shot, start, size) of every trained shot, muted ones after the others."""

    rows: list[tuple[str, str, int, int]]

    @classmethod
    def of(cls, clips: list[Clip]) -> Spans:
        """The spans of the shots that the clips are of, in the order of their first clips."""
        sizes = {(c.shot.actor, c.shot.name): c.shot.num_frames for c in clips}
        rows, start = [], 0
        for (actor, name), size in sizes.items():
            rows.append((actor, name, start, size))
            start += size
        return cls(rows)

    @property
    def num_rows(self) -> int:
        """Frames of all shots: rows of the table of implicit emotions."""
        return sum(size for *_, size in self.rows)

    def start(self, clip: Clip) -> int:
        """The row of the first frame of the clip's shot."""
        return next(start for actor, shot, start, _ in self.rows if (actor, shot) == (clip.shot.actor, clip.shot.name))


def build(inputs: Inputs, runtime: Runtime) -> Training:
    """The regression method of a config. Raises UserError listing what is wrong with the data."""
    train, speed = inputs.train, build_speed(inputs.train)
    codecs = {actor: inputs.runs[actor].codec.chosen(train.TARGET_CHANNELS) for actor in inputs.actors}
    layout = common_layout(codecs.values())
    spans = Spans.of(inputs.clips)
    phonemes = _phoneme_models(inputs, runtime)
    spec = _spec(inputs, {actor: codec.layout.sizes for actor, codec in codecs.items()})
    extra = {"phoneme_sizes": {language: model.num_classes for language, model in phonemes.items()}}
    network: ConvW2vAutocorr = NETWORKS[train.NETWORK_NAME](  # type: ignore[assignment]
        output_sizes=layout.sizes,
        explicit_len=spec.explicit_len,
        phoneme_sizes=extra["phoneme_sizes"],
        buffer_len=train.AUDIO_PARAMS["buffer_len"],
        cache_root=model_cache(local_path(train.TORCH_CACHE_ROOT)),
        **train.NETWORK_HYPER_PARAMS,
    )
    spec = replace(spec, extra={**extra, "rebuild": network.rebuild_arguments()})
    generator = torch.Generator().manual_seed(train.RNG_SEED_TORCH)
    implicit_len = train.NETWORK_HYPER_PARAMS["implicit_emotion_len"]
    model = Regression(network, spans.num_rows, implicit_len, train.EMO_INIT_SIGMA, generator).to(runtime.device)
    measure_speech(network, inputs)
    load_pretrained(network, spec, inputs)
    data = _window_data(inputs, layout, spec, spans, runtime.device)
    spec = with_absent(spec, layout, data.has)
    _add_phonemes(data, inputs, phonemes)
    data.cache_features(network.features, cache_bytes(train, runtime), runtime.world)
    distances = partial(build_distances, inputs, layout.sizes.get("skin_coeffs", 0), runtime.device)
    scales = [codec["skin"].scale for codec in codecs.values() if "skin_coeffs" in layout.sizes]
    method = RegressionMethod(
        model,
        data,
        layout,
        _loss_settings(inputs, phonemes),
        _schedule(train),
        batch_size=train.BATCH_SIZE,
        emo_lr_mult=train.EMO_LR_MULT,
        skin_scale=torch.tensor(scales, device=runtime.device) if train.RESCALE_TARGET_CHANNEL_DATA else None,
        lip_dist=distances("lip_dist") if train.LOSS_LIP_DIST_ALPHA else None,
        lip_size=distances("lip_size") if train.LOSS_LIP_SIZE_ALPHA else None,
        eye_dist=distances("eye_dist") if train.REMOVE_CLOSING_EYE else None,
        world=runtime.world,
        speed=speed,
    )

    def export(run: TrainRun) -> dict[str, Path]:
        from audio2face.models.regression.export import export_regression

        windows = data.windows(torch.zeros(SPEECH_CHECK_WINDOWS, dtype=torch.long), _spread(data.num_rows))
        databases = emotion_databases(inputs, model, spans)
        return export_regression(network, run, databases, windows.cpu().numpy(), train.ONNX_OPSET, train.ONNX_EXPORTER)

    _report_closed_eyes(method, inputs)
    validation = _validation(inputs, method, layout, spec, runtime)
    preview = None
    has_skin = "skin_coeffs" in layout.sizes and all(run.has_skin for run in inputs.runs.values())
    if has_skin and (shown := preview_inputs(inputs)):
        piece = _window_data(shown, layout, spec, Spans.of(shown.clips), runtime.device, for_training=False)
        preview = build_preview(shown, *regression_coeffs(method, piece))
    advice = build_advice(train, runtime.device, features_kept=bool(data.features))
    return Training(method, network, spec, fit_settings(train), export, validation, preview, advice)


def _validation(
    inputs: Inputs, method: RegressionMethod, layout: ChannelLayout, spec: NetworkSpec, runtime: Runtime
) -> Validation | None:
    """What measures the method on VALIDATION_CLIPS, or None without any."""
    if not inputs.validation:
        return None
    held = replace(inputs, clips=inputs.validation)
    device = runtime.device
    data = _window_data(held, layout, spec, Spans.of(held.clips), device, for_training=False)
    data.cache_features(method.model.network.features, cache_bytes(inputs.train, runtime), runtime.world)
    pairs, lips = None, None
    if size := layout.sizes.get("skin_coeffs"):
        pairs, lips = build_distances(inputs, size, device, "lip_dist"), _lips(inputs, size, device)
    measured = [*(["lip_vertex_error_mm"] if lips else []), "MSE"] + (OF_THE_MOUTH if pairs else [])
    metric = choose_metric(inputs.train.BEST_METRIC, measured)
    return Validation(regression_validation(method, data, pairs, lips, inputs.dataset.UNITS_PER_METRE), metric)


def _lips(inputs: Inputs, size: int, device: torch.device) -> LargestDistance | None:
    """The largest error of all lip vertices, where every actor has a list of them."""
    lists = [lip_vertices(f.lip_dist_pairs(), f.lip_size_pairs()) for f in (inputs.files[a] for a in inputs.actors)]
    found = [vertices for vertices in lists if vertices is not None]
    if len(found) < len(lists):
        return None
    return largest_distance([inputs.runs[a].skin.components for a in inputs.actors], found, size, device)


def emotion_databases(inputs: Inputs, model: Regression, spans: Spans) -> dict[str, EmotionDB]:
    """The trained table as one data base per actor, compacted to the trained frames when the config asks for it."""
    databases = actor_databases(model.implicit.detach().cpu().numpy(), spans.rows)
    if not inputs.train.COMPACTIFY_IMPLICIT_EMO_DB:
        return databases
    used: dict[str, dict[str, list[tuple[int, int]]]] = {actor: {} for actor in inputs.actors}
    for clip in inputs.clips:
        used[clip.shot.actor].setdefault(clip.shot.name, []).append((clip.first, clip.last))
    return {actor: compact(database, used[actor]) for actor, database in databases.items()}


def _spread(num_rows: int) -> Tensor:
    return torch.linspace(0, num_rows - 1, SPEECH_CHECK_WINDOWS).long()


def _spec(inputs: Inputs, sizes: dict[str, dict[str, int]]) -> NetworkSpec:
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
        channels=list(train.TARGET_CHANNELS),
        channel_sizes=sizes,
        fps=float(train.TARGET_FPS),
        audio_params=dict(train.AUDIO_PARAMS),
        audio_method=train.AUDIO_PREPROC_METHOD,
        rescale=train.RESCALE_TARGET_CHANNEL_DATA,
    )


def _window_data(
    inputs: Inputs,
    layout: ChannelLayout,
    spec: NetworkSpec,
    spans: Spans,
    device: torch.device,
    for_training: bool = True,
) -> WindowData:
    """The windows of the clips: for training in sequences and with augmentation, else frame by frame as they are."""
    train = inputs.train
    targets = build_targets(inputs, layout)
    conditions = build_conditions(inputs, spec, spans.start)
    audio = train.AUDIO_PARAMS
    params = WindowParams(
        fps=float(train.TARGET_FPS),
        sample_rate=audio["samplerate"],
        buffer_len=audio["buffer_len"],
        buffer_ofs=audio["buffer_ofs"],
        seq_len=train.SEQ_LEN,
        seq_stride=train.SEQ_STRIDE,
        shifts=shift_grid(train.AUGMENT.get("timeshift") or 0.0, train.TIMESHIFT_GRID),
    )
    if not for_training:
        params = replace(params, seq_len=1, seq_stride=1, shifts=(0.0,))
    tracks, noise, seed = build_tracks(train), build_noise(train), train.RNG_SEED_DATASET
    data = WindowData(inputs.clips, conditions, targets.of, layout, tracks, noise, params, seed=seed, device=device)
    if not data.num_items:
        raise UserError(f"CLIPS: no clip is as long as SEQ_LEN = {train.SEQ_LEN} frames")
    return data


def _loss_settings(inputs: Inputs, phonemes: dict[str, PhonemeModel]) -> LossSettings:
    train = inputs.train

    return LossSettings(
        weights={name: getattr(train, f"LOSS_{name}_ALPHA") for name in LOSS_KEYS},
        lip_dist_exp=train.LOSS_LIP_DIST_EXP,
        vol_stab_exp=train.LOSS_VOL_STAB_REG_EXP,
        lip_dist_emotion=by_emotion(inputs, train.LOSS_LIP_DIST_EMO_WEIGHTS),
        lip_size_emotion=by_emotion(inputs, train.LOSS_LIP_SIZE_EMO_WEIGHTS),
        phoneme_silence_weight=train.LOSS_PHONEME_SIL_WEIGHT,
        phoneme_silence={k: model.silence for k, model in phonemes.items() if model.silence is not None},
        eye_threshold=train.EYE_DIST_THRESHOLD if train.REMOVE_CLOSING_EYE else None,
    )


def _schedule(train: Section) -> Schedule:
    return Schedule(gamma=train.LR_STEP_GAMMA, cosine=train.LR_SCHEDULE == "cosine", epochs=train.NUM_EPOCHS)


def _phoneme_models(inputs: Inputs, runtime: Runtime) -> dict[str, PhonemeModel]:
    """The phoneme model of every language that is forced and spoken in a clip; none while LOSS_PHONEME_ALPHA is off."""
    train = inputs.train
    if not train.LOSS_PHONEME_ALPHA:
        return {}
    spoken = {clip.language for clip in inputs.clips if clip.language}
    forced = [language for language in train.PHONEME_FORCING_LANGS if language in spoken]
    for language in set(train.PHONEME_FORCING_LANGS) - spoken:
        logger.warning("PHONEME_FORCING_LANGS: no clip is in %r; it has no effect", language)
    cache = local_path(train.TORCH_CACHE_ROOT)
    return {language: load_phoneme_model(train.PHONEME_MODEL, language, cache, runtime.device) for language in forced}


def _add_phonemes(data: WindowData, inputs: Inputs, models: dict[str, PhonemeModel]) -> None:
    """Phoneme probabilities of every forced language's sound files, 50 a second."""
    train = inputs.train
    tracks = build_tracks(train)
    for language, model in models.items():
        by_file: dict[Path, np.ndarray] = {}
        chosen = {i: c.audio for i, c in enumerate(inputs.clips) if c.language == language and c.audio}
        for path in chosen.values():
            if path not in by_file:
                by_file[path] = model.probabilities(tracks.load(path)[0], 50.0, train.PHONEME_PROB_TEMPERATURE)
        data.set_phonemes(
            language, {i: by_file[path] for i, path in chosen.items()}, num_steps(train.AUDIO_PARAMS["buffer_len"])
        )


def _report_closed_eyes(method: RegressionMethod, inputs: Inputs) -> None:
    """Say how many frames REMOVE_CLOSING_EYE leaves out: a wrong threshold shows here."""
    if method.eye_dist is None or method.settings.eye_threshold is None:
        return
    data = method.data
    coeffs = method.skin(data.target[0], data.actor_id[data.clip_of_row])
    lids = method.eye_dist(coeffs, data.actor_id[data.clip_of_row]).mean(dim=1)
    share = float((lids <= method.settings.eye_threshold).float().mean())
    logger.info("REMOVE_CLOSING_EYE: lids closed in %.1f %% of the frames", 100 * share)
    if share > 0.5:
        raise UserError(
            f"REMOVE_CLOSING_EYE would leave out {100 * share:.0f} % of the frames: EYE_DIST_THRESHOLD = "
            f"{method.settings.eye_threshold} is in data units; the lids are {float(lids.median()):.3g} apart in the median frame"
        )
