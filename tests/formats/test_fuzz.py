"""Changed files of every format that strangers send: a value or a clear error, within 2 s and 200 MB. `tools/fuzz.py` runs longer."""

import random

import numpy as np
import pytest
from fakes import fuzz, fuzz_seeds
from fakes.fuzz import campaign, changed
from fakes.fuzz_kinds import KINDS, Target, targets

from audio2face.formats.npy import read_npy, read_npz

FILES = 150  # of each kind


@pytest.mark.slow
def test_all_kinds_are_listed():
    assert tuple(targets()) == KINDS


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_changed_files_are_read_or_refused(name):
    result = campaign(name, FILES, seed=1)
    assert not result.found and result.executions > FILES and result.values > 0


@pytest.mark.parametrize("name", fuzz_seeds.BROKEN)
def test_files_that_broke_a_reader_once_are_refused_by_name(tmp_path, name):
    (tmp_path / "found").mkdir()
    judge = fuzz.Judge(targets()[name], tmp_path / "place", tmp_path)
    for make in fuzz_seeds.BROKEN[name]:
        judge.judge(make(tmp_path / "place"))
    assert not list((tmp_path / "found").iterdir()) and judge.values == 0


def test_changes_are_many_and_repeatable():
    for kind in ("bytes", "text", "json", "zip"):
        data = b'{"a": [1, 2.5, {"b": "c"}], "d": null}'
        made = [changed(data, [data], kind, random.Random(seed)) for seed in range(300)]
        assert len(set(made)) > 100 and made == [
            changed(data, [data], kind, random.Random(seed)) for seed in range(300)
        ]


def fail(path):
    content = path.read_bytes()
    if content == b"bug":
        raise KeyError("x")
    if content == b"vague":
        raise ValueError("no")
    if content == b"large":
        np.ones(300 << 17)
    if content == b"slow":
        sum(range(10**9))
    raise ValueError(f"{path}: refused")


@pytest.mark.parametrize(
    ("content", "told"), [("bug", "KeyError"), ("vague", "names no file"), ("large", "200 MB"), ("fine", None)]
)
def test_what_must_not_be_is_found(tmp_path, content, told):
    (tmp_path / "found").mkdir()
    judge = fuzz.Judge(Target("a.x", lambda folder: [b""], fail), tmp_path / "place", tmp_path)
    judge.judge(b"first")
    judge.judge(content.encode())
    found = [path.read_text() for path in (tmp_path / "found").glob("*.txt")]
    assert found == [] if told is None else told in found[0]


@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800])
@pytest.mark.parametrize("order", "<>")
def test_text_that_is_no_text(tmp_path, code, order):
    """Python fails in odd ways wherever such text goes."""
    names = np.array(["ab", "cd"], f"{order}U2")
    np.save(tmp_path / "a.npy", names)
    np.savez(tmp_path / "a.npz", names=names)
    assert read_npy(tmp_path / "a.npy").tolist() == read_npz(tmp_path / "a.npz")["names"].tolist() == ["ab", "cd"]
    names.view(f"{order}u4")[2] = code
    np.save(tmp_path / "a.npy", names)
    np.savez(tmp_path / "a.npz", names=names)
    with pytest.raises(ValueError, match="a.npy.*Unicode"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="a.npz: array 'names.*Unicode"):
        read_npz(tmp_path / "a.npz")


def test_a_header_of_gigabytes_is_not_made_room_for(tmp_path):
    for version in (2, 3):
        (tmp_path / "a.npy").write_bytes(b"\x93NUMPY" + bytes([version, 0]) + b"\xff\xff\xff\xff")
        with pytest.raises(ValueError, match="a.npy: .* a header of 4294967295 bytes"):
            read_npy(tmp_path / "a.npy")
