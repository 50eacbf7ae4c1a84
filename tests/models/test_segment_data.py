"""Segments for diffusion: what belongs together, and batches that equal their parts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.targets import shot_targets

from audio2face.dataset.audio_tracks import AudioTracks, MutedNoise, standardized
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.long_arrays import Scratch, in_memory
from audio2face.face.layout import ChannelLayout
from audio2face.formats.sound import write_sound
from audio2face.models.diffusion.data import CONTEXT, SegmentData, SegmentParams
from audio2face.types import Clip, Shot

LAYOUT = ChannelLayout({"skin_coeffs": 2, "jaw": 1})
LENGTHS = (90, 60, 45, 120)
FPS = 30.0


@pytest.fixture
def sounds(tmp_path) -> Path:
    """The sample at each moment tells the moment: a ramp over ten seconds, up to 1."""
    for i in range(len(LENGTHS)):
        ramp = np.arange(160000, dtype=np.float32)[:, None] / 160000
        write_sound(tmp_path / f"{i}.wav", ramp, 16000)
    return tmp_path


def make(
    folder, fps=FPS, min_frames=20, max_frames=50, batch_size=1, muted=False, keep=in_memory, **changes
) -> SegmentData:
    clips = []
    for i, length in enumerate(LENGTHS):
        shot = Shot("ann", f"s{i}", 200, FPS, "neutral")
        clips.append(Clip(shot, 10 * i, 10 * i + length - 1, None if muted and i == 1 else folder / f"{i}.wav", 2 * i))
    conditions = [ClipConditions(np.array([float(i)], np.float32), i % 2, i, 0) for i in range(len(clips))]

    def targets(clip):
        frame = np.arange(200, dtype=np.float32)
        return shot_targets(
            np.stack([frame, frame, frame], axis=1), FPS, {"skin_coeffs": True, "jaw": clip != clips[2]}, LAYOUT
        )

    params = SegmentParams(fps, 16000, min_frames, max_frames, **changes)
    return SegmentData(
        clips,
        conditions,
        targets,
        LAYOUT,
        AudioTracks("w2v", 16000, keep),
        MutedNoise("gauss"),
        params,
        num_actors=2,
        batch_size=batch_size,
        seed=5,
        device=torch.device("cpu"),
        pitch_shift=lambda x, semitones: -x,
        keep=keep,
    )


@pytest.mark.parametrize("standardize", [False, True])
def test_batches_are_the_same_from_the_disk(sounds, tmp_path, standardize):
    keys = {"batch_size": 2, "muted": True, "timeshift": 1.0, "pitch": (-1, 1, 0.5), "standardize": standardize}
    held, on_disk = (make(sounds, keep=keep, **keys) for keep in (in_memory, Scratch(tmp_path).keep))
    assert held.energy(["jaw"]) == on_disk.energy(["jaw"]) and np.array_equal(held.has(1), on_disk.has(1))
    for epoch in range(2):
        for one, other in zip(held.batches(epoch), on_disk.batches(epoch), strict=True):
            for name in ("audio", "target", "valid", "known"):
                assert torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("fps", [30.0, 60.0, 25.0])
@pytest.mark.parametrize("timeshift", [0.0, 1.0])
def test_sound_and_targets_of_a_segment_are_of_the_same_time(sounds, fps, timeshift):
    data = make(sounds, fps, timeshift=timeshift)
    for batch in data.batches(0):
        (clip,), length = batch.clips, batch.lengths[0]
        offset = data.clips[clip].audio_offset
        frame = batch.target[0, 5:length, 0].numpy()[:10]  # away from the ends of the shot
        seconds = (frame + offset + 0.5) / FPS
        samples = CONTEXT + (np.arange(len(frame)) + 5.5) / fps * 16000
        heard = batch.audio[0].numpy()[np.round(samples).astype(int)] * 159999 / 16000
        np.testing.assert_allclose(heard, seconds, atol=5e-4)  # 16-bit sound tells the time to 5 samples


def test_an_epoch_holds_every_clip_once_and_only_seed_and_epoch_decide(sounds):
    one, two = (list(make(sounds).batches(3)) for _ in range(2))
    assert sorted(c for b in one for c in b.clips) == [0, 1, 2, 3]
    assert [b.clips for b in one] == [b.clips for b in two]
    torch.testing.assert_close(one[0].audio, two[0].audio)
    assert one[0].seeds == two[0].seeds != list(make(sounds).batches(4))[0].seeds


def test_lengths_are_within_bounds_and_whole_clips_come_whole(sounds):
    for epoch in range(5):
        for batch in make(sounds).batches(epoch):
            assert 20 <= batch.lengths[0] <= 50
    whole = make(sounds, min_frames=None, max_frames=None)
    assert sorted(b.lengths[0] for b in whole.batches(0)) == sorted(LENGTHS)


def test_a_batch_holds_what_its_clips_hold_alone(sounds):
    data = make(sounds, muted=True, timeshift=1.0, pitch=(-2.0, 2.0, 0.5))
    rngs = lambda: [np.random.default_rng(i) for i in range(4)]  # noqa: E731
    together = data.batch([0, 1, 2, 3], rngs())
    for row, rng in enumerate(rngs()):
        alone = data.batch([row], [rng])
        length = alone.lengths[0]
        assert together.lengths[row] == length and together.seeds[row] == alone.seeds[0]
        torch.testing.assert_close(together.target[row, :length], alone.target[0])
        torch.testing.assert_close(together.audio[row, : alone.audio.shape[1]], alone.audio[0])
        assert not together.audio[row, alone.audio.shape[1] :].any()
        assert together.valid[row].sum() == length
        torch.testing.assert_close(together.known[row, :length], alone.known[0])
        assert not together.known[row, length:].any()
        for name in ("actor", "emotion"):
            torch.testing.assert_close(together.conditions[name][row], alone.conditions[name][0])
    assert together.known[:, 0].tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 1]]


def test_clips_of_similar_length_share_a_batch(sounds):
    data = make(sounds, min_frames=None, max_frames=None, batch_size=2)
    assert data.steps_per_epoch() == 2
    assert sorted(sorted(b.lengths) for b in data.batches(0)) == [[45, 60], [90, 120]]


def test_muted_clips_hear_faint_noise_and_tracks_can_be_standardised(sounds):
    batch = make(sounds, muted=True).batch([1], [np.random.default_rng(0)])
    assert 0 < batch.audio.abs().max() < 0.5
    batch = make(sounds, standardize=True, min_frames=None, max_frames=None).batch([0], [np.random.default_rng(0)])
    assert batch.audio.min() == pytest.approx(-np.sqrt(3), rel=1e-3)  # a ramp from mean 0, deviation 1
    assert abs(standardized(np.arange(100, dtype=np.float32)).std() - 1) < 1e-6


def test_pitch_shift_keeps_the_time():
    pytest.importorskip("python_stretch")
    from audio2face.audio.augment import load_pitch_shift

    shift = load_pitch_shift(16000)
    time = np.arange(32000) / 16000
    bursts = ((time > 0.5) & (time < 0.6)) | ((time > 1.2) & (time < 1.3))
    x = (bursts * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    for semitones in (-3.0, 3.0):
        y = shift(x, semitones)
        assert y.shape == x.shape
        centre = lambda z, a, b: np.average(time[a:b], weights=z[a:b] ** 2)  # noqa: E731
        for a, b in ((6000, 12000), (17000, 23000)):
            assert centre(y, a, b) == pytest.approx(centre(x, a, b), abs=0.01)
        spectrum = np.abs(np.fft.rfft(y[8200:9400] * np.hanning(1200)))
        assert np.argmax(spectrum) * 16000 / 1200 == pytest.approx(300 * 2 ** (semitones / 12), rel=0.06)
