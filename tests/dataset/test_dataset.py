"""Clips, targets and training windows: what belongs to which moment."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.targets import shot_targets

from audio2face.audio.augment import shift_grid
from audio2face.audio.windows import cut_windows, frame_times, window_starts
from audio2face.dataset.clips import build_clips, build_muted_clips, joined
from audio2face.dataset.conditions import ClipConditions
from audio2face.dataset.targets import clip_times, sample_linear
from audio2face.face.layout import ChannelLayout
from audio2face.models.regression.data import WindowData, WindowParams
from audio2face.problems import Problems
from audio2face.runs.preproc_run import read_clips_template
from audio2face.types import Clip, Shot

LAYOUT = ChannelLayout({"skin_coeffs": 2, "eye": 1})
SHOT = Shot("ann", "take_joy", 30, 30.0, "joy")


def test_layout_splits_and_joins():
    x = np.arange(6.0).reshape(2, 3)
    parts = LAYOUT.split(x)
    assert parts["eye"].tolist() == [[2.0], [5.0]]
    assert np.array_equal(LAYOUT.join(parts), x)
    with pytest.raises(ValueError, match="3"):
        LAYOUT.split(np.zeros((2, 4)))


def test_windows_of_frames_are_centred_between_frame_borders():
    starts = window_starts(frame_times(3, 30.0), 16000, 4160)
    assert starts.tolist() == [266 - 4160, 800 - 4160, 1333 - 4160]
    samples = np.arange(100, dtype=np.float32) + 1
    windows = cut_windows(samples, np.array([-2, 98, 200]), 4)
    assert windows.tolist() == [[0, 0, 1, 2], [99, 100, 0, 0], [0, 0, 0, 0]]


def test_targets_are_interpolated_by_time():
    ramp = np.arange(10, dtype=np.float32)[:, None]
    assert sample_linear(ramp, 30.0, frame_times(10, 30.0))[:, 0].tolist() == list(range(10))
    # 60 frames a second from 30: frame j lies at (j + 0.5) / 60, a quarter of a source frame off
    doubled = sample_linear(ramp, 30.0, frame_times(20, 60.0))[:, 0]
    assert doubled[1:5] == pytest.approx([0.25, 0.75, 1.25, 1.75])
    # 25 from 30, not a whole ratio: the value is the time, in source frames
    odd = sample_linear(ramp, 30.0, frame_times(8, 25.0))[:, 0]
    assert odd == pytest.approx(np.clip(frame_times(8, 25.0) * 30 - 0.5, 0, 9))


def test_clip_times_count_what_fits():
    clip = Clip(SHOT, 3, 12, Path("x.wav"))
    assert clip_times(clip, 30.0) == pytest.approx((np.arange(3, 13) + 0.5) / 30)
    assert len(clip_times(clip, 60.0)) == 20 and len(clip_times(clip, 24.0)) == 8
    one = Clip(replace(SHOT, fps=60.0), 3, 3, None)  # a muted clip may be one frame long
    assert clip_times(one, 30.0) == pytest.approx([3 / 60 + 0.5 / 30])


@pytest.fixture
def audio(tmp_path):
    (tmp_path / "a.wav").touch()
    return tmp_path


def rows(audio, *clips, seconds=1.0):
    """The clips, and the lines of errors and of warnings."""
    problems = Problems()
    made = build_clips(problems, clips, {"ann": {"take_joy": SHOT}}, {"ann": audio}, lambda path: seconds)
    return made, [str(p) for p in problems.errors], [str(p) for p in problems.warnings]


def test_clips_are_checked_all_at_once(audio):
    good = ("ann", "take_joy", (0, 29), "ann", "en", "a.wav", 0)
    clips, problems, _ = rows(
        audio,
        good,
        ("bob", *good[1:]),
        ("ann", "take_joi", *good[2:]),
        ("ann", "take_joy", (0, 30), *good[3:]),
        (*good[:5], "b.wav", 0),
    )
    assert len(clips) == 1 and clips[0].num_frames == 30
    assert len(problems) == 4
    for text, number in zip(problems, (1, 2, 3, 4), strict=True):
        assert f"CLIPS[{number}]" in text
    assert "did you mean 'take_joy'" in problems[1] and "0 to 29" in problems[2]


def test_an_offset_or_short_sound_cuts_the_range(audio):
    clips, problems, warnings = rows(audio, ("ann", "take_joy", (0, 29), "ann", "en", "a.wav", -5))
    assert (clips[0].first, clips[0].last, problems, warnings) == (5, 29, [], [])
    clips, _, warnings = rows(audio, ("ann", "take_joy", (0, 29), "ann", "en", "a.wav", 5))
    assert clips[0].last == 24 and "frame 24" in warnings[0]
    _, problems, _ = rows(audio, ("ann", "take_joy", (0, 29), "ann", "en", "a.wav", 0), seconds=0.2)
    assert "a.wav has sound for 6.0 frames, the clip needs 30" in problems[0]
    clips, problems, _ = rows(audio, ("ann", "take_joy", (0, 9), "ann", "en", "a.wav", -10))
    assert not clips and "offset -10" in problems[0] and "last frame 9" in problems[0]


def test_muted_clips():
    shots = {"ann": {"take_joy": SHOT}}
    problems = Problems()
    clips = build_muted_clips(problems, [("ann", ("take_joy", 4), 12, "joy")], shots)
    assert not problems and clips[0].held == ("take_joy", 4) and clips[0].num_frames == 12 and clips[0].audio is None
    build_muted_clips(
        problems,
        [("ann", ("take_joy", 4), 12, "joy")] * 2 + [("ann", ("take_joy", 30), 12, "joy"), ("ann", ("x", 0), 1, "joy")],
        shots,
    )
    assert len(problems) == 3 and "AUG_MUTED_SHOTS[1]: the same muted shot is listed twice" in str(problems.errors[0])


def test_clips_template_round_trip(tmp_path):
    path = tmp_path / "clips_template.py"
    path.write_text('CLIPS = [\n    ("ann", "take_joy", (0, 29), "ann", "en", "a.wav", 0),  # Shot: [0, 29]\n]\n')
    assert read_clips_template(path) == [("ann", "take_joy", (0, 29), "ann", "en", "a.wav", 0)]
    path.write_text("x = 1\n")
    with pytest.raises(ValueError, match="no CLIPS"):
        read_clips_template(path)


class Tracks:
    """One second of a ramp, so that a sample tells its own place."""

    def load(self, path):
        return np.arange(1, 16001, dtype=np.float32) / 16000, 0.5


class Noise:
    local_range = (0.5, 0.5)

    def track(self, num_samples, rng):
        return np.ones(num_samples, np.float32)


def window_data(shifts=(0.0,), seq_len=2, muted=True, on_disk=False):
    clips = [Clip(SHOT, 2, 11, Path("a.wav"))]
    if muted:
        clips.append(Clip(Shot("ann", "muted", 5, 30.0, "joy"), 0, 4, None, held=("take_joy", 3)))
    conditions = [ClipConditions(np.array([1.0], np.float32), 0, 0, start) for start in (0, 30)[: len(clips)]]
    values = np.arange(30, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)

    def targets(clip):
        if clip.held:
            return shot_targets(np.repeat(values[3:4], 5, axis=0), 30.0, {"skin_coeffs": True, "eye": False}, LAYOUT)
        return shot_targets(values, 30.0, {"skin_coeffs": True, "eye": True}, LAYOUT)

    params = WindowParams(30.0, 16000, 640, 320, seq_len, 1, shifts)
    return WindowData(
        clips,
        conditions,
        targets,
        LAYOUT,
        Tracks(),
        Noise(),
        params,
        num_actors=1,
        batch_size=4,
        seed=0,
        device=torch.device("cpu"),
        on_disk=on_disk,
    )


def test_batches_are_the_same_from_the_disk():
    held, on_disk = (window_data(shift_grid(1.0, 4), on_disk=where) for where in (False, True))
    posteriors = np.random.default_rng(0).random((50, 7), np.float32)
    for data in (held, on_disk):
        data.set_phonemes("en", {0: posteriors}, steps=3)
    assert np.array_equal(held.has(0), on_disk.has(0))
    for one, other in zip(held.batches(1), on_disk.batches(1), strict=True):
        for name in ("audio", "level", "target", "mask", "frame_ids", "items"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
        assert all(torch.equal(*pair) for pair in zip(one.phonemes["en"], other.phonemes["en"], strict=True))
    held, on_disk = (list(data.targets()) for data in (held, on_disk))
    assert all(torch.equal(*pair) for pair in zip(held[0], on_disk[0], strict=True))


def test_items_stay_within_clips():
    data = window_data()
    assert data.num_rows == 15 and data.num_items == 9 + 4
    assert window_data(seq_len=10).num_items == 1
    assert 9 not in data.items  # the last row of the first clip


def test_window_target_and_table_row_are_of_the_same_moment():
    data = window_data(shifts=(-0.25, 0.25))
    batch = data.batch(np.array([0, 9]), np.array([1, 0]))
    # first item: frames 2 and 3 of the shot, a quarter of a frame later
    assert batch.target[:2, 0].tolist() == pytest.approx([2.25, 3.25])
    assert batch.frame_ids[:2].tolist() == [2, 3]
    centre = batch.audio[0, 320].item() * 16000 - 1  # the sample in the middle of the window
    assert centre == pytest.approx((2 + 0.5 + 0.25) / 30 * 16000, abs=1)
    # the muted item: a still pose, noise at half loudness, its own rows of the table, no eye data
    assert batch.target[2:, 0].tolist() == [3, 3] and batch.frame_ids[2:].tolist() == [30, 31]
    assert batch.audio[2:].unique().tolist() == [0.5]
    assert batch.mask[2:].tolist() == [[1, 1, 0], [1, 1, 0]]
    assert batch.level[2:].tolist() == pytest.approx([0.5, 0.5])


def test_an_epoch_has_every_item_once_and_repeats_itself():
    data = window_data(shifts=shift_grid(1.0, 4))
    first = [b.items.tolist() for b in data.batches(3)]
    assert sorted(i for items in first for i in items) == list(range(data.num_items))
    assert first == [b.items.tolist() for b in data.batches(3)]
    assert first != [b.items.tolist() for b in data.batches(4)]
    assert data.steps_per_epoch() == len(first) == 4


def test_cached_features_equal_computed_ones():
    data, plain = window_data(shifts=shift_grid(1.0, 2)), window_data(shifts=shift_grid(1.0, 2))
    data.cache_features(lambda audio: {"mean": audio.mean(dim=1, keepdim=True), "ends": audio[:, [0, -1]]}, 1e9)
    for cached, raw in zip(data.batches(0), plain.batches(0), strict=True):
        assert cached.audio is None and raw.features is None
        assert torch.allclose(cached.features["mean"], raw.audio.mean(dim=1, keepdim=True))
        assert torch.equal(cached.features["ends"], raw.audio[:, [0, -1]])


def test_cache_that_does_not_fit_is_left_out():
    data = window_data()
    data.cache_features(lambda audio: {"audio": audio}, 100.0)
    assert data.features is None and next(data.batches(0)).audio is not None


def test_shift_grid_covers_the_range_evenly():
    assert shift_grid(1.0, 4) == pytest.approx((-0.375, -0.125, 0.125, 0.375))
    assert shift_grid(0.0, 4) == shift_grid(1.0, 1) == (0.0,)


def test_phoneme_targets_follow_the_window():
    data = window_data(muted=False)
    posteriors = np.eye(50, dtype=np.float32)  # step i of the track has class i
    data.set_phonemes("en", {0: posteriors}, steps=1)
    batch = data.batch(np.array([0]), np.array([0]))
    rows_found, probabilities = batch.phonemes["en"]
    assert rows_found.tolist() == [0, 1]
    start = int((2 + 0.5) / 30 * 16000) - 320
    assert probabilities[0].argmax(dim=1).tolist() == [(start + 200) // 320]


def test_clips_that_follow_each_other_are_joined():
    one = Clip(SHOT, 0, 9, Path("a.wav"))
    rows = [
        one,
        replace(one, first=10, last=19),
        replace(one, first=21, last=29),
        replace(one, first=30, last=39, audio_offset=1),
    ]
    assert [(c.first, c.last) for c in joined(rows)] == [(0, 19), (21, 29), (30, 39)]
    assert joined(rows[::-1]) == rows[::-1] and joined([]) == []
