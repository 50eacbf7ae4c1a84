"""Which files of a folder are tables of curves."""

from audio2face.dataset.curve_files import SUFFIXES, CurveSource
from audio2face.formats.curve_table import CURVE_READERS


def test_every_table_that_can_be_read_is_found(tmp_path):
    assert set(SUFFIXES) == {*CURVE_READERS, ".bvh"} and len(SUFFIXES) == len(set(SUFFIXES))
    for name in ("one.tsv", "two.csv", "two.tsv", "two_missing.npy", ".three.csv", "notes.md"):
        (tmp_path / name).write_text("")
    source = CurveSource("arkit", tmp_path)
    assert source.shots() == ["one", "two"] and source.file("one").name == "one.tsv"
    assert source.file("two").name == "two.csv" and source.missing("two").name == "two_missing.npy"
    assert source.file("three") is None and source.missing("one") is None
