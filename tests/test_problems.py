"""What is wrong, where and how to repair it: lines as people read them, each problem once, all errors together."""

import pytest

from audio2face.problems import ERROR, Problem, Problems, UserError, Where


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (Where(), ""),
        (Where(actor="ann", shot="one", key="AUDIO_ROOT"), "ann, one, AUDIO_ROOT"),
        (Where(file="config_train.py", line=7, key="CLIPS"), "config_train.py:7: CLIPS"),
    ],
)
def test_a_place_is_named_from_the_outside_in(where, text):
    assert str(where) == text


def test_a_line_has_place_fault_fix_and_rule():
    problem = Problem(
        ERROR, "The sound is clipped.", Where(actor="ann", shot="one"), "Record it again.", "audio.clipped"
    )
    assert str(problem) == "ann, one: The sound is clipped. Record it again. [audio.clipped]"
    assert str(Problem(ERROR, "no such run")) == "no such run"


def test_an_error_keeps_its_problems_and_shows_them_as_lines():
    error = UserError(["first", Problem(ERROR, "second", Where(key="CLIPS"))])
    assert error.lines == ("first", "CLIPS: second") and str(error) == "first\nCLIPS: second"
    assert UserError("alone").problems == (Problem(ERROR, "alone"),)


def test_problems_are_kept_once_in_order_and_filled_in_with_what_they_leave_open():
    found = Problems("ann", "captured")
    for _ in range(2):
        found.error("", "no sound", shot="one")
    found.warning("audio.rate", "8 kHz")
    found.extend([Problem(ERROR, "too few frames", Where(actor="bob"))], shot="two")
    assert list(found) == [
        Problem("error", "no sound", Where("ann", "one"), "", "captured"),
        Problem("warning", "8 kHz", Where("ann"), "", "audio.rate"),
        Problem("error", "too few frames", Where("bob", "two"), "", "captured"),
    ]


def test_warnings_alone_stop_nothing_and_errors_are_raised_together():
    found = Problems()
    found.warning("", "odd")
    found.raise_errors()
    found.error("", "wrong")
    found.error("", "worse")
    with pytest.raises(UserError) as error:
        found.raise_errors()
    assert error.value.lines == ("wrong", "worse")


def test_an_attempt_gives_the_value_or_keeps_why_there_is_none():
    found = Problems("ann")

    def refuse(reason):
        raise reason

    assert found.attempt(int, "3") == 3 and not len(found)
    assert found.attempt(refuse, UserError("not there"), shot="one") is None
    assert found.attempt(refuse, OSError("disk"), also=(OSError,)) is None
    with pytest.raises(ValueError):
        found.attempt(refuse, ValueError("ours"))
    assert [(p.what, p.where) for p in found] == [("not there", Where("ann", "one")), ("disk", Where("ann"))]
