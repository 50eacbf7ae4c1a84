"""Emotions over time."""

import numpy as np
import pytest

from audio2face.inference.emotions import emotion_curve


def test_emotion_is_linear_between_keys_and_held_outside():
    times, values = [100, 200, 500], np.array([[0, 1], [1, 0], [4, 8]], np.float32)
    curve = emotion_curve(times, values, np.array([-5, 100, 150, 200, 350, 500, 900]))
    assert curve.tolist() == [[0, 1], [0, 1], [0.5, 0.5], [1, 0], [2.5, 4], [4, 8], [4, 8]]
    assert emotion_curve([3], values[:1], np.array([0, 9])).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ValueError, match="increasing"):
        emotion_curve([1, 1], values[:2], np.array([0]))
