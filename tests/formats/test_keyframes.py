"""Files of keyframes: what is written is read, what is edited counts, what does not fit is named."""

import numpy as np
import pytest

from audio2face.formats.keyframes import KeyedGroup, Keyframes, read_keyframes, write_keyframes
from audio2face.formats.npy import read_npz, write_npz

HEAD = KeyedGroup(("yaw", "pitch"), np.array([[0.1, 0.2], [np.nan, 0.4], [0.5, 0.6]], np.float32))
KEYS = Keyframes(1.0, np.array([0, 30, 60]), {"head": HEAD, "gaze": KeyedGroup(("x",), np.ones((3, 1)))}, 30.0)


def arrays(tmp_path, **changed):
    write_keyframes(tmp_path / "a_keys.npz", KEYS)
    return {**read_npz(tmp_path / "a_keys.npz"), **changed}


def test_round_trip(tmp_path):
    write_keyframes(tmp_path / "a_keys.npz", KEYS)
    found = read_keyframes(tmp_path / "a_keys.npz")
    assert (found.fps, found.frame_rate, found.frames.tolist(), [*found.groups]) == (
        1.0,
        30.0,
        [0, 30, 60],
        ["head", "gaze"],
    )
    assert (
        np.array_equal(found.groups["head"].values, HEAD.values, equal_nan=True)
        and found.groups["head"].names == HEAD.names
    )
    assert found.groups["head"].known.tolist() == [[True, True], [False, True], [True, True]]


def test_a_file_without_its_rate_counts_the_frames_of_its_reader(tmp_path):
    content = arrays(tmp_path)
    del content["frame_rate"]
    write_npz(tmp_path / "b.npz", {**content, "frames": content["frames"].astype(np.float64)})
    found = read_keyframes(tmp_path / "b.npz")
    assert found.frame_rate is None and found.at_rate(60.0).frames.tolist() == [0, 30, 60]


def test_frames_at_another_rate_are_the_same_moments():
    assert KEYS.at_rate(60.0).frames.tolist() == [1, 61, 121]
    assert KEYS.at_rate(30.0).frames.tolist() == [0, 30, 60]
    slow = KEYS.at_rate(0.5)  # two keyframes in the first two seconds: the first of them stays
    assert slow.frames.tolist() == [0, 1] and slow.groups["gaze"].values.shape == (2, 1)
    assert np.array_equal(slow.groups["head"].values, HEAD.values[[0, 2]])


WRONG = [
    ({"fps": np.array(0.0)}, "fps"),
    ({"fps": np.array([1.0, 2.0])}, "fps: expected one number"),
    ({"frames": np.array([0, 30, 30])}, "rising numbers, but 30 comes after 30"),
    ({"frames": np.array([0.0, 30.5, 60.0])}, "whole numbers from 0, found 30.5"),
    ({"frames": np.array([-1, 30, 60])}, "whole numbers from 0, found -1"),
    ({"frames": np.zeros((0,), np.int64)}, "frames: expected numbers"),
    ({"head": np.zeros((2, 2), np.float32)}, r"head: expected numbers \(3, 2\)"),
    ({"head": np.full((3, 2), np.inf)}, "head: row 0: expected numbers, found infinity"),
    ({"head_names": np.array(["yaw", "yaw"])}, "head_names: expected different names"),
    ({"more": np.zeros(3)}, "array 'more' stands alone"),
]  # fmt: skip


@pytest.mark.parametrize("changed, message", WRONG)
def test_what_does_not_fit_is_named(tmp_path, changed, message):
    write_npz(tmp_path / "b.npz", arrays(tmp_path, **changed))
    with pytest.raises(ValueError, match=message) as error:
        read_keyframes(tmp_path / "b.npz")
    assert str(tmp_path / "b.npz") in str(error.value)


def test_a_file_of_something_else(tmp_path):
    write_npz(tmp_path / "b.npz", {"values": np.zeros(3)})
    with pytest.raises(ValueError, match="expected keyframes, but it has no array fps and no frames"):
        read_keyframes(tmp_path / "b.npz")
    write_npz(tmp_path / "b.npz", {"fps": np.array(1.0), "frames": np.array([0])})
    with pytest.raises(ValueError, match="at least one group"):
        read_keyframes(tmp_path / "b.npz")


@pytest.mark.parametrize("name", ["fps", "frames", "head_names"])
def test_names_that_would_hide_others_are_refused(tmp_path, name):
    groups = {"head": HEAD, name: HEAD}
    with pytest.raises(ValueError, match=f"cannot be called '{name}'"):
        write_keyframes(tmp_path / "a.npz", Keyframes(1.0, KEYS.frames, groups))
    assert not (tmp_path / "a.npz").exists()
