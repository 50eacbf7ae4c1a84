from fractions import Fraction

import numpy as np
import pytest

from audio2face.formats.arkit_csv import ARKIT_NAMES
from audio2face.serving.emotion import EmotionTrack
from audio2face.serving.messages import AGGREGATE_NAME, ENUMS, FIELDS, message
from audio2face.serving.metrics import Metrics
from audio2face.serving.names import ARKIT, TONGUE, known_emotions
from audio2face.serving.request import EmotionSettings
from audio2face.serving.stream import FrameRate


def test_names_on_the_wire_are_those_of_the_table_with_two_pairs_the_other_way_round():
    table = [name[:1].upper() + name[1:] for name in ARKIT_NAMES]
    assert set(ARKIT) == set(table[:52]) and len(ARKIT) == 52 and len(TONGUE) == 16
    moved = [(ours, theirs) for ours, theirs in zip(ARKIT, table, strict=False) if ours != theirs]
    assert moved == [
        ("JawLeft", "JawRight"),
        ("JawRight", "JawLeft"),
        ("MouthLeft", "MouthRight"),
        ("MouthRight", "MouthLeft"),
    ]


def test_messages_have_the_numbers_and_types_of_the_protocol():
    """By bytes: field 2 of an AudioStream, its field 1 four bytes, as any implementation writes them."""
    part = message("AudioStream")()
    part.audio_with_emotion.audio_buffer = b"abcd"
    assert part.SerializeToString() == bytes([0x12, 6, 0x0A, 4]) + b"abcd"
    status = message("Status")(code=3, message="x")
    assert status.SerializeToString() == bytes([0x08, 3, 0x12, 1]) + b"x"
    weights = message("FloatArrayWithTimeCode")(time_code=1.0, values=[1.0])
    assert weights.SerializeToString() == bytes([0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x12, 4, 0, 0, 0x80, 0x3F])
    off = message("EmotionPostProcessingParameters")(enable_preferred_emotion=False)
    assert off.SerializeToString() == bytes([0x18, 0]) and not off.HasField("emotion_strength")
    assert len(FIELDS) == 29 and AGGREGATE_NAME.endswith("EmotionAggregate") and len(ENUMS) == 5


@pytest.mark.parametrize(("source", "target"), [(60, 30), (60, 24), (30, 30), (60, Fraction(30000, 1001)), (25, 30)])
@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_frames_at_another_rate_lie_on_the_line(source, target, pieces):
    rate = FrameRate(Fraction(source), Fraction(target))
    rows = np.arange(100, dtype=np.float32)[:, None]
    found = [row for first in range(0, 100, pieces) for row in rate.add(rows[first : first + pieces])]
    found += rate.rest(len(found) + 3)
    expected = np.minimum(np.arange(len(found)) * float(Fraction(source) / Fraction(target)), 99)
    assert np.allclose(np.array(found)[:, 0], expected, atol=1e-3)


def track(**settings):
    return EmotionTrack(["joy", "anger"], np.array([0.0, 0.2], np.float32), EmotionSettings(**settings), 16000, 30.0)


def test_the_models_own_emotion_holds_until_a_key_comes():
    curve = track()
    stamps = np.arange(4) * 16000 // 30
    assert np.allclose(curve(stamps[:2]), [0.0, 0.2])
    curve.add(0.05, {"joy": 1.0})
    w, state = 1 / 30 / 0.5, np.array([0.0, 0.2])
    state = state + w * (np.array([0.3, 0.0]) - state)
    assert np.allclose(curve(stamps[2:3]), state)
    assert np.allclose(curve(stamps[:3])[0], [0.0, 0.2]), "asking again gives the same"


def test_a_beginning_emotion_falls_to_nothing_without_keys():
    curve = track(beginning={"joy": 1.0}, strength=0.5, transition_s=0.25)
    assert np.allclose(curve(np.array([-800]))[0], [0.5, 0.0])
    w = 1 / 30 / 0.25
    found = curve(np.arange(3) * 16000 // 30)[:, 0]
    assert np.allclose(found, 0.5 * (1 - w) ** np.arange(1, 4), atol=1e-6)


def test_keys_are_sorted_and_a_later_one_of_the_same_time_wins():
    curve = track(transition_s=0.0)
    for time_s, weights in ((1.0, {"joy": 1.0}), (0.0, {"anger": 1.0}), (1.0, {"anger": 0.5})):
        curve.add(time_s, weights)
    assert np.allclose(curve(np.array([0, 15999, 16000])), [[0, 0.3], [0, 0.3], [0, 0.15]])


def test_a_switch_that_is_off_leaves_keys_without_effect():
    curve = track(preferred_enabled=False, transition_s=0.0)
    curve.add(0.0, {"joy": 1.0})
    assert not curve(np.array([0, 533])).any()


def test_emotions_by_other_names_and_beyond_their_range():
    found = known_emotions({"out_of_breath": 2.0, "neutral": 1.0, "bliss": 1.0, "joy": -1.0}, ["outofbreath", "joy"])
    assert found == ({"outofbreath": 1.0, "joy": 0.0}, ["bliss"])


def test_counts_in_the_format_of_prometheus():
    metrics = Metrics()
    metrics.began()
    metrics.turn(2, 0.02, 0.5)
    metrics.ended("OK")
    lines = metrics.text().splitlines()
    assert 'audio2face_streams_total{code="OK"} 1' in lines and "audio2face_streams_active 0" in lines
    assert 'audio2face_inference_seconds_bucket{le="0.025"} 1' in lines
    assert 'audio2face_inference_seconds_bucket{le="0.01"} 0' in lines
    assert "audio2face_real_time_factor 0.04" in lines
