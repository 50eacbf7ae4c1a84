"""A folder that is a data set already: what is found in it, its rate, the lists that are proposed, all faults at once."""

import shutil

import numpy as np
import pytest
from fakes.actor import SHOTS, Face, actor

from audio2face.formats import ANIMATION_WRITERS
from audio2face.importing.folder import PLACES, survey
from audio2face.problems import UserError


@pytest.fixture
def home(tmp_path):
    return actor(tmp_path / "tiny", SHOTS[:2]).home


def faults(home, fps=30.0):
    with pytest.raises(UserError) as error:
        survey(home, fps)
    return list(error.value.lines)


def test_everything_that_has_its_place_is_found(home):
    found, fps, notes = survey(home, 30.0)
    there = {key: place for key, place in PLACES.items() if (home / place).exists()}
    assert found.files == there and len(there) > 15
    assert [shot.name for shot in found.shots] == list(SHOTS[:2]) and fps == 30.0
    assert not found.missing and not [note for note in notes if note.startswith("proposed")]


def test_lists_may_be_arrays_and_missing_ones_are_proposed(home):
    listed = Face().lists()["skin/eye_dist_vertex_list.json"]
    rigid = home / "geom/tongue/rigid_vertex_list.json"
    np.save(rigid.with_suffix(".npy"), Face().root)
    rigid.unlink()
    (home / "geom/skin/eye_dist_vertex_list.json").unlink()
    found, _, notes = survey(home, 30.0)
    assert found.files["TONGUE_RIGID_VERTEX_LIST_FPATH"].endswith("rigid_vertex_list.npy")
    assert "proposed: geom/skin/eye_dist_vertex_list.json" in notes
    proposed = (home / "geom/skin/eye_dist_vertex_list.json").read_text()
    assert all(str(vertex) in proposed for vertex in listed["upper"])


def test_the_rate_is_that_of_the_caches_unless_one_is_given(home):
    for shot in SHOTS[:2]:
        frames = np.load(home / f"cache/skin/{shot}/{shot}.npy")
        shutil.rmtree(home / f"cache/skin/{shot}")
        (home / f"cache/skin/{shot}").mkdir()
        ANIMATION_WRITERS["maya"](home / f"cache/skin/{shot}/{shot}", frames, 25.0, "skinShape")
    assert survey(home, None)[1] == 25.0
    assert survey(home, 24.0)[1] == 24.0


def test_caches_without_a_rate_ask_for_one_once(home):
    lines = faults(home, fps=None)
    assert len(lines) == 1 and "--fps" in lines[0]


def test_folders_that_are_missing_are_named_together(home):
    shutil.rmtree(home / "audio")
    shutil.rmtree(home / "cache/skin")
    assert faults(home) == [f"{home / 'audio'}: no such folder", f"{home / 'cache/skin'}: no such folder"]


def test_every_shot_with_a_fault_is_named(home):
    (home / f"audio/{SHOTS[0]}.wav").unlink()
    cache = home / f"cache/skin/{SHOTS[1]}/{SHOTS[1]}.npy"
    np.save(cache, np.load(cache)[:, :-1])
    missing, smaller = faults(home)
    assert SHOTS[0] in missing and "no such file" in missing
    assert SHOTS[1] in smaller and "vertices" in smaller
