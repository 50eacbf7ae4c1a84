"""The viewer's page in a headless Chromium: loads, plays in step with the sound, runs models again, takes sounds."""

import base64
import threading

import numpy as np
import pytest
import soundfile
from fakes import model as fake_model

pytest.importorskip("fcntl", reason="the browser is driven through a pipe of POSIX systems")
from fakes.browser import Browser, find_browser

from audio2face.inference import load_model
from audio2face.viewer.actors import Actor
from audio2face.viewer.library import Library, ShotView
from audio2face.viewer.live import LiveModel
from audio2face.viewer.server import ViewServer
from audio2face.viewer.tracks import AnimationStream, Curves, array_channel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium here (or name one with A2F_BROWSER)"),
]
RATE, FPS, SECONDS, V = 16000, 30, 4, fake_model.V
FACES = np.array([[0, 1, 2], [2, 1, 3], [3, 4, 5]])


def write_shot(folder):
    """Sound, and points that rise with time by one unit a second: their place tells the moment shown."""
    time = np.arange(SECONDS * FPS) / FPS
    shape = np.random.default_rng(0).normal(size=(V, 3)).astype(np.float32)
    frames = (shape + time[:, None, None] * np.array([0, 1, 0])).astype(np.float32)
    soundfile.write(folder / "a.wav", np.sin(np.arange(SECONDS * RATE) * 0.05) * 0.3, RATE)
    return frames


def opened(frames, weights=None):
    solve = None if weights is None else (lambda: Curves(("jawOpen", "mouthLeft"), weights))
    return AnimationStream([array_channel("skin", frames)], len(frames), FPS, 0.0, solve)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    frames = write_shot(folder)
    weights = np.stack([np.linspace(0, 1, len(frames)), np.zeros(len(frames))], axis=1)
    moved = frames + np.float32([0.3, 0, 0])
    shots = [
        ShotView("first", "demo", "joy", folder / "a.wav", lambda: opened(frames), lambda: opened(moved, weights)),
        ShotView("silent", "demo", truth=lambda: opened(frames[:30])),
    ]
    fake_model.regression_model(folder / "model")
    model = LiveModel(lambda: load_model(folder / "model", threads=1))
    server = ViewServer(Library("test", [Actor("demo", {"skin": FACES})], shots, model))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    browser = Browser(find_browser(), 900, 600)
    browser.sound = (folder / "a.wav").read_bytes()
    browser.open(server.url)
    browser.wait("window.viewer && viewer.state().firstDrawn > 0 && viewer.state().model === 'ready'", 60)
    yield browser
    browser.close()
    server.shutdown()
    server.server_close()
    server.library.close()


def state(page):
    return page.run("viewer.state()")


def click(page, element):
    page.run(f"document.getElementById({element!r}).click()")


def seek(page, time):
    script = f"e = document.getElementById('scrub'); e.value = {time}; e.dispatchEvent(new Event('input'))"
    page.run(script)
    page.wait(f"!viewer.state().busy && Math.abs(viewer.state().time - {time}) < 0.01")
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_loads_and_moves(page):
    now = state(page)
    assert now["shots"] == 2 and now["panes"] == ["truth", "prediction"] and now["duration"] == pytest.approx(SECONDS)
    seek(page, 0.5)
    first, picture = state(page)["checksum"], page.screenshot()
    seek(page, 2.5)
    second = state(page)["checksum"]
    assert first["truth"] != second["truth"] and page.screenshot() != picture
    weights = sum(i % 97 + 1 for i in range(1, 3 * V, 3))
    assert (second["truth"] - first["truth"]) / weights == pytest.approx(2, abs=1e-3)  # what is drawn is that moment


def test_plays_in_step_with_the_sound(page):
    seek(page, 0)
    click(page, "play")
    page.wait("viewer.state().audio > 0.6", 30)
    now = state(page)
    assert now["playing"] and now["frame"]["truth"] == pytest.approx(now["audio"] * FPS, abs=0.01)
    click(page, "play")
    page.wait("!viewer.state().playing")
    assert state(page)["drawn"] > 3


def test_keys_step_and_switch(page):
    seek(page, 1.0)
    page.key("ArrowRight", 39)
    assert state(page)["frame"]["truth"] == pytest.approx(31, abs=0.05)
    page.key("e", 69, "e")
    page.wait("viewer.state().error !== null")
    page.run("new Promise(done => requestAnimationFrame(done))")
    assert state(page)["error"]["mean"] == pytest.approx(3, abs=0.01)  # 0.3 units of 10 mm
    page.key("e", 69, "e")
    click(page, "curves-on")
    page.wait("viewer.state().curves === 2")
    click(page, "curves-on")


def test_a_slider_runs_the_model_again(page):
    script = "e = document.querySelector('[data-emotion=joy]'); e.value = {}; e.dispatchEvent(new Event('input'))"
    sums = []
    for value in (0.2, 1):
        before = state(page)["track"]["prediction"]["id"]
        page.run(script.format(value))
        page.wait(f"viewer.state().track.prediction.id !== {before} && !viewer.state().computing")
        seek(page, 1.0)
        sums.append(state(page)["checksum"]["prediction"])
    assert sums[0] != sums[1]


def test_a_dropped_sound_is_animated(page):
    data = base64.b64encode(page.sound).decode()
    page.run(
        f"bytes = Uint8Array.from(atob('{data}'), c => c.charCodeAt(0)); d = new DataTransfer();"
        "d.items.add(new File([bytes], 'my voice.wav')); "
        "dispatchEvent(new DragEvent('drop', {dataTransfer: d, cancelable: true}))"
    )
    page.wait("viewer.state().shot === 'my voice.wav' && viewer.state().track.prediction && !viewer.state().computing")
    now = state(page)
    assert now["panes"] == ["prediction"] and now["track"]["prediction"]["num_frames"] == SECONDS * FPS


def test_the_microphone(page):
    click(page, "record")
    page.wait("document.getElementById('record').classList.contains('on')")
    page.run("new Promise(done => setTimeout(done, 1200))")
    click(page, "record")
    page.wait("viewer.state().shot.startsWith('recording') && viewer.state().track.prediction", 30)
    assert state(page)["duration"] > 0.5


def test_a_shot_without_sound_plays_too(page):
    page.run("document.querySelector('[data-shot=\"1\"]').click()")
    page.wait("viewer.state().shot === 'silent'")
    assert state(page)["audio"] is None and state(page)["duration"] == pytest.approx(1)
    click(page, "play")
    page.wait("viewer.state().time >= 0.99", 20)
    page.wait("!viewer.state().playing")


def test_a_narrow_window_has_no_sideways_scrolling(page):
    page.size(420, 800, mobile=True)
    page.run("new Promise(done => setTimeout(done, 300))")
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    page.size(900, 600)


def test_nothing_went_wrong_in_the_console(page):
    assert page.errors == [] and state(page)["problems"] == []
