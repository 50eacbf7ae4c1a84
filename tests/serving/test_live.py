import contextlib
import io
import json
import math
import socket
import struct
import threading
import time
from dataclasses import replace
from fractions import Fraction
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
from fakes import model as fake_model
from fakes.server import speech
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_server import ThreadingOSCUDPServer
from scipy.spatial.transform import Rotation
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from audio2face import UserError, load_model
from audio2face.render.head import builtin_head
from audio2face.serving import http
from audio2face.serving.engine import ServedModel
from audio2face.serving.live import livelink, vmc, websocket
from audio2face.serving.live.mirror import Mirror
from audio2face.serving.live.outputs import Outputs
from audio2face.serving.live.player import Delay, Player, hear, measure_delay
from audio2face.serving.live.source import FileSource, Levelled, PipeSource
from audio2face.serving.live.speaker import PlayOut
from audio2face.serving.live.websocket import WebSocketServer
from audio2face.serving.metrics import Metrics
from audio2face.serving.names import ARKIT
from audio2face.serving.options import ServeOptions
from audio2face.serving.request import EmotionSettings, StreamRequest
from audio2face.serving.scheduler import Scheduler, Track
from audio2face.serving.stream import Frame

OPTIONS = ServeOptions(streams=2, idle_s=2.0, max_clip_s=10.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = fake_model.regression_model(tmp_path_factory.mktemp("live") / "model")
    return ServedModel(load_model(folder, threads=1), OPTIONS)


def frame(index=0, weights=None, eyes=None):
    eyes = np.zeros(6) if eyes is None else eyes
    weights = np.arange(52) / 100 if weights is None else weights
    return Frame(index, index / 30, np.asarray(weights, np.float32), np.asarray(eyes), np.eye(4), b"", index / 30, {})


def decoded(datagram):
    """A Live Link Face datagram by its layout, with nothing of ours."""
    at = 0

    def take(form):
        nonlocal at
        found = struct.unpack_from(">" + form, datagram, at)
        at += struct.calcsize(">" + form)
        return found

    (version,) = take("B")
    texts = []
    for _ in range(2):
        (length,) = take("i")
        texts.append(datagram[at : at + length].decode())
        at += length
    number, sub, top, bottom, count = take("ifiiB")
    values = take(f"{count}f")
    assert at == len(datagram)
    return version, texts, number + sub, Fraction(top, bottom), np.array(values)


def test_live_link_datagrams_have_the_layout_that_unreal_reads():
    device = livelink.machine_id()
    eyes = np.deg2rad([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    data = livelink.encode(np.arange(52) / 100, eyes, Fraction(901, 2), Fraction(30), device, "änn")
    version, texts, at, rate, values = decoded(data)
    assert (version, texts, at, rate) == (6, [device, "änn"], 450.5, 30) and len(device) == 36
    assert 264 <= len(data) <= 774 and len(values) == 61
    assert np.allclose(values[:52], np.arange(52) / 100)
    assert not values[52:55].any()
    assert np.allclose(np.rad2deg(values[55:]), [5, 4, 6, 2, 1, 3]), "yaw, pitch, roll of the left eye, then the right"
    assert livelink.machine_id() == device
    turned = livelink.encode(
        np.zeros(52), eyes, Fraction(0), Fraction(30), device, "ann", np.deg2rad([10.0, 20.0, 30.0])
    )
    assert np.allclose(np.rad2deg(decoded(turned)[-1][52:55]), [10, 20, 30]), "yaw, pitch, roll of the head"


def test_live_link_datagrams_are_read_by_others():
    reader = pytest.importorskip("pylivelinkface")
    eyes = np.deg2rad([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    data = livelink.encode(np.arange(52) / 100, eyes, Fraction(901, 2), Fraction(30), livelink.machine_id(), "ann")
    found, face = reader.PyLiveLinkFace.decode(data)
    assert found and face.name == "ann" and face.fps == 30
    for number, name in enumerate(ARKIT):
        assert face.get_blendshape(reader.FaceBlendShape[name]) == pytest.approx(number / 100, abs=1e-7), name
    assert face.get_blendshape(reader.FaceBlendShape.LeftEyeYaw) == pytest.approx(np.deg2rad(5.0))


def test_live_link_clamps_weights_and_refuses_other_ids():
    values = decoded(
        livelink.encode([2.0, -1.0, np.nan] + [0.5] * 49, np.zeros(6), Fraction(0), Fraction(60), "x" * 36, "s")
    )[-1]
    assert values[:3].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="36"):
        livelink.encode(np.zeros(52), np.zeros(6), Fraction(0), Fraction(30), "short", "s")


def test_live_link_counts_frames_over_the_wire():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        sink = livelink.LiveLinkSink(f"127.0.0.1:{listener.getsockname()[1]}", "ann", Fraction(30))
        for index in range(3):
            sink.send(frame(index))
        found = [decoded(listener.recv(2048)) for _ in range(3)]
        sink.close()
    times = [at for *_, at, _, _ in found]
    assert np.diff(times).tolist() == [1, 1] and 0 <= times[0] < 86400 * 30


def test_an_address_that_does_not_exist_is_the_users_mistake():
    for address in ("no.such.host.invalid", "127.0.0.1:x"):
        with pytest.raises(UserError, match=address):
            livelink.LiveLinkSink(address, "ann", Fraction(30))


def test_vmc_bundles_are_small_typed_and_end_with_apply():
    values = dict(zip(ARKIT, np.arange(52) / 100, strict=True))
    found = vmc.bundles(values, np.array([10.0, 20.0, 0, -10.0, -20.0, 0]), 1.5, True)
    assert all(len(data) <= vmc.MOST_BYTES for data in found) and len(found) > 1
    messages = [m for data in found for m in OscBundle(data)]
    assert [m.address for m in messages][:2] == ["/VMC/Ext/OK", "/VMC/Ext/T"]
    assert messages[-1].address == "/VMC/Ext/Blend/Apply" and messages[1].params == [1.5]
    weights = {m.params[0]: m.params[1] for m in messages if m.address.endswith("/Val")}
    assert weights == pytest.approx(values) and list(weights) == list(ARKIT)
    bones = {m.params[0]: m.params[1:] for m in messages if m.address.endswith("/Pos")}
    turn = bones["RightEye"][3:]  # x 10, then y 20 degrees, about fixed axes; in a space with x mirrored
    half = np.deg2rad([5, 10])
    x, y = np.sin(half[0]) * np.cos(half[1]), np.cos(half[0]) * np.sin(half[1])
    z, w = -np.sin(half[0]) * np.sin(half[1]), np.cos(half[0]) * np.cos(half[1])
    assert np.allclose(turn, [x, -y, -z, w], atol=1e-6)


@pytest.mark.parametrize(
    ("turn", "nose"),
    [((90, 0, 0), (-1, 0, 0)), ((0, 90, 0), (0, 1, 0)), ((0, 0, 90), (0, 0, 1))],
    ids=["to the person's left", "chin up", "leaning"],
)
def test_the_head_is_a_bone_of_vmc(turn, nose):
    """In the protocol's space x is to the person's right, for a person that looks along z."""
    values = dict.fromkeys(ARKIT, 0.0)
    still, found = (vmc.bundles(values, np.zeros(6), 0.0, False, head) for head in (None, np.array(turn, float)))
    bones = {m.params[0]: m.params[4:] for data in found for m in OscBundle(data) if m.address.endswith("/Pos")}
    assert np.allclose(Rotation.from_quat(bones["Head"]).apply([0, 0, 1]), nose, atol=1e-6)
    assert b"Head" not in b"".join(still)
    if turn[2]:  # to the left shoulder
        assert np.allclose(Rotation.from_quat(bones["Head"]).apply([0, 1, 0]), [-1, 0, 0], atol=1e-6)


def test_expressions_of_vrm():
    weights = dict.fromkeys(ARKIT, 0.0) | {
        "JawOpen": 0.8,
        "MouthFunnel": 0.25,
        "MouthSmileLeft": 0.4,
        "EyeBlinkLeft": 1.0,
    }
    found = vmc.vrm(weights)
    assert found["A"] == pytest.approx(0.6) and found["O"] == 0.25 and found["Joy"] == pytest.approx(0.2)
    assert (found["Blink_L"], found["Blink_R"], found["Sorrow"]) == (1.0, 0.0, 0.0)


def test_vmc_reaches_a_listener():
    got = []
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, *values: got.append((address, values)))
    server = ThreadingOSCUDPServer(("127.0.0.1", 0), dispatcher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sink = vmc.VmcSink(f"127.0.0.1:{server.server_address[1]}")
    sink.send(frame())
    deadline = time.monotonic() + 5
    while len(got) < 57 and time.monotonic() < deadline:
        time.sleep(0.01)
    server.shutdown()
    sink.close()
    assert sum(address.endswith("/Val") for address, _ in got) == 52


class Kept:
    """A sink that keeps what it gets, with the time."""

    def __init__(self, fails=False):
        self.frames, self.times, self.fails, self.closed = [], [], fails, False

    def send(self, found):
        if self.fails:
            raise RuntimeError("no wire")
        self.frames.append(found)
        self.times.append(time.monotonic())

    def close(self):
        self.closed = True


def test_a_pipe_plays_all_frames_in_order_and_eases_to_rest(served):
    samples = speech(1.0)
    source = PipeSource(16000, io.BytesIO(samples.tobytes()))
    kept, broken = Kept(), Kept(fails=True)
    outputs = Outputs(served, [broken, kept])
    player = Player(outputs, 0.2)
    hear(served, source, player)
    player.run()
    alone = served.model.animate(samples, 16000, peak=1.0, geometry=False)
    wire = served.on_the_wire(alone)
    assert [f.index for f in kept.frames] == list(range(outputs.sent)) and outputs.sent == 30 + 9
    assert np.allclose([f.weights for f in kept.frames[:30]], wire[:30], atol=1e-5)
    assert not kept.frames[-1].weights.any() and np.allclose(np.diff([f.time_s for f in kept.frames]), 1 / 30)
    assert kept.times[-1] - kept.times[0] > 0.9, "at the rate of the frames"


def test_what_goes_wrong_with_a_source_ends_the_playing(served):
    class Broken:
        sample_rate = 16000

        def pieces(self):
            yield speech(0.1).tobytes()
            raise OSError("unplugged")

    player = Player(Outputs(served, []), 0.0)
    hear(served, Broken(), player)
    with pytest.raises(OSError, match="unplugged"):
        player.run()


def test_sound_waits_for_its_delay_and_the_clock_waits_for_sound():
    out = PlayOut(1000, delay_s=0.1)
    out.add(np.ones(60, np.float32))
    assert not out.take(50, 1.0).any() and out.heard_s(2.0) < 0, "less than its delay waits"
    out.add(np.ones(60, np.float32))
    assert out.take(50, 3.0).all()
    assert out.heard_s(2.99) == pytest.approx(-0.01) and out.heard_s(3.02) == pytest.approx(0.02)
    assert out.take(50, 3.05).all() and out.take(50, 3.1).sum() == 20, "silence where it runs out"
    assert out.heard_s(3.11) == pytest.approx(0.11) and out.heard_s(3.5) == pytest.approx(0.12)
    assert not out.take(50, 3.15).any() and out.heard_s(4.0) == pytest.approx(0.12)
    out.add(np.ones(10, np.float32))
    assert out.take(50, 4.0).sum() == 10 and out.heard_s(4.005) == pytest.approx(0.125)


def test_what_is_shorter_than_the_delay_is_played_at_its_end():
    out = PlayOut(1000, delay_s=0.5)
    out.add(np.ones(60, np.float32))
    assert not out.take(50, 0.0).any()
    out.end()
    assert out.take(50, 0.05).all()


class Loudspeaker:
    """A device that takes ten milliseconds at a time by the system's clock and plays them 30 ms later."""

    def __init__(self, delay_s):
        self.out, self.rate, self.stopped = PlayOut(16000, delay_s), 16000, threading.Event()
        self.levels = []  # (when it is heard, the block's largest sample)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        start = time.monotonic()
        for number in range(10000):
            if self.stopped.wait(max(0.0, start + number * 0.01 - time.monotonic())):
                return
            at = start + number * 0.01 + 0.03
            self.levels.append((at, float(self.out.take(160, at).max())))

    def add(self, piece):
        self.out.add(np.frombuffer(piece, "<i2").astype(np.float32) / 32768)

    def end(self):
        self.out.end()

    def heard_s(self):
        return self.out.heard_s(time.monotonic())


def test_frames_follow_what_is_heard(served):
    """A tone begins half-way: the frame of that moment is shown when it leaves the loudspeaker."""
    samples = np.zeros(16000, "<i2")
    samples[8000:] = 8000
    kept, speaker = Kept(), Loudspeaker(0.2)
    player = Player(Outputs(served, [kept]), 0.2, speaker)
    source = PipeSource(16000, io.BytesIO(samples.tobytes()))
    threading.Thread(target=hear, args=(served, source, player, speaker)).start()
    player.run()
    speaker.stopped.set()
    tone = next(at for at, level in speaker.levels if level > 0.1)
    late = next(t for f, t in zip(kept.frames, kept.times, strict=True) if f.sound_time_s >= 0.5) - tone
    assert -0.02 < late < 0.15
    assert not kept.frames[-1].weights.any()


def stream_of(served, scheduler, samples, joy=0.0):
    """A client's stream, all of its sound at once, as the scheduler has it."""
    emotion = EmotionSettings(strength=1.0, transition_s=60.0, beginning={"joy": joy})
    stream = scheduler.call(lambda: served.open(StreamRequest(16000, emotion=emotion))).result(10)
    stream.add(samples.tobytes())
    track = Track(stream, lambda frames: None, lambda error: None)
    scheduler.add(track)
    return track


def shown(kept, joy):
    """The numbers of the frames that a sink has got of streams with about this much joy, each once."""
    return list(
        dict.fromkeys(round(f.sound_time_s * 30) for f in kept.frames if abs(f.emotion.get("joy", 9.0) - joy) < 0.1)
    )


def test_the_newest_stream_is_mirrored_in_time_and_the_face_rests_between(served):
    scheduler, kept = Scheduler(Metrics()), Kept()
    scheduler.mirror = mirror = Mirror(Outputs(served, [kept]), Delay(0.02, 0.0))
    try:
        until(lambda: len(kept.frames) > 3)
        assert not any(f.weights.any() for f in kept.frames), "at rest, and sent at the rate of frames"
        older = stream_of(served, scheduler, speech(2.0), 0.5)
        until(lambda: len(shown(kept, 0.5)) > 5)
        newer = stream_of(served, scheduler, speech(0.5), 1.0)
        newer.stream.end()
        scheduler.wake()
        until(lambda: len(shown(kept, 1.0)) == 15)
        until(lambda: not kept.frames[-1].emotion)
        scheduler.remove(older)
    finally:
        scheduler.close()
        mirror.close()
    numbers = shown(kept, 0.5)
    assert numbers == list(range(len(numbers))) and len(numbers) < 40, "cut short"
    assert shown(kept, 1.0) == list(range(15)), "all of the newer one"
    assert not kept.frames[-1].weights.any() and [f.index for f in kept.frames] == list(range(len(kept.frames)))
    assert 0.5 < kept.times[-1] - kept.times[0] < 10 and not kept.closed


def test_a_client_that_goes_away_takes_its_face_with_it(served):
    scheduler, kept = Scheduler(Metrics()), Kept()
    scheduler.mirror = mirror = Mirror(Outputs(served, [kept]), Delay(0.02, 0.0))
    try:
        track = stream_of(served, scheduler, speech(5.0))
        until(lambda: kept.frames and kept.frames[-1].weights.any())
        scheduler.remove(track)
        until(lambda: not kept.frames[-1].weights.any())
        assert len([f for f in kept.frames if f.weights.any()]) < 60
    finally:
        scheduler.close()
        mirror.close()


def test_a_quiet_microphone_is_brought_to_full_level():
    quiet = np.array([1000, -3277, 100, 16384, 16384], "<i2")
    pieces = [quiet[:1].tobytes(), quiet[1:2].tobytes() + b"\x64", b"", quiet[3:].tobytes()]
    source = PipeSource(16000, io.BytesIO(b""))
    source.pieces = lambda: iter(pieces)
    found = [np.frombuffer(p[: len(p) // 2 * 2], "<i2") for p in Levelled(source).pieces()]
    assert np.allclose(found[0], 10 * 1000, atol=10), "divided by a tenth at least"
    assert np.allclose(found[1], -32767, atol=10), "by its loudest sample so far"
    assert np.allclose(found[3], 32767, atol=2)


def test_a_file_is_played_in_its_own_time(served, tmp_path):
    soundfile.write(tmp_path / "a.wav", speech(0.5), 16000, subtype="PCM_16")
    began = time.monotonic()
    pieces = list(FileSource(tmp_path / "a.wav").pieces())
    assert time.monotonic() - began > 0.45
    assert abs(np.frombuffer(b"".join(pieces), "<i2").astype(int) - speech(0.5)).max() <= 1
    with pytest.raises(UserError, match="none.wav"):
        FileSource(tmp_path / "none.wav")


def test_the_delay_is_what_the_network_hears_ahead(served):
    delay = measure_delay(served, 0.5)
    window = fake_model.WINDOW / 2 / 16000
    assert window <= delay.look_ahead_s <= window + 0.02 + 1 / 30 + 0.01 and delay.work_s > 0
    assert Delay(0.26, 0.1).total_s == pytest.approx(0.52)


@pytest.fixture
def socket_server(served):
    scheduler = Scheduler(Metrics())
    server = WebSocketServer("127.0.0.1:0", served, scheduler, origins=["https://studio.example"])
    yield server
    server.close()
    scheduler.close()


def talk(server, start, *parts):
    """Send messages to /stream; returns what comes back."""
    with connect(f"ws://127.0.0.1:{server.port}/stream", compression=None) as link:
        with contextlib.suppress(ConnectionClosedError):
            for part in (start, *parts):
                link.send(json.dumps(part) if isinstance(part, dict) else part)
        found = []
        try:
            for text in link:
                found.append(json.loads(text))
        except ConnectionClosedError as error:
            assert error.rcvd.code == 1008
        return found


def test_streams_over_websocket_are_those_of_animate(served, socket_server):
    samples = speech(0.5)
    start = {"type": "start", "sample_rate": 16000, "want": ["weights", "eyes", "jaw"]}
    keys = {"type": "emotion", "t": 0.0, "emotion": {"joy": 0.0}}
    answers = talk(socket_server, start, keys, samples[:3000].tobytes(), samples[3000:].tobytes(), {"type": "end"})
    head, frames, last = answers[0], answers[1:-1], answers[-1]
    assert head["names"] == list(ARKIT) and head["fps"] == 30 and head["version"] == 1
    assert [f["i"] for f in frames] == list(range(15)) and last["frames"] == 15
    alone = served.on_the_wire(served.model.animate(samples, 16000, peak=1.0, geometry=False))[:15]
    assert np.allclose([f["w"] for f in frames], alone, atol=1e-4)
    assert len(frames[0]["eyes"]) == 6 and len(frames[0]["jaw"]) == 16


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"type": "begin"}, "start"),
        ({"type": "start", "sample_rate": 100}, "samples_per_second 100"),
        ({"type": "start", "sample_rate": "x"}, "sample_rate"),
        ({"type": "start", "sample_rate": 16000, "want": ["teeth"]}, "weights, eyes, jaw, head"),
        ("[1]", "JSON object"),
        ({"type": "start", "sample_rate": 16000, "emotion": {"joy": "much"}}, "joy"),
        ('{"type": "start", "sample_rate": NaN}', "sample_rate"),
        ('{"type": "start", "sample_rate": 16000, "emotion": {"joy": Infinity}}', "joy"),
        ({"type": "start", "sample_rate": 16000, "emotion": "x" * 5000}, "5000 characters"),
    ],
)
def test_mistakes_over_websocket_are_said(socket_server, start, words):
    answers = talk(socket_server, start)
    assert answers[-1]["type"] == "error" and words in answers[-1]["message"]


def test_a_token_is_asked_for(served):
    guarded = ServedModel(served.model, replace(OPTIONS, token="sesame"))
    scheduler = Scheduler(Metrics())
    server = WebSocketServer("127.0.0.1:0", guarded, scheduler)
    start = {"type": "start", "sample_rate": 16000}
    try:
        for wrong in (start, start | {"token": "open"}, start | {"token": None}):
            assert "token" in talk(server, wrong)[-1]["message"]
        assert talk(server, start | {"token": "sesame"}, {"type": "end"})[-1]["type"] == "end"
        headers = {"Authorization": "Bearer sesame"}
        with connect(f"ws://127.0.0.1:{server.port}/live", compression=None, additional_headers=headers) as link:
            assert json.loads(link.recv(timeout=5))["type"] == "header"
        with connect(f"ws://127.0.0.1:{server.port}/live", compression=None) as link:
            assert "token" in json.loads(link.recv(timeout=5))["message"]
    finally:
        server.close()
        scheduler.close()


def until(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_connections_are_counted(socket_server, monkeypatch):
    monkeypatch.setattr(websocket, "MOST_CONNECTIONS", 2)
    links = [socket.create_connection(("127.0.0.1", socket_server.port)) for _ in range(2)]
    until(lambda: len(socket_server._connections) == 2)
    with socket.create_connection(("127.0.0.1", socket_server.port), timeout=5) as third:
        assert third.recv(1) == b"", "closed at once"
    for link in links:
        link.close()
    until(lambda: all(c.socket.fileno() < 0 for c in socket_server._connections))
    assert talk(socket_server, {"type": "begin"})[-1]["type"] == "error"


class Ready:
    serving = True


def test_slow_and_many_requests_do_not_keep_a_status_page_from_others(monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(http, "MOST_CONNECTIONS", 4)
    server = http.HttpServer("127.0.0.1:0", Ready(), Metrics())
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(6)]
    try:
        began = time.monotonic()
        while any(link.fileno() >= 0 for link in slow):
            for link in slow:
                try:
                    link.sendall(b"GET / HTTP/1.1\r\n" if time.monotonic() - began < 0.05 else b"A: b\r\n")
                except OSError:
                    link.close()
                except ValueError:
                    continue
            assert time.monotonic() - began < 5, "a header now and then keeps nobody's place"
            time.sleep(0.05)
        with urlopen(f"http://127.0.0.1:{server.port}/v1/health/ready", timeout=5) as answer:
            assert answer.status == 200
    finally:
        for link in slow:
            link.close()
        server.close()


def test_what_is_live_reaches_all_listeners(socket_server):
    with connect(f"ws://127.0.0.1:{socket_server.port}/live", compression=None) as link:
        assert json.loads(link.recv(timeout=5))["type"] == "header"
        deadline = time.monotonic() + 5
        while not socket_server._listeners and time.monotonic() < deadline:
            time.sleep(0.01)
        for index in range(3):
            socket_server.send(frame(index))
        found = [json.loads(link.recv(timeout=5)) for _ in range(3)]
    assert [f["i"] for f in found] == [0, 1, 2] and found[0]["w"][1] == 0.01


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:8000", True),
        ("http://127.0.0.1:5173", True),
        ("https://studio.example", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
    ],
)
def test_pages_of_elsewhere_may_not_listen(socket_server, origin, allowed):
    def open_it():
        with connect(f"ws://127.0.0.1:{socket_server.port}/live", origin=origin, compression=None) as link:
            return json.loads(link.recv(timeout=5))

    if allowed:
        assert open_it()["type"] == "header"
    else:
        with pytest.raises(InvalidStatus) as error:
            open_it()
        assert error.value.response.status_code == 403


def test_the_test_page_and_the_head_come_over_http(served, socket_server):
    def get(path):
        with urlopen(f"http://127.0.0.1:{socket_server.port}{path}", timeout=5) as answer:
            return answer.headers["Content-Type"], answer.read()

    kind, page = get("/")
    assert kind.startswith("text/html") and b"page.js" in page
    assert get("/page.js")[0].startswith("text/javascript") and len(get("/vendor/three.module.min.js")[1]) > 1e5
    info, head = json.loads(get("/head.json")[1]), builtin_head()
    data = get("/head.bin")[1]
    points = np.frombuffer(data[: 12 * len(head.vertices) * 54], "<f4").reshape(54, -1, 3)
    assert info == {"vertices": len(head.vertices), "shapes": list(range(52)), "coloured": True}, (
        "a model without a mesh"
    )
    assert points[0].max() == pytest.approx(1.0) and np.allclose(points[-1], head.colours**2.2, atol=1e-6)
    jaw = head.deltas[head.names.index("jawOpen")]
    assert np.corrcoef(points[1 + ARKIT.index("JawOpen")].ravel(), jaw.ravel())[0, 1] == pytest.approx(1.0)
    triangles = np.frombuffer(data[12 * len(head.vertices) * 54 :], "<u4")
    assert triangles.tolist() == head.triangles.ravel().tolist()
    with pytest.raises(OSError, match="404"):
        get("/../secrets")


def test_two_pi_is_not_sent_as_degrees():
    eyes = np.array([0, 180.0, 0, 0, 0, 0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        for half_turns, expected in ((False, math.pi), (True, 1.0)):
            sink = livelink.LiveLinkSink(address, "ann", Fraction(30), half_turns)
            sink.send(replace(frame(), eyes=eyes))
            sink.close()
            assert decoded(listener.recv(2048))[-1][58] == pytest.approx(expected)
