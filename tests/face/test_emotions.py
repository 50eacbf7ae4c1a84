"""Emotions and actors as vectors, and emotions over time."""

import numpy as np
import pytest

from audio2face.face.emotions import (
    build_curve,
    emotion_curve,
    emotion_track,
    emotion_vector,
    is_timeline,
    network_emotions,
)
from audio2face.problems import UserError

NAMES = ("joy", "anger")


def vector(label, zero="neutral"):
    return emotion_vector(label, NAMES, zero or "joy", zero)


def test_emotions_and_the_one_that_is_all_zeros():
    columns = network_emotions(["anger", "neutral", "joy"], "neutral")
    assert columns == ["anger", "joy"]
    assert emotion_vector("neutral", columns, zero="neutral").tolist() == [0, 0]
    assert emotion_vector("joy", columns, zero="neutral").tolist() == [0, 1]
    assert emotion_vector("neutral", ["neutral"], zero="neutral").tolist() == [0]
    assert emotion_vector("neutral", ["neutral"]).tolist() == [1]


def test_one_emotion_in_all_its_forms():
    assert vector(None).tolist() == vector("neutral").tolist() == [0, 0]
    assert emotion_vector(None, NAMES, [0.5, 0.25]).tolist() == [0.5, 0.25]
    assert vector({"joy": 0.5, "neutral": 1}).tolist() == [0.5, 0]
    assert vector({"joy": np.float32(0.5)}).tolist() == vector([0.5, 0]).tolist() == vector(np.array([0.5, 0])).tolist()
    assert vector("joy").dtype == np.float32


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("angr", "emotion 'angr': known are neutral, joy, anger; did you mean 'anger'?"),
        ({"grief": 1.0}, "emotion 'grief': known are neutral, joy, anger$"),
        ([1.0], r"expected 2 finite weights \(joy, anger\), got \[1.0\]"),
        ([1.0, float("nan")], "expected 2 finite weights"),
        (["joy", "anger"], "expected a name, weights, or a timeline"),
        ({"joy": "x"}, "emotion 'joy': weight 'x' is not a finite number"),
        ({"joy": True}, "weight True is not a finite number"),
        ({"joy": float("inf")}, "weight inf is not a finite number"),
    ],
)
def test_what_is_not_an_emotion(label, words):
    with pytest.raises(UserError, match=words):
        vector(label)
    with pytest.raises(UserError, match="emotion 'neutral': known are joy, anger"):
        vector("neutral", zero=None)


def test_one_emotion_and_a_timeline_at_moments():
    def track(label):
        return emotion_track(label, NAMES, "neutral", "neutral", np.array([0.0, 1.0, 1.5, 2.0, 9.0]))

    assert not is_timeline("joy") and not is_timeline([0.5, 1.0]) and not is_timeline([]) and is_timeline([(0, "joy")])
    np.testing.assert_array_equal(track("joy"), [[1, 0]] * 5)
    timeline = [(1.0, {"joy": 1.0}), (2.0, "anger")]
    np.testing.assert_array_equal(track(timeline), [[1, 0], [1, 0], [0.5, 0.5], [0, 1], [0, 1]])
    with pytest.raises(UserError, match="increase"):
        track([(2.0, "joy"), (1.0, "anger")])
    with pytest.raises(UserError, match="sad"):
        track([(0.0, "sad")])
    assert emotion_track("neutral", [], None, "neutral", np.zeros(3)).shape == (3, 0)


def test_the_curve_of_a_deployed_model_is_in_samples():
    curve = build_curve(NAMES, [0.25, 0.0], [(1.0, "joy"), (2.0, None)], 100)
    assert curve(np.array([0, 100, 150, 300])).tolist() == [[1, 0], [1, 0], [0.625, 0], [0.25, 0]]
    assert build_curve(NAMES, [1.0, 0.0], "neutral", 100)(np.zeros(1)).tolist() == [[0, 0]]
    assert build_curve(["neutral"], [1.0], "neutral", 100)(np.zeros(1)).tolist() == [[1]]
    with pytest.raises(UserError, match="must increase, got \\[1.0, 1.001\\]"):
        build_curve(NAMES, [0.0, 0.0], [(1.0, "joy"), (1.001, "joy")], 100)


def test_emotion_is_linear_between_keys_and_held_outside():
    times, values = [100, 200, 500], np.array([[0, 1], [1, 0], [4, 8]], np.float32)
    curve = emotion_curve(times, values, np.array([-5, 100, 150, 200, 350, 500, 900]))
    assert curve.tolist() == [[0, 1], [0, 1], [0.5, 0.5], [1, 0], [2.5, 4], [4, 8], [4, 8]]
    assert emotion_curve([3], values[:1], np.array([0, 9])).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ValueError, match="increasing"):
        emotion_curve([1, 1], values[:2], np.array([0]))
