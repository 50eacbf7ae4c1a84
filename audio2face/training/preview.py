"""A few seconds of held-out speech that a model under training animates, to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from audio2face.audio.waveform import load_waveform
from audio2face.models.common.inputs import Inputs
from audio2face.models.diffusion.data import SegmentData
from audio2face.models.diffusion.method import DiffusionMethod
from audio2face.models.diffusion.samplers import SAMPLERS, generated_noise
from audio2face.models.diffusion.schedule import Schedule
from audio2face.models.regression.data import WindowData
from audio2face.models.regression.method import RegressionMethod
from audio2face.training.validation import predict_rows
from audio2face.types import SAMPLE_RATE, Clip, Pca

SECONDS = 4.0
Coeffs = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Preview:
    """What is shown: `truth` and `predict()` are skin coefficients (T, K) in data units, at `fps`.

    `triangles` (F, 3) and `lip_pairs` (upper, lower) are None where the data set has none; `sound` is (samples, rate).
    """

    name: str
    fps: float
    skin: Pca
    truth: np.ndarray
    predict: Coeffs
    sound: tuple[np.ndarray, int]
    mm: float
    triangles: np.ndarray | None
    lip_pairs: tuple[np.ndarray, np.ndarray] | None


def preview_inputs(inputs: Inputs) -> Inputs | None:
    """The middle SECONDS of the longest clip that is measured on, as inputs of one clip; None without PREVIEW_PERIOD."""
    clips = [clip for clip in inputs.validation if clip.audio is not None]
    if not inputs.train.PREVIEW_PERIOD or not clips:
        return None
    clip = max(clips, key=lambda c: c.num_frames / c.shot.fps)
    count = min(clip.num_frames, max(1, int(SECONDS * clip.shot.fps)))
    first = clip.first + (clip.num_frames - count) // 2
    return replace(inputs, clips=[replace(clip, first=first, last=first + count - 1)])


def build_preview(inputs: Inputs, truth: np.ndarray, predict: Coeffs) -> Preview:
    """The preview of `preview_inputs`, given its skin coefficients (T, K), true and as the model has them."""
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


def regression_coeffs(method: RegressionMethod, data: WindowData) -> tuple[np.ndarray, Coeffs]:
    """True and predicted skin coefficients (T, K) of all rows of the data."""
    ids = data.actor_id[data.clip_of_row]
    return method.skin(
        data.target[0], ids
    ).cpu().numpy(), lambda: method.skin(predict_rows(method, data), ids).cpu().numpy()


def diffusion_coeffs(
    method: DiffusionMethod, data: SegmentData, schedule: Schedule, sampler: str
) -> tuple[np.ndarray, Coeffs]:
    """True and sampled skin coefficients (T, K) of the data's first clip, with the same noise every time."""
    data.params = replace(data.params, min_frames=None, max_frames=None, pitch=None, timeshift=0.0)
    batch = data.batch([0], [np.random.default_rng(0)])
    scale = float(method.skin_scale[batch.actor_ids[0]])
    truth = method.codec.coeffs.split(batch.target)["skin_coeffs"][0] * scale

    @torch.no_grad()
    def predict() -> np.ndarray:
        features = method.encode(batch)
        generator = torch.Generator().manual_seed(0)
        drawn = generated_noise((1, len(truth), method.codec.layout.size), generator, data.device)
        noised = method.codec.noised(batch.actor).unsqueeze(1)

        def denoise(x_t: torch.Tensor, i: int, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
            t = batch.actor_ids * 0 + int(schedule.timesteps[i])
            return method.network(x_t, t, features, batch.actor, batch.emotion, state)

        x_0, _ = SAMPLERS[sampler](denoise, lambda step: drawn(step) * noised, schedule)
        return (method.codec.skin_coeffs(x_0, batch.actor)[0] * scale).cpu().numpy()

    return truth.cpu().numpy(), predict
