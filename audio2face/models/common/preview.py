"""A few seconds of held-out speech that a model under training animates, to be looked at."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from audio2face.audio.waveform import load_track
from audio2face.models.common.inputs import Inputs
from audio2face.render.curves_film import curves_take
from audio2face.training.previews import Coeffs, Curves, CurvesPreview, Preview
from audio2face.types import SAMPLE_RATE, Clip

logger = logging.getLogger(__name__)

SECONDS = 4.0


def build_preview_inputs(inputs: Inputs) -> Inputs | None:
    """The middle SECONDS of the longest clip that is measured on, as inputs of one clip; None without PREVIEW_PERIOD."""
    clips = [clip for clip in inputs.validation if clip.audio is not None]
    if not inputs.train.PREVIEW_PERIOD or not clips:
        return None
    clip = max(clips, key=lambda c: c.num_frames / c.shot.fps)
    count = min(clip.num_frames, max(1, int(SECONDS * clip.shot.fps)))
    first = clip.first + (clip.num_frames - count) // 2
    return replace(inputs, clips=[replace(clip, first=first, last=first + count - 1)])


def build_preview(inputs: Inputs, truth: np.ndarray, predict: Coeffs) -> Preview:
    """The preview of `build_preview_inputs`, given its skin coefficients (T, K), true and as the model has them."""
    clip: Clip = inputs.clips[0]
    actor, files = clip.shot.actor, inputs.files[clip.shot.actor]
    fps, skin = float(inputs.train.TARGET_FPS), inputs.runs[actor].skin
    return Preview(
        name=clip.shot.name,
        fps=fps,
        skin=skin,
        truth=truth[:, : skin.num_components],
        predict=lambda: predict()[:, : skin.num_components],
        sound=_sound(clip, len(truth) / fps),
        mm=1000 / inputs.dataset.UNITS_PER_METRE,
        triangles=inputs.runs[actor].topology.skin,
        lip_pairs=files.lip_dist_pairs(),
    )


def build_curves_preview(inputs: Inputs, truth: Mapping[str, np.ndarray], predict: Curves) -> CurvesPreview | None:
    """The same of the values (T, K) in data units of groups of curves; None when the actor has none that can be shown."""
    clip, fps = inputs.clips[0], float(inputs.train.TARGET_FPS)
    own = inputs.runs[clip.shot.actor].curves
    channels = {name: own[name] for name in truth if name in own.groups}

    def decoded(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: channel.decode(values[name]) for name, channel in channels.items()}

    groups, shown = {name: own.groups[name] for name in channels}, decoded(truth)
    take = curves_take(groups, shown)
    if not (take.has_head or take.has_figure):
        logger.warning("no previews: %s are no face's, head's or body's", ", ".join(truth) or "the channels")
        return None
    seconds = len(next(iter(shown.values()))) / fps
    return CurvesPreview(clip.shot.name, fps, groups, shown, lambda: decoded(predict()), _sound(clip, seconds))


def _sound(clip: Clip, seconds: float) -> tuple[np.ndarray, int]:
    """The samples that belong to so many seconds from the clip's first frame, and their rate."""
    assert clip.track is not None
    samples = load_track(clip.track, "w2v").samples
    begin = round((clip.first + clip.audio_offset) / clip.shot.fps * SAMPLE_RATE)
    return samples[max(begin, 0) : begin + round(seconds * SAMPLE_RATE)], SAMPLE_RATE
