"""Builds the regression method from a config: the place where its keys become arguments."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from audio2face.audio.augment import shift_grid
from audio2face.config import Section
from audio2face.dataset.audio_tracks import AudioTracks, build_noise, build_tracks
from audio2face.dataset.long_arrays import Array, Keep, in_memory
from audio2face.face.codec import common_layout, kind_of
from audio2face.face.layout import ChannelLayout
from audio2face.formats.arkit_names import arkit_name
from audio2face.geometry.regions import lip_vertices
from audio2face.lazy import lazy
from audio2face.models.common.data_memory import build_keep
from audio2face.models.common.encoders.phoneme_ctc import build_speech_measure
from audio2face.models.common.feature_store import build_feature_store
from audio2face.models.common.inputs import Inputs, Training, build_conditions, build_spec
from audio2face.models.common.layers import num_steps
from audio2face.models.common.losses import build_curve_weights, build_emotion_weights
from audio2face.models.common.phonemes import PhonemeModel, load_phoneme_model
from audio2face.models.common.preview import build_curves_preview, build_preview, build_preview_inputs
from audio2face.models.common.starting_weights import build_starting_weights
from audio2face.models.common.targets import absent_channels, build_targets, check_columns
from audio2face.models.common.vertex_distances import LargestDistance, build_distances, largest_distance
from audio2face.models.regression.data import WindowData, WindowParams
from audio2face.models.regression.features import kept_encoding
from audio2face.models.regression.method import LossSettings, Regression, RegressionMethod, falling_rate
from audio2face.models.regression.network import NETWORKS, ConvW2vAutocorr
from audio2face.models.regression.validation import (
    JAW_OPEN_METRIC,
    regression_coeffs,
    regression_curves,
    regression_validation,
)
from audio2face.paths import local_path
from audio2face.problems import UserError
from audio2face.runs.emotion_db import EmotionDB, actor_databases, compact
from audio2face.runs.train_run import TrainRun
from audio2face.runtime import Runtime, model_cache
from audio2face.training.precision import build_advice, build_precision
from audio2face.training.previews import CurvesPreview, Preview
from audio2face.training.settings import build_cache_bytes, build_fit_settings
from audio2face.training.validation import Validation, choose_metric
from audio2face.types import Clip, Track

logger = logging.getLogger(__name__)

export_regression = lazy("audio2face.models.regression.export", "export_regression")

MOUTH_METRICS = ["mouth_opening_correlation", "mouth_opening_error_mm", "mouth_opening_relative_error"]
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

    @cached_property
    def _starts(self) -> dict[tuple[str, str], int]:
        return {(actor, shot): start for actor, shot, start, _ in self.rows}

    @property
    def num_rows(self) -> int:
        """Frames of all shots: rows of the table of implicit emotions."""
        return sum(size for *_, size in self.rows)

    def start(self, clip: Clip) -> int:
        """The row of the first frame of the clip's shot."""
        return self._starts[clip.shot.actor, clip.shot.name]


