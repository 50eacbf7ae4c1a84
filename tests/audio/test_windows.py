"""Windows of sound in the runtime's arithmetic: closed forms and walks over the windows."""

import numpy as np
import pytest
from fakes.timeline import diffusion_timeline, regression_samples

from audio2face.audio.windows import Streaming
from audio2face.postprocess.chain import frame_duration_s


def test_frames_of_a_live_host_at_60_fps():
    assert regression_samples(16000, 16000, 60)[:4].tolist() == [0, 266, 533, 800]
    assert regression_samples(16000, 16000, 60)[-1] == 15733
    assert len(regression_samples(0, 16000, 60)) == 0


def test_diffusion_windows_of_the_60_fps_set_up():
    windows = Streaming(15, 30, 15, 16000, 16000)
    assert windows.fps == 60 and frame_duration_s(windows.fps.numerator) == np.float32(1 / 60)
    track = diffusion_timeline(windows, 16000)
    assert track.starts.tolist() == [-16000, -8000, 0, 8000]
    assert track.centre_samples[0, 0] == -12000
    assert track.samples[:4].tolist() == [0, 266, 533, 800] and len(track.samples) == 60
    assert track.source[0].tolist() == [1, 30]


@pytest.mark.parametrize("setup", [(7, 15, 8, 16000, 16000), (2, 10, 4, 6400, 5000), (1, 2, 1, 50, 0, 100)])
def test_diffusion_counts_equal_a_walk_over_the_windows(setup):
    windows = Streaming(*setup)
    for samples in [*range(0, 60), 1000, 4999, 5000, 16000, 30011]:
        walked = 0
        while windows.centre_samples(walked)[0] < samples:
            walked += 1
        assert windows.ready(samples, closed=True) == walked
        ready = 0
        while windows.start(ready) + windows.window <= samples:
            ready += 1
        assert windows.ready(samples, closed=False) == ready


@pytest.mark.parametrize("setup", [(7, 15, 8, 16000, 16000), (6, 15, 9, 16000, 8000), (5, 12, 7, 15000, 10000)])
def test_frames_lie_at_the_runtimes_samples(setup):
    """With whole frames of padding, windows start at their frames, and a frame is at most a sample before its moment."""
    windows = Streaming(*setup)
    for window in range(9):
        first = windows.frame_of(window)
        assert windows.start(window) == windows.sample_of(first - windows.left)
        ours = [windows.sample_of(first + i) for i in range(windows.centre)]
        assert set(windows.centre_samples(window) - ours) <= {-1, 0}


def test_impossible_window_settings_are_refused():
    with pytest.raises(ValueError, match="window 0"):
        Streaming(1, 1, 1, 0, 0)
    with pytest.raises(ValueError, match="negative"):
        Streaming(-1, 15, 8, 16000, 16000)
