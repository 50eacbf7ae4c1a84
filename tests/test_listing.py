"""Lists of files and names: natural order, what is passed over, numbers of sequences."""

from pathlib import Path

import pytest

from audio2face.dataset.places import shot_folders
from audio2face.listing import frame_numbers, gaps, natural_order, passed_over


def test_numbers_in_names_count_by_size():
    names = ["frame_10", "frame_2", "frame_1", "Frame_3", "frame_01", "b", "2x", "10x", "a10b2", "a10b1", "a9b3", "A"]
    assert natural_order(names) == [
        "2x", "10x", "A", "a9b3", "a10b1", "a10b2", "b", "frame_01", "frame_1", "frame_2", "Frame_3", "frame_10"
    ]  # fmt: skip
    assert natural_order(["٣", "١٠", "٢"]) == ["٢", "٣", "١٠"]  # digits of any script
    paths = [Path("a-1/x"), Path("a/10"), Path("a/9"), Path("a 2/x"), Path("a 10/x")]
    assert [str(p) for p in natural_order(paths)] == ["a/9", "a/10", "a 2/x", "a 10/x", "a-1/x"]


def test_shots_are_listed_in_natural_order(tmp_path):
    for name in ("cp10_joy", "cp2_joy", "cp1_joy", ".hidden"):
        (tmp_path / name).mkdir()
    assert shot_folders(tmp_path) == ["cp1_joy", "cp2_joy", "cp10_joy"]


def test_what_is_passed_over_is_counted_by_kind(tmp_path):
    for name in ("b.m4a", "a.M4A", "c10.m4a", "c9.m4a", "x", ".DS_Store", "Thumbs.db", "._a.wav"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "more").mkdir()
    assert passed_over(tmp_path.iterdir()) == [
        "4 .m4a files (a.M4A, b.m4a, c9.m4a, …)", "1 folder (more)", "1 file without a suffix (x)"
    ]  # fmt: skip
    (tmp_path / "y").write_bytes(b"")
    assert passed_over([tmp_path / "x", tmp_path / "y"]) == ["2 files without a suffix (x, y)"]


def test_frame_numbers_and_their_gaps():
    assert frame_numbers(["s01.0009", "s01.0010"]) == [9, 10]
    assert frame_numbers(["a_1_170", "a_2_203"]) == [1, 2]  # the second number is a time stamp
    assert frame_numbers(["still_7"]) == [0] and frame_numbers([]) == []
    with pytest.raises(ValueError, match="frame_1 and neutral"):
        frame_numbers(["frame_1", "neutral"])
    with pytest.raises(ValueError, match="two files of frame 1: f_01 and f_1"):
        frame_numbers(["f_01", "f_1", "f_2"])
    assert gaps([3, 4, 5]) == (1, []) and gaps([7]) == (1, [])
    assert gaps([1, 2, 6, 7, 9]) == (1, [(2, 6), (7, 9)])
    assert gaps([0, 5, 10, 20]) == (5, [(10, 20)])
