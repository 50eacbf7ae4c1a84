"""A few seconds of held-out speech that a model under training animates, to be looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from audio2face.audio.waveform import load_waveform
from audio2face.models.common.inputs import Inputs
from audio2face.training.previews import Coeffs, Preview
from audio2face.types import SAMPLE_RATE, Clip

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
    assert clip.audio is not None
    samples = load_waveform(clip.audio, "w2v").samples
    begin = round((clip.first + clip.audio_offset) / clip.shot.fps * SAMPLE_RATE)
    sound = samples[max(begin, 0) : begin + round(len(truth) / fps * SAMPLE_RATE)]
    return Preview(
        name=clip.shot.name,
        fps=fps,
        skin=skin,
        truth=truth[:, : skin.num_components],
        predict=lambda: predict()[:, : skin.num_components],
        sound=(sound, SAMPLE_RATE),
        mm=1000 / inputs.dataset.UNITS_PER_METRE,
        triangles=inputs.runs[actor].topology.skin,
        lip_pairs=files.lip_dist_pairs(),
    )
