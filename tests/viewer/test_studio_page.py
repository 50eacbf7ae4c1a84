"""The panel that makes animations, in a headless Chromium: sliders, a guide, and the microphone as an answer to a partner."""

import pytest

pytest.importorskip("fcntl", reason="the browser is driven through a pipe of POSIX systems")
from fakes.browser import Browser, find_browser
from fakes.conversation import talking_runs
from fakes.view_client import end, serve

from audio2face.commands.view import ViewRequest, build_library

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium here (or name one with A2F_BROWSER)"),
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        run, guide = talking_runs(tmp_path_factory.mktemp("talks"), patch)
        client = serve(build_library(ViewRequest("tiny", run)))
        page = Browser(find_browser(), 1280, 860)
        page.open(client.server.url)
        page.wait("window.viewer && viewer.state().firstDrawn > 0", 60)
        yield page, client.server.library, guide
        page.close()
        end(client)


def choose(page, element, value, event="input"):
    page.run(
        f"e = document.getElementById({element!r}); e.value = {value!r}; e.dispatchEvent(new Event({event!r}, {{bubbles: true}}))"
    )


def wish(page, library, number):
    page.wait("viewer.state().edit.versions.length === 1 && !viewer.state().edit.computing", 60)
    return library.studio.request(number).wish


def test_sliders_reach_the_network(opened):
    page, library, guide = opened
    assert page.run("document.getElementById('edit-steps').value") == "2"  # the config's
    assert page.run("document.getElementById('edit-top-p').disabled")
    choose(page, "edit-guide", guide, "change")
    assert page.run("document.getElementById('edit-top-p').value") == "0.9"  # the guide's own
    for element, value in (("edit-takes", 3), ("edit-steps", 4), ("edit-top-p", 0.5), ("edit-seed", 11)):
        choose(page, element, value)
    page.run(
        "e = document.querySelector('[data-scale=partner]'); e.value = 2; e.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    page.run("document.getElementById('edit-generate').click()")
    asked = wish(page, library, 1)
    assert (asked.takes, asked.steps, asked.seed, asked.guide) == (3, 4, 11, guide)
    assert (asked.top_p, asked.temperature) == (0.5, 1.0)
    assert asked.guidance == {"audio": 1.0, "partner": 2.0, "style": 1.0}
    assert page.run("viewer.state()")["edit"]["versions"] == [3]
    assert "seed 11" in page.run("document.getElementById('notice').textContent")


def test_a_number_that_is_typed_is_no_key_of_the_page(opened):
    page, _, _ = opened
    page.run("document.getElementById('edit-seed').focus()")
    page.key("k", 75, "k")
    assert page.run("viewer.state()")["edit"]["keys"] == []
    page.run("document.getElementById('edit-seed').blur()")


def test_the_microphone_answers_a_partner(opened):
    page, library, _ = opened
    page.run("document.querySelector('[data-shot=\"1\"]').click()")
    page.wait("viewer.state().shot === 'one_neutral'")
    choose(page, "edit-answered", 0, "change")
    page.run("document.getElementById('record').click()")
    page.wait("document.getElementById('notice').textContent.includes('the partner plays')")
    page.run("new Promise(done => setTimeout(done, 1200))")
    page.run("document.getElementById('record').click()")
    page.wait("viewer.state().shot.startsWith('recording')", 30)
    asked = wish(page, library, 2)
    assert asked.partner == library.shots[0].sound and asked.sound == library.shots[-1].sound
    page.wait("viewer.state().panes.join() === 'prediction' && !viewer.state().busy")
    now = page.run("viewer.state()")
    assert now["sound"].endswith("/0/0.wav") and 0.5 < now["duration"] < 5  # with the partner's voice
    page.run("document.getElementById('edit-undo').click()")
    page.wait("!viewer.state().sound.endsWith('/0/0.wav')")


def test_nothing_went_wrong_in_the_console(opened):
    page, _, _ = opened
    assert page.errors == [] and page.run("viewer.state()")["problems"] == []