def build(inputs: Inputs, runtime: Runtime) -> Training:
    """The regression method of a config. Raises UserError listing what is wrong with the data."""
    train, precision = inputs.train, build_precision(inputs.train)
    codecs = {actor: inputs.runs[actor].codec.chosen(train.TARGET_CHANNELS) for actor in inputs.actors}
    check_columns(inputs.actors, list(codecs.values()))
    layout = common_layout(codecs.values())
    spans = Spans.of(inputs.clips)
    phonemes = _build_phoneme_models(inputs, runtime)
    phoneme_sizes = {language: model.num_classes for language, model in phonemes.items()}
    network = NETWORKS[train.NETWORK_NAME](
        output_sizes=layout.sizes,
        num_emotions=len(inputs.emotion_names),
        num_actors=len(inputs.actors),
        phoneme_sizes=phoneme_sizes,
        buffer_len=train.AUDIO_PARAMS["buffer_len"],
        cache_root=model_cache(local_path(train.TORCH_CACHE_ROOT)),
        **train.NETWORK_HYPER_PARAMS,
    )
    generator = torch.Generator().manual_seed(train.RNG_SEED_TORCH)
    implicit_len = train.NETWORK_HYPER_PARAMS["implicit_emotion_len"]
    model = Regression(network, spans.num_rows, implicit_len, train.EMO_INIT_SIGMA, generator).to(runtime.device)
    build_speech_measure(network, inputs)
    keep = build_keep(inputs, layout.size, runtime, sum(phoneme_sizes.values()))
    data = _build_windows(inputs, layout, spans, runtime, keep=keep)
    spec = build_spec(
        inputs,
        train.TARGET_CHANNELS,
        {actor: codec.layout.sizes for actor, codec in codecs.items()},
        train.RESCALE_TARGET_CHANNEL_DATA,
        phoneme_sizes=phoneme_sizes,
        rebuild=network.rebuild_arguments(),
        absent=absent_channels(inputs.actors, layout, data.has),
    )
    build_starting_weights(network, spec, inputs)
    _build_phoneme_targets(data, inputs, phonemes, keep)
    _build_features(data, network, train, runtime)
    distances = partial(build_distances, inputs, layout.sizes.get("skin_coeffs", 0), runtime.device)
    scales = [codec["skin"].scale for codec in codecs.values() if "skin_coeffs" in layout.sizes]
    method = RegressionMethod(
        model,
        data,
        layout,
        _build_loss_settings(inputs, layout, phonemes),
        falling_rate(train.LR_STEP_GAMMA, train.LR_SCHEDULE == "cosine", train.NUM_EPOCHS),
        emo_lr_mult=train.EMO_LR_MULT,
        skin_scale=torch.tensor(scales, device=runtime.device) if train.RESCALE_TARGET_CHANNEL_DATA else None,
        lip_dist=distances("lip_dist") if train.LOSS_LIP_DIST_ALPHA else None,
        lip_size=distances("lip_size") if train.LOSS_LIP_SIZE_ALPHA else None,
        eye_dist=distances("eye_dist") if train.REMOVE_CLOSING_EYE else None,
        precision=precision,
    )

    opset, exporter = train.ONNX_OPSET, train.ONNX_EXPORTER

    def export(run: TrainRun) -> dict[str, Path]:
        windows = data.windows(np.zeros(SPEECH_CHECK_WINDOWS, np.int64), _spread(data.num_rows))
        databases = build_emotion_databases(inputs, model, spans)
        return export_regression(network, run, databases, windows.cpu().numpy(), opset, exporter)

    _report_closed_eyes(method, inputs)
    validation = _build_validation(inputs, method, layout, runtime)
    preview = _build_preview(inputs, method, layout, runtime)
    advice = build_advice(train, runtime.device, _build_advice(train, features_kept=data.features is not None))
    return Training(method, network, spec, build_fit_settings(train), export, validation, preview, advice)


def _build_preview(
    inputs: Inputs, method: RegressionMethod, layout: ChannelLayout, runtime: Runtime
) -> Preview | CurvesPreview | None:
    """What a held-out clip shows, if there is one: the skin where every actor has one, else the curves."""
    shown = build_preview_inputs(inputs)
    has_skin = "skin_coeffs" in layout.sizes and all(run.has_skin for run in inputs.runs.values())
    groups = [name for name in layout.sizes if kind_of(name) == "curves"]
    if shown is None or not (has_skin or groups):
        return None
    piece = _build_windows(shown, layout, Spans.of(shown.clips), runtime, for_training=False)
    if has_skin:
        return build_preview(shown, *regression_coeffs(method, piece))
    codec = inputs.runs[shown.clips[0].shot.actor].codec.chosen(layout.sizes)
    return build_curves_preview(shown, *regression_curves(method, piece, codec))


