import contextlib
import json
import socket
import threading
import time
from dataclasses import replace
from fractions import Fraction
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from fakes import model as fake_model
from fakes.server import (
    PATH,
    animate,
    converse,
    emotion_of,
    end,
    header,
    running,
    sorted_out,
    sound,
    speech,
    status_of,
    weights_of,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from audio2face import load_model
from audio2face.serving import server
from audio2face.serving.authoring import Authoring
from audio2face.serving.engine import ServedModel
from audio2face.serving.messages import SERVICES, message, number
from audio2face.serving.names import ARKIT, EMOTIONS, places
from audio2face.serving.options import ServeOptions

OPTIONS = ServeOptions(streams=4, idle_s=2.0, max_clip_s=20.0, grace_s=5.0)


@pytest.fixture(scope="module", params=["regression", "diffusion"])
def model(request, tmp_path_factory):
    """A regression model, and a diffusion model of 60 frames a second."""
    folder = tmp_path_factory.mktemp("served") / request.param
    if request.param == "regression":
        return load_model(fake_model.regression_model(folder), threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_model, "WINDOW", 8000)
        patch.setattr(fake_model, "FRAMES", (6, 15, 9))
        return load_model(fake_model.diffusion_model(folder), threads=1)


@pytest.fixture(scope="module")
def address(model):
    with running(model, replace(OPTIONS, actor=model.actors[0])) as found:
        yield found


def alone(model, samples, rate, count):
    """(count, 52) weights of `animate`, in the order of the wire, at 30 frames a second."""
    whole = model.animate(samples, rate, peak=1.0, geometry=False, actor=model.actors[0])
    wire = np.zeros((len(whole), len(ARKIT)), np.float32)
    for place, pose in places(ARKIT, whole.names):
        wire[:, place] = whole.weights[:, pose]
    wire = wire[:: round(whole.fps / 30)] if whole.fps != 30 else wire
    return wire[np.minimum(np.arange(count), len(wire) - 1)]


@pytest.mark.parametrize(("seconds", "rate"), [(1.0, 16000), (0.77, 44100), (1.3, 8000), (0.001, 48000)])
def test_frames_are_those_of_animate_each_with_its_sound(model, address, seconds, rate):
    samples = speech(seconds, rate)
    head, frames, rest = animate(address, samples, rate)
    assert list(head.skel_animation_header.blend_shapes) == list(ARKIT) and not head.skel_animation_header.joints
    assert head.audio_header.samples_per_second == rate and abs(head.start_time_code_since_epoch - time.time()) < 60
    count = -(-30 * len(samples) // rate)
    assert len(frames) == count
    assert b"".join(f.audio.audio_buffer for f in frames) == samples.tobytes()
    for i, frame in enumerate(frames):
        assert frame.skel_animation.blend_shape_weights[0].time_code == pytest.approx(i / 30, abs=1e-12)
        assert frame.audio.time_code == pytest.approx((i * rate // 30) / rate, abs=1e-12)
        assert len(frame.audio.audio_buffer) == 2 * (min((i + 1) * rate // 30, len(samples)) - i * rate // 30)
    assert np.allclose(weights_of(frames), alone(model, samples, rate, count), atol=1e-5)
    assert rest[0].event.event_type == 0 and status_of(rest[1]) == ("SUCCESS", "sent all data") and len(rest) == 2


def test_a_clip_without_sound_is_a_clip(address):
    _, frames, rest = sorted_out(converse(address, [header(), end()]))
    assert not frames and [r.WhichOneof("stream_part") for r in rest] == ["event", "status"]


@pytest.mark.parametrize("pieces", [1, 3, 2240, 1 << 20])
def test_pieces_of_any_size_give_the_same_frames(address, pieces):
    samples = speech(0.1 if pieces < 10 else 0.8)
    _, whole, _ = animate(address, samples)
    _, found, _ = animate(address, samples, pieces=pieces)
    assert np.allclose(weights_of(found), weights_of(whole), atol=1e-6) and len(found) == len(whole)
    assert [f.audio.audio_buffer for f in found] == [f.audio.audio_buffer for f in whole]


def test_half_close_ends_a_sound_too_and_nothing_after_its_end_is_read(address):
    samples = speech(0.5)
    _, frames, rest = sorted_out(converse(address, [header(), sound(samples)]))
    assert len(frames) == 15 and status_of(rest[-1])[0] == "SUCCESS"
    _, frames, rest = sorted_out(converse(address, [header(), sound(samples), end(), sound(samples), header()]))
    assert len(frames) == 15 and status_of(rest[-1])[0] == "SUCCESS"


def test_a_client_may_write_all_before_it_reads(address):
    """As some do: more frames than wait for a client anywhere."""
    samples = speech(15.0)
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(
            "/nvidia_ace.services.a2f_controller.v1.A2FControllerService/ProcessAudioStream",
            request_serializer=message("AudioStream").SerializeToString,
            response_deserializer=message("AnimationDataStream").FromString,
        )
        written = threading.Event()

        def parts():
            yield header()
            for first in range(0, len(samples), 16000):
                yield sound(samples[first : first + 16000])
            yield end()
            written.set()

        answers = call(parts(), timeout=60)
        assert written.wait(20)
        time.sleep(0.5)
        _, frames, _ = sorted_out(list(answers))
    assert len(frames) == 450


def test_streams_together_are_each_as_alone(model, address):
    clips = [(speech(0.5 + 0.3 * i, rate, seed=i), rate) for i, rate in enumerate((16000, 44100, 24000, 48000))]
    found = {}

    def run(i):
        found[i] = animate(address, *clips[i])[1]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(clips))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for i, (samples, rate) in enumerate(clips):
        count = -(-30 * len(samples) // rate)
        assert np.allclose(weights_of(found[i]), alone(model, samples, rate, count), atol=1e-5)


def factors(head):
    shapes = head.blendshape_params
    shapes.bs_weight_multipliers["JawOpen"] = 2.0
    shapes.bs_weight_offsets["JawOpen"] = -0.1
    shapes.bs_weight_multipliers["TongueTipUp"] = 3.0  # not sent: passed over in silence
    shapes.enable_clamping_bs_weight = True


def test_factors_and_offsets_act_on_the_weights_and_clamp_when_asked(address):
    samples = speech(0.5)
    _, plain, _ = animate(address, samples)
    _, found, rest = animate(address, samples, change=factors)
    jaw = ARKIT.index("JawOpen")
    expected = weights_of(plain)
    expected[:, jaw] = expected[:, jaw] * 2 - 0.1
    assert np.allclose(weights_of(found), np.clip(expected, 0, 1), atol=1e-6)
    assert len(rest) == 2


def odd_parameters(head):
    head.face_params.float_params["upperFaceStrength"] = 5.0
    head.face_params.float_params["eyeballs"] = 1.0
    head.face_params.integer_params["faceMask"] = 1


def test_what_is_clamped_or_ignored_is_said_once_before_the_end(model, address):
    _, _, rest = animate(address, speech(0.2), change=odd_parameters)
    code, text = status_of(rest[0])
    assert code == "INFO" and "upperFaceStrength 5" in text and "eyeballs, faceMask" in text
    assert [r.WhichOneof("stream_part") for r in rest[1:]] == ["event", "status"]


def preferred(**values):
    def change(head):
        for name, value in values.items():
            setattr(head.emotion_post_processing_params, name, value)
        head.emotion_params.live_transition_time = 0.5

    return change


def test_emotions_move_to_their_keys_by_the_published_formula(model, address):
    keys = [(0.0, {"joy": 1.0}), (0.5, {"anger": 1.0})]
    _, frames, _ = animate(address, speech(1.0), keys=keys, change=preferred(emotion_strength=0.8))
    dt = 1 / 30 if model.regression else 1 / 60
    state, expected = np.zeros(3), []
    names = list(model.emotions)
    for i in range(round(1 / dt)):
        target = np.zeros(3)
        target[names.index("joy" if i * dt < 0.5 - 1e-9 else "anger")] = 0.8 * 0.5
        state = state + dt / 0.5 * (target - state)
        expected.append(state)
    expected = expected[:: round(1 / 30 / dt)]
    found = np.array([[emotion_of(f)[name] for name in names] for f in frames])
    assert np.allclose(found, expected, atol=1e-5)
    first = message("EmotionAggregate").FromString(frames[0].metadata["emotion_aggregate"].value)
    assert [(k.time_code, dict(k.emotion)) for k in first.input_emotions] == keys and not first.a2e_output


def test_without_keys_the_emotion_is_the_models_own(model, address):
    _, frames, _ = animate(address, speech(0.2))
    found = emotion_of(frames[-1])
    assert [found[name] for name in model.emotions] == pytest.approx(list(model.default_emotion))
    assert set(EMOTIONS) <= set(found), "all that clients know"


def refused(address, messages):
    with pytest.raises(grpc.RpcError) as error:
        converse(address, messages)
    return error.value.code().name, error.value.details()


def nan_parameter(head):
    head.face_params.float_params["skinStrength"] = float("nan")


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ([sound(speech(0.1)), end()], "INVALID_ARGUMENT", "audio_stream_header"),
        ([], "INVALID_ARGUMENT", "audio_stream_header"),
        ([header(), header(), end()], "INVALID_ARGUMENT", "one audio_stream_header"),
        ([header(channels=2), end()], "INVALID_ARGUMENT", "channel_count 2"),
        ([header(bits=8), end()], "INVALID_ARGUMENT", "bits_per_sample 8"),
        ([header(rate=4000), end()], "INVALID_ARGUMENT", "samples_per_second 4000"),
        ([header(change=nan_parameter), end()], "INVALID_ARGUMENT", "skinStrength"),
        ([header(), sound(b"", [(float("inf"), {"joy": 1.0})]), end()], "INVALID_ARGUMENT", "time_code"),
        ([header(rate=8000), *[sound(bytes(160000))] * 3, end()], "RESOURCE_EXHAUSTED", "--max-clip"),
    ],
)
def test_mistakes_have_their_code_and_a_reason(address, messages, code, words):
    found, text = refused(address, messages)
    assert found == code and words in text


def test_the_reason_reaches_clients_that_are_still_writing(address):
    def slowly():
        yield header()
        yield header()
        for _ in range(20):
            time.sleep(0.01)
            yield sound(speech(0.1))
        yield end()

    code, text = refused(address, slowly())
    assert code == "INVALID_ARGUMENT" and "one audio_stream_header" in text


def test_a_silent_client_is_let_go_and_its_place_is_free(address):
    def pause():
        yield header()
        time.sleep(4)

    code, text = refused(address, pause())
    assert code == "DEADLINE_EXCEEDED" and "--idle" in text
    assert animate(address, speech(0.1))[1]


def test_places_are_counted_and_given_back(model, address):
    go, holds = threading.Event(), []

    def hold():
        yield header()
        holds.append(1)
        go.wait(1.8)
        yield end()

    threads = [threading.Thread(target=converse, args=(address, hold())) for _ in range(OPTIONS.streams)]
    for thread in threads:
        thread.start()
    while len(holds) < OPTIONS.streams:
        time.sleep(0.01)
    time.sleep(0.2)
    code, text = refused(address, [header(), end()])
    assert code == "RESOURCE_EXHAUSTED" and "--streams" in text
    go.set()
    for thread in threads:
        thread.join(30)
    assert animate(address, speech(0.1))[1]


def held(address, go, started):
    """A thread with a stream that runs until `go`."""

    def hold():
        yield header()
        started.set()
        go.wait(10)
        yield end()

    thread = threading.Thread(target=lambda: converse(address, hold()))
    thread.start()
    assert started.wait(10)
    time.sleep(0.1)
    return thread


def test_streams_beyond_the_limit_wait_in_the_queue(model):
    with running(model, replace(OPTIONS, actor=model.actors[0], streams=1, queue_s=0.8, idle_s=10.0)) as found:
        go = threading.Event()
        thread = held(found, go, threading.Event())
        assert refused(found, [header(), end()])[0] == "RESOURCE_EXHAUSTED"
        threading.Timer(0.2, go.set).start()
        assert len(animate(found, speech(0.1))[1]) == 3
        thread.join(10)


def test_streams_over_grpc_and_websocket_have_one_limit(model):
    with socket.create_server(("127.0.0.1", 0)) as free:
        pages = f"127.0.0.1:{free.getsockname()[1]}"
    options = replace(OPTIONS, actor=model.actors[0], streams=1, idle_s=10.0)

    def over_websocket():
        with connect(f"ws://{pages}/stream", compression=None) as link:
            link.send('{"type": "start", "sample_rate": 16000}')
            answer = json.loads(link.recv(timeout=10))
            with contextlib.suppress(ConnectionClosed):
                link.send('{"type": "end"}')
            return answer

    with running(model, options, http=pages) as found:
        go = threading.Event()
        thread = held(found, go, threading.Event())
        answer = over_websocket()
        assert answer["type"] == "error" and "--streams" in answer["message"]
        go.set()
        thread.join(10)
        assert over_websocket()["type"] == "header"


class Wire:
    """A way to a server that can go dead: bytes no longer pass, and neither end is told."""

    def __init__(self, address):
        host, port = address.split(":")
        self._listener, self.dead = socket.create_server(("127.0.0.1", 0)), False
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._there = socket.create_connection((host, int(port)))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        self._here, _ = self._listener.accept()
        threading.Thread(target=self._carry, args=(self._here, self._there), daemon=True).start()
        self._carry(self._there, self._here)

    def _carry(self, source, sink):
        try:
            while data := source.recv(1 << 16):
                if not self.dead:
                    sink.sendall(data)
        except OSError:
            pass

    def close(self):
        for end_ in (self._listener, self._here, self._there):
            end_.close()


def test_a_client_that_is_gone_without_a_word_leaves_its_place(model, monkeypatch):
    """Its connection is dead, which only an unanswered ping shows."""
    quick = {"grpc.keepalive_time_ms": 300, "grpc.keepalive_timeout_ms": 300, "grpc.http2.ping_timeout_ms": 300}
    monkeypatch.setattr(server, "OPTIONS", [(name, quick.get(name, value)) for name, value in server.OPTIONS])
    with running(model, replace(OPTIONS, actor=model.actors[0], streams=1, idle_s=60.0)) as found:
        wire, go = Wire(found), threading.Event()

        def hold():
            yield header()
            go.wait(30)

        with grpc.insecure_channel(wire.address) as channel:
            call = channel.stream_stream(
                PATH, request_serializer=message("AudioStream").SerializeToString, response_deserializer=bytes
            )
            answers = call(hold())
            next(answers)
            assert refused(found, [header(), end()])[0] == "RESOURCE_EXHAUSTED"
            wire.dead = True
            deadline = time.monotonic() + 15
            while True:
                try:
                    assert len(animate(found, speech(0.1))[1]) == 3
                    break
                except grpc.RpcError:
                    assert time.monotonic() < deadline, "the place of a dead client stays taken"
                    time.sleep(0.2)
            go.set()
            answers.cancel()
            wire.close()


def test_a_refused_stream_that_is_still_writing_holds_no_place(model):
    with running(model, replace(OPTIONS, actor=model.actors[0], streams=1, idle_s=10.0)) as found:
        go, late, begun = (threading.Event() for _ in range(3))
        thread = held(found, go, threading.Event())

        def writes_on():
            yield header()
            begun.set()
            late.wait(10)

        other = threading.Thread(target=refused, args=(found, writes_on()))
        other.start()
        assert begun.wait(10)
        time.sleep(0.1)  # as in `held`: it has come to the server, and is refused, while the place is taken
        go.set()
        thread.join(10)
        assert len(animate(found, speech(0.1))[1]) == 3
        late.set()
        other.join(10)


@pytest.mark.parametrize("ends", [True, False])
def test_a_client_that_never_reads_is_let_go(model, ends):
    """After the end of its sound, or when nothing more of it comes."""
    options = replace(OPTIONS, actor=model.actors[0], streams=1, idle_s=1.0, unread_s=1.0)
    with (
        running(model, options) as found,
        grpc.insecure_channel(found, options=[("grpc.http2.bdp_probe", 0)]) as channel,
    ):
        go = threading.Event()

        def parts():
            yield header(48000)
            for _ in range(15):
                yield sound(speech(1.0, 48000))
            if ends:
                yield end()
            go.wait(20)

        answers = channel.stream_stream(
            PATH, request_serializer=message("AudioStream").SerializeToString, response_deserializer=bytes
        )(parts())
        time.sleep(0.5)
        deadline = time.monotonic() + 10
        while True:
            try:
                assert len(animate(found, speech(0.1))[1]) == 3
                break
            except grpc.RpcError as error:
                assert error.code().name == "RESOURCE_EXHAUSTED" and time.monotonic() < deadline
                time.sleep(0.2)
        go.set()
        with pytest.raises(grpc.RpcError) as ended:
            list(answers)
        assert ended.value.code().name in ("DEADLINE_EXCEEDED", "CANCELLED")


def endless_name(head):
    head.face_params.float_params["x" * 100000] = 1.0


def forged_line(head):
    head.face_params.float_params["a\n12:00:00 E all is lost"] = float("nan")


def thousands(head):
    for i in range(5000):
        head.blendshape_params.bs_weight_offsets[f"p{i}"] = 1.0


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ([header(change=endless_name), end()], "INVALID_ARGUMENT", "100000 characters"),
        ([header(change=forged_line), end()], "INVALID_ARGUMENT", "all is lost"),
        ([header(change=thousands), end()], "INVALID_ARGUMENT", "5000 values"),
        ([header(), sound(b"", [(0.0, {"x" * 1000: 1.0})]), end()], "INVALID_ARGUMENT", "1000 characters"),
        ([header(), *[sound(b"", [(0.0, {})] * 5000)] * 5, end()], "RESOURCE_EXHAUSTED", "emotion keys"),
    ],
)
def test_what_clients_name_is_bounded_and_quoted_in_one_line(address, messages, code, words):
    found, text = refused(address, messages)
    assert found == code and words in text and len(text) <= 500 and "\n" not in text


def test_notes_are_bounded(address):
    def many(head):
        for i in range(900):
            head.face_params.float_params[f"unknown number {i}"] = 1.0

    _, _, rest = animate(address, speech(0.1), change=many)
    assert status_of(rest[0])[0] == "INFO" and len(status_of(rest[0])[1]) <= 500


def test_clients_that_go_away_leave_their_places(address):
    for _ in range(2 * OPTIONS.streams):
        with grpc.insecure_channel(address) as channel:
            call = channel.stream_stream(
                "/nvidia_ace.services.a2f_controller.v1.A2FControllerService/ProcessAudioStream",
                request_serializer=message("AudioStream").SerializeToString,
                response_deserializer=message("AnimationDataStream").FromString,
            )
            answers = call(iter([header(), sound(speech(2.0))]))
            next(answers)
            answers.cancel()
    deadline = time.monotonic() + 5
    while True:
        try:
            assert animate(address, speech(0.1))[1]
            break
        except grpc.RpcError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def unary(address, service, method, request, response):
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=message(response).FromString,
        )
        return call(request, timeout=10)


HEALTH = "grpc.health.v1.Health"


def test_health(address):
    for service in ("", next(iter(SERVICES))):
        answer = unary(address, HEALTH, "Check", message("HealthCheckRequest")(service=service), "HealthCheckResponse")
        assert answer.status == number("ServingStatus", "SERVING")
    with pytest.raises(grpc.RpcError) as error:
        unary(address, HEALTH, "Check", message("HealthCheckRequest")(service="x"), "HealthCheckResponse")
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("kind", ["YAML", "JSON"])
def test_configs_are_files_that_hold_what_is_in_force(model, address, kind):
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_stream(
            "/nvidia_ace.services.a2x_export_config.v1.A2XExportConfigService/GetConfigs",
            request_serializer=message("ConfigsTypeRequest").SerializeToString,
            response_deserializer=message("A2XConfig").FromString,
        )
        files = {f.name: f.content for f in call(message("ConfigsTypeRequest")(config_type=number("ConfigType", kind)))}
    names = {f"{part}_config.{kind.lower()}" for part in ("stylization", "deployment", "advanced")}
    assert files.keys() == names
    if kind == "JSON":
        style = json.loads(files["stylization_config.json"])
        assert style["a2f"]["inference_type"] == ("regression" if model.regression else "diffusion")
        assert style["a2f"]["model"]["identity"] == model.actors[0]
        assert json.loads(files["deployment_config.json"])["common"]["stream_number"] == OPTIONS.streams
    else:
        assert f"stream_number: {OPTIONS.streams}\n" in files["deployment_config.yaml"]


AUTHORING = "nvidia_ace.services.a2f_authoring.v1.A2FAuthoringService"


def test_single_poses(model, address):
    samples = speech(1.0)
    clip = message("AudioClip")(content=samples.tobytes())
    clip.audio_header.CopyFrom(header().audio_stream_header.audio_header)
    handle = unary(address, AUTHORING, "UploadAudioClip", clip, "AudioClipHandle")
    import hashlib

    assert handle.audio_clip_id == hashlib.sha256(samples.tobytes()).hexdigest()
    assert list(handle.blendshape_names) == list(ARKIT)
    ask = message("FacePoseRequest")(audio_hash=handle.audio_clip_id, time_stamp=0.5, preferred_emotions={"joy": 1.0})
    pose = unary(address, AUTHORING, "GetAvatarFacePose", ask, "BlendShapeData")
    assert len(pose.blendshapes) == 52 and np.isfinite(pose.blendshapes).all() and pose.time_code == 0.5
    assert pose.emotions["joy"] == pytest.approx(0.3) and set(pose.emotions) == set(EMOTIONS)
    late = message("FacePoseRequest")(audio_hash=handle.audio_clip_id, time_stamp=99.0)
    assert unary(address, AUTHORING, "GetAvatarFacePose", late, "BlendShapeData").time_code == pytest.approx(1.0)
    with pytest.raises(grpc.RpcError) as error:
        unary(address, AUTHORING, "GetAvatarFacePose", message("FacePoseRequest")(audio_hash="x"), "BlendShapeData")
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def returned(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_pose_alone_is_that_of_the_whole_clip(model, rate):
    """The first request for parameters animates what is around its moment, the second all of the clip."""
    samples = speech(2.0, rate)
    authoring = Authoring(ServedModel(model, replace(OPTIONS, actor=model.actors[0])))
    clip = message("AudioClip")(content=samples.tobytes(), audio_header=header(rate).audio_stream_header.audio_header)
    name = authoring.upload(clip).audio_clip_id
    for time_s in (0.0, 0.3, 1.0, 1.4, 1.99):
        for strength in (1.0, 1.5):  # a slider moves
            ask = message("FacePoseRequest")(audio_hash=name, time_stamp=time_s)
            ask.face_params.float_params["lowerFaceStrength"] = strength
            first, second = (returned(authoring.pose(ask)).blendshapes for _ in range(2))
            assert np.allclose(first, second, atol=2e-3) and any(first)


def test_messages_that_are_none_end_in_a_status_and_the_server_lives(address):
    rng = np.random.default_rng(0)
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(
            "/nvidia_ace.services.a2f_controller.v1.A2FControllerService/ProcessAudioStream",
            request_serializer=bytes,
            response_deserializer=message("AnimationDataStream").FromString,
        )
        good = [header().SerializeToString(), sound(speech(0.05)).SerializeToString(), end().SerializeToString()]
        for i in range(200):
            parts = [bytearray(part) for part in good]
            damaged = parts[i % 3]
            for _ in range(1 + i % 4):
                kind, place = rng.integers(3), int(rng.integers(len(damaged))) if damaged else 0
                if kind == 0 and damaged:
                    damaged[place] = rng.integers(256)
                elif kind == 1:
                    damaged[place:place] = rng.bytes(3)
                else:
                    del damaged[place:]
            try:
                list(call(iter(map(bytes, parts)), timeout=10))
            except grpc.RpcError as error:
                assert "Traceback" not in (error.details() or "")
                assert error.code().name in (
                    "INVALID_ARGUMENT",
                    "INTERNAL",
                    "UNKNOWN",
                    "DEADLINE_EXCEEDED",
                    "RESOURCE_EXHAUSTED",
                )
    assert animate(address, speech(0.1))[1]


def test_streams_are_counted_by_the_status_they_end_with(model):
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    with running(model, replace(OPTIONS, actor=model.actors[0]), metrics=metrics) as found:
        animate(found, speech(0.1))
        refused(found, [header(channels=2), end()])
        time.sleep(0.1)
        with urlopen(f"http://{metrics}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    assert [line for line in lines if line.startswith("audio2face_streams_total")] == [
        'audio2face_streams_total{code="INVALID_ARGUMENT"} 1',
        'audio2face_streams_total{code="OK"} 1',
    ]
    assert "audio2face_streams_active 0" in lines


def test_a_token_is_asked_for(model):
    with running(model, replace(OPTIONS, actor=model.actors[0], token="sesame")) as found:
        code, _ = refused(found, [header(), end()])
        assert code == "UNAUTHENTICATED"
        with pytest.raises(grpc.RpcError) as error:
            converse(found, [header(), end()], metadata=[("authorization", "Bearer open")])
        assert error.value.code().name == "UNAUTHENTICATED"
        assert converse(found, [header(), end()], metadata=[("authorization", "Bearer sesame")])
        answer = unary(found, HEALTH, "Check", message("HealthCheckRequest")(), "HealthCheckResponse")
        assert answer.status == number("ServingStatus", "SERVING")


def test_open_streams_end_before_the_server_does(model):
    answers, started = [], threading.Event()

    def slowly():
        yield header()
        started.set()
        for _ in range(5):
            time.sleep(0.2)
            yield sound(speech(0.2))
        yield end()

    with running(model, replace(OPTIONS, actor=model.actors[0])) as found:
        thread = threading.Thread(target=lambda: answers.extend(converse(found, slowly())))
        thread.start()
        started.wait(10)
        time.sleep(0.3)
    thread.join(30)
    _, frames, rest = sorted_out(answers)
    assert len(frames) == 30 and status_of(rest[-1])[0] == "SUCCESS"


def test_open_streams_over_websocket_end_before_the_server_does(model):
    with socket.create_server(("127.0.0.1", 0)) as free:
        pages = f"127.0.0.1:{free.getsockname()[1]}"
    answers, started = [], threading.Event()

    def slowly():
        with connect(f"ws://{pages}/stream", compression=None) as link:
            link.send('{"type": "start", "sample_rate": 16000}')
            link.send(speech(0.5).tobytes())
            started.set()
            time.sleep(1.0)
            link.send(speech(0.5).tobytes())
            link.send('{"type": "end"}')
            answers.extend(json.loads(text) for text in link)

    with running(model, replace(OPTIONS, actor=model.actors[0]), http=pages):
        thread = threading.Thread(target=slowly)
        thread.start()
        assert started.wait(10)
        time.sleep(0.2)
    thread.join(10)
    assert answers[-1]["type"] == "end" and answers[-1]["frames"] == 30


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self):
        self.frames, self.closed = [], False

    def send(self, frame):
        self.frames.append(frame)

    def close(self):
        self.closed = True


def test_live_outputs_and_listeners_get_what_a_client_is_sent(model):
    with socket.create_server(("127.0.0.1", 0)) as free:
        pages = f"127.0.0.1:{free.getsockname()[1]}"
    kept, samples = Kept(), speech(0.5)
    with running(model, replace(OPTIONS, actor=model.actors[0]), mirror=[kept], http=pages) as found:
        with connect(f"ws://{pages}/live", compression=None) as link:
            _, frames, _ = animate(found, samples)
            deadline, heard = time.monotonic() + 20, []
            while max((f.sound_time_s for f in kept.frames), default=0) < 14 / 30 - 0.001:
                assert time.monotonic() < deadline
                heard.append(json.loads(link.recv(timeout=5)))
    sent = {round(f.sound_time_s * 30): f.weights for f in kept.frames if f.emotion}
    for i in range(14):  # the last eases to rest
        assert np.allclose(sent[i], weights_of(frames)[i], atol=1e-6)
    assert kept.closed and {"header", "frame"} == {part["type"] for part in heard}


def test_other_rates_and_more_poses(model):
    options = replace(OPTIONS, actor=model.actors[0], fps=Fraction(24), poses="all", tail_s=0.25)
    with running(model, options) as found:
        head, frames, _ = animate(found, speech(1.0))
    names = list(head.skel_animation_header.blend_shapes)
    assert names[:52] == list(ARKIT) and "TongueTipUp" in names and len(frames) == 30
    assert frames[-1].skel_animation.blend_shape_weights[0].time_code == pytest.approx(29 / 24)
    assert sum(len(f.audio.audio_buffer) for f in frames) == 2 * 20000
