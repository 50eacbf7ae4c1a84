"""Two people of a conversation on the page, in a headless Chromium."""

import pytest

pytest.importorskip("fcntl", reason="the browser is driven through a pipe of POSIX systems")
from fakes.browser import Browser, find_browser
from fakes.conversation import run_of_two
from fakes.view_client import end, serve

from audio2face.commands.view import ViewRequest, build_library

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium here (or name one with A2F_BROWSER)"),
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        run = run_of_two(tmp_path_factory.mktemp("two"), patch)
        client = serve(build_library(ViewRequest("tiny", run)))
        page = Browser(find_browser(), 1280, 860)
        page.open(client.server.url)
        page.wait("window.viewer && viewer.state().firstDrawn > 0", 60)
        yield page, client.server.library
        page.close()
        end(client)


def drawn(page):
    page.wait("!viewer.state().busy")
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.run("viewer.state()")


def test_the_other_person_moves_on_the_same_clock(opened):
    page, library = opened
    alone = page.screenshot()
    assert page.run("viewer.state().guests") == {"truth": None, "prediction": None}
    page.key("b", 66, "b")
    page.wait("viewer.state().guests.truth !== null && viewer.state().guests.truth.sum !== 0")
    first = drawn(page)
    assert page.screenshot() != alone
    own, other = first["track"]["truth"], first["guests"]["truth"]
    assert other["id"] == library.open(0, "truth", other=True) and other["num_frames"] == own["num_frames"]
    page.run("e = document.getElementById('scrub'); e.value = 0.6; e.dispatchEvent(new Event('input'))")
    page.wait("Math.abs(viewer.state().time - 0.6) < 0.01")
    now = drawn(page)
    assert now["guests"]["truth"]["at"] == now["frame"]["truth"] > 5
    assert now["guests"]["truth"]["sum"] != first["guests"]["truth"]["sum"]
    assert " and " in page.run("document.getElementById('label-truth').textContent")


def test_both_sides_are_made(opened):
    page, library = opened
    page.run("document.getElementById('edit-generate').click()")
    page.wait("viewer.state().edit.versions.length === 1 && !viewer.state().edit.computing", 60)
    page.wait("viewer.state().guests.prediction !== null && viewer.state().guests.prediction.sum !== 0")
    now = drawn(page)
    request = library.studio.request(1)
    assert request.wish.both and now["panes"] == ["truth", "prediction"]
    assert now["guests"]["prediction"]["id"] == library.show(request.others[0])
    assert now["guests"]["truth"]["id"] == library.open(0, "truth", other=True)
    page.run("document.getElementById('edit-undo').click()")
    page.wait("viewer.state().guests.prediction === null || viewer.state().panes.join() === 'truth'")


def test_one_who_talks_to_nobody_is_shown_alone(opened):
    page, library = opened
    page.run("document.getElementById('both').checked || document.getElementById('both').click()")
    real, library._others[1] = library.other(1), None
    page.run("document.querySelector('[data-shot=\"1\"]').click()")
    page.wait("!document.getElementById('both-about').hidden")
    assert page.run("document.getElementById('both-about').textContent").startswith("The partner has no motion here")
    assert page.run("viewer.state().guests") == {"truth": None, "prediction": None}
    library._others[1] = real
    page.run("document.querySelector('[data-shot=\"0\"]').click()")
    page.wait("document.getElementById('both-about').hidden && viewer.state().guests.truth !== null")
    drawn(page)
    page.run("document.getElementById('both').click()")
    page.wait("viewer.state().guests.truth === null")


def test_whom_a_recording_answers_is_made_beside_it(opened):
    page, library = opened
    page.run("document.getElementById('both').checked || document.getElementById('both').click()")
    page.run("e = document.getElementById('edit-answered'); e.value = '1'; e.dispatchEvent(new Event('change'))")
    page.run("document.getElementById('record').click()")
    page.wait("document.getElementById('notice').textContent.includes('the partner plays')")
    page.run("new Promise(done => setTimeout(done, 1200))")
    page.run("document.getElementById('record').click()")
    page.wait("viewer.state().shot.startsWith('recording')", 30)
    page.wait("viewer.state().guests.prediction !== null && viewer.state().guests.prediction.sum !== 0", 60)
    now, request = drawn(page), library.studio.request(2)
    assert request.wish.both and request.wish.partner == library.shots[1].sound
    assert now["panes"] == ["prediction"]
    assert now["guests"]["prediction"]["id"] == library.show(request.others[0])
    assert now["guests"]["prediction"]["actor"] == request.others[0].actor
    page.run("document.getElementById('edit-undo').click()")
    page.wait("viewer.state().guests.prediction === null && !document.getElementById('both-about').hidden")


def test_nothing_went_wrong_in_the_console(opened):
    page, _ = opened
    assert page.errors == [] and page.run("viewer.state()")["problems"] == []
