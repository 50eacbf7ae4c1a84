"""Windows, time stamps and the emotion curve: closed forms and walks over the windows."""

import numpy as np
import pytest

from audio2face.postprocess import timeline


def test_regression_timestamps_at_60_fps():
    assert timeline.regression_timestamps(16000, 16000, 60)[:4].tolist() == [0, 266, 533, 800]
    assert timeline.regression_timestamps(16000, 16000, 60)[-1] == 15733
    assert len(timeline.regression_timestamps(0, 16000, 60)) == 0


@pytest.mark.parametrize("rate", [(60, 1), (30000, 1001), (24, 1), (120, 2)])
def test_regression_windows_run_as_soon_as_they_are_complete(rate):
    for accumulated in (0, 100, 519, 520, 521, 3000):
        stamps = timeline.regression_timestamps(10**5, 16000, *rate)
        for offset in (0, 260, 520):
            expected = int((stamps - offset + 520 <= accumulated).sum())
            if offset < 520:  # with the whole window before the frame, the frame itself may not be there yet
                assert timeline.regression_ready(accumulated, 16000, *rate, 520, offset) == expected
            else:
                assert timeline.regression_ready(accumulated, 16000, *rate, 520, offset) <= expected


def test_diffusion_windows_of_the_60_fps_set_up():
    windows = timeline.DiffusionWindows(16000, 15, 30, 15, 16000, 16000)
    assert windows.fps == (60, 1) and timeline.frame_duration_s(*windows.fps) == np.float32(1 / 60)
    track = windows.timeline(16000)
    assert track.starts.tolist() == [-16000, -8000, 0, 8000]
    assert track.centre_timestamps[0, 0] == -12000
    assert track.timestamps[:4].tolist() == [0, 266, 533, 800] and len(track.timestamps) == 60
    assert track.source[0].tolist() == [1, 30]


@pytest.mark.parametrize(
    "setup", [(16000, 7, 15, 8, 16000, 16000), (6400, 2, 10, 4, 5000, 16000), (50, 1, 2, 1, 0, 100)]
)
def test_diffusion_counts_equal_a_walk_over_the_windows(setup):
    windows = timeline.DiffusionWindows(*setup)
    for samples in [*range(0, 60), 1000, 4999, 5000, 16000, 30011]:
        walked = 0
        while windows.centre_timestamps(walked)[0] < samples:
            walked += 1
        assert windows.count(samples) == walked
        ready = 0
        while windows.start(ready) + windows.buffer_len <= samples:
            ready += 1
        assert windows.ready(samples) == ready


def test_windows_are_cut_with_zeros_outside():
    audio = np.arange(1, 6, dtype=np.float32)
    cut = timeline.cut_windows(audio, np.array([-9, -2, 1, 4, 7]), 4, gain=2)
    assert cut.tolist() == [[0] * 4, [0, 0, 2, 4], [4, 6, 8, 10], [10, 0, 0, 0], [0] * 4]


def test_emotion_is_linear_between_keys_and_held_outside():
    times, values = [100, 200, 500], np.array([[0, 1], [1, 0], [4, 8]], np.float32)
    curve = timeline.emotion_curve(times, values, np.array([-5, 100, 150, 200, 350, 500, 900]))
    assert curve.tolist() == [[0, 1], [0, 1], [0.5, 0.5], [1, 0], [2.5, 4], [4, 8], [4, 8]]
    assert timeline.emotion_curve([3], values[:1], np.array([0, 9])).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ValueError, match="increasing"):
        timeline.emotion_curve([1, 1], values[:2], np.array([0]))


def test_impossible_window_settings_are_refused():
    with pytest.raises(ValueError, match="sample_rate 0"):
        timeline.regression_timestamps(10, 0, 60)
    with pytest.raises(ValueError, match="negative"):
        timeline.DiffusionWindows(16000, -1, 15, 8, 16000, 16000)
