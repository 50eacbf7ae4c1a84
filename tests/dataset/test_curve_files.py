"""Which files of a folder are a group's: tables of shots, and the lists of frames that are not there."""

import numpy as np
import pytest

from audio2face.dataset.curve_files import CurveSource


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
