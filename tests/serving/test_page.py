"""The test page in a headless Chromium: the built-in head moves in step with the sound that is heard."""

import socket
import time
from contextlib import contextmanager

import numpy as np
import pytest
from fakes import model as fake_model
from fakes.server import running
from onnx import TensorProto, helper

pytest.importorskip("fcntl", reason="the browser is driven through a pipe of POSIX systems")
pytest.importorskip("websockets", reason="the page needs the extra `live`")
from fakes.browser import Browser, find_browser

from audio2face.inference import load_model
from audio2face.serving.options import ServeOptions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium here (or name one with A2F_BROWSER)"),
]
RATE, WINDOW, FRAME = 16000, 8320, 533
# Plays bursts of a tone, and notes every few milliseconds the level that leaves the page and the frame that it shows.
PLAY = """(async () => {
  const context = new AudioContext();
  const buffer = context.createBuffer(1, 4 * context.sampleRate, context.sampleRate);
  const samples = buffer.getChannelData(0);
  for (let i = 0; i < samples.length; i++) {
    const t = i / context.sampleRate;
    samples[i] = t % 0.8 > 0.4 ? 0.8 * Math.sin(2 * Math.PI * 300 * t) : 0;
  }
  const ear = new AnalyserNode(context, { fftSize: 256 });
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) { if (to === context.destination) connect.call(this, ear); return connect.call(this, to, ...rest); };
  await playBuffer(context, buffer);
  AudioNode.prototype.connect = connect;
  const heard = new Float32Array(256), notes = [];
  window.notes = notes;
  setInterval(() => {
    ear.getFloatTimeDomainData(heard);
    const level = heard.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    notes.push([performance.now() / 1000, level, window.face ? face.jaw : 0, window.face ? face.frame : -1, context.outputLatency || 0]);
  }, 4);
})()"""


def loud_model(folder):
    """A model whose jaw is as far open as the sound is loud in the middle of its window."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_model, "WINDOW", WINDOW)
        fake_model.regression_model(folder)
    config = fake_model.load_json(folder / "model_config.json")
    config["config"] |= {"upper_face_smoothing": 0.0, "lower_face_smoothing": 0.0}
    fake_model.save_json(folder / "model_config.json", config)
    rig = fake_model.load_npz(folder / "bs_skin.npz")
    shapes = np.zeros((fake_model.K, fake_model.V, 3), np.float32)
    shapes[0] = rig["jawOpen"]
    fake_model.edit_npz(folder / "model_data.npz", shapes_matrix_skin=shapes, shapes_mean_skin=rig["neutral"])
    width = WINDOW + fake_model.IMPLICIT + len(fake_model.EMOTIONS)
    out = fake_model.K + fake_model.KT + fake_model.JAW + fake_model.EYES
    matrix = np.zeros((width, out), np.float32)
    matrix[(WINDOW - FRAME) // 2 : (WINDOW + FRAME) // 2, 0] = 1.5 / FRAME
    nodes = [
        helper.make_node("Abs", ["input"], ["level"]),
        helper.make_node("Concat", ["level", "emotion"], ["joined"], axis=2),
        helper.make_node("MatMul", ["joined", "W"], ["result"]),
    ]
    inputs = [
        fake_model.tensor("input", "batch", 1, WINDOW),
        fake_model.tensor("emotion", "batch", 1, width - WINDOW),
    ]
    constant = helper.make_tensor("W", TensorProto.FLOAT, matrix.shape, matrix.ravel())
    fake_model.save_onnx(
        folder / "network.onnx", nodes, inputs, [fake_model.tensor("result", "batch", 1, out)], [constant]
    )
    return folder


@contextmanager
def page(folder):
    """A browser that shows the page of a server of the model in `folder`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with running(load_model(folder, threads=1), ServeOptions(), http=address):
        browser = Browser(find_browser(), 720, 480)
        try:
            browser.open(f"http://{address}/")
            browser.wait("!!window.playBuffer", 60)
            yield browser
        finally:
            browser.close()


def played(browser, seconds=4):
    """Notes (N, 5) of a play: seconds, level played, jaw shown, frame shown, by how much later the level is heard."""
    browser.run(PLAY)
    browser.wait(f"window.face && face.time > {seconds - 0.1}", 60)
    time.sleep(0.3)
    return np.array(browser.run("window.notes"))


def lateness_s(notes):
    """Of each frame that is shown, by how much it follows what is heard of its moment (n,), and its number (n,)."""
    bursts = notes[np.argmax(notes[:, 1] > 0.4), 0] - 0.4 + notes[0, 4]  # when the sound begins to be heard
    numbers, first = np.unique(notes[:, 3].astype(int), return_index=True)
    shown = numbers >= 0
    return notes[first[shown], 0] - bursts - numbers[shown] / 30, numbers[shown]


def test_the_head_moves_in_step_with_the_sound(tmp_path):
    with page(loud_model(tmp_path / "model")) as browser:
        before = browser.screenshot()
        notes = played(browser)
        assert browser.screenshot() != before
        assert not browser.errors
    assert len(set(notes[:, 3])) > 20, "of 120 frames, drawn by software"
    late, numbers = lateness_s(notes)
    assert -0.02 < np.median(late) < 0.08 and late.min() > -0.05
    jaws = dict(zip(notes[:, 3].astype(int), notes[:, 2], strict=True))
    for number in numbers:
        into = number / 30 % 0.8
        if 0.1 < into < 0.3 or into > 0.5 and into < 0.7:  # well within a pause or a burst
            assert (jaws[number] > 0.3) == (into > 0.4), number