def _build_validation(
    inputs: Inputs, method: RegressionMethod, layout: ChannelLayout, runtime: Runtime
) -> Validation | None:
    """What measures the method on VALIDATION_CLIPS, or None without any."""
    if not inputs.validation:
        return None
    held = replace(inputs, clips=inputs.validation)
    device = runtime.device
    data = _build_windows(held, layout, Spans.of(held.clips), runtime, for_training=False)
    _build_features(data, method.model.network, inputs.train, runtime)
    pairs, lips = None, None
    if size := layout.sizes.get("skin_coeffs"):
        pairs, lips = build_distances(inputs, size, device, "lip_dist"), _lips(inputs, size, device)
    kinds = {kind_of(name) for name in layout.sizes}
    errors = [*(["MSE"] if kinds - {"curves"} else []), *(["CURVES"] if "curves" in kinds else [])]
    jaw_open = _jaw_open(inputs, layout)
    measured = [*(["lip_vertex_error_mm"] if lips else []), *errors] + (MOUTH_METRICS if pairs else [])
    measured += [JAW_OPEN_METRIC] if jaw_open is not None else []
    metric = choose_metric(inputs.train.BEST_METRIC, measured)
    return Validation(
        regression_validation(method, data, pairs, lips, inputs.dataset.UNITS_PER_METRE, jaw_open), metric
    )


def _jaw_open(inputs: Inputs, layout: ChannelLayout) -> int | None:
    """Where the weight jawOpen is among the network's values; None when no group has one, or has components for weights."""
    for run in inputs.runs.values():
        for channel in run.curves.channels:
            if channel.group is None or channel.curve_basis is not None or channel.name not in layout.slices:
                continue
            for block, _, values in channel.group.places():
                names = [arkit_name(name) for name in block.names]
                if block.kind == "weights" and "jawOpen" in names:
                    return layout.slices[channel.name].start + values.start + names.index("jawOpen")
    return None


def _lips(inputs: Inputs, size: int, device: torch.device) -> LargestDistance | None:
    """The largest error of all lip vertices, where every actor has a list of them."""
    lists = [lip_vertices(f.lip_dist_pairs(), f.lip_size_pairs()) for f in (inputs.files[a] for a in inputs.actors)]
    found = [vertices for vertices in lists if vertices is not None]
    if len(found) < len(lists):
        return None
    return largest_distance([inputs.runs[a].skin.components for a in inputs.actors], found, size, device)


def build_emotion_databases(inputs: Inputs, model: Regression, spans: Spans) -> dict[str, EmotionDB]:
    """The trained table as one data base per actor, compacted to the trained frames when the config asks for it."""
    databases = actor_databases(model.implicit.detach().cpu().numpy(), spans.rows)
    if not inputs.train.COMPACTIFY_IMPLICIT_EMO_DB:
        return databases
    used: dict[str, dict[str, list[tuple[int, int]]]] = {actor: {} for actor in inputs.actors}
    for clip in inputs.clips:
        used[clip.shot.actor].setdefault(clip.shot.name, []).append((clip.first, clip.last))
    return {actor: compact(database, used[actor]) for actor, database in databases.items()}


def _spread(num_rows: int) -> np.ndarray:
    return np.linspace(0, num_rows - 1, SPEECH_CHECK_WINDOWS).astype(np.int64)


def _build_windows(
    inputs: Inputs,
    layout: ChannelLayout,
    spans: Spans,
    runtime: Runtime,
    for_training: bool = True,
    keep: Keep = in_memory,
) -> WindowData:
    """The windows of the clips: for training in sequences and with augmentation, else frame by frame as they are."""
    train = inputs.train
    targets = build_targets(inputs, layout, keep=keep)
    conditions = build_conditions(inputs, spans.start)
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
    data = WindowData(
        inputs.clips,
        conditions,
        targets.of,
        layout,
        build_tracks(train, keep),
        build_noise(train),
        params,
        num_actors=len(inputs.actors),
        batch_size=train.BATCH_SIZE,
        seed=train.RNG_SEED_DATASET,
        device=runtime.device,
        world=runtime.world,
        on_disk=keep is not in_memory,
    )
    if not data.num_items:
        raise UserError(f"CLIPS: no clip is as long as SEQ_LEN = {train.SEQ_LEN} frames")
    return data


def _build_features(data: WindowData, network: ConvW2vAutocorr, train: Section, runtime: Runtime) -> None:
    """Keep what the frozen encoders hear, in the precision of the training."""
    store = build_feature_store(train, list(network.encoders.values()), runtime)
    encode = kept_encoding(network, train.PRECISION == "bf16")
    data.cache_features(encode, build_cache_bytes(train, runtime), store)


