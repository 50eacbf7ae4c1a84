"""Progress: a bar on a terminal, lines elsewhere."""

import io
import logging

from audio2face import logs as bars


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_no_bar_gets_into_a_file(monkeypatch, capsys):
    assert list(bars.each("abc", 3, "letters", "letter")) == list("abc")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_which_vanishes(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    with bars.Bar(4, "letters", "letter") as bar:
        bar.update(2)
        bar._bar.refresh()
    text = bars.sys.stderr.getvalue()
    assert "letters:  50%" in text and text.endswith("\r")
    monkeypatch.setattr("sys.stderr", Terminal())
    list(bars.each("abc", 3, "letters", "letter", shown=False))
    assert bars.sys.stderr.getvalue() == ""


def test_long_work_is_told_in_the_log_of_a_file(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(bars, "TELL_S", 0.0)
    list(bars.each("abc", 3, "letters of a %", "letter"))
    assert caplog.messages[-1] == "letters of a %: 3 of 3 letters"
    caplog.clear()
    list(bars.each("abc", 3, "letters", "letter", shown=False))
    assert not caplog.messages


def test_the_time_that_is_left_is_told(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    now = iter([0.0, 20.0, 40.0, 40.0, 400.0, 400.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with bars.Bar(100, "features", "clip") as bar:
        bar.update(1)
        bar.update(1)
        bar.update(18)
    assert caplog.messages == ["features: 2 of 100 clips  left 0:32:40", "features: 20 of 100 clips  left 0:26:40"]
