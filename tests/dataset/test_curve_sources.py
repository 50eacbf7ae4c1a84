"""Which files of a folder are a group's: tables of shots, and the lists of frames that are not there."""

import numpy as np
import pytest

from audio2face.dataset.curve_files import SUFFIXES, CurveSource
from audio2face.formats.curve_table import CURVE_READERS


@pytest.mark.parametrize("ending", ["", "_frames", "_face_frames"])
def test_lists_of_missing_frames_are_found_and_are_no_shots(tmp_path, ending):
    for name in ("a", "b", f"a_missing{ending}"):
        np.save(tmp_path / f"{name}.npy", np.arange(3))
    source = CurveSource("face", tmp_path)
    assert source.shots() == ["a", "b"]
    assert source.missing("a") == tmp_path / f"a_missing{ending}.npy" and source.missing("b") is None


def test_lists_of_other_groups_are_not_taken(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    np.save(tmp_path / "a_missing_face_frames.npy", np.arange(3))
    body = CurveSource("body", tmp_path)
    assert body.shots() == ["a"] and body.missing("a") is None


def test_every_table_that_can_be_read_is_found(tmp_path):
    assert set(SUFFIXES) == {*CURVE_READERS, ".bvh"} and len(SUFFIXES) == len(set(SUFFIXES))
    for name in ("one.tsv", "two.csv", "two.tsv", "two_missing.npy", ".three.csv", "notes.md"):
        (tmp_path / name).write_text("")
    source = CurveSource("arkit", tmp_path)
    assert source.shots() == ["one", "two"] and source.file("one").name == "one.tsv"
    assert source.file("two").name == "two.csv" and source.missing("two").name == "two_missing.npy"
    assert source.file("three") is None and source.missing("one") is None