def _build_loss_settings(inputs: Inputs, layout: ChannelLayout, phonemes: dict[str, PhonemeModel]) -> LossSettings:
    train = inputs.train
    weights = {name: getattr(train, f"LOSS_{name}_ALPHA") for name in LOSS_KEYS}
    weights |= {"CURVES": weights["MSE"], "CURVES_MOTION": weights["MOTION"]}  # times each group's own
    return LossSettings(
        weights=weights,
        curves=build_curve_weights(inputs, layout, "LOSS_CURVES_ALPHA"),
        curves_motion=build_curve_weights(inputs, layout, "LOSS_CURVES_MOTION_ALPHA"),
        lip_dist_exp=train.LOSS_LIP_DIST_EXP,
        vol_stab_exp=train.LOSS_VOL_STAB_REG_EXP,
        lip_dist_emotion=build_emotion_weights(inputs, train.LOSS_LIP_DIST_EMO_WEIGHTS),
        lip_size_emotion=build_emotion_weights(inputs, train.LOSS_LIP_SIZE_EMO_WEIGHTS),
        phoneme_silence_weight=train.LOSS_PHONEME_SIL_WEIGHT,
        phoneme_silence={k: model.silence for k, model in phonemes.items() if model.silence is not None},
        eye_threshold=train.EYE_DIST_THRESHOLD if train.REMOVE_CLOSING_EYE else None,
    )


def _build_phoneme_models(inputs: Inputs, runtime: Runtime) -> dict[str, PhonemeModel]:
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


def _build_phoneme_targets(data: WindowData, inputs: Inputs, models: dict[str, PhonemeModel], keep: Keep) -> None:
    """Phoneme probabilities of every forced language's sound files, 50 a second."""
    train = inputs.train
    tracks = AudioTracks(train.AUDIO_PREPROC_METHOD, train.AUDIO_PARAMS["samplerate"], keep=None)
    for language, model in models.items():
        by_track: dict[Track, Array] = {}
        chosen = {i: c.track for i, c in enumerate(inputs.clips) if c.language == language and c.track}
        for track in chosen.values():
            if track not in by_track:
                samples = np.asarray(tracks.load(track)[0])
                found = model.probabilities(samples, 50.0, train.PHONEME_PROB_TEMPERATURE)
                by_track[track] = keep(found.astype(np.float32, copy=False))
        data.set_phonemes(
            language, {i: by_track[track] for i, track in chosen.items()}, num_steps(train.AUDIO_PARAMS["buffer_len"])
        )


def _report_closed_eyes(method: RegressionMethod, inputs: Inputs) -> None:
    """Say how many frames REMOVE_CLOSING_EYE leaves out: a wrong threshold shows here."""
    if method.eye_dist is None or method.settings.eye_threshold is None:
        return
    distances = method.eye_dist
    parts = [distances(method.skin(values, ids), ids).mean(dim=1) for values, _, ids in method.data.targets()]
    lids = torch.cat(parts)
    share = float((lids <= method.settings.eye_threshold).float().mean())
    logger.info("REMOVE_CLOSING_EYE: lids closed in %.1f %% of the frames", 100 * share)
    if share > 0.5:
        raise UserError(
            f"REMOVE_CLOSING_EYE would leave out {100 * share:.0f} % of the frames: EYE_DIST_THRESHOLD = "
            f"{method.settings.eye_threshold} is in data units; the lids are {float(lids.median()):.3g} apart in the median frame"
        )


def _build_advice(train: Section, features_kept: bool) -> list[str]:
    """What would make a regression training shorter."""
    chosen, advice = train.NETWORK_HYPER_PARAMS, []
    for name in ("w2v", "whisper"):
        if chosen.get(f"use_{name}_features") and not chosen[f"{name}_freeze"]:
            advice.append(f'NETWORK_HYPER_PARAMS "{name}_freeze": True')
    if not features_kept:
        advice.append(
            "a larger FEATURE_CACHE_GB or a smaller TIMESHIFT_GRID, so that the features of the sound are kept"
        )
    return advice
