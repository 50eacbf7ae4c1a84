"""What an evaluation measures on: the truth at the moments of an animation, and the baselines in its place."""

from types import SimpleNamespace

import numpy as np
import pytest

from audio2face.dataset.files import DatasetFiles
from audio2face.evaluation.baselines import MEAN_POSE
from audio2face.evaluation.data import ActorSource, truth_at
from audio2face.formats.sound import write_sound
from audio2face.types import Clip, Pca, Shot


@pytest.fixture
def files(tmp_path):
    """A shot of 60 frames at 30 a second whose only vertex is at (frame, 0, 0)."""
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a/a.npy", np.arange(60, dtype=np.float32)[:, None, None] * [[[1, 0, 0]]])
    return DatasetFiles("amy", skin_cache_root=tmp_path)


def clip(first=0, last=59, offset=0, audio=None):
    return Clip(Shot("amy", "a", 60, 30.0, "joy"), first, last, audio, audio_offset=offset)


@pytest.mark.parametrize(
    ("fps", "first", "offset", "part", "frames"),
    [
        (30.0, 0, 0, slice(0, 60), np.arange(60)),
        (30.0, 10, 0, slice(10, 60), np.arange(10, 60)),
        (30.0, 0, 6, slice(6, 66), np.arange(60)),  # the sound begins 6 frames earlier
        (15.0, 0, 0, slice(0, 30), np.arange(30) * 2 + 0.5),  # between two frames
        (60.0, 0, 0, slice(0, 120), np.clip(np.arange(120) / 2 - 0.25, 0, 59)),
    ],
)
def test_the_truth_is_that_of_the_moment(files, fps, first, offset, part, frames):
    found, truth = truth_at(clip(first, offset=offset), files, fps, count=round(fps * 3))
    assert found == part
    np.testing.assert_allclose(truth[:, 0, 0], frames, atol=1e-5)


def test_baselines_show_training_frames_of_the_same_loudness(tmp_path):
    """Trained on a second of silence at coefficient 0 and a second of noise at 1."""
    rng = np.random.default_rng(0)
    noise = (0.3 * rng.normal(size=(16000, 1))).astype(np.float32)
    write_sound(tmp_path / "train.wav", np.concatenate([np.zeros_like(noise), noise]), 16000)
    write_sound(tmp_path / "test.wav", np.concatenate([noise, np.zeros_like(noise)]), 16000)
    mean, up = np.zeros((2, 3), np.float32), np.zeros((1, 2, 3), np.float32)
    up[0, 1, 1] = 2.0
    coeffs = (np.arange(60) >= 30).astype(np.float32)[:, None]
    run = SimpleNamespace(actor="amy", skin=Pca(up, mean, np.ones(1)), skin_coeffs=lambda shot: coeffs)
    source = ActorSource(run, DatasetFiles("amy"), 100.0, [clip(audio=tmp_path / "train.wav")])
    np.testing.assert_array_equal(source.training_coeffs, coeffs)
    found = source.baselines(clip(audio=tmp_path / "test.wav"), 30.0, 60, slice(0, 60))
    height = {name: frames[:, 1, 1] for name, frames in found.items()}
    np.testing.assert_allclose(height.pop(MEAN_POSE), 1.0)
    (nearest,) = height.values()
    assert (nearest[5:25] == 2).all() and (nearest[40:55] == 0).all()
