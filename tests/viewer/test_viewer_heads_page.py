"""The page with the built-in head and a skeleton, in a headless Chromium."""

import numpy as np
import pytest

pytest.importorskip("fcntl", reason="the browser is driven through a pipe of POSIX systems")
from fakes.browser import Browser, find_browser
from fakes.view_client import end, serve

from audio2face.viewer.heads import curves_track, figure_actor, head_actor
from audio2face.viewer.library import Library, ShotView

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium here (or name one with A2F_BROWSER)"),
]
JOINTS = np.array([[0.0, 0, 0], [0, 1, 0], [0.5, 1.5, 0.2]]) + np.zeros((30, 1, 1))
BONES = np.array([[0, 1], [1, 2]])


def head(opened):
    return curves_track(30.0, np.linspace(0, opened, 30)[:, None], ("jawOpen",), joints=JOINTS)


def test_heads_move_and_can_be_compared_and_skeletons_are_lines():
    shots = [
        ShotView("both", "anna", truth=lambda: head(1.0), prediction=lambda: head(0.5)),
        ShotView("body", "ben", prediction=lambda: curves_track(30.0, joints=JOINTS)),
    ]
    client = serve(Library("test", [head_actor("anna", BONES), figure_actor("ben", BONES)], shots))
    page = Browser(find_browser(), 900, 600)
    try:
        page.open(client.server.url)
        page.wait("window.viewer && viewer.state().firstDrawn > 0", 60)
        first = page.run("viewer.state()")
        page.run("e = document.getElementById('scrub'); e.value = 0.5; e.dispatchEvent(new Event('input'))")
        page.wait("!viewer.state().busy && Math.abs(viewer.state().time - 0.5) < 0.01")
        page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        now = page.run("viewer.state()")
        assert now["checksum"]["truth"] != first["checksum"]["truth"] != now["checksum"]["prediction"]
        page.key("e", 69, "e")
        page.wait("viewer.state().error !== null")
        assert page.run("viewer.state()")["error"]["worst"] > 3  # mm
        page.key("e", 69, "e")
        coloured = page.screenshot()
        page.run("document.getElementById('figure').click()")
        page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.screenshot() != coloured
        page.run("document.querySelector('[data-shot=\"1\"]').click()")
        page.wait(
            "viewer.state().shot === 'body' && viewer.state().panes.join() === 'prediction' && !viewer.state().busy"
        )
        assert page.errors == [] and page.run("viewer.state()")["problems"] == []
    finally:
        page.close()
        end(client)
