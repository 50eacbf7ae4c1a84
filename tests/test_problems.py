"""What is wrong, where and how to repair it: its lines, and its collector."""

import pytest

from audio2face.problems import ERROR, STRUCTURE, Problem, Problems, UserError, Where


def test_a_line_names_the_place_as_far_as_it_is_known():
    captured = Where("ann", "take", "/data/take.wav", "AUDIO_ROOT")
    assert str(Problem(ERROR, "Silence.", captured, "Export it again.", "audio.silence")) == (
        "ann, take, AUDIO_ROOT, /data/take.wav: Silence. Export it again. [audio.silence]"
    )
    assert str(Problem(ERROR, "is missing", Where(file="config_train.py", key="CLIPS/3", line=7))) == (
        "config_train.py:7: CLIPS/3: is missing"
    )
    assert str(Problem(ERROR, "no such folder")) == "no such folder"
    assert str(Problem(ERROR, "SKIN_CACHE_ROOT: no shots", captured, rule=STRUCTURE)) == "SKIN_CACHE_ROOT: no shots"


def test_problems_are_collected_once_in_order_and_raised_together():
    problems = Problems("ann", STRUCTURE)
    for _ in range(2):
        problems.error("", "second file is missing", key="JAW")
    problems.warning("audio.quiet", "Very low.", shot="take")
    assert problems.attempt(int, "7") == 7 and problems.attempt(int, "x", also=(ValueError,), key="N") is None

    def fails():
        raise UserError(["a", Problem(ERROR, "b", Where(shot="own"), rule="own.rule")])

    assert problems.attempt(fails, key="K", shot="take") is None
    assert [p.what for p in problems.errors][-2:] == ["a", "b"] and len(problems) == 5
    a, b = problems.errors[-2:]
    assert (a.where, a.rule) == (Where("ann", "take", key="K"), STRUCTURE)
    assert (b.where, b.rule) == (Where("ann", "own", key="K"), "own.rule")
    assert [p.rule for p in problems.warnings] == ["audio.quiet"]
    with pytest.raises(UserError) as caught:
        problems.raise_errors()
    assert list(caught.value.problems) == problems.errors and caught.value.lines[0] == "second file is missing"
    Problems().raise_errors()


def test_what_is_not_expected_is_not_collected():
    with pytest.raises(ValueError):
        Problems().attempt(int, "x")
